"""The files of partitions that lie elsewhere than the format has them: what is there, and what is missing."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from skymargin.catalogs.layout import SUFFIX, Pixel, is_data_file
from skymargin.errors import CatalogError, MissingPartitionError
from skymargin.storage.path_status import PathStatus, files_in_folders, path_statuses
from skymargin.storage.paths import AnyPath, absolute, can_list


@dataclass(frozen=True)
class LeafFiles:
    """The files of the partitions of a catalog.

    Attributes
    ----------
    root : Path or UPath
        The folder that their names are relative to.
    files : list of tuple of str
        The files of each partition.
    statuses : dict of str to PathStatus
        What each of them is.
    """

    root: AnyPath
    files: list[tuple[str, ...]]
    statuses: dict[str, PathStatus]


def named_files(
    data: AnyPath, files: Sequence[tuple[str, ...]], partitions: Sequence[Pixel], listed_in: AnyPath, by: str
) -> LeafFiles:
    """The files of partitions under names that a file of the catalog gives, relative to the folder of the data.

    `by` says which file that is. Raises as `files_at`.
    """
    root = absolute(data)
    if not isinstance(root, Path):
        # A store has no `..`: the root is the highest folder that a name goes up to.
        plain = [posixpath.normpath(name) for names in files for name in names]
        inside = ""
        for _ in range(max((name.split("/").count("..") for name in plain), default=0)):
            root, inside = root.parent, f"{root.name}/{inside}"
        files = [tuple(posixpath.normpath(inside + name) for name in names) for names in files]
    return files_at(root, files, partitions, listed_in, by)


def files_at(
    root: AnyPath, given: Sequence[tuple[str, ...]], partitions: Sequence[Pixel], listed_in: AnyPath, by: str
) -> LeafFiles:
    """The files of partitions at some names; for a folder the Parquet files in it.

    Parameters
    ----------
    root
        The folder that the names are relative to.
    given
        The names of each partition.
    partitions
        Order and pixel of each partition.
    listed_in
        What lists the partitions.
    by
        What gives the names, for messages.

    Raises
    ------
    MissingPartitionError
        When a file is not there.
    CatalogError
        When a name is that of a folder on a server that cannot list it.
    """
    asked = [name for names in given for name in names]
    statuses = path_statuses(root, [name for name in asked if not name.endswith("/")])
    folders = [
        name for name in asked if name.endswith("/") or (name in statuses and statuses[name].is_folder)
    ]
    if folders and not can_list(root):
        raise CatalogError(
            f"{root / folders[0]} is a folder, by {by}, and over HTTP the files in it cannot be listed; copy the "
            "catalog to a disk or an object store"
        )
    inside: dict[str, tuple[str, ...]] = {}
    for folder, entries in files_in_folders(root, folders).items():
        held = sorted(entry for entry in entries if is_data_file(entry, SUFFIX))
        inside[folder] = tuple(f"{folder.rstrip('/')}/{entry}" for entry in held)
        statuses |= {f"{folder.rstrip('/')}/{entry}": entries[entry] for entry in held}
    files = [tuple(file for name in names for file in inside.get(name, (name,))) for names in given]
    for (order, pixel), names, found in zip(partitions, given, files, strict=True):
        missing = next((name for name in found if name not in statuses), None if found else names[0])
        if missing is not None:
            what = "Parquet file in this folder" if names[0] in inside else "such file"
            raise MissingPartitionError(
                f"{root / missing}: there is no {what}. It is that of order {order}, pixel {pixel} by {by}; "
                f"{listed_in} lists this partition"
            )
    return LeafFiles(root, files, statuses)
