"""What a margin catalog on disk is like: a valid HATS catalog whose rows are those of the primary, bit for bit."""

from __future__ import annotations

import shutil
from pathlib import Path

import hats
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hats.io.file_io import get_parquet_write_table_kwargs
from hats.io.validation import is_valid_catalog

from tests.support.catalogs import (
    MIXED_PARTITIONS,
    Layout,
    Pixel,
    file_bytes,
    files_of,
    fullest,
    make_margin,
    plain,
    rows_in,
    rows_in_file,
    rows_of,
    sky_at,
    sky_near_edges,
    write_catalog,
)
from tests.support.workspace import Workspace, made_in

THRESHOLD_ARCSEC = 0.1 + 0.2
SKY = sky_near_edges(MIXED_PARTITIONS, rows=2_000, reach_arcsec=THRESHOLD_ARCSEC, seed=11)
LAYOUT = Layout(row_group_rows=100)


def test_it_is_a_valid_margin_catalog(made: Workspace, primary: Path) -> None:
    path, report = made.margin, made.report
    assert is_valid_catalog(path, strict=True)
    catalog = hats.read_hats(path)
    assert type(catalog).__name__ == "MarginCatalog"
    about = catalog.catalog_info
    assert about.catalog_name == "margin"
    assert about.margin_threshold == THRESHOLD_ARCSEC
    assert about.primary_catalog == str(primary)
    assert about.total_rows == report.rows > 100
    assert (about.ra_column, about.dec_column) == ("ra", "dec")
    assert (about.healpix_column, about.healpix_order) == ("_healpix_29", 29)
    assert about.npix_suffix == ".parquet"
    assert about.hats_builder.startswith("skymargin v")
    assert about.hats_order == str(max(order for order, _ in files_of(path)))
    assert about.moc_sky_fraction == pytest.approx(
        catalog.partition_info.calculate_fractional_coverage(), abs=5.1e-6
    )
    assert about.hats_estsize > 10
    assert {"hats_creation_date", "hats_release_date", "hats_version"} <= set(about.model_dump())
    assert (path / "properties").read_bytes() == (path / "hats.properties").read_bytes()


def test_the_folder_holds_the_catalog_and_nothing_else(made: Workspace) -> None:
    path = made.margin
    assert {entry.name for entry in path.iterdir()} == {
        *("dataset", "hats.properties", "partition_info.csv", "properties", "_metadata.skymargin.json")
    }
    assert {entry.name for entry in (path / "dataset").iterdir()} == {
        "_common_metadata",
        "_metadata",
        *(f"Norder={order}" for order, _ in files_of(path)),
    }
    assert [entry.name for entry in path.parent.iterdir()] == ["margin"]


def test_rows_are_those_of_the_primary_bit_for_bit(made: Workspace, primary: Path) -> None:
    path, report = made.margin, made.report
    rows = rows_in(primary)
    place = np.argsort(rows.column("id").to_numpy())
    compared = 0
    for file in files_of(path).values():
        margin = rows_in_file(file)
        assert margin.schema.equals(rows.schema, check_metadata=True)
        expected = rows.take(pa.array(place[margin.column("id").to_numpy()]))
        assert plain(margin).equals(plain(expected))
        compared += len(margin)
    assert compared == report.rows


def test_metadata_files_have_the_schema_of_the_primary(made: Workspace, primary: Path) -> None:
    path, report = made.margin, made.report
    expected = pq.read_schema(primary / "dataset" / "_common_metadata")
    assert expected.metadata == {b"made": b"for tests"}
    for name in ("_common_metadata", "_metadata"):
        assert pq.read_schema(path / "dataset" / name).equals(expected, check_metadata=True)
    together = pq.read_metadata(path / "dataset" / "_metadata")
    assert together.num_rows == report.rows
    listed = [together.row_group(i).column(0).file_path for i in range(together.num_row_groups)]
    pixels = [
        tuple(map(int, line.split(","))) for line in (path / "partition_info.csv").read_text().split()[1:]
    ]
    assert listed == [
        f"Norder={order}/Dir={pixel // 10_000 * 10_000}/Npix={pixel}.parquet" for order, pixel in pixels
    ]
    assert sorted(pixels) == sorted(files_of(path))
    along_sky = [pixel * 4 ** (29 - order) for order, pixel in pixels]
    assert along_sky == sorted(along_sky)


def test_files_are_sorted_and_encoded_as_hats_does_it(made: Workspace, tmp_path: Path) -> None:
    path = made.margin
    longest = fullest(path)
    rows = rows_in_file(longest)
    assert len(rows) > 20
    assert (np.diff(rows.column("_healpix_29").to_numpy()) >= 0).all()
    pq.write_table(rows, tmp_path / "theirs.parquet", **get_parquet_write_table_kwargs(rows.schema))
    mine, theirs = (pq.read_metadata(file).row_group(0) for file in (longest, tmp_path / "theirs.parquet"))
    for number in range(mine.num_columns):
        ours, other = mine.column(number), theirs.column(number)
        assert set(ours.encodings) == set(other.encodings)
        assert ours.has_offset_index == other.has_offset_index


