"""The row groups of many Parquet files, as bytes, for a `_metadata` file that lists them all.

What pyarrow keeps of a footer in memory is ten times its size in the file, and a catalog may have 100,000 partitions.
In a footer, a Thrift struct, the row groups are one list: taken out as bytes, lists of many footers make that of one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from skymargin.catalogs.thrift import I64, LIST, LONG_LIST, STRUCT, CompactReader, varint

if TYPE_CHECKING:
    import pyarrow.parquet as pq

_MAGIC = b"PAR1"
# The field of the footer with the number of rows, in parquet.thrift; the row groups come after it.
_ROWS = 3


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
        reader = CompactReader(content)
        if like is None:
            _skip_to_rows(reader)
        else:
            reader.at = len(like.before)
        before = content[: reader.at]
        reader.byte()
        rows = reader.integer()
        reader.byte()
        count = reader.list_head()[1]
        start = reader.at
        for _ in range(count if like is None else 0):
            reader.skip(STRUCT)
        stop = reader.at if like is None else len(content) - len(like.after)
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


def _skip_to_rows(reader: CompactReader) -> None:
    """Move to the head of the field with the number of rows; those before it are there in every footer."""
    number, start = 0, reader.at
    while True:
        number, kind = reader.field(number)
        if number == _ROWS:
            reader.at = start
            return
        reader.skip(kind)
        start = reader.at


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
    head = [before, bytes([1 << 4 | I64]), varint(rows << 1), bytes([1 << 4 | LIST])]
    if count < LONG_LIST:
        return [*head, bytes([count << 4 | STRUCT])]
    return [*head, bytes([LONG_LIST << 4 | STRUCT]), varint(count)]
