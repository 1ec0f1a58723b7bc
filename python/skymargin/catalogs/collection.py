"""HATS collections: find the collection of a catalog, make one, and add a margin to its properties.

The file is edited in place: other entries, their order and comments stay as they are.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skymargin.catalogs.layout import COLLECTION, HATS_PROPERTIES, VALID_BY
from skymargin.catalogs.properties import (
    BUILDER,
    BUILDER_NAME,
    edit_properties,
    parse_properties,
    properties_text,
    read_hats_properties,
    read_properties,
)
from skymargin.catalogs.shared_file import change_file
from skymargin.errors import ArgumentError, CatalogError, StorageError
from skymargin.storage.paths import (
    AnyPath,
    absolute,
    as_path,
    can_list,
    exists,
    is_among,
    make_folder,
    names_in,
    resolve_reference,
    with_options,
)
from skymargin.storage.storage_options import check_storage_options

if TYPE_CHECKING:
    from upath import UPath

# The delimiters of names in a list, as the `hats` library reads it.
_DELIMITERS = re.compile(r"[; ,\n]")


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
    names = names_in(catalog) or frozenset()
    if COLLECTION in names and names.isdisjoint(HATS_PROPERTIES):
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


def collection_primary(collection: AnyPath) -> tuple[AnyPath, frozenset[str] | None]:
    """The primary catalog that a collection names, and what `names_in` returns for it.

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
        names = names_in(primary)
        is_catalog = any(is_among(name, primary, names) for name in HATS_PROPERTIES)
    except (OSError, ValueError, ImportError) as error:
        raise CatalogError(
            f"{file} names {name!r:.200} as its primary catalog, which cannot be opened: {error!s:.200}"
        ) from error
    if not is_catalog:
        raise CatalogError(f"{file} names the primary catalog {primary}, which is not a catalog")
    return primary, names


def margin_entry(collection: AnyPath, margin: AnyPath) -> str:
    """The path of a margin in the properties of a collection: relative to the collection, or absolute when outside it.

    Raises
    ------
    ArgumentError
        When the path has characters that separate the names in the list of margins.
    """
    # A link in the path does not put the margin outside the collection.
    entry = catalog_entry(collection, margin)
    if _DELIMITERS.search(entry):
        raise ArgumentError(
            f"the margin path {entry!r} is not allowed in a collection: margin paths in {collection / COLLECTION} must "
            "not contain spaces, commas or semicolons"
        )
    return entry


def create_collection(
    folder: str | os.PathLike[str] | UPath,
    catalog: str | os.PathLike[str] | UPath,
    storage_options: Mapping[str, Any] | None = None,
) -> AnyPath:
    """Make a collection of a catalog, to which margins can be added.

    The catalog stays where it is: in the folder, elsewhere on this machine, on an object store or a web server. A
    collection of a catalog that lies elsewhere is an *overlay*: it is opened as any collection, by its own folder. Only
    the file ``collection.properties`` is written; a collection of the same catalog that exists already stays as it is.

    Parameters
    ----------
    folder
        Folder or URL of the collection; created if missing.
    catalog
        A HATS catalog, or a collection, whose primary catalog is used.
    storage_options
        Options of the catalog's file system, as fsspec takes them. They are not kept: whoever opens the collection
        gives them again.

    Returns
    -------
    Path or UPath
        The folder.

    Raises
    ------
    ArgumentError
        When an argument is not allowed, the folder is a catalog, or a collection of another catalog, or there is no
        HATS catalog.
    StorageError
        When the file cannot be written.
    """
    check_storage_options("storage_options", storage_options)
    collection = absolute(as_path(folder, "folder"))
    given = absolute(with_options(catalog, storage_options, "catalog"))
    initial = _new_properties(collection, given)
    _check_kind(collection_catalog(collection, given))
    make_folder(collection, exist_ok=True)
    change_file(collection / COLLECTION, lambda text: text, initial)
    return collection


def _check_kind(primary: AnyPath) -> None:
    """Refuse a margin, or another catalog without rows of its own, as the primary catalog of a collection."""
    file = next(primary / name for name in HATS_PROPERTIES if exists(primary / name))
    kind = read_hats_properties(file).get("dataproduct_type", "object")
    if kind not in ("object", "source"):
        raise ArgumentError(
            f"catalog {primary} is of type {kind}: a collection is made around one of type object or source"
        )


