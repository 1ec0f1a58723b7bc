"""The pixels of a catalog that have margins, and which of them are near each other."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

import skymargin._core as _core
from skymargin.errors import CatalogError
from skymargin.geometry.pixels import starts_of

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Pixels:
    """Disjoint pixels in the order of the sky.

    Attributes
    ----------
    orders, pixels : numpy.ndarray of int64
        Their orders and indices.
    starts : numpy.ndarray of uint64
        Where each starts.
    """

    orders: NDArray[np.int64]
    pixels: NDArray[np.int64]
    starts: NDArray[np.uint64]

    @classmethod
    def of(cls, orders: Iterable[int], pixels: Iterable[int]) -> Pixels:
        """Pixels given in any order."""
        order_column, pixel_column = np.array(list(orders), np.int64), np.array(list(pixels), np.int64)
        starts = starts_of(order_column, pixel_column)
        sorting = np.argsort(starts, kind="stable")
        return cls(order_column[sorting], pixel_column[sorting], starts[sorting])

    def __len__(self) -> int:
        return len(self.orders)

    def places(self, starts: NDArray[np.uint64]) -> NDArray[np.int64]:
        """The place among these of each pixel that starts there; -1 for others."""
        if not len(self):
            return np.full(len(starts), -1)
        places = np.minimum(np.searchsorted(self.starts, starts), len(self) - 1)
        return np.where(self.starts[places] == starts, places, -1)

    def places_of(self, orders: Sequence[int], pixels: Sequence[int]) -> NDArray[np.int64]:
        """The places of those of some pixels that are among these, sorted, each once."""
        order_column, pixel_column = np.array(orders, np.int64), np.array(pixels, np.int64)
        places = self.places(starts_of(order_column, pixel_column))
        found = places >= 0
        # Another pixel may start at the same place.
        found[found] = self.orders[places[found]] == order_column[found]
        return np.unique(places[found])


@dataclass(frozen=True)
class NearTiles:
    """The tiles near each of some pixels.

    Attributes
    ----------
    orders, pixels : numpy.ndarray
        The tiles, those of one pixel together, in the order of the sky.
    bounds : numpy.ndarray of int64
        Those of pixel `i` are `bounds[i]` to before `bounds[i + 1]`.
    """

    orders: NDArray[np.uint8]
    pixels: NDArray[np.uint64]
    bounds: NDArray[np.int64]

    def of(self, place: int) -> tuple[NDArray[np.uint8], NDArray[np.uint64]]:
        """Orders and indices of those near one pixel."""
        chosen = slice(self.bounds[place], self.bounds[place + 1])
        return self.orders[chosen], self.pixels[chosen]

    def followed_by(self, others: NearTiles) -> NearTiles:
        """These, and then those near other pixels."""
        return NearTiles(
            np.concatenate([self.orders, others.orders]),
            np.concatenate([self.pixels, others.pixels]),
            np.concatenate([self.bounds, others.bounds[1:] + self.bounds[-1]]),
        )


class Tiles:
    """The partitions of a catalog and the empty pixels beside them, for one threshold.

    Parameters
    ----------
    orders, pixels
        The partitions.
    threshold_arcsec
        The threshold.

    Attributes
    ----------
    partitions : Pixels
        The partitions.
    margins : Pixels
        The pixels that may have a margin: the partitions, and the empty pixels within the threshold of one.

    Raises
    ------
    CatalogError
        When partitions overlap.
    """

    def __init__(self, orders: Sequence[int], pixels: Sequence[int], threshold_arcsec: float) -> None:
        self._threshold_arcsec = threshold_arcsec
        self.partitions = Pixels.of(orders, pixels)
        try:
            self._tiling = _core.Tiling(self.partitions.orders, self.partitions.pixels)
        except ValueError as error:
            raise CatalogError(f"the catalog cannot have a margin: {error}") from error
        self.margins = self._margins()

    def near(self, orders: NDArray[Any], pixels: NDArray[Any]) -> NearTiles:
        """The tiles that may lie within the threshold of each of some pixels.

        Never misses one: rows may lie outside their partition by a rounding error, and that is allowed for.
        """
        found = self._tiling.near_each(orders, pixels, self._threshold_arcsec)
        places, tile_orders, tile_pixels = (found.column(name).to_numpy() for name in found.schema.names)
        bounds = np.searchsorted(places, np.arange(len(orders) + 1, dtype=np.uint64))
        return NearTiles(tile_orders, tile_pixels, bounds)

    def sources(self, near: NearTiles) -> NDArray[np.int64]:
        """The number of the partition that each near tile is; -1 for an empty pixel."""
        return self.partitions.places(starts_of(near.orders, near.pixels))

    def _margins(self) -> Pixels:
        """The partitions, and the empty pixels that have one within the threshold."""
        empty = self._tiling.empty_pixels()
        orders, pixels = (empty.column(name).to_numpy() for name in ("order", "pixel"))
        near = self.near(orders, pixels)
        before = np.concatenate([[0], np.cumsum(self.sources(near) >= 0)])
        beside = before[near.bounds[1:]] > before[near.bounds[:-1]]
        return Pixels.of(
            [*self.partitions.orders.tolist(), *orders[beside].tolist()],
            [*self.partitions.pixels.tolist(), *pixels[beside].tolist()],
        )
