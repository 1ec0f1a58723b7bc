"""The margin of a catalog as an operation of LSDB: a graph of tasks, built for the pixels that are asked for."""

from __future__ import annotations

import gc
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import nested_pandas as npd
import numpy as np
from dask._task_spec import DataNode, Task, TaskRef
from dask.base import tokenize
from lsdb.operations.operation import HealpixGraph, Operation

from skymargin.catalogs.library_catalog import hats_pixels
from skymargin.formatting import arcsec_text
from skymargin.geometry.pixels import starts_of
from skymargin.lsdb.edges import MarginColumns, NearPixels, edges_of_frame, gather_margin
from skymargin.lsdb.stored_catalog import CatalogReader, edges_of_files
from skymargin.lsdb.tiles import NearTiles, Tiles

if TYPE_CHECKING:
    from numpy.typing import NDArray


class EdgeSource(ABC):
    """Where the rows of partitions come from; makes the tasks that find those of margins."""

    columns: MarginColumns

    @property
    @abstractmethod
    def shared(self) -> Any:
        """What all tasks get: one node of the graph."""

    @abstractmethod
    def graph(self, pixels: Sequence[Any] | None) -> HealpixGraph:
        """The tasks on which those of some partitions depend; None for all."""

    @abstractmethod
    def task(self, key: Any, shared: TaskRef, pixel: Any, before: HealpixGraph, near: NearPixels) -> Task:
        """The task of one partition; `before` is what `graph` returned."""


class ComputedPartitions(EdgeSource):
    """Partitions as an operation computes them; each is computed once, for the margin and for whatever else uses it."""

    def __init__(self, columns: MarginColumns, base: Operation) -> None:
        self.columns = columns
        self._base = base

    @property
    def shared(self) -> MarginColumns:
        """The columns."""
        return self.columns

    def graph(self, pixels: Sequence[Any] | None) -> HealpixGraph:
        """The graph of the operation."""
        return self._base.build() if pixels is None else self._base.build(pixels=list(pixels))

    def task(self, key: Any, shared: TaskRef, pixel: Any, before: HealpixGraph, near: NearPixels) -> Task:
        """Select rows of the computed frame."""
        partition = TaskRef(before.pixel_to_key_map[pixel])
        return Task(key, edges_of_frame, shared, partition, (int(pixel.order), int(pixel.pixel)), *near)


class StoredPartitions(EdgeSource):
    """Partitions in files, of which only the pages with rows of margins are read."""

    def __init__(self, reader: CatalogReader) -> None:
        self.columns = reader.columns
        self._reader = reader

    @property
    def shared(self) -> CatalogReader:
        """The reader."""
        return self._reader

    def graph(self, pixels: Sequence[Any] | None) -> HealpixGraph:  # noqa: ARG002 - of no partition
        """Nothing: files are there."""
        return HealpixGraph({}, {})

    def task(self, key: Any, shared: TaskRef, pixel: Any, before: HealpixGraph, near: NearPixels) -> Task:  # noqa: ARG002
        """Read rows from the files."""
        return Task(key, edges_of_files, shared, pixel, *near)


