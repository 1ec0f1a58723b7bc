"""How the time and memory of a build grow: with rows, and with partitions of few and of many columns."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.cases import CASES
from benchmarks.generate import CatalogSpec, Spec
from benchmarks.options import Options
from benchmarks.race import race
from benchmarks.results import Result, Results, provenance, slope, surroundings
from benchmarks.tables import megabytes, seconds, table
from benchmarks.tools import TOOLS

ROWS = (1_000_000, 3_000_000, 10_000_000)
PARTITIONS = (100, 1_000, 10_000, 50_000)
WIDE_PARTITIONS = (10_000, 100_000)
FIXED_PARTITIONS = 100
FIXED_ROWS = 5_000_000
FIXED_WIDE_ROWS = 2_000_000
CLEAR_SHARE = 0.2


@dataclass(frozen=True)
class Curve:
    """A quantity that grows, and the catalogs of its points."""

    quantity: str
    what: str
    points: list[CatalogSpec]


CURVES = {
    "rows": Curve(
        "rows",
        f"rows, {FIXED_PARTITIONS} partitions, 34 columns",
        [CatalogSpec("stars", rows, FIXED_PARTITIONS) for rows in ROWS],
    ),
    "partitions": Curve(
        "partitions",
        f"partitions, {FIXED_ROWS:,} rows, 8 columns",
        [CatalogSpec("narrow", FIXED_ROWS, count) for count in PARTITIONS],
    ),
    # In yesterday's layout, because files of 20 rows take five times as long to make in today's.
    "columns": Curve(
        "partitions",
        f"partitions, {FIXED_WIDE_ROWS:,} rows, 34 columns, yesterday's layout",
        [CatalogSpec("stars", FIXED_WIDE_ROWS, count, "yesterday") for count in WIDE_PARTITIONS],
    ),
}
NAMES = {curve: f"scaling-{curve}" for curve in CURVES}


def scale(options: Options) -> None:
    """Measure the curves."""
    small = _measured(CASES["small"].spec, options)
    for name in options.curves:
        curve = CURVES[name]
        print(f"scaling with {curve.what}", flush=True)
        result = surroundings(options.workers)
        result |= {
            "start_up": small["seconds"],
            "points": [_measured(spec, options) for spec in curve.points],
        }
        options.results.keep(NAMES[name], result)


def _measured(spec: Spec, options: Options) -> Result:
    catalog = options.catalog(spec)
    runs, _ = race(catalog, {"skymargin": TOOLS["skymargin"]}, options.scratch("scaling"), options)
    done = runs["skymargin"]
    if done.failure:
        raise RuntimeError(f"skymargin failed on {catalog.path.name}: {done.failure}")
    return {
        "partitions": len(catalog.partitions),
        "rows": catalog.rows,
        "seconds": done.median_seconds,
        "runs": len(done.measurements),
        "timed_out": done.timed_out,
        "peak_tree_bytes": done.peak_tree_bytes,
    }


def largest_point(results: Results, curve: str) -> Result:
    """The last point of a curve."""
    point: Result = results.kept(NAMES[curve])["points"][-1]
    return point


def markdown(results: Results) -> str:
    """The curves as tables, each with its slope."""
    kept = results.all_kept(NAMES.values())
    curves = [_curve_markdown(CURVES[name], kept[NAMES[name]]) for name in CURVES if NAMES[name] in kept]
    return "\n\n".join([provenance(kept), *curves])


def _curve_markdown(curve: Curve, result: Result) -> str:
    points, start_up = result["points"], result["start_up"]
    work = [point["seconds"] - start_up for point in points]
    rows = [
        [
            f"{point[curve.quantity]:,}",
            (">= " if point["timed_out"] else "") + seconds(point["seconds"]),
            str(point["runs"]),
            seconds(own),
            megabytes(point["peak_tree_bytes"]),
        ]
        for point, own in zip(points, work, strict=True)
    ]
    heads = [curve.quantity, "seconds", "runs", "without start-up", "peak memory, tree"]
    text = f"### {curve.what[0].upper()}{curve.what[1:]}\n\n{table(heads, rows)}\n\n"
    # A point that is hardly longer than start-up tells of noise, not of growth.
    clear = [at for at, own in enumerate(work) if own > CLEAR_SHARE * start_up]
    if len(clear) < 2:
        return text + "No slope: fewer than two points are clearly longer than start-up."
    fit = slope([points[at][curve.quantity] for at in clear], [work[at] for at in clear])
    return text + f"Log-log slope without start-up, over {len(clear)} points: {fit:.2f}."
