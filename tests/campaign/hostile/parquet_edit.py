"""Parquet files that claim what is not so: footers and page headers are read, changed and written again."""

from __future__ import annotations

from pathlib import Path

from benchmarks.parquet_file import ParquetFile
from benchmarks.thrift import I32, I64, STRUCT, Value, varint, write_struct
from tests.support.handmade_parquet import edit_footer

Fields = dict[int, Value]


def row_groups(footer: Fields) -> list[Value]:
    """The row groups of a footer."""
    groups: list[Value] = footer[4].content
    return groups


def chunk_of(group: Value, column: str) -> Fields:
    """What a row group says of a column, itself and not its place."""
    chunks = {chunk[3][3].content[-1].content.decode(): chunk[3].content for chunk in group[1].content}
    fields: Fields = chunks[column]
    return fields


def replace_pages(
    file: Path, column: str, pages: bytes, *, uncompressed_bytes: int, codec: int | None = None
) -> None:
    """Have the first row group find other pages for a column, put behind all others; without indexes of pages."""
    start = ParquetFile(file).footer.start

    def change(footer: Fields) -> None:
        for group in row_groups(footer)[:1]:
            chunk = chunk_of(group, column)
            for number, content in ((6, uncompressed_bytes), (7, len(pages)), (9, start)):
                chunk[number] = Value(I64, content)
            chunk.pop(11, None)
            if codec is not None:
                chunk[4] = Value(I32, codec)
            for other in group[1].content:
                for number in (4, 5, 6, 7):
                    other.content.pop(number, None)

    edit_footer(file, change, pages)


def repeated_levels(level: int, values: int) -> bytes:
    """Levels of a data page, all the same, behind their length."""
    run = varint(values << 1) + bytes([level])
    return len(run).to_bytes(4, "little") + run


def page(body: bytes, *, uncompressed_bytes: int, compressed_bytes: int | None = None, values: int) -> bytes:
    """A data page of plain values, with a header that claims what it is told."""
    detail = {number: Value(I32, content) for number, content in ((1, values), (2, 0), (3, 3), (4, 3))}
    header = {
        1: Value(I32, 0),
        2: Value(I32, uncompressed_bytes),
        3: Value(I32, len(body) if compressed_bytes is None else compressed_bytes),
        5: Value(STRUCT, detail),
    }
    return write_struct(header) + body
