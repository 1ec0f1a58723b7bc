"""The mark of a run that writes a margin catalog straight to its place on an object store: whose place it is.

Locks do not reach other machines. The mark does: it is the first file of such a run, at the path of the catalog's own
record, which replaces it when the catalog is complete. A run completes no file there unless it has seen its mark
shortly before, and nothing makes the files a catalog unless the mark is its own to the end.

A run that may replace what it finds (`overwrite`) first puts its own mark there, and waits until the run before it must
have seen that, and its last files have arrived.
"""

from __future__ import annotations

import inspect
import math
import re
import threading
import time
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from skymargin.catalogs.layout import RECORD
from skymargin.errors import OutputInUseError
from skymargin.storage.output_folder import RemoteFolder
from skymargin.storage.paths import AnyPath, list_files, read_bytes, remove_file
from skymargin.storage.remote_output import make_parent

if TYPE_CHECKING:
    from upath import UPath

# When the last file of a run is sent, the run has seen its mark at most this long before.
SEEN_SECONDS = 2.0
# How long a run that takes a place waits for the last files of the run before it. They are sent at once, or in parts of
# which only the last is left.
GRACE_SECONDS = 6.0
_MARK = re.compile(rb'\{"run": "[0-9a-f]+"\}\n')


class PlaceMark:
    """The mark of one run at one place. Threads share it.

    Parameters
    ----------
    folder
        The final path of a margin catalog, on an object store.
    token
        Identifies the run.
    waiting
        The folder in which the record of the catalog waits until it replaces the mark. On a store it does not count.
    """

    def __init__(self, folder: UPath, token: str, waiting: AnyPath) -> None:
        self._folder, self._file = folder, folder / RECORD
        self._content = f'{{"run": "{token}"}}\n'.encode()
        self._record = waiting / RECORD if isinstance(waiting, Path) else None
        self._lock = threading.Lock()
        self._seen_at = -math.inf
        self.lost: OutputInUseError | None = None

    def is_own(self, names: Collection[str]) -> bool:
        """Whether the place is that of this run; `names` are the files that were listed there."""
        return RECORD in names and self._is_own(self._read())

    def is_of_another(self, names: Collection[str]) -> bool:
        """Whether there is the mark of another run; `names` are the files that were listed there."""
        content = self._read() if RECORD in names else None
        return content is not None and _MARK.fullmatch(content) is not None and content != self._content

    def seen(self) -> None:
        """Check that the place was that of this run in the last `SEEN_SECONDS`.

        Raises
        ------
        OutputInUseError
            When it is not.
        """
        age_seconds = time.monotonic() - self._seen_at
        if age_seconds < SEEN_SECONDS / 2:
            return
        # One thread looks again in time, so that the others need not wait for the answer.
        if self._lock.acquire(blocking=age_seconds >= SEEN_SECONDS):
            try:
                if time.monotonic() - self._seen_at >= SEEN_SECONDS / 2:
                    self.check()
            finally:
                self._lock.release()

    def check(self) -> None:
        """Check now that the place is that of this run.

        Raises
        ------
        OutputInUseError
            When it is not.
        """
        # A mark that is found was there when it was asked for.
        asked_at = time.monotonic()
        content = self._read()
        if not self._is_own(content):
            self.lost = self.in_use() if content is not None else self._removed()
            raise self.lost
        self._seen_at = asked_at

    def claim(self) -> None:
        """Write the mark where there is nothing.

        Of two runs that do it at the same moment, one fails, where the store can write a file only if there is none (S3
        and Google Cloud Storage can). Elsewhere the one that wrote first notices it later.

        Raises
        ------
        OutputInUseError
            When another run was faster.
        StorageError
            When the mark cannot be written.
        """
        make_parent(self._file)
        try:
            _create(self._file, self._content)
        except Exception:
            # It is there, be it by a request of this run whose answer was lost; or the store cannot do that.
            if self._read() is None:
                self._write()
        self.check()
        if list_files(self._folder).keys() - {RECORD}:
            # They have come between the caller's look and the mark, which is none of theirs.
            remove_file(self._file)
            self.lost = self.in_use()
            raise self.lost

    def take(self) -> None:
        """Write the mark where other files are that may be replaced, and wait for a run that may still write there.

        Raises
        ------
        OutputInUseError
            When another run has taken the place meanwhile.
        StorageError
            When the mark cannot be written.
        """
        self._write()
        time.sleep(GRACE_SECONDS)
        self.check()

    def in_use(self) -> OutputInUseError:
        """The error of a run whose place is that of another run."""
        return OutputInUseError(
            f"another run writes to {self._folder}: wait for it, or end it and start again; this run has removed "
            "nothing there"
        )

    def _removed(self) -> OutputInUseError:
        return OutputInUseError(
            f"{self._file}, by which runs know who writes there, was removed while this run wrote: start it again"
        )

    def _is_own(self, content: bytes | None) -> bool:
        if content is None or content == self._content:
            return content is not None
        record = self._record
        return record is not None and record.is_file() and record.read_bytes() == content

    def _read(self) -> bytes | None:
        try:
            return read_bytes(self._file)
        except FileNotFoundError:
            return None

    def _write(self) -> None:
        with RemoteFolder(self._folder) as folder:
            mark = folder.create(RECORD)
            mark.write(self._content)
            mark.finish()


def _create(file: UPath, content: bytes) -> None:
    """Write a file only if there is none; fails with any error."""
    write = file.fs.pipe_file
    # Older versions of fsspec would hand the mode on to the store.
    if "mode" not in inspect.signature(write).parameters:
        raise NotImplementedError(f"{type(file.fs).__name__} has no exclusive writes")
    write(file.path, content, mode="create")
