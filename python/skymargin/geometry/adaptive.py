"""Adaptive partitions: the largest pixels up to a number of rows, as catalog imports choose them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from skymargin.geometry.limits import LARGEST_ORDER
from skymargin.geometry.pixels import starts_of, whole

if TYPE_CHECKING:
    from numpy.typing import NDArray

_BASE_CELLS = 12


def adaptive_partitions(
    sorted_index: NDArray[np.int64], most_rows: int, *, argument: str
) -> tuple[NDArray[np.uint8], NDArray[np.uint64], NDArray[np.uint64]]:
    """Return the largest pixels with at least one and at most `most_rows` rows.

    Parameters
    ----------
    sorted_index : numpy.ndarray of int64, shape (n,)
        The spatial index of the rows at order 29, sorted.
    most_rows : int
        Maximum number of rows of a pixel.
    argument : str
        The caller's name of `most_rows`, for errors.

    Returns
    -------
    orders, pixels, rows : numpy.ndarray, shape (m,)
        Order, nested index and number of rows of each pixel, in the order of the sky. Together they contain every row.

    Raises
    ------
    TypeError
        If `most_rows` is not a whole number.
    ValueError
        If `most_rows` is below 1, or more than that share one pixel of order 29.
    """
    most_rows = whole(argument, most_rows)
    if most_rows < 1:
        raise ValueError(f"{argument} {most_rows} is not allowed: it must be a whole number, at least 1")
    levels = []
    pixels = np.arange(_BASE_CELLS, dtype=np.int64)
    for order in range(LARGEST_ORDER + 1):
        shift = np.int64(2 * (LARGEST_ORDER - order))
        starts = np.searchsorted(sorted_index, pixels << shift)
        rows = np.searchsorted(sorted_index, (pixels + 1) << shift) - starts
        fits = (rows > 0) & (rows <= most_rows)
        levels.append((np.full(int(fits.sum()), order, np.uint8), pixels[fits], rows[fits]))
        full = rows > most_rows
        if not full.any():
            break
        if order == LARGEST_ORDER:
            raise ValueError(
                f"{rows[full].sum()} rows share pixels of order {LARGEST_ORDER} with more than {argument}="
                f"{most_rows} rows (the first at index {pixels[full][0]}), and no order is finer"
            )
        pixels = (4 * pixels[full][:, None] + np.arange(4)).ravel()
    orders, pixels, rows = (np.concatenate(columns) for columns in zip(*levels, strict=True))
    along_sky = np.argsort(starts_of(orders, pixels))
    return orders[along_sky], pixels[along_sky].astype(np.uint64), rows[along_sky].astype(np.uint64)
