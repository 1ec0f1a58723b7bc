"""Locks: two runs cannot hold one, and the kernel drops that of a killed run.

`filelock` locks the files; here they get the name of their owner, and are removed at the end. A file is removed before
its lock is released, and `filelock` takes no lock on a file that has no name any more.
"""

from __future__ import annotations

import errno
import os
import socket
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from skymargin.errors import OutputInUseError, StorageError

# Some network file systems have no locks: then nobody is kept out.
_NO_LOCKS = (errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOLCK, errno.EINVAL)


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
        When another run holds one of them.
    StorageError
        When a lock file cannot be made.
    """
    with ExitStack() as locks:
        for file in files:
            try:
                file.parent.mkdir(parents=True, exist_ok=True)
                _acquire(file, what, locks)
            except OutputInUseError:
                raise
            except OSError as error:
                raise StorageError(f"{file.parent} cannot be written to: {error}") from error
        yield


def _acquire(file: Path, what: str, locks: ExitStack) -> None:
    # Imported when a run starts, so that `import skymargin` stays fast.
    from filelock import FileLock, Timeout

    lock = FileLock(file, timeout=0, fallback_to_soft=False, on_acquired=_write_owner)
    try:
        try:
            lock.acquire()
        except Timeout:
            # The owner may have ended, and removed its file, between our opening and locking it.
            if file.exists():
                raise
            lock.acquire()
    except Timeout:
        if not file.exists():
            _check_files_can_be_made(file.parent)
        # Windows lets nobody read a locked file.
        with suppress(OSError):
            owner = file.read_text(encoding="utf-8", errors="replace").strip()
            what += f" ({owner})" if owner else ""
        raise OutputInUseError(
            f"another run is making {what}; wait for it, or end it and start again"
        ) from None
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
    locks.callback(lock.release)
    locks.callback(_remove, file)


def _check_files_can_be_made(folder: Path) -> None:
    """Raise `OSError` where no file can be made.

    Of such a folder, /proc for one, `filelock` says what it says of a file that another run holds.
    """
    # Another name than that of the lock: that file is another run's as soon as it exists.
    with tempfile.TemporaryFile(dir=folder):
        pass


def _write_owner(descriptor: int) -> None:
    os.ftruncate(descriptor, 0)
    os.write(descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode())


def _remove(file: Path) -> None:
    # Windows removes no open file; `filelock` removes it there.
    with suppress(OSError):
        file.unlink()