class MarginOperation(Operation):  # type: ignore[misc]
    """The exact margin of a catalog.

    For each partition it has one task that selects the rows of margins, and for each margin one that puts them together
    from the partitions near it.

    Parameters
    ----------
    base
        The operation of the catalog.
    tiles
        Its pixels.
    source
        Where the rows of its partitions come from.
    """

    def __init__(self, base: Operation, tiles: Tiles, source: EdgeSource) -> None:
        self._base = base
        self._tiles = tiles
        self._source = source
        # The base knows its partitions by its own objects; here they are in the order of the tiles.
        known = list(base.healpix_pixels)
        starts = starts_of([int(pixel.order) for pixel in known], [int(pixel.pixel) for pixel in known])
        self._partitions = [known[place] for place in np.argsort(starts, kind="stable").tolist()]
        self._pixels = hats_pixels(tiles.margins.orders.tolist(), tiles.margins.pixels.tolist())

    @property
    def name(self) -> str:
        """What LSDB calls it."""
        return f"Margin({arcsec_text(self._source.columns.threshold_arcsec)}, {self._base.name})"

    @cached_property
    def key_name(self) -> str:
        """The first part of the keys of its tasks."""
        partitions = self._tiles.partitions
        token: str = tokenize(
            type(self._source).__name__,
            self._base.key_name,
            partitions.orders.tobytes(),
            partitions.pixels.tobytes(),
            self._source.columns.threshold_arcsec,
        )
        return f"margin-{token}"

    def __dask_tokenize__(self) -> str:
        return self.key_name

    @property
    def meta(self) -> npd.NestedFrame:
        """A margin without rows."""
        return self._source.columns.meta

    @property
    def dependencies(self) -> list[Operation]:
        """The operation of the catalog."""
        return [self._base]

    @property
    def healpix_pixels(self) -> list[Any]:
        """The pixels that may have a margin, in the order of the sky."""
        return list(self._pixels)

    def build(self, pixels: Sequence[Any] | None = None) -> HealpixGraph:
        """Build the graph for some of its pixels, and for what they need alone; others are left out."""
        plan = self._whole_plan if pixels is None else self._plan_for(pixels)
        sources = plan.sources.tolist()
        chosen = None if pixels is None else [self._partitions[source] for source in sources]
        before = self._source.graph(chosen)
        with _without_collections():
            graph = dict(before.graph)
            shared = TaskRef(f"shared_{self.key_name}")
            meta = TaskRef(f"meta_{self.key_name}")
            graph |= {
                shared.key: DataNode(shared.key, self._source.shared),
                meta.key: DataNode(meta.key, self.meta),
            }
            edges = {}
            for source, place in zip(sources, plan.near_source.tolist(), strict=True):
                key = (f"edge_{self.key_name}", source)
                graph[key] = self._source.task(
                    key, shared, self._partitions[source], before, plan.near.of(place)
                )
                edges[source] = TaskRef(key)
            keys = {}
            bounds, near_sources = plan.near.bounds.tolist(), plan.near_sources.tolist()
            for margin, place in zip(plan.margins.tolist(), plan.near_margin.tolist(), strict=True):
                key, pixel = (self.key_name, margin), self._pixels[margin]
                near = near_sources[bounds[place] : bounds[place + 1]]
                parts = [edges[source] for source in near if source >= 0]
                graph[key] = Task(key, gather_margin, meta, (pixel.order, pixel.pixel), *parts)
                keys[pixel] = key
        return HealpixGraph(graph, keys)

    @cached_property
    def _whole_plan(self) -> _Plan:
        tiles = self._tiles
        margins, sources = np.arange(len(tiles.margins)), np.arange(len(tiles.partitions))
        near = tiles.near(tiles.margins.orders, tiles.margins.pixels)
        return _Plan(
            margins,
            margins,
            sources,
            tiles.margins.places(tiles.partitions.starts),
            near,
            tiles.sources(near),
        )

    def _plan_for(self, pixels: Sequence[Any]) -> _Plan:
        tiles = self._tiles
        margins = tiles.margins.places_of(
            [pixel.order for pixel in pixels], [pixel.pixel for pixel in pixels]
        )
        near = tiles.near(tiles.margins.orders[margins], tiles.margins.pixels[margins])
        sources = np.unique(tiles.sources(near))
        sources = sources[sources >= 0]
        # A task is the same whatever else is asked for: the sources have their own lists.
        near = near.followed_by(
            tiles.near(tiles.partitions.orders[sources], tiles.partitions.pixels[sources])
        )
        places = np.arange(len(margins) + len(sources))
        return _Plan(
            margins, places[: len(margins)], sources, places[len(margins) :], near, tiles.sources(near)
        )


@dataclass(frozen=True)
class _Plan:
    """What a graph consists of.

    Attributes
    ----------
    margins, near_margin : numpy.ndarray of int64
        Numbers of the margins that are asked for, and where in `near` the tiles near each are.
    sources, near_source : numpy.ndarray of int64
        Numbers of the partitions that they need, likewise.
    near : NearTiles
        Tiles near them.
    near_sources : numpy.ndarray of int64
        For each of these tiles the number of the partition; -1 for an empty pixel.
    """

    margins: NDArray[np.int64]
    near_margin: NDArray[np.int64]
    sources: NDArray[np.int64]
    near_source: NDArray[np.int64]
    near: NearTiles
    near_sources: NDArray[np.int64]


@contextmanager
def _without_collections() -> Iterator[None]:
    """Keep Python from looking for garbage meanwhile: among very many new tasks that takes longer than making them."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
