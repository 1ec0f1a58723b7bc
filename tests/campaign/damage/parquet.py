"""Where in a Parquet file its parts are, so that each of them can be damaged: a reader of Thrift's compact protocol."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_TRAILER_BYTES = 8
_PAGES = {0: "data page v1", 2: "dictionary page", 3: "data page v2"}


@dataclass(frozen=True)
class Value:
    """A value of a struct, and the bytes it takes; that of a struct is a dict by the numbers of its fields."""

    start: int
    stop: int
    value: Any


@dataclass(frozen=True)
class Page:
    """A page of a column: its kind, and where its header and its body are."""

    kind: str
    column: str
    header: range
    body: range
    has_checksum: bool


@dataclass(frozen=True)
class Chunk:
    """A column of a row group: where its statistics in the footer and its page index are, if it has them."""

    column: str
    statistics: range
    column_index: range
    offset_index: range


class ParquetPlaces:
    """The parts of a whole Parquet file."""

    def __init__(self, file: Path) -> None:
        self.encoded = file.read_bytes()
        size = len(self.encoded)
        length = int.from_bytes(self.encoded[-_TRAILER_BYTES:-4], "little")
        self.footer = range(size - _TRAILER_BYTES - length, size)
        fields, stop = _struct(self.encoded, self.footer.start)
        assert stop == size - _TRAILER_BYTES
        self._groups = [group.value for group in fields[4].value]

    def chunks(self) -> Iterator[Chunk]:
        """All columns of all row groups."""
        for one in self._columns():
            about = one[3].value
            statistics = about.get(12)
            yield Chunk(
                column=_name(about),
                statistics=range(statistics.start, statistics.stop) if statistics else range(0),
                column_index=_place(one, 6, 7),
                offset_index=_place(one, 4, 5),
            )

    def pages(self) -> Iterator[Page]:
        """All pages of all columns."""
        for one in self._columns():
            about = one[3].value
            at = about[9].value
            if 11 in about and 0 < about[11].value < at:
                at = about[11].value
            stop = at + about[7].value
            while at < stop:
                header, body = _struct(self.encoded, at)
                end = body + header[3].value
                kind = _PAGES[header[1].value]
                yield Page(kind, _name(about), range(at, body), range(body, end), 4 in header)
                at = end

    def _columns(self) -> Iterator[dict[int, Value]]:
        for group in self._groups:
            for column in group[1].value:
                yield column.value


def _place(chunk: dict[int, Value], offset: int, length: int) -> range:
    if offset not in chunk:
        return range(0)
    return range(chunk[offset].value, chunk[offset].value + chunk[length].value)


def _name(about: dict[int, Value]) -> str:
    """The root column that a leaf belongs to."""
    return str(about[3].value[0].value.decode())


def _unsigned(encoded: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = encoded[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


def _integer(encoded: bytes, at: int) -> tuple[int, int]:
    value, at = _unsigned(encoded, at)
    return (value >> 1) ^ -(value & 1), at


def _struct(encoded: bytes, at: int) -> tuple[dict[int, Value], int]:
    fields: dict[int, Value] = {}
    number = 0
    while head := encoded[at]:
        at += 1
        if head >> 4:
            number += head >> 4
        else:
            number, at = _integer(encoded, at)
        start = at
        value, at = _value(encoded, at, head & 15)
        fields[number] = Value(start, at, value)
    return fields, at + 1


def _value(encoded: bytes, at: int, kind: int) -> tuple[Any, int]:
    if kind in (1, 2):
        return kind == 1, at
    if kind == 3:
        return encoded[at], at + 1
    if kind in (4, 5, 6):
        return _integer(encoded, at)
    if kind == 7:
        return encoded[at : at + 8], at + 8
    if kind == 8:
        length, at = _unsigned(encoded, at)
        return encoded[at : at + length], at + length
    if kind == 12:
        return _struct(encoded, at)
    assert kind == 9, f"a value of kind {kind}"
    head = encoded[at]
    count, at = (head >> 4, at + 1) if head >> 4 < 15 else _unsigned(encoded, at + 1)
    values = []
    for _ in range(count):
        start = at
        # Alone in a list, a truth value takes a byte.
        value, at = _value(encoded, at, 3 if head & 15 in (1, 2) else head & 15)
        values.append(Value(start, at, value))
    return values, at
