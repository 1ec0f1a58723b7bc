"""The margins of a table in memory: skymargin.polars beside LSDB's from_dataframe, in one run."""

from __future__ import annotations

import statistics
from pathlib import Path

import numpy as np

from benchmarks.compare import THRESHOLD_ARCSEC
from benchmarks.environments import make_peer
from benchmarks.generate import CACHE
from benchmarks.results import conditions, keep, kept, printed_json, surroundings
from benchmarks.sky import galactic_positions
from benchmarks.tables import ratio, seconds, table

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


def measure_in_memory(*, repetitions: int, workers: int) -> None:
    """Measure both, one after the other."""
    peer = make_peer("hats-import")
    folder = CACHE / "runs" / "in_memory"
    folder.mkdir(parents=True, exist_ok=True)
    positions = folder / "positions.npy"
    np.save(positions, np.stack(galactic_positions(ROWS, SEED)))
    script = Path(__file__).parent / "peers" / "run_lsdb_margin.py"
    numbers = [THRESHOLD_ARCSEC, ROWS_PER_PARTITION, workers]
    result = surroundings(workers)
    result["skymargin"] = printed_json("-c", _OWN, positions, *numbers, repetitions)
    # One run: it takes minutes.
    result["LSDB"] = printed_json(script, positions, *numbers, folder, 1, python=peer)
    positions.unlink()
    keep("in_memory", result)


def markdown() -> str:
    """What was measured as a table."""
    result = kept("in_memory")
    own, lsdb = result["skymargin"], result["LSDB"]
    own_seconds = {name: statistics.median(values) for name, values in own["seconds"].items()}
    lsdb_seconds = {name: statistics.median(values) for name, values in lsdb.items() if "seconds" in name}
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
            seconds(lsdb_seconds["margin_seconds"]),
            ratio(lsdb_seconds["margin_seconds"], own_seconds["margins"]),
            seconds(lsdb_seconds["processor_seconds"]),
            ratio(lsdb_seconds["processor_seconds"], own_seconds["processor"]),
            f"{lsdb['rows']:,}, not filtered finely",
        ],
    ]
    return (
        f"{ROWS:,} rows, {own['partitions']:,} partitions (LSDB {lsdb['version']}: {lsdb['partitions']:,}), "
        f"{THRESHOLD_ARCSEC:g} arcsec, {conditions(result)} Medians of {len(own['seconds']['margins'])} and "
        f"{len(lsdb['margin_seconds'])} runs. Not in the table: choosing the partitions, which took `tile` "
        f"{seconds(own_seconds['tile'])} s, and LSDB {seconds(lsdb_seconds['catalog_seconds'])} s together with "
        f"sorting the rows into them; and {seconds(lsdb_seconds['gather_seconds'])} s in which LSDB gathers the rows "
        "again before it makes the margin. Command: `python -m benchmarks in_memory`.\n\n"
        + table(
            ["", "seconds", "times skymargin", "processor seconds", "times skymargin", "margin rows"], rows
        )
    )
