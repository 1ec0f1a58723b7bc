"""Local paths and fsspec paths behind one interface, and files that appear only when they are complete.

Functions that read or write raise `OSError`, for remote paths its subclass `StorageError`, which names the path.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import uuid
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import urlsplit

from skymargin.errors import ArgumentError, MissingExtraError, StorageError
from skymargin.storage import remote, remote_output

if TYPE_CHECKING:
    from upath import UPath

AnyPath: TypeAlias = "Path | UPath"

# In the names of all temporary files and folders; the second follows the first while a folder is being removed.
TEMP_MARK = ".skymargin-"
REMOVED = "removed-"


def as_path(path: str | os.PathLike[str] | UPath, argument: str = "path") -> AnyPath:
    """Return a path object for what a user gives: a local path, a URL of fsspec (`s3://...`) or a path object.

    In a local path `~` or `~user` at the beginning becomes the home folder, and `$NAME` or `${NAME}` the value of the
    environment variable, which may be a URL. Where there is no such user or variable the text stays: a folder may have
    this name. Nothing is replaced in a URL. Local paths are returned as `Path`.

    Raises
    ------
    ArgumentError
        When it is none of these. `argument` is the name of what was given, for the message.
    """
    check_path(path, argument)
    is_local_path = "://" not in path if isinstance(path, str) else isinstance(path, os.PathLike)
    plain = recorded_path(expanded(path) if is_local_path else path)  # type: ignore[arg-type]
    # A folder may have this name: as an absolute path it stays what it is when it comes by here again.
    return absolute(plain) if str(plain).startswith("~") else plain


def check_path(value: object, argument: str) -> None:
    """Refuse what is no path, by the name of the argument."""
    if not is_path(value):
        raise ArgumentError(f"{argument} must be a path or URL, not {_shown(value)}")


def is_path(value: object) -> bool:
    """Whether it is text or a path; remote paths are not `os.PathLike`, but have a protocol."""
    return isinstance(value, str | os.PathLike) or hasattr(value, "protocol")


def expanded(path: str | os.PathLike[str], argument: str = "path") -> str | Path:
    """A local path with the home folder and environment variables in place, as `as_path` describes."""
    check_path(path, argument)
    text = os.fspath(path)
    # `Path.expanduser` fails where there is no such user.
    new = os.path.expanduser(os.path.expandvars(text))  # noqa: PTH111
    return path if isinstance(path, Path) and new == text else new


def recorded_path(path: str | os.PathLike[str] | UPath) -> AnyPath:
    """Return a path object for a path that a file names: as `as_path`, but nothing in it is replaced."""
    if isinstance(path, Path):
        return path
    if isinstance(path, str) and "://" not in path:
        return Path(path)
    plain = _remote_path(path)
    return Path(plain.path) if plain.protocol in ("", "file", "local") else remote.checked(plain)


def _remote_path(url: str | os.PathLike[str] | UPath) -> UPath:
    """The path of a URL, whose file system must be one that fsspec has and can import."""
    from fsspec import get_filesystem_class  # type: ignore[import-untyped]
    from upath import UPath

    try:
        path = UPath(url)
    except ValueError as error:
        raise ArgumentError(f"{url}: {error}; fsspec has s3, gs, abfs, http, https and others") from error
    try:
        get_filesystem_class(path.protocol)
    except ImportError as error:
        raise MissingExtraError(f"{url}: {error}") from error
    return path


def with_options(
    path: str | os.PathLike[str] | UPath,
    storage_options: Mapping[str, Any] | None,
    argument: str = "path",
) -> AnyPath:
    """Return `as_path(path, argument)` with options of fsspec, which override those of a `UPath`.

    Local paths have none.
    """
    plain = as_path(path, argument)
    if not storage_options or isinstance(plain, Path):
        return plain
    from upath import UPath

    options = {**plain.storage_options, **storage_options}
    return remote.checked(UPath(str(plain), protocol=plain.protocol, **options))


def first_local(*folders: str | os.PathLike[str] | UPath | None) -> Path:
    """The first of the folders that is on this machine, else the system's temporary folder."""
    paths = (as_path(folder) for folder in folders if folder is not None)
    return next((path for path in paths if isinstance(path, Path)), Path(tempfile.gettempdir()))


