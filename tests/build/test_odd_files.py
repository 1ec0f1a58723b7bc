"""Files whose hints contradict their pages make the same margins; what has no right answer is refused by name."""

from __future__ import annotations

import datetime
import shutil
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from skymargin import verify
from skymargin.errors import PartitionReadError
from tests.support import brute_force
from tests.support import handmade_parquet as handmade
from tests.support.catalogs import (
    Layout,
    Sky,
    files_of,
    fullest,
    ids_of,
    make_margin,
    rows_in,
    rows_in_file,
    rows_of,
    sky_at,
    sky_near_edges,
    write_catalog,
)

THRESHOLD_ARCSEC = 30.0
SKY = sky_near_edges(((4, 994), (4, 1000)), rows=700, reach_arcsec=THRESHOLD_ARCSEC, seed=16)
MARGINS = SKY.margins(THRESHOLD_ARCSEC)
# Pages of 20 rows in row groups of 150.
SMALL_PAGES = {"write_page_index": True, "max_rows_per_page": 20, "write_batch_size": 10}
INDEXED = Layout(row_group_rows=150, options=SMALL_PAGES)
INDEXED_V2 = Layout(row_group_rows=150, options=SMALL_PAGES | {"data_page_version": "2.0"})
NOT_INDEXED = Layout(row_group_rows=150, options=SMALL_PAGES | {"write_page_index": False})


def schema_of(file: Path) -> pa.Schema:
    return pq.read_schema(file)


def without_a_column(file: Path) -> None:
    """A column was dropped, and the embedded schema has it still, in the middle."""
    schema = schema_of(file)
    handmade.embed_schema(file, schema.insert(3, pa.field("dropped", pa.duration("s"))))


def with_a_column(file: Path) -> None:
    handmade.embed_schema(file, schema_of(file).remove(4))


def renamed(file: Path) -> None:
    schema = schema_of(file)
    handmade.embed_schema(file, schema.set(4, schema.field(4).with_name("title")))


def with_less_in_a_struct(file: Path) -> None:
    schema = schema_of(file)
    place = schema.get_field_index("curve")
    handmade.embed_schema(file, schema.set(place, pa.field("curve", pa.struct([("flag", pa.bool_())]))))


# What is changed in each file, its layout, and whether pyarrow reads it.
HINTS: dict[str, tuple[Callable[[Path], object], Layout, bool]] = {
    "sizes of pages without headers": (handmade.without_headers_in_sizes, INDEXED, True),
    "pages that begin one row later": (lambda file: handmade.shift_first_rows(file, 1), INDEXED, True),
    "two pages that begin later": (lambda file: handmade.shift_middle_rows(file, 3), INDEXED, True),
    "two pages that begin earlier": (lambda file: handmade.shift_middle_rows(file, -7), INDEXED, True),
    "pages that are one further": (handmade.join_and_split_pages, INDEXED, True),
    "pages of version 2 that are one further": (handmade.join_and_split_pages, INDEXED_V2, True),
    "two pages of version 2 that begin later": (
        lambda file: handmade.shift_middle_rows(file, 3),
        INDEXED_V2,
        True,
    ),
    "a page that is left out": (handmade.leave_out_a_page, INDEXED, True),
    "pages that lie elsewhere": (lambda file: handmade.shift_pages(file, 1 << 40), INDEXED, True),
    "pages that lie a little farther": (lambda file: handmade.shift_pages(file, 3), INDEXED, True),
    "sizes of chunks without the dictionary's header": (
        handmade.without_dictionary_headers_in_sizes,
        NOT_INDEXED,
        False,
    ),
    "the same with a page index": (handmade.without_dictionary_headers_in_sizes, INDEXED, False),
    "chunks that are too small": (lambda file: handmade.add_to_sizes(file, -10), NOT_INDEXED, False),
    "chunks that go beyond the file": (lambda file: handmade.add_to_sizes(file, 1 << 33), NOT_INDEXED, False),
    "the same by the page index": (lambda file: handmade.add_to_sizes(file, 1 << 33), INDEXED, False),
    "dictionaries that are not there": (
        lambda file: handmade.claim_dictionaries(file, 4),
        Layout(
            row_group_rows=150, options=SMALL_PAGES | {"write_page_index": False, "use_dictionary": False}
        ),
        False,
    ),
    "a schema with a column that was dropped": (without_a_column, INDEXED, True),
    "a schema without a column that was added": (with_a_column, INDEXED, False),
    "a schema with the old name of a column": (renamed, INDEXED, True),
    "a schema with less in a struct": (with_less_in_a_struct, INDEXED, False),
    "a schema that is none": (
        lambda file: handmade.set_metadata(file, b"ARROW:schema", b"no schema"),
        INDEXED,
        False,
    ),
    "metadata that is no text": (
        lambda file: handmade.set_metadata(file, b"author", "José".encode("latin-1")),
        INDEXED,
        True,
    ),
    "a writer whose name is no text": (
        lambda file: handmade.set_writer(file, "José 1.0".encode("latin-1")),
        INDEXED,
        True,
    ),
}


