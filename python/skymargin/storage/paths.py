"""Where files live: local paths and fsspec paths behind one face, and files that appear only when they are whole."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import urlsplit

from skymargin.errors import StorageError
from skymargin.storage import remote, remote_output

if TYPE_CHECKING:
    from upath import UPath

_OUTPUT_BUFFER_BYTES = 64 << 10
AnyPath: TypeAlias = "Path | UPath"

# In the name of everything that is not the margin; the second follows the first while a folder is being removed.
TEMP_MARK = ".skymargin-"
REMOVED = "removed-"


def as_path(path: str | os.PathLike[str] | UPath) -> AnyPath:
    """Path object for a local path or a URL.

    Parameters
    ----------
    path
        A local path, a URL that fsspec knows (`s3://...`), or a path object of either kind.

    Returns
    -------
    Path or UPath
        A plain `Path` for everything local.
    """
    if isinstance(path, Path):
        return path
    if isinstance(path, str) and "://" not in path:
        return Path(path)
    from upath import UPath

    plain = UPath(path)
    return Path(plain.path) if plain.protocol in ("", "file", "local") else remote.checked(plain)


def with_options(path: str | os.PathLike[str] | UPath, storage_options: Mapping[str, Any] | None) -> AnyPath:
    """Path object like that of `as_path`, with options of its file system, which a local path has none of.

    Parameters
    ----------
    path
        As `as_path` takes it.
    storage_options
        Options of its file system, as fsspec takes them; they go before those of a `UPath`.
    """
    plain = as_path(path)
    if not storage_options or isinstance(plain, Path):
        return plain
    from upath import UPath

    given = {**plain.storage_options, **storage_options}
    return remote.checked(UPath(str(plain), protocol=plain.protocol, **given))


def absolute(path: AnyPath) -> AnyPath:
    """The path as every process sees it, whatever folder it was started in."""
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


def can_list(folder: AnyPath) -> bool:
    """Whether its file system tells which files are in a folder; the web does not."""
    return isinstance(folder, Path) or not remote.is_http(folder)


def exists(path: AnyPath) -> bool:
    """Whether there is a file or folder; where folders cannot be listed, only files are found.

    Raises
    ------
    StorageError
        When the server cannot be asked.
    """
    return path.exists() if isinstance(path, Path) else remote.exists(path)


def file_sizes(folder: AnyPath, names: Iterable[str]) -> dict[str, int]:
    """Sizes in bytes of those of the files below a folder that exist; at best one request for each, many at a time."""
    if isinstance(folder, Path):
        return {name: (folder / name).stat().st_size for name in names if (folder / name).exists()}
    return remote.file_sizes(folder, names)


def read_text(path: AnyPath) -> str:
    """Text of a small file in UTF-8, line ends as they are.

    Raises
    ------
    OSError
        When it cannot be read.
    UnicodeDecodeError
        When it is not UTF-8.
    """
    return read_bytes(path).decode("utf-8")


def read_bytes(path: AnyPath) -> bytes:
    """Contents of a small file.

    Raises
    ------
    OSError
        When it cannot be read.
    """
    if isinstance(path, Path):
        _refuse_no_file(path)
        return path.read_bytes()
    return remote.read_whole(path)


def resolve_reference(folder: AnyPath, target: str) -> AnyPath:
    """What a file in `folder` means by a path or URL: relative to the folder, if it is not a URL.

    The options of the folder's file system go along where they would go to the same server; never to another.
    """
    if "://" not in target:
        return folder / target
    path = as_path(target)
    if isinstance(folder, Path) or isinstance(path, Path) or path.protocol != folder.protocol:
        return path
    same_server = not remote.is_http(folder) or urlsplit(target).netloc == urlsplit(str(folder)).netloc
    return with_options(path, folder.storage_options) if same_server else path


def open_input(path: AnyPath) -> Any:
    """Open a file for random reading, as something pyarrow reads from.

    Raises
    ------
    OSError
        When the file does not exist or cannot be opened.
    """
    import pyarrow as pa

    if not isinstance(path, Path):
        return pa.PythonFile(path.open("rb"), mode="r")
    _refuse_no_file(path)
    return pa.OSFile(str(path))


def open_output(path: AnyPath) -> Any:
    """Open a new file for writing, as something pyarrow writes to; makes its folder."""
    import pyarrow as pa

    if isinstance(path, Path):
        path.parent.mkdir(parents=True, exist_ok=True)
        return pa.OSFile(str(path), mode="wb")
    remote_output.make_parent(path)
    return pa.PythonFile(path.open("wb"), mode="w")


def translate_errors(path: AnyPath) -> AbstractContextManager[None]:
    """Errors of a remote file system as `OSError` that names the path; those of this machine are so already."""
    return nullcontext() if isinstance(path, Path) else remote.translate_errors(path)


@contextmanager
def output_file(path: AnyPath) -> Iterator[Any]:
    """Write a new file, as something pyarrow writes to; makes its folder.

    A local file appears when the block ends without an error, and one of its name is then replaced as a whole: a task
    that is run twice, by Dask or by a run that goes on, does not spoil what the other wrote.
    """
    import pyarrow as pa

    if not isinstance(path, Path):
        with translate_errors(path), open_output(path) as sink:
            yield sink
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    # Unbuffered, the Parquet writer asks the system for its position before every page.
    with (
        atomic_write(path) as aside,
        pa.BufferedOutputStream(pa.OSFile(str(aside), mode="wb"), _OUTPUT_BUFFER_BYTES) as sink,
    ):
        yield sink


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Write a local file under a name that nobody else uses; it gets its own when the block ends without an error.

    A file that exists under its own name is therefore complete.
    """
    aside = path.with_name(f"{path.name}.{uuid.uuid4().hex[:8]}.part")
    try:
        yield aside
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


