"""Several margins in one run: what a further, narrower margin costs beside the widest alone."""

from __future__ import annotations

import statistics

from benchmarks.cases import CASES
from benchmarks.options import Options
from benchmarks.race import warm
from benchmarks.results import Result, Results, printed_json, provenance, surroundings
from benchmarks.tables import seconds, table

NAME = "several"
CASE = "stars-100"
THRESHOLDS_ARCSEC = (5.0, 100.0)
TOGETHER = "both in one run"
_WIDEST = f"{max(THRESHOLDS_ARCSEC):g} arcsec alone"
# A run takes a second.
_RUNS_PER_REPETITION = 2

# Runs in a fresh interpreter; the clocks are those of the call alone, with all threads.
BUILD = """
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


def measure_several(options: Options) -> None:
    """Measure each margin alone and all in one run, in turn."""
    catalog = options.catalog(CASES[CASE].spec)
    warm(catalog)
    groups = {f"{threshold:g} arcsec alone": [threshold] for threshold in THRESHOLDS_ARCSEC}
    groups[TOGETHER] = list(THRESHOLDS_ARCSEC)
    result = surroundings(options.workers)
    runs: dict[str, list[Result]] = {name: [] for name in groups}
    for _ in range(options.repetitions * _RUNS_PER_REPETITION):
        for name, thresholds in groups.items():
            output = options.scratch("several")
            texts = [f"{threshold:g}" for threshold in thresholds]
            runs[name].append(printed_json("-c", BUILD, catalog.path, output, options.workers, *texts))
    options.results.keep(NAME, result | {"runs": runs})


def times_widest(results: Results) -> float:
    """Seconds of all margins in one run, in times of the widest alone."""
    medians = _medians(results.kept(NAME))
    return medians[TOGETHER]["seconds"] / medians[_WIDEST]["seconds"]


def _medians(result: Result) -> dict[str, dict[str, float]]:
    return {
        name: {quantity: statistics.median(run[quantity] for run in runs) for quantity in runs[0]}
        for name, runs in result["runs"].items()
    }


def markdown(results: Results) -> str:
    """What was measured as a table."""
    result = results.kept(NAME)
    medians = _medians(result)
    rows = [
        [
            name,
            seconds(median["seconds"]),
            f"{median['seconds'] / medians[_WIDEST]['seconds']:.2f}",
            seconds(median["processor"]),
            f"{median['processor'] / medians[_WIDEST]['processor']:.2f}",
            f"{median['rows']:,.0f}",
        ]
        for name, median in medians.items()
    ]
    return (
        f"{provenance({NAME: result})}\n\n{CASES[CASE].title}, {result['workers']} threads; medians of "
        f"{len(result['runs'][TOGETHER])} runs of each, in turn; without the start of the process.\n\n"
        + table(["", "seconds", "times the widest", "processor seconds", "times the widest", "rows"], rows)
    )
