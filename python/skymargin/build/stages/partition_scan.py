"""Scanning a partition: read the rows that belong to margins, and little else of its files.

The index column gives the candidates, the coordinates of the candidates decide their margins, and the other columns are
read only where a row was selected. The core does that for one file; this module goes through the files of a partition
and translates errors.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import skymargin._core as _core
from skymargin.arrow.columns import to_arrow, to_numpy
from skymargin.errors import PositionError
from skymargin.geometry.pixels import pixels_of
from skymargin.storage.paths import AnyPath
from skymargin.storage.scan_file import open_scan_file, scan_errors

if TYPE_CHECKING:
    import pyarrow as pa

    from skymargin._core import Cover
    from skymargin.catalogs.catalog import SpatialColumns
    from skymargin.catalogs.layout import Pixel


@dataclass(frozen=True)
class Selection:
    """Rows that belong to margins, and which margins each belongs to.

    Attributes
    ----------
    rows : pyarrow.RecordBatch
        The selected rows, each once, in the catalog's schema.
    memberships : pyarrow.RecordBatch
        One row per selected row and margin, by row, then margin: `position` in `rows` (int64), `row` in the partition
        (uint64), its `index` (uint64), `margin_order` (uint8), `margin_pixel` (uint64), `separation_arcsec` (float64,
        null if not measured).
    """

    rows: pa.RecordBatch
    memberships: pa.RecordBatch


def make_scanner(
    schema: pa.Schema, columns: SpatialColumns, memory_bytes: int, check_index: bool = False
) -> _core.Scanner:
    """The reader of a catalog's partitions; threads share it.

    Parameters
    ----------
    schema
        Schema of the catalog, in which rows are returned.
    columns
        The columns that say where a row is.
    memory_bytes
        What reading one partition may hold, besides one page of each column.
    check_index
        Whether to check every row's coordinates against its index value, instead of trusting the index.
    """
    return _core.Scanner(
        schema,
        ra_column=columns.ra,
        dec_column=columns.dec,
        index_column=columns.index,
        index_order=columns.index_order,
        index_shift=columns.index_shift,
        memory_bytes=memory_bytes,
        check_index=check_index,
    )


class PartitionScan:
    """Reads one partition.

    Parameters
    ----------
    scanner
        As `make_scanner` makes it for the catalog.
    files
        The partition's files, in the order in which their rows are numbered.
    sizes
        The size of each remote file as it was listed, None for others; default: servers are asked.

    Attributes
    ----------
    rows : int
        Rows of the partition.
    memory_bytes : int
        Size of the partition's columns before compression, as its footers state it.
    bytes_read : int
        Bytes fetched from the files; complete when all selections were taken.
    pages_decoded : int
        Pages of the files that were decompressed, likewise.

    Raises
    ------
    PartitionReadError
        When a file cannot be read or has other columns than the catalog. Names the file.
    """

    def __init__(
        self, scanner: _core.Scanner, files: Sequence[AnyPath], sizes: Sequence[int | None] = ()
    ) -> None:
        with _translate_errors():
            self._files = [
                open_scan_file(scanner, path, size_bytes)
                for path, size_bytes in zip(files, sizes or (None,) * len(files), strict=True)
            ]
        self.rows = sum(file.rows for file in self._files)
        self.memory_bytes = sum(file.uncompressed_bytes for file in self._files)
        self.bytes_read = 0
        self.pages_decoded = 0

    def select(self, cover: _core.Cover) -> Iterator[Selection]:
        """Read the partition and yield the rows that belong to margins.

        Parameters
        ----------
        cover
            Where in this partition rows of margins can lie.

        Yields
        ------
        Selection
            In the order of the partition's rows.

        Raises
        ------
        PositionError
            When the coordinates of a candidate are NaN, null or out of range, or contradict its index or partition.
        PartitionReadError
            When a file cannot be read, or a column cannot be converted to the catalog's type without loss.
        """
        first_row = 0
        for file in self._files:
            with _translate_errors():
                scan = file.scan(cover, first_row)
                for rows, memberships in scan:
                    yield Selection(rows, memberships)
            first_row += file.rows
            self.bytes_read += scan.bytes_fetched
            self.pages_decoded += scan.pages_decoded


def feeds(cover: Cover, margins: frozenset[Pixel]) -> bool:
    """Whether rows of the partition of a cover may belong to one of the margins."""
    return not margins.isdisjoint(pixels_of(cover.destinations()))


def only_of(selection: Selection, margins: frozenset[Pixel]) -> Selection:
    """The selection without its memberships in other margins; all its rows stay."""
    import numpy as np

    members = selection.memberships
    orders, pixels = (to_numpy(members.column(f"margin_{name}")) for name in ("order", "pixel"))
    chosen = [pair in margins for pair in zip(orders.tolist(), pixels.tolist(), strict=True)]
    return Selection(selection.rows, members.take(to_arrow(np.flatnonzero(chosen))))


@contextmanager
def _translate_errors() -> Iterator[None]:
    """Translate the core's errors, which name the file, into those of the package."""
    try:
        with scan_errors():
            yield
    except _core.CoordinateError as error:
        raise PositionError(str(error)) from error
