"""Audits of the small real margins that lie beside the repository, of HATS and HiPSCat; skipped where they are not."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from skymargin import verify
from tests.build.test_shared_catalogs import CATALOGS, IDS, SHARED, by_brute_force
from tests.support.catalogs import make_margin

pytestmark = pytest.mark.skipif(
    not SHARED.is_dir(), reason="no shared catalogs: set SKYMARGIN_SHARED to the folder that holds data/hats"
)
HIPSCAT = SHARED / "hipscat" / "small_sky_order1_margin"


@pytest.mark.parametrize("name", CATALOGS)
@pytest.mark.parametrize("threshold_arcsec", [10.0, 7_200.0])
def test_margins_of_real_catalogs_are_right(name: str, threshold_arcsec: float, tmp_path: Path) -> None:
    catalog = SHARED / "hats" / name
    make_margin(catalog, tmp_path, threshold_arcsec)
    report = verify(tmp_path / "margin", catalog)
    assert report.right, report.summary()
    expected = by_brute_force(catalog, threshold_arcsec, IDS.get(name, "id"))
    assert {(one.order, one.pixel): one.expected for one in report.per_pixel} == {
        pixel: len(rows) for pixel, rows in expected.items()
    }


def test_the_known_rows_of_a_source_catalog_are_expected(tmp_path: Path) -> None:
    with (SHARED / "exact_small_sky_source_180arcs.csv").open() as lines:
        known = {(int(row["order"]), int(row["pixel"])): int(row["rows"]) for row in csv.DictReader(lines)}
    make_margin(SHARED / "hats" / "small_sky_source", tmp_path, 180.0)
    report = verify(tmp_path / "margin")
    assert {(one.order, one.pixel): one.expected for one in report.per_pixel} == known
    assert report.rows_expected == report.rows_found == 401


def test_a_margin_of_hats_import_has_none_missing_and_many_too_many() -> None:
    margin = SHARED / "hats" / "small_sky_o1_collection" / "small_sky_order1_margin"
    report = verify(margin)
    exact = by_brute_force(margin.parent / "small_sky_order1", 7_200.0, "id")
    assert report.rows_expected == sum(map(len, exact.values())) == 28
    assert report.rows_found == 47
    assert report.wrong == {"too_many": 19}
    assert report.largest_excess_arcsec == pytest.approx(8552.2406, abs=1e-3)
    assert verify(margin, coarse=True).right
    # The collection stands for its primary catalog.
    assert verify(margin, margin.parent, coarse=True).right


def test_an_empty_margin_of_hats_import_is_right() -> None:
    report = verify(SHARED / "hats" / "small_sky_o1_collection" / "small_sky_order1_margin_10arcs")
    assert report.right
    assert report.rows_expected == report.rows_found == 0


def test_a_margin_of_hipscat_import_is_right() -> None:
    report = verify(HIPSCAT)
    assert report.right, report.summary()
    assert (report.format, report.rows_expected, report.rows_found) == ("HiPSCat", 28, 28)
    assert report.builder.startswith("hipscat_import v0.3")


def _other_value(column: str) -> Callable[[pa.Table], pa.Table]:
    def change(rows: pa.Table) -> pa.Table:
        at = rows.schema.get_field_index(column)
        values = rows.column(at).to_pylist()
        values[0] += 1
        return rows.set_column(at, rows.schema.field(at), pa.array(values, rows.schema.field(at).type))

    return change


def _sorted_backwards(rows: pa.Table) -> pa.Table:
    return rows.take(pc.sort_indices(rows, sort_keys=[("_hipscat_index", "descending")]))


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        (lambda rows: rows.slice(1), {"missing": 1, "properties": 1}),
        (lambda rows: pa.concat_tables([rows.slice(0, 1), rows]), {"duplicate": 1, "properties": 1}),
        (_sorted_backwards, {"unsorted_file": 1}),
        (lambda rows: rows.drop_columns(["margin_Dir"]), {"schema": 1}),
        (_other_value("margin_Npix"), {"changed": 1}),
        (_other_value("margin_Norder"), {"changed": 1}),
        (_other_value("Npix"), {"changed": 1}),
        (_other_value("ra_error"), {"changed": 1}),
    ],
)
def test_faults_of_a_hipscat_margin_are_found(
    change: Callable[[pa.Table], pa.Table], wrong: dict[str, int], tmp_path: Path
) -> None:
    margin = shutil.copytree(HIPSCAT, tmp_path / "margin")
    file = margin / "Norder=1" / "Dir=0" / "Npix=46.parquet"
    pq.write_table(change(pq.ParquetFile(file).read()), file)
    assert verify(margin, HIPSCAT.parent / "small_sky_order1").wrong == wrong


def test_a_hipscat_margin_without_a_file_lacks_its_rows(tmp_path: Path) -> None:
    margin = shutil.copytree(HIPSCAT, tmp_path / "margin")
    (margin / "Norder=0" / "Dir=0" / "Npix=4.parquet").unlink()
    report = verify(margin, HIPSCAT.parent / "small_sky_order1")
    assert report.wrong["missing_file"] == 1
    assert {fault.pixel for fault in report.faults if fault.kind == "missing"} == {(0, 4)}
