"""Which files the folder of a catalog may hold, what makes it a margin catalog, and what of it may be replaced."""

from __future__ import annotations

import json
import os
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from skymargin.catalogs.layout import COLLECTION, RECORD, VALID_BY
from skymargin.catalogs.properties import read_properties
from skymargin.errors import CatalogError, StorageError
from skymargin.storage.paths import AnyPath, list_files, read_text, translate_errors

# Files that skymargin, hats, hats-import, LSDB, hipscat and hipscat-import write into a catalog beside its partitions.
_FILES = frozenset(
    {
        *VALID_BY,
        RECORD,
        "provenance_info.json",
        "partition_info.csv",
        "partition_info.png",
        "per_partition_statistics.parquet",
        "point_map.fits",
        "skymap.png",
        "index.html",
        "README.md",
        *("_metadata", "_common_metadata"),
        *("dataset/_metadata", "dataset/_common_metadata"),
        *("data_thumbnail.parquet", "dataset/data_thumbnail.parquet"),
    }
)
_SKYMAP = re.compile(r"skymap(\.\d+)?\.fits")
_PARTITION = r"(dataset/)?Norder=\d+/Dir=\d+/Npix=\d+"
_FILE_SUFFIX = r"\.[A-Za-z0-9][A-Za-z0-9._-]*"
_FILE_IN_FOLDER = r"/[A-Za-z0-9][A-Za-z0-9._=-]*\.(parquet|parq)"
_DEFAULT_SUFFIX = ".parquet"
# What a run keeps while it runs; files that are being written; those that NFS keeps while a process has them open.
_OF_A_RUN = re.compile(
    r"(run|reducing|placing)\.json|copying|completed|(mapped|reduced)-\d{6}|job-[0-9a-f]{8}|shard-\d{6}\.arrow"
    r"|.*\.[0-9a-f]{8}\.part|(.*/)?\.nfs[0-9a-f]+"
)
# How many names an error has.
_NAMED = 3


@dataclass(frozen=True)
class Existing:
    """What is at the place of an output.

    Attributes
    ----------
    description : str
        In words that follow "is".
    replaceable : bool
        Whether it is a margin catalog, or was left by an interrupted run of skymargin, and holds nothing else.
    interrupted : bool
        Whether it was left by an interrupted run.
    """

    description: str
    replaceable: bool = False
    interrupted: bool = False


def inspect_existing(path: AnyPath, *, copy_has_begun: bool = False) -> Existing:
    """Find out what is at a path where a margin catalog is to be put.

    Parameters
    ----------
    path
        The path, at which there is something.
    copy_has_begun
        Whether a record says that a run of skymargin has begun to copy a margin catalog to the path.

    Raises
    ------
    StorageError
        When the folder cannot be listed.
    """
    with translate_errors(path):
        if path.is_file():
            return Existing("a file")
    names = file_names(path)
    if COLLECTION in names:
        return Existing("a collection")
    marks = [name for name in VALID_BY if name in names]
    if not marks:
        foreign = foreign_files(names)
        if (RECORD in names or copy_has_begun) and names and not foreign:
            return Existing("what an interrupted run left", replaceable=True, interrupted=True)
        valid_by = ", ".join(VALID_BY[:-1]) + f" or {VALID_BY[-1]}"
        known = set(names).difference(foreign)
        held = listed(foreign + [name for name in names if name in known])
        return Existing(f"a folder that is no margin: it has no {valid_by}, and holds {held}")
    suffix = _DEFAULT_SUFFIX
    for mark in marks:
        try:
            key, properties = _stated(path / mark)
        except (OSError, ValueError, RecursionError) as error:
            return Existing(f"a folder that is no margin: {mark} cannot be read: {error}")
        kind = properties.get(key)
        if kind in ("object", "source"):
            return Existing(f"a primary catalog ({key}={kind})")
        if kind != "margin":
            return Existing(f"a catalog that is no margin: {mark} has {key}={kind or 'nothing'}")
        suffix = properties.get("hats_npix_suffix") or suffix
    foreign = foreign_files(names, suffix)
    if foreign:
        return Existing(f"a margin catalog that also holds {listed(foreign)}")
    return Existing("a margin catalog", replaceable=True)


def file_names(folder: AnyPath) -> list[str]:
    """Every file below a folder, relative to it; a link is one file, since what it leads to lies elsewhere.

    Raises
    ------
    StorageError
        When a folder cannot be listed.
    """
    if not isinstance(folder, Path):
        return sorted(list_files(folder))
    names = []
    pending = [(str(folder), "")]
    try:
        while pending:
            path, inside = pending.pop()
            with suppress(FileNotFoundError), os.scandir(path) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        pending.append((entry.path, f"{inside}{entry.name}/"))
                    else:
                        names.append(f"{inside}{entry.name}")
    except OSError as error:
        raise StorageError(f"{folder} cannot be listed: {error}") from error
    return sorted(names)


def foreign_files(names: list[str], suffix: str | None = None) -> list[str]:
    """The files that none of the known packages writes into a catalog.

    Parameters
    ----------
    names
        Files relative to the folder of the catalog.
    suffix
        How the names of its partitions end, `/` for a folder of each; None when that is not known.
    """
    endings = {None: f"({_FILE_SUFFIX}|{_FILE_IN_FOLDER})", "/": _FILE_IN_FOLDER}
    partition = re.compile(_PARTITION + endings.get(suffix, re.escape(suffix or "")))
    return [
        name for name in names if not (name in _FILES or partition.fullmatch(name) or _SKYMAP.fullmatch(name))
    ]


def foreign_to_run(names: list[str]) -> list[str]:
    """The files that no run of skymargin writes into a folder of its own: shards, records, a margin catalog."""
    return foreign_files([name for name in names if not _OF_A_RUN.fullmatch(name)])


def listed(names: list[str]) -> str:
    """A few of the names, and how many more there are."""
    if not names:
        return "no files"
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def _stated(file: AnyPath) -> tuple[str, dict[str, str]]:
    """The key that says which kind of catalog it is, and what the file says."""
    if file.name != "catalog_info.json":
        return "dataproduct_type", read_properties(file)
    about = json.loads(read_text(file))
    if not isinstance(about, dict):
        raise CatalogError("it holds no object of keys and values")
    return "catalog_type", {"catalog_type": str(about.get("catalog_type") or "")}
