"""A small build: beside the import of pyarrow alone, and where its time goes."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from benchmarks.cases import CASES, THRESHOLD_ARCSEC
from benchmarks.options import Options
from benchmarks.race import warm
from benchmarks.results import Results, printed_json, provenance, surroundings
from benchmarks.tables import table
from benchmarks.tools import Job, skymargin

NAME = "startup"
BUILD = "a small build"
IMPORT = "`python -c 'import pyarrow.parquet'`"
# A run takes a third of a second.
_RUNS_PER_REPETITION = 4

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


def measure_startup(options: Options) -> None:
    """Measure the whole process and the parts of a small build, and keep every run."""
    catalog = options.catalog(CASES["small"].spec)
    warm(catalog)
    result = surroundings(options.workers)
    whole: dict[str, list[float]] = {BUILD: [], IMPORT: []}
    parts: dict[str, list[float]] = {}
    for _ in range(options.repetitions * _RUNS_PER_REPETITION):
        folder = _made(options)
        job = Job(catalog.path, folder, "margin", THRESHOLD_ARCSEC, options.workers, folder)
        whole[BUILD].append(_seconds(skymargin(job)))
        whole[IMPORT].append(_seconds([sys.executable, "-c", "import pyarrow.parquet"]))
        for name, seconds in _parts(catalog.path, _made(options), options.workers).items():
            parts.setdefault(name, []).append(seconds)
    options.results.keep(NAME, result | {"whole": whole, "parts": parts})


def _made(options: Options) -> Path:
    folder = options.scratch("startup")
    folder.mkdir(parents=True)
    return folder


def _seconds(command: Sequence[str]) -> float:
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def _parts(catalog: Path, output: Path, workers: int) -> dict[str, float]:
    """Seconds of each part of a build."""
    start = time.monotonic()
    probe = printed_json("-c", _PROBE, catalog, output, THRESHOLD_ARCSEC, workers)
    stop = time.monotonic()
    marks, stages = probe["marks"], probe["stages"]
    times = [start, *marks.values()]
    spent = {name: after - before for name, (before, after) in zip(marks, pairwise(times), strict=True)}
    spent["pipeline, outside its stages"] = spent.pop("pipeline") - sum(stages.values())
    spent |= {f"stage {name}": seconds for name, seconds in stages.items()}
    return spent | {"exit": stop - marks["pipeline"], "all": stop - start}


def times_import(results: Results) -> float:
    """A small build in times of the import of pyarrow, both as whole processes."""
    whole = results.kept(NAME)["whole"]
    return float(statistics.median(whole[BUILD]) / statistics.median(whole[IMPORT]))


def markdown(results: Results) -> str:
    """Both as tables."""
    result = results.kept(NAME)
    whole = {name: statistics.median(values) for name, values in result["whole"].items()}
    rows = [[name, f"{value:.3f}", f"{value / whole[IMPORT]:.2f}"] for name, value in whole.items()]
    parts = [[name, f"{statistics.median(values):.3f}"] for name, values in result["parts"].items()]
    return "\n\n".join(
        [
            provenance({NAME: result}),
            f"Medians of {len(result['whole'][BUILD])} runs of each, in turn.",
            table(["whole process", "seconds", "times the import"], rows),
            table(["part of a small build", "seconds"], parts),
        ]
    )