def test_margins_of_every_size_are_compressed(made: Workspace) -> None:
    for file in made.files.values():
        row_group = pq.read_metadata(file).row_group(0)
        assert {row_group.column(at).compression for at in range(row_group.num_columns)} == {"ZSTD"}


def test_files_keep_rows_of_equal_index_in_the_order_of_the_primary(tmp_path: Path) -> None:
    sky = sky_near_edges(((0, 4), (1, 20), (1, 21), (2, 88)), rows=600, reach_arcsec=20_000.0, seed=2)
    work = made_in(tmp_path, sky, 20_000.0, Layout(index_column="coarse", index_order=4, row_group_rows=9))
    rows = rows_of(sky, Layout(index_column="coarse", index_order=4))
    place = {int(number): at for at, number in enumerate(rows.column("id").to_pylist())}
    ties = 0
    for file in work.files.values():
        margin = pq.ParquetFile(file).read(["id", "coarse"])
        own = margin.column("id").to_numpy()
        start = sky.own_pixel[own].astype(int) << 2 * (29 - sky.own_order[own].astype(int))
        places = [place[number] for number in own.tolist()]
        keys = list(zip(margin.column("coarse").to_pylist(), start.tolist(), places, strict=True))
        assert keys == sorted(keys)
        ties += len(keys) - len({key[0] for key in keys})
    assert ties > 50


def test_without_index_column_files_are_sorted_by_position(tmp_path: Path) -> None:
    sky = sky_near_edges(MIXED_PARTITIONS, rows=500, reach_arcsec=3_000.0, seed=2)
    work = made_in(tmp_path, sky, 3_000.0, Layout(index_column=None, index_sorted=False))
    assert is_valid_catalog(work.margin, strict=True)
    about = hats.read_hats(work.margin).catalog_info
    assert (about.healpix_column, about.healpix_order) == (None, None)
    index = rows_of(sky, Layout()).sort_by("id").column("_healpix_29").to_numpy()
    for file in work.files.values():
        numbers = pq.ParquetFile(file).read(["id"]).column("id").to_numpy()
        assert (np.diff(index[numbers]) >= 0).all()


@pytest.mark.parametrize(
    ("partitions", "reason"), [(((2, 5), (2, 7)), "has no rows"), ((), "has no partitions")]
)
def test_an_empty_catalog_has_an_empty_valid_margin(
    partitions: tuple[Pixel, ...], reason: str, tmp_path: Path
) -> None:
    write_catalog(tmp_path / "catalog", sky_at(partitions, np.empty(0), np.empty(0)))
    report = make_margin(tmp_path / "catalog", tmp_path, 10.0)
    assert (report.rows, report.partitions) == (0, 0)
    assert reason in (report.empty_reason or "")
    assert is_valid_catalog(tmp_path / "margin", strict=True)


def test_an_empty_margin_is_valid_and_says_why(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sky = sky_near_edges(((2, 15),), rows=200, reach_arcsec=100.0, seed=1)
    assert not sky.margins(1e-4)
    write_catalog(tmp_path / "catalog", sky)
    report = make_margin(tmp_path / "catalog", tmp_path, 1e-4, progress_bar=True)
    assert report.empty_reason == (
        f"because none of the catalog's {len(sky)} rows lies within 0.0001 arcsec of a pixel other than that of its "
        "own partition"
    )
    assert report.empty_reason in capsys.readouterr().out
    assert is_valid_catalog(tmp_path / "margin", strict=True)
    about = hats.read_hats(tmp_path / "margin").catalog_info
    assert (about.total_rows, about.margin_threshold) == (0, 1e-4)
    schema = pq.read_schema(tmp_path / "margin" / "dataset" / "_common_metadata")
    assert schema.equals(
        pq.read_schema(tmp_path / "catalog" / "dataset" / "_common_metadata"), check_metadata=True
    )


def test_overwrite_replaces_the_whole_catalog(primary: Path, tmp_path: Path) -> None:
    make_margin(primary, tmp_path, 100_000.0)
    before = set(files_of(tmp_path / "margin"))
    left_over = tmp_path / "margin" / "dataset" / "Norder=9" / "Dir=0" / "Npix=1.parquet"
    left_over.parent.mkdir(parents=True)
    left_over.touch()
    make_margin(primary, tmp_path, 1e-4, overwrite=True)
    after = set(files_of(tmp_path / "margin"))
    assert after < before
    assert not left_over.parent.exists()
    assert [entry.name for entry in tmp_path.iterdir()] == ["margin"]


def test_a_collection_stands_for_its_primary_catalog(primary: Path, tmp_path: Path) -> None:
    collection = tmp_path / "collection"
    shutil.copytree(primary, collection / "stars")
    (collection / "collection.properties").write_text(
        "#HATS Collection\nobs_collection=collection\nhats_primary_table_url=stars\n"
    )
    make_margin(primary, tmp_path, THRESHOLD_ARCSEC, "alone")
    make_margin(collection, collection, THRESHOLD_ARCSEC, "inside")
    assert hats.read_hats(collection / "inside").catalog_info.primary_catalog == str(collection / "stars")
    assert file_bytes(collection / "inside") == file_bytes(tmp_path / "alone")
