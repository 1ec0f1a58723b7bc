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

from tests.campaign.builds import Build, build_recorded
from tests.campaign.growth.check import check_margins
from tests.campaign.growth.estimate import estimates, measured
from tests.campaign.growth.invented import InventedSky
from tests.campaign.growth.judge import judge
from tests.campaign.outcomes import Outcome, Tally

THRESHOLD_ARCSEC = 10.0
# With few rows, a wider margin has enough of them to compare.
_SHORT_THRESHOLD_ARCSEC = 300.0
_PARTITIONS, _FIXED_ROWS = (100, 1_000, 10_000, 100_000), 5_000_000
_ROWS, _FIXED_PARTITIONS = (100_000, 1_000_000, 10_000_000, 100_000_000), 500
_SHORT_PARTITIONS, _SHORT_FIXED_ROWS = (30, 300, 1_000), 30_000
_SHORT_ROWS, _SHORT_FIXED_PARTITIONS = (10_000, 100_000, 1_000_000), 50


def run(scratch: Path, seed: int, *, short: bool) -> Outcome:
    """Build along both curves."""
    outcome = Outcome("growth")
    partitions, rows = (_SHORT_PARTITIONS, _SHORT_ROWS) if short else (_PARTITIONS, _ROWS)
    fixed_rows = _SHORT_FIXED_ROWS if short else _FIXED_ROWS
    fixed_partitions = _SHORT_FIXED_PARTITIONS if short else _FIXED_PARTITIONS
    skies = [InventedSky.of(count, fixed_rows, seed) for count in partitions]
    what = f"partitions, {fixed_rows:,} rows, 8 columns"
    _try_curve(what, partitions, skies, scratch, outcome, short=short, on_disk=not short)
    skies = [InventedSky.of(fixed_partitions, count, seed) for count in rows]
    what = f"rows, {fixed_partitions:,} partitions, 8 columns, invented"
    _try_curve(what, rows, skies, scratch, outcome, short=short, on_disk=False)
    if not short:
        outcome.figures += estimates(measured(scratch, seed))
    return outcome


def _try_curve(
    what: str,
    sizes: Sequence[int],
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

    def built(sky: InventedSky) -> Build:
        print(
            f"growth: {sky.partitions:,} partitions, {sky.rows:,} rows in each", file=sys.stderr, flush=True
        )
        catalog, output = scratch / "catalog", scratch / "output"
        if on_disk:
            sky.write(catalog)
        done = build_recorded(catalog if on_disk else sky.url, output, threshold_arcsec, threads)
        failures, compared = check_margins(sky, output / "margin", done.report, threshold_arcsec)
        right.failures += [f"{sky.url} at {threshold_arcsec:g} arcsec: {failure}" for failure in failures]
        right.survived += compared - len(failures)
        for folder in (catalog, output):
            shutil.rmtree(folder, ignore_errors=True)
        return done

    start_up = None if short else built(InventedSky.of(12, 1_200, skies[0].seed))
    builds = [built(sky) for sky in skies]
    figures, failures = judge(what, sizes, builds, start_up)
    outcome.figures.append(figures)
    outcome.failures += failures
