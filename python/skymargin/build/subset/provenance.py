"""What a margin was made from: a record in the margin catalog, by which changes of the primary are found.

It has the arguments that decide what is in the files, and one line of numbers for each partition of the primary: some
50 bytes, so 5 MB for 100,000 partitions. No reader of catalogs needs it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skymargin.catalogs.layout import RECORD
from skymargin.errors import ArgumentError, StorageError
from skymargin.storage.paths import AnyPath, can_list, exists, read_text, translate_errors

if TYPE_CHECKING:
    from skymargin.build.stages.map import MapResult
    from skymargin.build.stages.tasks import Pixel, RunSpec
    from skymargin.catalogs.catalog import Catalog
    from skymargin.catalogs.output_options import OutputOptions

# To be raised when the same rows are to be written in other files, or the record has something else.
RECORD_FORMAT = 1
_COLUMNS = ("order", "pixel", "rows", "memory_bytes", "stamp")
# Names of what tells one version of an object from another, each used by some store.
_MARKS = ("ETag", "etag", "md5Hash", "LastModified", "last_modified", "mtime", "updated", "created")
# Of the wanted files: what is not here is made anew in every run.
_DECIDING = (
    "npix_suffix",
    "npix_parquet_name",
    "write_table_kwargs",
    "row_group_kwargs",
    "debug_filter_pixel_list",
    "cone",
)


@dataclass(frozen=True)
class Partition:
    """A partition of the primary as a margin was made from it.

    Attributes
    ----------
    rows : int
        Its rows.
    memory_bytes : int
        Its size before compression.
    stamp : str
        Digest of its files' names, sizes and times of change; empty when the store does not tell these.
    """

    rows: int
    memory_bytes: int
    stamp: str


def write_record(
    folder: AnyPath,
    catalog: Catalog,
    job: RunSpec,
    wanted: OutputOptions,
    stamps: Sequence[str],
    mapped: Sequence[MapResult],
) -> None:
    """Write down what a margin was made from.

    Parameters
    ----------
    folder
        The margin catalog under construction.
    catalog, job, wanted
        The primary catalog, what was done with it, and what is wanted of the files.
    stamps
        One for each partition, taken before any was read, so that a change during the run counts as a later one.
    mapped
        What is known of all partitions.

    Raises
    ------
    StorageError
        When it cannot be written.
    """
    sizes = {(order, pixel): known for one in mapped for order, pixel, *known in one.sizes}
    pixels = partitions_of(catalog)
    lines = [
        [*pixel, *sizes[pixel], stamp]
        for pixel, stamp in sorted(zip(pixels, stamps, strict=True))
    ]  # fmt: skip
    about = {
        "format": RECORD_FORMAT,
        "decided_by": decided_by(catalog, job, wanted),
        "partitions": {name: [line[place] for line in lines] for place, name in enumerate(_COLUMNS)},
    }
    try:
        with translate_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            (folder / RECORD).write_text(json.dumps(about, separators=(",", ":")) + "\n", encoding="utf-8")
    except OSError as error:
        raise StorageError(f"{folder / RECORD} cannot be written: {error}") from error


def read_record(margin: AnyPath, decided: dict[str, str]) -> dict[Pixel, Partition]:
    """Partitions of the primary that a margin was made from.

    Parameters
    ----------
    margin
        The margin catalog.
    decided
        What decides the files of the run that is to take over what did not change.

    Raises
    ------
    ArgumentError
        When there is no record, or the margin was made with other arguments.
    """
    file = margin / RECORD
    instead = "overwrite=True makes the margin anew"
    if not exists(file):
        raise ArgumentError(
            f"only_changed=True: there is no {file}, which says what the margin was made from; {instead}"
        )
    try:
        about = json.loads(read_text(file))
        if about["format"] != RECORD_FORMAT:
            raise ArgumentError(
                f"only_changed=True: {file} is of format {about['format']}, not {RECORD_FORMAT}: another version of "
                f"skymargin made the margin; {instead}"
            )
        columns = [about["partitions"][name] for name in _COLUMNS]
        before: dict[str, str] = about["decided_by"]
        found = {(order, pixel): Partition(*known) for order, pixel, *known in zip(*columns, strict=True)}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        if isinstance(error, ArgumentError):
            raise
        raise ArgumentError(f"only_changed=True: {file} cannot be read ({error}); {instead}") from error
    for name in dict.fromkeys([*before, *decided]):
        if before.get(name) != decided.get(name):
            raise ArgumentError(
                f"only_changed=True: {name} was {before.get(name)} when {margin} was made, and is "
                f"{decided.get(name)} now; {instead}"
            )
    return found


def record_digest(margin: AnyPath) -> str:
    """What tells the record of a margin from that of another; empty without one."""
    file = margin / RECORD
    return _digest(read_text(file).encode()) if exists(file) else ""


def decided_by(catalog: Catalog, job: RunSpec, wanted: OutputOptions) -> dict[str, str]:
    """What decides the files of margins beside the rows of the catalog, by names for people."""
    parts: dict[str, Any] = {
        "margin_threshold": job.margin_threshold_arcsec,
        "fine_filtering": job.fine_filtering,
        **{name: getattr(wanted, name) for name in _DECIDING},
        "the format of the catalog": catalog.format,
        "the choice of coordinate and index columns": catalog.columns,
        "the schema of the catalog (digest)": _digest(catalog.schema.serialize().to_pybytes()),
        "the version of skymargin": version("skymargin"),
        "the version of pyarrow": version("pyarrow"),
    }
    return {name: str(value) for name, value in parts.items()}


def partitions_of(catalog: Catalog) -> list[Pixel]:
    """The partitions of a catalog as (order, pixel), in its order."""
    return list(zip(catalog.orders.tolist(), catalog.pixels.tolist(), strict=True))


def stamps_of(catalog: Catalog) -> list[str]:
    """What tells a partition's files from changed ones, for each partition; empty text where nothing does."""
    marks = _local_marks(catalog) if isinstance(catalog.path, Path) else _remote_marks(catalog)
    return [
        _digest("\n".join(f"{name} {marks[name]}" for name in names).encode())
        if all(name in marks for name in names)
        else ""
        for names in catalog.files
    ]


def _local_marks(catalog: Catalog) -> dict[str, str]:
    marks = {}
    for names in catalog.files:
        for name in names:
            # What is missing is found out by who reads it.
            with suppress(OSError):
                about = (catalog.path / name).stat()
                marks[name] = f"{about.st_size} {about.st_mtime_ns}"
    return marks


def _remote_marks(catalog: Catalog) -> dict[str, str]:
    """What one listing of the store has; nothing, where it has no listings."""
    if not can_list(catalog.path):
        return {}
    root = catalog.path.path.rstrip("/")  # type: ignore[union-attr]
    with translate_errors(catalog.path):
        listed = catalog.path.fs.find(root, detail=True)  # type: ignore[union-attr]
    marks = {}
    for path, about in listed.items():
        told = next((f"{mark} {about[mark]}" for mark in _MARKS if about.get(mark)), None)
        if told is not None:
            marks[path.removeprefix(f"{root}/")] = f"{about.get('size')} {told}"
    return marks


def _digest(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=8).hexdigest()
