"""How many rows a catalog says it has, and whether its files have so many: what tells a lost file or stale metadata."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from skymargin.catalogs.catalog import StatedRows
from skymargin.catalogs.thrift import I64, STOP, CompactReader, ThriftError
from skymargin.errors import CatalogError
from skymargin.storage.paths import AnyPath
from skymargin.storage.range_reader import RangeReader

if TYPE_CHECKING:
    from skymargin.catalogs.catalog import Catalog

_METADATA = "_metadata"
_MAGIC = b"PAR1"
# The length of the footer and the magic number.
_TRAILER_BYTES = 8
# Columns and number of rows come first in a footer, what there is of each file after them.
_HEAD_BYTES = 64 * 1024
# The field of the footer with the number of rows, in parquet.thrift.
_ROWS = 3
_PARTITION_FILE = re.compile(r"Norder=\d+/.*")


def stated_rows(file: AnyPath, key: str, value: object) -> list[StatedRows]:
    """The number of rows that the properties of a catalog have, if they have one.

    Parameters
    ----------
    file
        The file of the properties.
    key, value
        The key, and what it says; None where it is not there.

    Raises
    ------
    CatalogError
        When it is no number of rows.
    """
    text = "" if value is None else str(value).strip()
    if not text:
        return []
    if not (text.isascii() and text.isdecimal()):
        raise CatalogError(f"{file} has {key}={text:.60}: allowed are whole numbers, 0 or more")
    return [StatedRows(file, int(text), key)]


def rows_in_metadata(dataset: AnyPath, sizes: Mapping[str, int] | None) -> list[StatedRows]:
    """The number of rows that `_metadata` is of, if it is there.

    It is read from the beginning of its footer; what it has of each partition, which may be a hundred megabytes, is
    not read.

    Parameters
    ----------
    dataset
        The folder that it is in.
    sizes
        Every file below that folder; None where files cannot be listed.

    Raises
    ------
    CatalogError
        When it cannot be read.
    """
    if sizes is None or _METADATA not in sizes:
        return []
    file = dataset / _METADATA
    try:
        return [StatedRows(file, _footer_rows(_range_reader(file), sizes[_METADATA]))]
    except (OSError, ThriftError) as error:
        raise CatalogError(
            f"{file} cannot be read as Parquet: {error}; write it anew, or remove it: a catalog may be without"
        ) from error


def check_stated(stated: Iterable[StatedRows]) -> None:
    """Check that what files of a catalog say of its rows is the same.

    Raises
    ------
    CatalogError
        When it is not so.
    """
    for first, other in pairwise(stated):
        if first.rows != other.rows:
            raise CatalogError(
                f"{first}, but {other}: one of them is out of date, or a file of the catalog was lost; "
                "correct the one that is wrong"
            )


def check_rows(catalog: Catalog, rows: Mapping[tuple[int, int], int]) -> None:
    """Check that the files of a catalog have the rows that it says it has.

    Parameters
    ----------
    catalog
        The catalog.
    rows
        The rows of each of its partitions, as the footers of its files have them.

    Raises
    ------
    CatalogError
        When they do not. Names the file that says so, and the first partition at fault where that is known.
    """
    found = sum(rows.values())
    for stated in catalog.stated_rows:
        if stated.rows == found:
            continue
        at_fault = "" if stated.key else _at_fault(catalog, stated.file, rows)
        remedy = f"correct {stated.key}" if stated.key else "write it anew or remove it"
        raise CatalogError(
            f"{stated}, but the files of its {len(rows)} partitions, listed in {catalog.listed_in}, hold "
            f"{found}{at_fault}: a file was lost or replaced, or {stated.file.name} is out of date; "
            f"if the files are right, {remedy}"
        )


def _at_fault(catalog: Catalog, metadata: AnyPath, rows: Mapping[tuple[int, int], int]) -> str:
    """The first partition whose files have other rows than `_metadata` says, in words."""
    from skymargin.catalogs.partition_list import read_footer

    footer = read_footer(metadata)
    said: dict[str, int] = {}
    for number in range(footer.num_row_groups):
        group = footer.row_group(number)
        match = _PARTITION_FILE.search(group.column(0).file_path)
        name = match[0] if match else group.column(0).file_path
        said[name] = said.get(name, 0) + group.num_rows
    of_partition = zip(catalog.orders.tolist(), catalog.pixels.tolist(), catalog.files, strict=True)
    for order, pixel, files in of_partition:
        names = [name.removeprefix("dataset/") for name in files]
        stated = sum(said.pop(name, 0) for name in names)
        if stated != rows.get((order, pixel), 0):
            return f" ({catalog.path / files[0]}: {rows.get((order, pixel), 0)}, not {stated})"
    lost = next(iter(said), None)
    return f" ({lost} is not among them)" if lost else ""


def _range_reader(file: AnyPath) -> Callable[[int, int], bytes]:
    if not isinstance(file, Path):
        reader = RangeReader(file)
        return lambda start, stop: reader.read_ranges([start], [stop])[0]

    def read(start: int, stop: int) -> bytes:
        with file.open("rb") as source:
            source.seek(start)
            return source.read(stop - start)

    return read


def _footer_rows(read: Callable[[int, int], bytes], size: int) -> int:
    """The number of rows that a Parquet file has by its footer."""
    end = size - _TRAILER_BYTES
    trailer = read(end, size) if end >= 0 else b""
    length = int.from_bytes(trailer[:4], "little")
    if trailer[4:] != _MAGIC or length > end:
        raise ThriftError("it does not end as a Parquet file does")
    head = min(length, _HEAD_BYTES)
    while True:
        try:
            return _rows(CompactReader(read(end - length, end - length + head)))
        except IndexError:
            # There are more columns than fit what was read.
            if head == length:
                raise ThriftError("its footer ends too early") from None
            head = min(length, 8 * head)


def _rows(footer: CompactReader) -> int:
    number, kind = footer.field(0)
    while kind != STOP:
        if number == _ROWS and kind == I64:
            return footer.integer()
        footer.skip(kind)
        number, kind = footer.field(number)
    raise ThriftError("its footer has no number of rows")
