"""Folders in which the core writes files: local ones by their paths, remote ones with several uploads at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skymargin.errors import StorageError
from skymargin.storage import remote, remote_output
from skymargin.storage.paths import AnyPath, remove_file

if TYPE_CHECKING:
    from types import TracebackType

    from upath import UPath

# A file is sent in parts of this size, which is what a client holds of it. Object stores take no smaller parts than
# 5 MiB, and 10,000 of them.
PART_BYTES = 8 << 20
# Clients copy what they send.
SENDING_COPIES = 2
# How many files, and how many bytes of them, one folder sends while the next one is written: the answer to a small file
# takes a hundred times as long as writing it.
_UPLOADS = 16
UPLOADING_BYTES = 8 << 20


@contextmanager
def output_folder(
    folder: AnyPath,
    is_given_up: Callable[[], bool],
    uploading_bytes: int = UPLOADING_BYTES,
    check_place: Callable[[], None] | None = None,
) -> Iterator[Path | RemoteFolder]:
    """What the core writes the files of a task into.

    At the end of the block all of them are complete, or an error is raised.

    Parameters
    ----------
    folder
        The folder.
    is_given_up
        Whether the run was given up. It removes its remote output once, so no file may be completed after that; a local
        folder is moved away first.
    uploading_bytes
        How many bytes of complete files may wait to be sent while the next file is written.
    check_place
        Where another run may write to the same paths: raises an error when it does. Called before each file is opened,
        and before it is completed.
    """
    if isinstance(folder, Path):
        yield folder
    else:
        with RemoteFolder(folder, is_given_up, uploading_bytes, check_place) as remote:
            yield remote


def send_files(files: Mapping[str, Path], folder: UPath) -> None:
    """Write local files to a remote folder, by their paths in it; they are complete when this returns.

    Raises
    ------
    StorageError
        When one cannot be read or written. The others may be there.
    """
    with RemoteFolder(folder) as remote_folder:
        for name, file in files.items():
            sent = remote_folder.create(name)
            try:
                with file.open("rb") as source:
                    while content := source.read(PART_BYTES):
                        sent.write(content)
            except BaseException:
                sent.abandon()
                raise
            sent.finish()


class RemoteFolder:
    """A remote folder in which the core writes files; a context that ends when they are complete.

    Parameters
    ----------
    folder
        The folder.
    is_given_up, uploading_bytes, check_place
        As for `output_folder`.
    """

    def __init__(
        self,
        folder: UPath,
        is_given_up: Callable[[], bool] = lambda: False,
        uploading_bytes: int = UPLOADING_BYTES,
        check_place: Callable[[], None] | None = None,
    ) -> None:
        self._folder, self._is_given_up, self._check_place = folder, is_given_up, check_place
        self._uploading_bytes = uploading_bytes
        self._pool = ThreadPoolExecutor(_UPLOADS, thread_name_prefix="skymargin-upload")
        self._changed = threading.Condition()
        self._uploads: dict[Future[None], int] = {}
        self._error: BaseException | None = None

    def __enter__(self) -> RemoteFolder:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._pool.shutdown()
        # An error of the block is nearer to the cause.
        if error is None:
            self._raise_error()

    def create(self, name: str) -> RemoteFile:
        """Begin a file by its path relative to the folder."""
        self._raise_error()
        if self._check_place is not None:
            # Where files appear when they are opened, that would be too late.
            self._check_place()
        path = self._folder / name
        with _writing(path):
            remote_output.make_parent(path)
            return RemoteFile(self, path, path.fs.open(path.path, "wb", block_size=PART_BYTES))

    def send(self, file: RemoteFile) -> None:
        """Complete a file while others are written. An error is raised later."""
        held_bytes = min(file.size_bytes, PART_BYTES)
        if held_bytes > self._uploading_bytes:
            # Nothing is written meanwhile.
            self._complete(file)
            return
        with self._changed:
            self._changed.wait_for(lambda: self._has_room(held_bytes))
            upload = self._pool.submit(self._complete, file)
            self._uploads[upload] = held_bytes
        upload.add_done_callback(self._done)

    def _has_room(self, held_bytes: int) -> bool:
        sending = self._uploads.values()
        return not sending or (len(sending) < _UPLOADS and sum(sending) + held_bytes <= self._uploading_bytes)

    def _complete(self, file: RemoteFile) -> None:
        try:
            if self._is_given_up():
                raise StorageError("the run was given up")
            if self._check_place is not None:
                self._check_place()
        except BaseException:
            file.abandon()
            raise
        file.close()
        if self._is_given_up():
            # What another run may have written meanwhile is not removed; what is left is known by its mark.
            if self._check_place is None:
                remove_file(file.path)
            raise StorageError("the run was given up")

    def _done(self, upload: Future[None]) -> None:
        with self._changed:
            del self._uploads[upload]
            self._error = self._error or upload.exception()
            self._changed.notify_all()

    def _raise_error(self) -> None:
        if self._error is not None:
            raise self._error


class RemoteFile:
    """A remote file that is being written; made by `RemoteFolder.create`."""

    def __init__(self, folder: RemoteFolder, path: UPath, handle: Any) -> None:
        self._folder, self._handle = folder, handle
        self.path = path
        self.size_bytes = 0

    def write(self, content: bytes) -> None:
        """Append bytes."""
        with _writing(self.path):
            self._handle.write(content)
        self.size_bytes += len(content)

    def finish(self) -> None:
        """Complete the file, at the latest when the folder's block ends."""
        self._folder.send(self)

    def close(self) -> None:
        """Complete the file now."""
        try:
            with _writing(self.path):
                self._handle.close()
        except BaseException:
            self.abandon()
            raise

    def abandon(self) -> None:
        """Leave no complete file, and no part of one where the file system can take back what was sent."""
        with suppress(Exception):
            self._handle.discard()
        # Closing would send what was written so far.
        with suppress(Exception):
            self._handle.closed = True


@contextmanager
def _writing(path: UPath) -> Iterator[None]:
    """Raise errors of the file system as one that names the file, also where it takes a bucket for a missing file."""
    try:
        with remote.translate_errors(path, named=False):
            yield
    except OSError as error:
        raise StorageError(f"{path} cannot be written: {error}") from error.__cause__
