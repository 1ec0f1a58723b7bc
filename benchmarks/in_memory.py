"""The margins of a table in memory: skymargin.polars beside LSDB's from_dataframe, in one run."""

from __future__ import annotations

import statistics
import time
from pathlib import Path

import numpy as np

from benchmarks.cases import THRESHOLD_ARCSEC
from benchmarks.environments import make_peer
from benchmarks.options import Options
from benchmarks.results import Result, Results, printed_json, provenance, surroundings
from benchmarks.sky import galactic_positions
from benchmarks.tables import ratio, seconds, table

NAME = "in_memory"
ROWS = 10_000_000
# Makes about 2,000 partitions of a galaxy.
ROWS_PER_PARTITION = 10_000
SEED = 7

_OWN = """
import json, sys, time
import numpy as np
import polars as pl
import skymargin.polars as smp
positions, threshold, max_rows, threads, repetitions = sys.argv[1], *map(float, sys.argv[2:])
ra, dec = np.load(positions)
frame = pl.DataFrame({"id": np.arange(len(ra)), "ra": ra, "dec": dec})
clock, spent = time.perf_counter, {"tile": [], "margins": [], "processor": []}
for _ in range(int(repetitions)):
    start = clock()
    tiles = smp.tile(frame, max_rows=int(max_rows))
    middle, before = clock(), time.process_time()
    margin = smp.margins(frame, tiles, threshold, threads=int(threads))
    spent["tile"].append(middle - start)
    spent["margins"].append(clock() - middle)
    spent["processor"].append(time.process_time() - before)
print(json.dumps({"seconds": spent, "partitions": len(tiles), "rows": len(margin)}), flush=True)
"""


def measure_in_memory(options: Options) -> None:
    """Measure both, one after the other."""
    peer = make_peer("hats-import")
    folder = options.scratch("in_memory")
    folder.mkdir(parents=True, exist_ok=True)
    positions = folder / "positions.npy"
    np.save(positions, np.stack(galactic_positions(options.rows(ROWS), SEED)))
    script = Path(__file__).parent / "peers" / "run_lsdb_margin.py"
    numbers = [THRESHOLD_ARCSEC, options.rows(ROWS_PER_PARTITION), options.workers]
    result = surroundings(options.workers, ["hats-import"]) | {"all_rows": options.rows(ROWS)}
    result["skymargin"] = printed_json("-c", _OWN, positions, *numbers, options.repetitions)
    result["LSDB"] = _lsdb([script, positions, *numbers, folder], peer, options)
    options.results.keep(NAME, result)


def _lsdb(command: list[object], python: Path, options: Options) -> list[Result]:
    """The runs of LSDB that the budget allows."""
    begun, runs = time.monotonic(), list[Result]()
    while len(runs) < options.repetitions and time.monotonic() - begun < options.budget_minutes * 60:
        runs.append(printed_json(*command, python=python))
    return runs


def markdown(results: Results) -> str:
    """What was measured as a table."""
    result = results.kept(NAME)
    own, lsdb = result["skymargin"], result["LSDB"]
    own_seconds = {name: statistics.median(values) for name, values in own["seconds"].items()}
    lsdb_median = {name: statistics.median(run[name] for run in lsdb) for name in lsdb[0]}
    rows = [
        [
            "`skymargin.polars.margins`",
            seconds(own_seconds["margins"]),
            "1",
            seconds(own_seconds["processor"]),
            "1",
            f"{own['rows']:,}, exact",
        ],
        [
            "the margin of LSDB's `from_dataframe`",
            seconds(lsdb_median["margin_seconds"]),
            ratio(lsdb_median["margin_seconds"], own_seconds["margins"]),
            seconds(lsdb_median["processor_seconds"]),
            ratio(lsdb_median["processor_seconds"], own_seconds["processor"]),
            f"{lsdb[0]['rows']:,}, not filtered finely",
        ],
    ]
    return (
        f"{provenance({NAME: result})}\n\n{result['all_rows']:,} rows, {own['partitions']:,} partitions (LSDB: "
        f"{lsdb[0]['partitions']:,}), {THRESHOLD_ARCSEC:g} arcsec, {result['workers']} threads; medians "
        f"of {len(own['seconds']['margins'])} and {len(lsdb)} runs. Not in the table: choosing the "
        f"partitions, which took `tile` {seconds(own_seconds['tile'])} s, and LSDB "
        f"{seconds(lsdb_median['catalog_seconds'])} s together with sorting the rows into them; and "
        f"{seconds(lsdb_median['gather_seconds'])} s in which LSDB gathers the rows again before it makes the "
        "margin.\n\n"
        + table(
            ["", "seconds", "times skymargin", "processor seconds", "times skymargin", "margin rows"], rows
        )
    )
