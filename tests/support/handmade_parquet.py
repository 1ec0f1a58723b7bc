"""Parquet files that no library writes: those of old or careless writers, made by changing what pyarrow wrote.

Each function changes one file in place. Values and pages stay, but for those of `encrypt`.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.parquet_file import Chunk, ParquetFile
from benchmarks.thrift import BINARY, I32, I64, LIST, STRUCT, Value, read_struct, write_struct

Fields = dict[int, Value]

# Fields and values of parquet.thrift.
_SCHEMA, _ROW_GROUPS, _KEY_VALUES, _WRITER = 2, 4, 5, 6
_COLUMNS, _GROUP_BYTES, _GROUP_ROWS = 1, 2, 3
_FILE_PATH, _META_DATA, _OFFSET_INDEX, _OFFSET_INDEX_BYTES, _CRYPTO = 1, 3, 4, 5, 8
_INDEXES = (4, 5, 6, 7)
_REPETITION, _REPEATED, _NAME, _LOGICAL = 3, 2, 4, 10
_PATH, _VALUES, _STATISTICS, _ORDINAL = 3, 5, 12, 7
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
        locations = [location.content for location in index[1].content]
        change(parts, chunk, locations)
        index[1].content = [Value(STRUCT, location) for location in locations]
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


def shift_middle_rows(file: Path, rows: int) -> None:
    """Have the third and the fourth page begin later, by the offset indexes: the latter has as many rows as before, but
    others."""

    def change(_parts: ParquetFile, _chunk: Chunk, locations: list[Fields]) -> None:
        for location in locations[2:4]:
            location[3].content += rows

    edit_offset_indexes(file, change)


def join_and_split_pages(file: Path) -> None:
    """Make one page of two and two of a later one, by the offset indexes: pages between them are one further."""

    def change(_parts: ParquetFile, _chunk: Chunk, locations: list[Fields]) -> None:
        if len(locations) < 5:
            return
        offsets, sizes = ([location[field].content for location in locations] for field in (1, 2))
        half = sizes[4] // 2
        places = [
            (offsets[1], sizes[1] + sizes[2]),
            (offsets[3], sizes[3]),
            (offsets[4], half),
            (offsets[4] + half, sizes[4] - half),
        ]
        for location, (offset, size) in zip(locations[1:5], places, strict=True):
            location[1].content, location[2].content = offset, size

    edit_offset_indexes(file, change)


def leave_out_a_page(file: Path) -> None:
    """Have no third page, by the offset indexes: those after it are taken for the page before them."""

    def change(_parts: ParquetFile, _chunk: Chunk, locations: list[Fields]) -> None:
        if len(locations) < 4:
            return
        for location, following in itertools.pairwise(locations[2:]):
            location[1].content, location[2].content = following[1].content, following[2].content
        locations.pop()

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


def set_writer(file: Path, name: bytes) -> None:
    """Say which program wrote a file."""
    edit_footer(file, lambda footer: footer.update({_WRITER: Value(BINARY, name)}))


def annotate_interval(file: Path, name: str) -> None:
    """Say of a column of 12 bytes, at any depth, that it is an INTERVAL."""

    def change(footer: Fields) -> None:
        (element,) = _elements(footer, name)
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

    edit_chunks(file, declare_encrypted, column)


def declare_encrypted(chunk: Fields) -> None:
    """Say of a column chunk that it is encrypted, with the key of the footer: an empty struct in a union."""
    chunk[_CRYPTO] = Value(STRUCT, {1: Value(STRUCT, {})})


def rebuild(file: Path, change: Callable[[ParquetFile, Chunk], bytes]) -> None:
    """Write other pages into every column chunk, the first of which stays; page indexes are left out."""
    parts = ParquetFile(file)
    footer = read_struct(parts.data, parts.footer.start).content
    data = bytearray(b"PAR1")
    for fields, chunk in zip(chunks_in(footer), parts.chunks, strict=True):
        about, pages = fields[_META_DATA].content, change(parts, chunk)
        for offset in (_DATA_PAGE, _DICTIONARY_PAGE):
            if offset in about:
                about[offset].content += len(data) - chunk.pages.start
        for size in (_TOTAL_COMPRESSED, _TOTAL_UNCOMPRESSED):
            about[size].content += len(pages) - len(chunk.pages)
        for index in _INDEXES:
            fields.pop(index, None)
        data += pages
    written = write_struct(footer)
    file.write_bytes(bytes(data) + written + len(written).to_bytes(4, "little") + b"PAR1")


def add_stray_pages(file: Path, kind: int) -> None:
    """Put a page that holds no values after each data page: an index page (1), or one of an unknown kind."""
    body = b"no values"
    header = {1: Value(I32, kind), 2: Value(I32, len(body)), 3: Value(I32, len(body))}
    if kind == 1:
        header[6] = Value(STRUCT, {})
    stray = write_struct(header) + body

    def change(parts: ParquetFile, chunk: Chunk) -> bytes:
        return b"".join(
            parts.data[page.header.start : page.body.stop] + (b"" if "dictionary" in page.kind else stray)
            for page in parts.pages(chunk)
        )

    rebuild(file, change)


def without_width_of_no_indices(file: Path) -> None:
    """Write nothing after the levels of a page of nulls: with a dictionary, the width of its indices comes there."""

    def change(parts: ParquetFile, chunk: Chunk) -> bytes:
        pages = b""
        for page in parts.pages(chunk):
            header = read_struct(parts.data, page.header.start).content
            body = parts.data[page.body.start : page.body.stop]
            if _is_width_alone(header, body):
                body = body[:-1]
                header[2].content, header[3].content = len(body), len(body)
            pages += write_struct(header) + body
        return pages

    rebuild(file, change)


def _is_width_alone(header: Fields, body: bytes) -> bool:
    """Whether a page of a column without a codec and without lists has one byte after its levels."""
    if 8 in header:
        levels = header[8][5].content + header[8][6].content
    elif 5 in header and len(body) > 4:
        levels = 4 + int.from_bytes(body[:4], "little")
    else:
        return False
    return len(body) == levels + 1


def add_empty_row_groups(file: Path) -> None:
    """Put a row group without rows before each row group and at the end; its chunks are said to be anywhere."""

    def change(footer: Fields) -> None:
        groups = footer[_ROW_GROUPS].content
        footer[_ROW_GROUPS].content = [each for group in groups for each in (_emptied(group), group)]
        footer[_ROW_GROUPS].content.append(_emptied(groups[0]))

    edit_footer(file, change)


def _emptied(group: Value) -> Value:
    empty: Value = copy.deepcopy(group)
    empty.content.pop(_ORDINAL, None)
    empty.content[_GROUP_BYTES] = Value(I64, 0)
    empty.content[_GROUP_ROWS] = Value(I64, 0)
    for chunk in empty.content[_COLUMNS].content:
        about = chunk.content[_META_DATA].content
        for number in (_VALUES, _TOTAL_COMPRESSED, _TOTAL_UNCOMPRESSED):
            about[number] = Value(I64, 0)
        about.pop(_DICTIONARY_PAGE, None)
        about.pop(_STATISTICS, None)
        for index in _INDEXES:
            chunk.content.pop(index, None)
    return empty


def set_file_path(file: Path, path: str) -> None:
    """Say of all column chunks that their data is in the file of a path."""
    edit_chunks(file, lambda chunk: chunk.update({_FILE_PATH: Value(BINARY, path.encode())}))


def annotate_logical(file: Path, name: str, number: int) -> None:
    """Say of a column, at any depth, that its values are of a logical type, by its number in parquet.thrift."""

    def change(footer: Fields) -> None:
        (element,) = _elements(footer, name)
        element.content.pop(_CONVERTED, None)
        element.content[_LOGICAL] = Value(STRUCT, {number: Value(STRUCT, {})})

    edit_footer(file, change)


def with_two_levels(file: Path, column: str, name: str) -> None:
    """Write a list in the two levels of old files: its elements, which are not null, are what is repeated."""

    def change(elements: list[Value], at: int) -> list[str]:
        del elements[at + 1]
        elements[at + 1].content[_REPETITION].content = _REPEATED
        elements[at + 1].content[_NAME].content = name.encode()
        return [column, name]

    _edit_list(file, column, change)


def with_repeated_field(file: Path, column: str) -> None:
    """Write a list, which is not null and of which no element is, as a repeated column without a list around it."""

    def change(elements: list[Value], at: int) -> list[str]:
        del elements[at : at + 2]
        elements[at].content[_REPETITION].content = _REPEATED
        elements[at].content[_NAME].content = column.encode()
        return [column]

    _edit_list(file, column, change)


def with_middle_level(file: Path, column: str, name: str) -> None:
    """Give another name to the level of a list that is repeated."""

    def change(elements: list[Value], at: int) -> list[str]:
        elements[at + 1].content[_NAME].content = name.encode()
        return [column, name, elements[at + 2].content[_NAME].content.decode()]

    _edit_list(file, column, change)


def _edit_list(file: Path, column: str, change: Callable[[list[Value], int], list[str]]) -> None:
    """Change the elements of the schema that are a list at the root, and the path of its chunks; in a file without an
    embedded schema."""

    def in_footer(footer: Fields) -> None:
        elements = footer[_SCHEMA].content
        (element,) = _elements(footer, column)
        path = change(elements, next(at for at, each in enumerate(elements) if each is element))
        for chunk in chunks_in(footer):
            about = chunk[_META_DATA].content
            if about[_PATH][0].content.decode() == column:
                about[_PATH].content = [Value(BINARY, part.encode()) for part in path]

    edit_footer(file, in_footer)


def _elements(footer: Fields, name: str) -> list[Value]:
    return [element for element in footer[_SCHEMA].content if element[_NAME].content == name.encode()]


def columns_of(file: Path) -> list[pq.ColumnSchema]:
    """The Parquet columns of a file."""
    schema = pq.read_metadata(file).schema
    return [schema.column(number) for number in range(len(schema))]


def slice_of(chunk: Chunk) -> slice:
    """The bytes of the pages of a chunk."""
    return slice(chunk.pages.start, chunk.pages.stop)
