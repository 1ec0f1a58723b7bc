"""Parquet files of the core are those of pyarrow, as pyarrow reads them."""

from __future__ import annotations

import pickle
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from skymargin.catalogs.hats_margin import encodings
from skymargin.catalogs.metadata_file import RowGroups, metadata_file
from skymargin.catalogs.parquet_format import parquet_format
from skymargin.errors import ArgumentError
from tests.catalogs.parquet_pairs import (
    ALL_TYPES,
    MISCOUNTED,
    PATH,
    WAYS,
    assert_same_rows,
    both,
    by_core,
    by_pyarrow,
    described,
    page_index,
    read,
    table_of,
)

# arrow-rs looks at the sizes of pages and dictionaries more often than pyarrow where values are long.
CLOSER_TO_LIMITS = ("long text", "long fixed binary")
# pyarrow cannot cut views inside structs into row groups.
UNCUT = ("nested_view",)
PAIRS = [
    (name, way) for name in ALL_TYPES for way in WAYS if not (name in UNCUT and "row_group_size" in WAYS[way])
]


def without_encodings(description: dict[str, Any]) -> dict[str, Any]:
    for group in description["groups"]:
        for chunk in group["chunks"].values():
            chunk["encodings"] = None
    return description


def without_null_counts(description: dict[str, Any]) -> dict[str, Any]:
    for group in description["groups"]:
        for chunk in group["chunks"].values():
            chunk["statistics"] = chunk["statistics"] and chunk["statistics"][0]
    return description


def assert_nanoseconds_are_refused(table: pa.Table, options: dict[str, Any]) -> None:
    """The two older versions have microseconds alone."""
    with pytest.raises(pa.ArrowInvalid, match="would lose data"):
        by_pyarrow(table, options)
    with pytest.raises(ValueError, match=r"column 'column': .* is not exact as Timestamp\(µs"):
        by_core(table, options)


@pytest.mark.parametrize(("name", "way"), PAIRS)
def test_files_are_those_of_pyarrow(name: str, way: str, tmp_path: Path) -> None:
    table, overrides = table_of(name), WAYS[way]
    kind = table.schema.field(0).type
    if pa.types.is_timestamp(kind) and kind.unit == "ns" and overrides.get("version") in ("1.0", "2.4"):
        assert_nanoseconds_are_refused(table, encodings(table.schema, overrides))
        return
    before, after = both(table, overrides)
    assert_same_rows(read(before), read(after))
    expected, actual = described(before), described(after)
    if name in MISCOUNTED:
        expected, actual = without_null_counts(expected), without_null_counts(actual)
    elif name in CLOSER_TO_LIMITS:
        expected, actual = without_encodings(expected), without_encodings(actual)
    else:
        assert page_index(after, tmp_path) == page_index(before, tmp_path)
    assert actual == expected


@pytest.mark.parametrize(
    "kind",
    [
        pa.month_day_nano_interval(),
        pa.run_end_encoded(pa.int32(), pa.int64()),
        pa.decimal128(5, -2),
        pa.dense_union([pa.field("a", pa.int8())]),
        pa.struct([]),
    ],
)
def test_types_that_pyarrow_does_not_write_are_refused(kind: pa.DataType) -> None:
    schema = pa.schema([("column", kind)])
    with pytest.raises(ArgumentError, match=r"write_table_kwargs \{\} cannot be used"):
        parquet_format(schema, encodings(schema, {}))


def test_a_schema_without_columns_is_refused() -> None:
    with pytest.raises(ArgumentError, match="the schema has no columns"):
        parquet_format(pa.schema([]), {})


def test_batches_without_rows_have_no_row_group() -> None:
    table = pa.table({"a": [1, 2]})
    options = encodings(table.schema, {})
    file, (_, rows, count, content, _) = by_core(table.slice(0, 0), options)
    assert described(file) == described(parquet_format(table.schema, options).template) | {"groups": []}
    assert (rows, count, content, read(file).num_rows) == (0, 0, b"", 0)
    made = parquet_format(table.schema, options).open()
    batch = table.to_batches()[0]
    assert made.encode([batch.slice(0, 0), batch, batch.slice(0, 0)]) == made.encode([batch])


