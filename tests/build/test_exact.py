"""The rows of margins, against brute force over every row and every pixel."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from skymargin import verify
from tests.support import brute_force
from tests.support.catalogs import (
    MIXED_PARTITIONS,
    Layout,
    Pixel,
    Sky,
    ids_of,
    make_margin,
    rows_of,
    sky_near_edges,
    with_values,
    write_catalog,
)
from tests.support.hipscat_catalogs import write_hipscat_catalog
from tests.support.workspace import made_in

# Deep partitions side by side at the corner where three base cells meet, one of them a whole quarter of a base cell.
CORNER: tuple[Pixel, ...] = ((1, 3), (8, 87381), (8, 87380), (8, 87378), (9, 349516), (10, 1398079))


# Finer than the index of HiPSCat, which ends at order 19: four side by side, and one coarser beside them.
FINE: tuple[Pixel, ...] = (*((21, (5 << 42) + pixel) for pixel in range(4)), (20, (5 << 40) + 1))

# Partitions, threshold in arcseconds, rows.
CASES: dict[str, tuple[tuple[Pixel, ...], float, int]] = {
    "mixed orders, 10 arcsec": (MIXED_PARTITIONS, 10.0, 1_500),
    "mixed orders, one degree": (MIXED_PARTITIONS, 3_600.0, 1_500),
    "threshold wider than partitions": (MIXED_PARTITIONS, 60_000.0, 300),
    "a quarter of the sky around": (MIXED_PARTITIONS, 324_000.0, 150),
    "a quarter of the sky around three partitions": (MIXED_PARTITIONS[:3], 324_000.0, 300),
    "one partition, the rest empty": (((2, 15),), 600.0, 1_500),
    "partitions in half of the sky": (MIXED_PARTITIONS[:24], 60.0, 600),
    "deep partitions at a corner of base cells": (CORNER, 45.0, 1_500),
    "deep partitions, far wider threshold": (CORNER, 4_000.0, 1_500),
    "partitions finer than the index of HiPSCat": (FINE, 0.05, 1_000),
    "a thousandth of an arcsec": (MIXED_PARTITIONS, 0.001, 1_500),
}


def assert_audited(margin: Path, sky: Sky, expected: dict[Pixel, list[int]]) -> None:
    """Assert that an audit finds nothing wrong with a right margin, and counts as brute force does."""
    report = verify(margin)
    assert report.right, report.summary()
    counts = {(line.order, line.pixel): line.expected for line in report.per_pixel if line.expected}
    assert counts == {pixel: len(rows) for pixel, rows in expected.items()}
    assert report.rows_found == report.rows_expected == sum(counts.values())
    assert report.primary_rows == len(sky)


@pytest.mark.parametrize(
    ("write", "check_index"),
    [(write_catalog, False), (write_hipscat_catalog, False), (write_hipscat_catalog, True)],
    ids=["HATS", "HiPSCat", "HiPSCat, index checked"],
)
@pytest.mark.parametrize("name", CASES)
def test_margins_equal_brute_force(
    name: str, write: Callable[..., None], check_index: bool, tmp_path: Path
) -> None:
    partitions, threshold_arcsec, rows = CASES[name]
    sky = sky_near_edges(partitions, rows, threshold_arcsec, seed=len(name))
    write(tmp_path / "stars", sky)
    report = make_margin(tmp_path / "stars", tmp_path / "out", threshold_arcsec, check_index=check_index)
    expected = sky.margins(threshold_arcsec)
    assert sum(map(len, expected.values())) > 50
    if len(partitions) == 1:
        assert len(expected) > 3
        assert set(expected) <= set(brute_force.empty_pixels(partitions))
    assert ids_of(tmp_path / "out" / "margin") == expected
    assert_audited(tmp_path / "out" / "margin", sky, expected)
    assert (report.rows, report.partitions) == (sum(map(len, expected.values())), len(expected))
    assert (report.primary_rows, report.primary_partitions) == (len(sky), len(partitions))


LAYOUTS = {
    "one row group": Layout(row_group_rows=1_000_000),
    "row groups of one row": Layout(row_group_rows=1),
    "row groups of 7 rows": Layout(row_group_rows=7),
    "no statistics": Layout(row_group_rows=20, statistics=False),
    "not sorted": Layout(row_group_rows=50, index_sorted=False),
    "no index column": Layout(row_group_rows=50, index_column=None),
    "index of order 13": Layout(row_group_rows=20, index_column="healpix13", index_order=13),
    "index of order 3": Layout(row_group_rows=20, index_column="coarse", index_order=3),
    "index of order 0, coarser than partitions": Layout(index_column="coarse", index_order=0),
    ".parq files": Layout(suffix=".parq"),
    "folders of files": Layout(row_group_rows=30, suffix="/", files_per_partition=3),
    "no _metadata": Layout(without=("_metadata",)),
    "no _common_metadata": Layout(without=("_common_metadata",)),
    "neither metadata": Layout(without=("_metadata", "_common_metadata")),
    "no list of partitions": Layout(without=("partition_info.csv",)),
    "no list of partitions, no _metadata": Layout(without=("partition_info.csv", "_metadata")),
}


@pytest.mark.parametrize("check_index", [False, True])
@pytest.mark.parametrize("name", LAYOUTS)
def test_margins_do_not_depend_on_the_layout(name: str, check_index: bool, tmp_path: Path) -> None:
    sky = sky_near_edges(MIXED_PARTITIONS, rows=600, reach_arcsec=60.0, seed=5)
    work = made_in(tmp_path, sky, 60.0, LAYOUTS[name], check_index=check_index)
    expected = sky.margins(60.0)
    assert len(expected) > 20
    assert work.ids == expected
    assert_audited(work.margin, sky, expected)


@pytest.mark.parametrize("index_column", ["_healpix_29", None])
def test_float32_coordinates_decide_as_they_are_kept(index_column: str | None, tmp_path: Path) -> None:
    # The index is computed before the coordinates are rounded, and 0.1 arcsec is about what rounding moves them by.
    sky = sky_near_edges(MIXED_PARTITIONS, rows=800, reach_arcsec=0.3, seed=8, coordinates=pa.float32())
    assert not np.array_equal(sky.ra_deg, np.round(sky.ra_deg, 5))
    work = made_in(tmp_path, sky, 0.3, Layout(coordinates=pa.float32(), index_column=index_column))
    expected = sky.margins(0.3)
    assert len(expected) > 20
    assert work.ids == expected
    assert_audited(work.margin, sky, expected)


@pytest.mark.parametrize("margin_order", [0, 3, 9, 12])
def test_margin_order_changes_no_row(margin_order: int, tmp_path: Path) -> None:
    sky = sky_near_edges(MIXED_PARTITIONS, rows=400, reach_arcsec=30.0, seed=9)
    work = made_in(tmp_path, sky, 30.0, margin_order=margin_order)
    assert work.ids == sky.margins(30.0)


def test_rows_without_an_index_value_are_found_by_their_coordinates(tmp_path: Path) -> None:
    sky = sky_near_edges(MIXED_PARTITIONS, rows=500, reach_arcsec=60.0, seed=19)
    table = rows_of(sky, Layout())
    lost = np.arange(len(table)) % 3 == 0
    index = np.where(lost, None, table.column("_healpix_29").to_numpy())
    work = made_in(tmp_path, sky, 60.0, table=with_values(table, "_healpix_29", index.tolist()))
    expected = sky.margins(60.0)
    assert sum(bool(lost[rows].any()) for rows in expected.values()) > 20
    assert work.ids == expected
