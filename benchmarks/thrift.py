"""Thrift's compact protocol, read and written: footers, page headers and page indexes of Parquet files.

Each value keeps its type and its place, so that what is written again differs in nothing but an intended change, and
so that a part of a file can be found. Independent of the package under test.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

TRUE, FALSE, BYTE, I16, I32, I64, DOUBLE, BINARY, LIST, SET, _MAP, STRUCT = range(1, 13)


@dataclass
class Value:
    """A value: its type, its content, and the bytes it was read from.

    The content of a list is a list of values, that of a struct a dictionary by field number.
    """

    kind: int
    content: Any
    span: range = range(0)

    def __getitem__(self, key: int) -> Value:
        item: Value = self.content[key]
        return item

    def __contains__(self, key: int) -> bool:
        return key in self.content


def read_struct(data: bytes, position: int = 0) -> Value:
    """Read the struct that begins at a position."""
    return _Reader(data, position).value(STRUCT)


def write_struct(fields: Mapping[int, Value]) -> bytes:
    """Return the bytes of a struct."""
    parts = []
    last = 0
    for number in sorted(fields):
        value, step = fields[number], number - last
        head = bytes([step << 4 | value.kind]) if 0 < step < 16 else bytes([value.kind]) + _zigzag(number)
        parts += [head, b"" if value.kind in (TRUE, FALSE) else _content(value)]
        last = number
    return b"".join(parts) + b"\0"


def varint(value: int) -> bytes:
    """Return an unsigned integer of any length, seven bits to a byte, the lowest first."""
    parts = []
    while value > 127:
        parts.append(value & 127 | 128)
        value >>= 7
    return bytes([*parts, value])


class _Reader:
    def __init__(self, data: bytes, position: int) -> None:
        self._data = data
        self._position = position

    def value(self, kind: int) -> Value:
        start = self._position
        content = self._content(kind)
        return Value(kind, content, range(start, self._position))

    def _content(self, kind: int) -> Any:
        if kind in (TRUE, FALSE, BYTE):
            return self._bytes(1)[0]
        if kind in (I16, I32, I64):
            return self._integer()
        if kind == DOUBLE:
            return self._bytes(8)
        if kind == BINARY:
            return self._bytes(self._varint())
        if kind in (LIST, SET):
            head = self._bytes(1)[0]
            count = head >> 4 if head >> 4 < 15 else self._varint()
            return [self.value(head & 15) for _ in range(count)]
        if kind == STRUCT:
            return self._fields()
        raise ValueError(f"Thrift type {kind} at byte {self._position} is not one that Parquet uses")

    def _fields(self) -> dict[int, Value]:
        fields: dict[int, Value] = {}
        number = 0
        while head := self._bytes(1)[0]:
            number = number + (head >> 4) if head >> 4 else self._integer()
            kind = head & 15
            # The type of a field says whether it is true; no byte follows.
            fields[number] = Value(kind, kind == TRUE) if kind in (TRUE, FALSE) else self.value(kind)
        return fields

    def _bytes(self, count: int) -> bytes:
        self._position += count
        return self._data[self._position - count : self._position]

    def _varint(self) -> int:
        value = shift = 0
        while True:
            byte = self._bytes(1)[0]
            value |= (byte & 127) << shift
            if byte < 128:
                return value
            shift += 7

    def _integer(self) -> int:
        value = self._varint()
        return value >> 1 ^ -(value & 1)


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
        return head + b"".join(map(_content, content))
    return write_struct(content)


def _zigzag(value: int) -> bytes:
    return varint((value << 1 ^ value >> 63) & (1 << 64) - 1)
