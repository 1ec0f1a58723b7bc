"""Partitions of frames: chosen by number of rows, or given."""

from __future__ import annotations

from collections.abc import Iterable
from operator import index
from typing import Any, TypeAlias, TypeVar

import numpy as np
import polars as pl

import skymargin._core as _core
from skymargin.catalogs.tables import is_astropy
from skymargin.geometry.adaptive import adaptive_partitions
from skymargin.geometry.column_names import in_names_of
from skymargin.geometry.limits import LARGEST_ORDER
from skymargin.polars.expressions import spatial_index
from skymargin.polars.frames import require_columns, rows_of

Partitions: TypeAlias = Any
"""A table with columns `Norder` and `Npix`, or pairs of order and pixel, or objects with `order` and `pixel`."""

FrameT = TypeVar("FrameT")


def tile(frame: FrameT, *, max_rows: int, ra_column: str = "ra", dec_column: str = "dec") -> FrameT:
    """Choose partitions for a frame as imports of HATS catalogs do: the largest pixels with at most `max_rows` rows.

    Parameters
    ----------
    frame : polars.DataFrame, polars.LazyFrame, pandas.DataFrame, astropy Table, pyarrow.Table or other Arrow table
        The rows. Only the coordinates of a LazyFrame are read, in a stream; 16 bytes per row are kept.
    max_rows : int
        Maximum number of rows of a partition.
    ra_column, dec_column : str
        The names of the coordinate columns, degrees.

    Returns
    -------
    table of the kind of `frame`
        One row per partition that has rows, in the order of the sky: `Norder` (uint8), `Npix` (uint64), `rows`
        (uint64). For a LazyFrame the result is a LazyFrame, for other Arrow tables a pyarrow table.

    Raises
    ------
    CoordinateError
        When a coordinate is null or not on the sky.
    ValueError
        When the frame lacks a coordinate column, or more than `max_rows` rows share one pixel of order 29.
    TypeError
        When `frame` is not a table.

    Examples
    --------
    >>> import polars as pl
    >>> import skymargin.polars as smp
    >>> stars = pl.DataFrame({"ra": [10.0, 11.0, 200.0], "dec": [1.0, 2.0, 3.0]})
    >>> smp.tile(stars, max_rows=2).rows()
    [(0, 4, 2), (0, 6, 1)]
    """
    if isinstance(frame, pl.LazyFrame):
        names = frame.collect_schema().names()
        require_columns(names, (ra_column, dec_column))
        column = frame.select(spatial_index(ra_column, dec_column)).collect(engine="streaming").to_series()
    else:
        rows = rows_of(frame)
        require_columns(rows.names(), (ra_column, dec_column))
        ra, dec = rows.column(ra_column), rows.column(dec_column)
        with in_names_of(ra_column, dec_column):
            column = pl.Series(_core.spatial_index(ra, dec, LARGEST_ORDER))
    if column.null_count():
        raise _core.CoordinateError(
            f"{column.null_count()} of {len(column)} rows have a null for {ra_column} or {dec_column}, "
            f"the first is row {column.is_null().arg_max()}: every row needs a position"
        )
    orders, pixels, counts = adaptive_partitions(column.sort().to_numpy(), max_rows, argument="max_rows")
    return _like(frame, {"Norder": orders, "Npix": pixels, "rows": counts})  # type: ignore[no-any-return]


def as_tiling(partitions: Partitions) -> _core.Tiling:
    """Return partitions, in any of the accepted forms, as a tiling of the sky.

    Raises
    ------
    ValueError
        When a pixel does not exist, is listed twice, or overlaps another.
    TypeError
        When they have another form.
    """
    if isinstance(partitions, pl.LazyFrame):
        partitions = partitions.collect()
    has_interface = hasattr(partitions, "__arrow_c_stream__") or hasattr(partitions, "__arrow_c_array__")
    if has_interface or is_astropy(partitions):
        rows = rows_of(partitions)
        require_columns(rows.names(), ("Norder", "Npix"), "table of partitions")
        return _core.Tiling(rows.column("Norder"), rows.column("Npix"))
    pairs = pixel_pairs(partitions, "partitions")
    return _core.Tiling(
        np.array([order for order, _ in pairs], np.int64), np.array([pixel for _, pixel in pairs], np.int64)
    )


def pixel_pairs(pixels: Iterable[Any], argument: str) -> list[tuple[int, int]]:
    """Return pixels as pairs of order and index; `TypeError` when one is not a pixel."""
    try:
        pairs = [
            (pixel.order, pixel.pixel) if hasattr(pixel, "order") else (pixel[0], pixel[1])
            for pixel in pixels
        ]
        return [(index(order), index(pixel)) for order, pixel in pairs]
    except (TypeError, IndexError) as error:
        raise TypeError(
            f"{argument} must be pairs of order and pixel, or a table of them: {error}"
        ) from error


def _like(frame: Any, columns: dict[str, np.ndarray]) -> Any:
    """Return columns as a table of the same kind as a frame."""
    if isinstance(frame, pl.LazyFrame):
        return pl.LazyFrame(columns)
    if isinstance(frame, pl.DataFrame):
        return pl.DataFrame(columns)
    if is_astropy(frame):
        return type(frame)(columns)
    if hasattr(frame, "iloc"):
        import pandas as pd

        return pd.DataFrame(columns)
    import pyarrow as pa

    return pa.table(columns)
