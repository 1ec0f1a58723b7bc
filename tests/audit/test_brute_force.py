"""The definition of a margin, applied the slow way: against formulas that share nothing with the package."""

from __future__ import annotations

import numpy as np
import pytest

from skymargin.audit.brute_force import Margins, empty_pixels, margin_pixels
from tests.support import brute_force
from tests.support.catalogs import MIXED_PARTITIONS, Pixel, sky_near_edges


@pytest.mark.parametrize("threshold_arcsec", [0.5, 60.0, 7_200.0, 60_000.0, 324_000.0])
def test_rows_are_those_of_an_independent_brute_force(threshold_arcsec: float) -> None:
    sky = sky_near_edges(MIXED_PARTITIONS, rows=400, reach_arcsec=min(threshold_arcsec, 7_200.0), seed=3)
    pixels = [*MIXED_PARTITIONS, *empty_pixels(MIXED_PARTITIONS)]
    margins = Margins(pixels, threshold_arcsec)
    members: dict[Pixel, list[int]] = {}
    for own, (order, pixel) in enumerate(MIXED_PARTITIONS):
        mine = np.flatnonzero((sky.own_order == order) & (sky.own_pixel == pixel))
        for number, rows in margins.rows(sky.ra_deg[mine], sky.dec_deg[mine], own):
            assert margins.near((order, pixel))
            members.setdefault(pixels[number], []).extend(mine[rows].tolist())
    expected = sky.margins(threshold_arcsec)
    assert sum(map(len, expected.values())) > 100
    assert {pixel: sorted(rows) for pixel, rows in members.items()} == expected


def test_rows_far_from_their_partition_are_found_all_the_same() -> None:
    # Two rows at opposite ends of the sky, in the file of one partition.
    margins = Margins([(3, 5), (3, 700)], 60.0)
    ra_deg, dec_deg = np.array([0.0, 0.0]), np.array([0.0, 0.0])
    for number, pixel in enumerate([5, 700]):
        x, y, z = brute_force.edge_points(3, pixel, np.array([0]), np.array([0.5]))[0]
        ra_deg[number], dec_deg[number] = np.degrees(np.arctan2(y, x)), np.degrees(np.arcsin(z))
    members = {number: rows.tolist() for number, rows in margins.rows(ra_deg, dec_deg, own=-1)}
    assert members == {0: [0], 1: [1]}


def test_no_rows_are_in_no_margin() -> None:
    assert list(Margins([(0, 0)], 10.0).rows(np.empty(0), np.empty(0), own=-1)) == []
    assert not Margins([], 10.0).near((0, 0))


@pytest.mark.parametrize(
    ("partitions", "expected"),
    [
        ([(0, pixel) for pixel in range(12)], []),
        ([(0, pixel) for pixel in range(11)], [(0, 11)]),
        ([(0, pixel) for pixel in range(1, 12)] + [(2, 5)], [(1, 0), (1, 2), (1, 3), (2, 4), (2, 6), (2, 7)]),
        ([], [(0, pixel) for pixel in range(12)]),
    ],
)
def test_empty_pixels_fill_the_sky(partitions: list[Pixel], expected: list[Pixel]) -> None:
    assert sorted(empty_pixels(partitions)) == expected


@pytest.mark.parametrize(
    ("margins", "cut", "strays"),
    [
        # The partition and the empty pixels of HATS.
        ([(0, 0), (0, 1), (0, 4)], {(0, 1), (0, 4)}, []),
        # Finer than HATS, as ACID cuts the empty sky: the rest is covered by what is fewest.
        ([(1, 4)], {(1, 4), (1, 5), (1, 6), (1, 7)}, []),
        ([(2, 16), (1, 5)], {(2, 16), (2, 17), (2, 18), (2, 19), (1, 5), (1, 6), (1, 7)}, []),
        # Inside the partition, and inside a pixel that has a margin of its own.
        ([(1, 0), (0, 1), (1, 4)], {(0, 1)}, [(1, 0), (1, 4)]),
        # Two that share sky: the finer one can stay.
        ([(1, 4), (2, 16)], {(2, 16), (2, 17), (2, 18), (2, 19), (1, 5), (1, 6), (1, 7)}, [(1, 4)]),
    ],
)
def test_margins_may_cut_the_empty_sky_finer(
    margins: list[Pixel], cut: set[Pixel], strays: list[Pixel]
) -> None:
    pixels, others = margin_pixels([(0, 0)], margins)
    assert others == strays
    assert len(pixels) == len(set(pixels))
    assert pixels[0] == (0, 0)
    assert sum(4.0**-order for order, _ in pixels) == 12
    assert {(order, pixel) for order, pixel in pixels if pixel >> (2 * order) in (1, 4)} == cut | {(0, 4)} | (
        set() if any(pixel >> (2 * order) == 1 for order, pixel in cut) else {(0, 1)}
    )