def absolute(path: AnyPath) -> AnyPath:
    """The path independent of the current folder of the process."""
    return path.absolute() if isinstance(path, Path) else path


def is_local(path: AnyPath) -> bool:
    """Whether the path is on a file system of this machine."""
    return isinstance(path, Path)


def list_files(folder: AnyPath) -> dict[str, int]:
    """Every file below a folder.

    Returns
    -------
    dict
        Path relative to `folder`, with forward slashes, to the size in bytes. Empty when there is no such folder.
    """
    if isinstance(folder, Path):
        return dict(_walk(str(folder), "")) if folder.is_dir() else {}
    return remote.list_files(folder)


def list_versions(folder: AnyPath) -> tuple[dict[str, int], dict[str, str]]:
    """The same, and for each file on a store what tells its versions apart, where the store lists that."""
    return (list_files(folder), {}) if isinstance(folder, Path) else remote.list_versions(folder)


def names_in(folder: AnyPath) -> frozenset[str] | None:
    """Names of the files and folders directly in a folder; None where they cannot be listed, none without a folder."""
    if isinstance(folder, Path):
        return frozenset(entry.name for entry in os.scandir(folder)) if folder.is_dir() else frozenset()
    return remote.names_in(folder) if can_list(folder) else None


def is_among(name: str, folder: AnyPath, names: frozenset[str] | None) -> bool:
    """Whether a folder has a file or folder of this name: by what `names_in` returned for it, or by asking for it."""
    return exists(folder / name) if names is None else name in names


def can_list(folder: AnyPath) -> bool:
    """Whether its file system can list a folder; HTTP cannot."""
    return isinstance(folder, Path) or not remote.is_http(folder)


def exists(path: AnyPath) -> bool:
    """Whether there is a file or folder; only files are found where folders cannot be listed."""
    return path.exists() if isinstance(path, Path) else remote.exists(path)


def file_sizes(folder: AnyPath, names: Iterable[str]) -> dict[str, int]:
    """Sizes in bytes of the files that exist, by path relative to a folder; one request per file, many at a time."""
    if isinstance(folder, Path):
        return {name: (folder / name).stat().st_size for name in names if (folder / name).exists()}
    return remote.file_sizes(folder, names)


def read_text(path: AnyPath) -> str:
    """Text of a small file, line ends unchanged; `UnicodeDecodeError` when it is not UTF-8."""
    return read_bytes(path).decode("utf-8")


def read_bytes(path: AnyPath) -> bytes:
    """Contents of a small file."""
    if isinstance(path, Path):
        _refuse_no_file(path)
        return path.read_bytes()
    return remote.read_whole(path)


def resolve_reference(folder: AnyPath, target: str) -> AnyPath:
    """Resolve a path or URL in a file of `folder`: a path is relative to the folder.

    The options of the folder's file system are used for a URL of the same server, never for another server.
    """
    if "://" not in target:
        return folder / target
    path = recorded_path(target)
    if isinstance(folder, Path) or isinstance(path, Path) or path.protocol != folder.protocol:
        return path
    same_server = not remote.is_http(folder) or urlsplit(target).netloc == urlsplit(str(folder)).netloc
    return with_options(path, folder.storage_options) if same_server else path


def open_input(path: AnyPath) -> Any:
    """Open a file for random reading, as pyarrow reads it."""
    import pyarrow as pa

    if not isinstance(path, Path):
        return pa.PythonFile(path.open("rb"), mode="r")
    _refuse_no_file(path)
    return pa.OSFile(str(path))


