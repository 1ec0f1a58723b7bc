"""Positions and pixels as elementwise expressions, which also run in the streaming engine.

Nulls stay nulls. An invalid position (NaN, out of range) is an error that names its value: a null in its place would
hide rows that a margin needs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import polars as pl

import skymargin._core as _core
from skymargin.catalogs.layout import INDEX_COLUMN
from skymargin.geometry.angles import arcsec_of
from skymargin.geometry.column_names import in_names_of
from skymargin.geometry.limits import LARGEST_ORDER
from skymargin.geometry.pixels import allowed_order, allowed_pixel, whole
from skymargin.polars.frames import readable, rows_of_a_batch

IntoColumn: TypeAlias = "str | pl.Expr"
"""The name of a column, or an expression."""


def spatial_index(
    ra_deg: IntoColumn = "ra", dec_deg: IntoColumn = "dec", *, order: int = LARGEST_ORDER
) -> pl.Expr:
    """The nested HEALPix index of positions.

    Parameters
    ----------
    ra_deg, dec_deg : str or polars.Expr
        Right ascension, -360 to 360 degrees, and declination, -90 to 90 degrees.
    order : int
        HEALPix order, 0 to 29.

    Returns
    -------
    polars.Expr
        Int64, named `_healpix_29` (with the order given), as HATS names it; null where a coordinate is null.

    Raises
    ------
    ValueError
        When the order is not allowed.
    CoordinateError
        When the expression is evaluated on a position that is not on the sky; names its value.

    Examples
    --------
    >>> import polars as pl
    >>> import skymargin.polars as smp
    >>> stars = pl.DataFrame({"ra": [11.25802281], "dec": [78.28414956]})
    >>> stars.select(smp.spatial_index(order=5)).to_series().to_list()
    [1001]
    """
    order = allowed_order("order", order)
    return _of_positions(
        f"_healpix_{order}", pl.Int64, ra_deg, dec_deg, lambda ra, dec: _core.spatial_index(ra, dec, order)
    )


def pixel(order: int, index: IntoColumn = INDEX_COLUMN, *, index_order: int = LARGEST_ORDER) -> pl.Expr:
    """The pixel of a coarser order that contains a spatial index.

    Parameters
    ----------
    order : int
        HEALPix order of the pixels, at most `index_order`.
    index : str or polars.Expr
        Nested indices, integers.
    index_order : int
        Their order, 0 to 29.

    Returns
    -------
    polars.Expr
        UInt64, named `Npix`; null where the index is null.

    Raises
    ------
    ValueError
        When an order is not allowed, or the expression is evaluated on a number that is not an index at `index_order`.
    TypeError
        When the column does not have an integer type.

    Examples
    --------
    >>> import polars as pl
    >>> import skymargin.polars as smp
    >>> pl.DataFrame({"_healpix_29": [281944101599211816]}).select(smp.pixel(5)).to_series().to_list()
    [1001]
    """
    order, index_order = whole("order", order), allowed_order("index_order", index_order)
    if not 0 <= order <= index_order:
        raise ValueError(
            f"order {order} is not allowed: for an index of order {index_order} it is 0 to {index_order}"
        )
    width, end = 4 ** (index_order - order), 12 * 4**index_order

    def pixel_of(indices: pl.Series) -> pl.Series:
        if not (indices.dtype.is_integer() or indices.dtype == pl.Null):
            raise TypeError(f"the spatial index must be a column of integers, not {indices.dtype}")
        for value in (indices.min(), indices.max()):
            if isinstance(value, int) and not 0 <= value < end:
                raise ValueError(
                    f"{value} is not an index at order {index_order}: allowed are 0 to {end - 1}"
                )
        pixels: pl.Series = indices.cast(pl.UInt64) // width
        return pixels

    return _column(index).map_batches(pixel_of, pl.UInt64, is_elementwise=True).alias("Npix")


def separation_arcsec(
    order: int, pixel: int, ra_deg: IntoColumn = "ra", dec_deg: IntoColumn = "dec"
) -> pl.Expr:
    """Angular separations of positions from a closed HEALPix pixel.

    Parameters
    ----------
    order, pixel : int
        The pixel's HEALPix order, 0 to 29, and nested index.
    ra_deg, dec_deg : str or polars.Expr
        Right ascension, -360 to 360 degrees, and declination, -90 to 90 degrees.

    Returns
    -------
    polars.Expr
        Float64, named `separation_arcsec`, exact to 1e-9; 0 inside; null where a coordinate is null.

    Raises
    ------
    ValueError
        When there is no such pixel.
    CoordinateError
        When the expression is evaluated on a position that is not on the sky; names its value.

    Examples
    --------
    >>> import polars as pl
    >>> import skymargin.polars as smp
    >>> stars = pl.DataFrame({"ra": [11.25802281], "dec": [78.28414956]})
    >>> stars.select(smp.separation_arcsec(5, 1000)).to_series().to_list()
    [3.479867...]
    """
    order, pixel = allowed_pixel(order, pixel)
    return _of_positions(
        "separation_arcsec",
        pl.Float64,
        ra_deg,
        dec_deg,
        lambda ra, dec: _core.separation_arcsec(ra, dec, order, pixel),
    )


def within_margin(
    order: int,
    pixel: int,
    margin_threshold_arcsec: float,
    ra_deg: IntoColumn = "ra",
    dec_deg: IntoColumn = "dec",
) -> pl.Expr:
    """Whether rows belong to the margin of a pixel: outside it, and within the threshold.

    Parameters
    ----------
    order, pixel : int
        The pixel's HEALPix order, 0 to 29, and nested index.
    margin_threshold_arcsec : float
        Arcseconds, above 0 and at most 324,000 (90 degrees); a row at the threshold belongs to the margin.
    ra_deg, dec_deg : str or polars.Expr
        Right ascension, -360 to 360 degrees, and declination, -90 to 90 degrees.

    Returns
    -------
    polars.Expr
        Boolean, named `within_margin`; null where a coordinate is null. A row on an edge is in the pixel of its spatial
        index, and in the margin of the other pixel.

    Raises
    ------
    ValueError
        When there is no such pixel, or the threshold is not allowed.
    CoordinateError
        When the expression is evaluated on a position that is not on the sky; names its value.

    Examples
    --------
    >>> import polars as pl
    >>> import skymargin.polars as smp
    >>> stars = pl.DataFrame({"ra": [11.25802281, 11.26730961], "dec": [78.28414956, 78.28523861]})
    >>> stars.filter(smp.within_margin(5, 1000, 10.0)).height
    1
    """
    threshold_arcsec = arcsec_of("margin_threshold_arcsec", margin_threshold_arcsec)
    order, pixel = allowed_pixel(order, pixel)

    def decide(ra: pl.Series, dec: pl.Series) -> pl.Series:
        within = pl.Series(_core.is_within(ra, dec, order, pixel, threshold_arcsec))
        return within & (pl.Series(_core.spatial_index(ra, dec, order)) != pixel)

    return _of_positions("within_margin", pl.Boolean, ra_deg, dec_deg, decide)


def _of_positions(
    name: str,
    kind: type[pl.DataType],
    ra_deg: IntoColumn,
    dec_deg: IntoColumn,
    function: Callable[[pl.Series, pl.Series], Any],
) -> pl.Expr:
    """Return an expression that applies a function to two columns."""
    names = [
        column if isinstance(column, str) else name
        for column, name in ((ra_deg, "ra_deg"), (dec_deg, "dec_deg"))
    ]

    def of_batch(positions: pl.Series) -> pl.Series:
        with rows_of_a_batch(), in_names_of(*names):
            ra, dec = (readable(positions.struct.field(column)) for column in ("ra_deg", "dec_deg"))
            return pl.Series(name, function(ra, dec))

    positions = pl.struct(_column(ra_deg).alias("ra_deg"), _column(dec_deg).alias("dec_deg"))
    return positions.map_batches(of_batch, kind, is_elementwise=True).alias(name)


def _column(column: IntoColumn) -> pl.Expr:
    return pl.col(column) if isinstance(column, str) else column
