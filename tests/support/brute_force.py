"""Margins by brute force: every row against every pixel, with formulas of their own.

Nothing here uses skymargin. The edges of a pixel are the curves of Gorski et al. (2005), sampled densely and then
searched by golden section in every bracket that holds a local minimum. In doubles this is good to 1e-9 arcsec.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

ARCSEC_RAD = np.pi / 648_000
_FACE_RING = np.array([2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4])
_FACE_LONGITUDE = np.array([1, 3, 5, 7, 0, 2, 4, 6, 1, 3, 5, 7])
_SAMPLES = 33
_GOLDEN_STEPS = 75


def unit_vectors(ra_deg, dec_deg):
    """Points as an (n, 3) array."""
    ra, dec = np.radians(np.asarray(ra_deg, float)), np.radians(np.asarray(dec_deg, float))
    return np.stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)], axis=-1)


def face_points(face, x, y):
    """Points at (x, y), each 0 to 1, of a base cell, as (..., 3) unit vectors."""
    ring = _FACE_RING[face] - x - y
    cap = np.where(ring < 1, ring, np.where(ring > 3, 4 - ring, 1.0))
    polar = (ring < 1) | (ring > 3)
    z = np.where(polar, np.sign(2 - ring) * (1 - cap**2 / 3), (2 - ring) * 2 / 3)
    sin_colatitude = np.where(polar, cap * np.sqrt(2 / 3 - cap**2 / 9), np.sqrt(np.maximum(1 - z**2, 0)))
    at_pole = cap <= 0
    longitude = np.pi / 4 * (_FACE_LONGITUDE[face] * cap + x - y) / np.where(at_pole, 1, cap)
    longitude = np.where(at_pole, 0, longitude)
    return np.stack([sin_colatitude * np.cos(longitude), sin_colatitude * np.sin(longitude), z], axis=-1)


def pixel_corner(order, pixel):
    """Base cell of a pixel, and its south corner (x, y) in units of the pixel's side."""
    face, within = divmod(int(pixel), 1 << (2 * order))
    x = sum(((within >> (2 * bit)) & 1) << bit for bit in range(order))
    y = sum(((within >> (2 * bit + 1)) & 1) << bit for bit in range(order))
    return face, x, y


def edge_points(order, pixel, edge, t):
    """Points at t, 0 to 1, along the edges (0 to 3) of a pixel; `edge` and `t` of the same shape."""
    face, x, y = pixel_corner(order, pixel)
    along_x = edge < 2
    across = edge % 2
    side = float(1 << order)
    return face_points(
        face, (x + np.where(along_x, t, across)) / side, (y + np.where(along_x, across, t)) / side
    )


def pixels_of(ra_deg, dec_deg, order):
    """The pixel of each position at an order, as uint64."""
    ra, dec = np.asarray(ra_deg, float), np.asarray(dec_deg, float)
    z = np.sin(np.radians(dec))
    quarter = np.mod(ra / 90, 4)
    # 1 - |sin(dec)| without cancellation at the poles.
    sigma = np.sqrt(6) * np.sin(np.radians((90 - np.abs(dec)) / 2))
    up, down = 0.5 + quarter + 0.75 * z, 0.5 + quarter - 0.75 * z
    fold_up, fold_down = np.floor(up).astype(int), np.floor(down).astype(int)
    equatorial_face = np.where(
        fold_up == fold_down, fold_up % 4 + 4, np.where(fold_down < fold_up, fold_down % 4, fold_up % 4 + 8)
    )
    whole = np.minimum(np.floor(quarter).astype(int), 3)
    part = quarter - whole
    rising, falling = np.minimum(part * sigma, 1), np.minimum((1 - part) * sigma, 1)
    north = z > 0
    equatorial = np.abs(z) <= 2 / 3
    face = np.where(equatorial, equatorial_face, np.where(north, whole, whole + 8))
    x = np.where(equatorial, up - fold_up, np.where(north, 1 - falling, rising))
    y = np.where(equatorial, 1 - (down - fold_down), np.where(north, 1 - rising, falling))
    side = 1 << order
    ix, iy = (np.clip((v * side).astype(np.int64), 0, side - 1) for v in (x, y))
    within = np.zeros(ra.shape, dtype=np.uint64)
    for bit in range(order):
        within |= ((ix >> bit) & 1).astype(np.uint64) << np.uint64(2 * bit)
        within |= ((iy >> bit) & 1).astype(np.uint64) << np.uint64(2 * bit + 1)
    return (face.astype(np.uint64) << np.uint64(2 * order)) | within


