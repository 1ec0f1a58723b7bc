"""Output on file systems that cannot rename a folder.

The files that make a folder a catalog, its marks, are written last and removed first.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from skymargin.errors import OutputExistsError, OutputInUseError, StorageError
from skymargin.formatting import listed
from skymargin.storage.remote import list_files, names_in, read_whole, translate_errors

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from upath import UPath

# Readers take a folder with one of these for a catalog: hats.properties, collection.properties, that of HiPSCat.
_MARKS = ("properties", "catalog_info.json")
# These create folders with their files; creating a folder may even create a bucket.
_WITHOUT_FOLDERS = frozenset({"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl", "memory"})


def make_parent(file: UPath) -> None:
    """Create the folder of a file, on file systems that have folders."""
    if file.protocol not in _WITHOUT_FOLDERS:
        with translate_errors(file):
            file.fs.makedirs(file.parent.path, exist_ok=True)


def remove(folder: UPath, *, last: str = "", only: Collection[str] | None = None) -> None:
    """Remove a folder and its contents, its marks first; no error when it does not exist.

    Parameters
    ----------
    folder
        The folder.
    last
        A file that tells whose the others are, which is removed when they are gone.
    only
        Which files are removed, if not all.

    Raises
    ------
    StorageError
        When it cannot be removed. If the marks remain, so does everything else.
    """
    names = list_files(folder)
    data, marks = _marks_apart([name for name in names if only is None or name in only])
    with translate_errors(folder):
        _remove_all(folder, marks)
        _remove_all(folder, [name for name in data if name != last])
        _remove_all(folder, [last] if last in data else [])
        folder.fs.invalidate_cache()
        # On file systems with folders, the empty folder is left. What has come to it meanwhile is of others.
        if folder.fs.exists(folder.path) and not (_is_pattern(folder.path) or list_files(folder)):
            folder.fs.rm(folder.path, recursive=True)
        folder.fs.invalidate_cache()


def publish(
    source: UPath, final: UPath, *, marker: str = "", replaced: Collection[str] | None = None
) -> None:
    """Replace a folder by another, file by file within the file system.

    From the removal of the old marks to the copy of the new ones there is no catalog at `final`; there never is a
    mixture of both.

    Parameters
    ----------
    source, final
        The new folder, and the folder to replace.
    marker
        A file of `source` that tells who wrote it. It is at `final` whenever other files but no marks are, so that the
        remains of an interrupted copy can be told from files of others.
    replaced
        The files of `final`, if they have just been listed.

    Raises
    ------
    OutputExistsError
        When other files have come to `final`.
    OutputInUseError
        When another run writes to `final`.
    StorageError
        When it cannot be completed. Whatever the error, the new catalog then stays where it is, and the message says
        where.
    """
    rescue = f"the new catalog is complete at {source} and stays there, but could not replace {final}"
    try:
        sizes = list_files(source)
        data, marks = _marks_apart([name for name in sizes if name != marker])
        names = list_files(final) if replaced is None else replaced
        old_data, old_marks = _marks_apart([name for name in names if name != marker])
        with translate_errors(final):
            _remove_marks(final, old_marks)
            _copy(source, final, [marker] if marker in sizes else [])
            if old_data:
                remove_files(final, old_data)
            _copy(source, final, data)
            _check_copied(final, {name: size for name, size in sizes.items() if name not in marks}, names)
            if marker in sizes and read_whole(final / marker) != read_whole(source / marker):
                raise OutputInUseError(f"another run writes to {final}")
            for mark in marks:
                _copy(source, final, [mark])
            if missing := set(marks) - names_in(final):
                raise StorageError(f"{final / min(missing)} was not copied")
    except BaseException as error:
        if isinstance(error, (OutputExistsError, OutputInUseError)):
            raise type(error)(f"{rescue}: {error}") from None
        if isinstance(error, Exception):
            raise StorageError(f"{rescue}: {error}") from error
        error.add_note(rescue)
        raise
    remove(source)


def abort_uploads(folder: UPath, temporary: str) -> None:
    """Abort uploads in parts to a folder that killed processes have left; stores keep and charge the parts.

    Parameters
    ----------
    folder
        A folder that nobody writes to.
    temporary
        What follows the name of the folder in those of its temporary folders, which are treated alike.
    """
    if folder.protocol not in ("s3", "s3a"):
        # Other stores forget them after a week.
        return
    bucket, _, key = folder.path.rstrip("/").partition("/")
    # Listing them may not be allowed: they are no reason to fail.
    with suppress(Exception):
        answer = folder.fs.call_s3("list_multipart_uploads", Bucket=bucket, Prefix=key)
        for upload in answer.get("Uploads", ()):
            if upload["Key"].startswith((f"{key}/", f"{key}{temporary}")):
                names = {"Key": upload["Key"], "UploadId": upload["UploadId"]}
                folder.fs.call_s3("abort_multipart_upload", Bucket=bucket, **names)


def remove_files(folder: UPath, names: Sequence[str]) -> None:
    """Remove files by their paths relative to a folder."""
    keys = _keys(folder, names)
    if plain := [key for key in keys if not _is_pattern(key)]:
        folder.fs.rm(plain)
    for key in keys:
        if _is_pattern(key):
            folder.fs.rm_file(key)


def _remove_marks(folder: UPath, marks: Sequence[str]) -> None:
    """Remove marks, and check that they are gone."""
    if marks:
        remove_files(folder, marks)
        _refuse_left(folder, sorted(set(marks) & names_in(folder)))


def _check_copied(folder: UPath, sizes: Mapping[str, int], removed: Collection[str]) -> None:
    """Check that there are these files in a folder, and no others: those that were removed are gone."""
    arrived = list_files(folder)
    others = sorted(arrived.keys() - sizes.keys())
    _refuse_left(folder, [name for name in others if name in removed])
    if others:
        raise OutputExistsError(f"{folder} also holds {listed(others)}, which this run did not write")
    copied = sum(arrived.get(name) == size for name, size in sizes.items())
    if copied != len(sizes):
        raise StorageError(f"{copied} of {len(sizes)} files were copied completely")


def _remove_all(folder: UPath, names: Sequence[str]) -> None:
    """Remove files, and check that they are gone."""
    if not names:
        return
    remove_files(folder, names)
    _refuse_left(folder, sorted(set(names) & set(list_files(folder))))


def _refuse_left(folder: UPath, left: Sequence[str]) -> None:
    """Refuse files that should be gone.

    An object store answers 200 to a bulk deletion, and lists in the answer what it did not delete.
    """
    if left:
        raise StorageError(f"{folder / left[0]} (of {len(left)} files) was not deleted by the store")


def _is_pattern(path: str) -> bool:
    """Whether fsspec would take a path for a pattern, and remove every file that matches it."""
    return any(character in path for character in "*?[")


def _copy(source: UPath, target: UPath, names: Sequence[str]) -> None:
    if names:
        # Of lists, fsspec takes no path for a pattern.
        source.fs.copy(_keys(source, names), _keys(target, names))


def _marks_apart(names: list[str]) -> tuple[list[str], list[str]]:
    """Other files, and marks: the files at the top that make the folder a catalog; each sorted."""
    marks = {name for name in names if "/" not in name and name.endswith(_MARKS)}
    return sorted(set(names) - marks), sorted(marks)


def _keys(folder: UPath, names: Sequence[str]) -> list[str]:
    return [f"{folder.path.rstrip('/')}/{name}" for name in names]
