"""Margins of the small real catalogs that lie beside the repository; skipped where they are not."""

from __future__ import annotations

import csv
from pathlib import Path

import hats
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hats.io.validation import is_valid_catalog

from skymargin import separation_arcsec, verify
from skymargin.catalogs.catalog import open_catalog
from tests.support import brute_force
from tests.support.catalogs import files_of, ids_of, make_margin
from tests.support.shared import SHARED, needs_shared

CATALOGS = (
    "small_sky",
    "small_sky_healpix13",
    "small_sky_nested",
    "small_sky_npix_alt_suffix",
    "small_sky_npix_as_dir",
    "small_sky_o1_collection",
    "small_sky_source",
)
IDS = {"small_sky_source": "source_id"}

pytestmark = needs_shared


def by_brute_force(path: Path, threshold_arcsec: float, id_column: str) -> dict[tuple[int, int], list[int]]:
    catalog = open_catalog(path)
    partitions = list(zip(catalog.orders.tolist(), catalog.pixels.tolist(), strict=True))
    tables = [
        pa.concat_tables([pq.ParquetFile(catalog.path / name).read() for name in names])
        for names in catalog.files
    ]
    columns = [catalog.columns.ra, catalog.columns.dec, id_column]
    rows = pa.concat_tables([table.select(columns) for table in tables])
    own = np.repeat(np.arange(len(tables)), [len(table) for table in tables])
    ra_deg, dec_deg, ids = (column.to_numpy() for column in rows.columns)
    margins = brute_force.margins(
        ra_deg, dec_deg, catalog.orders[own], catalog.pixels[own], partitions, threshold_arcsec
    )
    return {pixel: sorted(ids[rows].tolist()) for pixel, rows in margins.items()}


@pytest.mark.parametrize(
    ("name", "threshold_arcsec"),
    [
        *((name, threshold_arcsec) for name in CATALOGS for threshold_arcsec in (10.0, 7_200.0)),
        ("small_sky_o1_collection", 50_000.0),
        ("small_sky_nested", 324_000.0),
    ],
)
def test_margins_equal_brute_force(name: str, threshold_arcsec: float, tmp_path: Path) -> None:
    catalog, id_column = SHARED / "hats" / name, IDS.get(name, "id")
    made = make_margin(catalog, tmp_path, threshold_arcsec)
    expected = by_brute_force(catalog, threshold_arcsec, id_column)
    assert ids_of(tmp_path / "margin", id_column) == expected
    assert made.rows == sum(map(len, expected.values()))
    assert (made.empty_reason is None) == bool(expected)
    assert is_valid_catalog(tmp_path / "margin", strict=True)
    about, primary = hats.read_hats(tmp_path / "margin").catalog_info, open_catalog(catalog)
    assert (about.healpix_column, about.healpix_order) == (primary.columns.index, primary.columns.index_order)
    assert about.npix_suffix == ".parquet"
    report = verify(tmp_path / "margin", catalog)
    assert report.right, report.summary()
    audited = {(line.order, line.pixel): line.expected for line in report.per_pixel}
    assert audited == {pixel: len(rows) for pixel, rows in expected.items()}
    for file in files_of(tmp_path / "margin").values():
        rows = pq.ParquetFile(file).read()
        assert rows.schema.equals(primary.schema, check_metadata=True)
        assert (np.diff(rows.column(primary.columns.index).to_numpy()) >= 0).all()


def test_source_catalog_has_the_known_number_of_rows_in_each_pixel(tmp_path: Path) -> None:
    with (SHARED / "exact_small_sky_source_180arcs.csv").open() as lines:
        known = {(int(row["order"]), int(row["pixel"])): int(row["rows"]) for row in csv.DictReader(lines)}
    made = make_margin(SHARED / "hats" / "small_sky_source", tmp_path, 180.0)
    assert {pixel: len(ids) for pixel, ids in ids_of(tmp_path / "margin", "source_id").items()} == known
    report = verify(tmp_path / "margin")
    assert {(line.order, line.pixel): line.expected for line in report.per_pixel} == known
    assert made.rows == report.rows_expected == report.rows_found == sum(known.values()) == 401


def test_the_ten_points_at_a_pixel_corner_split_as_known() -> None:
    with (SHARED / "issue434.csv").open() as lines:
        points = list(csv.DictReader(lines))
    ra_deg, dec_deg, known = (
        np.array([float(point[name]) for point in points]) for name in ("ra", "dec", "separation_arcsec")
    )
    separation = np.asarray(separation_arcsec(ra_deg, dec_deg, 5, 1000))
    np.testing.assert_allclose(separation, known, atol=1e-6)
    assert (separation <= 10).sum() == 7
    np.testing.assert_allclose(
        separation, brute_force.separations_arcsec(ra_deg, dec_deg, 5, 1000), atol=1e-9
    )