def collection_catalog(collection: AnyPath, catalog: AnyPath) -> AnyPath:
    """The primary catalog of a collection that is there, or can be made of a catalog.

    Parameters
    ----------
    collection
        Folder of the collection, which need not exist.
    catalog
        The catalog, or a collection of it.

    Raises
    ------
    ArgumentError
        When the folder is a catalog, or a collection of another catalog, or there is no HATS catalog.
    """
    if not can_list(collection):
        raise ArgumentError(f"collection {collection} is not allowed: no files can be written over HTTP")
    if isinstance(collection, Path) and collection.exists() and not collection.is_dir():
        raise ArgumentError(f"collection {collection} is a file, not a folder")
    if any(exists(collection / name) for name in VALID_BY):
        raise ArgumentError(
            f"collection {collection} is a catalog; give the folder that it lies in, or a new one"
        )
    primary = catalog
    if not any(exists(catalog / name) for name in HATS_PROPERTIES):
        if can_list(catalog) and not exists(catalog):
            raise ArgumentError(f"collection {collection}: there is nothing at its catalog {catalog}")
        if not exists(catalog / COLLECTION):
            raise ArgumentError(
                f"collection {collection}: its catalog {catalog} must be a HATS catalog or collection, and has none of "
                f"{', '.join((*HATS_PROPERTIES, COLLECTION))}"
            )
        primary, _ = collection_primary(catalog)
    file = collection / COLLECTION
    if exists(file):
        named = read_properties(file).get("hats_primary_table_url", "")
        if not named or not _is_same(resolve_reference(collection, named), primary):
            raise ArgumentError(
                f"collection {collection} has the primary catalog {named or '(none)'}, not {primary}; a collection is "
                "of one catalog"
            )
    return primary


def add_margin(
    collection: AnyPath, margin: AnyPath, *, default: bool, catalog: AnyPath | None = None
) -> None:
    """Add a margin to the properties of a collection.

    Parameters
    ----------
    collection
        Folder of the collection.
    margin
        The margin catalog, already published.
    default
        Whether to make it the default margin.
    catalog
        The catalog of which a collection is made when there is none. Its first margin becomes the default.

    Raises
    ------
    StorageError
        When the properties cannot be written. The margin stays where it is.
    """
    entry = margin_entry(collection, margin)

    def change(text: str) -> str:
        known = listed_margins(text)
        if entry not in known:
            text = edit_properties(text, "all_margins", " ".join([*known, entry]))
        is_first = not known and parse_properties(text).get("hats_builder", "").startswith(BUILDER_NAME)
        return edit_properties(text, "default_margin", entry) if default or is_first else text

    file = collection / COLLECTION
    try:
        initial = None
        if catalog is not None:
            initial = _new_properties(collection, absolute(catalog))
            make_folder(collection, exist_ok=True)
        change_file(file, change, initial)
    except (OSError, ValueError) as error:
        raise StorageError(f"the margin is at {margin}, but {file} does not name it: {error}") from error


def listed_margins(text: str) -> list[str]:
    """The margins that the text of a collection's properties names."""
    return listed_names(parse_properties(text), "all_margins")


def listed_names(properties: Mapping[str, str], key: str) -> list[str]:
    """The names in a list of a collection's properties, such as `all_margins` or `all_indexes`."""
    return [name for name in _DELIMITERS.split(properties.get(key, "")) if name]


def is_own_collection(collection: AnyPath) -> bool:
    """Whether a collection was made by skymargin: where its catalog lies is what somebody asked for."""
    return read_properties(collection / COLLECTION).get("hats_builder", "").startswith(BUILDER_NAME)


def catalog_entry(collection: AnyPath, catalog: AnyPath) -> str:
    """The path of a catalog in the properties of a collection: relative to the collection, or absolute outside it."""
    if isinstance(catalog, Path):
        inner = catalog.resolve()
        if isinstance(collection, Path) and (outer := collection.resolve()) in inner.parents:
            return inner.relative_to(outer).as_posix()
        return str(inner)
    return str(catalog).rstrip("/").removeprefix(f"{str(collection).rstrip('/')}/")


def _new_properties(collection: AnyPath, catalog: AnyPath) -> str:
    """The properties of a collection of a catalog, without a margin."""
    properties = {
        "obs_collection": collection.name,
        "hats_primary_table_url": catalog_entry(collection, collection_catalog(collection, catalog)),
        "hats_builder": BUILDER,
        "hats_creation_date": datetime.now(tz=UTC).strftime("%Y-%m-%dT%H:%MUTC"),
    }
    return properties_text(properties, comment="HATS Collection")


def _is_same(path: AnyPath, other: AnyPath) -> bool:
    if isinstance(path, Path) and isinstance(other, Path):
        return path.resolve() == other.resolve()
    return type(path) is type(other) and str(path).rstrip("/") == str(other).rstrip("/")
