"""Crossmatches with these margins find every pair that a match of all positions finds, at every border."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.lsdb.conftest import Pairs, Stars, TwoCatalogs, lsdb, pairs_within
from tests.lsdb.frames import compute, quietly

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")

RADII_ARCSEC = (5.0, 60.0, 900.0)
SUFFIXES = ("_left", "_right")
NEIGHBOURS = 40
AllPairs = Callable[[float], Pairs]


def pairs_of(matched: Any, names: tuple[str, str] = ("id_left", "id_right")) -> Pairs:
    """The pairs in the result of a crossmatch, in which each occurs once."""
    frame = compute(matched)
    pairs = list(zip(*(frame[name].tolist() for name in names), strict=True))
    assert len(pairs) == len(set(pairs))
    return set(pairs)


def match(left: Any, right: Any, radius_arcsec: float, **options: Any) -> Any:
    from skymargin.lsdb import crossmatch

    options = {"suffixes": SUFFIXES, "n_neighbors": NEIGHBOURS, **options}
    return quietly(lambda: crossmatch(left, right, radius_arcsec, **options))


@pytest.mark.parametrize("radius_arcsec", RADII_ARCSEC)
def test_catalogs_as_opened(two_catalogs: TwoCatalogs, all_pairs: AllPairs, radius_arcsec: float) -> None:
    left, right = (lsdb.open_catalog(stars.path) for stars in (two_catalogs.left, two_catalogs.right))
    expected = all_pairs(radius_arcsec)
    assert len(expected) > {5.0: 100, 60.0: 3_000, 900.0: 5_000}[radius_arcsec]
    assert pairs_of(match(left, right, radius_arcsec)) == expected


def test_without_a_margin_pairs_are_lost(two_catalogs: TwoCatalogs, all_pairs: AllPairs) -> None:
    left, right = (lsdb.open_catalog(stars.path) for stars in (two_catalogs.left, two_catalogs.right))
    matched = quietly(
        lambda: left.crossmatch(right, radius_arcsec=60.0, n_neighbors=NEIGHBOURS, suffixes=SUFFIXES)
    )
    assert len(all_pairs(60.0) - pairs_of(matched)) > 40


@pytest.mark.parametrize("radius_arcsec", RADII_ARCSEC)
def test_a_filter_and_a_query(two_catalogs: TwoCatalogs, radius_arcsec: float) -> None:
    """The left is filtered by LSDB as it reads, on a column that it does not load; the right by a query."""
    left = lsdb.open_catalog(two_catalogs.left.path, columns=["id"], filters=[("mag", "<", 8.5)])
    right = lsdb.open_catalog(two_catalogs.right.path).query("mag > 6")
    kept = [
        two_catalogs.left.where(two_catalogs.left.table["mag"].to_numpy() < np.float32(8.5)),
        two_catalogs.right.where(two_catalogs.right.table["mag"].to_numpy() > 6),
    ]
    expected = pairs_within(*kept, radius_arcsec)
    assert expected
    assert pairs_of(match(left, right, radius_arcsec)) == expected
    # The other way round the margin is that of the filtered one.
    turned = {(other, one) for one, other in expected}
    assert pairs_of(match(right, left, radius_arcsec)) == turned


@pytest.mark.parametrize("radius_arcsec", RADII_ARCSEC)
def test_frames_in_memory(two_catalogs: TwoCatalogs, all_pairs: AllPairs, radius_arcsec: float) -> None:
    left, right = (
        quietly(
            lambda stars=stars, rows=rows: lsdb.from_dataframe(
                stars.table.to_pandas(), partition_rows=rows, margin_threshold=None
            )
        )
        for stars, rows in ((two_catalogs.left, 300), (two_catalogs.right, 120))
    )
    assert right.margin is None
    assert pairs_of(match(left, right, radius_arcsec)) == all_pairs(radius_arcsec)


@pytest.mark.parametrize("radius_arcsec", RADII_ARCSEC)
def test_results_of_crossmatches_are_matched_again(
    two_catalogs: TwoCatalogs, all_pairs: AllPairs, radius_arcsec: float
) -> None:
    """The result has no margin; it is put on the right, where it needs one, and that result is matched once more."""
    left, right = (lsdb.open_catalog(stars.path) for stars in (two_catalogs.left, two_catalogs.right))
    # Of each left star the nearest, so that the result has one row for it.
    once = match(left, right, 60.0, n_neighbors=1)
    assert once.margin is None
    matched = {one for one, _ in all_pairs(60.0)}
    twice = match(right, once, radius_arcsec, suffixes=("_again", "_once"))
    expected = {(other, one) for one, other in all_pairs(radius_arcsec) if one in matched}
    assert pairs_of(twice, ("id_again", "id_left_once")) == expected

    third = match(left, twice, radius_arcsec, suffixes=("_third", "_twice"), n_neighbors=10 * NEIGHBOURS)
    frame = compute(third)
    names = ("id_third", "id_again_twice", "id_left_once_twice")
    found = set(zip(*(frame[name].tolist() for name in names), strict=True))
    assert len(found) == len(frame)
    others_of: dict[int, list[int]] = {}
    for other, one in expected:
        others_of.setdefault(other, []).append(one)
    all_three = {
        (first, other, one) for first, other in all_pairs(radius_arcsec) for one in others_of.get(other, [])
    }
    assert found == all_three


@pytest.mark.parametrize("radius_arcsec", RADII_ARCSEC)
def test_an_outer_crossmatch(two_catalogs: TwoCatalogs, radius_arcsec: float) -> None:
    """Each left star takes the nearest right one; what nobody takes stays alone, on both sides.

    The left has half the stars, and the right no star in a part of the sky, so that there is sky of one alone.
    """
    left_stars = two_catalogs.left.where(two_catalogs.left.table["id"].to_numpy() % 2 == 0)
    right_stars = two_catalogs.right.where(two_catalogs.right.table["dec"].to_numpy() > -50)
    left, right = (
        quietly(
            lambda stars=stars, rows=rows: lsdb.from_dataframe(
                stars.table.to_pandas(), partition_rows=rows, highest_order=5, margin_threshold=None
            )
        )
        for stars, rows in ((left_stars, 250), (right_stars, 400))
    )
    matched = match(left, right, radius_arcsec, how="outer", n_neighbors=1)
    frame = compute(matched)
    found = [
        tuple(None if pd.isna(value) else int(value) for value in row)
        for row in zip(frame["id_left"], frame["id_right"], strict=True)
    ]
    assert len(found) == len(set(found))
    assert set(found) == outer_join(left_stars, right_stars, radius_arcsec)


def outer_join(left: Stars, right: Stars, radius_arcsec: float) -> set[tuple[int | None, int | None]]:
    """Each left star with the nearest right one within the radius, and those without."""
    from astropy.coordinates import SkyCoord

    ours, theirs = (SkyCoord(*stars.positions(), unit="deg") for stars in (left, right))
    nearest, apart, _ = ours.match_to_catalog_sky(theirs)
    lefts, rights = left.table["id"].to_numpy(), right.table["id"].to_numpy()
    within = apart.arcsec <= radius_arcsec
    pairs: set[tuple[int | None, int | None]] = set(
        zip(lefts[within].tolist(), rights[nearest[within]].tolist(), strict=True)
    )
    taken = {other for _, other in pairs}
    pairs |= {(one, None) for one in lefts[~within].tolist()}
    pairs |= {(None, other) for other in rights.tolist() if other not in taken}
    assert len(pairs) > len(lefts) / 2
    return pairs


def test_a_left_crossmatch_keeps_every_star(two_catalogs: TwoCatalogs, all_pairs: AllPairs) -> None:
    left, right = (lsdb.open_catalog(stars.path) for stars in (two_catalogs.left, two_catalogs.right))
    frame = compute(match(left, right, 5.0, how="left"))
    is_alone = frame["id_right"].isna()
    pairs = set(zip(frame["id_left"][~is_alone].tolist(), frame["id_right"][~is_alone].tolist(), strict=True))
    assert pairs == all_pairs(5.0)
    alone = set(two_catalogs.left.table["id"].to_pylist()) - {one for one, _ in pairs}
    assert sorted(frame["id_left"][is_alone].tolist()) == sorted(alone)


def test_margins_that_are_wide_enough_are_kept(two_catalogs: TwoCatalogs) -> None:
    from skymargin.lsdb import with_margin

    right = with_margin(lsdb.open_catalog(two_catalogs.right.path), 30.0)
    inputs = match(lsdb.open_catalog(two_catalogs.left.path), right, 30.0)._operation.input_cats
    assert inputs[2] is right.margin
    wider = match(lsdb.open_catalog(two_catalogs.left.path), right, 31.0)._operation.input_cats[2]
    assert wider.hc_structure.catalog_info.margin_threshold == 31.0


def test_an_algorithm_of_ones_own(two_catalogs: TwoCatalogs, all_pairs: AllPairs) -> None:
    from lsdb.core.crossmatch.kdtree_match import KdTreeCrossmatch

    left, right = (lsdb.open_catalog(stars.path) for stars in (two_catalogs.left, two_catalogs.right))
    algorithm = KdTreeCrossmatch(n_neighbors=NEIGHBOURS, radius_arcsec=60.0)
    matched = match(left, right, 60.0, algorithm=algorithm, n_neighbors=None)
    assert pairs_of(matched) == all_pairs(60.0)


def test_stars_that_were_moved() -> None:
    """A star one arcsecond inside its partition moves by 60 across the border, where another catalog has it."""
    from skymargin.lsdb import recommend_threshold, with_margin

    arcsec_deg = 1 / 3600

    def catalog(ids: list[int], ra_deg: list[float]) -> Any:
        # On the equator at 45 degrees two pixels of order 2 meet.
        frame = pd.DataFrame({"id": ids, "ra": ra_deg, "dec": np.zeros(len(ids))})
        return quietly(
            lambda: lsdb.from_dataframe(frame, lowest_order=2, highest_order=2, margin_threshold=None)
        )

    def moved(frame: pd.DataFrame) -> pd.DataFrame:
        return frame.assign(ra=frame["ra"].where(frame["id"] != 10, frame["ra"] + 60 * arcsec_deg))

    threshold = recommend_threshold(5.0, how="outer", years=1, max_proper_motion_mas_per_year=60_000)
    assert threshold == 130.0
    left = with_margin(catalog([0, 1, 2], [45 + 59 * arcsec_deg, 40.0, 50.0]), threshold / 2)
    right = with_margin(catalog([10, 11, 12], [45 - arcsec_deg, 40.1, 50.1]), threshold)
    right = quietly(lambda: right.map_partitions(moved))
    frame = compute(match(left, right, 5.0, how="outer", n_neighbors=1))
    pairs = frame[["id_left", "id_right"]].fillna(-1).to_numpy().tolist()
    assert sorted(pairs) == [[-1, 11], [-1, 12], [0, 10], [1, -1], [2, -1]]
