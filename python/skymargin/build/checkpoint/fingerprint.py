"""What decides the result of a run: with any of it changed, the work of an earlier run is of no use."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skymargin.catalogs.output_options import OutputOptions
from skymargin.storage.paths import AnyPath, can_list

if TYPE_CHECKING:
    from collections.abc import Sequence

    from skymargin.build.arguments import MarginCacheArguments
    from skymargin.build.stages.tasks import RunSpec
    from skymargin.catalogs.catalog import Catalog

# To be raised with every change of what is in shards and records, or of how they are used.
FORMAT_VERSION = 2
# Longer values are told apart by a digest, and not shown.
_SHOWN_CHARACTERS = 100


@dataclass(frozen=True)
class Fingerprint:
    """What decides the result of a run.

    Attributes
    ----------
    parts : dict of str to str
        What it is called, to its value or a digest of it.
    files : dict of str to str
        Files of the partitions, relative to the catalog, to size and time of change, or what the store has for it.
    """

    parts: dict[str, str]
    files: dict[str, str]

    def change_from(self, old: Fingerprint) -> str | None:
        """What is different from an earlier one, the first thing that is, in words; None when nothing is."""
        for name in dict.fromkeys([*old.parts, *self.parts]):
            before, now = old.parts.get(name), self.parts.get(name)
            if before == now:
                continue
            shown = all(text is not None and not text.startswith("sha256:") for text in (before, now))
            return f"{name} changed" + (f" from {before} to {now}" if shown else "")
        changed = [
            name for name in dict.fromkeys([*old.files, *self.files])
            if old.files.get(name) != self.files.get(name)
        ]  # fmt: skip
        if not changed:
            return None
        others = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
        return f"the file {changed[0]}{others} of the catalog changed"


def fingerprint_of(catalog: Catalog, job: RunSpec, margins: Sequence[MarginCacheArguments]) -> Fingerprint:
    """The fingerprint of a run.

    Parameters
    ----------
    catalog
        The primary catalog, or the part of it that is used.
    job
        What is done with it.
    margins
        The arguments of each margin catalog of the run, the one with the largest threshold first.
    """
    first, *others = margins
    parts: dict[str, Any] = {
        "the version of skymargin": version("skymargin"),
        "the version of pyarrow": version("pyarrow"),
        "the version of hats": version("hats"),
        "the format of intermediate files": FORMAT_VERSION,
        "input_catalog_path": str(job.catalog_path),
        "margin_threshold": job.margin_threshold_arcsec,
        "margin_order": job.margin_order,
        "fine_filtering": job.fine_filtering,
        "check_index": job.check_index,
        "the choice of margins to be made": None if job.margins is None else sorted(job.margins),
        **asdict(OutputOptions.of(first)),
        "tmp_dir": str(first.run_paths.intermediate),
        "the format of the catalog": catalog.format,
        "what the catalog says of its columns": catalog.columns,
        "the schema of the catalog": catalog.schema.serialize().to_pybytes(),
        "the list of partitions of the catalog": b"".join(
            [catalog.orders.tobytes(), catalog.pixels.tobytes(), repr(catalog.files).encode()]
        ),
        "the sizes of the partitions of the catalog": catalog.size_bytes.tobytes(),
    }
    if others:
        parts["the margins that are made together"] = [str(args.run_paths.final) for args in margins]
    for args in others:
        own = {"margin_threshold": args.margin_threshold, **asdict(OutputOptions.of(args))}
        parts |= {f"{name} of {args.run_paths.final}": value for name, value in own.items()}
    names = [name for files in catalog.files for name in files]
    stamps = _local_stamps if isinstance(job.catalog_path, Path) else _remote_stamps
    return Fingerprint({name: _text(value) for name, value in parts.items()}, stamps(job.catalog_path, names))


def _text(value: Any) -> str:
    raw = value if isinstance(value, bytes) else repr(value).encode()
    if isinstance(value, bytes) or len(raw) > _SHOWN_CHARACTERS:
        return f"sha256:{hashlib.sha256(raw).hexdigest()}"
    return raw.decode()


def _local_stamps(folder: AnyPath, names: list[str]) -> dict[str, str]:
    stamps = {}
    for name in names:
        # What is missing is found out by who reads it.
        with suppress(OSError):
            about = (folder / name).stat()
            stamps[name] = f"{about.st_size} bytes, {about.st_mtime_ns} ns"
    return stamps


def _remote_stamps(folder: Any, names: list[str]) -> dict[str, str]:
    """What one listing of the store has; nothing, where it has no listings."""
    root = folder.path.rstrip("/")
    if not can_list(folder):
        return {}
    try:
        found = folder.fs.find(root, detail=True)
    except Exception:
        return {}
    # Object stores have one of these under a name of their own.
    marks = ("ETag", "etag", "md5Hash", "LastModified", "last_modified", "mtime", "updated", "created")
    stamps = {}
    for name in names:
        about = found.get(f"{root}/{name}")
        if about is not None:
            told = (f"{mark} {about[mark]}" for mark in marks if about.get(mark))
            stamps[name] = f"{about.get('size')} bytes, {next(told, 'no time')}"
    return stamps
