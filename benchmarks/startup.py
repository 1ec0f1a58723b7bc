"""Where the time of a small build goes: interpreter, imports, each stage, exit."""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import sys
import time

from benchmarks.compare import CASES, RESULTS, THRESHOLD_ARCSEC
from benchmarks.environments import ROOT
from benchmarks.generate import CACHE, generate
from benchmarks.race import warm
from benchmarks.tables import table

# Runs in a fresh interpreter: clock readings that this process compares with its own (one clock for all
# processes).
_PROBE = """
import time
marks = {"interpreter": time.monotonic()}
import skymargin
marks["import skymargin"] = time.monotonic()
from skymargin import MarginCacheArguments, pipeline
import sys, json
catalog, output, threshold, workers = sys.argv[1:]
marks["import of the pipeline"] = time.monotonic()
args = MarginCacheArguments(input_catalog_path=catalog, output_path=output, output_artifact_name="margin",
    margin_threshold=float(threshold), dask_n_workers=1,
    dask_threads_per_worker=int(workers), progress_bar=False)
marks["arguments"] = time.monotonic()
report = pipeline(args)
marks["pipeline"] = time.monotonic()
print(json.dumps({"marks": marks, "stages": report.seconds}), flush=True)
"""


def measure_startup(*, repetitions: int, workers: int) -> None:
    """Measure the parts of a small build and keep their medians in the cache."""
    catalog = generate(CASES["small"].spec)
    warm(catalog)
    output = CACHE / "runs" / "startup"
    parts: dict[str, list[float]] = {}
    for _ in range(repetitions):
        shutil.rmtree(output, ignore_errors=True)
        output.mkdir(parents=True)
        given = [str(catalog.path), str(output), str(THRESHOLD_ARCSEC), str(workers)]
        command = [sys.executable, "-c", _PROBE, *given]
        start = time.monotonic()
        found = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
        stop = time.monotonic()
        probe = json.loads(found.stdout.splitlines()[-1])
        before = start
        for name, mark in probe["marks"].items():
            if name != "pipeline":
                parts.setdefault(name, []).append(mark - before)
                before = mark
        stages = probe["stages"]
        for name, spent in stages.items():
            parts.setdefault(f"stage {name}", []).append(spent)
        parts.setdefault("pipeline, outside its stages", []).append(
            probe["marks"]["pipeline"] - before - sum(stages.values())
        )
        parts.setdefault("exit", []).append(stop - probe["marks"]["pipeline"])
        parts.setdefault("all", []).append(stop - start)
    shutil.rmtree(output, ignore_errors=True)
    RESULTS.mkdir(parents=True, exist_ok=True)
    medians = {name: statistics.median(values) for name, values in parts.items()}
    (RESULTS / "startup.json").write_text(json.dumps(medians, indent=1))


def markdown() -> str:
    """The parts as a table."""
    path = RESULTS / "startup.json"
    if not path.exists():
        raise FileNotFoundError("the start-up has not been measured: python -m benchmarks startup")
    medians = json.loads(path.read_text())
    return table(["part", "seconds"], [[name, f"{value:.3f}"] for name, value in medians.items()])
