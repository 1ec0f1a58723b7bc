"""Reading a HATS catalog's own files, against what the `hats` library makes of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hats import read_hats
from hats.catalog import TableProperties
from hypothesis import given
from hypothesis import strategies as st
from jproperties import Properties

from skymargin.catalogs import hats
from skymargin.catalogs.catalog import Catalog, open_catalog
from skymargin.catalogs.folder import inspect_catalog
from skymargin.catalogs.properties import read_properties
from tests.support.catalogs import MIXED_PARTITIONS, Layout, sky_near_edges, write_catalog

LAYOUTS = {
    "plain": Layout(),
    ".parq": Layout(suffix=".parq"),
    ".snappy.parquet": Layout(suffix=".snappy.parquet"),
    "folders": Layout(suffix="/", files_per_partition=3),
    "no list": Layout(without=("partition_info.csv",)),
    "no list, folders": Layout(suffix="/", files_per_partition=2, without=("partition_info.csv",)),
    "no list, no metadata": Layout(without=("partition_info.csv", "_metadata", "_common_metadata")),
}


def opened(path: Path, layout: Layout, **properties: str) -> Catalog:
    sky = sky_near_edges(MIXED_PARTITIONS, rows=300, reach_arcsec=60.0, seed=6)
    write_catalog(path, sky, layout, **properties)
    return open_catalog(path)


@pytest.mark.parametrize("name", LAYOUTS)
def test_partitions_files_and_schema(name: str, tmp_path: Path) -> None:
    layout = LAYOUTS[name]
    catalog = opened(tmp_path / "stars", layout)
    assert sorted(zip(catalog.orders.tolist(), catalog.pixels.tolist(), strict=True)) == sorted(
        MIXED_PARTITIONS
    )
    assert (catalog.orders.dtype, catalog.pixels.dtype) == (np.uint8, np.uint64)
    for order, pixel, files, size_bytes in zip(
        catalog.orders, catalog.pixels, catalog.files, catalog.size_bytes, strict=True
    ):
        assert len(files) == max(layout.files_per_partition, 1)
        assert list(files) == sorted(files)
        assert all(f"Norder={order}/Dir=0/Npix={pixel}" in file for file in files)
        assert sum((catalog.path / file).stat().st_size for file in files) == size_bytes
    schema = pq.read_schema(catalog.path / catalog.files[0][0])
    assert catalog.schema.equals(schema, check_metadata=True)
    assert catalog.listed_in.exists()


def test_files_beside_the_partitions_are_no_partitions(tmp_path: Path) -> None:
    path = tmp_path / "stars"
    opened(path, Layout(suffix="/", files_per_partition=2, without=("partition_info.csv", "_metadata")))
    folder = path / "dataset" / "Norder=3" / "Dir=0" / "Npix=61"
    for name in ("_SUCCESS", ".part0.parquet.crc", ".hidden.parquet", "notes.txt", "_metadata.parquet"):
        (folder / name).write_bytes(b"x" * 20)
    catalog = open_catalog(path)
    files = dict(zip(zip(catalog.orders, catalog.pixels, strict=True), catalog.files, strict=True))
    assert [name.rpartition("/")[2] for name in files[3, 61]] == ["part0.parquet", "part1.parquet"]


@pytest.mark.parametrize(
    ("layout", "named", "expected"),
    [
        (Layout(), True, ("_healpix_29", 29)),
        (Layout(), False, ("_healpix_29", 29)),
        (Layout(index_column="healpix13", index_order=13), True, ("healpix13", 13)),
        (Layout(index_column="healpix13", index_order=13), False, (None, 29)),
        (Layout(index_column=None), True, (None, 29)),
    ],
)
def test_index_column(layout: Layout, named: bool, expected: tuple[str | None, int], tmp_path: Path) -> None:
    catalog = opened(tmp_path / "stars", layout)
    if not named:
        for name in ("properties", "hats.properties"):
            lines = (catalog.path / name).read_text().splitlines(keepends=True)
            (catalog.path / name).write_text(
                "".join(line for line in lines if "hats_col_healpix" not in line)
            )
        catalog = open_catalog(catalog.path)
    assert (catalog.columns.index, catalog.columns.index_order) == expected
    assert (catalog.columns.ra, catalog.columns.dec) == ("ra", "dec")


def test_one_properties_file_of_either_name_is_enough(tmp_path: Path) -> None:
    catalog = opened(tmp_path / "stars", Layout())
    (catalog.path / "hats.properties").unlink()
    assert open_catalog(catalog.path).columns == catalog.columns


def test_margin_files_are_where_hats_looks_for_them() -> None:
    from hats.io.paths import pixel_catalog_file
    from hats.pixel_math import HealpixPixel

    for order, pixel in ((0, 4), (5, 9_999), (5, 10_000), (29, 3_458_764_513_820_540_927)):
        expected = pixel_catalog_file("catalog", HealpixPixel(order, pixel)).path
        assert expected.endswith(f"catalog/{hats.margin_file(order, pixel)}")


text = st.text(st.characters(min_codepoint=32, exclude_categories=["Cs", "Zl", "Zp", "Cc"]), max_size=20)


@given(values=st.dictionaries(st.from_regex(r"[a-z_]{1,10}", fullmatch=True), text))
def test_properties_are_read_as_written_by_jproperties(
    values: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    file = tmp_path_factory.mktemp("properties") / "properties"
    properties = Properties()
    for key, value in values.items():
        properties[key] = value
    with file.open("wb") as sink:
        properties.store(sink, encoding="utf-8", initial_comments="made = by hypothesis")
    assert read_properties(file) == values


def test_properties_of_every_form(tmp_path: Path) -> None:
    (tmp_path / "properties").write_text(
        "# comment\n ! comment\n\n  spaced  =  value of many words\ncolon: 1\nblank 2\nempty=\nalone\n"
        "long=one \\\n    two\nescaped\\=key=a\\:b\\u0041\\\\\nurl=https://host/path?a=b\r\nlast=1"
    )
    assert read_properties(tmp_path / "properties") == {
        "spaced": "value of many words",
        "colon": "1",
        "blank": "2",
        "empty": "",
        "alone": "",
        "long": "one two",
        "escaped=key": "a:bA\\",
        "url": "https://host/path?a=b",
        "last": "1",
    }


def test_properties_of_a_catalog_agree_with_hats(tmp_path: Path) -> None:
    path = opened(tmp_path / "stars", Layout(), addendum_did="a: b = c").path
    theirs = TableProperties.read_from_dir(path).model_dump(by_alias=True, exclude_none=True)
    ours = read_properties(path / "hats.properties")
    assert ours == {key: str(getattr(value, "value", value)) for key, value in theirs.items()}


def test_what_the_library_reads_leniently_is_read(tmp_path: Path) -> None:
    path = tmp_path / "stars"
    catalog = opened(path, Layout())
    lines = (path / "partition_info.csv").read_text().splitlines()
    floats = [lines[0], *(",".join(f"{number}.0" for number in line.split(",")) for line in lines[1:])]
    (path / "partition_info.csv").write_bytes(b"\xef\xbb\xbf" + "\r\n".join([*floats, ""]).encode())
    rows = sum(pq.read_metadata(path / name).num_rows for names in catalog.files for name in names)
    (path / "properties").unlink()
    # The keys of the first versions, and numbers as pandas writes them.
    old = (
        "#HATS catalog\r\ncatalog_name=stars\r\ncatalog_type=object\r\n"
        f"total_rows={rows}.0\r\nra_column=ra\r\ndec_column=dec\r\n"
    )
    (path / "hats.properties").write_bytes(old.encode())
    assert read_hats(path).catalog_info.total_rows == rows
    read = open_catalog(path)
    assert read.columns == catalog.columns
    assert read.files == catalog.files
    assert {stated.rows for stated in read.stated_rows} == {rows}
    folder = inspect_catalog(path)
    assert (folder.kind, folder.index) == ("object", (None, 29))
