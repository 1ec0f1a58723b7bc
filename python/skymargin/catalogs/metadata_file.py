"""Footers of Parquet files: read, and joined as bytes in a `_metadata` file that lists the row groups of many files.

pyarrow needs ten times a footer's size in the file to keep it in memory, and a catalog may have 100,000 partitions. In
a footer, which is a Thrift struct, the row groups are one list: the bytes of many such lists are joined to one.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import skymargin._core as _core
from skymargin.catalogs.layout import COMMON_METADATA, METADATA
from skymargin.catalogs.parquet_errors import reading_parquet, refuse_encrypted
from skymargin.catalogs.thrift import (
    I64,
    LIST,
    LONG_LIST,
    STOP,
    STRUCT,
    CompactReader,
    ThriftError,
    varint,
)
from skymargin.errors import CatalogError
from skymargin.formatting import readable_bytes
from skymargin.storage.paths import AnyPath, open_input
from skymargin.storage.range_reader import range_reader, read_tail

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

_MAGIC = b"PAR1"
# The length of the footer and the magic number.
_TRAILER_BYTES = 8
# A footer begins with the columns and the number of rows; the row groups follow.
_HEAD_BYTES = 64 * 1024
# The field of the footer with the number of rows, in parquet.thrift; the row groups come after it.
_ROWS = 3
# What a column chunk takes besides its name and that of its file: sizes, positions, encodings, statistics.
_CHUNK_BYTES = 75


@dataclass(frozen=True)
class MetadataLimits:
    """How large a `_metadata` may be.

    Attributes
    ----------
    warned_bytes : int
        From this size on, a warning says what it costs: pyarrow takes nine times as much memory to read it.
    most_bytes : int
        Above this size it is not written: readers have 31 bits for the size of a footer.
    """

    warned_bytes: int = 300_000_000
    most_bytes: int = (2 << 30) - 1


# The limits of every run of this process. Tests set others.
DEFAULT_METADATA_LIMITS = MetadataLimits()


def metadata_limits() -> MetadataLimits:
    """Return the limits that apply to the runs of this process."""
    return DEFAULT_METADATA_LIMITS


@dataclass(frozen=True)
class RowGroups:
    """The row groups of one footer, or of several.

    Attributes
    ----------
    before : bytes
        The footer up to the number of rows: version and schema.
    rows : int
        Number of rows in the row groups.
    count : int
        Number of row groups.
    content : bytes
        The encoded row groups.
    after : bytes
        The rest of the footer.
    """

    before: bytes
    rows: int
    count: int
    content: bytes
    after: bytes

    @classmethod
    def of_file(cls, tail: bytes, path: str) -> RowGroups:
        """The row groups of a Parquet file.

        Parameters
        ----------
        tail
            The end of the file, with its whole footer.
        path
            The path of the file from the folder of the `_metadata` file that lists it.

        Raises
        ------
        ValueError
            When the footer cannot be read.
        """
        return cls(*_core.row_groups(tail, path))

    @property
    def file(self) -> bytes:
        """A file without rows whose footer has these row groups."""
        return b"".join(metadata_file([self]))


def read_footer(file: AnyPath, size_bytes: int | None = None) -> pq.FileMetaData:
    """The footer of a Parquet file; `size_bytes` is the size of a remote one, where it is known.

    Raises
    ------
    CatalogError
        When it cannot be read.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    # The offsets of a footer count from the start of the file, but it is read from the end.
    with (
        reading_parquet(file, CatalogError),
        open_input(file)
        if isinstance(file, Path)
        else pa.BufferReader(read_tail(file, size_bytes)) as source,
    ):
        refuse_encrypted(source)
        return pq.read_metadata(source)


