"""What is said of a catalog, a margin and a collection is what they were written with."""

from __future__ import annotations

import json
import re
import shutil
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hats import read_hats

from skymargin import info
from skymargin.errors import CatalogError, CatalogNotFoundError
from tests.support.catalogs import (
    MIXED_PARTITIONS,
    Layout,
    files_of,
    sky_near_edges,
    state_properties,
    write_catalog,
)
from tests.support.shared import SHARED, needs_shared
from tests.support.workspace import Workspace, made_in

THRESHOLD_ARCSEC = 60.0
SKY = sky_near_edges(MIXED_PARTITIONS, rows=400, reach_arcsec=60.0, seed=31)
ORDERS = dict(sorted(Counter(order for order, _ in MIXED_PARTITIONS).items()))


@pytest.fixture
def margin(made: Workspace, tmp_path: Path) -> Path:
    """Copy the margin, to be damaged."""
    return Path(shutil.copytree(made.margin, tmp_path / "margin"))


def test_a_catalog(made: Workspace) -> None:
    about = info(made.catalog)
    files = made.file_of.values()
    assert (about.format, about.kind, about.name) == ("HATS", "object", "stars")
    assert (about.rows, about.rows_stated, about.columns) == (len(SKY), len(SKY), 10)
    assert (about.partitions, about.partitions_per_order) == (len(MIXED_PARTITIONS), ORDERS)
    assert about.data_bytes == sum(file.stat().st_size for file in files)
    everything = sum(file.stat().st_size for file in (made.catalog).rglob("*") if file.is_file())
    assert about.data_bytes + about.other_bytes == everything
    assert (about.ra, about.dec, about.index, about.index_order) == ("ra", "dec", "_healpix_29", 29)
    assert (about.sorted_by_index, about.sorted_from) == (True, "every row of the index column was read")
    assert about.warnings == []
    assert json.loads(json.dumps(about.to_dict()))["rows"] == len(SKY)


def test_a_margin(made: Workspace) -> None:
    about = info(made.margin)
    properties = read_hats(made.margin).catalog_info
    assert (about.kind, about.margin_threshold_arcsec) == ("margin", 60.0)
    assert about.rows == properties.total_rows == sum(map(len, SKY.margins(60.0).values()))
    assert about.primary == str(made.catalog)
    assert str(about.builder).startswith("skymargin v")
    text = about.summary()
    assert "HATS margin, margin" in text
    assert "60 arcsec" in text
    assert all(
        len(line) <= 100 or str(made.output) in line or str(made.catalog) in line
        for line in text.splitlines()
    )


def test_an_empty_margin(tmp_path: Path) -> None:
    work = made_in(tmp_path, SKY, 1e-7)
    about = info(work.margin)
    assert (about.rows, about.partitions, about.sorted_by_index) == (0, 0, None)
    assert re.search(r"^ *sorted +not known$", about.summary(), re.MULTILINE)
    assert "partitions  none" in about.summary()


@pytest.mark.parametrize(
    ("layout", "is_sorted", "learned"),
    [
        (Layout(index_sorted=False), False, "are not in order, by its index column"),
        (Layout(index_sorted=False, row_group_rows=5), False, "by the statistics in its footer"),
        (Layout(row_group_rows=7), True, "every row"),
        (Layout(statistics=False), True, "every row"),
        (Layout(without=("_metadata",)), True, "every row"),
        (Layout(index_column="healpix13", index_order=13), True, "every row"),
        (Layout(suffix="/", files_per_partition=3), True, "every row"),
        (Layout(suffix=".parq"), True, "every row"),
        (Layout(index_column=None), None, ""),
    ],
)
def test_whether_rows_are_sorted(
    layout: Layout, is_sorted: bool | None, learned: str, tmp_path: Path
) -> None:
    write_catalog(tmp_path / "catalog", SKY, layout)
    about = info(tmp_path / "catalog")
    order = layout.index_order if layout.index_column else None
    assert (about.index, about.index_order, about.sorted_by_index) == (layout.index_column, order, is_sorted)
    assert learned in about.sorted_from
    assert (about.rows, about.partitions_per_order, about.warnings) == (len(SKY), ORDERS, [])


