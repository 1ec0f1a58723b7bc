"""Files that no library writes today make right margins, or are refused by name: old layouts, stray pages, empty row
groups, logical types of the future, data that is said to be elsewhere.

Wrong sizes, places and schemas are in `test_odd_files`.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from skymargin import verify
from skymargin.errors import PartitionReadError
from tests.build.test_odd_files import (
    INDEXED,
    NOT_INDEXED,
    SKY,
    SMALL_PAGES,
    THRESHOLD_ARCSEC,
    assert_right,
    odd_catalog,
)
from tests.support import handmade_parquet as handmade
from tests.support.catalogs import Layout, files_of, fullest, make_margin, rows_in, rows_of, write_catalog

# Files without an embedded schema, so that the Parquet schema alone says what lists are.
OF_PARQUET = Layout(
    row_group_rows=150,
    options=SMALL_PAGES | {"store_schema": False},
    without=("_common_metadata", "_metadata"),
)


def name_itself(file: Path) -> None:
    handmade.set_file_path(file, "/".join(file.parts[-3:]))


# What is changed in each file, and its layout. pyarrow reads them all.
CHANGES: dict[str, tuple[Callable[[Path], object], Layout]] = {
    "index pages": (lambda file: handmade.add_stray_pages(file, 1), NOT_INDEXED),
    "pages of an unknown kind": (lambda file: handmade.add_stray_pages(file, 9), NOT_INDEXED),
    "row groups without rows": (handmade.add_empty_row_groups, INDEXED),
    "the same without a page index": (handmade.add_empty_row_groups, NOT_INDEXED),
    "data in the file itself": (name_itself, INDEXED),
}


@pytest.mark.parametrize("name", CHANGES)
def test_the_rows_are_those_of_the_file_before(name: str, tmp_path: Path) -> None:
    change, layout = CHANGES[name]
    catalog = odd_catalog(tmp_path, change, layout)
    make_margin(catalog, tmp_path, THRESHOLD_ARCSEC)
    assert_right(tmp_path / "margin", tmp_path / "before")
    assert verify(tmp_path / "margin", catalog).right


@pytest.mark.parametrize("name", CHANGES)
def test_the_same_over_a_server(name: str, tmp_path: Path) -> None:
    change, layout = CHANGES[name]
    catalog = odd_catalog(tmp_path, change, layout)
    memory = fsspec.filesystem("memory")
    memory.put(str(catalog), "/handmade/stars", recursive=True)
    try:
        make_margin("memory://handmade/stars", tmp_path, THRESHOLD_ARCSEC)  # type: ignore[arg-type]
    finally:
        memory.rm("/handmade", recursive=True)
    assert_right(tmp_path / "margin", tmp_path / "before")


def test_stray_pages_are_in_the_file(tmp_path: Path) -> None:
    write_catalog(tmp_path / "stars", SKY, NOT_INDEXED)
    file = fullest(tmp_path / "stars")
    pages = sum(chunk.num_values > 0 for chunk in chunks_of(file))
    handmade.add_stray_pages(file, 1)
    assert file.read_bytes().count(b"no values") >= pages > 20


def chunks_of(file: Path) -> list[pq.ColumnChunkMetaData]:
    footer = pq.read_metadata(file)
    return [
        footer.row_group(group).column(column)
        for group in range(footer.num_row_groups)
        for column in range(footer.num_columns)
    ]


@pytest.mark.parametrize("path", ["Npix=1.parquet", "/etc/passwd", "../other.parquet"])
def test_data_in_another_file_is_refused(path: str, tmp_path: Path) -> None:
    write_catalog(tmp_path / "stars", SKY, INDEXED)
    file = fullest(tmp_path / "stars")
    handmade.set_file_path(file, path)
    with pytest.raises(PartitionReadError) as caught:
        make_margin(tmp_path / "stars", tmp_path, THRESHOLD_ARCSEC)
    assert str(caught.value).startswith(f"{file}: damaged footer: row group 0, column ")
    assert str(caught.value).endswith("its data is in another file")


@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_pages_of_nulls_may_have_nothing_but_levels(version: str, tmp_path: Path) -> None:
    table = rows_of(SKY, NOT_INDEXED)
    nulls = [n % 80 < 60 for n in range(len(SKY))]
    for name, values in PLAIN.items():
        if not pa.types.is_boolean(values.type):
            kept = [None if null else value.as_py() for null, value in zip(nulls, values, strict=True)]
            table = table.append_column(name, pa.array(kept, values.type))
    options = {**NOT_INDEXED.options, "compression": "none", "data_page_version": version}
    layout = Layout(row_group_rows=150, options=options)
    write_catalog(tmp_path / "stars", SKY, layout, table)
    shutil.copytree(tmp_path / "stars", tmp_path / "before")
    files = list(files_of(tmp_path / "stars").values())
    for file in files:
        handmade.without_width_of_no_indices(file)
        assert pq.ParquetFile(file).read().num_rows
    before = sum(file.stat().st_size for file in files_of(tmp_path / "before").values())
    assert sum(file.stat().st_size for file in files) <= before - 50
    make_margin(tmp_path / "stars", tmp_path, THRESHOLD_ARCSEC)
    assert_right(tmp_path / "margin", tmp_path / "before")


# JSON in parquet.thrift.
JSON = 12


@pytest.mark.parametrize("is_right", [True, False])
@pytest.mark.parametrize("way", ["JSON", "embedded schema"])
def test_text_of_any_annotation_must_be_utf8(way: str, is_right: bool, tmp_path: Path) -> None:
    """Else the core would have text that is none."""
    right, wrong = "é".encode(), b"\xe9"
    values = [right if is_right else wrong] * len(SKY)
    table = rows_of(SKY, OF_PARQUET).append_column("about", pa.array(values, pa.binary()))
    layout = Layout(options=OF_PARQUET.options, without=("_metadata",))
    write_catalog(tmp_path / "stars", SKY, layout, table)
    as_text = table.schema.set(len(table.schema) - 1, pa.field("about", pa.string()))
    pq.write_metadata(as_text, tmp_path / "stars" / "dataset" / "_common_metadata")
    files = list(files_of(tmp_path / "stars").values())
    for file in files:
        if way == "JSON":
            handmade.annotate_logical(file, "about", JSON)
        else:
            handmade.embed_schema(file, as_text)
    if is_right:
        make_margin(tmp_path / "stars", tmp_path, THRESHOLD_ARCSEC)
        assert rows_in(tmp_path / "margin").column("about").unique().to_pylist() == ["é"]
        return
    with pytest.raises(PartitionReadError, match=r"column 'about': cannot be decoded: .*UTF-?8") as caught:
        make_margin(tmp_path / "stars", tmp_path, THRESHOLD_ARCSEC)
    assert str(caught.value).startswith(tuple(map(str, files)))


# Columns of each physical type.
PLAIN: dict[str, pa.Array] = {
    "is_odd": pa.array([n % 2 == 1 for n in range(len(SKY))]),
    "count": pa.array(range(len(SKY)), pa.int32()),
    "wide": pa.array([n << 40 for n in range(len(SKY))]),
    "ratio": pa.array([n / 8 for n in range(len(SKY))], pa.float32()),
    "size": pa.array([n / 3 for n in range(len(SKY))]),
    "blob": pa.array([bytes([n % 256]) * (n % 5) for n in range(len(SKY))]),
    "code": pa.array([n.to_bytes(4, "little") for n in range(len(SKY))], pa.binary(4)),
}


def test_values_of_unknown_logical_types_are_plain(tmp_path: Path) -> None:
    table = rows_of(SKY, INDEXED)
    for name, values in PLAIN.items():
        table = table.append_column(name, values)
    write_catalog(tmp_path / "stars", SKY, INDEXED, table)
    shutil.copytree(tmp_path / "stars", tmp_path / "before")
    for file in files_of(tmp_path / "stars").values():
        for name in PLAIN:
            # No number of parquet.thrift yet.
            handmade.annotate_logical(file, name, 200)
    make_margin(tmp_path / "stars", tmp_path, THRESHOLD_ARCSEC)
    assert_right(tmp_path / "margin", tmp_path / "before")


# How each list is written, whether it may be null, and its type as pyarrow reads it.
LISTS: dict[str, tuple[Callable[[Path], object], bool, pa.DataType]] = {
    "two levels": (
        lambda file: handmade.with_two_levels(file, "fluxes", "array"),
        True,
        pa.list_(pa.field("array", pa.int32(), nullable=False)),
    ),
    "two levels of another name": (
        lambda file: handmade.with_two_levels(file, "fluxes", "flux"),
        True,
        pa.list_(pa.field("flux", pa.int32(), nullable=False)),
    ),
    "no list around them": (
        lambda file: handmade.with_repeated_field(file, "fluxes"),
        False,
        pa.list_(pa.field("fluxes", pa.int32(), nullable=False)),
    ),
    "a bag": (
        lambda file: handmade.with_middle_level(file, "fluxes", "bag"),
        True,
        pa.list_(pa.field("element", pa.int32(), nullable=False)),
    ),
    "structs of one field": (
        lambda file: handmade.with_middle_level(file, "fluxes", "fluxes_tuple"),
        True,
        pa.list_(
            pa.field(
                "fluxes_tuple", pa.struct([pa.field("element", pa.int32(), nullable=False)]), nullable=False
            )
        ),
    ),
}


@pytest.mark.parametrize("name", LISTS)
def test_lists_of_old_files_are_lists(name: str, tmp_path: Path) -> None:
    change, nullable, kind = LISTS[name]
    values = [None if nullable and n % 6 == 0 else [n, -n, 7][: n % 4] for n in range(len(SKY))]
    lists = pa.array(values, pa.list_(pa.field("element", pa.int32(), nullable=False)))
    field = pa.field("fluxes", lists.type, nullable=nullable)
    write_catalog(tmp_path / "stars", SKY, OF_PARQUET, rows_of(SKY, OF_PARQUET).append_column(field, lists))
    for file in files_of(tmp_path / "stars").values():
        change(file)
        assert pq.read_schema(file).field("fluxes").type == kind
    make_margin(tmp_path / "stars", tmp_path, THRESHOLD_ARCSEC)
    assert_right(tmp_path / "margin", tmp_path / "stars")
    for file in files_of(tmp_path / "margin").values():
        assert pq.read_schema(file).field("fluxes").type == kind


def test_the_files_of_these_tests_are_read_by_pyarrow(tmp_path: Path) -> None:
    write_catalog(tmp_path / "stars", SKY, NOT_INDEXED)
    file = fullest(tmp_path / "stars")
    rows = pq.ParquetFile(file).read()
    for number, (change, _) in enumerate(CHANGES.values()):
        changed = Path(shutil.copy(file, tmp_path / f"{number}.parquet"))
        change(changed)
        assert pq.ParquetFile(changed).read().equals(rows)
