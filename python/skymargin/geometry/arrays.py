"""Separations, neighbours, spatial indices and margin rows of positions in arrays.

Columns may be numpy arrays, or have the Arrow PyCapsule interface (pyarrow, polars, pandas). They are read without a
copy when they are contiguous 64-bit numbers. Results are pyarrow arrays; the GIL is released. Coordinates are in
degrees, or quantities and columns of astropy with the unit of an angle; thresholds and radii are numbers of arcseconds,
or angles of astropy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import skymargin._core as _core
from skymargin.geometry.angles import arcsec_of, column_in_degrees
from skymargin.geometry.limits import LARGEST_ORDER
from skymargin.geometry.pixels import allowed_order, allowed_pixel

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["is_within", "margin_rows", "neighbours", "separation_arcsec", "spatial_index"]

Column: TypeAlias = Any
"""A numpy array, or any object with `__arrow_c_array__` or `__arrow_c_stream__`."""


def separation_arcsec(ra_deg: Column, dec_deg: Column, order: int, pixel: int) -> pa.DoubleArray:
    """Angular separations of positions from a closed HEALPix pixel.

    Parameters
    ----------
    ra_deg, dec_deg : column of float, shape (n,)
        Right ascension, -360 to 360 degrees, and declination, -90 to 90 degrees.
    order : int
        HEALPix order of the pixel, 0 to 29.
    pixel : int
        Its nested index.

    Returns
    -------
    pyarrow.DoubleArray, shape (n,)
        Arcseconds to the nearest point of the pixel, exact to 1e-9; 0 inside; null where a coordinate is null.

    Raises
    ------
    CoordinateError
        When a position is not on the sky; names the row.
    ValueError, TypeError
        When there is no such pixel, lengths differ, or a column is not numeric.

    Notes
    -----
    The edges are the curves of Górski et al. 2005, ApJ 622, 759, not great circles.

    Examples
    --------
    >>> from skymargin import separation_arcsec
    >>> separation_arcsec([11.25802281], [78.28414956], 5, 1000).to_pylist()
    [3.479867...]
    """
    return _core.separation_arcsec(*_degrees(ra_deg, dec_deg), *allowed_pixel(order, pixel))


def is_within(
    ra_deg: Column, dec_deg: Column, order: int, pixel: int, threshold_arcsec: float
) -> pa.BooleanArray:
    """Whether positions lie in a closed HEALPix pixel, or within a threshold of it.

    Parameters
    ----------
    ra_deg, dec_deg : column of float, shape (n,)
        Right ascension, -360 to 360 degrees, and declination, -90 to 90 degrees.
    order : int
        HEALPix order of the pixel, 0 to 29.
    pixel : int
        Its nested index.
    threshold_arcsec : float
        Arcseconds, above 0 and at most 324,000 (90 degrees); a position at the threshold is within.

    Returns
    -------
    pyarrow.BooleanArray, shape (n,)
        The decision of exact arithmetic whenever the separation differs from the threshold by more than 1e-9 arcsec;
        null where a coordinate is null.

    Raises
    ------
    CoordinateError
        When a position is not on the sky; names the row.
    ValueError, TypeError
        When there is no such pixel, the threshold is not allowed, lengths differ, or a column is not numeric.
    """
    within_arcsec = arcsec_of("threshold_arcsec", threshold_arcsec)
    return _core.is_within(*_degrees(ra_deg, dec_deg), *allowed_pixel(order, pixel), within_arcsec)


def neighbours(order: int, pixel: int, at_order: int, radius_arcsec: float) -> pa.UInt64Array:
    """The pixels of an order within a radius of a pixel.

    Parameters
    ----------
    order : int
        HEALPix order of the pixel, 0 to 29.
    pixel : int
        Its nested index.
    at_order : int
        Order of the neighbours, 0 to 29; it may be finer or coarser than that of the pixel.
    radius_arcsec : float
        Arcseconds between the nearest points of two pixels, above 0 and at most 324,000 (90 degrees).

    Returns
    -------
    pyarrow.UInt64Array
        Nested indices, sorted, without pixels that overlap the pixel. Pixels that touch it are at 0 arcseconds.

    Raises
    ------
    ValueError
        When there is no such pixel, the order or the radius is not allowed, or there would be more than about
        16.8 million pixels.
    MemoryError
        When the memory does not hold them.

    Examples
    --------
    >>> from skymargin import neighbours
    >>> neighbours(5, 1000, 5, 10.0).to_pylist()
    [951, 957, 959, 994, 995, 1001, 1002, 1003]
    """
    within_arcsec = arcsec_of("radius_arcsec", radius_arcsec)
    return _core.neighbours(*allowed_pixel(order, pixel), allowed_order("at_order", at_order), within_arcsec)


def spatial_index(ra_deg: Column, dec_deg: Column, order: int = LARGEST_ORDER) -> pa.Int64Array:
    """The nested HEALPix index of positions: `_healpix_29` of HATS catalogs at order 29.

    Parameters
    ----------
    ra_deg, dec_deg : column of float, shape (n,)
        Right ascension, -360 to 360 degrees, and declination, -90 to 90 degrees.
    order : int
        HEALPix order, 0 to 29.

    Returns
    -------
    pyarrow.Int64Array, shape (n,)
        Indices; null where a coordinate is null.

    Raises
    ------
    CoordinateError
        When a position is not on the sky; names the row.
    ValueError, TypeError
        When the order is not allowed, lengths differ, or a column is not numeric.
    """
    return _core.spatial_index(*_degrees(ra_deg, dec_deg), allowed_order("order", order))


def margin_rows(
    ra_deg: Column, dec_deg: Column, orders: Column, pixels: Column, margin_threshold_arcsec: float
) -> pa.RecordBatch:
    """The rows of a table that belong to margins of its partitions, or of the empty pixels between them.

    Parameters
    ----------
    ra_deg, dec_deg : column of float, shape (n,)
        Right ascension, -360 to 360 degrees, and declination, -90 to 90 degrees, of the rows.
    orders, pixels : column of int, shape (m,)
        HEALPix orders and nested indices of the partitions: disjoint pixels that contain every row.
    margin_threshold_arcsec : float
        Arcseconds, above 0 and at most 324,000 (90 degrees).

    Returns
    -------
    pyarrow.RecordBatch
        One entry per row and margin it belongs to, sorted by row: `row` (uint64, counted from 0), `margin_order`
        (uint8), `margin_pixel` (uint64), `separation_arcsec` (float64).

    Raises
    ------
    CoordinateError
        When the position of a row is not on the sky; names the first such row.
    ValueError, TypeError
        When partitions overlap, a row lies in none of them, or an argument is not allowed.

    Notes
    -----
    It uses one thread per core; the variable ``RAYON_NUM_THREADS`` sets another number. `skymargin.polars.margins`
    returns the rows themselves.

    Examples
    --------
    >>> from skymargin import margin_rows
    >>> margin_rows([44.999, 0.0], [0.0, 0.0], [0], [4], 60.0).slice(1, 1).to_pylist()
    [{'row': 0, 'margin_order': 0, 'margin_pixel': 5, 'separation_arcsec': 3.6...}]
    """
    import pyarrow as pa

    threshold_arcsec = arcsec_of("margin_threshold_arcsec", margin_threshold_arcsec)
    margins = _core.TableMargins(_core.Tiling(orders, pixels), threshold_arcsec)
    members = margins.rows(*_degrees(ra_deg, dec_deg))
    return members.set_column(0, "row", members.column("row").cast(pa.uint64()))


def _degrees(ra_deg: Column, dec_deg: Column) -> tuple[Column, Column]:
    """Coordinates, those of astropy with another unit converted."""
    return column_in_degrees("ra_deg", ra_deg), column_in_degrees("dec_deg", dec_deg)