def test_the_format_can_be_sent_to_a_worker() -> None:
    table = table_of("nested list")
    made = parquet_format(table.schema, encodings(table.schema, {}))
    batches = table.to_batches()
    assert pickle.loads(pickle.dumps(made)).open().encode(batches) == made.open().encode(batches)


def test_row_groups_are_those_of_a_metadata_file(tmp_path: Path) -> None:
    table = table_of("light_curve")
    options = encodings(table.schema, {"row_group_size": 30})
    file, groups = by_core(table, options)
    footer = pq.read_metadata(pa.BufferReader(file))
    footer.set_file_path(PATH)
    own, other = RowGroups(*groups), RowGroups(*by_core(table.slice(0, 7), options)[1])
    assert (own.rows, own.count, other.rows, other.count) == (100, 4, 7, 1)
    (tmp_path / "_metadata").write_bytes(b"".join(metadata_file([own, other])))
    joined = pq.read_metadata(tmp_path / "_metadata")
    assert (joined.num_rows, joined.num_row_groups, joined.num_columns) == (107, 5, 2)
    assert joined.metadata == footer.metadata
    assert joined.schema.equals(footer.schema)
    for number in range(4):
        assert joined.row_group(number).to_dict() == footer.row_group(number).to_dict()
    assert joined.row_group(4).column(1).file_path == PATH


def test_many_rows_have_pages_and_row_groups_as_with_pyarrow(tmp_path: Path) -> None:
    rows = 250_000
    random = np.random.default_rng(3)
    table = pa.table(
        {
            "_healpix_29": np.sort(random.integers(0, 2**60, rows)),
            "ra": random.uniform(0, 360, rows),
            "mag": pa.array(random.normal(20, 2, rows), pa.float32(), mask=random.random(rows) < 0.1),
            "few": pa.array(random.integers(0, 100, rows), pa.int16()),
            "flag": random.random(rows) < 0.5,
            "list": pa.array([[float(n)] * (n % 4) for n in range(rows)], pa.list_(pa.float32())),
            "many": pa.array(random.integers(0, 10**9, rows), pa.int64()),
            "text": pa.array([f"name {n}" for n in random.integers(0, 10**5, rows)]),
        }
    )
    before, after = both(table, {})
    expected, actual = described(before), described(after)
    assert actual == expected
    assert [group["rows"] for group in actual["groups"]] == [100_000, 100_000, 50_000]
    assert actual["groups"][0]["chunks"]["many"]["encodings"] == {"PLAIN", "RLE", "RLE_DICTIONARY"}
    assert_same_rows(read(before), read(after))
    assert abs(len(after) - len(before)) < 0.02 * len(before)
    for expected_pages, pages in zip(page_index(before, tmp_path), page_index(after, tmp_path), strict=True):
        # Where a dictionary became too large, pages are cut at other rows.
        if pages[0] not in ("many", "text"):
            assert pages == expected_pages
        assert all(stop - start <= 20_480 for start, stop in pairwise(pages[1]))


def test_a_page_ends_at_its_limits(tmp_path: Path) -> None:
    table = pa.table({"a": pa.array(range(50_000), pa.int64()), "b": pa.array(["x" * 100] * 50_000)})
    cuts: list[tuple[dict[str, Any], list[int]]] = [
        ({"max_rows_per_page": 1000}, [50, 50]),
        ({"data_page_size": 8192, "use_dictionary": False}, [49, 633]),
        ({"data_page_size": 8192, "write_batch_size": 10, "use_dictionary": False}, [49, 625]),
    ]
    for overrides, counts in cuts:
        before, after = both(table, overrides)
        assert_same_rows(read(before), read(after))
        expected, actual = (page_index(file, tmp_path) for file in (before, after))
        assert actual[0] == expected[0] or overrides.get("write_batch_size")
        assert [len(pages) for _, pages, _ in actual] == pytest.approx(counts, rel=0.02)
