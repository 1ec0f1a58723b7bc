"""What a part of the campaign tried, and how it ended."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

RESULTS = Path(__file__).parents[2] / "build" / "trust"


@dataclass
class Tally:
    """One kind of fault: how often it was tried, and how the runs ended.

    Attributes
    ----------
    fault
        The kind of fault, in a few words.
    survived
        Runs, gone on with where they were cut off, that ended in the right result.
    refused
        Runs that ended in a clear error which names the file or the argument, and left nothing that looks valid.
    failures
        Everything else: what happened, with the seed or the case that repeats it.
    """

    fault: str
    survived: int = 0
    refused: int = 0
    failures: list[str] = field(default_factory=list)

    @property
    def tried(self) -> int:
        """All that was tried."""
        return self.survived + self.refused + len(self.failures)

    def count(self, case: str, failures: str | Sequence[str] = "", *, refused: bool = False) -> None:
        """Count the run of a case: failed if anything is told of it, else refused or survived."""
        if failures:
            told = failures if isinstance(failures, str) else "; ".join(failures)
            self.failures.append(f"{case}: {told}")
        elif refused:
            self.refused += 1
        else:
            self.survived += 1


@dataclass
class Figures:
    """A table of measured figures, with the sentence above it."""

    title: str
    heads: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass
class Outcome:
    """What a part of the campaign found.

    Attributes
    ----------
    part
        Its name.
    tallies
        Its faults, counted.
    figures
        What it measured.
    failures
        Limits that a measurement broke, in words; those of the tallies are counted beside.
    left_out
        What could not be tried on this machine, and why.
    seconds
        How long it took.
    """

    part: str
    tallies: list[Tally] = field(default_factory=list)
    figures: list[Figures] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def all_failures(self) -> list[str]:
        """Every failure, with the fault it belongs to."""
        counted = [f"{tally.fault}: {failure}" for tally in self.tallies for failure in tally.failures]
        return [*self.failures, *counted]


def keep(outcome: Outcome) -> None:
    """Write an outcome to where the page is made from."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / f"{outcome.part}.json").write_text(json.dumps(asdict(outcome), indent=1))


def kept(part: str) -> Outcome | None:
    """Return what was kept of a part, if it was run."""
    path = RESULTS / f"{part}.json"
    if not path.exists():
        return None
    read = json.loads(path.read_text())
    read["tallies"] = [Tally(**tally) for tally in read["tallies"]]
    read["figures"] = [Figures(**figures) for figures in read["figures"]]
    return Outcome(**read)