def separations_arcsec(ra_deg, dec_deg, order, pixel):
    """Separation of each position from the closed pixel."""
    points = unit_vectors(ra_deg, dec_deg)
    separation = np.zeros(len(points))
    outside = np.flatnonzero(pixels_of(ra_deg, dec_deg, order) != np.uint64(pixel))
    if len(outside):
        separation[outside] = (
            2 * np.arcsin(np.minimum(_chords(points[outside], order, pixel) / 2, 1)) / ARCSEC_RAD
        )
    return separation


def _chords(points, order, pixel):
    """Shortest chord from each point to the pixel's edges."""
    t = np.linspace(0, 1, _SAMPLES)
    edge = np.arange(4)[:, None] + np.zeros_like(t, dtype=int)
    samples = edge_points(order, pixel, edge, np.broadcast_to(t, edge.shape))
    distance = np.linalg.norm(points[:, None, None, :] - samples[None], axis=-1)
    padded = np.pad(distance, ((0, 0), (0, 0), (1, 1)), constant_values=np.inf)
    at_point, at_edge, at_sample = np.nonzero((distance <= padded[..., :-2]) & (distance <= padded[..., 2:]))
    low, high = t[np.maximum(at_sample - 1, 0)], t[np.minimum(at_sample + 1, _SAMPLES - 1)]

    def chord(where):
        return np.linalg.norm(points[at_point] - edge_points(order, pixel, at_edge, where), axis=-1)

    ratio = (np.sqrt(5) - 1) / 2
    for _ in range(_GOLDEN_STEPS):
        left, right = high - ratio * (high - low), low + ratio * (high - low)
        in_left = chord(left) < chord(right)
        low, high = np.where(in_left, low, left), np.where(in_left, right, high)
    best = np.minimum.reduce([chord(low), chord(high), distance[at_point, at_edge, at_sample]])
    shortest = np.full(len(points), np.inf)
    np.minimum.at(shortest, at_point, best)
    return shortest


def near_pixel(ra_deg, dec_deg, order, pixel, radius_arcsec):
    """Which positions may be within a radius of a pixel: a circle around the pixel's middle, drawn generously."""
    edge = np.repeat(np.arange(4), 9)
    outline = edge_points(order, pixel, edge, np.tile(np.linspace(0, 1, 9), 4))
    face, x, y = pixel_corner(order, pixel)
    middle = face_points(face, np.array((x + 0.5) / (1 << order)), np.array((y + 0.5) / (1 << order)))
    reach = 1.2 * np.arccos(np.clip(outline @ middle, -1, 1)).max() + radius_arcsec * ARCSEC_RAD
    return np.arccos(np.clip(unit_vectors(ra_deg, dec_deg) @ middle, -1, 1)) <= reach


def empty_pixels(partitions: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """The fewest pixels that cover the sky where there is no partition."""
    partitions = set(partitions)
    above = {(k, pixel >> (2 * (order - k))) for order, pixel in partitions for k in range(order)}
    empty: list[tuple[int, int]] = []
    todo = [(0, pixel) for pixel in range(12)]
    while todo:
        order, pixel = todo.pop()
        if (order, pixel) in above:
            todo += [(order + 1, 4 * pixel + child) for child in range(4)]
        elif (order, pixel) not in partitions:
            empty.append((order, pixel))
    return sorted(empty)


def margins(ra_deg, dec_deg, own_order, own_pixel, partitions, threshold_arcsec):
    """Rows of each margin.

    Parameters
    ----------
    ra_deg, dec_deg, own_order, own_pixel
        One value per row: where it is, and the partition whose file it lies in.
    partitions
        All partitions of the catalog as (order, pixel).
    threshold_arcsec
        The threshold.

    Returns
    -------
    dict
        (order, pixel) to the sorted numbers of the margin's rows, for margins that have any.
    """
    ra_deg, dec_deg = np.asarray(ra_deg, float), np.asarray(dec_deg, float)
    own_order, own_pixel = np.asarray(own_order), np.asarray(own_pixel)
    found = {}
    for order, pixel in [*partitions, *empty_pixels(partitions)]:
        foreign = (own_order != order) | (own_pixel != pixel)
        rows = np.flatnonzero(foreign & near_pixel(ra_deg, dec_deg, order, pixel, threshold_arcsec))
        separation = separations_arcsec(ra_deg[rows], dec_deg[rows], order, pixel)
        # A case that doubles cannot decide would make the comparison worthless.
        assert not np.any(np.abs(separation - threshold_arcsec) < 1e-9)
        rows = rows[separation <= threshold_arcsec]
        if len(rows):
            found[order, pixel] = rows
    return found