def is_empty_folder(path: AnyPath) -> bool:
    """Whether there is a folder at `path` with nothing in it."""
    if isinstance(path, Path):
        return path.is_dir() and next(iter(path.iterdir()), None) is None
    # A file is found in itself, and so is the empty object that some tools leave for a folder: not ours to remove.
    return exists(path) and not remote.retry(path, lambda: path.fs.find(path.path))


@contextmanager
def temporary_folder(base: Path, name: str, purpose: str = "shards") -> Iterator[Path]:
    """A local folder for intermediate files, removed at the end whatever happens."""
    folder = base / _new_name(base / name, purpose)
    make_folder(folder)
    try:
        yield folder
    finally:
        remove_folder(folder)


def remove_folder(folder: AnyPath) -> None:
    """Remove a folder and everything in it; no error when it is not there.

    It is first moved away, so that a task that still runs cannot put a new file into it by its path.
    """
    if not isinstance(folder, Path):
        remote_output.remove(folder)
        return
    doomed = folder
    if f"{TEMP_MARK}{REMOVED}" not in folder.name:
        # It stays known whose it is, should the removal be cut off.
        name, _, purpose = folder.name.partition(TEMP_MARK)
        doomed = folder.with_name(f"{name}{TEMP_MARK}{REMOVED}{purpose or 'folder'}-{uuid.uuid4().hex[:8]}")
        try:
            folder.rename(doomed)
        except FileNotFoundError:
            return
    if doomed.is_symlink():
        # What it leads to lies elsewhere, and stays.
        doomed.unlink()
    else:
        shutil.rmtree(doomed, ignore_errors=True)


def remove_files(folder: AnyPath, names: Sequence[str]) -> None:
    """Remove files by their paths relative to a folder; no error for one that is not there any more."""
    if not names:
        return
    if not isinstance(folder, Path):
        with remote.translate_errors(folder):
            folder.fs.rm([f"{folder.path.rstrip('/')}/{name}" for name in names])
        return
    for name in names:
        (folder / name).unlink(missing_ok=True)


def make_folder(folder: AnyPath, exist_ok: bool = False) -> None:
    """Make a folder, and those it is in; on a remote file system each file brings its own.

    Raises
    ------
    StorageError
        When it cannot be made.
    """
    if not isinstance(folder, Path):
        return
    try:
        folder.mkdir(parents=True, exist_ok=exist_ok)
    except OSError as error:
        raise StorageError(f"{folder.parent} cannot be written to: {error}") from error


def remove_file(path: AnyPath) -> None:
    """Remove a file; no error when it is not there."""
    if isinstance(path, Path):
        path.unlink(missing_ok=True)
    else:
        with remote.translate_errors(path), suppress(FileNotFoundError):
            path.fs.rm_file(path.path)


def _refuse_no_file(path: Path) -> None:
    """Refuse what is there but is no file: a pipe would be waited for, a device read without end."""
    if path.exists() and not path.is_file():
        raise OSError(f"{path} is not a file")


def _walk(folder: str, inside: str) -> Iterator[tuple[str, int]]:
    """Files below a local folder; a catalog may have 100,000 of them, so paths are plain text."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir():
                yield from _walk(entry.path, f"{inside}{entry.name}/")
            else:
                # A link to nowhere is no file.
                with suppress(FileNotFoundError):
                    yield f"{inside}{entry.name}", entry.stat().st_size


def _new_name(path: AnyPath, purpose: str) -> str:
    """Name that nothing has yet, for something of ours beside `path`."""
    return f"{path.name.split(TEMP_MARK)[0]}{TEMP_MARK}{purpose}-{uuid.uuid4().hex[:8]}"
