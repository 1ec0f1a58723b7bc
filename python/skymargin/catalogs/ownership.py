"""What is at the place of an output: which kind of catalog, whose files, and whether it may be replaced."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from skymargin.catalogs.layout import (
    COLLECTION,
    HIPSCAT_INFO,
    MARKS_ASIDE,
    RECORD,
    SUFFIX,
    VALID_BY,
    foreign_files,
    partition_suffix,
)
from skymargin.catalogs.properties import read_json, read_properties
from skymargin.errors import CatalogError, StorageError
from skymargin.formatting import listed
from skymargin.storage import remote
from skymargin.storage.paths import AnyPath, is_empty_folder, list_files

# Files that a run keeps while it runs, files that are being written, and files that NFS keeps while a process has them
# open.
_OF_A_RUN = re.compile(
    r"(run|reducing|placing)\.json|copying|completed|(mapped|reduced)-\d{6}"
    r"|shard-\d{6}-[0-9a-f]{8}\.arrow"
    r"|.*\.[0-9a-f]{8}\.part|(.*/)?\.nfs[0-9a-f]+"
    rf"|{MARKS_ASIDE}/({'|'.join(map(re.escape, VALID_BY))})"
)


@dataclass(frozen=True)
class Existing:
    """What is at the place of an output.

    Attributes
    ----------
    description : str
        What it is, in words that follow "is".
    replaceable : bool
        Whether it is a margin catalog, or what an interrupted run of skymargin left, and holds nothing else.
    interrupted : bool
        Whether it was left by an interrupted run.
    """

    description: str
    replaceable: bool = False
    interrupted: bool = False


@dataclass(frozen=True)
class Listing:
    """What is at a path. On a store, all of it comes from one listing.

    Attributes
    ----------
    files : Mapping of str to int or None
        Every file below it, relative to it, with its size; without sizes on a disk. A link is one file.
    is_there : bool
        Whether there is anything but an empty folder.
    is_file : bool
        Whether it is a file.
    """

    files: Mapping[str, int | None]
    is_there: bool
    is_file: bool


def listing_of(path: AnyPath) -> Listing:
    """List what is at the path of an output.

    Raises
    ------
    StorageError
        When it cannot be listed.
    """
    if not isinstance(path, Path):
        return Listing(*remote.contents(path))
    if not path.exists() or is_empty_folder(path):
        return Listing({}, is_there=False, is_file=False)
    if path.is_file():
        return Listing({}, is_there=True, is_file=True)
    return Listing(dict.fromkeys(file_names(path)), is_there=True, is_file=False)


def inspect_existing(
    path: AnyPath, *, copy_has_begun: bool = False, there: Listing | None = None
) -> Existing:
    """Find out what is at the path of an output.

    Parameters
    ----------
    path
        The path, which exists.
    copy_has_begun
        Whether a record says that a run of skymargin began to copy a margin catalog to the path.
    there
        What `listing_of` has just returned for it.

    Raises
    ------
    StorageError
        When the folder cannot be listed.
    """
    if there is None:
        there = listing_of(path)
    if there.is_file:
        return Existing("a file")
    names = sorted(there.files)
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
    suffix = SUFFIX
    for mark in marks:
        try:
            kind_key, properties = _kind_and_properties(path / mark)
        except CatalogError as error:
            return Existing(f"a folder that is no margin: {error}")
        kind = properties.get(kind_key)
        if kind in ("object", "source"):
            return Existing(f"a primary catalog ({kind_key}={kind})")
        if kind != "margin":
            return Existing(f"a catalog that is no margin: {mark} has {kind_key}={kind or 'nothing'}")
        suffix = partition_suffix(properties)
    foreign = foreign_files(names, suffix)
    if foreign:
        return Existing(f"a margin catalog that also holds {listed(foreign)}")
    return Existing("a margin catalog", replaceable=True)


def file_names(folder: AnyPath) -> list[str]:
    """Every file below a folder, relative to it; a link is one file, because its target lies elsewhere.

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


def foreign_to_run(names: list[str]) -> list[str]:
    """The files that no run of skymargin writes into its own folders, which hold shards, records and a margin."""
    return foreign_files([name for name in names if not _OF_A_RUN.fullmatch(name)])


def _kind_and_properties(file: AnyPath) -> tuple[str, dict[str, str]]:
    """The key of the catalog's type, and the properties in a file."""
    if file.name != HIPSCAT_INFO:
        return "dataproduct_type", read_properties(file)
    return "catalog_type", {"catalog_type": str(read_json(file).get("catalog_type") or "")}
