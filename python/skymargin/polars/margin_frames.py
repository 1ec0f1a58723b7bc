"""Margins of frames: the rows that belong to them, all together or partition by partition."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np
import polars as pl

import skymargin._core as _core
from skymargin.geometry.angles import arcsec_of
from skymargin.geometry.column_names import in_names_of
from skymargin.geometry.pixels import starts_of, whole
from skymargin.polars.frames import Rows, require_columns, rows_of, rows_of_a_batch
from skymargin.polars.partitions import Partitions, as_tiling

if TYPE_CHECKING:
    import pyarrow as pa

FrameT = TypeVar("FrameT")

MARGIN_COLUMNS = {"margin_Norder": pl.UInt8, "margin_Npix": pl.UInt64, "separation_arcsec": pl.Float64}
# More than any machine has cores; the core refuses more, too.
_MOST_THREADS = 1024


class PartitionWithMargin(NamedTuple):
    """A pixel, the rows in it, and the rows of its margin.

    Attributes
    ----------
    pixel : (int, int)
        Order and nested index.
    rows : table of the kind of the frame
        The rows in the pixel, in the order of the frame; none in an empty pixel.
    margin : table of the kind of the frame
        The rows of its margin, as from `margins`.
    """

    pixel: tuple[int, int]
    rows: Any
    margin: Any


def margins(
    frame: FrameT,
    partitions: Partitions,
    margin_threshold_arcsec: float,
    *,
    ra_column: str = "ra",
    dec_column: str = "dec",
    empty_pixels: bool = True,
    threads: int = 0,
) -> FrameT:
    """Find the rows of a frame that belong to margins of its partitions.

    Parameters
    ----------
    frame : polars.DataFrame, polars.LazyFrame, pandas.DataFrame, astropy Table, pyarrow.Table or other Arrow table
        The rows. A LazyFrame stays lazy, and is processed in batches where polars streams.
    partitions : table, or iterable of pairs
        Disjoint pixels that contain every row: the result of `tile`, any table with columns `Norder` and `Npix`, pairs
        of order and pixel, or `hats` pixels.
    margin_threshold_arcsec : float
        Arcseconds, above 0 and at most 324,000 (90 degrees); may be larger than partitions.
    ra_column, dec_column : str
        The names of the coordinate columns, degrees.
    empty_pixels : bool
        Whether to include the margins of the fewest pixels that cover the sky where there is no partition, as margin
        catalogs do.
    threads : int
        Number of threads, at most 1024; 0 is one per core. The result does not depend on it. Each batch of a LazyFrame
        uses one thread, because polars itself uses several.

    Returns
    -------
    table of the kind of `frame`
        One row per row and margin it belongs to, in the order of the frame, then by order and index of the margin's
        pixel. All columns of the frame, and `margin_Norder` (uint8), `margin_Npix` (uint64) and `separation_arcsec`
        (float64). For other Arrow tables the result is a pyarrow table.

    Raises
    ------
    CoordinateError
        When a coordinate is null or not on the sky; names the first such row.
    ValueError
        When partitions overlap, a row lies in none of them, a column is missing or exists already, or an argument is
        not allowed.
    TypeError
        When `frame` is not a table, or `partitions` are not pixels.

    Notes
    -----
    A LazyFrame raises errors about its rows when it is collected, and counts rows from the start of a batch.

    Examples
    --------
    >>> import polars as pl
    >>> import skymargin.polars as smp
    >>> stars = pl.DataFrame({"id": [1, 2], "ra": [44.999, 0.0], "dec": [0.0, 0.0]})
    >>> smp.margins(stars, [(0, 4)], 60.0).select("id", "margin_Norder", "margin_Npix").rows()
    [(1, 0, 0), (1, 0, 5), (1, 0, 8)]
    """
    tiling = as_tiling(partitions)
    threshold_arcsec = arcsec_of("margin_threshold_arcsec", margin_threshold_arcsec)
    table_margins = _core.TableMargins(tiling, threshold_arcsec)
    _check_threads(threads)
    own_tiles = None if empty_pixels else _positions(tiling.partitions(), "order", "pixel")

    def margin_of(rows: Rows, threads: int, *, one_of_many: bool) -> Any:
        ra, dec = rows.column(ra_column), rows.column(dec_column)
        with in_names_of(ra_column, dec_column):
            members = table_margins.rows(ra, dec, threads=threads, one_of_many=one_of_many)
        if own_tiles is not None:
            members = members.filter(_as_mask(np.isin(_margin_positions(members), own_tiles)))
        return _take(rows, members).frame

    if isinstance(frame, pl.LazyFrame):
        schema = frame.collect_schema()
        _check_columns(schema.names(), ra_column, dec_column)

        def of_batch(batch: pl.DataFrame) -> pl.DataFrame:
            with rows_of_a_batch():
                return margin_of(rows_of(batch), 1, one_of_many=True)  # type: ignore[no-any-return]

        lazy: Any = frame.map_batches(of_batch, schema={**schema, **MARGIN_COLUMNS}, streamable=True)
        return lazy  # type: ignore[no-any-return]
    rows = rows_of(frame)
    _check_columns(rows.names(), ra_column, dec_column)
    return margin_of(rows, threads, one_of_many=False)  # type: ignore[no-any-return]


def partition_and_margin(
    frame: Any,
    partitions: Partitions,
    margin_threshold_arcsec: float,
    *,
    ra_column: str = "ra",
    dec_column: str = "dec",
    empty_pixels: bool = True,
    threads: int = 0,
) -> Iterator[PartitionWithMargin]:
    """Split a frame into its partitions, each with its margin, as a crossmatch needs them.

    The frame is sorted once; the parts are slices of it. A LazyFrame is collected, because a partition is complete only
    after the last row was read.

    Parameters
    ----------
    frame, partitions, margin_threshold_arcsec, ra_column, dec_column, threads
        As for `margins`.
    empty_pixels : bool
        Whether to include pixels without partition that have a margin: other catalogs may have rows there.

    Returns
    -------
    iterator of PartitionWithMargin
        In the order of the sky: every partition, also those without rows, and each empty pixel with a margin. For a
        LazyFrame the tables are DataFrames.

    Raises
    ------
    CoordinateError, ValueError, TypeError
        As `margins`, at once rather than when the first partition is requested.

    Examples
    --------
    >>> import polars as pl
    >>> import skymargin.polars as smp
    >>> stars = pl.DataFrame({"id": [1, 2], "ra": [44.999, 46.0], "dec": [0.0, 0.0]})
    >>> for pixel, rows, margin in smp.partition_and_margin(stars, [(0, 4), (0, 5)], 60.0, empty_pixels=False):
    ...     print(pixel, rows["id"].to_list(), margin["id"].to_list())
    (0, 4) [1] []
    (0, 5) [2] [1]
    """
    tiling = as_tiling(partitions)
    threshold_arcsec = arcsec_of("margin_threshold_arcsec", margin_threshold_arcsec)
    table_margins = _core.TableMargins(tiling, threshold_arcsec)
    _check_threads(threads)
    if isinstance(frame, pl.LazyFrame):
        frame = frame.collect(engine="streaming")
    rows = rows_of(frame)
    _check_columns(rows.names(), ra_column, dec_column)
    ra, dec = rows.column(ra_column), rows.column(dec_column)
    with in_names_of(ra_column, dec_column):
        by_partition, counts = _core.group_rows(tiling, ra, dec, threads=threads)
        members = table_margins.rows(ra, dec, threads=threads)

    positions = _margin_positions(members)
    by_margin = np.argsort(positions, kind="stable")
    members, positions = members.take(by_margin), positions[by_margin]
    tiles = [(tiling.partitions(), counts.to_numpy())]
    if empty_pixels:
        tiles.append((tiling.empty_pixels(), None))
    return _parts(rows.take(by_partition), _take(rows, members), positions, _along_sky(tiles))


class _Tile(NamedTuple):
    position: int
    order: int
    pixel: int
    # None for an empty pixel.
    rows: int | None


def _along_sky(tiles: list[tuple[pa.RecordBatch, np.ndarray | None]]) -> list[_Tile]:
    sorted_tiles = []
    for batch, counts in tiles:
        columns = (batch.column(name).to_pylist() for name in ("order", "pixel"))
        rows = [None] * len(batch) if counts is None else counts.tolist()
        starts = _positions(batch, "order", "pixel").tolist()
        sorted_tiles += [_Tile(*values) for values in zip(starts, *columns, rows, strict=True)]
    return sorted(sorted_tiles)


def _parts(
    rows: Rows, margin: Rows, margin_positions: np.ndarray, tiles: list[_Tile]
) -> Iterator[PartitionWithMargin]:
    """Yield the slices of rows and margins that belong together; both are in the order of the sky."""
    positions = np.array([tile.position for tile in tiles], np.uint64)
    starts = np.searchsorted(margin_positions, positions)
    stops = np.searchsorted(margin_positions, positions, side="right")
    done = 0
    for tile, start, stop in zip(tiles, starts.tolist(), stops.tolist(), strict=True):
        if tile.rows is None and start == stop:
            continue
        count = tile.rows or 0
        yield PartitionWithMargin(
            (tile.order, tile.pixel), rows.slice(done, count), margin.slice(start, stop - start)
        )
        done += count


def _take(rows: Rows, members: pa.RecordBatch) -> Rows:
    """Return the rows that belong to margins, with the columns of their margins."""
    added = members.select(["margin_order", "margin_pixel", "separation_arcsec"])
    return rows.take(members.column("row"), added.rename_columns(list(MARGIN_COLUMNS)))


def _margin_positions(members: pa.RecordBatch) -> np.ndarray:
    return _positions(members, "margin_order", "margin_pixel")


def _positions(batch: pa.RecordBatch, order: str, pixel: str) -> np.ndarray:
    """Return the index at which each pixel starts; distinct for the pixels of a tiling."""
    return starts_of(batch.column(order).to_numpy(), batch.column(pixel).to_numpy())


def _as_mask(mask: np.ndarray) -> pa.BooleanArray:
    import pyarrow as pa

    return pa.array(mask)


def _check_threads(threads: int) -> None:
    if not 0 <= whole("threads", threads) <= _MOST_THREADS:
        raise ValueError(f"threads {threads} is not allowed: it must be 0 (one per core) to {_MOST_THREADS}")


def _check_columns(names: list[str], ra_column: str, dec_column: str) -> None:
    require_columns(names, (ra_column, dec_column))
    for name in MARGIN_COLUMNS:
        if name in names:
            raise ValueError(
                f"the frame already has a column {name!r}, which is added here; rename or drop it"
            )
