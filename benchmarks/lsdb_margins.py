"""Margins of catalogs of LSDB: computed when used, beside a stored one and those of LSDB's from_dataframe."""

from __future__ import annotations

import statistics
import time
from pathlib import Path
from typing import Any

from benchmarks.cases import CASES, THRESHOLD_ARCSEC
from benchmarks.options import Options
from benchmarks.race import warm
from benchmarks.results import Result, Results, printed_json, provenance, surroundings
from benchmarks.several import BUILD
from benchmarks.tables import megabytes, seconds, table

NAME = "lsdb"
CASE = "stars-100"
# 49,152 partitions.
PLANNED_ORDER = 6
_PLANNED_ORDER_OF_A_TRIAL = 2
WAYS = {
    "none": "no margin: pairs at borders are lost",
    "stored": "a margin catalog",
    "files": "`with_margin`, of the catalog as opened",
    "partitions": "`with_margin`, from computed partitions",
    "frame": "LSDB's `from_dataframe`",
}
_HERE = Path(__file__).parent


def measure_lsdb(options: Options) -> None:
    """Measure each way in turn, and the planning of many partitions."""
    catalog = options.catalog(CASES[CASE].spec)
    warm(catalog)
    result = surroundings(options.workers) | {"rows": catalog.rows}
    output = options.scratch("lsdb")
    result["build"] = printed_json(
        "-c", BUILD, catalog.path, output, options.workers, f"{THRESHOLD_ARCSEC:g}"
    )
    margin = output / f"margin_{THRESHOLD_ARCSEC:g}"
    numbers = [THRESHOLD_ARCSEC, options.workers]
    runs: dict[str, list[Result]] = {way: [] for way in WAYS}
    begun = time.monotonic()
    for _ in range(options.repetitions):
        for way, done in runs.items():
            if done and time.monotonic() - begun > options.budget_minutes * 60:
                continue
            done.append(printed_json(_HERE / "lsdb_way.py", way, catalog.path, margin, *numbers))
    order = _PLANNED_ORDER_OF_A_TRIAL if options.is_trial else PLANNED_ORDER
    plans = [printed_json(_HERE / "lsdb_plan.py", catalog.path, order) for _ in range(3)]
    options.results.keep(NAME, result | {"runs": runs, "plans": plans})


def planning_seconds(results: Results) -> float:
    """How long it takes to plan the margin of a catalog as it was opened, whose graph is all ours."""
    plans = results.kept(NAME)["plans"]
    return _median(plans, "files", "given") + _median(plans, "files", "planned")


_PLANS = {"files": "of the catalog as opened", "partitions_computed": "from computed partitions"}


def _median(runs: list[Any], *names: str) -> float:
    values = []
    for run in runs:
        value = run
        for name in names:
            value = value[name]
        values.append(value)
    return float(statistics.median(values))


def markdown(results: Results) -> str:
    """What was measured as tables."""
    result = results.kept(NAME)
    rows = []
    for way, title in WAYS.items():
        runs = result["runs"][way]
        has_margin = runs[0]["margin"] is not None
        rows.append(
            [
                title,
                seconds(_median(runs, "margin", "seconds")) if has_margin else "",
                f"{runs[0]['margin']['tasks']:,}" if has_margin else "",
                f"{runs[0]['margin']['rows']:,}" if has_margin else "",
                seconds(_median(runs, "crossmatch", "seconds")),
                f"{runs[0]['crossmatch']['tasks']:,}",
                f"{runs[0]['crossmatch']['rows']:,}",
                megabytes(_median(runs, "peak_bytes")),
            ]
        )
    heads = ["", "margin, seconds", "tasks", "rows", "crossmatch, seconds", "tasks", "pairs", "peak memory"]
    plans = result["plans"]
    planned = [
        [
            title,
            seconds(_median(plans, way, "given")),
            seconds(_median(plans, way, "planned")),
            f"{plans[0][way]['tasks']:,}",
        ]
        for way, title in _PLANS.items()
    ]
    counts = sorted(len(runs) for runs in result["runs"].values())
    return (
        f"{provenance({NAME: result})}\n\n{CASES[CASE].title}, of which three columns are loaded, "
        f"{THRESHOLD_ARCSEC:g} arcsec, {result['workers']} threads; medians of {counts[0]} to {counts[-1]} runs, in "
        "turn. The crossmatch is of the catalog with itself, two neighbours each. The margin catalog had to be built "
        f"before, in {seconds(result['build']['seconds'])} s. `from_dataframe` has all rows in memory; its seconds "
        "include partitioning them.\n\n"
        + table(heads, rows)
        + f"\n\nPlanning the margin of {plans[0]['partitions']:,} partitions; LSDB takes "
        f"{seconds(_median(plans, 'LSDB'))} s to plan reading them:\n\n"
        + table(["", "`with_margin`, seconds", "graph, seconds", "tasks"], planned)
    )
