"""What is said of a catalog, a margin and a collection is what they were written with."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hats import read_hats

from skymargin import info
from skymargin.errors import CatalogError, CatalogNotFoundError
from tests.build.test_shared_catalogs import SHARED
from tests.support.catalogs import (
    MIXED_PARTITIONS,
    Layout,
    files_of,
    make_margin,
    sky_near_edges,
    write_catalog,
)

SKY = sky_near_edges(MIXED_PARTITIONS, rows=400, reach_arcsec=60.0, seed=31)
ORDERS = {order: sum(one == order for one, _ in MIXED_PARTITIONS) for order in range(4)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a catalog and its margin."""
    write_catalog(tmp_path / "catalog", SKY)
    make_margin(tmp_path / "catalog", tmp_path, 60.0)
    return tmp_path


def test_a_catalog(folder: Path) -> None:
    found = info(folder / "catalog")
    files = files_of(folder / "catalog").values()
    assert (found.format, found.kind, found.name) == ("HATS", "object", "catalog")
    assert (found.rows, found.rows_stated, found.columns) == (len(SKY), len(SKY), 10)
    assert found.partitions == ORDERS
    assert found.data_bytes == sum(file.stat().st_size for file in files)
    everything = sum(file.stat().st_size for file in (folder / "catalog").rglob("*") if file.is_file())
    assert found.data_bytes + found.other_bytes == everything
    assert (found.ra, found.dec, found.index, found.index_order) == ("ra", "dec", "_healpix_29", 29)
    assert (found.sorted_by_index, found.sorted_from) == (True, "every row of the index column was read")
    assert found.warnings == []
    assert json.loads(json.dumps(found.to_dict()))["rows"] == len(SKY)


def test_a_margin(folder: Path) -> None:
    found = info(folder / "margin")
    properties = read_hats(folder / "margin").catalog_info
    assert (found.kind, found.margin_threshold_arcsec) == ("margin", "60.0")
    assert found.rows == properties.total_rows == sum(map(len, SKY.margins(60.0).values()))
    assert found.primary == str(folder / "catalog")
    assert str(found.builder).startswith("skymargin v")
    text = found.summary()
    assert "HATS margin, margin" in text
    assert "60.0 arcsec" in text
    assert all(len(line) <= 100 or str(folder) in line for line in text.splitlines())


def test_an_empty_margin(tmp_path: Path) -> None:
    write_catalog(tmp_path / "catalog", SKY)
    make_margin(tmp_path / "catalog", tmp_path, 1e-7)
    found = info(tmp_path / "margin")
    assert (found.rows, found.partitions, found.sorted_by_index) == (0, {}, True)
    assert "partitions  none" in found.summary()


@pytest.mark.parametrize(
    ("layout", "index", "order", "is_sorted", "learned"),
    [
        (Layout(index_sorted=False), "_healpix_29", 29, False, "are not in order, by its index column"),
        (
            Layout(index_sorted=False, row_group_rows=5),
            "_healpix_29",
            29,
            False,
            "by the statistics in its footer",
        ),
        (Layout(row_group_rows=7), "_healpix_29", 29, True, "every row"),
        (Layout(statistics=False), "_healpix_29", 29, True, "every row"),
        (Layout(without=("_metadata",)), "_healpix_29", 29, True, "every row"),
        (Layout(index_column="healpix13", index_order=13), "healpix13", 13, True, "every row"),
        (Layout(suffix="/", files_per_partition=3), "_healpix_29", 29, True, "every row"),
        (Layout(suffix=".parq"), "_healpix_29", 29, True, "every row"),
        (Layout(index_column=None), None, None, None, ""),
    ],
)
def test_whether_rows_are_sorted(
    layout: Layout, index: str | None, order: int | None, is_sorted: bool | None, learned: str, tmp_path: Path
) -> None:
    write_catalog(tmp_path / "catalog", SKY, layout)
    found = info(tmp_path / "catalog")
    assert (found.index, found.index_order, found.sorted_by_index) == (index, order, is_sorted)
    assert learned in found.sorted_from
    assert (found.rows, found.partitions, found.warnings) == (len(SKY), ORDERS, [])


