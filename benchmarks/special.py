"""Catalogs of one kind of row distribution: all in one partition, or half in one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from benchmarks.generate import SEED, TINY_SHARE, write_catalog
from benchmarks.healpix_plane import Floats, coordinates_deg, pixel_points
from benchmarks.sky import galactic_positions


@dataclass(frozen=True)
class OnePartitionSpec:
    """A catalog of one partition with a known number of rows near its border.

    `border_rows` rows lie `border_distance_arcsec` inside the middle part of one edge, all others far from
    every edge.
    """

    columns: str = "light_curves"
    rows: int = 13_700
    border_rows: int = 15
    border_distance_arcsec: float = 4.0
    order: int = 3
    pixel: int = 300
    layout: str = "today"
    seed: int = SEED

    @property
    def name(self) -> str:
        """The catalog's name, and its folder's."""
        return f"one_partition_{self.columns}_{self.rows}_rows_{self.layout}_{self.seed}"

    def write(self, path: Path, threads: int) -> None:
        """Write the catalog."""
        ra_deg, dec_deg = self._positions()
        partitions = [(self.order, self.pixel)]
        write_catalog(path, ra_deg, dec_deg, partitions, self.columns, self.layout, self.seed, threads)

    def tiny(self) -> OnePartitionSpec:
        """The same with few rows."""
        return replace(self, rows=self.rows // TINY_SHARE)

    def _positions(self) -> tuple[Floats, Floats]:
        """Positions in the pixel: the first rows just inside one edge, the others in its inner part."""
        rng = np.random.default_rng([self.seed, self.rows])
        u, v = rng.uniform(0.05, 0.95, (2, self.rows))
        # Across an edge of the belt one unit of u is sqrt((pi/4)**2 + (2/3)**2) radians long at the equator and
        # the edges are not at right angles: the distance to the edge is the area of the cell's parallelogram over
        # the edge's length.
        length = np.hypot(np.pi / 4, 2 / 3)
        height_rad = 2 * (np.pi / 4) * (2 / 3) / length
        u[: self.border_rows] = np.radians(self.border_distance_arcsec / 3600.0) / (
            height_rad * 2.0**-self.order
        )
        v[: self.border_rows] = np.linspace(0.3, 0.7, self.border_rows)
        return coordinates_deg(pixel_points(self.order, self.pixel, u, v))


@dataclass(frozen=True)
class SkewedSpec:
    """All pixels of an order as partitions; one of them holds half of the rows, spread evenly over it."""

    columns: str = "stars"
    rows: int = 10_000_000
    order: int = 2
    pixel: int = 77
    layout: str = "today"
    seed: int = SEED

    @property
    def name(self) -> str:
        """The catalog's name, and its folder's."""
        return f"skewed_{self.columns}_{self.rows}_rows_{self.layout}_{self.seed}"

    def write(self, path: Path, threads: int) -> None:
        """Write the catalog."""
        half = self.rows // 2
        u, v = np.random.default_rng([self.seed, self.rows]).uniform(0.0, 1.0, (2, half))
        parts = [
            galactic_positions(self.rows - half, self.seed),
            coordinates_deg(pixel_points(self.order, self.pixel, u, v)),
        ]
        ra_deg, dec_deg = (np.concatenate(values) for values in zip(*parts, strict=True))
        partitions = [(self.order, pixel) for pixel in range(12 * 4**self.order)]
        write_catalog(path, ra_deg, dec_deg, partitions, self.columns, self.layout, self.seed, threads)

    def tiny(self) -> SkewedSpec:
        """The same with few rows."""
        return replace(self, rows=self.rows // TINY_SHARE)
