"""HATS collections: which one a catalog is in, and a margin more in what it says of itself.

The file is edited, not written anew: what else it has, comments too, stays as it is.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from skymargin.catalogs.properties import edited, parse_properties, read_properties
from skymargin.errors import ArgumentError, CatalogError, StorageError
from skymargin.storage.paths import (
    AnyPath,
    absolute,
    atomic_write,
    can_list,
    exists,
    read_text,
    resolve_reference,
    translate_errors,
)

if TYPE_CHECKING:
    from upath import UPath

_FILE = "collection.properties"
_CATALOG_FILES = ("hats.properties", "properties")
# What the `hats` library takes for the ends of a name in a list.
_DELIMITERS = re.compile(r"[; ,\n]")
# Two runs that add to a collection on an object store at the same moment are told apart by reading again.
_TRIES = 5


def collection_of(catalog: AnyPath) -> AnyPath:
    """The folder of the collection that a path is, or that a catalog lies in as its primary catalog.

    Raises
    ------
    ArgumentError
        When there is none, or it is of another catalog, or nothing can be written there.
    """
    catalog = absolute(catalog)
    if not can_list(catalog):
        raise ArgumentError(f"add_to_collection=True: nothing can be written to {catalog}")
    if exists(catalog / _FILE) and not any(exists(catalog / name) for name in _CATALOG_FILES):
        return catalog
    for folder in catalog.parents:
        if not exists(folder / _FILE):
            continue
        inside = read_properties(folder / _FILE).get("hats_primary_table_url", "")
        if inside and _same(resolve_reference(folder, inside), catalog):
            return folder
        raise ArgumentError(
            f"add_to_collection=True: {catalog} lies in the collection {folder}, but is not its primary catalog, "
            f"which is {inside or 'not named'}"
        )
    raise ArgumentError(
        f"add_to_collection=True: {catalog} is no collection and lies in none: there is no {_FILE} in it or above it"
    )


def margin_entry(collection: AnyPath, margin: AnyPath) -> str:
    """How a collection names a margin: relative to its folder, or by the whole path when it is elsewhere.

    Raises
    ------
    ArgumentError
        When the name would be more than one in the list of margins.
    """
    if isinstance(collection, Path) and isinstance(margin, Path):
        # Links in the path are no reason to call it elsewhere.
        inner, outer = margin.resolve(), collection.resolve()
        entry = inner.relative_to(outer).as_posix() if outer in inner.parents else str(inner)
    else:
        base = f"{str(collection).rstrip('/')}/"
        text = str(margin.resolve()) if isinstance(margin, Path) else str(margin)
        entry = text.removeprefix(base)
    if _DELIMITERS.search(entry):
        raise ArgumentError(
            f"add_to_collection=True: the margin would be {entry!r} in {collection / _FILE}, where names are "
            "separated by blanks, commas and semicolons: it may have none of these"
        )
    return entry


def add_margin(collection: AnyPath, margin: AnyPath, *, default: bool) -> None:
    """Name a margin in the properties of a collection; all else they have stays.

    Parameters
    ----------
    collection
        Folder of the collection.
    margin
        The margin catalog, in its place.
    default
        Whether to make it the default margin.

    Raises
    ------
    StorageError
        When the properties cannot be written. The margin is there all the same.
    """
    entry = margin_entry(collection, margin)

    def change(text: str) -> str:
        known = [name for name in _DELIMITERS.split(parse_properties(text).get("all_margins", "")) if name]
        if entry not in known:
            text = edited(text, "all_margins", " ".join([*known, entry]))
        return edited(text, "default_margin", entry) if default else text

    file = collection / _FILE
    try:
        if isinstance(file, Path):
            _change_local(file, change)
        else:
            _change_remote(file, change)
    except (OSError, UnicodeDecodeError, CatalogError) as error:
        raise StorageError(f"the margin is at {margin}, but {file} does not name it: {error}") from error


def _change_local(file: Path, change: Callable[[str], str]) -> None:
    with _alone_in(file.parent):
        before = read_text(file)
        after = change(before)
        if after != before:
            with atomic_write(file) as aside:
                aside.write_bytes(after.encode())
                shutil.copymode(file, aside)


def _change_remote(file: UPath, change: Callable[[str], str]) -> None:
    """Change a file that cannot be locked: who finds their change lost makes it again."""
    for _ in range(_TRIES):
        before = read_text(file)
        after = change(before)
        if after == before:
            return
        with translate_errors(file):
            file.write_text(after, encoding="utf-8")
            file.fs.invalidate_cache()
    if change(text := read_text(file)) != text:
        raise StorageError("others change it at the same time")


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Keep other processes of ours, and threads, out of a folder's properties; waits for them."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with suppress(ImportError, OSError):
            # The folder itself is locked: nothing is left behind, also not by a run that was killed. Some network
            # file systems cannot; there, two runs that end in the same millisecond may lose an entry.
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _same(one: AnyPath, other: AnyPath) -> bool:
    if isinstance(one, Path) and isinstance(other, Path):
        return one.resolve() == other.resolve()
    return type(one) is type(other) and str(one).rstrip("/") == str(other).rstrip("/")
