"""Several margins in one run: what a further, narrower margin costs beside the widest alone."""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import time

from benchmarks import machine
from benchmarks.compare import CASES, RESULTS
from benchmarks.environments import ROOT
from benchmarks.generate import CACHE, generate
from benchmarks.race import warm
from benchmarks.tables import seconds, table

CASE = "stars-100"
THRESHOLDS_ARCSEC = (5.0, 100.0)
TOGETHER = "both in one run"

# Runs in a fresh interpreter; the clocks are those of the call alone, with all threads.
_BUILD = """
import json, sys, time
from skymargin import MarginCacheArguments, pipeline
catalog, output, threads, *thresholds = sys.argv[1:]
margins = [
    MarginCacheArguments(
        output, f"margin_{threshold}", input_catalog_path=catalog, margin_threshold=float(threshold),
        dask_threads_per_worker=int(threads), progress_bar=False,
    )
    for threshold in thresholds
]
start, before = time.perf_counter(), time.process_time()
reports = pipeline(margins)
print(json.dumps({
    "seconds": time.perf_counter() - start, "processor": time.process_time() - before,
    "rows": sum(report.rows for report in reports),
}))
"""


def measure_several(*, repetitions: int, workers: int) -> None:
    """Measure each margin alone and all in one run, in turn, and keep what was found in the cache."""
    catalog = generate(CASES[CASE].spec)
    warm(catalog)
    output = CACHE / "runs" / "several"
    runs = {f"{threshold:g} arcsec alone": [threshold] for threshold in THRESHOLDS_ARCSEC}
    runs[TOGETHER] = list(THRESHOLDS_ARCSEC)
    busy_before = machine.busy_share()
    found: dict[str, dict[str, list[float]]] = {name: {} for name in runs}
    for _ in range(repetitions):
        for name, thresholds in runs.items():
            shutil.rmtree(output, ignore_errors=True)
            command = [sys.executable, "-c", _BUILD, str(catalog.path), str(output), str(workers)]
            command += [f"{threshold:g}" for threshold in thresholds]
            done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
            for measured, value in json.loads(done.stdout).items():
                found[name].setdefault(measured, []).append(value)
    shutil.rmtree(output, ignore_errors=True)
    RESULTS.mkdir(parents=True, exist_ok=True)
    kept = {
        "runs": found,
        "machine": machine.describe(),
        "workers": workers,
        "busy_before": busy_before,
        "load": os.getloadavg()[0],
        "measured": time.strftime("%Y-%m-%d"),
    }
    (RESULTS / "several.json").write_text(json.dumps(kept, indent=1))


def markdown() -> str:
    """What was measured as a table."""
    path = RESULTS / "several.json"
    if not path.exists():
        raise FileNotFoundError("several margins have not been measured: python -m benchmarks several")
    kept = json.loads(path.read_text())
    medians = {
        name: {measured: statistics.median(values) for measured, values in run.items()}
        for name, run in kept["runs"].items()
    }
    widest = medians[f"{max(THRESHOLDS_ARCSEC):g} arcsec alone"]
    rows = [
        [
            name,
            seconds(one["seconds"]),
            f"{one['seconds'] / widest['seconds']:.2f}",
            seconds(one["processor"]),
            f"{one['processor'] / widest['processor']:.2f}",
            f"{one['rows']:,.0f}",
        ]
        for name, one in medians.items()
    ]
    repetitions = len(kept["runs"][TOGETHER]["seconds"])
    return (
        f"{CASES[CASE].title}, {kept['workers']} threads, on {kept['machine']}. Other work took "
        f"{kept['busy_before']:.0%} of the processors just before, and the load was {kept['load']:.1f} at the end: on "
        f"a busy machine processor time says more than seconds. Medians of {repetitions} runs of each, in turn. "
        "Command: `python -m benchmarks several`.\n\n"
        + table(["", "seconds", "times the widest", "processor seconds", "times the widest", "rows"], rows)
    )
