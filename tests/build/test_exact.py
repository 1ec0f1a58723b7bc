"""The rows of margins, against brute force over every row and every pixel."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from tests.support.catalogs import (
    MIXED_PARTITIONS,
    Layout,
    Pixel,
    Sky,
    ids_of,
    make_margin,
    rows_of,
    sky_near_edges,
    write_catalog,
)

# Deep partitions side by side at the corner where three base cells meet, one of them a whole quarter of a base cell.
CORNER: tuple[Pixel, ...] = ((1, 3), (8, 87381), (8, 87380), (8, 87378), (9, 349516), (10, 1398079))


@dataclass(frozen=True)
class Case:
    """A sky and the thresholds to try on it."""

    partitions: tuple[Pixel, ...]
    threshold_arcsec: float
    rows: int = 1_500


CASES = {
    "mixed orders, 10 arcsec": Case(MIXED_PARTITIONS, 10.0),
    "mixed orders, one degree": Case(MIXED_PARTITIONS, 3_600.0),
    "threshold wider than partitions": Case(MIXED_PARTITIONS, 60_000.0, rows=300),
    "a quarter of the sky around": Case(MIXED_PARTITIONS, 324_000.0, rows=150),
    "one partition, the rest empty": Case(((2, 15),), 600.0),
    "deep partitions at a corner of base cells": Case(CORNER, 45.0),
    "deep partitions, far wider threshold": Case(CORNER, 4_000.0),
    "a thousandth of an arcsec": Case(MIXED_PARTITIONS, 0.001),
}


def sky_of(case: Case, seed: int) -> Sky:
    return sky_near_edges(case.partitions, case.rows, case.threshold_arcsec, seed)


@pytest.mark.parametrize("name", CASES)
def test_margins_equal_brute_force(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    sky = sky_of(case, seed=len(name))
    write_catalog(tmp_path / "catalog", sky)
    report = make_margin(tmp_path / "catalog", tmp_path / "out", case.threshold_arcsec)
    expected = sky.margins(case.threshold_arcsec)
    assert sum(map(len, expected.values())) > 50
    assert ids_of(tmp_path / "out" / "margin") == expected
    assert (report.rows, report.partitions) == (sum(map(len, expected.values())), len(expected))
    assert report.primary_rows == len(sky)
    assert report.primary_partitions == len(case.partitions)


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
    write_catalog(tmp_path / "catalog", sky, LAYOUTS[name])
    make_margin(tmp_path / "catalog", tmp_path / "out", 60.0, check_index=check_index)
    expected = sky.margins(60.0)
    assert len(expected) > 20
    assert ids_of(tmp_path / "out" / "margin") == expected


@pytest.mark.parametrize("index_column", ["_healpix_29", None])
def test_float32_coordinates_decide_as_they_are_kept(index_column: str | None, tmp_path: Path) -> None:
    # The index is computed before the coordinates are rounded, and 0.1 arcsec is about what rounding moves them by.
    sky = sky_near_edges(MIXED_PARTITIONS, rows=800, reach_arcsec=0.3, seed=8, coordinates=pa.float32())
    assert not np.array_equal(sky.ra_deg, np.round(sky.ra_deg, 5))
    write_catalog(tmp_path / "catalog", sky, Layout(coordinates=pa.float32(), index_column=index_column))
    make_margin(tmp_path / "catalog", tmp_path / "out", 0.3)
    expected = sky.margins(0.3)
    assert len(expected) > 20
    assert ids_of(tmp_path / "out" / "margin") == expected


@pytest.mark.parametrize("margin_order", [0, 3, 9, 12])
def test_margin_order_changes_no_row(margin_order: int, tmp_path: Path) -> None:
    sky = sky_near_edges(MIXED_PARTITIONS, rows=400, reach_arcsec=30.0, seed=9)
    write_catalog(tmp_path / "catalog", sky)
    make_margin(tmp_path / "catalog", tmp_path / "out", 30.0, margin_order=margin_order)
    assert ids_of(tmp_path / "out" / "margin") == sky.margins(30.0)


def test_rows_without_an_index_value_are_found_by_their_coordinates(tmp_path: Path) -> None:
    sky = sky_near_edges(MIXED_PARTITIONS, rows=500, reach_arcsec=60.0, seed=19)
    table = rows_of(sky, Layout())
    lost = np.arange(len(table)) % 3 == 0
    index = pa.array(table.column("_healpix_29").to_numpy(), mask=lost)
    at = table.schema.get_field_index("_healpix_29")
    write_catalog(tmp_path / "catalog", sky, table=table.set_column(at, "_healpix_29", index))
    make_margin(tmp_path / "catalog", tmp_path / "out", 60.0)
    expected = sky.margins(60.0)
    assert sum(bool(lost[rows].any()) for rows in expected.values()) > 20
    assert ids_of(tmp_path / "out" / "margin") == expected
