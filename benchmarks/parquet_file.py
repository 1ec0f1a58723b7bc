"""Where the parts of a Parquet file are: its footer, the column chunks, their pages and page indexes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from benchmarks.thrift import Value, read_struct

TRAILER_BYTES = 8
PAGE_KINDS = {0: "data page v1", 2: "dictionary page", 3: "data page v2"}


@dataclass(frozen=True)
class Page:
    """A page of a column chunk: its kind, its header and its body, its values, its size when decompressed."""

    kind: str
    column: str
    header: range
    body: range
    values: int
    decompressed_bytes: int
    has_checksum: bool


@dataclass(frozen=True)
class Chunk:
    """A column of a row group: its row group, its root column, and where its parts are."""

    group: int
    column: str
    pages: range
    statistics: range
    column_index: range
    offset_index: range


class ParquetFile:
    """The parts of a complete Parquet file."""

    def __init__(self, file: Path) -> None:
        self.data = file.read_bytes()
        size = len(self.data)
        length = int.from_bytes(self.data[-TRAILER_BYTES:-4], "little")
        self.footer = range(size - TRAILER_BYTES - length, size)

    @cached_property
    def chunks(self) -> list[Chunk]:
        """All columns of all row groups."""
        footer = read_struct(self.data, self.footer.start)
        return [
            _chunk(number, column)
            for number, group in enumerate(footer[4].content)
            for column in group[1].content
        ]

    def pages(self, chunk: Chunk) -> Iterator[Page]:
        """Yield the pages of a column chunk, by their headers."""
        position = chunk.pages.start
        while position < chunk.pages.stop:
            header = read_struct(self.data, position)
            body = range(header.span.stop, header.span.stop + header[3].content)
            detail = next((header[number] for number in (5, 8) if number in header), None)
            yield Page(
                kind=PAGE_KINDS[header[1].content],
                column=chunk.column,
                header=header.span,
                body=body,
                values=detail[1].content if detail else 0,
                decompressed_bytes=header[2].content,
                has_checksum=4 in header,
            )
            position = body.stop

    def first_rows(self, chunk: Chunk) -> list[int] | None:
        """Return the first row of each data page by the offset index; None for a chunk without one."""
        if not chunk.offset_index:
            return None
        index = read_struct(self.data, chunk.offset_index.start)
        return [location[3].content for location in index[1].content]


def _chunk(group: int, column: Value) -> Chunk:
    about = column[3]
    starts = [about[number].content for number in (9, 11) if number in about and about[number].content > 0]
    return Chunk(
        group=group,
        column=about[3][0].content.decode(),
        pages=range(min(starts), min(starts) + about[7].content),
        statistics=about[12].span if 12 in about else range(0),
        column_index=_place(column, 6, 7),
        offset_index=_place(column, 4, 5),
    )


def _place(column: Value, offset: int, length: int) -> range:
    if offset not in column:
        return range(0)
    start = column[offset].content
    return range(start, start + column[length].content)