def odd_catalog(folder: Path, change: Callable[[Path], object], layout: Layout) -> Path:
    """Write the catalog, and beside it as it is before the change."""
    write_catalog(folder / "stars", SKY, layout)
    shutil.copytree(folder / "stars", folder / "before")
    for file in files_of(folder / "stars").values():
        change(file)
    return folder / "stars"


def assert_right(margin: Path, primary: Path) -> None:
    """Compare a margin with the rows that belong in it, value for value, and audit it."""
    assert ids_of(margin) == MARGINS
    rows = {row["id"]: row for row in rows_in(primary).to_pylist()}
    for file in files_of(margin).values():
        assert all(row == rows[row["id"]] for row in rows_in_file(file).to_pylist())
    report = verify(margin, primary)
    assert report.right, report.summary()


@pytest.mark.parametrize("name", HINTS)
def test_a_hint_never_decides_whether_a_file_can_be_read(name: str, tmp_path: Path) -> None:
    change, layout, read_by_pyarrow = HINTS[name]
    catalog = odd_catalog(tmp_path, change, layout)
    made = make_margin(catalog, tmp_path, THRESHOLD_ARCSEC)
    assert made.hints_ignored > 0
    assert_right(tmp_path / "margin", tmp_path / "before")
    if read_by_pyarrow:
        assert verify(tmp_path / "margin", catalog).right


@pytest.mark.parametrize("name", HINTS)
def test_the_same_over_a_server(name: str, tmp_path: Path) -> None:
    change, layout, _ = HINTS[name]
    catalog = odd_catalog(tmp_path, change, layout)
    memory = fsspec.filesystem("memory")
    memory.put(str(catalog), "/odd/stars", recursive=True)
    try:
        made = make_margin("memory://odd/stars", tmp_path, THRESHOLD_ARCSEC)  # type: ignore[arg-type]
        assert made.hints_ignored > 0
        assert_right(tmp_path / "margin", tmp_path / "before")
    finally:
        memory.rm("/odd", recursive=True)


def test_right_files_have_no_hint_that_is_ignored(tmp_path: Path) -> None:
    for number, layout in enumerate((INDEXED, NOT_INDEXED)):
        write_catalog(tmp_path / f"{number}", SKY, layout)
        assert (
            make_margin(tmp_path / f"{number}", tmp_path, THRESHOLD_ARCSEC, f"m{number}").hints_ignored == 0
        )
        assert_right(tmp_path / f"m{number}", tmp_path / f"{number}")


def test_a_page_may_be_larger_than_the_chunk_is_said_to_be(tmp_path: Path) -> None:
    """Where the compressed bytes state its size; else nothing says that there is memory for it."""
    sky = SKY.take(np.array([min(IN_A_MARGIN)]))
    table = rows_of(sky, Layout()).append_column("blob", pa.array([b"\0" * (17 << 20)]))
    for codec, is_read in (("zstd", True), ("snappy", True), ("none", True), ("gzip", False)):
        options = {"compression": codec, "use_dictionary": False}
        write_catalog(tmp_path / codec, sky, Layout(options=options), table)
        file = fullest(tmp_path / codec)
        handmade.claim_small_values(file, "blob", 100)
        if is_read:
            made = make_margin(tmp_path / codec, tmp_path, THRESHOLD_ARCSEC, f"m{codec}")
            assert made.hints_ignored > 0
            assert rows_in(tmp_path / f"m{codec}").column("blob").to_pylist()[0] == b"\0" * (17 << 20)
        else:
            with pytest.raises(PartitionReadError, match=r"its size is \d+, allowed are up to 16777216"):
                make_margin(tmp_path / codec, tmp_path, THRESHOLD_ARCSEC, f"m{codec}")


