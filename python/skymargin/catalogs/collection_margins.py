"""The margins of a collection: what they are, which is the default, and removing one."""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from skymargin.catalogs.collection import listed_margins
from skymargin.catalogs.layout import COLLECTION, HATS_PROPERTIES, RECORD
from skymargin.catalogs.ownership import inspect_existing
from skymargin.catalogs.properties import edit_properties, parse_properties, read_properties
from skymargin.catalogs.shared_file import change_file
from skymargin.errors import ArgumentError, CatalogNotFoundError
from skymargin.formatting import arcsec_text, counted, wrapped
from skymargin.shown import Shown, Table
from skymargin.storage.paths import (
    AnyPath,
    absolute,
    as_path,
    can_list,
    exists,
    read_text,
    remove_folder,
    resolve_reference,
)

if TYPE_CHECKING:
    from upath import UPath

    Location = str | os.PathLike[str] | UPath

_HEAD = 10


@dataclass(frozen=True)
class CollectionMargin:
    """A margin of a collection.

    Attributes
    ----------
    name : str
        The margin as the collection names it: a path relative to the collection, or an absolute path or URL.
    margin_threshold_arcsec : float or None
        Its threshold; None when it cannot be read.
    rows : int or None
        Its rows; None when they are not stated.
    default : bool
        Whether it is the default margin.
    problem : str
        Why it cannot be used; empty when it can.
    """

    name: str
    margin_threshold_arcsec: float | None = None
    rows: int | None = None
    default: bool = False
    problem: str = ""


@dataclass(frozen=True)
class CollectionInfo(Shown):
    """A collection and its margins.

    Attributes
    ----------
    path : str
        Its folder.
    name : str
        Its name.
    primary : str
        Its primary catalog, as the collection names it.
    margins : list of CollectionMargin
        Its margins, as they are listed.
    """

    path: str
    name: str
    primary: str
    margins: list[CollectionMargin]

    def summary(self) -> str:
        """A table for people."""
        return "\n".join(
            line for head, text in self._lines() for line in wrapped(text, f"{head:<{_HEAD}} ", _HEAD + 1)
        )

    def _table(self) -> Table:
        return Table(self.name, self._lines())

    def _lines(self) -> list[tuple[str, str]]:
        lines = [("collection", self.path), ("primary", self.primary)]
        for margin in self.margins:
            parts = [margin.problem] if margin.problem else []
            if margin.margin_threshold_arcsec is not None:
                parts.append(arcsec_text(margin.margin_threshold_arcsec))
            if margin.rows is not None:
                parts.append(counted(margin.rows, "row"))
            mark = " (default)" if margin.default else ""
            lines.append(("margin", f"{margin.name}{mark}: {', '.join(parts)}"))
        if not self.margins:
            lines.append(("margins", "none"))
        return lines

    def to_dict(self) -> dict[str, Any]:
        """The same as plain values, for JSON."""
        return dataclasses.asdict(self)


def inspect_collection(collection: Location) -> CollectionInfo:
    """List the margins of a collection.

    Parameters
    ----------
    collection
        Folder or URL of a HATS collection, made by any tool.

    Returns
    -------
    CollectionInfo
        The collection, and its margins by their properties; no row is read.

    Raises
    ------
    CatalogNotFoundError
        When there is no collection.
    CatalogError
        When its properties cannot be read.
    """
    folder = _folder(collection)
    properties = read_properties(folder / COLLECTION)
    default = properties.get("default_margin")
    return CollectionInfo(
        path=str(folder),
        name=properties.get("obs_collection", folder.name),
        primary=properties.get("hats_primary_table_url", ""),
        margins=[
            _margin(folder, name, name == default) for name in listed_margins(read_text(folder / COLLECTION))
        ],
    )


