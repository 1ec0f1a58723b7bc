"""Where the time of a small build goes: interpreter, imports, each stage, exit."""

from __future__ import annotations

import shutil
import statistics
import time
from itertools import pairwise

from benchmarks.compare import CASES, THRESHOLD_ARCSEC
from benchmarks.generate import CACHE, generate
from benchmarks.race import warm
from benchmarks.results import keep, kept, printed_json
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
    """Measure the parts of a small build and keep their medians."""
    catalog = generate(CASES["small"].spec)
    warm(catalog)
    output = CACHE / "runs" / "startup"
    parts: dict[str, list[float]] = {}
    for _ in range(repetitions):
        shutil.rmtree(output, ignore_errors=True)
        output.mkdir(parents=True)
        start = time.monotonic()
        probe = printed_json("-c", _PROBE, catalog.path, output, THRESHOLD_ARCSEC, workers)
        stop = time.monotonic()
        marks, stages = probe["marks"], probe["stages"]
        times = [start, *marks.values()]
        spent = {name: after - before for name, (before, after) in zip(marks, pairwise(times), strict=True)}
        spent["pipeline, outside its stages"] = spent.pop("pipeline") - sum(stages.values())
        spent |= {f"stage {name}": seconds for name, seconds in stages.items()}
        spent |= {"exit": stop - marks["pipeline"], "all": stop - start}
        for name, seconds in spent.items():
            parts.setdefault(name, []).append(seconds)
    shutil.rmtree(output, ignore_errors=True)
    keep("startup", {name: statistics.median(values) for name, values in parts.items()})


def markdown() -> str:
    """The parts as a table."""
    return table(["part", "seconds"], [[name, f"{value:.3f}"] for name, value in kept("startup").items()])
