"""Provenance: a record in the margin catalog of what it was made from, used to detect changes of the primary.

It holds the arguments that decide the content of the files, and a few numbers for each partition of the primary: some
50 bytes, so 5 MB for 100,000 partitions. No reader of catalogs needs it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import skymargin._core as _core
from skymargin.catalogs.layout import RECORD
from skymargin.errors import ArgumentError, StorageError
from skymargin.storage.paths import AnyPath, exists, read_text, translate_errors

if TYPE_CHECKING:
    from skymargin.build.stages.map import MapResult
    from skymargin.catalogs.catalog import Catalog
    from skymargin.catalogs.layout import Pixel
    from skymargin.catalogs.output_options import OutputOptions

# Raise it when the same rows are written to other files, or the content of the record changes.
RECORD_FORMAT = 2
_COLUMNS = ("order", "pixel", "rows", "memory_bytes", "stamp")
# The options that decide the files of partitions; what the others ask for is written anew in every run.
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
        Digest of its files' names, sizes and times of change; empty when the store does not give them.
    """

    rows: int
    memory_bytes: int
    stamp: str


def write_record(
    folder: AnyPath,
    catalog: Catalog,
    decided: Mapping[str, str],
    stamps: Sequence[str],
    mapped: Sequence[MapResult],
) -> None:
    """Record what a margin was made from.

    `stamps` are taken before any partition is read, so that a change during the run counts as a later one.

    Raises
    ------
    StorageError
        When it cannot be written.
    """
    sizes = {(order, pixel): size for result in mapped for order, pixel, *size in result.sizes}
    stamped = sorted(zip(catalog.partitions, stamps, strict=True))
    lines = [[*pixel, *sizes[pixel], stamp] for pixel, stamp in stamped]
    about = {
        "format": RECORD_FORMAT,
        "decided_by": dict(decided),
        "partitions": {name: [line[place] for line in lines] for place, name in enumerate(_COLUMNS)},
    }
    try:
        with translate_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            (folder / RECORD).write_text(json.dumps(about, separators=(",", ":")) + "\n", encoding="utf-8")
    except OSError as error:
        raise StorageError(f"{folder / RECORD} cannot be written: {error}") from error


def read_record(margin: AnyPath, decided: Mapping[str, str]) -> dict[Pixel, Partition]:
    """Partitions of the primary that a margin was made from.

    `decided` is what `decided_by` gives for the run that takes over what did not change.

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
        partitions = {
            (order, pixel): Partition(*values) for order, pixel, *values in zip(*columns, strict=True)
        }
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
    return partitions


def record_digest(margin: AnyPath) -> str:
    """Digest of the record of a margin; empty without a record."""
    file = margin / RECORD
    return _digest(read_text(file).encode()) if exists(file) else ""


def decided_by(
    catalog: Catalog, threshold_arcsec: float, fine_filtering: bool, output: OutputOptions
) -> dict[str, str]:
    """What decides the files of margins besides the rows of the catalog, by readable names."""
    import pyarrow as pa

    parts: dict[str, Any] = {
        "margin_threshold": threshold_arcsec,
        "fine_filtering": fine_filtering,
        **{name: getattr(output, name) for name in _DECIDING},
        "the format of the catalog": catalog.format,
        "the choice of coordinate and index columns": catalog.columns,
        "the schema of the catalog (digest)": _digest(catalog.schema.serialize().to_pybytes()),
        "the version of skymargin": _core.VERSION,
        "the version of pyarrow": pa.__version__,
    }
    return {name: str(value) for name, value in parts.items()}


def file_marks(catalog: Catalog) -> dict[str, str]:
    """Size and time of change of each file, or the store's version of it; files without either are left out."""
    if isinstance(catalog.root, Path):
        return _local_marks(catalog)
    marks = catalog.file_marks
    return {name: marks[name] for names in catalog.files for name in names if name in marks}


def partition_stamps(catalog: Catalog, marks: Mapping[str, str]) -> list[str]:
    """One fingerprint per partition, used to detect changed files; empty text when a file has no mark."""
    # Names of files elsewhere are relative to a folder that depends on all of them.
    before = "" if catalog.elsewhere is None else f"{catalog.elsewhere}/"
    return [
        _digest("\n".join(f"{before}{name} {marks[name]}" for name in names).encode())
        if all(name in marks for name in names)
        else ""
        for names in catalog.files
    ]


def _local_marks(catalog: Catalog) -> dict[str, str]:
    marks = {}
    for names in catalog.files:
        for name in names:
            # Reading reports a missing file.
            with suppress(OSError):
                about = (catalog.root / name).stat()
                marks[name] = f"{about.st_size} {about.st_mtime_ns}"
    return marks


def _digest(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=8).hexdigest()
