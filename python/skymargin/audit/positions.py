"""Where the rows of a margin and of its primary are: which rows belong, by their positions alone.

Of the primary only the numbers and positions of rows that belong to a margin, or stand in one, are kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

import skymargin._core as _core
from skymargin.audit.digest import combined, digests_of_numbers
from skymargin.catalogs.partition_reader import PartitionRows, as_float64
from skymargin.errors import PositionError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from skymargin.audit.brute_force import Margins, Pixel
    from skymargin.storage.paths import AnyPath

    Floats = NDArray[np.float64]
    Numbers = NDArray[np.int64]

# Rows this near a pixel may lie in it, and rows this near the threshold beyond it.
_CLOSE_ARCSEC = 1e-6
_DEEPEST_ORDER = 29


class MarginRows(NamedTuple):
    """The rows of one margin: positions, and how far each is from the pixel (NaN where it has no position).

    `unsorted` is the first row that is out of order; None when all are in order, or there is no index.
    """

    ra_deg: Floats
    dec_deg: Floats
    separation_arcsec: Floats
    unsorted: int | None


class ReferenceRows(NamedTuple):
    """Rows of the primary that a margin should have (`wanted`) or has all the same.

    Margins and partitions by number, rows by their number in the partition; one entry for each row and margin.
    """

    tile: Numbers
    part: Numbers
    row: Numbers
    separation_arcsec: Floats
    ra_deg: Floats
    dec_deg: Floats
    wanted: NDArray[np.bool_]

    def at(self, chosen: Numbers | NDArray[np.bool_] | slice) -> ReferenceRows:
        """Some of them."""
        return ReferenceRows._make(column[chosen] for column in self)


class SuspectRows:
    """Rows of margins that are not just outside a pixel, but too far from it, or in it: looked for by position.

    Parameters
    ----------
    found
        The rows of each margin, by its number.
    threshold_arcsec
        The threshold.
    """

    def __init__(self, found: dict[int, MarginRows], threshold_arcsec: float) -> None:
        parts: list[tuple[Numbers, Floats, Floats, Floats]] = []
        for number, rows in found.items():
            away = rows.separation_arcsec
            odd = np.flatnonzero((away > threshold_arcsec - _CLOSE_ARCSEC) | (away < _CLOSE_ARCSEC))
            parts.append((np.full(len(odd), number), rows.ra_deg[odd], rows.dec_deg[odd], away[odd]))
        nothing = (np.empty(0, np.int64), np.empty(0), np.empty(0), np.empty(0))
        tile, self.ra_deg, self.dec_deg, away = (
            np.concatenate(column) for column in zip(nothing, *parts, strict=True)
        )
        key = _position_keys(self.ra_deg, self.dec_deg)
        # A position may stand in one margin twice; once is enough to find it in the primary.
        order = np.lexsort([tile, key])
        key, tile, away = key[order], tile[order], away[order]
        once = np.r_[True, (key[1:] != key[:-1]) | (tile[1:] != tile[:-1])][: len(key)]
        self._key, self._tile, self._away = key[once], tile[once], away[once]

    def partitions(self, parts: Sequence[Pixel]) -> set[Pixel]:
        """Those of some partitions that odd rows should lie in."""
        if len(self.ra_deg) == 0:
            return set()
        index = np.asarray(_core.spatial_index(self.ra_deg, self.dec_deg, _DEEPEST_ORDER))
        there = set(parts)
        found: set[Pixel] = set()
        for order in {order for order, _ in parts}:
            pixels = np.unique(index >> np.int64(2 * (_DEEPEST_ORDER - order))).tolist()
            found |= there & {(order, pixel) for pixel in pixels}
        return found

    def among(self, ra_deg: Floats, dec_deg: Floats) -> tuple[Numbers, Numbers, Floats]:
        """Which of some rows stand where odd rows do: margins, rows, and their separations in arcseconds."""
        if len(self._key) == 0:
            return np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0)
        key = _position_keys(ra_deg, dec_deg)
        first, last = np.searchsorted(self._key, key, "left"), np.searchsorted(self._key, key, "right")
        times = last - first
        row = np.repeat(np.arange(len(key)), times)
        at = np.repeat(first - np.cumsum(times) + times, times) + np.arange(len(row))
        return self._tile[at], row, self._away[at]


def read_margin(rows: PartitionRows, pixel: Pixel, ra: str, dec: str, index: str | None) -> MarginRows:
    """Positions and order of the rows of one margin.

    Parameters
    ----------
    rows
        Its rows.
    pixel
        Order and nested index of its pixel.
    ra, dec, index
        Names of the columns; without an `index` any order is right.
    """
    parts: list[tuple[Floats, Floats]] = [(np.empty(0), np.empty(0))]
    unsorted, last = None, None
    for first_row, table in rows.batches([ra, dec, *([index] if index else [])]):
        parts.append((as_float64(table, ra), as_float64(table, dec)))
        if index is None or unsorted is not None:
            continue
        values = table.column(index).to_numpy()
        falls = np.flatnonzero(values[1:] < values[:-1]) + 1
        if last is not None and values[0] < last:
            unsorted = first_row
        elif len(falls):
            unsorted = first_row + int(falls[0])
        last = values[-1]
    ra_deg, dec_deg = (np.concatenate(column) for column in zip(*parts, strict=True))
    separation_arcsec = np.full(len(ra_deg), np.nan)
    good = _is_position(ra_deg, dec_deg)
    separation_arcsec[good] = _core.separation_arcsec(ra_deg[good], dec_deg[good], *pixel).to_numpy()
    return MarginRows(ra_deg, dec_deg, separation_arcsec, unsorted)


def known_in(
    paths: Sequence[AnyPath],
    part: int,
    own: int,
    tiles: Sequence[Pixel],
    margins: Margins,
    odd: SuspectRows,
    ra: str,
    dec: str,
) -> tuple[int, list[ReferenceRows]]:
    """Rows of one partition of the primary that belong to margins, or stand in them all the same.

    Parameters
    ----------
    paths, part
        Files of the partition, and its number.
    own
        Its number among the pixels whose margins are checked; -1 when it is none of them.
    tiles, margins
        Those pixels, and their margins.
    odd
        Rows of the margins that are looked for by position.
    ra, dec
        Names of the columns.

    Returns
    -------
    int, list of ReferenceRows
        How many rows it has; and the rows, of which some may be there twice for one margin.

    Raises
    ------
    PartitionReadError
        When a file cannot be read.
    PositionError
        When a row has no position on the sky.
    """
    found: list[ReferenceRows] = []
    with PartitionRows(paths) as rows:
        for first_row, table in rows.batches([ra, dec]):
            ra_deg, dec_deg = as_float64(table, ra), as_float64(table, dec)
            bad = np.flatnonzero(~_is_position(ra_deg, dec_deg))
            if len(bad):
                raise PositionError(
                    f"{paths[0]}: row {first_row + bad[0]} of the primary catalog has no usable coordinates "
                    f"({ra}={ra_deg[bad[0]]}, {dec}={dec_deg[bad[0]]})"
                )
            chosen = [
                (
                    np.full(len(one), number),
                    one,
                    _separation_arcsec(ra_deg, dec_deg, one, tiles[number]),
                    True,
                )
                for number, one in margins.rows(ra_deg, dec_deg, own)
            ]
            for tile, row, away, wanted in [*chosen, (*odd.among(ra_deg, dec_deg), False)]:
                numbers = (tile, np.full(len(row), part), row + first_row)
                found.append(
                    ReferenceRows(*numbers, away, ra_deg[row], dec_deg[row], np.full(len(row), wanted))
                )
        return rows.rows, found


def once_each(found: Sequence[ReferenceRows]) -> ReferenceRows:
    """Rows by margin, partition and number, each once for a margin; wanted when it is so at all."""
    whole, real = np.empty(0, np.int64), np.empty(0)
    nothing = ReferenceRows(whole, whole, whole, real, real, real, np.empty(0, np.bool_))
    known = ReferenceRows._make(np.concatenate(column) for column in zip(nothing, *found, strict=True))
    known = known.at(np.lexsort([~known.wanted, known.row, known.part, known.tile]))
    again = np.ones(max(len(known.row) - 1, 0), np.bool_)
    for column in known[:3]:
        again &= column[1:] == column[:-1]
    return known.at(~np.r_[False, again][: len(known.row)])


def _separation_arcsec(ra_deg: Floats, dec_deg: Floats, rows: Numbers, pixel: Pixel) -> Floats:
    away: Floats = _core.separation_arcsec(ra_deg[rows], dec_deg[rows], *pixel).to_numpy()
    return away


def _position_keys(ra_deg: Floats, dec_deg: Floats) -> NDArray[np.uint64]:
    return combined(np.stack([digests_of_numbers(ra_deg), digests_of_numbers(dec_deg)], axis=1))


def _is_position(ra_deg: Floats, dec_deg: Floats) -> NDArray[np.bool_]:
    # Written so that a NaN is none.
    return (np.abs(ra_deg) <= 360) & (np.abs(dec_deg) <= 90)
