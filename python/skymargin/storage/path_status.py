"""What is at single paths: a file of which size and version, or a folder."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from stat import S_ISDIR
from typing import Any, NamedTuple, TypeVar

from skymargin.errors import StorageError
from skymargin.storage import remote
from skymargin.storage.paths import AnyPath, list_versions

T = TypeVar("T")


class PathStatus(NamedTuple):
    """A file, or a folder.

    Attributes
    ----------
    size_bytes : int
        The size of a file.
    is_folder : bool
        Whether it is a folder.
    version : str or None
        What tells versions of a file apart, as `list_versions` has it; None where the store does not say, and for local
        files.
    """

    size_bytes: int
    is_folder: bool = False
    version: str | None = None


def path_statuses(folder: AnyPath, names: Iterable[str]) -> dict[str, PathStatus]:
    """What is at paths relative to a folder, for those where something is; one request for each, many at a time.

    Raises
    ------
    OSError
        When the file system does not answer.
    """
    found = _at_once(folder, names, _local_status if isinstance(folder, Path) else _remote_status)
    return {name: status for name, status in found.items() if status is not None}


def files_in_folders(folder: AnyPath, names: Iterable[str]) -> dict[str, dict[str, PathStatus]]:
    """The files directly in some folders, given relative to `folder`, each by its name; many requests at a time.

    Raises
    ------
    OSError
        When a folder cannot be listed.
    """
    return _at_once(folder, names, _files_in)


def _at_once(folder: AnyPath, names: Iterable[str], ask: Callable[[Any], T]) -> dict[str, T]:
    names = list(names)
    paths = [folder / name for name in names]
    if isinstance(folder, Path):
        return dict(zip(names, map(ask, paths), strict=True))
    remote.forget_listings(folder)
    with ThreadPoolExecutor(max_workers=remote.ASKED_AT_ONCE) as pool:
        return dict(zip(names, pool.map(ask, paths), strict=True))


def _local_status(path: Path) -> PathStatus | None:
    try:
        about = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return PathStatus(about.st_size, S_ISDIR(about.st_mode))


def _remote_status(path: Any) -> PathStatus | None:
    try:
        entry = remote.retry(path, lambda: dict(path.fs.info(path.path)))
    except FileNotFoundError:
        return None
    if entry.get("type") == "directory":
        return PathStatus(0, is_folder=True)
    if entry["size"] is None:
        raise StorageError(f"{path}: the server does not state the size of the file, which ranged reads need")
    version = None if remote.is_http(path) else remote.version_of(entry)
    return PathStatus(int(entry["size"]), version=version)


def _files_in(folder: AnyPath) -> dict[str, PathStatus]:
    sizes, versions = list_versions(folder)
    return {
        name: PathStatus(size, version=versions.get(name)) for name, size in sizes.items() if "/" not in name
    }
