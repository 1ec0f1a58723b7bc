"""One build of a catalog that grows, in a process of its own: what it cost, and what it reports."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.meter import Measurement, measure
from tests.campaign.growth.process import STAGES

TIMEOUT_SECONDS = 900.0


@dataclass(frozen=True)
class Build:
    """A build, measured from outside, and its report. Times are without what inventing rows took."""

    cost: Measurement
    report: Mapping[str, Any]

    @property
    def seconds(self) -> float:
        """Wall time of the whole process; where rows are invented there is one thread."""
        return self.cost.seconds - float(self.report["inventing_seconds"])

    @property
    def processor_seconds(self) -> float:
        """Processor time of the whole process."""
        return self.cost.cpu_seconds - float(self.report["inventing_seconds"])

    def stage_seconds(self, stage: str) -> float:
        """Wall time of a stage; rows are invented while mapping."""
        spent = float(self.report["seconds"][stage])
        return spent - float(self.report["inventing_seconds"]) if stage == STAGES[1] else spent


def build(
    catalog: str,
    scratch: Path,
    threshold_arcsec: float,
    threads: int,
    keep: Path | None = None,
    workers: int = 1,
) -> Build:
    """Build a margin; what was built is removed, unless there is a folder where to `keep` it.

    Raises
    ------
    RuntimeError
        When the build fails, with what it said.
    """
    output, result, log = (scratch / name for name in ("output", "result.json", "build.log"))
    shutil.rmtree(output, ignore_errors=True)
    output.mkdir()
    command = [sys.executable, "-m", "tests.campaign.growth.process", str(result), catalog, str(output)]
    cost = measure([*command, str(threshold_arcsec), str(threads), str(workers)], TIMEOUT_SECONDS, log)
    if cost.exit_code != 0:
        how = "took too long" if cost.exit_code is None else f"ended with {cost.exit_code}"
        raise RuntimeError(f"the build of {catalog} {how}: {log.read_text()[-2_000:]}")
    report = json.loads(result.read_text())
    if keep is not None:
        (output / "margin").rename(keep)
    shutil.rmtree(output)
    return Build(cost, report)
