"""Parquet files that claim what is not so: footers and page headers taken apart, changed and put together again.

Thrift's compact protocol with the type of each value kept, so that what is written differs in nothing but the change.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from skymargin.catalogs.thrift import varint

TRUE, FALSE, BYTE, I16, I32, I64, DOUBLE, BINARY, LIST, SET, _MAP, STRUCT = range(1, 13)


@dataclass
class Value:
    """A value with its type; that of a list is a list of values, that of a struct a dictionary by field number."""

    kind: int
    content: Any

    def __getitem__(self, key: int) -> Value:
        found: Value = self.content[key]
        return found


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self.position = 0

    def struct(self) -> dict[int, Value]:
        fields: dict[int, Value] = {}
        number = 0
        while head := self._byte():
            number = number + (head >> 4) if head >> 4 else self._zigzag()
            kind = head & 15
            fields[number] = Value(kind, None if kind in (TRUE, FALSE) else self._content(kind))
        return fields

    def _content(self, kind: int) -> Any:
        if kind in (TRUE, FALSE, BYTE):
            return self._byte()
        if kind in (I16, I32, I64):
            return self._zigzag()
        if kind in (DOUBLE, BINARY):
            count = 8 if kind == DOUBLE else self._varint()
            self.position += count
            return self._data[self.position - count : self.position]
        if kind in (LIST, SET):
            head = self._byte()
            count = head >> 4 if head >> 4 < 15 else self._varint()
            return [Value(head & 15, self._content(head & 15)) for _ in range(count)]
        assert kind == STRUCT, f"Thrift type {kind}"
        return self.struct()

    def _byte(self) -> int:
        self.position += 1
        return self._data[self.position - 1]

    def _varint(self) -> int:
        value = shift = 0
        while True:
            byte = self._byte()
            value |= (byte & 127) << shift
            if byte < 128:
                return value
            shift += 7

    def _zigzag(self) -> int:
        value = self._varint()
        return value >> 1 ^ -(value & 1)


def encoded(fields: dict[int, Value]) -> bytes:
    """The bytes of a struct."""
    parts = []
    last = 0
    for number in sorted(fields):
        value = fields[number]
        step = number - last
        head = bytes([step << 4 | value.kind]) if 0 < step < 16 else bytes([value.kind]) + _zigzag(number)
        parts += [head, b"" if value.kind in (TRUE, FALSE) else _content(value)]
        last = number
    return b"".join(parts) + b"\0"


def _content(value: Value) -> bytes:
    kind, content = value.kind, value.content
    if kind in (TRUE, FALSE, BYTE):
        return bytes([content])
    if kind in (I16, I32, I64):
        return _zigzag(content)
    if kind == DOUBLE:
        return bytes(content)
    if kind == BINARY:
        return varint(len(content)) + content
    if kind in (LIST, SET):
        inside = content[0].kind if content else I64
        count = len(content)
        head = bytes([count << 4 | inside]) if count < 15 else bytes([0xF0 | inside]) + varint(count)
        return head + b"".join(_content(one) for one in content)
    return encoded(content)


def _zigzag(value: int) -> bytes:
    return varint((value << 1 ^ value >> 63) & (1 << 64) - 1)


def edit_footer(file: Path, change: Callable[[dict[int, Value]], object], more: bytes = b"") -> None:
    """Change the footer of a Parquet file; `more` comes between its data and the footer."""
    data = file.read_bytes()
    start = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    footer = _Reader(data[start:]).struct()
    change(footer)
    written = encoded(footer)
    file.write_bytes(data[:start] + more + written + len(written).to_bytes(4, "little") + b"PAR1")


def row_groups(footer: dict[int, Value]) -> list[Value]:
    """The row groups of a footer."""
    found: list[Value] = footer[4].content
    return found


def chunk_of(group: Value, column: str) -> dict[int, Value]:
    """What a row group says of a column, itself and not its place."""
    names = {one[3][3].content[-1].content.decode(): one[3].content for one in group[1].content}
    found: dict[int, Value] = names[column]
    return found


def replace_pages(
    file: Path,
    column: str,
    pages: bytes,
    *,
    uncompressed_bytes: int,
    codec: int | None = None,
    values: int = 0,
) -> None:
    """Have the first row group find other pages for a column, put behind all others; without indexes of pages."""
    data = file.read_bytes()
    start = len(data) - 8 - int.from_bytes(data[-8:-4], "little")

    def change(footer: dict[int, Value]) -> None:
        for group in row_groups(footer)[:1]:
            chunk = chunk_of(group, column)
            for number, content in ((6, uncompressed_bytes), (7, len(pages)), (9, start)):
                chunk[number] = Value(I64, content)
            chunk.pop(11, None)
            if codec is not None:
                chunk[4] = Value(I32, codec)
            if values:
                chunk[5] = Value(I64, values)
            for one in group[1].content:
                for number in (4, 5, 6, 7):
                    one.content.pop(number, None)

    edit_footer(file, change, pages)


def encoded_run(level: int, values: int) -> bytes:
    """Levels of a data page, all the same, behind their length."""
    run = varint(values << 1) + bytes([level])
    return len(run).to_bytes(4, "little") + run


def page(body: bytes, *, uncompressed_bytes: int, compressed_bytes: int | None = None, values: int) -> bytes:
    """A data page of plain values, with a header that claims what it is told."""
    detail = {
        1: Value(I32, values),
        2: Value(I32, 0),
        3: Value(I32, 3),
        4: Value(I32, 3),
    }
    header = {
        1: Value(I32, 0),
        2: Value(I32, uncompressed_bytes),
        3: Value(I32, len(body) if compressed_bytes is None else compressed_bytes),
        5: Value(STRUCT, detail),
    }
    return encoded(header) + body
