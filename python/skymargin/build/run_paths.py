"""Where a run keeps what is not the margin yet, by names that the next run of the same output finds again.

Everything is named `NAME.skymargin-PURPOSE-KEY` or `NAME.skymargin-PURPOSE-KEY-TOKEN`: KEY stands for the place of the
output, so that runs of other outputs are told apart whatever folders they share, and TOKEN for one beginning of a run,
so that a task of a run that was given up cannot write into what a later one goes on with.
"""

from __future__ import annotations

import hashlib
import re
import tempfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from skymargin.storage.paths import REMOVED, TEMP_MARK, AnyPath, is_local, translate_errors

# Records that are looked for from outside: all is made but not at its place yet; it is being copied there, on an
# object store; all is over.
PUBLISHING = "placing.json"
COPYING = "copying"
COMPLETED = "completed"


@dataclass(frozen=True)
class RunPaths:
    """The folders of the runs that make one margin catalog.

    Attributes
    ----------
    final : Path or UPath
        The margin catalog.
    intermediate : Path
        Folder in which shards are kept.
    progress : Path
        Folder in which the records of progress are kept.
    """

    final: AnyPath
    intermediate: Path
    progress: Path

    @cached_property
    def key(self) -> str:
        """What stands for the place of the output."""
        final = self.final
        place = final.parent.resolve() / final.name if isinstance(final, Path) else final
        return hashlib.sha256(str(place).encode()).hexdigest()[:8]

    @cached_property
    def records(self) -> Path:
        """Folder of the records."""
        return self.progress / self._name("progress")

    @property
    def old(self) -> AnyPath:
        """Where the catalog that is replaced is between the two moves of an overwrite; on local file systems only."""
        return self.final.parent / self._name("old")

    def shards(self, token: str) -> Path:
        """Folder of the shards."""
        return self.intermediate / self._name("shards", token)

    def partial(self, token: str) -> AnyPath:
        """Folder in which the margin catalog is built."""
        return self.final.parent / self._name("partial", token)

    @property
    def locks(self) -> list[Path]:
        """Lock files: one where the output is, or stands for it on this machine, and one where the records are."""
        beside = self.final.parent if is_local(self.final) else tempfile.gettempdir()
        folders = dict.fromkeys([Path(str(beside)).absolute(), self.progress])
        return [folder / self._name("lock") for folder in folders]

    @property
    def is_being_published(self) -> bool:
        """Whether a run ended between having made the margin catalog and having cleaned up after it."""
        return (self.records / PUBLISHING).exists() and not (self.records / COMPLETED).exists()

    @property
    def copy_has_begun(self) -> bool:
        """Whether a run ended after it had begun to copy the margin catalog to its place on an object store."""
        return (self.records / COPYING).exists() and not (self.records / COMPLETED).exists()

    @property
    def workers(self) -> str:
        """What is in the name of the folder for Dask's own files."""
        return f"workers-{self.key}"

    def leftovers(self) -> list[AnyPath]:
        """The folders that runs of this output have left, but for `old`; only who holds the locks may touch them."""
        bases = dict.fromkeys([self.final.parent, self.intermediate, self.progress])
        entries: list[AnyPath] = []
        for base in bases:
            with translate_errors(base):
                if base.exists():
                    entries += sorted(base.iterdir(), key=str)
        return [entry for entry in entries if self.is_of_this(entry.name)]

    def dask_leftovers(self, base: Path) -> list[Path]:
        """The folders of Dask that killed runs of this output have left in a folder; as for `leftovers`."""
        ours = re.compile(rf"dask{re.escape(TEMP_MARK)}({REMOVED})?workers-{self.key}-.*")
        return [entry for entry in base.iterdir() if ours.fullmatch(entry.name)] if base.exists() else []

    def is_of_this(self, name: str) -> bool:
        """Whether a folder of this name belongs to the runs of this output."""
        ours = rf"(progress|shards|partial|{REMOVED}[a-z]+)-{self.key}(-.*)?"
        return re.fullmatch(re.escape(self.final.name + TEMP_MARK) + ours, name) is not None

    def _name(self, purpose: str, token: str = "") -> str:
        return f"{self.final.name}{TEMP_MARK}{purpose}-{self.key}{'-' if token else ''}{token}"
