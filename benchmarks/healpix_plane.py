"""The inside of HEALPix base cells and pixels as continuous coordinates, in plain numpy.

Written from the HEALPix paper (Gorski et al. 2005) and independent of the package under test. A point of a base cell
is (x, y), each 0 to 1, growing to the north-east and the north-west: a pixel of order k is a square of side 2**-k, and
its edges are the true curves of the tessellation.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

ARCSEC_RAD = np.pi / 648_000
# Row and column of a base cell's southernmost corner in the plane: units of a base cell, and of 45 degrees.
_CELL_ROW = np.array([2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4])
_CELL_COLUMN = np.array([1, 3, 5, 7, 0, 2, 4, 6, 1, 3, 5, 7])


def unit_vectors(ra_deg: ArrayLike, dec_deg: ArrayLike) -> Floats:
    """Unit vectors, shape (n, 3), of equatorial coordinates in degrees."""
    ra, dec = np.radians(np.asarray(ra_deg, float)), np.radians(np.asarray(dec_deg, float))
    return np.stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)], axis=-1)


def coordinates_deg(points: Floats) -> tuple[Floats, Floats]:
    """Right ascension, 0 to 360, and declination in degrees of vectors of any length, shape (n, 3)."""
    x, y, z = points.T
    return np.mod(np.degrees(np.arctan2(y, x)), 360.0), np.degrees(np.arctan2(z, np.hypot(x, y)))


def cell_points(cell: int | Integers, x: Floats, y: Floats) -> Floats:
    """Unit vectors, shape (..., 3), of points (x, y) of base cells."""
    row = _CELL_ROW[cell] - x - y
    ring = np.where(row < 1, row, np.where(row > 3, 4 - row, 1.0))
    polar = (row < 1) | (row > 3)
    z = np.where(polar, np.sign(2 - row) * (1 - ring**2 / 3), (2 - row) * 2 / 3)
    # sqrt(1 - z**2) would lose its digits at the poles.
    sin_colatitude = np.where(polar, ring * np.sqrt(2 / 3 - ring**2 / 9), np.sqrt(np.maximum(1 - z**2, 0)))
    at_pole = ring <= 0
    longitude = np.pi / 4 * (_CELL_COLUMN[cell] * ring + x - y) / np.where(at_pole, 1, ring)
    longitude = np.where(at_pole, 0, longitude)
    return np.stack([sin_colatitude * np.cos(longitude), sin_colatitude * np.sin(longitude), z], axis=-1)


def pixel_square(order: int, pixel: int) -> tuple[int, int, int]:
    """Base cell of a pixel, and its south corner (x, y) in units of the pixel's side."""
    cell, within = divmod(int(pixel), 1 << (2 * order))
    x = sum(((within >> (2 * bit)) & 1) << bit for bit in range(order))
    y = sum(((within >> (2 * bit + 1)) & 1) << bit for bit in range(order))
    return cell, x, y


def pixel_points(order: int, pixel: int, u: Floats, v: Floats) -> Floats:
    """Unit vectors of points (u, v), each 0 to 1, of a pixel."""
    cell, x, y = pixel_square(order, pixel)
    side = float(1 << order)
    return cell_points(cell, (x + u) / side, (y + v) / side)


def edge_points(order: int, pixel: int, edge: Integers, t: Floats) -> Floats:
    """Points at t, 0 to 1, along the edges (0 to 3) of a pixel; `edge` and `t` have the same shape."""
    along_x, across = edge < 2, edge % 2
    return pixel_points(order, pixel, np.where(along_x, t, across), np.where(along_x, across, t))


def pixels_of(ra_deg: ArrayLike, dec_deg: ArrayLike, order: int) -> NDArray[np.uint64]:
    """The pixel of each position at an order."""
    ra, dec = np.asarray(ra_deg, float), np.asarray(dec_deg, float)
    z = np.sin(np.radians(dec))
    quarter = np.mod(ra / 90, 4)
    # 1 - |sin(dec)| without cancellation at the poles.
    sigma = np.sqrt(6) * np.sin(np.radians((90 - np.abs(dec)) / 2))
    up, down = 0.5 + quarter + 0.75 * z, 0.5 + quarter - 0.75 * z
    fold_up, fold_down = np.floor(up).astype(int), np.floor(down).astype(int)
    equatorial_cell = np.where(
        fold_up == fold_down, fold_up % 4 + 4, np.where(fold_down < fold_up, fold_down % 4, fold_up % 4 + 8)
    )
    column = np.minimum(np.floor(quarter).astype(int), 3)
    part = quarter - column
    rising, falling = np.minimum(part * sigma, 1), np.minimum((1 - part) * sigma, 1)
    north = z > 0
    equatorial = np.abs(z) <= 2 / 3
    cell = np.where(equatorial, equatorial_cell, np.where(north, column, column + 8))
    x = np.where(equatorial, up - fold_up, np.where(north, 1 - falling, rising))
    y = np.where(equatorial, 1 - (down - fold_down), np.where(north, 1 - rising, falling))
    side = 1 << order
    ix, iy = (np.clip((v * side).astype(np.int64), 0, side - 1) for v in (x, y))
    within = np.zeros(ra.shape, dtype=np.uint64)
    for bit in range(order):
        within |= ((ix >> bit) & 1).astype(np.uint64) << np.uint64(2 * bit)
        within |= ((iy >> bit) & 1).astype(np.uint64) << np.uint64(2 * bit + 1)
    return (cell.astype(np.uint64) << np.uint64(2 * order)) | within
