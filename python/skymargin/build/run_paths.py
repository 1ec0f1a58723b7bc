"""Names of the folders of a run, by which the next run of the same output finds them.

They are `NAME.skymargin-PURPOSE-KEY` or `NAME.skymargin-PURPOSE-KEY-TOKEN`. KEY identifies the path of the output, so
that runs of different outputs can share folders. TOKEN, the beginning of a longer one, identifies one start of a run,
so that a task of a run that was given up cannot write into the folders of a later run.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from skymargin.catalogs.place_mark import PlaceMark
from skymargin.storage.paths import REMOVED, TEMP_MARK, AnyPath, names_in, translate_errors

if TYPE_CHECKING:
    from upath import UPath

# Records that others look for: all margins are made but not published yet; files of one are being written to its place
# on an object store, with the names of those that may be there until it is complete; the run has ended.
PUBLISHING = "placing.json"
COPYING = "copying"
COMPLETED = "completed"
# How much of a token is in the names of folders.
_TOKEN_LENGTH = 8


@dataclass(frozen=True)
class RunPaths:
    """The folders of the runs that make one margin catalog.

    However local folders are spelled, they are known by their real paths, so that the same folder is the same path. A
    link at the path of the margin catalog itself stays: it is what a run replaces.

    Attributes
    ----------
    final : Path or UPath
        The margin catalog.
    intermediate : Path or UPath
        Folder in which shards are kept.
    progress : Path
        Folder in which the records of progress are kept.
    """

    final: AnyPath
    intermediate: AnyPath
    progress: Path

    def __post_init__(self) -> None:
        # Folders that are the same get one spelling, so that a link or `..` does not make two of one. It is that of the
        # user: on other machines a link may lead to another path.
        known = {real_path(self.final.parent): self.final.parent} if isinstance(self.final, Path) else {}
        for name in ("intermediate", "progress"):
            folder = getattr(self, name)
            if isinstance(folder, Path):
                object.__setattr__(self, name, known.setdefault(real_path(folder), folder))

    @cached_property
    def key(self) -> str:
        """Identifies the path of the output."""
        return key_of(self.place)

    @cached_property
    def place(self) -> str:
        """The path of the output, however it is spelled."""
        final = self.final
        return str(real_path(final.parent) / final.name if isinstance(final, Path) else final)

    @cached_property
    def records(self) -> Path:
        """Folder of the records."""
        return self.progress / self._name("progress")

    @property
    def old(self) -> AnyPath:
        """Name of the replaced catalog between the two moves of an overwrite; on local file systems only."""
        return self.final.parent / self._name("old")

    def shards(self, token: str) -> AnyPath:
        """Folder of the shards."""
        return self.intermediate / self._name("shards", token[:_TOKEN_LENGTH])

    def partial(self, token: str, *, in_place: bool = False) -> AnyPath:
        """Folder in which the margin catalog is built; with `in_place`, all but its margins, on this machine."""
        return (self.progress if in_place else self.final.parent) / self._name(
            "partial", token[:_TOKEN_LENGTH]
        )

    def mark(self, token: str) -> PlaceMark:
        """The mark of a run that writes to `final` at once, on an object store."""
        return PlaceMark(cast("UPath", self.final), token, self.partial(token, in_place=True))

    @staticmethod
    def has_token(folder: AnyPath, token: str) -> bool:
        """Whether the name of one of these two folders ends with this token."""
        return folder.name.endswith(f"-{token[:_TOKEN_LENGTH]}")

    @property
    def locks(self) -> list[Path]:
        """Lock files: one in each folder that a run writes to, for remote ones in the system's temporary folder.

        Whoever sees one of its folders finds a lock there.
        """
        folders: dict[Path, Path] = {}
        for place in (self.final.parent, self.intermediate, self.progress):
            folder = place.absolute() if isinstance(place, Path) else Path(tempfile.gettempdir()).absolute()
            folders.setdefault(real_path(folder), folder)
        return [folder / self._name("lock") for folder in folders.values()]

    @property
    def is_being_published(self) -> bool:
        """Whether a run ended after it had made the margin catalog, and before it had cleaned up."""
        return (self.records / PUBLISHING).exists() and not (self.records / COMPLETED).exists()

    @property
    def copied_names(self) -> frozenset[str]:
        """Files that a run may have left at `final`, on a store, when it ended before the margin catalog was complete.

        They are files of that margin catalog and of the one that it replaces. Empty when no copy has begun.
        """
        if (self.records / COMPLETED).exists():
            return frozenset()
        return frozenset(self._copying.get("names", ()))

    @property
    def was_in_place(self) -> bool:
        """Whether the run that left `copied_names` began with nothing at `final`, and wrote there at once.

        Then they are its own only as long as its mark is there.
        """
        return bool(self._copying.get("in_place"))

    @property
    def token(self) -> str:
        """Identifies the run that left `copied_names`."""
        token = self._copying.get("token")
        return token if isinstance(token, str) else ""

    @property
    def _copying(self) -> dict[str, Any]:
        try:
            record = json.loads((self.records / COPYING).read_bytes())
        except (OSError, ValueError, RecursionError):
            return {}
        return record if isinstance(record, dict) else {}

    @property
    def workers(self) -> str:
        """Part of the name of the folder for Dask's own files."""
        return f"workers-{self.key}"

    def leftovers(self) -> list[AnyPath]:
        """The folders that runs of this output have left, except `old`; only the holder of the locks may touch them."""
        bases = dict.fromkeys([self.final.parent, self.intermediate, self.progress])
        entries: list[AnyPath] = []
        for base in bases:
            with translate_errors(base):
                entries += [base / name for name in sorted(names_in(base) or ())]
        return [entry for entry in entries if self.is_of_this(entry.name)]

    def dask_leftovers(self, base: Path) -> list[Path]:
        """The folders of Dask that killed runs of this output have left in a folder; see `leftovers`."""
        ours = re.compile(rf"dask{re.escape(TEMP_MARK)}({REMOVED})?workers-{self.key}-.*")
        return [entry for entry in base.iterdir() if ours.fullmatch(entry.name)] if base.exists() else []

    def is_of_this(self, name: str) -> bool:
        """Whether a folder of this name belongs to the runs of this output."""
        ours = rf"(progress|shards|partial|{REMOVED}[a-z]+)-{self.key}(-.*)?"
        return re.fullmatch(re.escape(self.final.name + TEMP_MARK) + ours, name) is not None

    def _name(self, purpose: str, token: str = "") -> str:
        return f"{self.final.name}{TEMP_MARK}{purpose}-{self.key}{'-' if token else ''}{token}"