def test_data_that_begins_with_the_dictionary(tmp_path: Path) -> None:
    catalog = odd_catalog(tmp_path, handmade.without_dictionary_offsets, NOT_INDEXED)
    make_margin(catalog, tmp_path, THRESHOLD_ARCSEC)
    assert_right(tmp_path / "margin", tmp_path / "before")


def test_pages_that_are_damaged_are_refused_with_an_index_and_without(tmp_path: Path) -> None:
    for number, layout in enumerate((INDEXED, NOT_INDEXED)):
        write_catalog(tmp_path / f"{number}", SKY, layout)
        file = fullest(tmp_path / f"{number}")
        data = bytearray(file.read_bytes())
        for chunk in handmade.ParquetFile(file).chunks:
            if chunk.column == "mag":
                data[handmade.slice_of(chunk)] = bytes(len(chunk.pages))
        file.write_bytes(data)
        with pytest.raises(PartitionReadError, match=r"column 'mag', row group \d: damaged page: ") as caught:
            make_margin(tmp_path / f"{number}", tmp_path, THRESHOLD_ARCSEC, f"m{number}")
        assert str(file) in str(caught.value)


def test_a_text_that_is_passed_over_and_longer_than_its_page_is_refused(tmp_path: Path) -> None:
    """The decoder went on behind the end of the page, and asked for so much memory that the process ended."""
    table = rows_of(SKY, Layout())
    texts = pa.array([f"text{row_id:04}" for row_id in table.column("id").to_pylist()])
    table = table.append_column("text", texts)
    layout = Layout(options={"use_dictionary": False, "compression": "none"})
    write_catalog(tmp_path / "catalog", SKY, layout, table)
    file = fullest(tmp_path / "catalog")
    ids = rows_in_file(file).column("id").to_pylist()
    near = {row_id for rows in SKY.margins(2.0).values() for row_id in rows}
    passed_over = next(
        row_id
        for row_id, after, later in zip(ids, ids[1:], ids[2:], strict=False)
        if row_id not in near and after in near and later not in near
    )
    text = f"text{passed_over:04}".encode()
    data = file.read_bytes()
    assert data.count(b"\x08\0\0\0" + text) == 1
    file.write_bytes(data.replace(b"\x08\0\0\0" + text, b"\xff\xff\xff\x7f" + text))
    with pytest.raises(
        PartitionReadError, match="damaged: the Parquet decoder stopped with: attempt to subtract"
    ):
        make_margin(tmp_path / "catalog", tmp_path, 2.0)


def test_a_name_with_line_breaks_is_told_on_one_line(tmp_path: Path) -> None:
    write_catalog(tmp_path / "catalog", SKY, NOT_INDEXED)
    file = fullest(tmp_path / "catalog")
    table = rows_in_file(file)
    pq.write_table(table.append_column("a\nb\x1b[31m", table.column("mag")), file)
    with pytest.raises(
        PartitionReadError, match=r"column 'a\\nb\\u\{1b\}\[31m': is not in the catalog's schema"
    ) as caught:
        make_margin(tmp_path / "catalog", tmp_path, THRESHOLD_ARCSEC)
    assert "\n" not in str(caught.value)


def test_encrypted_columns_are_named(tmp_path: Path) -> None:
    write_catalog(tmp_path / "stars", SKY)
    file = fullest(tmp_path / "stars")
    handmade.encrypt(file, "ra")
    with pytest.raises(PartitionReadError) as caught:
        make_margin(tmp_path / "stars", tmp_path, THRESHOLD_ARCSEC)
    assert str(caught.value) == f"{file}: column 'ra' is encrypted; encrypted Parquet is not supported"


def test_intervals_are_twelve_bytes(tmp_path: Path) -> None:
    wait = pa.array(
        [{"wait": bytes([n % 256, 1] * 6), "n": n} for n in range(len(SKY))],
        pa.struct([("wait", pa.binary(12)), ("n", pa.int64())]),
    )
    table = rows_of(SKY, INDEXED).append_column("pause", wait)
    write_catalog(tmp_path / "stars", SKY, INDEXED, table)
    for file in files_of(tmp_path / "stars").values():
        handmade.annotate_interval(file, "wait")
        column = pq.read_metadata(file).schema.to_arrow_schema().field("pause").type.field("wait")
        assert column.type == pa.binary(12)
    make_margin(tmp_path / "stars", tmp_path, THRESHOLD_ARCSEC)
    assert_right(tmp_path / "margin", tmp_path / "stars")


