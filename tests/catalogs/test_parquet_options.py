"""Keyword arguments of pyarrow's writer for the writer of the core, and files of random schemas."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from skymargin.catalogs.hats_margin import encodings
from skymargin.catalogs.parquet_format import parquet_format
from skymargin.errors import ArgumentError
from tests.catalogs.parquet_pairs import assert_same_rows, by_core, by_pyarrow, described, read

TABLE = pa.table(
    {
        "id": pa.array(range(1000), pa.int64()),
        "small": pa.array([n % 7 for n in range(1000)], pa.int32()),
        "text": [f"{n % 50}" for n in range(1000)],
        "flag": [n % 3 == 0 for n in range(1000)],
        "mag": [n / 8 for n in range(1000)],
        "fixed": pa.array([bytes([n % 5, 1, 2, 3]) for n in range(1000)], pa.binary(4)),
        "pair": pa.array([[n % 3, None] for n in range(1000)], pa.list_(pa.int16())),
        "seen": pa.array([n * 1000 for n in range(1000)], pa.timestamp("us", "UTC")),
    }
)
# Every keyword argument of `write_table` that changes what the file is.
OPTIONS: list[dict[str, Any]] = [
    {},
    {"version": "1.0"},
    {"version": "2.4", "data_page_version": "2.0"},
    {"version": "1.0", "data_page_version": "2.0"},
    {"use_dictionary": ["small", "fixed", "pair.list.element"]},
    {"use_dictionary": False},
    {"compression": {"id": "gzip", "text": "ZSTD"}, "compression_level": {"text": 9}},
    *(
        {"compression": codec}
        for codec in (None, "none", "SNAPPY", "gzip", "brotli", "lz4", "lz4_raw", "zstd")
    ),
    {"compression": "gzip", "compression_level": 0},
    {"compression": "brotli", "compression_level": 11},
    {"compression": "zstd", "compression_level": -5},
    {"compression": "zstd", "compression_level": 22},
    {"write_statistics": False},
    {"write_statistics": ["id", "flag"], "write_page_index": True},
    {"write_page_index": True, "data_page_size": 100, "write_batch_size": 10},
    {"use_byte_stream_split": ["mag", "small", "fixed"], "use_dictionary": False},
    {"use_byte_stream_split": ["mag"]},
    {
        "use_dictionary": False,
        "column_encoding": {
            "id": "DELTA_BINARY_PACKED",
            "text": "DELTA_BYTE_ARRAY",
            "flag": "PLAIN",
            "mag": "BYTE_STREAM_SPLIT",
            "fixed": "DELTA_BYTE_ARRAY",
        },
    },
    {"use_dictionary": ["small"], "column_encoding": {"text": "DELTA_LENGTH_BYTE_ARRAY", "flag": "RLE"}},
    {"use_dictionary": False, "column_encoding": "PLAIN", "data_page_version": "2.0"},
    {"use_compliant_nested_type": False},
    {"dictionary_pagesize_limit": 20, "write_batch_size": 10},
    {"store_schema": False},
    {"write_page_checksum": True, "data_page_version": "2.0"},
    {"sorting_columns": [pq.SortingColumn(0), pq.SortingColumn(4, descending=True, nulls_first=True)]},
    {"write_time_adjusted_to_utc": True},
    {"max_rows_per_page": 37, "write_page_index": True},
    {"bloom_filter_options": {"id": True, "text": {"ndv": 50, "fpp": 0.01}, "mag": False}},
    {"coerce_timestamps": "ms"},
    {"coerce_timestamps": "us", "allow_truncated_timestamps": True},
    {"flavor": "spark", "use_deprecated_int96_timestamps": False},
    {"use_content_defined_chunking": False, "encryption_properties": None, "filesystem": None},
    {"row_group_size": 300},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_an_option_does_what_it_does_with_pyarrow(options: dict[str, Any]) -> None:
    given = {key: value for key, value in options.items() if key != "filesystem"}
    before, (after, _) = by_pyarrow(TABLE, given), by_core(TABLE, options)
    assert described(after) == described(before)
    assert_same_rows(read(before), read(after))
    if "bloom_filter_options" in options:
        # The filters have sizes of their own.
        assert len(after) > len(by_core(TABLE, {})[0]) + 100


def test_timestamps_lose_nothing_unless_asked() -> None:
    table = pa.table({"seen": pa.array([1001, None, -1999], pa.timestamp("us"))})
    with pytest.raises(ValueError, match=r"column 'seen': .*1001 of type .* is not exact as Timestamp\(ms"):
        by_core(table, {"coerce_timestamps": "ms"})
    truncated = {"coerce_timestamps": "ms", "allow_truncated_timestamps": True}
    after = read(by_core(table, truncated)[0])
    assert after.column("seen").cast(pa.int64()).to_pylist() == [1, None, -1]
    assert_same_rows(read(by_pyarrow(table, truncated)), after)
    late = pa.table({"seen": pa.array([2**62], pa.timestamp("s"))})
    with pytest.raises(ValueError, match=r"column 'seen': .*is too large for Timestamp\(ms"):
        by_core(late, {})


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"compression": "zip"}, "cannot be used: Unsupported compression: zip"),
    ({"compression": "lzo"}, r"\['compression'\] 'lzo' cannot be used: it must be one of NONE, SNAPPY, GZIP"),
    ({"compression_level": "high", "compression": "zstd"}, "cannot be used"),
    (
        {"compression_level": 5},
        r"\['compression_level'\] 5 .*column 'id' is compressed with snappy; it has no levels",
    ),
    (
        {"compression": "lz4", "compression_level": 5},
        r"\['compression_level'\] 5 .*lz4; it has no levels here",
    ),
    ({"compression": "gzip", "compression_level": 10}, "gzip; it has levels 0 to 9"),
    ({"compression": "brotli", "compression_level": 12}, "brotli; it has levels 0 to 11"),
    ({"compression": "zstd", "compression_level": 23}, "zstd; it has levels -131072 to 22"),
    ({"compression": {"nowhere": "gzip"}}, r"\['compression'\] cannot be used: there is no column 'nowhere'"),
    ({"use_dictionary": ["pair"]}, r"\['use_dictionary'\] cannot be used: .*it has fixed, flag, id"),
    (
        {"use_dictionary": "id"},
        r"\['use_dictionary'\] 'id' cannot be used: it must be True, False, or a list",
    ),
    ({"write_statistics": "id"}, r"\['write_statistics'\] 'id' cannot be used"),
    (
        {"column_encoding": {"id": "PLAIN"}},
        "cannot be used: To use 'column_encoding' set 'use_dictionary' to False",
    ),
    (
        {"column_encoding": {"text": "DELTA_BINARY_PACKED"}, "use_dictionary": False},
        r"\['column_encoding'\] .*column 'text' is of type BYTE_ARRAY, which can be PLAIN, DELTA_LENGTH_BYTE_ARRAY",
    ),
    (
        {"use_byte_stream_split": True, "use_dictionary": False},
        r"\['use_byte_stream_split'\] True .*column 'text'",
    ),
    ({"version": "2.0"}, r"\['version'\] '2.0' cannot be used: it must be one of '1.0', '2.4', '2.6'"),
    ({"data_page_version": "3.0"}, r"\['data_page_version'\] '3.0'"),
    (
        {"coerce_timestamps": "ns"},
        r"\['coerce_timestamps'\] 'ns' cannot be used: it must be one of None, 'ms', 'us'",
    ),
    ({"flavor": "flink"}, r"\['flavor'\] 'flink'"),
    ({"flavor": "spark"}, r"\['flavor'\] 'spark' cannot be used: timestamps are written as INT64"),
    ({"use_deprecated_int96_timestamps": True}, r"\['use_deprecated_int96_timestamps'\] True .*as INT64"),
    ({"data_page_size": 0}, r"\['data_page_size'\] 0 cannot be used: it must be a whole number, from 1 to"),
    ({"data_page_size": 1.5}, r"\['data_page_size'\] 1.5"),
    ({"write_batch_size": 0}, r"\['write_batch_size'\] 0"),
    ({"dictionary_pagesize_limit": -1}, r"\['dictionary_pagesize_limit'\] -1 .*from 0 to"),
    ({"max_rows_per_page": 2**40}, r"\['max_rows_per_page'\] 1099511627776"),
    ({"write_page_index": "yes"}, r"\['write_page_index'\] 'yes' cannot be used: it must be True or False"),
    ({"allow_truncated_timestamps": None}, r"\['allow_truncated_timestamps'\] None"),
    ({"use_content_defined_chunking": True}, r"\['use_content_defined_chunking'\] True .*it must be False"),
    ({"encryption_properties": 3}, r"\['encryption_properties'\] 3 cannot be used: files are not encrypted"),
    ({"filesystem": "s3"}, r"\['filesystem'\] 's3' cannot be used"),
    ({"sorting_columns": [(0, True)]}, "cannot be used: 'sorting_columns' must be a list of `SortingColumn`"),
    (
        {"bloom_filter_options": {"flag": True}},
        r"\['bloom_filter_options'\] .*column 'flag' is of type BOOLEAN",
    ),
    ({"bloom_filter_options": {"id": {"ndv": 0}}}, "cannot be used: .*ndv"),
    ({"bloom_filter_options": {"id": {"fpp": 1.0}}}, "cannot be used: .*fpp"),
    (
        {"bloom_filter_options": {"nowhere": True}},
        r"\['bloom_filter_options'\] cannot be used: there is no column",
    ),
    (
        {"compresion": "zstd"},
        r"\['compresion'\] 'zstd' cannot be used: known are allow_truncated_timestamps, ",
    ),
]


@pytest.mark.parametrize(("options", "message"), REFUSED, ids=str)
def test_what_cannot_be_done_is_refused_by_name(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=f"write_table_kwargs.*{message}"):
        parquet_format(TABLE.schema, options, options)


# Random schemas.
LEAVES: list[tuple[pa.DataType, Callable[[random.Random], Any]]] = [
    (pa.bool_(), lambda r: r.random() < 0.5),
    (pa.int8(), lambda r: r.randint(-128, 127)),
    (pa.uint32(), lambda r: r.getrandbits(32)),
    (pa.int64(), lambda r: r.getrandbits(63)),
    (pa.float32(), lambda r: r.choice([0.0, -0.0, float("nan"), 1.5, float("inf")])),
    (pa.float64(), lambda r: r.gauss(0, 1)),
    (pa.float16(), lambda r: np.float16(r.gauss(0, 1))),
    (pa.string(), lambda r: "é" * r.randint(0, 3) + "x" * r.choice([0, 1, 20, 500])),
    (pa.large_string(), lambda r: str(r.random())),
    (pa.binary(), lambda r: r.randbytes(r.randint(0, 9))),
    (pa.binary(5), lambda r: r.randbytes(5)),
    (pa.decimal128(30, 4), lambda r: r.getrandbits(60)),
    (pa.date32(), lambda r: r.randint(-9999, 9999)),
    (pa.timestamp("ns", "UTC"), lambda r: r.getrandbits(60)),
    (pa.timestamp("s"), lambda r: r.getrandbits(30)),
    (pa.duration("us"), lambda r: r.getrandbits(40)),
    (pa.time32("s"), lambda r: r.randint(0, 86_399)),
    (pa.dictionary(pa.int32(), pa.string()), lambda r: r.choice("abc")),
    (pa.null(), lambda _: None),
]


def random_type(source: random.Random, depth: int) -> tuple[pa.DataType, Callable[[random.Random], Any]]:
    """A type, and what makes a value of it that is not null."""
    if depth == 0 or source.random() < 0.4:
        return source.choice(LEAVES)
    field, value = random_field(source, depth - 1)
    match source.randrange(5):
        case 0:
            return pa.list_(field), lambda r: [value(r) for _ in range(r.randint(0, 3))]
        case 1:
            return pa.large_list(field), lambda r: [value(r) for _ in range(r.choice([0, 1, 5]))]
        case 2:
            return pa.list_(field, 2), lambda r: [value(r), value(r)]
        case 3:
            return pa.map_(pa.string(), field), lambda r: [(f"{n}", value(r)) for n in range(r.randint(0, 3))]
    members = [random_field(source, depth - 1) for _ in range(source.randint(1, 3))]
    kind = pa.struct([field.with_name(f"m{n}") for n, (field, _) in enumerate(members)])
    return kind, lambda r: {f"m{n}": value(r) for n, (_, value) in enumerate(members)}


def random_field(source: random.Random, depth: int) -> tuple[pa.Field, Callable[[random.Random], Any]]:
    kind, value = random_type(source, depth)
    nullable = source.random() < 0.7 or pa.types.is_null(kind)
    field = pa.field("f", kind, nullable=nullable, metadata={"depth": str(depth)})
    # Often there are none, seldom most, never where none is allowed.
    share = source.choice([0.0, 0.0, 0.1, 0.9]) if nullable else 0.0
    return field, lambda r: None if r.random() < share else value(r)


@pytest.mark.parametrize("seed", range(20))
def test_random_schemas_and_values(seed: int) -> None:
    source = random.Random(seed)
    for _ in range(15):
        columns = [random_field(source, source.randint(0, 3)) for _ in range(source.randint(1, 6))]
        rows = source.choice([1, 2, 17, 200])
        schema = pa.schema(
            [field.with_name(f"c{n}") for n, (field, _) in enumerate(columns)], {"seed": str(seed)}
        )
        arrays = [pa.array([value(source) for _ in range(rows)], field.type) for field, value in columns]
        table = pa.Table.from_arrays(arrays, schema=schema)
        overrides = source.choice(
            [{}, {"data_page_version": "2.0"}, {"compression": "snappy"}, {"write_page_index": False}]
        )
        options = encodings(schema, overrides)
        before, (after, _) = by_pyarrow(table, options), by_core(table, options)
        assert_same_rows(read(before), read(after))
        expected, actual = (without_differences(described(file)) for file in (before, after))
        # In structs, pyarrow takes nulls for values of dictionaries.
        if "dictionary" not in str(schema):
            assert actual == expected


def without_differences(description: dict[str, Any]) -> dict[str, Any]:
    """A description that does not say whether columns without values, such as empty lists, have a column index."""
    for group in description["groups"]:
        for chunk in group["chunks"].values():
            if chunk["statistics"] and not chunk["statistics"][0]:
                chunk["indexes"] = None
    return description
