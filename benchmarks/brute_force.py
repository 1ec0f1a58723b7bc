"""Margins by brute force: every row against every pixel, on the true edges, in plain numpy.

The reference of the differential tests. It shares no line and no method with the package under test:
separations come from dense samples of the true edge curves and a golden-section search in every bracket of
samples that could still hold the minimum. Its own error is that of subtracting two float64 unit vectors,
about 1e-10 arcsec.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from benchmarks.healpix_plane import (
    Floats,
    Integers,
    cell_to_vectors,
    edge_points,
    pixel_square,
    unit_vectors,
)

ARCSEC_PER_RAD = 180.0 * 3600.0 / np.pi
SAMPLES_PER_EDGE = 65
# Golden section shrinks a bracket by 0.618 a step: 52 steps leave 1e-11 of it, where the distance is flat.
GOLDEN_STEPS = 52
_GOLDEN = (np.sqrt(5.0) - 1.0) / 2.0
_ROWS_AT_A_TIME = 10_000


def chord_to_arcsec(chord: Floats) -> Floats:
    """Angles in arcseconds of chords of the unit sphere."""
    return 2.0 * np.arcsin(np.clip(chord / 2.0, 0.0, 1.0)) * ARCSEC_PER_RAD


def separation_to_edges_arcsec(points: Floats, order: int, pixel: int, cutoff_arcsec: float) -> Floats:
    """Separation in arcseconds of points, shape (n, 3), from the boundary of a pixel.

    Points that are certainly farther than `cutoff_arcsec` get infinity; all others get their separation.
    """
    fractions = np.linspace(0.0, 1.0, SAMPLES_PER_EDGE)
    samples = edge_points(order, pixel, np.arange(4)[:, None], fractions[None, :])
    steps = np.linalg.norm(np.diff(samples, axis=1), axis=2)
    # A point of the curve between two samples lies within the longer half of the curve's piece between them,
    # and a piece is at most a few per cent longer than its chord: 0.6 instead of 0.5.
    reach = 0.6 * float(steps.max())
    cutoff_chord = 2.0 * np.sin(min(cutoff_arcsec / ARCSEC_PER_RAD, np.pi) / 2.0)
    separation = np.full(len(points), np.inf)
    for start in range(0, len(points), _ROWS_AT_A_TIME):
        rows = slice(start, start + _ROWS_AT_A_TIME)
        separation[rows] = _separations(points[rows], order, pixel, samples, fractions, reach, cutoff_chord)
    return separation


def _separations(
    points: Floats,
    order: int,
    pixel: int,
    samples: Floats,
    fractions: Floats,
    reach: float,
    cutoff_chord: float,
) -> Floats:
    """Separations of a block of points, see `separation_to_edges_arcsec`."""
    # By differences: 2 - 2 cos would lose half of the digits of a small separation.
    chords = np.sqrt(sum((points[:, None, None, axis] - samples[None, :, :, axis]) ** 2 for axis in range(3)))
    best = np.full(len(points), np.inf)
    # Every sample no higher than its two neighbours stands for a bracket that may hold a minimum.
    padded = np.pad(chords, ((0, 0), (0, 0), (1, 1)), constant_values=np.inf)
    is_low = (chords <= padded[:, :, :-2]) & (chords <= padded[:, :, 2:]) & (chords <= cutoff_chord + reach)
    row, edge, sample = np.nonzero(is_low)
    if row.size:
        lower, upper = (
            fractions[np.maximum(sample - 1, 0)],
            fractions[np.minimum(sample + 1, len(fractions) - 1)],
        )
        np.minimum.at(best, row, _lowest_chord(points[row], order, pixel, edge, lower, upper))
    return np.where(np.isfinite(best), chord_to_arcsec(np.minimum(best, 2.0)), np.inf)


def _lowest_chord(
    points: Floats, order: int, pixel: int, edge: Integers, lower: Floats, upper: Floats
) -> Floats:
    """Lowest chord between each point and its piece of an edge: golden section, and the two ends."""

    def chord(fraction: Floats) -> Floats:
        return np.asarray(np.linalg.norm(points - edge_points(order, pixel, edge, fraction), axis=1))

    lowest = np.minimum(chord(lower), chord(upper))
    left, right = upper - _GOLDEN * (upper - lower), lower + _GOLDEN * (upper - lower)
    at_left, at_right = chord(left), chord(right)
    for _ in range(GOLDEN_STEPS):
        go_left = at_left < at_right
        lower, upper = np.where(go_left, lower, left), np.where(go_left, right, upper)
        probe = np.where(go_left, upper - _GOLDEN * (upper - lower), lower + _GOLDEN * (upper - lower))
        at_probe = chord(probe)
        left, right = np.where(go_left, probe, right), np.where(go_left, left, probe)
        at_left, at_right = np.where(go_left, at_probe, at_right), np.where(go_left, at_left, at_probe)
        lowest = np.minimum(lowest, at_probe)
    return np.asarray(np.minimum(lowest, np.minimum(at_left, at_right)))


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


def margin_rows(
    points: Floats,
    index: Integers,
    own: Integers,
    order: int,
    pixel: int,
    own_id: int,
    threshold_arcsec: float,
) -> Integers:
    """Row numbers of the margin of one pixel, out of all rows of a catalog.

    Parameters
    ----------
    points
        Unit vectors of all rows, shape (n, 3).
    index
        Nested pixel numbers of all rows at order 29.
    own
        For each row the number of the partition it lies in.
    own_id
        The number of the partition `order`, `pixel`; -1 when it is a pixel of the empty tree.
    """
    cell, u0, v0, side = pixel_square(order, pixel)
    centre = cell_to_vectors(np.asarray(cell), np.asarray(u0 + side / 2), np.asarray(v0 + side / 2))
    boundary = edge_points(
        order, pixel, np.arange(4)[:, None], np.linspace(0.0, 1.0, SAMPLES_PER_EDGE)[None, :]
    )
    radius_rad = float(np.arccos(np.clip(boundary @ centre, -1.0, 1.0)).max()) * 1.05
    # A point farther from the centre than the pixel's radius and the threshold together is certainly outside.
    cap_rad = radius_rad + threshold_arcsec / ARCSEC_PER_RAD * (1 + 1e-9) + 1e-12
    is_near = points @ centre >= (np.cos(cap_rad) - 1e-12 if cap_rad < np.pi else -2.0)
    candidates = np.nonzero(is_near & (own != own_id))[0]
    is_inside = index[candidates] >> 2 * (29 - order) == pixel
    separation = separation_to_edges_arcsec(points[candidates], order, pixel, threshold_arcsec)
    return np.asarray(candidates[is_inside | (separation <= threshold_arcsec)])


def margins(
    ra_deg: Floats,
    dec_deg: Floats,
    index: Integers,
    partition_rows: Mapping[tuple[int, int], NDArray[np.int64]],
    threshold_arcsec: float,
) -> dict[tuple[int, int], Integers]:
    """Row numbers of every margin that has a row, over every partition and every pixel of the empty tree.

    Parameters
    ----------
    partition_rows
        For each partition (order, pixel) the numbers of its rows.
    """
    points = unit_vectors(ra_deg, dec_deg)
    own = np.full(len(points), -2, dtype=np.int64)
    numbers = {partition: number for number, partition in enumerate(partition_rows)}
    for partition, rows in partition_rows.items():
        own[rows] = numbers[partition]
    if (own == -2).any():
        raise ValueError(f"{int((own == -2).sum())} rows lie in no partition: each row must lie in one")
    found = {}
    for partition in [*partition_rows, *empty_pixels(partition_rows)]:
        rows = margin_rows(points, index, own, *partition, numbers.get(partition, -1), threshold_arcsec)
        if rows.size:
            found[partition] = rows
    return found