def with_times(times: list[datetime.datetime | None]) -> pa.Table:
    return rows_of(SKY, INDEXED).append_column("when", pa.array(times, pa.timestamp("us")))


def write_with_int96(catalog: Path, times: list[datetime.datetime | None], *, nanoseconds: bool) -> None:
    """Write the catalog with times as INT96; the unit of its schema is ns, as pyarrow reads them, or us."""
    options = INDEXED.options | {"use_deprecated_int96_timestamps": True}
    layout = Layout(row_group_rows=150, options=options, without=("_metadata",))
    write_catalog(catalog, SKY, layout, with_times(times))
    file = fullest(catalog)
    physical = {column.path: column.physical_type for column in handmade.columns_of(file)}
    assert physical["when"] == "INT96"
    if nanoseconds:
        pq.write_metadata(pq.read_schema(file), catalog / "dataset" / "_common_metadata")
        assert pq.read_schema(file).field("when").type == pa.timestamp("ns")


FAR = datetime.datetime(9999, 12, 31, 12, 30)
USUAL = [
    None if n % 5 == 0 else datetime.datetime(1999, 1, 1) + datetime.timedelta(days=n, microseconds=n)
    for n in range(len(SKY))
]
IN_A_MARGIN = {row for rows in MARGINS.values() for row in rows}


def place_of(row_id: int) -> int:
    """Where the row of an id is in the table: that is sorted by the index."""
    ids: list[int] = rows_of(SKY, INDEXED).column("id").to_pylist()
    return ids.index(row_id)


def test_int96_out_of_range_is_refused_by_build_and_audit_alike(tmp_path: Path) -> None:
    write_with_int96(tmp_path / "usual", USUAL, nanoseconds=True)
    make_margin(tmp_path / "usual", tmp_path, THRESHOLD_ARCSEC)
    report = verify(tmp_path / "margin", tmp_path / "usual")
    assert report.right, report.summary()
    assert rows_in(tmp_path / "margin").schema.field("when").type == pa.timestamp("ns")

    times = list(USUAL)
    times[place_of(min(IN_A_MARGIN))] = FAR
    write_with_int96(tmp_path / "far", times, nanoseconds=True)
    with pytest.raises(PartitionReadError) as built:
        make_margin(tmp_path / "far", tmp_path, THRESHOLD_ARCSEC, "other")
    # The margin of the catalog with usual times is audited as if it were of this one.
    with pytest.raises(PartitionReadError) as audited:
        verify(tmp_path / "margin", tmp_path / "far")
    problem = "the timestamp 9999-12-31T12:30:00, stored as INT96, is out of the range of timestamps in ns"
    assert str(built.value) == str(audited.value)
    assert str(built.value).endswith(f": column 'when': {problem}")
    assert str(built.value).startswith(str(tmp_path / "far"))


def test_int96_out_of_range_elsewhere_does_not_matter(tmp_path: Path) -> None:
    inside = next(row for row in range(len(SKY)) if row not in IN_A_MARGIN)
    times = list(USUAL)
    times[place_of(inside)] = FAR
    write_with_int96(tmp_path / "stars", times, nanoseconds=True)
    make_margin(tmp_path / "stars", tmp_path, THRESHOLD_ARCSEC)
    assert ids_of(tmp_path / "margin") == MARGINS
    assert verify(tmp_path / "margin", tmp_path / "stars").right


def test_int96_has_the_unit_of_the_schema(tmp_path: Path) -> None:
    times = [FAR if time else None for time in USUAL]
    write_with_int96(tmp_path / "stars", times, nanoseconds=False)
    make_margin(tmp_path / "stars", tmp_path, THRESHOLD_ARCSEC)
    rows = rows_in(tmp_path / "margin")
    assert rows.schema.field("when").type == pa.timestamp("us")
    assert set(rows.column("when").to_pylist()) == {FAR, None}
    report = verify(tmp_path / "margin", tmp_path / "stars")
    assert report.right, report.summary()


