"""Audits of the small real margins that lie beside the repository, of HATS and HiPSCat; skipped where they are not."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from skymargin import verify
from tests.build.test_shared_catalogs import by_brute_force
from tests.support.catalogs import with_value
from tests.support.shared import SHARED, needs_shared

pytestmark = needs_shared
HIPSCAT = SHARED / "hipscat" / "small_sky_order1_margin"


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
    return lambda rows: with_value(rows, column, 0, rows.column(column)[0].as_py() + 1)


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
