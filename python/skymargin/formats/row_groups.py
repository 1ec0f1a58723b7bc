"""The row groups of many Parquet files, as bytes, for a `_metadata` file that lists them all.

What pyarrow keeps of a footer in memory is ten times its size in the file, and a catalog may have 100,000 partitions.
In a footer, a Thrift struct, the row groups are one list: taken out as bytes, lists of many footers make that of one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow.parquet as pq

_MAGIC = b"PAR1"
# Fields of the footer, by their numbers in parquet.thrift; after the row groups come key-value metadata and more.
_ROWS, _ROW_GROUPS = 3, 4
# Types of Thrift's compact protocol.
_TRUE, _FALSE, _BYTE, _I16, _I32, _I64, _DOUBLE, _BINARY, _LIST, _SET, _MAP, _STRUCT = range(1, 13)
_LONG_LIST = 15


@dataclass(frozen=True)
class RowGroups:
    """The row groups of one footer or of several together.

    Attributes
    ----------
    before : bytes
        The footer up to the number of rows: version and schema.
    rows : int
        Rows in them.
    count : int
        How many they are.
    content : bytes
        The row groups.
    after : bytes
        The rest of the footer.
    """

    before: bytes
    rows: int
    count: int
    content: bytes
    after: bytes

    @classmethod
    def of(cls, footer: pq.FileMetaData, like: RowGroups | None = None) -> RowGroups:
        """The row groups of a footer.

        Parameters
        ----------
        footer
            A footer as pyarrow writes it.
        like
            Those of a footer that begins and ends in the same way, if there is one: then that is not looked for.
        """
        import pyarrow as pa

        sink = pa.BufferOutputStream()
        footer.write_metadata_file(sink)
        file = sink.getvalue().to_pybytes()
        content = file[len(_MAGIC) : -len(_MAGIC) - 4]
        if like is not None and not (content.startswith(like.before) and content.endswith(like.after)):
            like = None
        at = _Position(content)
        if like is None:
            at.skip_fields(before=_ROWS)
        else:
            at.place = len(like.before)
        before = content[: at.place]
        at.place += 1
        rows = at.zigzag()
        at.place += 1
        count = at.list_head()[1]
        start = at.place
        for _ in range(count if like is None else 0):
            at.skip_struct()
        stop = at.place if like is None else len(content) - len(like.after)
        return cls(before, rows, count, content[start:stop], content[stop:])

    @property
    def footer(self) -> bytes:
        """A footer that has these row groups."""
        return b"".join([*_head(self.before, self.rows, self.count), self.content, self.after])


def metadata_file(parts: Sequence[RowGroups]) -> Iterator[bytes]:
    """A Parquet file without rows whose footer lists all row groups, piece by piece; there must be some.

    It is byte for byte what pyarrow writes for the first footer when the row groups of the others are appended to it.

    Raises
    ------
    RuntimeError
        When the footers have different schemas.
    """
    first = parts[0]
    if any(part.before != first.before for part in parts):
        # The same schema may be told in more than one way; pyarrow knows.
        parts = [_appended(parts)]
        first = parts[0]
    head = _head(first.before, sum(part.rows for part in parts), sum(part.count for part in parts))
    pieces = [*head, *(part.content for part in parts), first.after]
    yield _MAGIC
    yield from pieces
    yield sum(map(len, pieces)).to_bytes(4, "little")
    yield _MAGIC


def _appended(parts: Sequence[RowGroups]) -> RowGroups:
    import pyarrow as pa
    import pyarrow.parquet as pq

    def footer(part: RowGroups) -> pq.FileMetaData:
        content = part.footer
        file = b"".join([_MAGIC, content, len(content).to_bytes(4, "little"), _MAGIC])
        return pq.read_metadata(pa.BufferReader(file))

    merged = footer(parts[0])
    for part in parts[1:]:
        merged.append_row_groups(footer(part))
    return RowGroups.of(merged)


def _head(before: bytes, rows: int, count: int) -> list[bytes]:
    """The footer up to the first row group."""
    # Heads of fields: how far the number is from that of the field before, and the type.
    head = [before, bytes([1 << 4 | _I64]), _varint(rows << 1), bytes([1 << 4 | _LIST])]
    if count < _LONG_LIST:
        return [*head, bytes([count << 4 | _STRUCT])]
    return [*head, bytes([_LONG_LIST << 4 | _STRUCT]), _varint(count)]


def _varint(value: int) -> bytes:
    parts = bytearray()
    while value >= 0x80:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    parts.append(value)
    return bytes(parts)


class _Position:
    """A place in a footer that moves on over what is of no interest."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self.place = 0

    def varint(self) -> int:
        value = shift = 0
        while True:
            byte = self._content[self.place]
            self.place += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7

    def zigzag(self) -> int:
        value = self.varint()
        return value >> 1 ^ -(value & 1)

    def list_head(self) -> tuple[int, int]:
        """Type and number of the elements of a list."""
        head = self._content[self.place]
        self.place += 1
        count = head >> 4
        return head & 0x0F, self.varint() if count == _LONG_LIST else count

    def skip_fields(self, before: int) -> None:
        """Move to the field of a number, over those before it."""
        number = 0
        while (number := number + (self._content[self.place] >> 4)) < before:
            kind = self._content[self.place] & 0x0F
            self.place += 1
            self._skip(kind)

    def skip_struct(self) -> None:
        while head := self._content[self.place]:
            self.place += 1
            if not head >> 4:
                self.varint()
            self._skip(head & 0x0F)
        self.place += 1

    def _skip(self, kind: int) -> None:
        if kind in (_I16, _I32, _I64):
            self.varint()
        elif kind == _BINARY:
            length = self.varint()
            self.place += length
        elif kind == _STRUCT:
            self.skip_struct()
        elif kind in (_LIST, _SET):
            inside, count = self.list_head()
            for _ in range(count):
                if inside in (_TRUE, _FALSE):
                    self.place += 1
                else:
                    self._skip(inside)
        elif kind == _DOUBLE:
            self.place += 8
        elif kind == _BYTE:
            self.place += 1
        elif kind not in (_TRUE, _FALSE):
            raise ValueError(f"Thrift type {kind} is not one that footers of Parquet have")
