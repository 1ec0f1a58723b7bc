"""HATS collections: find the collection of a catalog, and add a margin to its properties.

The file is edited in place: other entries, their order and comments stay as they are.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from skymargin.catalogs.layout import COLLECTION, HATS_PROPERTIES
from skymargin.catalogs.properties import edit_properties, parse_properties, read_properties
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

# The delimiters of names in a list, as the `hats` library reads it.
_DELIMITERS = re.compile(r"[; ,\n]")
# Two runs can add to a collection on an object store at the same time: each reads the file again to see its own entry.
_TRIES = 5


def collection_of(catalog: AnyPath) -> AnyPath:
    """The collection at a path, or the collection whose primary catalog is at the path.

    Raises
    ------
    ArgumentError
        When there is no collection, it has another primary catalog, or it cannot be written to.
    """
    catalog = absolute(catalog)
    if not can_list(catalog):
        raise ArgumentError(f"add_to_collection=True: nothing can be written to {catalog}")
    if exists(catalog / COLLECTION) and not any(exists(catalog / name) for name in HATS_PROPERTIES):
        return catalog
    for folder in catalog.parents:
        if not exists(folder / COLLECTION):
            continue
        inside = read_properties(folder / COLLECTION).get("hats_primary_table_url", "")
        if inside and _is_same(resolve_reference(folder, inside), catalog):
            return folder
        raise ArgumentError(
            f"add_to_collection=True: {catalog} lies in the collection {folder}, but is not its primary catalog, "
            f"which is {inside or 'not named'}"
        )
    raise ArgumentError(
        f"add_to_collection=True: {catalog} is no collection and lies in none: there is no {COLLECTION} in it or above "
        "it"
    )


def collection_primary(collection: AnyPath) -> AnyPath:
    """The primary catalog that a collection names.

    Raises
    ------
    CatalogError
        When it names none, or there is no catalog.
    """
    file = collection / COLLECTION
    name = read_properties(file).get("hats_primary_table_url")
    if not name:
        raise CatalogError(f"{file} has no hats_primary_table_url: it does not name its primary catalog")
    try:
        primary = resolve_reference(collection, name)
        is_catalog = any(exists(primary / name) for name in HATS_PROPERTIES)
    except (OSError, ValueError, ImportError) as error:
        raise CatalogError(
            f"{file} names {name!r:.200} as its primary catalog, which cannot be opened: {error!s:.200}"
        ) from error
    if not is_catalog:
        raise CatalogError(f"{file} names the primary catalog {primary}, which is not a catalog")
    return primary


def margin_entry(collection: AnyPath, margin: AnyPath) -> str:
    """The path of a margin in the properties of a collection: relative to the collection, or absolute when outside it.

    Raises
    ------
    ArgumentError
        When the path has characters that separate the names in the list of margins.
    """
    if isinstance(collection, Path) and isinstance(margin, Path):
        # A link in the path does not put the margin outside the collection.
        inner, outer = margin.resolve(), collection.resolve()
        entry = inner.relative_to(outer).as_posix() if outer in inner.parents else str(inner)
    else:
        base = f"{str(collection).rstrip('/')}/"
        text = str(margin.resolve()) if isinstance(margin, Path) else str(margin)
        entry = text.removeprefix(base)
    if _DELIMITERS.search(entry):
        raise ArgumentError(
            f"add_to_collection=True: the margin path {entry!r} is not allowed: margin paths in "
            f"{collection / COLLECTION} must not contain spaces, commas or semicolons"
        )
    return entry


def add_margin(collection: AnyPath, margin: AnyPath, *, default: bool) -> None:
    """Add a margin to the properties of a collection.

    Parameters
    ----------
    collection
        Folder of the collection.
    margin
        The margin catalog, already published.
    default
        Whether to make it the default margin.

    Raises
    ------
    StorageError
        When the properties cannot be written. The margin stays where it is.
    """
    entry = margin_entry(collection, margin)

    def change(text: str) -> str:
        known = [name for name in _DELIMITERS.split(parse_properties(text).get("all_margins", "")) if name]
        if entry not in known:
            text = edit_properties(text, "all_margins", " ".join([*known, entry]))
        return edit_properties(text, "default_margin", entry) if default else text

    file = collection / COLLECTION
    try:
        if isinstance(file, Path):
            _change_local(file, change)
        else:
            _change_remote(file, change)
    except (OSError, ValueError) as error:
        raise StorageError(f"the margin is at {margin}, but {file} does not name it: {error}") from error


def _change_local(file: Path, change: Callable[[str], str]) -> None:
    with _locked(file.parent):
        before = read_text(file)
        after = change(before)
        if after != before:
            with atomic_write(file) as aside:
                aside.write_bytes(after.encode())
                shutil.copymode(file, aside)


def _change_remote(file: UPath, change: Callable[[str], str]) -> None:
    """Change a file that cannot be locked, and repeat the change when another writer has overwritten it."""
    for _ in range(_TRIES):
        before = read_text(file)
        after = change(before)
        if after == before:
            return
        with translate_errors(file):
            file.write_text(after, encoding="utf-8")
            file.fs.invalidate_cache()
    if change(text := read_text(file)) != text:
        raise StorageError("other processes change it at the same time")


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Wait for other processes and threads of skymargin that change a folder's properties, and keep them out."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with suppress(ImportError, OSError):
            # The lock is on the folder, so that no file is left behind, even by a killed run. Some network file
            # systems have no locks; there, two runs that end in the same millisecond can lose an entry.
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _is_same(path: AnyPath, other: AnyPath) -> bool:
    if isinstance(path, Path) and isinstance(other, Path):
        return path.resolve() == other.resolve()
    return type(path) is type(other) and str(path).rstrip("/") == str(other).rstrip("/")
