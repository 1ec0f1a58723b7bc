"""The definition of a margin, applied the slow way: every row against every pixel.

Nothing that chooses candidates in the pipeline is used here. A row is left out only when it lies outside a circle that
holds the pixel and its margin; each other one is measured.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

import skymargin._core as _core
from skymargin.geometry.outline import bounding_circle, unit_vectors

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

_ARCSEC_RAD = np.pi / 648_000
# Far more than the rounding of unit vectors and their products, far less than a row costs.
_SLACK_RAD = 1e-7
_ROUNDING = 1e-14

Pixel = tuple[int, int]


class Margins:
    """The margins of some pixels at one threshold.

    Parameters
    ----------
    pixels : sequence of (int, int)
        Order and nested index of each.
    threshold_arcsec : float
        The margin threshold, arcseconds.
    """

    def __init__(self, pixels: Sequence[Pixel], threshold_arcsec: float) -> None:
        self._pixels = pixels
        self._threshold_arcsec = threshold_arcsec
        circles = [bounding_circle(*pixel) for pixel in pixels]
        self._centres = np.array([circle.centre for circle in circles]).reshape(-1, 3)
        radii_rad = np.array([circle.radius_rad for circle in circles])
        self._reach_rad = np.minimum(radii_rad + threshold_arcsec * _ARCSEC_RAD + _SLACK_RAD, np.pi)
        self._cos_reach, self._sin_reach = np.cos(self._reach_rad), np.sin(self._reach_rad)

    def near(self, pixel: Pixel) -> bool:
        """Whether rows inside a pixel could belong to any of the margins."""
        circle = bounding_circle(*pixel)
        return bool(len(self._met_by(circle.centre, circle.radius_rad)))

    def rows(
        self, ra_deg: NDArray[np.float64], dec_deg: NDArray[np.float64], own: int
    ) -> Iterator[tuple[int, NDArray[np.int64]]]:
        """Yield the numbers of the margins that have any of some rows, and which rows.

        Parameters
        ----------
        ra_deg, dec_deg : numpy.ndarray, shape (n,)
            Positions of rows of one partition, degrees.
        own : int
            Number of that partition among the pixels; -1 when it is none of them.
        """
        if len(ra_deg) == 0:
            return
        vectors = unit_vectors(ra_deg, dec_deg)
        middle = vectors.mean(axis=0)
        length = np.linalg.norm(middle)
        middle = middle / length if length > _SLACK_RAD else vectors[0]
        spread_rad = float(np.arccos(np.clip((vectors @ middle).min(), -1, 1))) + _SLACK_RAD
        for number in self._met_by(middle, spread_rad):
            if number == own:
                continue
            inside = vectors @ self._centres[number] >= self._cos_reach[number] - _ROUNDING
            maybe = np.flatnonzero(inside)
            if len(maybe) == 0:
                continue
            order, pixel = self._pixels[number]
            within = _core.is_within(ra_deg[maybe], dec_deg[maybe], order, pixel, self._threshold_arcsec)
            rows = maybe[np.asarray(within.to_numpy(zero_copy_only=False), dtype=bool)]
            if len(rows):
                yield int(number), rows

    def _met_by(self, middle: NDArray[np.float64], radius_rad: float) -> NDArray[np.int64]:
        """Numbers of the pixels whose margins may reach into a circle."""
        radius_rad = min(radius_rad + _SLACK_RAD, np.pi)
        # The cosine of the two radii together; a catalog may have 100,000 pixels, so without one call for each.
        together = np.cos(radius_rad) * self._cos_reach - np.sin(radius_rad) * self._sin_reach
        meets = self._centres @ middle >= together - _ROUNDING
        return np.flatnonzero(meets | (self._reach_rad + radius_rad >= np.pi))


def empty_pixels(partitions: Iterable[Pixel]) -> list[Pixel]:
    """Return the fewest pixels that cover the sky where no partition does."""
    partitions = set(partitions)
    holding = {(order - up, pixel >> (2 * up)) for order, pixel in partitions for up in range(1, order + 1)}
    empty: list[Pixel] = []
    waiting = [(0, base_cell) for base_cell in range(12)]
    while waiting:
        order, pixel = waiting.pop()
        if (order, pixel) in holding:
            waiting += [(order + 1, 4 * pixel + child) for child in range(4)]
        elif (order, pixel) not in partitions:
            empty.append((order, pixel))
    return empty


def margin_pixels(partitions: Iterable[Pixel], margins: Iterable[Pixel]) -> tuple[list[Pixel], list[Pixel]]:
    """Return the pixels that a margin catalog should have margins of, and those of its own that are none.

    Those are the partitions and the empty pixels. Where the catalog is empty, a margin catalog may cut the sky finer
    (ACID does): its pixels there are taken, and the fewest others that cover the rest. Its pixels that share sky with
    a partition or with another of its pixels are none.

    Parameters
    ----------
    partitions
        Partitions of the catalog.
    margins
        Pixels that the margin catalog has files for.

    Returns
    -------
    list of (int, int), list of (int, int)
        Orders and nested indices.
    """
    partitions = list(dict.fromkeys(partitions))
    empty = set(empty_pixels(partitions))
    margins = list(dict.fromkeys(margins))
    taken = set(partitions) | (empty & set(margins))
    finer: list[Pixel] = []
    holding: set[Pixel] = set()
    # Finer pixels first: of two that share sky, the finer one can stand beside others.
    for order, pixel in sorted(set(margins) - taken, reverse=True):
        above = {(order - up, pixel >> (2 * up)) for up in range(1, order + 1)}
        if above & empty and not above & taken and (order, pixel) not in holding:
            finer.append((order, pixel))
            holding |= above
    strays = sorted(set(margins) - taken - set(finer))
    return [*partitions, *finer, *empty_pixels([*partitions, *finer])], strays