def read_schema(file: AnyPath, size_bytes: int | None = None) -> pa.Schema:
    """The schema of a Parquet file; `size_bytes` is the size of a remote one, where it is known.

    Raises
    ------
    CatalogError
        When it cannot be read.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    footer = read_footer(file, size_bytes)
    with reading_parquet(file, CatalogError):
        # As pyarrow reads the rows: the schema of a footer alone has no extension types of logical types.
        schema = pq.ParquetFile(pa.BufferReader(b""), metadata=footer).schema_arrow
    metadata = dict(schema.metadata or {})
    # pyarrow leaves an embedded schema that does not fit the columns among the metadata.
    if metadata.pop(b"ARROW:schema", None) is not None:
        schema = schema.with_metadata(metadata or None)
    return schema


def footer_rows(file: AnyPath, size: int) -> int:
    """The number of rows in the footer of a Parquet file of some size, read without its row groups.

    Raises
    ------
    OSError
        When it cannot be read.
    ThriftError
        When the file is not a Parquet file.
    """
    read = range_reader(file, size)
    end = size - _TRAILER_BYTES
    # A short footer is complete in it.
    tail_start = max(0, end - _HEAD_BYTES)
    tail = read(tail_start, size) if end >= 0 else b""
    trailer = tail[-_TRAILER_BYTES:]
    length = int.from_bytes(trailer[:4], "little")
    if trailer[4:] != _MAGIC or length > end:
        raise ThriftError("it does not end like a Parquet file")
    start = end - length
    head = min(length, _HEAD_BYTES)
    while True:
        is_in_tail = start >= tail_start
        reader = CompactReader(
            tail[start - tail_start : -_TRAILER_BYTES] if is_in_tail else read(start, start + head)
        )
        try:
            _skip_to_rows(reader)
            reader.byte()
            return reader.integer()
        except IndexError:
            # The columns take more bytes than were read.
            if head == length:
                raise ThriftError("its footer ends too early") from None
            head = min(length, 8 * head)


def estimate_metadata_bytes(template: bytes, row_groups: int, name_bytes: int) -> int:
    """About the size of the `_metadata` of some row groups.

    Parameters
    ----------
    template
        A Parquet file with the columns.
    row_groups
        The number of row groups.
    name_bytes
        The length of the path of a file.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pq.read_metadata(pa.BufferReader(template)).schema
    paths = (schema.column(number).path for number in range(len(schema)))
    return row_groups * sum(_CHUNK_BYTES + len(path.encode()) + name_bytes for path in paths)


def write_parquet_metadata(
    data: AnyPath, schema: pa.Schema, row_groups: list[RowGroups], *, create_metadata: bool = True
) -> None:
    """Write `_common_metadata`, and `_metadata` with the row groups of the partitions if `create_metadata`.

    A `_metadata` that would be too large for readers is left out, with a warning.
    """
    import pyarrow.parquet as pq

    data.mkdir(parents=True, exist_ok=True)
    with (data / COMMON_METADATA).open("wb") as sink:
        # Elements of lists keep the names that the schema has for them.
        pq.write_metadata(schema, sink, use_compliant_nested_type=False)
    size = sum(len(part.content) for part in row_groups)
    if create_metadata and size > metadata_limits().most_bytes:
        warn_left_out(data, size)
        return
    if create_metadata:
        with (data / METADATA).open("wb") as sink:
            if row_groups:
                sink.writelines(metadata_file(row_groups))
            else:
                pq.write_metadata(schema, sink, use_compliant_nested_type=False)


def warn_left_out(where: AnyPath, size: int) -> None:
    """Warn that there is no `_metadata`, because it would be too large."""
    warnings.warn(
        f"{where}: {METADATA} is not written: it would take {readable_bytes(size)}, and readers take at most "
        f"{readable_bytes(metadata_limits().most_bytes)}. The catalog is complete without it",
        stacklevel=3,
    )


def metadata_file(parts: Sequence[RowGroups]) -> Iterator[bytes]:
    """The pieces of a Parquet file without rows whose footer lists the row groups of at least one part.

    It reads as what pyarrow writes when it appends the row groups of the other footers to the first.

    Raises
    ------
    RuntimeError
        When the footers have different schemas.
    """
    first = parts[0]
    if any(part.before != first.before for part in parts):
        # One schema can be encoded in more than one way: pyarrow compares them.
        yield _appended(parts)
        return
    head = _head(first.before, sum(part.rows for part in parts), sum(part.count for part in parts))
    pieces = [*head, *(part.content for part in parts), first.after]
    yield _MAGIC
    yield from pieces
    yield sum(map(len, pieces)).to_bytes(4, "little")
    yield _MAGIC


def _skip_to_rows(reader: CompactReader) -> None:
    """Move to the header of the field with the number of rows, which every footer has."""
    number, start = 0, reader.at
    while True:
        number, kind = reader.field(number)
        if number == _ROWS and kind == I64:
            reader.at = start
            return
        if kind == STOP:
            raise ThriftError("its footer has no number of rows")
        reader.skip(kind)
        start = reader.at


def _appended(parts: Sequence[RowGroups]) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    merged, *others = (pq.read_metadata(pa.BufferReader(part.file)) for part in parts)
    for footer in others:
        merged.append_row_groups(footer)
    sink = pa.BufferOutputStream()
    merged.write_metadata_file(sink)
    return bytes(sink.getvalue())


def _head(before: bytes, rows: int, count: int) -> list[bytes]:
    """The footer up to the first row group."""
    # Thrift field headers: field-id delta and type.
    head = [before, bytes([1 << 4 | I64]), varint(rows << 1), bytes([1 << 4 | LIST])]
    if count < LONG_LIST:
        return [*head, bytes([count << 4 | STRUCT])]
    return [*head, bytes([LONG_LIST << 4 | STRUCT]), varint(count)]
