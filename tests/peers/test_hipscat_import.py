"""Row by row against hipscat-import: its rows, with those that it loses and without those that it has too many."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from skymargin.catalogs.layout import RECORD
from tests.peers.runs import Case, run_peer
from tests.support import brute_force
from tests.support.catalogs import (
    MIXED_PARTITIONS,
    Pixel,
    files_of,
    make_margin,
    rows_in,
    rows_in_file,
    sky_near_edges,
)

pytestmark = pytest.mark.slow

PIXEL_COLUMNS = ("Norder", "Dir", "Npix")


@pytest.fixture(scope="module", params=["small_sky_source", "generated, 120 arcsec", "generated, 900 arcsec"])
def case(
    request: pytest.FixtureRequest, hipscat_import_python: Path, tmp_path_factory: pytest.TempPathFactory
) -> Case:
    if request.param == "small_sky_source":
        data: Path = request.getfixturevalue("shared_data")
        return Case(data / "hipscat" / "small_sky_source", 180.0, "source_id", "source_ra", "source_dec")
    threshold_arcsec = float(request.param.split()[1])
    folder = tmp_path_factory.mktemp("generated")
    sky = sky_near_edges(MIXED_PARTITIONS, 6_000, threshold_arcsec, seed=13)
    rows = {
        "id": np.arange(len(sky)),
        "ra": sky.ra_deg,
        "dec": sky.dec_deg,
        "mag": np.sin(np.arange(len(sky))),
    }
    pq.write_table(pa.table(rows), folder / "rows.parquet")
    (folder / "tmp").mkdir()
    # The catalog is made by hipscat-import as well: its index, its partitions, its files.
    run_peer(
        *(hipscat_import_python, "import_hipscat_catalog.py"),
        *(folder / "rows.parquet", folder, "stars", 300, folder / "tmp"),
    )
    assert len({order for order, _ in files_of(folder / "stars")}) > 2
    return Case(folder / "stars", threshold_arcsec, "id")


def run_hipscat_import(python: Path, case: Case, folder: Path, *further: str) -> Path:
    """The margin that hipscat-import makes, in its own environment."""
    (folder / "tmp").mkdir()
    run_peer(
        *(python, "run_margin.py", "hipscat_import", case.path, folder),
        *("margin", case.threshold_arcsec, 1, folder / "tmp", *further),
    )
    return folder / "margin"


@pytest.fixture(scope="module")
def theirs(case: Case, hipscat_import_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run_hipscat_import(hipscat_import_python, case, tmp_path_factory.mktemp("theirs"))


@pytest.fixture(scope="module")
def ours(case: Case, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ours")
    make_margin(case.path, folder, case.threshold_arcsec)
    return folder / "margin"


@pytest.fixture(scope="module")
def primary(case: Case) -> pa.Table:
    """All rows of the catalog."""
    return rows_in(case.path)


def rows_of(margin: Path) -> dict[Pixel, pa.Table]:
    return {pixel: rows_in_file(file) for pixel, file in files_of(margin).items()}


def keys_of(margin: Path, key: str) -> dict[Pixel, set[int]]:
    return {pixel: set(rows.column(key).to_pylist()) for pixel, rows in rows_of(margin).items()}


def difference(these: dict[Pixel, set[int]], those: dict[Pixel, set[int]]) -> dict[Pixel, list[int]]:
    """The rows that are in these margins and not in those."""
    missing = {pixel: sorted(keys - those.get(pixel, set())) for pixel, keys in these.items()}
    return {pixel: keys for pixel, keys in missing.items() if keys}


def separations_arcsec(primary: pa.Table, case: Case, pixel: Pixel, keys: list[int]) -> np.ndarray[Any, Any]:
    """How far rows are from a pixel, by brute force."""
    place = {key: row for row, key in enumerate(primary.column(case.key).to_pylist())}
    rows = primary.take(pa.array([place[key] for key in keys]))
    separation: np.ndarray[Any, Any] = brute_force.separations_arcsec(
        rows.column(case.ra).to_numpy(), rows.column(case.dec).to_numpy(), *pixel
    )
    return separation


def test_rows_are_those_of_brute_force(case: Case, ours: Path, primary: pa.Table) -> None:
    keys, ra_deg, dec_deg, own_order, own_pixel = (
        primary.column(name).to_numpy() for name in (case.key, case.ra, case.dec, "Norder", "Npix")
    )
    expected = brute_force.margins(
        ra_deg, dec_deg, own_order, own_pixel, list(files_of(case.path)), case.threshold_arcsec
    )
    rows_by_pixel = rows_of(ours)
    assert {pixel: sorted(rows.column(case.key).to_pylist()) for pixel, rows in rows_by_pixel.items()} == {
        pixel: sorted(keys[rows].tolist()) for pixel, rows in expected.items()
    }
    assert sum(map(len, rows_by_pixel.values())) > 300


def test_rows_that_hipscat_import_loses_or_has_too_many_are_so_by_brute_force(
    case: Case, ours: Path, theirs: Path, primary: pa.Table
) -> None:
    mine, other = keys_of(ours, case.key), keys_of(theirs, case.key)
    lost, too_many = difference(mine, other), difference(other, mine)
    for pixel, keys in lost.items():
        assert (separations_arcsec(primary, case, pixel, keys) <= case.threshold_arcsec).all()
    for pixel, keys in too_many.items():
        assert (separations_arcsec(primary, case, pixel, keys) > case.threshold_arcsec).all()
    assert lost
    if case.key == "source_id":
        assert sum(map(len, mine.values())) == 401
        assert sum(map(len, other.values())) == 395
        assert (sum(map(len, lost.values())), sum(map(len, too_many.values()))) == (7, 1)


def test_coarse_margin_has_the_rows_of_hipscat_import(
    case: Case, hipscat_import_python: Path, tmp_path: Path
) -> None:
    (tmp_path / "theirs").mkdir()
    theirs = run_hipscat_import(hipscat_import_python, case, tmp_path / "theirs", '{"fine_filtering": false}')
    make_margin(case.path, tmp_path / "ours", case.threshold_arcsec, fine_filtering=False)
    mine, other = keys_of(tmp_path / "ours" / "margin", case.key), keys_of(theirs, case.key)
    assert (difference(mine, other), difference(other, mine)) == ({}, {})
    assert sum(map(len, mine.values())) > 600


def test_rows_in_both_have_the_same_values(case: Case, ours: Path, theirs: Path) -> None:
    mine, other = rows_of(ours), rows_of(theirs)
    compared = 0
    for pixel in mine.keys() & other.keys():
        assert mine[pixel].schema.equals(other[pixel].schema)
        keys = set(mine[pixel].column(case.key).to_pylist()) & set(other[pixel].column(case.key).to_pylist())
        ours_, theirs_ = (
            rows.filter(pa.array([key in keys for key in rows.column(case.key).to_pylist()]))
            .sort_by(case.key)
            .combine_chunks()
            for rows in (mine[pixel], other[pixel])
        )
        assert ours_.equals(theirs_), f"values differ in the margin of {pixel}"
        compared += len(ours_)
    assert compared > 300


def test_the_library_of_its_time_reads_it(
    case: Case, ours: Path, theirs: Path, hipscat_import_python: Path
) -> None:
    read = json.loads(
        run_peer(hipscat_import_python, "read_hipscat_margin.py", case.path, ours).splitlines()[-1]
    )
    rows = {f"{order},{pixel}": len(table) for (order, pixel), table in rows_of(ours).items()}
    assert read["is_margin"]
    assert read["is_valid"]
    assert read["columns"] == [*read["primary_columns"], "margin_Norder", "margin_Dir", "margin_Npix"]
    assert read["rows"] == rows
    assert read["total_rows"] == sum(rows.values())
    assert read["margin_threshold"] == case.threshold_arcsec
    assert read["index"] == ["_hipscat_index uint64"]
    assert read["in_order"]
    reread = json.loads(
        run_peer(hipscat_import_python, "read_hipscat_margin.py", case.path, theirs).splitlines()[-1]
    )
    assert read["types"] == reread["types"]
    assert read["columns"] == reread["columns"]


def test_files_are_those_of_hipscat_import(ours: Path, theirs: Path) -> None:
    mine, other = (
        {path.name for path in margin.iterdir() if "=" not in path.name} for margin in (ours, theirs)
    )
    # The record of what a margin was made from is ours alone.
    assert mine == other | {RECORD}
    for name in ("catalog_info.json", "provenance_info.json"):
        mine, other = (json.loads((margin / name).read_text()) for margin in (ours, theirs))
        assert list(mine) == list(other)
        for key in ("total_rows", "tool_args", "generation_date"):
            mine.pop(key, None)
            other.pop(key, None)
        assert mine == other
    header, *_ = (ours / "partition_info.csv").read_text().splitlines()
    assert header == (theirs / "partition_info.csv").read_text().splitlines()[0]