def translate_errors(path: AnyPath) -> AbstractContextManager[None]:
    """Raise errors of a remote file system as `OSError` that names the path, as local ones are already."""
    return nullcontext() if isinstance(path, Path) else remote.translate_errors(path)


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Write a local file under a unique name; it is renamed when the block ends without an error.

    A file that exists under its final name is therefore complete.
    """
    temporary = path.with_name(f"{path.name}.{uuid.uuid4().hex[:8]}.part")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def is_empty_folder(path: AnyPath) -> bool:
    """Whether there is an empty folder at `path`."""
    if isinstance(path, Path):
        return path.is_dir() and next(iter(path.iterdir()), None) is None
    # `find` lists a file, and the empty object that some tools create for a folder: those must not be removed.
    return exists(path) and not remote.retry(path, lambda: path.fs.find(path.path))


@contextmanager
def temporary_folder(base: Path, name: str, purpose: str = "shards") -> Iterator[Path]:
    """Create a local folder for intermediate files, which is always removed at the end."""
    folder = base / f"{name.split(TEMP_MARK)[0]}{TEMP_MARK}{purpose}-{uuid.uuid4().hex[:8]}"
    make_folder(folder)
    try:
        yield folder
    finally:
        remove_folder(folder)


def remove_folder(folder: AnyPath, *, last: str = "", only: Collection[str] | None = None) -> None:
    """Remove a folder and its contents; no error when it does not exist.

    A local folder is renamed first, so that a task that still runs cannot write a new file into it. Of a remote one,
    the file `last` is the last to go, and files that are not among `only` stay.
    """
    if not isinstance(folder, Path):
        remote_output.remove(folder, last=last, only=only)
        return
    if f"{TEMP_MARK}{REMOVED}" not in folder.name:
        # The new name contains the old one, so that an interrupted removal can be completed.
        name, _, purpose = folder.name.partition(TEMP_MARK)
        renamed = f"{name}{TEMP_MARK}{REMOVED}{purpose or 'folder'}-{uuid.uuid4().hex[:8]}"
        try:
            folder = folder.rename(folder.with_name(renamed))
        except FileNotFoundError:
            return
    if folder.is_symlink():
        # What the link points to is elsewhere, and stays.
        folder.unlink()
    else:
        shutil.rmtree(folder, ignore_errors=True)


def abort_uploads(folder: AnyPath) -> None:
    """Abort uploads to a remote folder, or to its temporary folders, that killed processes have left."""
    if not isinstance(folder, Path):
        remote_output.abort_uploads(folder, TEMP_MARK)


def remove_files(folder: AnyPath, names: Sequence[str]) -> None:
    """Remove files by their paths relative to a folder; no error for a local file that no longer exists."""
    if isinstance(folder, Path):
        for name in names:
            (folder / name).unlink(missing_ok=True)
    elif names:
        with remote.translate_errors(folder):
            remote_output.remove_files(folder, names)


def make_folder(folder: AnyPath, exist_ok: bool = False) -> None:
    """Create a local folder and its parents, or raise `StorageError`; remote files create their folders."""
    if not isinstance(folder, Path):
        return
    try:
        folder.mkdir(parents=True, exist_ok=exist_ok)
    except OSError as error:
        raise StorageError(f"{folder.parent} cannot be written to: {error}") from error


def remove_file(path: AnyPath) -> None:
    """Remove a file; no error when it does not exist."""
    if isinstance(path, Path):
        path.unlink(missing_ok=True)
    else:
        with remote.translate_errors(path), suppress(FileNotFoundError):
            path.fs.rm_file(path.path)


def _shown(value: object) -> str:
    """A value, or its type where the value would be long."""
    text = repr(value)
    return text if len(text) <= 40 and text.isprintable() else type(value).__name__


def _refuse_no_file(path: Path) -> None:
    """Refuse a path that is not a file: reading a pipe would wait, reading a device would never end."""
    if path.exists() and not path.is_file():
        raise OSError(f"{path} is not a file")


def _walk(folder: str, inside: str) -> Iterator[tuple[str, int]]:
    """Files below a local folder; paths are plain text, as a catalog may have 100,000 of them."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir():
                yield from _walk(entry.path, f"{inside}{entry.name}/")
            else:
                # A broken link is not a file.
                with suppress(FileNotFoundError):
                    yield f"{inside}{entry.name}", entry.stat().st_size
