"""A reader of Thrift's compact protocol, the encoding of Parquet footers, that can skip values."""

from __future__ import annotations

# Types of values; a boolean is encoded by its type alone.
STOP, TRUE, FALSE, BYTE, I16, I32, I64, DOUBLE, BINARY, LIST, SET, MAP, STRUCT = range(13)
# A list of this many elements or more has their number after its header.
LONG_LIST = 15
_DEEPEST = 32
_MOST_BITS = 64


class ThriftError(ValueError):
    """Bytes that are not in the compact protocol, or not a footer."""


class CompactReader:
    """Steps through encoded values; raises IndexError where they continue beyond the bytes.

    Parameters
    ----------
    encoded
        The bytes.
    at
        Where to start.

    Attributes
    ----------
    at : int
        Position of the next byte.
    """

    def __init__(self, encoded: bytes, at: int = 0) -> None:
        self._encoded = encoded
        self.at = at

    def byte(self) -> int:
        """The next byte."""
        self.at += 1
        return self._encoded[self.at - 1]

    def unsigned(self) -> int:
        """The next unsigned number, such as a length."""
        value = shift = 0
        while True:
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value
            if shift >= _MOST_BITS:
                raise ThriftError("a number is too long")

    def integer(self) -> int:
        """The next signed number."""
        value = self.unsigned()
        return (value >> 1) ^ -(value & 1)

    def field(self, before: int) -> tuple[int, int]:
        """Id and type of the next field of a struct, given the id of the field before; type `STOP` at its end."""
        head = self.byte()
        kind = head & 0x0F
        if kind == STOP:
            return before, STOP
        return (before + (head >> 4) if head >> 4 else self.integer()), kind

    def list_head(self) -> tuple[int, int]:
        """Type and number of the elements of a list."""
        head = self.byte()
        count = head >> 4
        return head & 0x0F, self.unsigned() if count == LONG_LIST else count

    def skip(self, kind: int, depth: int = 0) -> None:
        """Skip a value."""
        if depth > _DEEPEST:
            raise ThriftError("structs are nested too deeply")
        if kind in (I16, I32, I64):
            self.unsigned()
        elif kind == BINARY:
            self._forward(self.unsigned())
        elif kind == STRUCT:
            while (inside := self.field(0)[1]) != STOP:
                self.skip(inside, depth + 1)
        elif kind in (LIST, SET):
            inside, count = self.list_head()
            # In a list, a boolean takes a byte.
            inside = BYTE if inside in (TRUE, FALSE) else inside
            for _ in range(count):
                self.skip(inside, depth + 1)
        elif kind in (BYTE, DOUBLE):
            self._forward(1 if kind == BYTE else 8)
        elif kind not in (TRUE, FALSE):
            raise ThriftError(f"a value of kind {kind}")

    def _forward(self, count: int) -> None:
        self.at += count
        if self.at > len(self._encoded):
            raise IndexError


def varint(value: int) -> bytes:
    """The encoding of an unsigned number."""
    parts = bytearray()
    while value >= 0x80:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    parts.append(value)
    return bytes(parts)
