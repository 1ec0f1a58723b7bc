"""One race: some tools, one catalog, interleaved repetitions of whole processes."""

from __future__ import annotations

import os
import statistics
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.cases import THRESHOLD_ARCSEC
from benchmarks.generate import Catalog
from benchmarks.meter import Measurement, measure
from benchmarks.options import Options
from benchmarks.tools import Command, Job


@dataclass
class Runs:
    """All runs of one tool on one catalog."""

    measurements: list[Measurement] = field(default_factory=list)
    failure: str = ""

    @property
    def timed_out(self) -> bool:
        """Whether a run was ended at the time-out; it is then the only one that counts."""
        return any(run.exit_code is None for run in self.measurements)

    @property
    def median_seconds(self) -> float:
        """The median of the runs, or how long the ended one ran."""
        if self.timed_out:
            return max(run.seconds for run in self.measurements)
        return statistics.median(run.seconds for run in self.measurements)

    def median_of(self, quantity: str) -> float:
        """The median of another quantity of a `Measurement`."""
        return float(statistics.median(getattr(run, quantity) for run in self.measurements))

    @property
    def peak_tree_bytes(self) -> int:
        """The highest peak of the process tree in any run."""
        return max(run.peak_tree_bytes for run in self.measurements)

    @property
    def peak_process_bytes(self) -> int:
        """The highest resident set of one process in any run."""
        return max(run.peak_process_bytes for run in self.measurements)


def runs_of(result: Mapping[str, Any]) -> dict[str, Runs]:
    """The runs of a kept result."""
    return {
        tool: Runs([Measurement(**run) for run in done["measurements"]], done["failure"])
        for tool, done in result["runs"].items()
    }


def warm(catalog: Catalog) -> None:
    """Read every file once, so that every run finds the same page cache."""
    for path in sorted(catalog.path.rglob("*")):
        if path.is_file():
            with path.open("rb") as file:
                while file.read(1 << 24):
                    pass


def log_file(folder: Path, tool: str, repetition: int) -> Path:
    """What a tool printed in a run of a race."""
    return folder / f"{tool}_{repetition}.log"


def race(
    catalog: Catalog,
    tools: Mapping[str, Command],
    folder: Path,
    options: Options,
) -> tuple[dict[str, Runs], dict[str, Path]]:
    """Run the tools in turn, round after round.

    A tool takes part in further rounds while its runs together took less than the budget, and never after a run that
    failed or was ended at its time-out. What a tool printed is in `log_file`.

    Returns
    -------
    runs
        The runs of each tool.
    margins
        Where the margin of each tool's last complete run lies.
    """
    warm(catalog)
    runs: dict[str, Runs] = {tool: Runs() for tool in tools}
    margins: dict[str, Path] = {}
    for repetition in range(options.repetitions):
        for tool, done in runs.items():
            spent = sum(run.seconds for run in done.measurements)
            if done.failure or done.timed_out or spent >= options.budget_minutes * 60:
                continue
            home = folder / f"{tool}_{repetition}"
            (home / "scratch").mkdir(parents=True)
            run = Job(
                catalog.path, home / "output", "margin", THRESHOLD_ARCSEC, options.workers, home / "scratch"
            )
            run.output.mkdir()
            # No run waits for the disk to take what an earlier one wrote.
            os.sync()
            log = log_file(folder, tool, repetition)
            measurement = measure(tools[tool](run), options.timeout_minutes * 60, log)
            done.measurements.append(measurement)
            if measurement.exit_code:
                lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
                done.failure = lines[-1].strip() if lines else f"exit code {measurement.exit_code}"
            elif measurement.exit_code == 0:
                margins[tool] = run.margin
            print(f"  {tool}, run {repetition + 1}: {measurement.seconds:.2f} s", flush=True)
    return runs, margins
