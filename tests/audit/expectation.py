"""What an audit must report, by the brute force of the tests."""

from __future__ import annotations

from collections import Counter
from functools import cache
from pathlib import Path

from skymargin import VerifyReport
from tests.support.catalogs import MIXED_PARTITIONS, Pixel, Sky, ids_of, sky_near_edges

THRESHOLD_ARCSEC = 60.0
SKY = sky_near_edges(MIXED_PARTITIONS, rows=600, reach_arcsec=THRESHOLD_ARCSEC, seed=21)
# A third of the sky is empty here, with margins of empty pixels.
HALF = sky_near_edges(MIXED_PARTITIONS[:24], rows=400, reach_arcsec=THRESHOLD_ARCSEC, seed=22)
_KNOWN = {"SKY": SKY, "HALF": HALF}


def told(report: VerifyReport) -> tuple[int, dict[Pixel, int]]:
    """Rows that belong to margins by a report: in all, and in each that has any."""
    pixels = {(line.order, line.pixel): line.expected for line in report.per_pixel if line.expected}
    return report.rows_expected, pixels


@cache
def _margins_of_known(name: str, threshold_arcsec: float) -> dict[Pixel, list[int]]:
    return _KNOWN[name].margins(threshold_arcsec)


def margins_of(sky: Sky, threshold_arcsec: float) -> dict[Pixel, list[int]]:
    """Ids of the rows of each margin; those of SKY and HALF are computed once."""
    for name, known in _KNOWN.items():
        if sky is known:
            return _margins_of_known(name, threshold_arcsec)
    return sky.margins(threshold_arcsec)


def expected(sky: Sky, threshold_arcsec: float) -> tuple[int, dict[Pixel, int]]:
    """The same as `told`, by the brute force of the tests."""
    margins = {pixel: len(rows) for pixel, rows in margins_of(sky, threshold_arcsec).items()}
    return sum(margins.values()), margins


def balance(margin: Path, sky: Sky, threshold_arcsec: float = THRESHOLD_ARCSEC) -> tuple[int, int]:
    """Rows that a margin on disk lacks and that it has too many, by the ids in it and the brute force of the tests."""
    right, present = margins_of(sky, threshold_arcsec), ids_of(margin)
    lacking = over = 0
    for pixel in {*right, *present}:
        should, has = Counter(right.get(pixel, [])), Counter(present.get(pixel, []))
        lacking += (should - has).total()
        over += (has - should).total()
    return lacking, over