# Folders that the next run of the same output makes anew, or that are being removed. That of a replaced margin catalog
# (`old`) is not among them: until the new one is at its path, it is the only one.
_TEMPORARY = re.compile(
    rf"(?P<output>.+){re.escape(TEMP_MARK)}"
    rf"((?P<purpose>shards|partial)|{REMOVED}(shards|partial|progress|old))"
    r"-(?P<key>[0-9a-f]{8})-[0-9a-f]{8}(-[0-9a-f]{8})?"
)


@dataclass(frozen=True)
class TemporaryName:
    """What the name of a temporary folder of a run says.

    Attributes
    ----------
    output : str
        Name of the margin catalog.
    purpose : str
        ``shards``, ``partial``, or ``removed`` for a folder that was being removed; ``unfinished`` for the margin
        catalog itself, when its margins were being written to its place.
    key : str
        Identifies the path of the output, as `RunPaths.key`.
    """

    output: str
    purpose: str
    key: str

    @property
    def lock(self) -> str:
        """Name of the lock files of its runs, as in `RunPaths.locks`."""
        return f"{self.output}{TEMP_MARK}lock-{self.key}"


def temporary_name(name: str) -> TemporaryName | None:
    """Take apart the name of a folder, if it is that of shards, of an unfinished margin, or of a removed folder."""
    match = _TEMPORARY.fullmatch(name)
    if match is None:
        return None
    return TemporaryName(match["output"], match["purpose"] or REMOVED.rstrip("-"), match["key"])


def key_of(place: str) -> str:
    """Identifies the path of an output."""
    return hashlib.sha256(place.encode()).hexdigest()[:8]


def real_path(folder: Path) -> Path:
    """The absolute path of a folder without links, whether it exists or not."""
    return Path(os.path.realpath(folder))
