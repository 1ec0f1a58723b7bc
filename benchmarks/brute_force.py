"""Margins by brute force: every row against every pixel, on the true edges, in plain numpy.

The reference of tests, campaign and benchmarks. It shares no line and no method with the package under test: edges are
sampled densely and then searched by golden section in every bracket of samples that could hold the minimum. In doubles
this is good to 1e-9 arcsec.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike

from benchmarks.healpix_plane import (
    ARCSEC_RAD,
    Floats,
    Integers,
    edge_points,
    pixel_points,
    pixels_of,
    unit_vectors,
)

_SAMPLES = 33
# Golden section shrinks a bracket by 0.618 a step: 75 steps leave nothing of it.
_GOLDEN_STEPS = 75
_ROWS_AT_A_TIME = 20_000


def chord_to_arcsec(chord: Floats) -> Floats:
    """Angles in arcseconds of chords of the unit sphere."""
    return np.asarray(2 * np.arcsin(np.minimum(chord / 2, 1)) / ARCSEC_RAD)


def separations_arcsec(
    ra_deg: ArrayLike, dec_deg: ArrayLike, order: int, pixel: int, cutoff_arcsec: float = 648_000.0
) -> Floats:
    """Separation of each position from the closed pixel; those beyond the cutoff may be infinite."""
    points = unit_vectors(ra_deg, dec_deg)
    separation = np.zeros(len(points))
    outside = np.flatnonzero(pixels_of(ra_deg, dec_deg, order) != np.uint64(pixel))
    for start in range(0, len(outside), _ROWS_AT_A_TIME):
        rows = outside[start : start + _ROWS_AT_A_TIME]
        separation[rows] = _to_edges_arcsec(points[rows], order, pixel, cutoff_arcsec)
    return separation


def _to_edges_arcsec(points: Floats, order: int, pixel: int, cutoff_arcsec: float) -> Floats:
    t = np.linspace(0, 1, _SAMPLES)
    edge = np.arange(4)[:, None] + np.zeros_like(t, dtype=int)
    samples = edge_points(order, pixel, edge, np.broadcast_to(t, edge.shape))
    # By differences: 2 - 2 cos would lose half of the digits of a small separation.
    distance = np.linalg.norm(points[:, None, None, :] - samples[None], axis=-1)
    padded = np.pad(distance, ((0, 0), (0, 0), (1, 1)), constant_values=np.inf)
    # Every sample no higher than its two neighbours stands for a bracket that may hold a minimum. A point of the curve
    # is within half of a piece of a sample; a piece is at most a few per cent longer than its chord: 0.6, not 0.5.
    reach = 0.6 * np.linalg.norm(np.diff(samples, axis=1), axis=2).max()
    is_near = distance <= 2 * np.sin(min(cutoff_arcsec * ARCSEC_RAD, np.pi) / 2) + reach
    is_low = (distance <= padded[..., :-2]) & (distance <= padded[..., 2:])
    at_point, at_edge, at_sample = np.nonzero(is_low & is_near)
    low, high = t[np.maximum(at_sample - 1, 0)], t[np.minimum(at_sample + 1, _SAMPLES - 1)]

    def chord(fraction: Floats) -> Floats:
        return np.asarray(
            np.linalg.norm(points[at_point] - edge_points(order, pixel, at_edge, fraction), axis=-1)
        )

    ratio = (np.sqrt(5) - 1) / 2
    for _ in range(_GOLDEN_STEPS):
        left, right = high - ratio * (high - low), low + ratio * (high - low)
        in_left = chord(left) < chord(right)
        low, high = np.where(in_left, low, left), np.where(in_left, right, high)
    best = np.minimum.reduce([chord(low), chord(high), distance[at_point, at_edge, at_sample]])
    shortest = np.full(len(points), np.inf)
    np.minimum.at(shortest, at_point, best)
    return np.where(np.isfinite(shortest), chord_to_arcsec(shortest), np.inf)


def bounding_circle(order: int, pixel: int) -> tuple[Floats, float]:
    """Centre of a pixel, and a radius in radians that is generous."""
    centre = pixel_points(order, pixel, np.array(0.5), np.array(0.5))
    outline = edge_points(order, pixel, np.repeat(np.arange(4), 9), np.tile(np.linspace(0, 1, 9), 4))
    return centre, 1.2 * float(np.arccos(np.clip(outline @ centre, -1, 1)).max())


def empty_pixels(partitions: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """The fewest pixels (order, pixel) that cover the sky where there is no partition."""
    occupied = set(partitions)
    ancestors = {(order - up, pixel >> 2 * up) for order, pixel in occupied for up in range(1, order + 1)}
    empty = []
    waiting = [(0, pixel) for pixel in range(12)]
    while waiting:
        order, pixel = waiting.pop()
        if (order, pixel) in ancestors:
            waiting += [(order + 1, 4 * pixel + child) for child in range(4)]
        elif (order, pixel) not in occupied:
            empty.append((order, pixel))
    return sorted(empty)


def margins(
    ra_deg: ArrayLike,
    dec_deg: ArrayLike,
    own_order: ArrayLike,
    own_pixel: ArrayLike,
    partitions: Iterable[tuple[int, int]],
    threshold_arcsec: float,
    chosen: Iterable[tuple[int, int]] | None = None,
) -> dict[tuple[int, int], Integers]:
    """Rows of each margin.

    Parameters
    ----------
    ra_deg, dec_deg, own_order, own_pixel
        One value per row: where it is, and the partition whose file it lies in.
    partitions
        All partitions of the catalog as (order, pixel).
    threshold_arcsec
        The threshold.
    chosen
        The pixels whose margins are wanted; None for all partitions and all empty pixels.

    Returns
    -------
    dict
        (order, pixel) to the sorted numbers of the margin's rows, for margins that have any.
    """
    partitions = list(partitions)
    ra_deg, dec_deg = np.asarray(ra_deg, float), np.asarray(dec_deg, float)
    own_order, own_pixel = np.asarray(own_order), np.asarray(own_pixel)
    points = unit_vectors(ra_deg, dec_deg)
    rows_of = {}
    for order, pixel in [*partitions, *empty_pixels(partitions)] if chosen is None else chosen:
        centre, radius_rad = bounding_circle(order, pixel)
        reach_rad = radius_rad + threshold_arcsec * ARCSEC_RAD
        foreign = (own_order != order) | (own_pixel != pixel)
        rows = np.flatnonzero(foreign & (points @ centre >= np.cos(min(reach_rad, np.pi)) - 1e-12))
        separation = separations_arcsec(ra_deg[rows], dec_deg[rows], order, pixel, threshold_arcsec)
        # A case that doubles cannot decide would make the comparison worthless.
        assert not np.any(np.abs(separation - threshold_arcsec) < 1e-9)
        rows = rows[separation <= threshold_arcsec]
        if len(rows):
            rows_of[order, pixel] = rows
    return rows_of