@pytest.mark.parametrize("child", ["item", "array", "bag", "element"])
def test_elements_of_lists_keep_their_names(child: str, tmp_path: Path) -> None:
    inner = pa.list_(pa.field(child, pa.float32()))
    kinds = {
        "fluxes": inner,
        "wide": pa.large_list(pa.field(child, inner)),
        "pair": pa.list_(pa.field(child, pa.int8()), 2),
    }
    table = rows_of(SKY, INDEXED)
    for name, kind in kinds.items():
        values = [[[1.5]] if name == "wide" else [n % 7, 2] for n in range(len(SKY))]
        table = table.append_column(name, pa.array(values, kind))
    options = {"use_compliant_nested_type": False, "write_page_index": True}
    layout = Layout(options=options, without=("_common_metadata", "_metadata"))
    write_catalog(tmp_path / "stars", SKY, layout, table)
    schema = pq.read_schema(fullest(tmp_path / "stars"))
    assert schema.field("fluxes").type.value_field.name == child
    make_margin(tmp_path / "stars", tmp_path, THRESHOLD_ARCSEC)
    paths = [column.path for column in handmade.columns_of(fullest(tmp_path / "stars"))]
    assert f"fluxes.list.{child}" in paths
    for file in (
        *files_of(tmp_path / "margin").values(),
        tmp_path / "margin" / "dataset" / "_common_metadata",
    ):
        assert pq.read_schema(file).equals(schema, check_metadata=True)
        assert [column.path for column in handmade.columns_of(file)] == paths
    assert_right(tmp_path / "margin", tmp_path / "stars")


WHOLE_DEGREES = [(ra, dec) for ra in range(0, 360, 5) for dec in range(-88, 89, 4)]
GRID = sky_at(
    tuple((0, pixel) for pixel in range(12)),
    np.array([float(ra) for ra, _ in WHOLE_DEGREES]),
    np.array([float(dec) for _, dec in WHOLE_DEGREES]),
)
NUMBERS = {
    "int16": pa.int16(),
    "int64": pa.int64(),
    "float16": pa.float16(),
    "float32": pa.float32(),
    "decimal32": pa.decimal32(6, 2),
    "decimal64": pa.decimal64(12, 6),
    "decimal128": pa.decimal128(20, 10),
}


@pytest.mark.parametrize("name", NUMBERS)
def test_coordinates_may_be_any_number(name: str, tmp_path: Path) -> None:
    table = rows_of(GRID, Layout())
    for column in ("ra", "dec"):
        values = [Decimal(int(value)) for value in table.column(column).to_pylist()]
        numbers = (
            values if "decimal" in name else [np.float16(v) if name == "float16" else int(v) for v in values]
        )
        place = table.schema.get_field_index(column)
        table = table.set_column(place, column, pa.array(numbers, NUMBERS[name]))
    write_catalog(tmp_path / "stars", GRID, Layout(), table)
    make_margin(tmp_path / "stars", tmp_path, 7_000.0)
    assert ids_of(tmp_path / "margin") == GRID.margins(7_000.0)
    assert rows_in(tmp_path / "margin").schema.field("ra").type == NUMBERS[name]
    report = verify(tmp_path / "margin", tmp_path / "stars")
    assert report.right, report.summary()


def test_a_time_in_another_unit_is_audited_in_that_of_the_schema(tmp_path: Path) -> None:
    write_catalog(tmp_path / "stars", SKY, INDEXED)
    for file in files_of(tmp_path / "stars").values():
        rows = rows_in_file(file)
        place = rows.schema.get_field_index("seen")
        seen = rows.column("seen").cast(pa.timestamp("ms", "UTC"))
        pq.write_table(rows.set_column(place, "seen", seen), file)
    make_margin(tmp_path / "stars", tmp_path, THRESHOLD_ARCSEC)
    assert rows_in(tmp_path / "margin").schema.field("seen").type == pa.timestamp("us", "UTC")
    report = verify(tmp_path / "margin", tmp_path / "stars")
    assert report.right, report.summary()


def test_the_sky_of_these_tests_has_rows_in_both_partitions() -> None:
    assert isinstance(SKY, Sky)
    assert all(SKY.lies_in(*pixel).sum() > 140 for pixel in SKY.partitions)
    assert sum(map(len, MARGINS.values())) > 200
    assert brute_force.pixels_of(SKY.ra_deg[:1], SKY.dec_deg[:1], 4)[0] in (994, 1000)