@pytest.mark.parametrize("statistics", [True, False])
def test_a_large_index_column_is_not_read(
    statistics: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_catalog(tmp_path / "catalog", SKY, Layout(row_group_rows=7, statistics=statistics))
    monkeypatch.setattr("skymargin.audit.footers._INDEX_BYTES", 0)
    monkeypatch.setattr("skymargin.audit.footers._first_unsorted", None)
    found = info(tmp_path / "catalog")
    assert found.sorted_by_index is None
    words = "row groups are in order" if statistics else "footers have no statistics"
    assert found.sorted_from.startswith(words)
    assert "not known: " in found.summary()


def test_what_does_not_fit_together_is_a_warning(folder: Path) -> None:
    files = sorted(files_of(folder / "margin").values())
    rows = info(folder / "margin").rows
    lost = pq.ParquetFile(files[0]).metadata.num_rows
    files[0].unlink()
    stray = folder / "margin" / "dataset" / "copy.parquet"
    shutil.copy(files[1], stray)
    found = info(folder / "margin")
    assert rows is not None
    assert found.rows == rows - lost
    said = " / ".join(found.warnings)
    assert f"its properties say {rows:,} rows, its files have {rows - lost:,}" in said
    assert f"partition_info.csv lists {len(files)} partitions, {len(files) - 1} have files" in said
    assert "1 files where no reader looks for them, first copy.parquet" in said
    assert found.summary().count("WARNING") == 3


def test_a_file_that_cannot_be_read_is_a_warning(folder: Path) -> None:
    file = min(files_of(folder / "margin").values())
    file.write_bytes(b"nothing of the kind")
    (folder / "margin" / "dataset" / "_metadata").unlink()
    found = info(folder / "margin")
    assert found.rows is None
    assert any(f"{file} cannot be read as Parquet" in warning for warning in found.warnings)
    assert f"{found.rows_stated:,} (from its properties)" in found.summary()


def test_a_file_that_broke_after_metadata_was_written_is_a_warning(folder: Path) -> None:
    file = min(files_of(folder / "margin").values())
    file.write_bytes(file.read_bytes()[:-1])
    assert any(f"{file} cannot be read as Parquet" in warning for warning in info(folder / "margin").warnings)


def test_what_is_no_catalog_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CatalogNotFoundError, match="there is nothing at"):
        info(tmp_path / "nowhere")
    with pytest.raises(CatalogNotFoundError, match=r"is not a catalog: it has no hats.properties"):
        info(tmp_path)
    (tmp_path / "file").write_text("text")
    with pytest.raises(CatalogNotFoundError, match="is not a catalog"):
        info(tmp_path / "file")
    (tmp_path / "catalog_info.json").write_text("{")
    with pytest.raises(CatalogError, match=r"catalog_info.json cannot be read"):
        info(tmp_path)
    (tmp_path / "catalog_info.json").write_text("[]")
    with pytest.raises(CatalogError, match=r"catalog_info.json holds no properties"):
        info(tmp_path)


def test_properties_alone_are_enough_for_hipscat(tmp_path: Path) -> None:
    about = {
        "catalog_name": "sky",
        "catalog_type": "object",
        "total_rows": 12,
        "ra_column": "RA",
        "epoch": "J2000",
    }
    (tmp_path / "catalog_info.json").write_text(json.dumps(about))
    found = info(tmp_path)
    assert (found.format, found.kind, found.name, found.rows_stated, found.ra) == (
        "HiPSCat",
        "object",
        "sky",
        12,
        "RA",
    )
    assert any("nothing says which columns it has" in warning for warning in found.warnings)


@pytest.mark.skipif(
    not SHARED.is_dir(), reason="no shared catalogs: set SKYMARGIN_SHARED to the folder of data/hats"
)
def test_real_catalogs() -> None:
    collection = info(SHARED / "hats" / "small_sky_o1_collection")
    assert (collection.kind, collection.primary) == ("collection", "small_sky_order1")
    assert collection.members["margins"] == [
        "small_sky_order1_margin (default)",
        "small_sky_order1_margin_10arcs",
    ]
    assert collection.warnings == []
    margin = info(SHARED / "hipscat" / "small_sky_order1_margin")
    assert (margin.format, margin.kind, margin.rows, margin.partitions) == (
        "HiPSCat",
        "margin",
        28,
        {0: 1, 1: 4},
    )
    assert (margin.index, margin.index_order, margin.sorted_by_index) == ("_hipscat_index", 19, True)
    assert margin.margin_threshold_arcsec == "7200"
    index = info(SHARED / "hats" / "small_sky_o1_collection" / "small_sky_order1_id_index")
    assert (index.kind, index.rows, index.warnings) == ("index", 131, [])
    for path in sorted((SHARED / "hats").iterdir()):
        assert info(path).warnings == [], path


def test_a_collection_with_a_member_gone_is_a_warning(tmp_path: Path) -> None:
    (tmp_path / "collection.properties").write_text(
        "obs_collection=sky\nhats_primary_table_url=stars\nall_margins=stars_10arcs\n"
    )
    found = info(tmp_path)
    assert found.warnings == ["stars is not there", "stars_10arcs is not there"]
