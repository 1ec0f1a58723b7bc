"""The inside of a HEALPix base cell as continuous coordinates, in plain numpy.

Written from the HEALPix paper (Gorski et al. 2005) and independent of the package under test: positions are
given by (base cell, u, v) with u and v in [0, 1] growing to the north-east and the north-west, so a pixel of
order k is a square of side 2**-k and its edges are the true curves of the tessellation.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

# Row and column of a base cell's southern-most corner in the plane: units of a base cell, and of 45 degrees.
_CELL_ROW = np.array([2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4], dtype=np.float64)
_CELL_COLUMN = np.array([1, 3, 5, 7, 0, 2, 4, 6, 1, 3, 5, 7], dtype=np.float64)


def unit_vectors(ra_deg: Floats, dec_deg: Floats) -> Floats:
    """Unit vectors, shape (n, 3), of equatorial coordinates in degrees."""
    ra, dec = np.radians(ra_deg), np.radians(dec_deg)
    return np.stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)], axis=-1)


def cell_to_lon_lat(cell: Integers, u: Floats, v: Floats) -> tuple[Floats, Floats]:
    """Longitude and latitude in radians of points (u, v) of base cells; shapes broadcast.

    Near the poles the latitude comes from the colatitude's sine, which keeps its precision there.
    """
    cell, u, v = np.broadcast_arrays(cell, np.asarray(u, dtype=np.float64), np.asarray(v, dtype=np.float64))
    row = _CELL_ROW[cell] - u - v
    north, south = row < 1.0, row > 3.0
    ring = np.where(north, row, np.where(south, 4.0 - row, 1.0))
    cap_latitude = np.pi / 2 - 2.0 * np.arcsin(ring / np.sqrt(6.0))
    belt_latitude = np.arcsin(np.clip((2.0 - row) * 2.0 / 3.0, -1.0, 1.0))
    latitude = np.where(north, cap_latitude, np.where(south, -cap_latitude, belt_latitude))
    column = np.mod(_CELL_COLUMN[cell] * ring + u - v, 8.0 * np.where(ring > 0, ring, 1.0))
    longitude = np.where(ring > 0, np.pi / 4 * column / np.where(ring > 0, ring, 1.0), 0.0)
    return longitude, latitude


def cell_to_vectors(cell: Integers, u: Floats, v: Floats) -> Floats:
    """Unit vectors, shape (..., 3), of points (u, v) of base cells."""
    longitude, latitude = cell_to_lon_lat(cell, u, v)
    return np.stack(
        [np.cos(latitude) * np.cos(longitude), np.cos(latitude) * np.sin(longitude), np.sin(latitude)],
        axis=-1,
    )


def pixel_square(order: int, pixel: int) -> tuple[int, float, float, float]:
    """Base cell, lower u, lower v and side of a nested pixel."""
    if not 0 <= order <= 29 or not 0 <= pixel < 12 * 4**order:
        raise ValueError(f"there is no pixel {pixel} of order {order}: 0 <= pixel < 12 * 4**order is allowed")
    cell, rest = divmod(pixel, 4**order)
    x = y = 0
    for bit in range(order):
        x |= (rest >> 2 * bit & 1) << bit
        y |= (rest >> 2 * bit + 1 & 1) << bit
    side = 2.0**-order
    return cell, x * side, y * side, side


def edge_points(order: int, pixel: int, edge: int | Integers, fraction: Floats) -> Floats:
    """Unit vectors, shape (..., 3), of points at `fraction` (0..1) of the edges 0..3 round a pixel."""
    cell, u0, v0, side = pixel_square(order, pixel)
    edge, fraction = np.broadcast_arrays(edge, fraction)
    u = np.choose(edge, [fraction, np.ones_like(fraction), 1.0 - fraction, np.zeros_like(fraction)])
    v = np.choose(edge, [np.zeros_like(fraction), fraction, np.ones_like(fraction), 1.0 - fraction])
    return cell_to_vectors(np.asarray(cell), u0 + side * u, v0 + side * v)
