"""Several margins in one run: what a further, narrower margin costs beside the widest alone."""

from __future__ import annotations

import shutil
import statistics
from typing import Any

from benchmarks.compare import CASES
from benchmarks.generate import CACHE, generate
from benchmarks.race import warm
from benchmarks.results import conditions, keep, kept, printed_json, surroundings
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
    """Measure each margin alone and all in one run, in turn."""
    catalog = generate(CASES[CASE].spec)
    warm(catalog)
    output = CACHE / "runs" / "several"
    groups = {f"{threshold:g} arcsec alone": [threshold] for threshold in THRESHOLDS_ARCSEC}
    groups[TOGETHER] = list(THRESHOLDS_ARCSEC)
    result = surroundings(workers)
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in groups}
    for _ in range(repetitions):
        for name, thresholds in groups.items():
            shutil.rmtree(output, ignore_errors=True)
            texts = [f"{threshold:g}" for threshold in thresholds]
            runs[name].append(printed_json("-c", _BUILD, catalog.path, output, workers, *texts))
    shutil.rmtree(output, ignore_errors=True)
    keep("several", result | {"runs": runs})


def markdown() -> str:
    """What was measured as a table."""
    result = kept("several")
    medians = {
        name: {quantity: statistics.median(run[quantity] for run in runs) for quantity in runs[0]}
        for name, runs in result["runs"].items()
    }
    widest = medians[f"{max(THRESHOLDS_ARCSEC):g} arcsec alone"]
    rows = [
        [
            name,
            seconds(median["seconds"]),
            f"{median['seconds'] / widest['seconds']:.2f}",
            seconds(median["processor"]),
            f"{median['processor'] / widest['processor']:.2f}",
            f"{median['rows']:,.0f}",
        ]
        for name, median in medians.items()
    ]
    return (
        f"{CASES[CASE].title}, {conditions(result)} Medians of {len(result['runs'][TOGETHER])} runs of each, in turn. "
        "Command: `python -m benchmarks several`.\n\n"
        + table(["", "seconds", "times the widest", "processor seconds", "times the widest", "rows"], rows)
    )
