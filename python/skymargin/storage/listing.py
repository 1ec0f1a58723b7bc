"""What is in a folder, local or remote: its subfolders, and its files with their sizes and times of writing."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from skymargin.storage import remote
from skymargin.storage.paths import AnyPath

# The names under which file systems of fsspec give the time of the last change: S3, Azure, most others, memory.
_TIMES = ("LastModified", "last_modified", "mtime", "updated", "created")


class FileStatus(NamedTuple):
    """A file in a listing.

    Attributes
    ----------
    size_bytes : int
        Its size.
    written_unix_seconds : float or None
        When it was written; None when the file system does not say.
    """

    size_bytes: int
    written_unix_seconds: float | None


def subfolders(folder: AnyPath) -> list[AnyPath]:
    """The folders in a folder, by name; links to folders are none. Empty when there is no such folder.

    Raises
    ------
    OSError
        When it cannot be listed.
    """
    if isinstance(folder, Path):
        try:
            inside = list(folder.iterdir())
        except (FileNotFoundError, NotADirectoryError):
            return []
        return sorted(entry for entry in inside if entry.is_dir() and not entry.is_symlink())
    remote.forget_listings(folder)

    def listed() -> list[dict[str, Any]]:
        try:
            return list(folder.fs.ls(folder.path, detail=True))
        except FileNotFoundError:
            return []

    entries = [entry for entry in remote.retry(folder, listed) if entry["type"] == "directory"]
    return [
        folder / name for name in sorted(entry["name"].rstrip("/").rpartition("/")[2] for entry in entries)
    ]


def files_with_times(folder: AnyPath) -> dict[str, FileStatus]:
    """Every file below a folder, by its path relative to it; a link is one file, because its target lies elsewhere.

    Raises
    ------
    OSError
        When a folder cannot be listed.
    """
    if isinstance(folder, Path):
        return _local_files(folder)
    root = folder.path.rstrip("/")
    remote.forget_listings(folder)

    def found() -> dict[str, Any]:
        try:
            return dict(folder.fs.find(root, detail=True))
        except FileNotFoundError:
            return {}

    # Some tools create an empty object whose name ends with a slash in place of a folder.
    return {
        name[len(root) + 1 :]: FileStatus(int(entry["size"] or 0), _written(entry))
        for name, entry in remote.retry(folder, found).items()
        if name.rstrip("/") != root and entry["type"] == "file" and (entry["size"] or name[-1] != "/")
    }


def _local_files(folder: Path) -> dict[str, FileStatus]:
    files = {}
    for place, inside, names in os.walk(folder, onerror=_raise_unless_gone):
        links = [name for name in inside if Path(place, name).is_symlink()]
        for file in (Path(place, name) for name in (*names, *links)):
            # A run that works may have removed it.
            with suppress(FileNotFoundError):
                status = file.lstat()
                files[file.relative_to(folder).as_posix()] = FileStatus(status.st_size, status.st_mtime)
    return files


def _written(entry: Mapping[str, Any]) -> float | None:
    """The time of the last change in an entry of a listing."""
    value = next((entry[name] for name in _TIMES if entry.get(name) is not None), None)
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return None
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()
    return float(value) if isinstance(value, int | float) else None


def _raise_unless_gone(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error
