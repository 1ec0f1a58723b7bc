"""What a run of the benchmarks is asked for."""

from __future__ import annotations

import itertools
import shutil
from dataclasses import dataclass
from pathlib import Path

from benchmarks.cases import CASES
from benchmarks.generate import CACHE, TINY_SHARE, Catalog, Spec, generate
from benchmarks.results import Results
from benchmarks.tools import TOOLS

_RUNS = CACHE / "runs"


def remove_scratch() -> None:
    """Remove all that runs wrote, when everything is measured."""
    shutil.rmtree(_RUNS, ignore_errors=True)


@dataclass(frozen=True)
class Options:
    """How often, how long, with what.

    Attributes
    ----------
    results
        Where results are kept.
    is_trial
        Whether catalogs are tiny: to try the benchmarks, not to measure.
    repetitions
        Runs of a tool on a catalog; the tables have their medians.
    budget_minutes
        No further run of a tool on a catalog after this long.
    timeout_minutes
        A run is ended after this long.
    workers
        Workers of each tool (skymargin: threads of one worker).
    cases, tools, curves
        Those of the parts `comparison` and `scaling`.
    """

    results: Results
    is_trial: bool = False
    repetitions: int = 5
    budget_minutes: float = 3.0
    timeout_minutes: float = 15.0
    workers: int = 2
    cases: tuple[str, ...] = tuple(CASES)
    tools: tuple[str, ...] = tuple(TOOLS)
    curves: tuple[str, ...] = ("rows", "partitions", "columns")

    def catalog(self, spec: Spec) -> Catalog:
        """A catalog, made if it is not there yet."""
        return generate(self._sized(spec))

    def rows(self, count: int) -> int:
        """How many rows to take for so many."""
        return count // TINY_SHARE if self.is_trial else count

    def scratch(self, name: str) -> Path:
        """A folder that does not exist yet, for what runs write.

        It stays until `remove_scratch`: ext4 does not reuse the inode of a removed file for minutes, and looks at each
        of them whenever a file is created, so that files removed in one run make the next one slower.
        """
        numbers = (number for number in itertools.count() if not (_RUNS / f"{name}-{number}").exists())
        return _RUNS / f"{name}-{next(numbers)}"

    def _sized(self, spec: Spec) -> Spec:
        return spec.tiny() if self.is_trial else spec
