"""The rows of a partition that belong to margins, and the rows of a margin from those of the partitions around it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import nested_pandas as npd
import numpy as np
import pandas as pd
from pandas.api.types import is_integer_dtype

import skymargin._core as _core
from skymargin.errors import PositionError
from skymargin.geometry.column_names import in_names_of
from skymargin.geometry.limits import LARGEST_ORDER
from skymargin.geometry.pixels import starts_of

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class MarginColumns:
    """What finding and ordering the rows of margins needs to know of the frames of a catalog.

    Attributes
    ----------
    catalog_name : str
        The name of the catalog.
    threshold_arcsec : float
        The threshold.
    ra, dec : str
        The coordinate columns, degrees.
    index : tuple of str
        Names that the index of a frame has when it is the spatial index.
    meta : NestedFrame
        A frame without rows.
    """

    catalog_name: str
    threshold_arcsec: float
    ra: str
    dec: str
    index: tuple[str, ...]
    meta: npd.NestedFrame


@dataclass(frozen=True)
class EdgeRows:
    """The rows of one partition that belong to margins, each once, and the margins of each.

    Attributes
    ----------
    rows : NestedFrame
        The rows, in the order of the partition.
    index : numpy.ndarray of int64
        The spatial index of each, by which margins are ordered.
    starts : numpy.ndarray of uint64
        Where the pixel of each membership starts, sorted.
    places : numpy.ndarray of int64
        The row of each membership, as a place in `rows`.
    is_numbered : bool
        Whether the index of the partition's frame only counts its rows.
    """

    rows: npd.NestedFrame
    index: NDArray[np.int64]
    starts: NDArray[np.uint64]
    places: NDArray[np.int64]
    is_numbered: bool

    def of(self, start: np.uint64) -> NDArray[np.int64]:
        """The places of the rows of one margin."""
        return self.places[np.searchsorted(self.starts, start) : np.searchsorted(self.starts, start, "right")]


@dataclass(frozen=True)
class Memberships:
    """Which rows belong to which margins.

    Attributes
    ----------
    rows : numpy.ndarray of int64
        The row of each membership, sorted.
    starts : numpy.ndarray of uint64
        Where the pixel of its margin starts.
    """

    rows: NDArray[np.int64]
    starts: NDArray[np.uint64]

    @classmethod
    def near(
        cls, rows: NDArray[Any], orders: NDArray[Any], pixels: NDArray[Any], near: NearPixels
    ) -> Memberships:
        """The memberships in margins of the near pixels.

        Those in other margins are left out: a cover also has empty pixels that are not tiles of the catalog.
        """
        starts = starts_of(orders, pixels)
        kept = np.isin(starts, starts_of(*near))
        return cls(rows[kept].astype(np.int64), starts[kept])

    def edge_rows(
        self,
        frame: npd.NestedFrame,
        index: NDArray[np.int64],
        chosen: NDArray[np.int64],
        *,
        is_numbered: bool,
    ) -> EdgeRows:
        """The memberships with their rows.

        `chosen` has the numbers of all these rows, sorted; `frame` and `index` have the rows and their spatial index in
        the same order.
        """
        sorting = np.argsort(self.starts, kind="stable")
        places = np.searchsorted(chosen, self.rows)
        return EdgeRows(frame, index, self.starts[sorting], places[sorting], is_numbered)


# Orders and indices of the tiles near a partition.
NearPixels = tuple[Any, Any]


def cover_of(
    source: tuple[int, int],
    near: NearPixels,
    threshold_arcsec: float,
    rows: int,
    index_order: int = LARGEST_ORDER,
) -> _core.Cover:
    """Where in a partition the rows of the margins of the near pixels can lie, by an index of an order.

    The catalog may have very many partitions; a task knows only those near its own.
    """
    order, pixel = source
    orders, pixels = (
        np.append(column.astype(np.int64), value) for column, value in zip(near, source, strict=True)
    )
    margins = _core.Margins(_core.Tiling(orders, pixels), threshold_arcsec)
    return margins.cover(order, pixel, rows=rows, index_order=index_order)


def edges_of_frame(
    columns: MarginColumns,
    frame: npd.NestedFrame,
    source: tuple[int, int],
    near_orders: NDArray[Any],
    near_pixels: NDArray[Any],
) -> EdgeRows:
    """The rows of a partition's frame that belong to margins of the near pixels.

    The spatial index is computed from the coordinates: the frame may have none, and what it has is not needed.
    """
    near = (near_orders, near_pixels)
    is_numbered = has_numbers(frame)
    if not len(frame):
        nowhere = Memberships(np.empty(0, np.int64), np.empty(0, np.uint64))
        return nowhere.edge_rows(frame, nowhere.rows, nowhere.rows, is_numbered=is_numbered)
    ra_deg, dec_deg = (_as_degrees(frame[name]) for name in (columns.ra, columns.dec))
    with positions_of(columns, source):
        index = _core.spatial_index(ra_deg, dec_deg).to_numpy()
        cover = cover_of(source, near, columns.threshold_arcsec, len(frame))
        rows = cover.candidates(index).to_numpy().astype(np.int64)
        selected = cover.select(rows, index[rows], ra_deg[rows], dec_deg[rows])
    members = Memberships.near(
        selected.column("row").to_numpy(),
        selected.column("margin_order").to_numpy(),
        selected.column("margin_pixel").to_numpy(),
        near,
    )
    chosen = np.unique(members.rows)
    by_index, own = index[chosen], frame.index[chosen]
    # A column that was stored as another type, or that a file lacks, orders nothing.
    if own.name in columns.index and is_integer_dtype(own.dtype) and not own.hasnans:
        by_index = own.to_numpy(dtype=np.int64)
    return members.edge_rows(frame.iloc[chosen], by_index, chosen, is_numbered=is_numbered)


def has_numbers(frame: pd.DataFrame) -> bool:
    """Whether the index of a partition's frame only counts its rows."""
    return frame.index.name is None and isinstance(frame.index, pd.RangeIndex)


def gather_margin(meta: npd.NestedFrame, margin: tuple[int, int], *edges: EdgeRows) -> npd.NestedFrame:
    """The rows of one margin, in the order of a stored one: index, partition, row of the partition.

    `edges` are those of the partitions near it, in the order of the sky; `meta` is a frame without rows.
    """
    start = np.uint64(starts_of(*margin))
    parts = [(part, places) for part in edges if len(places := part.of(start))]
    if not parts:
        return meta.copy()
    frames = [part.rows.iloc[places] for part, places in parts]
    frame = frames[0] if len(frames) == 1 else pd.concat(frames)
    sorting = np.argsort(np.concatenate([part.index[places] for part, places in parts]), kind="stable")
    frame = frame.iloc[sorting]
    if all(part.is_numbered for part, _ in parts):
        frame = frame.reset_index(drop=True)
    return npd.NestedFrame(frame)


@contextmanager
def positions_of(columns: MarginColumns, source: tuple[int, int]) -> Iterator[None]:
    """Raise errors of the core about positions with the names of the columns, the catalog and the partition."""
    try:
        with in_names_of(columns.ra, columns.dec):
            yield
    except _core.CoordinateError as error:
        order, pixel = source
        raise PositionError(
            f"the partition of order {order}, pixel {pixel} of {columns.catalog_name}: {error}"
        ) from error


def _as_degrees(column: pd.Series) -> NDArray[np.float64]:
    """A coordinate column as the core reads it; NaN for a missing value."""
    values: NDArray[np.float64] = column.to_numpy(dtype=np.float64, na_value=np.nan)
    return values
