"""Small files that several runs change at the same time: no change is lost."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from skymargin.errors import StorageError
from skymargin.storage.paths import AnyPath, atomic_write, exists, read_text, translate_errors

if TYPE_CHECKING:
    from upath import UPath

# Two runs can change a file on an object store at the same time: each reads it again to see its own change.
_TRIES = 5


def change_file(file: AnyPath, change: Callable[[str], str], initial: str | None = None) -> None:
    """Change the text of a file.

    Parameters
    ----------
    file
        The file. A local one is replaced in one step, and its folder is locked meanwhile.
    change
        Returns the new text for the present one; it may be called several times.
    initial
        The text to change when there is no file; without it, the file must exist.

    Raises
    ------
    StorageError
        When the file cannot be read or written.
    """
    try:
        if isinstance(file, Path):
            _change_local(file, change, initial)
        else:
            _change_remote(file, change, initial)
    except StorageError:
        raise
    except OSError as error:
        raise StorageError(f"{file} cannot be changed: {error}") from error


def _change_local(file: Path, change: Callable[[str], str], initial: str | None) -> None:
    with _locked(file.parent):
        is_new = initial is not None and not file.exists()
        before = initial if initial is not None and is_new else read_text(file)
        after = change(before)
        if is_new or after != before:
            with atomic_write(file) as aside:
                aside.write_bytes(after.encode())
                if not is_new:
                    shutil.copymode(file, aside)


def _change_remote(file: UPath, change: Callable[[str], str], initial: str | None) -> None:
    """Change a file that cannot be locked, and repeat the change when another writer has overwritten it."""
    for _ in range(_TRIES):
        is_new = initial is not None and not exists(file)
        before = initial if initial is not None and is_new else read_text(file)
        after = change(before)
        if after == before and not is_new:
            return
        with translate_errors(file):
            file.write_text(after, encoding="utf-8")
            file.fs.invalidate_cache()
    if change(text := read_text(file)) != text:
        raise StorageError(f"{file} cannot be changed: other processes change it at the same time")


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Wait for other processes and threads of skymargin that change a folder's properties, and keep them out."""
    try:
        import fcntl
    except ImportError:
        # Windows has neither these locks nor descriptors of folders: there, two runs that end in the same millisecond
        # can lose an entry.
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):
            # The lock is on the folder, so that no file is left behind, even by a killed run. Some network file
            # systems have no locks; they are like Windows.
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
