"""Output on file systems that cannot rename a folder: what makes it a catalog comes last and goes first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from skymargin.errors import StorageError
from skymargin.storage.remote import list_files, translate_errors

if TYPE_CHECKING:
    from upath import UPath

# Without these a reader takes no folder for a catalog: hats.properties, collection.properties, that of HiPSCat.
_MARKS = ("properties", "catalog_info.json")
# These have no folders to make: a file brings its folder along. Making one may even make a bucket.
_WITHOUT_FOLDERS = frozenset({"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl", "memory"})


def make_parent(file: UPath) -> None:
    """Make the folder of a file, where folders are made."""
    if file.protocol not in _WITHOUT_FOLDERS:
        with translate_errors(file):
            file.fs.makedirs(file.parent.path, exist_ok=True)


def remove(folder: UPath) -> None:
    """Remove a folder and everything in it, its marks first; no error when it is not there.

    Raises
    ------
    StorageError
        When it does not go. With its marks all the rest stays.
    """
    names = list(list_files(folder))
    with translate_errors(folder):
        _remove_files(folder, [name for name in names if _is_mark(name)])
        _remove_files(folder, [name for name in names if not _is_mark(name)])
        folder.fs.invalidate_cache()
        # What is left of it where folders are kept.
        if folder.fs.exists(folder.path):
            folder.fs.rm(folder.path, recursive=True)
        folder.fs.invalidate_cache()


def replace(whole: UPath, final: UPath, *, marker: str = "") -> None:
    """Put a whole folder in the place of another, file by file within the file system.

    From the removal of the old one's marks to the copy of the new one's there is no catalog at `final`; there never is
    a mixture of both.

    Parameters
    ----------
    whole, final
        The new folder, and its place.
    marker
        A file of the new one by which its maker is known. It is at `final` whenever other files but no marks are, so
        that what is left of a copy that was cut off can be told from the files of others.

    Raises
    ------
    StorageError
        When it does not come to its end. What is whole stays then, and the message says where.
    """
    rescue = f"the new catalog is whole at {whole} and stays there, but it could not replace {final}"
    try:
        sizes = list_files(whole)
        names = _marks_last(list(sizes))
        first = [name for name in names if name == marker]
        with translate_errors(final):
            if first:
                old = list(list_files(final))
                _remove_files(final, [name for name in old if _is_mark(name)])
                _copy(whole, final, first)
                _remove_files(final, [name for name in old if not _is_mark(name) and name != marker])
            else:
                remove(final)
            _copy(whole, final, [name for name in names if not _is_mark(name) and name != marker])
            for name in names:
                if _is_mark(name):
                    _copy(whole, final, [name])
        arrived = list_files(final)
        if arrived != sizes:
            raise StorageError(f"{len(arrived)} files of {len(sizes)} are there in full")
    except BaseException as error:
        if isinstance(error, Exception):
            raise StorageError(f"{rescue}: {error}") from error
        error.add_note(rescue)
        raise
    remove(whole)


def _marks_last(names: list[str]) -> list[str]:
    return sorted(names, key=lambda name: (_is_mark(name), name))


def _is_mark(name: str) -> bool:
    return "/" not in name and name.endswith(_MARKS)


def _remove_files(folder: UPath, names: list[str]) -> None:
    if not names:
        return
    folder.fs.rm([_key(folder, name) for name in names])
    # An object store answers 200 to a deletion of many, and names in the answer what it did not delete.
    if left := sorted(set(names) & set(list_files(folder))):
        raise StorageError(f"{folder / left[0]} (of {len(left)} files) was not deleted by the store")


def _copy(source: UPath, target: UPath, names: list[str]) -> None:
    if names:
        source.fs.copy([_key(source, name) for name in names], [_key(target, name) for name in names])


def _key(folder: UPath, name: str) -> str:
    return f"{folder.path.rstrip('/')}/{name}"
