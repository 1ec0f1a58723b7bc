"""The same table as a Parquet file of pyarrow and one of the core, and what readers see in them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import types

from benchmarks.parquet_file import ParquetFile
from benchmarks.thrift import TRUE, Value, read_struct
from skymargin.arrow.transport import to_transport
from skymargin.catalogs.hats_margin import encodings
from skymargin.catalogs.parquet_format import parquet_format
from tests.support.column_types import ALL_TYPES, column_of

PATH = "Norder=1/Dir=0/Npix=13.parquet"
RowGroupsTuple = tuple[bytes, int, int, bytes, bytes]
_INTEGERS = {16: pa.int16(), 32: pa.int32(), 64: pa.int64()}

# Options that change how values are stored.
WAYS: dict[str, dict[str, Any]] = {
    "hats": {},
    "snappy, no index": {"compression": "snappy", "write_page_index": False},
    "gzip, no dictionaries": {"compression": "gzip", "compression_level": 6, "use_dictionary": False},
    "lz4, page version 2.0": {"compression": "lz4", "data_page_version": "2.0"},
    "brotli, version 1.0": {"compression": "brotli", "compression_level": 3, "version": "1.0"},
    "no codec, checksums": {"compression": None, "write_page_checksum": True, "use_dictionary": False},
    "no statistics": {"write_statistics": False, "row_group_size": 33},
    "both versions 2": {"version": "2.4", "data_page_version": "2.0", "write_page_checksum": True},
    "integer decimals": {"store_decimal_as_integer": True, "use_compliant_nested_type": False},
}


def table_of(name: str, rows: int = 100) -> pa.Table:
    kind, value = ALL_TYPES[name]
    column = column_of(kind, value, rows)
    field = pa.field("column", kind, metadata={"unit": "mag"})
    return pa.Table.from_arrays([column], schema=pa.schema([field], metadata={"made": "by hand"}))


# pyarrow writes nulls of a struct as values of its dictionaries in the count of statistics, and the core does not.
MISCOUNTED = ("struct of dictionary",)


def by_pyarrow(table: pa.Table, options: Mapping[str, Any]) -> bytes:
    sink = pa.BufferOutputStream()
    plain = {key: value for key, value in options.items() if key != "row_group_size"}
    with pq.ParquetWriter(sink, table.schema, **plain) as writer:
        writer.write_table(table, row_group_size=options.get("row_group_size"))
    return sink.getvalue().to_pybytes()


def by_core(table: pa.Table, options: Mapping[str, Any]) -> tuple[bytes, RowGroupsTuple]:
    made = parquet_format(table.schema, options).open()
    rows = options.get("row_group_size") or max(len(table), 1)
    batches = [
        batch
        for start in range(0, len(table), rows)
        # A slice may have more than one batch.
        for batch in to_transport(table.slice(start, rows)).combine_chunks().to_batches()
    ]
    return made.encode([_without_offsets(batch) for batch in batches], PATH)


def _without_offsets(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The batch without slices of slices, which arrow-rs cannot take from pyarrow."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as stream:
        stream.write_batch(batch)
    with pa.ipc.open_stream(sink.getvalue()) as stream:
        return stream.read_next_batch()


def both(table: pa.Table, overrides: Mapping[str, Any]) -> tuple[bytes, bytes]:
    """The table with the defaults of HATS and some overrides: pyarrow's file and the core's."""
    options = encodings(table.schema, overrides)
    return by_pyarrow(table, options), by_core(table, options)[0]


def read(file: bytes) -> pa.Table:
    return pq.read_table(pa.BufferReader(file), page_checksum_verification=True)


def values(array: pa.Array | pa.ChunkedArray) -> Iterator[pa.Array]:
    """Flat arrays that are equal where all values are: floats as their bits."""
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    kind = array.type
    if isinstance(kind, pa.BaseExtensionType):
        yield from values(array.storage)
        return
    yield array.is_valid()
    if types.is_dictionary(kind):
        yield from values(array.dictionary_decode())
    elif types.is_struct(kind):
        for child in array.flatten():
            yield from values(child)
    elif types.is_map(kind):
        yield array.offsets
        yield from values(array.keys)
        yield from values(array.items)
    elif types.is_nested(kind):
        yield pa.compute.list_value_length(array)
        yield from values(array.flatten())
    elif types.is_floating(kind):
        yield array.view(_INTEGERS[kind.bit_width])
    else:
        yield array


def assert_same_rows(before: pa.Table, after: pa.Table) -> None:
    assert after.schema.equals(before.schema, check_metadata=True)
    for name, first, second in zip(before.column_names, before.columns, after.columns, strict=True):
        for left, right in zip(values(first), values(second), strict=True):
            assert left.equals(right), name


def described(file: bytes) -> dict[str, Any]:
    """What the footer says, as pyarrow reads it, but for sizes, offsets and the name of the writer."""
    footer = pq.read_metadata(pa.BufferReader(file))
    columns = [footer.schema.column(number) for number in range(len(footer.schema))]
    return {
        "version": footer.format_version,
        "metadata": footer.metadata,
        "schema": str(footer.schema).split("\n", 1)[1],
        "arrow": footer.schema.to_arrow_schema().to_string(show_field_metadata=True),
        "columns": [
            (one.path, one.physical_type, one.length, str(one.logical_type), one.converted_type)
            for one in columns
        ],
        "levels": [(one.max_definition_level, one.max_repetition_level) for one in columns],
        "groups": [_group(footer.row_group(number)) for number in range(footer.num_row_groups)],
    }


def _group(group: pq.RowGroupMetaData) -> dict[str, Any]:
    chunks = [group.column(number) for number in range(group.num_columns)]
    return {
        "rows": group.num_rows,
        "sorting": group.sorting_columns,
        "chunks": {
            chunk.path_in_schema: {
                "values": chunk.num_values,
                "codec": chunk.compression,
                "encodings": set(chunk.encodings),
                "dictionary": chunk.has_dictionary_page,
                "indexes": (chunk.has_column_index, chunk.has_offset_index),
                "statistics": _statistics(chunk),
            }
            for chunk in chunks
        },
    }


def _statistics(chunk: pq.ColumnChunkMetaData) -> Any:
    statistics = chunk.statistics
    if statistics is None:
        return None
    bounds: Any = None
    if statistics.has_min_max:
        try:
            bounds = repr((statistics.min_raw, statistics.max_raw, statistics.min, statistics.max))
        except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
            bounds = type(error).__name__
    return (bounds, statistics.has_null_count and statistics.null_count, statistics.num_values)


def page_index(content: bytes, folder: Path) -> list[tuple[str, Any, Any]]:
    """Of each column chunk, the first rows of its pages, and what the column index says of them."""
    path = folder / "indexed.parquet"
    path.write_bytes(content)
    file = ParquetFile(path)
    return [
        (chunk.column, file.first_rows(chunk), column_index(content, chunk.column_index))
        for chunk in file.chunks
    ]


def column_index(content: bytes, place: range) -> list[Any] | None:
    """Null pages, minima, maxima, their order where there are some, and numbers of nulls."""
    if not place:
        return None
    null_pages, minima, maxima, order, nulls = (
        plain(value) for number, value in read_struct(content, place.start).content.items() if number <= 5
    )
    return [null_pages, minima, maxima, None if all(page == TRUE for page in null_pages) else order, nulls]


def plain(value: Value) -> Any:
    return [plain(element) for element in value.content] if isinstance(value.content, list) else value.content
