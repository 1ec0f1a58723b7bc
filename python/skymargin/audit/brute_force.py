"""The definition of a margin, applied by brute force: every row against every pixel.

Nothing that selects candidates in the pipeline is used here. Only rows outside a circle that contains the pixel and its
margin are skipped; every other row is measured.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

import skymargin._core as _core
from skymargin.arrow.columns import values_of
from skymargin.geometry.angles import ARCSEC_RAD
from skymargin.geometry.outline import bounding_circle, unit_vectors

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from skymargin.catalogs.layout import Pixel

# Far larger than the rounding errors of unit vectors and their products, too small to let many more rows through.
_SLACK_RAD = 1e-7
_ROUNDING = 1e-14


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
        self._reach_rad = np.minimum(radii_rad + threshold_arcsec * ARCSEC_RAD + _SLACK_RAD, np.pi)
        self._cos_reach, self._sin_reach = np.cos(self._reach_rad), np.sin(self._reach_rad)

    def near(self, pixel: Pixel) -> bool:
        """Whether rows inside a pixel could belong to any of the margins."""
        circle = bounding_circle(*pixel)
        return bool(len(self._reaching(circle.centre, circle.radius_rad)))

    def rows(
        self, ra_deg: NDArray[np.float64], dec_deg: NDArray[np.float64], own: int
    ) -> Iterator[tuple[int, NDArray[np.int64]]]:
        """Yield the number of each margin that has any of some rows, and which rows.

        Parameters
        ----------
        ra_deg, dec_deg : numpy.ndarray, shape (n,)
            Positions of rows of one partition, degrees.
        own : int
            Number of that partition among the pixels; -1 when it is not among them.
        """
        if len(ra_deg) == 0:
            return
        vectors = unit_vectors(ra_deg, dec_deg)
        middle = vectors.mean(axis=0)
        length = np.linalg.norm(middle)
        middle = middle / length if length > _SLACK_RAD else vectors[0]
        spread_rad = float(np.arccos(np.clip((vectors @ middle).min(), -1, 1))) + _SLACK_RAD
        for number in self._reaching(middle, spread_rad):
            if number == own:
                continue
            inside = vectors @ self._centres[number] >= self._cos_reach[number] - _ROUNDING
            candidates = np.flatnonzero(inside)
            if len(candidates) == 0:
                continue
            order, pixel = self._pixels[number]
            within = _core.is_within(
                ra_deg[candidates], dec_deg[candidates], order, pixel, self._threshold_arcsec
            )
            rows = candidates[values_of(within).astype(bool)]
            if len(rows):
                yield int(number), rows

    def _reaching(self, middle: NDArray[np.float64], radius_rad: float) -> NDArray[np.int64]:
        """Numbers of the pixels whose margins may reach into a circle."""
        radius_rad = min(radius_rad + _SLACK_RAD, np.pi)
        # Cosine of the sum of both radii, for all pixels in one expression: a catalog may have 100,000 of them.
        cos_sum = np.cos(radius_rad) * self._cos_reach - np.sin(radius_rad) * self._sin_reach
        meets = self._centres @ middle >= cos_sum - _ROUNDING
        return np.flatnonzero(meets | (self._reach_rad + radius_rad >= np.pi))


def empty_pixels(partitions: Iterable[Pixel]) -> list[Pixel]:
    """Return the fewest pixels that cover the sky where there is no partition."""
    partitions = set(partitions)
    ancestors = {ancestor for pixel in partitions for ancestor in _ancestors(pixel)}
    empty: list[Pixel] = []
    pending = [(0, base_cell) for base_cell in range(12)]
    while pending:
        order, pixel = pending.pop()
        if (order, pixel) in ancestors:
            pending += [(order + 1, 4 * pixel + child) for child in range(4)]
        elif (order, pixel) not in partitions:
            empty.append((order, pixel))
    return empty


def margin_pixels(partitions: Iterable[Pixel], margins: Iterable[Pixel]) -> tuple[list[Pixel], list[Pixel]]:
    """Return the pixels that a margin catalog should have margins of, and those it has that do not belong.

    The first are the partitions and the empty pixels. A margin catalog may divide the empty sky more finely (ACID
    does): then its pixels there are used, with the fewest others that cover the rest. A pixel that overlaps a partition
    or another pixel of the margin catalog does not belong.

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
    margins = set(margins)
    taken = set(partitions) | (empty & margins)
    finer: list[Pixel] = []
    covered: set[Pixel] = set()
    # Finer pixels first: of two that overlap, the finer one leaves room for others.
    for pixel in sorted(margins - taken, reverse=True):
        above = _ancestors(pixel)
        if above & empty and not above & taken and pixel not in covered:
            finer.append(pixel)
            covered |= above
    strays = sorted(margins - taken - set(finer))
    return [*partitions, *finer, *empty_pixels([*partitions, *finer])], strays


def _ancestors(pixel: Pixel) -> set[Pixel]:
    order, index = pixel
    return {(order - up, index >> (2 * up)) for up in range(1, order + 1)}
