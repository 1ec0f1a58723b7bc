"""Positions of the rows of margins and of their primary: by these alone it is decided which rows belong.

Of the primary, only the numbers and positions of rows that belong to a margin, or may be in one, are kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

import skymargin._core as _core
from skymargin.arrow.columns import values_of
from skymargin.audit.digest import combined, digests_of_numbers
from skymargin.catalogs.partition_reader import PartitionRows, as_float64
from skymargin.geometry.limits import LARGEST_ORDER

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from skymargin.catalogs.layout import Pixel

    Floats = NDArray[np.float64]
    Numbers = NDArray[np.int64]

# A row this near to a pixel may lie in it, and one this near to the threshold beyond it.
_CLOSE_ARCSEC = 1e-6


class MarginRows(NamedTuple):
    """Positions of the rows of one margin, and their separations from the pixel (NaN where there is no position).

    `unsorted` is the first row that is out of order; None when all are in order, or there is no index.
    """

    ra_deg: Floats
    dec_deg: Floats
    separation_arcsec: Floats
    unsorted: int | None


class ReferenceRows(NamedTuple):
    """Rows of the primary that belong to a margin (`belongs`), or may be in it without belonging.

    One entry per row and margin; margins and partitions by number, rows by their number in the partition.
    """

    tile: Numbers
    part: Numbers
    row: Numbers
    separation_arcsec: Floats
    ra_deg: Floats
    dec_deg: Floats
    belongs: NDArray[np.bool_]

    def at(self, selection: Numbers | NDArray[np.bool_] | slice) -> ReferenceRows:
        """Some of the entries."""
        return ReferenceRows._make(column[selection] for column in self)


class SuspectRows:
    """Rows of margins that lie too far from their pixel, or inside it: they are looked up in the primary by position.

    Parameters
    ----------
    margins
        The rows of each margin, by its number.
    threshold_arcsec
        The threshold.
    """

    def __init__(self, margins: dict[int, MarginRows], threshold_arcsec: float) -> None:
        parts: list[tuple[Numbers, Floats, Floats, Floats]] = [
            (np.empty(0, np.int64), np.empty(0), np.empty(0), np.empty(0))
        ]
        for number, rows in margins.items():
            away = rows.separation_arcsec
            suspect = np.flatnonzero((away > threshold_arcsec - _CLOSE_ARCSEC) | (away < _CLOSE_ARCSEC))
            tile = np.full(len(suspect), number)
            parts.append((tile, rows.ra_deg[suspect], rows.dec_deg[suspect], away[suspect]))
        tile, self.ra_deg, self.dec_deg, away = (
            np.concatenate(column) for column in zip(*parts, strict=True)
        )
        key = _position_keys(self.ra_deg, self.dec_deg)
        # A margin may have a position twice; once is enough to look it up.
        order = np.lexsort([tile, key])
        key, tile, away = key[order], tile[order], away[order]
        once = np.r_[True, (key[1:] != key[:-1]) | (tile[1:] != tile[:-1])][: len(key)]
        self._key, self._tile, self._away = key[once], tile[once], away[once]

    def partitions(self, parts: Sequence[Pixel]) -> set[Pixel]:
        """Those of the given partitions in which suspect rows lie by their position."""
        if len(self.ra_deg) == 0:
            return set()
        index = values_of(_core.spatial_index(self.ra_deg, self.dec_deg, LARGEST_ORDER))
        holding: set[Pixel] = set()
        for order in {order for order, _ in parts}:
            pixels = np.unique(index >> np.int64(2 * (LARGEST_ORDER - order))).tolist()
            holding.update((order, pixel) for pixel in pixels)
        return holding & set(parts)

    def among(self, ra_deg: Floats, dec_deg: Floats) -> tuple[Numbers, Numbers, Floats]:
        """Which of some rows have the position of a suspect row: margins, rows and separations in arcseconds."""
        if len(self._key) == 0:
            return np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0)
        key = _position_keys(ra_deg, dec_deg)
        first, last = np.searchsorted(self._key, key, "left"), np.searchsorted(self._key, key, "right")
        times = last - first
        row = np.repeat(np.arange(len(key)), times)
        at = np.repeat(first - np.cumsum(times) + times, times) + np.arange(len(row))
        return self._tile[at], row, self._away[at]


def read_margin(rows: PartitionRows, pixel: Pixel, ra: str, dec: str, index: str | None) -> MarginRows:
    """Read the positions of the rows of one margin, and check their order.

    Parameters
    ----------
    rows
        Its rows.
    pixel
        Order and nested index of its pixel.
    ra, dec, index
        Names of the columns; without `index` the order is not checked.
    """
    parts: list[tuple[Floats, Floats]] = [(np.empty(0), np.empty(0))]
    unsorted, last = None, None
    for first_row, table in rows.batches([ra, dec, *([index] if index else [])]):
        parts.append((as_float64(table, ra), as_float64(table, dec)))
        if index is None or unsorted is not None:
            continue
        values = values_of(table.column(index))
        decreases = np.flatnonzero(values[1:] < values[:-1]) + 1
        if last is not None and values[0] < last:
            unsorted = first_row
        elif len(decreases):
            unsorted = first_row + int(decreases[0])
        last = values[-1]
    ra_deg, dec_deg = (np.concatenate(column) for column in zip(*parts, strict=True))
    separation_arcsec = np.full(len(ra_deg), np.nan)
    good = is_position(ra_deg, dec_deg)
    separation_arcsec[good] = values_of(_core.separation_arcsec(ra_deg[good], dec_deg[good], *pixel))
    return MarginRows(ra_deg, dec_deg, separation_arcsec, unsorted)


def unique_rows(parts: Sequence[ReferenceRows]) -> ReferenceRows:
    """Entries sorted by margin, partition and row, each once; it belongs if any of its copies does."""
    integers, floats = np.empty(0, np.int64), np.empty(0)
    nothing = ReferenceRows(integers, integers, integers, floats, floats, floats, np.empty(0, np.bool_))
    rows = ReferenceRows._make(np.concatenate(column) for column in zip(nothing, *parts, strict=True))
    rows = rows.at(np.lexsort([~rows.belongs, rows.row, rows.part, rows.tile]))
    repeated = np.ones(max(len(rows.row) - 1, 0), np.bool_)
    for column in rows[:3]:
        repeated &= column[1:] == column[:-1]
    return rows.at(~np.r_[False, repeated][: len(rows.row)])


def is_position(ra_deg: Floats, dec_deg: Floats) -> NDArray[np.bool_]:
    """Which pairs of coordinates are a position on the sky; a NaN is not."""
    return (np.abs(ra_deg) <= 360) & (np.abs(dec_deg) <= 90)


def _position_keys(ra_deg: Floats, dec_deg: Floats) -> NDArray[np.uint64]:
    return combined(np.stack([digests_of_numbers(ra_deg), digests_of_numbers(dec_deg)], axis=1))
