"""Parquet files that no library writes: those of old or careless writers, made by changing what pyarrow wrote.

Each function changes one file in place. Values and pages stay, but for those of `encrypt`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.parquet_file import Chunk, ParquetFile
from benchmarks.thrift import BINARY, I32, I64, LIST, STRUCT, Value, read_struct, write_struct

Fields = dict[int, Value]

# Fields and values of parquet.thrift.
_SCHEMA, _ROW_GROUPS, _KEY_VALUES = 2, 4, 5
_META_DATA, _OFFSET_INDEX, _OFFSET_INDEX_BYTES, _CRYPTO = 3, 4, 5, 8
_TOTAL_UNCOMPRESSED, _TOTAL_COMPRESSED, _DATA_PAGE, _DICTIONARY_PAGE = 6, 7, 9, 11
_CONVERTED, _INTERVAL = 6, 21


def edit_footer(file: Path, change: Callable[[Fields], object], more: bytes = b"") -> None:
    """Change the footer of a file; `more` comes between its data and the footer."""
    parts = ParquetFile(file)
    start = parts.footer.start
    footer = read_struct(parts.data, start).content
    change(footer)
    written = write_struct(footer)
    file.write_bytes(parts.data[:start] + more + written + len(written).to_bytes(4, "little") + b"PAR1")


def edit_chunks(file: Path, change: Callable[[Fields], object], column: str | None = None) -> None:
    """Change what the footer says of every column chunk, or of those of a root column."""

    def in_footer(footer: Fields) -> None:
        for chunk in chunks_in(footer):
            if column is None or chunk[_META_DATA][3].content[0].content.decode() == column:
                change(chunk)

    edit_footer(file, in_footer)


def chunks_in(footer: Fields) -> list[Fields]:
    """The column chunks of a footer."""
    return [chunk.content for group in footer[_ROW_GROUPS].content for chunk in group[1].content]


def edit_offset_indexes(file: Path, change: Callable[[ParquetFile, Chunk, list[Fields]], object]) -> None:
    """Change the offset index of every column chunk: a list of offset (1), size (2) and first row (3) of pages."""
    parts = ParquetFile(file)
    start = parts.footer.start
    places, written = [], b""
    for chunk in parts.chunks:
        index = read_struct(parts.data, chunk.offset_index.start)
        change(parts, chunk, [location.content for location in index[1].content])
        places.append((start + len(written), len(encoded := write_struct(index.content))))
        written += encoded

    def in_footer(footer: Fields) -> None:
        for chunk, (offset, length) in zip(chunks_in(footer), places, strict=True):
            chunk[_OFFSET_INDEX], chunk[_OFFSET_INDEX_BYTES] = Value(I64, offset), Value(I32, length)

    edit_footer(file, in_footer, written)


def without_headers_in_sizes(file: Path) -> None:
    """Leave the page headers out of the sizes in the offset indexes, as parquet-go did."""

    def change(parts: ParquetFile, chunk: Chunk, locations: list[Fields]) -> None:
        pages = {page.header.start: page for page in parts.pages(chunk)}
        for location in locations:
            location[2].content -= len(pages[location[1].content].header)

    edit_offset_indexes(file, change)


def shift_first_rows(file: Path, rows: int) -> None:
    """Have every second page begin later, by the offset indexes."""

    def change(_parts: ParquetFile, _chunk: Chunk, locations: list[Fields]) -> None:
        for location in locations[1::2]:
            location[3].content += rows

    edit_offset_indexes(file, change)


def shift_pages(file: Path, distance: int) -> None:
    """Have every page lie elsewhere, by the offset indexes, as after a copy of the row group that kept them."""

    def change(_parts: ParquetFile, _chunk: Chunk, locations: list[Fields]) -> None:
        for location in locations:
            location[1].content += distance

    edit_offset_indexes(file, change)


def without_dictionary_headers_in_sizes(file: Path) -> None:
    """Leave the header of the dictionary page out of the sizes of column chunks, as old parquet-mr did."""
    headers = {
        (chunk.pages.start, chunk.column): next(ParquetFile(file).pages(chunk)).header
        for chunk in ParquetFile(file).chunks
    }

    def change(chunk: Fields) -> None:
        about = chunk[_META_DATA]
        if _DICTIONARY_PAGE in about:
            header = headers[about[_DICTIONARY_PAGE].content, about[3].content[0].content.decode()]
            about[_TOTAL_COMPRESSED].content -= len(header)

    edit_chunks(file, change)


def add_to_sizes(file: Path, count: int) -> None:
    """Miscount the sizes of column chunks."""

    def change(chunk: Fields) -> None:
        chunk[_META_DATA][_TOTAL_COMPRESSED].content += count

    edit_chunks(file, change)


def claim_small_values(file: Path, column: str, count: int) -> None:
    """Say of the chunks of a column that they are small before compression."""

    def change(chunk: Fields) -> None:
        chunk[_META_DATA][_TOTAL_UNCOMPRESSED].content = count

    edit_chunks(file, change, column)


def claim_dictionaries(file: Path, offset: int) -> None:
    """Say of column chunks without a dictionary that they have one at a place."""

    def change(chunk: Fields) -> None:
        about = chunk[_META_DATA].content
        if _DICTIONARY_PAGE not in about:
            about[_DICTIONARY_PAGE] = Value(I64, offset)

    edit_chunks(file, change)


def without_dictionary_offsets(file: Path) -> None:
    """Name no dictionary page: the data begins with it, as in files of the first years."""

    def change(chunk: Fields) -> None:
        about = chunk[_META_DATA].content
        if _DICTIONARY_PAGE in about:
            about[_DATA_PAGE].content = about.pop(_DICTIONARY_PAGE).content

    edit_chunks(file, change)


def embed_schema(file: Path, schema: pa.Schema) -> None:
    """Replace the embedded Arrow schema, as tools do that change columns and keep the key-value metadata."""
    sink = pa.BufferOutputStream()
    pq.write_metadata(schema, sink)
    encoded = pq.read_metadata(pa.BufferReader(sink.getvalue())).metadata[b"ARROW:schema"]
    set_metadata(file, b"ARROW:schema", encoded)


def set_metadata(file: Path, key: bytes, value: bytes) -> None:
    """Set a value of the key-value metadata."""

    def change(footer: Fields) -> None:
        pairs = footer.setdefault(_KEY_VALUES, Value(LIST, [])).content
        pairs[:] = [pair for pair in pairs if pair[1].content != key]
        pairs.append(Value(STRUCT, {1: Value(BINARY, key), 2: Value(BINARY, value)}))

    edit_footer(file, change)


def annotate_interval(file: Path, name: str) -> None:
    """Say of a column of 12 bytes, at any depth, that it is an INTERVAL."""

    def change(footer: Fields) -> None:
        (element,) = [element for element in footer[_SCHEMA].content if element[4].content == name.encode()]
        element.content.pop(10, None)
        element.content[_CONVERTED] = Value(I32, _INTERVAL)

    edit_footer(file, change)


def encrypt(file: Path, column: str) -> None:
    """Encrypt a column under a plain footer: its pages are no pages, and its chunks say with which key."""
    data = bytearray(file.read_bytes())
    for chunk in ParquetFile(file).chunks:
        if chunk.column == column:
            data[chunk.pages.start : chunk.pages.stop] = bytes(byte ^ 0x5A for byte in data[slice_of(chunk)])
    file.write_bytes(data)

    def change(chunk: Fields) -> None:
        # The key of the footer: an empty struct in a union.
        chunk[_CRYPTO] = Value(STRUCT, {1: Value(STRUCT, {})})

    edit_chunks(file, change, column)


def columns_of(file: Path) -> list[pq.ColumnSchema]:
    """The Parquet columns of a file."""
    schema = pq.read_metadata(file).schema
    return [schema.column(number) for number in range(len(schema))]


def slice_of(chunk: Chunk) -> slice:
    """The bytes of the pages of a chunk."""
    return slice(chunk.pages.start, chunk.pages.stop)
