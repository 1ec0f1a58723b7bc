"""Processor time of each stage of a build on one thread, and of a file of the margin."""

from __future__ import annotations

import statistics

from benchmarks.cases import CASES, THRESHOLD_ARCSEC
from benchmarks.options import Options
from benchmarks.race import warm
from benchmarks.results import Result, Results, printed_json, provenance, surroundings
from benchmarks.tables import seconds, table

_CATALOGS = {name: CASES[name] for name in ("imported-1800", "stars-1800")}
NAMES = {name: f"stages-{name}" for name in _CATALOGS}

# Runs in a fresh interpreter. Every stage has a progress bar, which reads the processor time of the whole process, the
# threads of the extension included, when the stage begins and ends.
BUILD = """
import json, sys, time
import tqdm.std
from skymargin import MarginCacheArguments, pipeline

stages = {}

class Clock:
    def __init__(self, desc, **_):
        self.name = desc.strip().lower()
    def __enter__(self):
        self.begun = time.perf_counter(), time.process_time()
        return self
    def __exit__(self, *_):
        ended = time.perf_counter(), time.process_time()
        stages[self.name] = [after - before for before, after in zip(self.begun, ended)]
    def update(self, _steps):
        pass

tqdm.std.tqdm = Clock
catalog, output, threshold = sys.argv[1:]
report = pipeline(MarginCacheArguments(
    output, "margin", input_catalog_path=catalog, margin_threshold=float(threshold),
    dask_n_workers=1, dask_threads_per_worker=1, progress_bar=True,
))
print(json.dumps({"stages": stages, "files": report.partitions, "rows": report.rows}))
"""


def measure_stages(options: Options) -> None:
    """Build each margin so many times, and keep what each stage took."""
    for name, case in _CATALOGS.items():
        print(f"stages: {case.title}", flush=True)
        catalog = options.catalog(case.spec)
        warm(catalog)
        result = surroundings(workers=1)
        runs = []
        for _ in range(options.repetitions):
            output = options.scratch("stages")
            runs.append(printed_json("-c", BUILD, catalog.path, output, THRESHOLD_ARCSEC))
        options.results.keep(NAMES[name], result | {"runs": runs})


def reducing_seconds_a_file(results: Results, name: str) -> float:
    """Processor time of the stage that writes the files, by the number of files."""
    result = results.kept(NAMES[name])
    files: int = result["runs"][0]["files"]
    return _median(result, "reducing", 1) / files


def _median(result: Result, stage: str, clock: int) -> float:
    return float(statistics.median(run["stages"][stage][clock] for run in result["runs"]))


def markdown(results: Results) -> str:
    """One table for each catalog."""
    kept = results.all_kept(NAMES.values())
    return "\n\n".join(
        [provenance(kept), *(_table(name, kept[NAMES[name]]) for name in _CATALOGS if NAMES[name] in kept)]
    )


def _table(name: str, result: Result) -> str:
    first = result["runs"][0]
    rows = []
    for stage in first["stages"]:
        wall, processor = (_median(result, stage, clock) for clock in (0, 1))
        rows.append([stage, seconds(wall), seconds(processor), f"{processor / first['files'] * 1e3:.2f} ms"])
    title = _CATALOGS[name].title
    return (
        f"### {title[0].upper()}{title[1:]}\n\n{first['files']:,} files of {first['rows'] / first['files']:.0f} rows "
        f"on average; medians of {len(result['runs'])} runs on one thread.\n\n"
        + table(["stage", "seconds", "processor seconds", "processor time, a file"], rows)
    )
