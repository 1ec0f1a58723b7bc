"""Temporary folders that no run came back for: found by their names, known by what they hold, removed when asked to.

So are margin catalogs that were being written to their places on a store, of which only the margins are there.

A run removes its folders at its end, and the next run of the same output removes those of the runs before it. What
stays is of outputs that nobody makes again, or makes from another machine: nothing else removes it.
"""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

from skymargin.build.checkpoint.lock import locked
from skymargin.build.run_paths import TemporaryName, key_of, temporary_name
from skymargin.catalogs.layout import COLLECTION, RECORD, VALID_BY
from skymargin.catalogs.ownership import foreign_to_run, inspect_existing
from skymargin.errors import OutputInUseError, StorageError
from skymargin.formatting import listed
from skymargin.storage.listing import FileStatus, files_with_times, subfolders
from skymargin.storage.paths import REMOVED, AnyPath, can_list, exists, names_in, remove_folder


@dataclass(frozen=True)
class Leftover:
    """A temporary folder of a run, or an unfinished margin catalog.

    Attributes
    ----------
    path : Path or UPath
        The folder.
    name : TemporaryName
        What its name says.
    files : dict of str to FileStatus
        Its files, by path relative to it.
    written_unix_seconds : float or None
        When a run of the same output last wrote something; None when the file system does not say.
    foreign : str
        Why it is not what a run leaves, in words that follow "it"; empty when it is.
    """

    path: AnyPath
    name: TemporaryName
    files: dict[str, FileStatus]
    written_unix_seconds: float | None
    foreign: str

    @property
    def output(self) -> AnyPath:
        """The margin catalog, if the folder lies beside it; with a `tmp_dir`, the name is all that is known of it."""
        return self.path.parent / self.name.output

    @property
    def size_bytes(self) -> int:
        """The size of its files."""
        return sum(file.size_bytes for file in self.files.values())

    @property
    def age_seconds(self) -> float | None:
        """How long ago a run of the same output last wrote something; None when that is not known."""
        written = self.written_unix_seconds
        return None if written is None else max(0.0, time.time() - written)

    def is_older_than(self, age_seconds: float) -> bool:
        """Whether it is known to be as old as this, or older."""
        return self.age_seconds is not None and self.age_seconds >= age_seconds

    @property
    def locks(self) -> list[Path]:
        """The lock files of runs of the same output on this machine, as far as this folder tells where they are."""
        beside = [self.path.parent] if isinstance(self.path, Path) else []
        return [folder.absolute() / self.name.lock for folder in (*beside, Path(tempfile.gettempdir()))]

    @property
    def holder(self) -> str:
        """Who holds one of the locks, in words; empty when nobody does."""
        try:
            with locked([file for file in self.locks if file.exists()], str(self.output)):
                pass
        except OutputInUseError as error:
            return str(error)
        return ""


def find_leftovers(folder: AnyPath) -> list[Leftover]:
    """What runs have left in a folder, also runs that work right now; nothing is changed.

    Parameters
    ----------
    folder
        A folder of margin catalogs, or a `tmp_dir`. Its subfolders are not searched.

    Raises
    ------
    OSError
        When something cannot be listed.
    """
    if not can_list(folder):
        return []
    runs: dict[TemporaryName, list[Leftover]] = {}
    for path in subfolders(folder):
        name = temporary_name(path.name) or _unfinished(path)
        if name is None:
            continue
        try:
            leftover = _inspect(path, name)
        except FileNotFoundError:
            # Its run has removed or renamed it meanwhile.
            continue
        # Some stores list folders whose files have been removed.
        if leftover.files or isinstance(path, Path):
            runs.setdefault(replace(name, purpose=""), []).append(leftover)
    found = []
    for leftovers in runs.values():
        # A run that reduces writes no shards any more: the folders of one output are as old as the newest of them.
        written = _last_written(leftovers)
        found += [replace(leftover, written_unix_seconds=written) for leftover in leftovers]
    return sorted(found, key=lambda leftover: str(leftover.path))


def remove_leftover(leftover: Leftover) -> None:
    """Remove a temporary folder, while no run of the same output can start on this machine.

    Raises
    ------
    OutputInUseError
        When a run of the same output works on this machine.
    StorageError
        When the folder has changed since it was found, or cannot be removed.
    """
    path = leftover.path
    with locked(leftover.locks, str(leftover.output)):
        try:
            now = _inspect(path, leftover.name)
        except FileNotFoundError:
            now = replace(leftover, files={})
        if now.files != leftover.files or now.foreign:
            raise StorageError(f"{path} has changed since it was listed, and was not removed")
        remove_folder(path, last=RECORD, only=now.files)
        _check_removed(path)


def _check_removed(path: AnyPath) -> None:
    left: list[AnyPath]
    if isinstance(path, Path):
        # It got another name, which contains the old one, before it was removed.
        plain = path.name.replace(REMOVED, "")
        left = [each for each in subfolders(path.parent) if each.name.replace(REMOVED, "").startswith(plain)]
    else:
        # Some stores list a folder whose files have been removed.
        left = [path] if files_with_times(path) else []
    if left:
        raise StorageError(f"{left[0]} was not removed completely")


def _inspect(path: AnyPath, name: TemporaryName) -> Leftover:
    files = files_with_times(path)
    times = [file.written_unix_seconds for file in files.values()]
    if isinstance(path, Path):
        times.append(path.lstat().st_mtime)
    return Leftover(path, name, files, _newest(times), _foreign(path, files))


def _unfinished(path: AnyPath) -> TemporaryName | None:
    """The name of a margin catalog whose margins were being written to its place; None for all other folders.

    It is no catalog: it has the mark that such a run leaves first, and nothing that makes it one.
    """
    # On a disk, whole folders are moved to their places.
    if isinstance(path, Path):
        return None
    names = names_in(path) or frozenset()
    if RECORD not in names or not names.isdisjoint((*VALID_BY, COLLECTION)):
        return None
    return TemporaryName(path.name, "unfinished", key_of(str(path)))


def _foreign(path: AnyPath, files: dict[str, FileStatus]) -> str:
    if any(mark in files for mark in VALID_BY):
        existing = inspect_existing(path)
        return "" if existing.replaceable else f"is {existing.description}"
    foreign = foreign_to_run(sorted(files))
    return f"holds {listed(foreign)}, which skymargin did not write" if foreign else ""


def _last_written(leftovers: list[Leftover]) -> float | None:
    """When something was last written to folders of one output, or to the unfinished margin catalog at its place."""
    times = [leftover.written_unix_seconds for leftover in leftovers]
    output = leftovers[0].output
    if not any(exists(output / mark) for mark in VALID_BY):
        times += [file.written_unix_seconds for file in files_with_times(output).values()]
    return _newest(times)


def _newest(times: list[float | None]) -> float | None:
    known = [at for at in times if at is not None]
    return max(known) if known and len(known) == len(times) else None
