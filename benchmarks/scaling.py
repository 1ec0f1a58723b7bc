"""How the time of a build grows: with rows, with partitions, and with threads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from benchmarks import machine
from benchmarks.compare import CASES, THRESHOLD_ARCSEC
from benchmarks.generate import CACHE, CatalogSpec, generate
from benchmarks.race import race
from benchmarks.results import keep, kept, slope
from benchmarks.tables import megabytes, seconds, table

ROWS = (1_000_000, 3_000_000, 10_000_000)
PARTITIONS = (100, 1_000, 10_000, 50_000)
FIXED_PARTITIONS = 100
FIXED_ROWS = 5_000_000
CLEAR_SHARE = 0.2


@dataclass(frozen=True)
class Curve:
    """A quantity that grows, and the catalogs and workers of its points."""

    quantity: str
    what: str
    points: list[tuple[int, CatalogSpec, int]]


def curves(workers: int) -> dict[str, Curve]:
    """The three curves."""
    rows = [(rows, CatalogSpec("stars", rows, FIXED_PARTITIONS), workers) for rows in ROWS]
    partitions = [(count, CatalogSpec("narrow", FIXED_ROWS, count), workers) for count in PARTITIONS]
    stars = CASES["stars-100"].spec
    assert isinstance(stars, CatalogSpec)
    threads = sorted({1, *(2**power for power in range(8) if 2**power <= machine.cores())})
    return {
        "rows": Curve("rows", f"rows, {FIXED_PARTITIONS} partitions, 34 columns", rows),
        "partitions": Curve("partitions", f"partitions, {FIXED_ROWS:,} rows, 8 columns", partitions),
        "threads": Curve("threads", "threads, 10 M rows, 100 partitions", [(n, stars, n) for n in threads]),
    }


def scale(names: list[str], *, repetitions: int, workers: int, timeout_minutes: float) -> None:
    """Measure the curves."""
    small = _seconds(CASES["small"].spec, workers, max(repetitions, 3), timeout_minutes)
    for name in names:
        curve = curves(workers)[name]
        print(f"scaling with {curve.what}", flush=True)
        points = []
        for value, spec, threads in curve.points:
            point = _seconds(spec, threads, repetitions, timeout_minutes)
            points.append({**point, "value": point["partitions"] if name == "partitions" else value})
        about = {"what": curve.what, "quantity": curve.quantity, "start_up": small["seconds"]}
        keep(f"scaling-{name}", about | {"points": points})


def _seconds(spec: Any, workers: int, repetitions: int, timeout_minutes: float) -> dict[str, Any]:
    catalog = generate(spec)
    runs, _ = race(
        catalog,
        ["skymargin"],
        CACHE / "runs" / "scaling",
        threshold_arcsec=THRESHOLD_ARCSEC,
        workers=workers,
        repetitions=repetitions,
        budget_seconds=600.0,
        timeout_seconds=timeout_minutes * 60,
    )
    done = runs["skymargin"]
    if done.failure:
        raise RuntimeError(f"skymargin failed on {catalog.path.name}: {done.failure}")
    return {
        "partitions": len(catalog.partitions),
        "rows": catalog.rows,
        "seconds": done.median_seconds,
        "timed_out": done.timed_out,
        "peak_tree_bytes": done.peak_tree_bytes,
    }


def markdown() -> str:
    """The curves as tables, each with its slope."""
    parts = []
    for name in ("rows", "partitions", "threads"):
        try:
            curve = kept(f"scaling-{name}")
        except FileNotFoundError:
            continue
        points = curve["points"]
        work = [point["seconds"] - curve["start_up"] for point in points]
        rows = [
            [
                f"{point['value']:,}",
                (">= " if point["timed_out"] else "") + seconds(point["seconds"]),
                seconds(own),
                megabytes(point["peak_tree_bytes"]),
            ]
            for point, own in zip(points, work, strict=True)
        ]
        heads = [curve["quantity"], "seconds", "without start-up", "peak memory, tree"]
        text = f"### {curve['what'][0].upper()}{curve['what'][1:]}\n\n{table(heads, rows)}"
        # A point that is hardly longer than start-up tells of noise, not of growth.
        clear = [at for at, own in enumerate(work) if own > CLEAR_SHARE * curve["start_up"]]
        if len(clear) > 1:
            fit = slope([points[at]["value"] for at in clear], [work[at] for at in clear])
            text += f"\n\nLog-log slope without start-up, over {len(clear)} points: {fit:.2f}."
        else:
            text += "\n\nNo slope: fewer than two points are clearly longer than start-up."
        parts.append(text)
    if not parts:
        raise FileNotFoundError("no scaling curve has been measured")
    return "\n\n".join(parts)
