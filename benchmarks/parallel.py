"""What a second thread and a second worker process gain."""

from __future__ import annotations

import json
import statistics
from dataclasses import asdict
from functools import partial

from benchmarks.cases import CASES, SKEWED
from benchmarks.options import Options
from benchmarks.race import log_file, race, runs_of
from benchmarks.results import NotMeasuredError, Result, Results, provenance, surroundings
from benchmarks.tables import megabytes, seconds, table
from benchmarks.tools import Command, one_worker_process, skymargin

_CATALOGS = {
    "stars-100": CASES["stars-100"],
    "imported-1800": CASES["imported-1800"],
    "skewed": SKEWED,
}
NAMES = {name: f"parallel-{name}" for name in _CATALOGS}
ONE, THREADS = "one thread", "threads"
ONE_PROCESS, PROCESSES = "one worker process", "worker processes"
# Worker processes gain where there is much to do; their start takes longer than the other catalogs.
_WITH_PROCESSES = "imported-1800"


def measure_parallel(options: Options) -> None:
    """Build each margin with one thread, with several, and by one and several processes of one thread, in turn."""
    for name, case in _CATALOGS.items():
        print(f"parallel: {case.title}", flush=True)
        catalog = options.catalog(case.spec)
        commands: dict[str, Command] = {
            ONE: partial(skymargin, workers=1, threads=1),
            THREADS: partial(skymargin, workers=1, threads=options.workers),
        }
        if name == _WITH_PROCESSES:
            commands[ONE_PROCESS] = one_worker_process
            commands[PROCESSES] = partial(skymargin, workers=options.workers, threads=1)
        folder = options.scratch("parallel")
        result = surroundings(options.workers)
        runs, _ = race(catalog, commands, folder, options)
        failures = [f"{setup}: {done.failure}" for setup, done in runs.items() if done.failure]
        if failures:
            raise RuntimeError(f"skymargin failed on {catalog.path.name}: {'; '.join(failures)}")
        result |= {
            "rows": catalog.rows,
            "partitions": len(catalog.partitions),
            "runs": {setup: asdict(done) for setup, done in runs.items()},
            "stages": {
                setup: [
                    json.loads(log_file(folder, setup, number).read_text())["reports"][0]["seconds"]
                    for number in range(len(done.measurements))
                ]
                for setup, done in runs.items()
            },
        }
        options.results.keep(NAMES[name], result)


def speed_up(results: Results, name: str, setup: str) -> float:
    """How many times as fast as with one thread a build is, as a whole process."""
    runs = runs_of(results.kept(NAMES[name]))
    return runs[ONE].median_seconds / runs[setup].median_seconds


def stages_speed_up(results: Results, name: str, setup: str, against: str = ONE) -> float:
    """The same of its stages alone: without the start of the process and of the workers."""
    result = results.kept(NAMES[name])
    return _stages_seconds(result, against) / _stages_seconds(result, setup)


def _stages_seconds(result: Result, setup: str) -> float:
    if setup not in result["stages"]:
        raise NotMeasuredError(f"{setup} has not been measured")
    return float(statistics.median(sum(stages.values()) for stages in result["stages"][setup]))


def markdown(results: Results) -> str:
    """One table for each catalog."""
    kept = results.all_kept(NAMES.values())
    return "\n\n".join(
        [provenance(kept), *(_table(results, name) for name in _CATALOGS if NAMES[name] in kept)]
    )


def _table(results: Results, name: str) -> str:
    result = results.kept(NAMES[name])
    runs = runs_of(result)
    stage_names = list(result["stages"][ONE][0])
    rows = []
    for setup, done in runs.items():
        stages = {
            stage: statistics.median(run[stage] for run in result["stages"][setup]) for stage in stage_names
        }
        rows.append(
            [
                setup if setup in (ONE, ONE_PROCESS) else f"{result['workers']} {setup}",
                seconds(done.median_seconds),
                f"{speed_up(results, name, setup):.2f}",
                seconds(_stages_seconds(result, setup)),
                f"{stages_speed_up(results, name, setup):.2f}",
                *map(seconds, stages.values()),
                megabytes(done.peak_tree_bytes),
            ]
        )
    heads = ["", "seconds", "times as fast", "stages", "times as fast", *stage_names, "peak memory, tree"]
    title = _CATALOGS[name].title
    return (
        f"### {title[0].upper()}{title[1:]}\n\n{result['rows']:,} rows, {result['partitions']:,} partitions; "
        f"medians of {len(runs[ONE].measurements)} runs.\n\n{table(heads, rows)}"
    )
