"""One build in a process of its own, measured from outside: ``python -m tests.campaign.builds RESULT ARGUMENTS``."""

from __future__ import annotations

import importlib
import json
import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.meter import Measurement, measure

STAGES = ("planning", "mapping", "reducing", "finishing")


@dataclass(frozen=True)
class Build:
    """What a build cost, what it reports (nothing if it failed), and the end of what it printed.

    Processor time is without what inventing rows took. Wall time that rows were invented in is not known: several files
    are read at once, on one thread too.
    """

    cost: Measurement
    report: Mapping[str, Any]
    printed: str = ""

    @property
    def failure(self) -> str:
        """How it failed, if it did."""
        if self.cost.exit_code == 0:
            return ""
        how = "took too long" if self.cost.exit_code is None else f"ended with {self.cost.exit_code}"
        return f"the build {how}: {self.printed}"

    @property
    def seconds(self) -> float:
        """Wall time of the whole process; not a number where rows were invented."""
        return math.nan if self.report["inventing_seconds"] else self.cost.seconds

    @property
    def processor_seconds(self) -> float:
        """Processor time of the whole process."""
        return self.cost.cpu_seconds - float(self.report["inventing_seconds"])

    def stage_seconds(self, stage: str) -> float:
        """Wall time of a stage; not a number where rows were invented, which is while mapping."""
        is_known = stage != STAGES[1] or not self.report["inventing_seconds"]
        return float(self.report["seconds"][stage]) if is_known else math.nan


def build(
    catalog: str | Path,
    output: Path,
    threshold_arcsec: float,
    *,
    timeout_seconds: float = 900.0,
    anonymous: bool = False,
    **arguments: object,
) -> Build:
    """Build a margin in a new folder; further arguments are those of the pipeline."""
    output.mkdir(parents=True)
    result, log = output / "result.json", output / "build.log"
    told = {
        "input_catalog_path": str(catalog),
        "output_path": str(output),
        "output_artifact_name": "margin",
        "margin_threshold": threshold_arcsec,
        "progress_bar": False,
    }
    command = [sys.executable, "-m", "tests.campaign.builds", str(result), json.dumps(told | arguments)]
    cost = measure(command, timeout_seconds, log, anonymous=anonymous)
    report = json.loads(result.read_text()) if cost.exit_code == 0 else {}
    return Build(cost, report, log.read_text(errors="replace")[-2_000:])


def build_recorded(
    catalog: str | Path, output: Path, threshold_arcsec: float, threads: int, workers: int = 1
) -> Build:
    """Build a margin and keep the records of its tasks; a build that fails is an error."""
    done = build(
        catalog,
        output,
        threshold_arcsec,
        dask_threads_per_worker=threads,
        dask_n_workers=workers,
        resume_tmp=str(output / "records"),
        delete_resume_log_files=False,
    )
    if done.failure:
        raise RuntimeError(f"{catalog}: {done.failure}")
    return done


def main() -> None:
    """Build the margin and write its report."""
    from skymargin import MarginCacheArguments, pipeline

    result, told = Path(sys.argv[1]), json.loads(sys.argv[2])
    invented: Any = None
    if told["input_catalog_path"].startswith("invented://"):
        # Registers its file system.
        invented = importlib.import_module("tests.campaign.growth.invented").InventedFileSystem
    report = pipeline(MarginCacheArguments(**told)).to_dict()
    # Each task leaves a record, where records are kept.
    tasks = sum(1 for name in ("mapped-*", "reduced-*") for _ in result.parent.rglob(name))
    report |= {"tasks": tasks, "inventing_seconds": invented.inventing_seconds if invented else 0.0}
    result.write_text(json.dumps(report))


if __name__ == "__main__":
    main()
