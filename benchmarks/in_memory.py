"""The margins of a table in memory: skymargin.polars beside LSDB's from_dataframe, in one run."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import machine
from benchmarks.compare import RESULTS, THRESHOLD_ARCSEC
from benchmarks.environments import ROOT, make_peer
from benchmarks.generate import CACHE
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
    """Measure both, one after the other, and keep what was found in the cache."""
    peer = make_peer("hats-import")
    folder = CACHE / "runs" / "in_memory"
    folder.mkdir(parents=True, exist_ok=True)
    positions = folder / "positions.npy"
    np.save(positions, np.stack(galactic_positions(ROWS, SEED)))
    script = Path(__file__).parent / "peers" / "run_lsdb_margin.py"
    numbers = [str(THRESHOLD_ARCSEC), str(ROWS_PER_PARTITION), str(workers)]
    busy_before = machine.busy_share()
    found = {
        "skymargin": _json_of([sys.executable, "-c", _OWN, str(positions), *numbers, str(repetitions)]),
        # One run: it takes minutes.
        "LSDB": _json_of([str(peer), str(script), str(positions), *numbers, str(folder), "1"]),
        "machine": machine.describe(),
        "workers": workers,
        "busy_before": busy_before,
        "load": os.getloadavg()[0],
        "measured": time.strftime("%Y-%m-%d"),
    }
    positions.unlink()
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / "in_memory.json").write_text(json.dumps(found, indent=1))


def _json_of(command: list[str]) -> dict[str, Any]:
    done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    kept: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return kept


def markdown() -> str:
    """What was measured as a table."""
    path = RESULTS / "in_memory.json"
    if not path.exists():
        raise FileNotFoundError("tables in memory have not been measured: python -m benchmarks in_memory")
    kept = json.loads(path.read_text())
    own, lsdb = kept["skymargin"], kept["LSDB"]
    own_seconds = {name: statistics.median(values) for name, values in own["seconds"].items()}
    margin_seconds = statistics.median(lsdb["margin_seconds"])
    processor_seconds = statistics.median(lsdb["processor_seconds"])
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
            seconds(margin_seconds),
            ratio(margin_seconds, own_seconds["margins"]),
            seconds(processor_seconds),
            ratio(processor_seconds, own_seconds["processor"]),
            f"{lsdb['rows']:,}, not filtered finely",
        ],
    ]
    return (
        f"{ROWS:,} rows, {own['partitions']:,} partitions (LSDB: {lsdb['partitions']:,}), {THRESHOLD_ARCSEC:g} arcsec, "
        f"{kept['workers']} threads each, on {kept['machine']}; LSDB {lsdb['version']}. Other work took "
        f"{kept['busy_before']:.0%} of the processors just before, and the load was {kept['load']:.1f} at the end: "
        f"on a busy machine processor time says more than seconds. Medians of {len(own['seconds']['margins'])} and "
        f"{len(lsdb['margin_seconds'])} runs. Not in the table: choosing the partitions, which took `tile` "
        f"{seconds(own_seconds['tile'])} s, and LSDB {seconds(statistics.median(lsdb['catalog_seconds']))} s "
        f"together with sorting the rows into them; and {seconds(statistics.median(lsdb['gather_seconds']))} s "
        f"in which LSDB gathers the rows again before it makes the margin. Command: "
        f"`python -m benchmarks in_memory`.\n\n"
        + table(
            ["", "seconds", "times skymargin", "processor seconds", "times skymargin", "margin rows"], rows
        )
    )
