"""The true edges of HEALPix pixels in numpy, for pictures and for checks that are independent of the core.

Within a base cell a pixel is a square with straight edges; on the sky they are curved, and not great circles (Gorski et
al. 2005, section 4.1). Accurate to about 1e-12 degrees: enough for drawing and bounding circles. Decisions about
margins are not made here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from skymargin.geometry.pixels import pixel_exists

if TYPE_CHECKING:
    from numpy.typing import NDArray

# The southern corner of each base cell: its ring, counted from the north pole in units of the cell's side, and its
# longitude in units of 45 degrees.
_SOUTH_CORNER_RING = (2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4)
_LONGITUDE_EIGHTHS = (1, 3, 5, 7, 0, 2, 4, 6, 1, 3, 5, 7)

# Upper bound on the speed along an edge, in radians per side of a base cell. In the caps d(colatitude) <=
# 2/3 / sqrt(5/9) < 0.895 and sin(colatitude) d(longitude) <= sqrt(2/3) pi/2 < 1.283, together < 1.565; in the belt
# 0.895 and pi/4, together less.
_FASTEST_RAD = 1.57


class Circle(NamedTuple):
    """A circle on the sky: the unit vector of its centre, shape (3,), and its radius in radians."""

    centre: NDArray[np.float64]
    radius_rad: float


def outline(
    order: int, pixel: int, points_per_edge: int = 256
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the edge of a pixel as a closed line.

    Parameters
    ----------
    order, pixel : int
        HEALPix order and nested index.
    points_per_edge : int
        Steps along each of the four edges.

    Returns
    -------
    ra_deg, dec_deg : numpy.ndarray, shape (4 * points_per_edge + 1,)
        From the southern corner along the eastern, northern, western corners and back, degrees.
    """
    return edge_points(order, pixel, np.arange(4 * points_per_edge + 1) / points_per_edge)


def edge_points(
    order: int, pixel: int, along: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return points of the edge of a pixel, degrees.

    Parameters
    ----------
    order, pixel : int
        HEALPix order and nested index.
    along : numpy.ndarray, shape (n,)
        Position along the edge, 0 to 4: whole numbers are the southern, eastern, northern, western and again the
        southern corner.
    """
    edge = np.floor(along) % 4
    step = along - np.floor(along)
    sides = [edge == 0, edge == 1, edge == 2]
    along_x = np.select(sides, [step, np.ones_like(step), 1 - step], 0.0)
    along_y = np.select(sides, [np.zeros_like(step), step, np.ones_like(step)], 1 - step)
    along_y = np.where(along == 4, 0.0, along_y)
    return _sky(order, pixel, along_x, along_y)


def centre(order: int, pixel: int) -> tuple[float, float]:
    """Return right ascension and declination, in degrees, of the centre of a pixel."""
    ra_deg, dec_deg = _sky(order, pixel, np.array([0.5]), np.array([0.5]))
    return float(ra_deg[0]), float(dec_deg[0])


def unit_vectors(ra_deg: NDArray[np.float64], dec_deg: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return positions as unit vectors, shape (n, 3)."""
    ra_rad, dec_rad = np.radians(ra_deg), np.radians(dec_deg)
    return np.stack(
        [np.cos(dec_rad) * np.cos(ra_rad), np.cos(dec_rad) * np.sin(ra_rad), np.sin(dec_rad)], axis=-1
    )


def bounding_circle(order: int, pixel: int, points_per_edge: int = 64) -> Circle:
    """Return a circle that contains the whole pixel.

    The farthest point of a pixel from its centre lies on its edge, since the only other maximum of the distance is the
    antipode. Every point of an edge lies within half a step of a measured point, so half a step at the highest speed
    along an edge is added.
    """
    middle = unit_vectors(*(np.array([angle]) for angle in centre(order, pixel)))[0]
    edge = unit_vectors(*outline(order, pixel, points_per_edge))
    chord = np.sqrt(((edge - middle) ** 2).sum(axis=1)).max()
    half_step_rad = _FASTEST_RAD / (1 << order) / points_per_edge / 2
    return Circle(middle, float(2 * np.arcsin(min(chord / 2, 1.0))) + half_step_rad)


def _sky(
    order: int, pixel: int, along_x: NDArray[np.float64], along_y: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return positions, degrees, of points in a pixel: fractions of its sides to the north-east and north-west."""
    if not pixel_exists(order, pixel):
        raise ValueError(
            f"pixel {pixel} of order {order} does not exist: an order is 0 to 29, a pixel below 12 * 4**order"
        )
    nside = 1 << order
    base_cell, within = divmod(pixel, nside * nside)
    x = (_even_bits(within) + along_x) / nside
    y = (_even_bits(within >> 1) + along_y) / nside
    ring = _SOUTH_CORNER_RING[base_cell] - x - y
    # Distance to the nearer pole in sides of a base cell; 1 in the whole equatorial belt.
    to_pole = np.minimum(np.minimum(ring, 4 - ring), 1.0)
    in_belt = to_pole == 1.0
    cap_z = 1 - to_pole**2 / 3
    z = np.where(in_belt, (2 - ring) * (2 / 3), np.where(ring < 2, cap_z, -cap_z))
    # In the caps sqrt(1 - z^2) would lose digits.
    sin_colatitude = np.where(
        in_belt, np.sqrt(1 - np.minimum(z**2, 1)), to_pole * np.sqrt(2 / 3 - to_pole**2 / 9)
    )
    # At a pole every longitude is right: that of the base cell's centre is used.
    offset = np.divide(x - y, to_pole, out=np.zeros_like(x), where=to_pole > 0)
    ra_deg = 45 * (_LONGITUDE_EIGHTHS[base_cell] + offset) % 360
    return ra_deg, np.degrees(np.arctan2(z, sin_colatitude))


def _even_bits(value: int) -> int:
    """Return the number formed by the bits 0, 2, 4, ... of a nested index."""
    return sum(((value >> (2 * bit)) & 1) << bit for bit in range(30))
