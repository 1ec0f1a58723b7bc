"""Growth: what a build costs with more partitions and with more rows, and what that means for the largest surveys.

Two curves, each over four sizes. Catalogs of many partitions are on disk, as users have them; those of many rows are
invented while they are read (`tests.campaign.growth.invented`), so that neither disk nor time limits their size. In the
short form all are invented and small, and of what grows only what does not depend on the machine is judged.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.campaign.growth.check import check_margins
from tests.campaign.growth.estimate import estimates, measured
from tests.campaign.growth.invented import InventedSky
from tests.campaign.growth.judge import judge
from tests.campaign.growth.measure import Build, build
from tests.campaign.outcomes import Outcome, Tally

THRESHOLD_ARCSEC = 10.0
# With few rows, a wider margin has enough of them to compare.
_SHORT_THRESHOLD_ARCSEC = 300.0
_PARTITIONS, _FIXED_ROWS = (100, 1_000, 10_000, 100_000), 5_000_000
_ROWS, _FIXED_PARTITIONS = (100_000, 1_000_000, 10_000_000, 100_000_000), 500
_SHORT_PARTITIONS, _SHORT_FIXED_ROWS = (30, 300, 1_000), 30_000
_SHORT_ROWS, _SHORT_FIXED_PARTITIONS = (10_000, 100_000, 1_000_000), 50


def run(scratch: Path, seed: int, *, short: bool) -> Outcome:
    """Try growth, see `tests.campaign.outcomes`."""
    outcome = Outcome("growth")
    partitions, rows = (_SHORT_PARTITIONS, _SHORT_ROWS) if short else (_PARTITIONS, _ROWS)
    fixed_rows, fixed_partitions = (
        (_SHORT_FIXED_ROWS, _SHORT_FIXED_PARTITIONS) if short else (_FIXED_ROWS, _FIXED_PARTITIONS)
    )
    skies = [InventedSky.of(count, fixed_rows, seed) for count in partitions]
    fixed = f"partitions, {fixed_rows:,} rows, 8 columns"
    _try_curve(fixed, list(partitions), skies, scratch, outcome, short=short, on_disk=not short)
    skies = [InventedSky.of(fixed_partitions, count, seed) for count in rows]
    fixed = f"rows, {fixed_partitions:,} partitions, 8 columns, invented"
    _try_curve(fixed, list(rows), skies, scratch, outcome, short=short, on_disk=False)
    if not short:
        outcome.figures += estimates(measured(scratch, seed))
    return outcome


def _try_curve(
    what: str,
    sizes: list[int],
    skies: Sequence[InventedSky],
    scratch: Path,
    outcome: Outcome,
    *,
    short: bool,
    on_disk: bool,
) -> None:
    """Build the margins of one curve, check them, and judge how the costs grow."""
    right = Tally(f"margins compared with brute force: {what}")
    outcome.tallies.append(right)
    threads = 2 if on_disk else 1
    threshold_arcsec = _SHORT_THRESHOLD_ARCSEC if short else THRESHOLD_ARCSEC
    start_up = None
    if not short:
        smallest = InventedSky.of(12, 1_200, skies[0].seed)
        start_up = _built(smallest, scratch, threshold_arcsec, threads, right, on_disk)
    builds = []
    for sky in skies:
        print(
            f"growth: {sky.partitions:,} partitions, {sky.rows:,} rows in each", file=sys.stderr, flush=True
        )
        builds.append(_built(sky, scratch, threshold_arcsec, threads, right, on_disk))
    figures, failures = judge(what, sizes, builds, start_up)
    outcome.figures.append(figures)
    outcome.failures += failures


def _built(
    sky: InventedSky, scratch: Path, threshold_arcsec: float, threads: int, right: Tally, on_disk: bool
) -> Build:
    catalog, margin = scratch / "catalog", scratch / "margin"
    if on_disk:
        sky.write(catalog)
    done = build(str(catalog) if on_disk else sky.url, scratch, threshold_arcsec, threads, keep=margin)
    failures, compared = check_margins(sky, margin, done.report, threshold_arcsec)
    right.failures += [f"{sky.url} at {threshold_arcsec:g} arcsec: {failure}" for failure in failures]
    right.survived += compared - len(failures)
    for folder in (catalog, margin):
        shutil.rmtree(folder, ignore_errors=True)
    return done
