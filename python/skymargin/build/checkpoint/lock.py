"""A lock that two runs cannot both have, and that a killed run does not leave behind: the kernel drops it.

Locks are files. The one that has a lock removes its file before it lets go; whoever locked a file that is no longer
there tries again, so that two never hold files of one name.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO

from skymargin.errors import OutputInUseError, StorageError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]


@contextmanager
def locked(files: Sequence[Path], what: str) -> Iterator[None]:
    """Hold all of the locks while the block runs.

    Parameters
    ----------
    files
        The lock files; their folders are made if they are missing.
    what
        What is locked, for the message.

    Raises
    ------
    OutputInUseError
        When another run has one of them.
    StorageError
        When a lock file cannot be made.
    """
    with ExitStack() as held:
        for file in files:
            try:
                file.parent.mkdir(parents=True, exist_ok=True)
                held.enter_context(_lock(file, what))
            except OutputInUseError:
                raise
            except OSError as error:
                raise StorageError(f"{file.parent} cannot be written to: {error}") from error
        yield


@contextmanager
def _lock(file: Path, what: str) -> Iterator[None]:
    lock = _taken(file, what)
    try:
        yield
    finally:
        # Windows removes no file that is open.
        with suppress(OSError):
            file.unlink()
        lock.close()


def _taken(file: Path, what: str) -> IO[str]:
    """The lock file, open and locked."""
    while True:
        lock = file.open("a+", encoding="utf-8")
        try:
            if not _try_lock(lock):
                lock.seek(0)
                owner = lock.read().strip()
                raise OutputInUseError(
                    f"another run is making {what}{f' ({owner})' if owner else ''}; "
                    "wait for it, or end it and start again"
                )
            if _is_at(lock, file):
                lock.truncate(0)
                lock.write(f"process {os.getpid()} on {socket.gethostname()}\n")
                lock.flush()
                return lock
        except BaseException:
            lock.close()
            raise
        lock.close()


def _try_lock(lock: IO[str]) -> bool:
    if fcntl is None:
        return True
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    except OSError:
        # Some network file systems have no locks at all, as Windows here: then nobody is kept out.
        return True
    return True


def _is_at(lock: IO[str], file: Path) -> bool:
    """Whether the open file still has its name."""
    try:
        return os.path.samestat(os.fstat(lock.fileno()), file.stat())
    except FileNotFoundError:
        return False