@pytest.mark.parametrize("statistics", [True, False])
def test_a_large_index_column_is_not_read(
    statistics: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_catalog(tmp_path / "catalog", SKY, Layout(row_group_rows=7, statistics=statistics))
    monkeypatch.setattr("skymargin.audit.footers._INDEX_BYTES", 0)
    monkeypatch.setattr("skymargin.audit.footers._first_unsorted", None)
    about = info(tmp_path / "catalog")
    assert about.sorted_by_index is None
    words = "row groups are in order" if statistics else "footers have no statistics"
    assert about.sorted_from.startswith(words)
    assert "not known: " in about.summary()


def test_what_does_not_fit_together_is_a_warning(margin: Path) -> None:
    files = sorted(files_of(margin).values())
    rows = info(margin).rows
    lost = pq.ParquetFile(files[0]).metadata.num_rows
    files[0].unlink()
    stray = margin / "dataset" / "copy.parquet"
    shutil.copy(files[1], stray)
    about = info(margin)
    assert rows is not None
    assert about.rows == rows - lost
    said = " / ".join(about.warnings)
    assert f"its properties say {rows:,} rows, its files have {rows - lost:,}" in said
    assert (
        f"partition_info.csv lists {len(files)} partitions; with files: {len(files) - 1}, in both: " in said
    )
    assert "1 file where no reader looks, first copy.parquet" in said
    assert about.summary().count("WARNING") == 3


@pytest.mark.parametrize("text", ["wide", "nan", "1e999"])
def test_a_threshold_that_is_no_number_is_a_warning(text: str, margin: Path) -> None:
    state_properties(margin, hats_margin_threshold=text)
    about = info(margin)
    assert about.margin_threshold_arcsec is None
    assert about.warnings == [f"its properties have the margin threshold {text!r}, which is not a number"]


def test_a_file_that_cannot_be_read_is_a_warning(margin: Path) -> None:
    file = min(files_of(margin).values())
    file.write_bytes(b"nothing of the kind")
    (margin / "dataset" / "_metadata").unlink()
    about = info(margin)
    assert about.rows is None
    assert any(f"{file} cannot be read as Parquet" in warning for warning in about.warnings)
    assert f"{about.rows_stated:,} (from its properties)" in about.summary()


def test_a_file_that_broke_after_metadata_was_written_is_a_warning(margin: Path) -> None:
    file = min(files_of(margin).values())
    file.write_bytes(file.read_bytes()[:-1])
    assert any(f"{file} cannot be read as Parquet" in warning for warning in info(margin).warnings)


def test_what_is_no_catalog_is_an_error(tmp_path: Path) -> None:
    def refused(path: Path, error: type[Exception], message: str) -> None:
        with pytest.raises(error, match=message):
            info(path)

    refused(tmp_path / "nowhere", CatalogNotFoundError, "there is nothing at")
    refused(tmp_path, CatalogNotFoundError, r"is not a catalog: it has no hats.properties")
    (tmp_path / "file").write_text("text")
    refused(tmp_path / "file", CatalogNotFoundError, "is not a catalog")
    (tmp_path / "catalog_info.json").write_text("{")
    refused(tmp_path, CatalogError, r"catalog_info.json cannot be read")
    (tmp_path / "catalog_info.json").write_text("[]")
    refused(tmp_path, CatalogError, r"catalog_info.json holds list")


def test_properties_alone_are_enough_for_hipscat(tmp_path: Path) -> None:
    properties = {"catalog_name": "sky", "catalog_type": "object", "total_rows": 12, "ra_column": "RA"}
    (tmp_path / "catalog_info.json").write_text(json.dumps(properties | {"epoch": "J2000"}))
    about = info(tmp_path)
    assert (about.format, about.kind, about.name) == ("HiPSCat", "object", "sky")
    assert (about.rows_stated, about.ra) == (12, "RA")
    assert any("nothing says which columns it has" in warning for warning in about.warnings)


@needs_shared
def test_real_catalogs() -> None:
    collection = info(SHARED / "hats" / "small_sky_o1_collection")
    assert (collection.kind, collection.primary) == ("collection", "small_sky_order1")
    assert collection.members["margins"] == [
        "small_sky_order1_margin (default)",
        "small_sky_order1_margin_10arcs",
    ]
    assert collection.warnings == []
    margin = info(SHARED / "hipscat" / "small_sky_order1_margin")
    assert (margin.format, margin.kind) == ("HiPSCat", "margin")
    assert (margin.rows, margin.partitions_per_order) == (28, {0: 1, 1: 4})
    assert (margin.index, margin.index_order, margin.sorted_by_index) == ("_hipscat_index", 19, True)
    assert margin.margin_threshold_arcsec == 7200
    index = info(SHARED / "hats" / "small_sky_o1_collection" / "small_sky_order1_id_index")
    assert (index.kind, index.rows, index.warnings) == ("index", 131, [])
    for path in sorted((SHARED / "hats").iterdir()):
        assert info(path).warnings == [], path


@pytest.mark.parametrize("between", [" ", ", ", ";"])
def test_members_of_a_collection_are_separated_as_hats_has_it(
    between: str, made: Workspace, tmp_path: Path
) -> None:
    for name in ("a", "b"):
        (tmp_path / name).symlink_to(made.margin, target_is_directory=True)
    (tmp_path / "collection.properties").write_text(
        f"obs_collection=sky\nhats_primary_table_url={made.catalog}\nall_margins=a{between}b\ndefault_margin=b\n"
    )
    about = info(tmp_path)
    assert (about.members, about.warnings) == ({"margins": ["a", "b (default)"]}, [])


def test_a_collection_with_a_member_gone_is_a_warning(tmp_path: Path) -> None:
    (tmp_path / "collection.properties").write_text(
        "obs_collection=sky\nhats_primary_table_url=stars\nall_margins=stars_10arcs\n"
    )
    about = info(tmp_path)
    assert about.warnings == ["stars is not there", "stars_10arcs is not there"]