def set_default_margin(collection: Location, name: str) -> None:
    """Make a margin the default of its collection, which LSDB uses when it opens the collection.

    Parameters
    ----------
    collection
        Folder or URL of the collection.
    name
        The margin as the collection names it, or the last part of that.

    Raises
    ------
    ArgumentError
        When the collection has no such margin.
    CatalogNotFoundError
        When there is no collection.
    StorageError
        When its properties cannot be written.
    """
    folder = _folder(collection)
    change_file(
        folder / COLLECTION, lambda text: edit_properties(text, "default_margin", _listed(folder, text, name))
    )


def remove_margin(collection: Location, name: str, *, keep_files: bool = False) -> None:
    """Take a margin off the list of its collection, and remove its files.

    Only a margin catalog that skymargin has made is removed, and only when it holds nothing else.

    Parameters
    ----------
    collection
        Folder or URL of the collection. When the margin is the default, the collection has none afterwards.
    name
        The margin as the collection names it, or the last part of that.
    keep_files
        Leave the files where they are, whatever they are.

    Raises
    ------
    ArgumentError
        When the collection has no such margin, or its files are not those of a margin of skymargin. Nothing is changed
        then.
    CatalogNotFoundError
        When there is no collection.
    StorageError
        When the files or the properties cannot be changed.
    """
    folder = _folder(collection)
    entry = _listed(folder, read_text(folder / COLLECTION), name)
    margin = resolve_reference(folder, entry)
    has_files = not keep_files and _may_be_removed(margin, entry)

    def change(text: str) -> str:
        others = [other for other in listed_margins(text) if other != entry]
        text = edit_properties(text, "all_margins", " ".join(others) or None)
        is_default = parse_properties(text).get("default_margin") == entry
        return edit_properties(text, "default_margin", None) if is_default else text

    # First, so that no reader looks for files that are gone.
    change_file(folder / COLLECTION, change)
    if has_files:
        remove_folder(margin)


def _folder(collection: Location) -> AnyPath:
    folder = absolute(as_path(collection, "collection"))
    if not exists(folder / COLLECTION):
        if can_list(folder) and not exists(folder):
            raise CatalogNotFoundError(f"there is nothing at {folder}")
        raise CatalogNotFoundError(f"{folder} is not a collection: it has no {COLLECTION}")
    return folder


def _listed(folder: AnyPath, text: str, name: str) -> str:
    """The entry of a margin that is given by it, or by its last part."""
    entries = listed_margins(text)
    if name in entries:
        return name
    ends = [entry for entry in entries if entry.rstrip("/").rpartition("/")[2] == name]
    if len(ends) == 1:
        return ends[0]
    reason = f"more than one of that name: {', '.join(ends)}" if ends else f"no margin {name!r}"
    known = f"its margins are {', '.join(entries)}" if entries else "it has no margins"
    raise ArgumentError(f"the collection {folder} has {reason}; {known}")


def _may_be_removed(margin: AnyPath, entry: str) -> bool:
    """Whether there are files, all of a margin of skymargin."""
    if can_list(margin) and not exists(margin):
        return False
    reason = "lies on a server that files cannot be removed from"
    if can_list(margin):
        existing = inspect_existing(margin)
        if existing.replaceable and exists(margin / RECORD):
            return True
        reason = f"is {existing.description}" + (
            ", which skymargin did not make" if existing.replaceable else ""
        )
    raise ArgumentError(
        f"margin {entry}: {margin} {reason}; its files are not removed. keep_files=True takes it off the list only"
    )


def _margin(folder: AnyPath, name: str, is_default: bool) -> CollectionMargin:
    """A margin by its properties."""
    try:
        path = resolve_reference(folder, name)
        file = next((path / each for each in HATS_PROPERTIES if exists(path / each)), None)
        if file is None:
            return CollectionMargin(name, default=is_default, problem="is not there")
        properties = read_properties(file)
        threshold_arcsec = float(properties.get("hats_margin_threshold", ""))
    except (OSError, ValueError, ImportError) as error:
        problem = "has no threshold" if type(error) is ValueError else f"cannot be read: {error!s:.200}"
        return CollectionMargin(name, default=is_default, problem=problem)
    rows = properties.get("hats_nrows", "")
    return CollectionMargin(name, threshold_arcsec, int(rows) if rows.isdecimal() else None, is_default)
