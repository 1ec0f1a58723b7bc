"""Preflight: what disks and servers say about the places that arguments name.

Arguments are checked when they are made, and a path when it is assigned; a run checks again when it holds its locks.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from skymargin.build.run_paths import RunPaths
from skymargin.catalogs.collection import collection_catalog, collection_of, margin_entry
from skymargin.catalogs.ownership import Listing, inspect_existing, listing_of
from skymargin.catalogs.suggestions import enclosing_catalog, no_catalog
from skymargin.errors import ArgumentError, CatalogNotFoundError, OutputExistsError
from skymargin.storage.paths import AnyPath, absolute, can_list, exists, is_empty_folder, is_local

# The arguments that the collection of a margin depends on.
_OF_COLLECTION = (
    "input_catalog_path",
    "output_path",
    "output_artifact_name",
    "add_to_collection",
    "collection",
)


@dataclass(frozen=True)
class Target:
    """Where a margin catalog is made from, where it goes, and what it may replace there.

    Attributes
    ----------
    primary : Path or UPath
        The input catalog or collection.
    folder : Path or UPath
        Folder in which the margin catalog is made.
    catalog : Path or UPath
        The margin catalog, as the arguments name it; for messages and reports.
    paths : RunPaths
        The margin catalog, as it is read and written, and the folders of its runs.
    add_to_collection : bool
        Whether it is added to the collection of the input.
    collection : Path or UPath, or None
        The collection that it is added to, which may have to be made.
    resume : bool
        Whether an interrupted run is resumed.
    replace_margin : bool
        Whether a margin catalog may be replaced.
    replace_interrupted : bool
        Whether what an interrupted run left may be replaced.
    """

    primary: AnyPath
    folder: AnyPath
    catalog: AnyPath
    paths: RunPaths
    add_to_collection: bool
    collection: AnyPath | None
    resume: bool
    replace_margin: bool
    replace_interrupted: bool


def check(target: Target) -> None:
    """Check that the input exists, that the collection accepts the margin, and that the output is free.

    Raises
    ------
    CatalogNotFoundError
        When there is nothing at the input.
    ArgumentError
        When the collection does not accept the margin, or the output folder is a file.
    OutputExistsError
        When there is something at the output that may not be replaced.
    StorageError
        When a server cannot be asked.
    """
    check_input(target.primary)
    find_collection(target)
    _check_output(target)


def check_assigned(target: Target, name: str) -> None:
    """Check the places that an assigned argument names, if they are local; a run asks servers when it starts.

    Raises
    ------
    SkymarginError
        As `check`.
    """
    if is_local(target.primary):
        if name == "input_catalog_path":
            check_input(target.primary)
        if name in _OF_COLLECTION:
            find_collection(target)
    if name in ("output_path", "output_artifact_name") and is_local(target.catalog):
        _check_output(target)


def default_folder(primary: AnyPath) -> AnyPath:
    """Where a margin goes when no output path is given: the folder of the collection that the input is, or lies in.

    Raises
    ------
    ArgumentError
        When there is no collection.
    """
    return collection_of(primary)


def find_collection(target: Target) -> AnyPath | None:
    """The folder of the collection that the margin is added to, which may not exist yet; None for none.

    Raises
    ------
    ArgumentError
        When there is none, it is of another catalog, or it cannot name the margin.
    """
    if target.collection is not None:
        collection = absolute(target.collection)
        collection_catalog(collection, absolute(target.primary))
    elif target.add_to_collection:
        collection = collection_of(target.primary)
    else:
        return None
    margin_entry(collection, target.paths.final)
    return collection


def check_apart(primary: AnyPath, margin: AnyPath, *, inside: bool = False) -> None:
    """Check that the margin does not replace its catalog, nor a folder around it, nor a folder in it.

    With `inside`, it may lie in the folder of a collection that was given as the input.

    Raises
    ------
    OutputExistsError
        When they overlap.
    """
    if type(primary) is not type(margin):
        return
    inner, outer = primary.resolve(), margin.resolve()
    if inner == outer or outer in inner.parents or (inner in outer.parents and not inside):
        raise OutputExistsError(
            f"the output {margin} and the input catalog {primary} overlap; the margin needs a folder of its own"
        )


def check_free(target: Target, *, is_own: bool = False, there: Listing | None = None) -> None:
    """Check that there is nothing at the output, or only what may be replaced.

    With `is_own`, what is there is the work of the run that is resumed, which needs no `overwrite`. `there` is what has
    just been listed at the output.

    Raises
    ------
    OutputExistsError
        When there is something that may not be replaced.
    """
    catalog, final = target.catalog, target.paths.final
    if there is None:
        there = listing_of(final)
    if not there.is_there:
        return
    check_apart(target.primary, final, inside=True)
    has_begun = is_begun_copy(target.paths, there)
    existing = inspect_existing(final, copy_has_begun=has_begun, there=there)
    if not existing.replaceable:
        raise OutputExistsError(
            f"{catalog} exists already and is {existing.description}. overwrite=True replaces a margin catalog and "
            "nothing else: move it away, or choose another name for the margin"
        )
    # Where a run began with nothing, all files below its mark are its own.
    is_left = has_begun and target.paths.was_in_place
    allowed = target.replace_interrupted or is_left if existing.interrupted else target.replace_margin
    if not (is_own or allowed):
        raise OutputExistsError(
            f"{catalog} exists already; overwrite=True replaces it"
            + (f" (it is {existing.description})" if existing.interrupted else "")
        )


def is_begun_copy(paths: RunPaths, there: Listing | None = None) -> bool:
    """Whether there are files at the output, all left by a run that ended before the margin catalog was complete.

    `there` is what has just been listed at the output. Of a run that wrote in place, its mark must be there; of others,
    no mark of another run.
    """
    copied_names = paths.copied_names
    if not copied_names:
        return False
    if there is None:
        there = listing_of(paths.final)
    if not there.files or not copied_names.issuperset(there.files):
        return False
    mark = paths.mark(paths.token)
    return mark.is_own(there.files) if paths.was_in_place else not mark.is_of_another(there.files)


def check_replaced(old: AnyPath) -> None:
    """Check that a folder named like a replaced margin catalog is one, before it is removed.

    Raises
    ------
    OutputExistsError
        When it is something else.
    """
    if not isinstance(old, Path) or not exists(old) or is_empty_folder(old):
        return
    existing = inspect_existing(old)
    if not existing.replaceable:
        raise OutputExistsError(
            f"{old} would be removed, as the margin catalog that an earlier run has replaced, but it is "
            f"{existing.description}: move it away"
        )


def check_input(primary: AnyPath) -> None:
    """Check that there is something at the input, and that it is not a folder inside a catalog.

    Raises
    ------
    CatalogNotFoundError
        When there is nothing, or a part of a catalog on this machine.
    """
    if can_list(primary) and not exists(primary):
        raise CatalogNotFoundError(f"input_catalog_path: there is nothing at {primary}")
    if is_local(primary) and enclosing_catalog(primary) is not None:
        raise no_catalog(primary, "input_catalog_path")


def _check_output(target: Target) -> None:
    folder = target.paths.final.parent
    # A store may have an object of the name of a folder.
    if isinstance(folder, Path) and folder.exists() and not folder.is_dir():
        raise ArgumentError(f"output_path {target.folder} is a file, not a folder")
    # A finished margin that an interrupted run did not publish yet is no obstacle: the same run resumes.
    if not (target.resume and target.paths.is_being_published):
        check_free(target)
