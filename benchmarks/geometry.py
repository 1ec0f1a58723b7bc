"""The geometry alone: what `cargo bench` measures of the crate, as a table."""

from __future__ import annotations

import json
import os
import shutil
import subprocess

from benchmarks.environments import ROOT
from benchmarks.options import Options
from benchmarks.results import Results, provenance, surroundings
from benchmarks.tables import table

NAME = "geometry"
_BENCHES = ("decisions", "selection")
# As Criterion names them, and what the table says.
TITLES = {
    "decisions/order 2, 10 arcsec": "exact decisions, coordinates in degrees to in or out; 10 arcsec, order 2",
    "decisions/order 5, 10 arcsec": "the same at order 5",
    "decisions/order 8, 60 arcsec": "the same at order 8, 60 arcsec",
    "separations/order 5": "separations as values, order 5",
    "selection, 10 arcsec, sorted index/order 2, 1000000 rows": (
        "index values through candidates and selection, sorted column of 1,000,000 rows, order 2"
    ),
    "selection, 10 arcsec, sorted index/order 4, 100000 rows": "the same, 100,000 rows, order 4",
    "covers, 10 arcsec/order 1, 200000 rows": "covers of partitions of 200,000 rows at order 1",
    "covers, 10 arcsec/order 4, 5000 rows": "the same, 5,000 rows at order 4",
    "covers, 10 arcsec/order 6, 200 rows": "the same, 200 rows at order 6",
}


def measure_geometry(options: Options) -> None:
    """Run the benchmarks of the crate and keep how many there are of each in a second."""
    home = options.scratch("criterion")
    shutil.rmtree(home, ignore_errors=True)
    command = ["cargo", "bench", "--quiet", "--locked", "-p", "skymargin-geometry"]
    for bench in _BENCHES:
        command += ["--bench", bench]
    if options.is_trial:
        command += ["--", "--sample-size", "10", "--warm-up-time", "0.1", "--measurement-time", "0.1"]
    # What it has to compile is compiled before the look at what other work there is.
    subprocess.run([*command[: command.index("--bench")], "--no-run"], cwd=ROOT, check=True)
    result = surroundings(workers=1)
    subprocess.run(command, cwd=ROOT, check=True, env=os.environ | {"CRITERION_HOME": str(home)})
    rates = {}
    for about in home.rglob("new/benchmark.json"):
        benchmark = json.loads(about.read_text())
        estimates = json.loads((about.parent / "estimates.json").read_text())
        nanoseconds = estimates["median"]["point_estimate"]
        rates[benchmark["full_id"]] = benchmark["throughput"]["Elements"] / nanoseconds * 1e9
    missing = TITLES.keys() - rates.keys()
    if missing:
        raise RuntimeError(f"cargo bench did not measure {', '.join(sorted(missing))}")
    options.results.keep(NAME, result | {"rates": {name: rates[name] for name in TITLES}})
    shutil.rmtree(home)


def markdown(results: Results) -> str:
    """What was measured as a table."""
    result = results.kept(NAME)
    rows = [[TITLES[name], _rate(rate)] for name, rate in result["rates"].items()]
    return f"{provenance({NAME: result})}\n\nOne core.\n\n{table(['', 'per second'], rows)}"


def _rate(rate: float) -> str:
    return f"{rate / 1e6:.1f} million" if rate >= 1e6 else f"{float(f'{rate:.2g}'):,.0f}"
