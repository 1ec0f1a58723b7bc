"""The data of a picture, read from the catalogs: rows by kind, and the neighbouring pixels."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

import skymargin._core as _core
from skymargin.arrow.columns import values_of
from skymargin.catalogs.folder import CatalogFolder, inspect_margin
from skymargin.catalogs.layout import Pixel
from skymargin.catalogs.partition_reader import PartitionRows, as_float64
from skymargin.errors import ArgumentError, CatalogError, PartitionReadError
from skymargin.geometry.angles import ARCSEC_RAD
from skymargin.geometry.limits import LARGEST_THRESHOLD_ARCSEC
from skymargin.geometry.outline import bounding_circle, centre, unit_vectors
from skymargin.geometry.pixels import pixel_exists
from skymargin.plot.view import Rows

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray
    from upath import UPath

    from skymargin.catalogs.folder import Columns
    from skymargin.catalogs.leaf_paths import PathGenerator

    Floats = NDArray[np.float64]
    PathLike = str | os.PathLike[str] | UPath

# The whole view is this much wider than the circle around the pixel and its margin.
WHOLE = 1.04
# Partitions finer than the pixel by more orders than this are searched by their ancestors.
_FINER = 3
_NAMED = 4


@dataclass(frozen=True)
class Scene:
    """A pixel with its margin.

    Attributes
    ----------
    name : str
        The name of the margin catalog.
    order, pixel : int
        HEALPix order and nested index of the pixel.
    threshold_arcsec : float
        The threshold in the margin's properties, arcseconds.
    is_partition : bool
        Whether the pixel is a partition of the primary.
    own : Rows
        The rows of its partition.
    margin : Rows
        The rows in the file of its margin.
    separation_arcsec : numpy.ndarray, shape (len(margin),)
        Their separations from the pixel, arcseconds.
    lacking : Rows
        Rows of other partitions within the threshold that the margin lacks.
    others : Rows
        Rows of other partitions beyond the threshold, not in the margin.
    neighbours : list of (int, int)
        Partitions that the picture may show.
    unreadable : dict
        Partitions whose rows are not here because a file of them cannot be read, and why.
    """

    name: str
    order: int
    pixel: int
    threshold_arcsec: float
    is_partition: bool
    own: Rows
    margin: Rows
    separation_arcsec: Floats
    lacking: Rows
    others: Rows
    neighbours: list[Pixel]
    unreadable: dict[Pixel, str] = field(default_factory=dict)


@dataclass(frozen=True)
class MarginCatalog:
    """A margin catalog and its primary, the source of pictures."""

    margin: CatalogFolder
    primary: CatalogFolder
    threshold_arcsec: float
    columns: Columns

    def margin_rows(self, pixel: Pixel) -> Rows:
        """The rows of one margin that have a position."""
        return self._read(self.margin, pixel)

    def largest_margins(self, most: int) -> list[Pixel]:
        """Pixels with a margin, largest files first."""
        sizes = {
            pixel: sum(self.margin.sizes[name] for name in names)
            for pixel, names in self.margin.files.items()
        }
        return sorted(sizes, key=lambda pixel: (-sizes[pixel], pixel))[:most]

    def scene(self, pixel: Pixel) -> Scene:
        """Read the data of a picture of a pixel, without the rows of partitions that cannot be read.

        Raises
        ------
        ArgumentError
            When the pixel is not a partition and has no margin; names the nearest ones.
        PartitionReadError
            When the margin of the pixel cannot be read.
        """
        self._check(pixel)
        circle = bounding_circle(*pixel)
        view_rad = min(
            WHOLE * np.sqrt(2) * (circle.radius_rad + self.threshold_arcsec * ARCSEC_RAD), float(np.pi)
        )
        neighbours = [
            other for other in self._around(pixel, view_rad) if _apart_rad(pixel, other) <= view_rad
        ]
        margin = self.margin_rows(pixel)
        near = []
        unreadable: dict[Pixel, str] = {}
        for other in neighbours:
            rows = self._primary_rows(other, unreadable)
            near.append(rows.at(unit_vectors(*rows) @ circle.centre >= np.cos(view_rad)))
        around = Rows.concatenate(near)
        around = around.at(~np.isin(_as_complex(around), _as_complex(margin)))
        within = values_of(_core.is_within(*around, *pixel, self.threshold_arcsec))
        within = within.astype(bool)
        return Scene(
            name=self.margin.path.name,
            order=pixel[0],
            pixel=pixel[1],
            threshold_arcsec=self.threshold_arcsec,
            is_partition=pixel in self.primary.files,
            own=self._primary_rows(pixel, unreadable),
            margin=margin,
            separation_arcsec=values_of(_core.separation_arcsec(*margin, *pixel)),
            lacking=around.at(within),
            others=around.at(~within),
            neighbours=neighbours,
            unreadable=unreadable,
        )

    def _check(self, pixel: Pixel) -> None:
        existing = set(self.primary.files) | set(self.margin.files)
        if pixel in existing:
            return
        order, number = pixel
        if not pixel_exists(order, number):
            raise ArgumentError(
                f"pixel {order}/{number} does not exist: an order is 0 to 29, a pixel below 12 * 4**order"
            )
        middle = _middle(pixel)
        nearest = sorted(existing, key=lambda other: -float(_middle(other) @ middle))
        names = ", ".join(f"{other[0]}/{other[1]}" for other in nearest[:_NAMED])
        raise ArgumentError(
            f"pixel {order}/{number} is not allowed: {self.primary.path} has no such partition, and "
            f"{self.margin.path} no margin of it; the nearest are {names}"
        )

    def _primary_rows(self, pixel: Pixel, unreadable: dict[Pixel, str]) -> Rows:
        """The rows of a partition; one that cannot be read has none, and is added to `unreadable`."""
        try:
            return self._read(self.primary, pixel)
        except PartitionReadError as error:
            unreadable[pixel] = str(error)
            return Rows.concatenate([])

    def _read(self, catalog: CatalogFolder, pixel: Pixel) -> Rows:
        ra, dec = self.columns.ra, self.columns.dec
        with PartitionRows(catalog.file_paths(pixel)) as reader:
            tables = [table for _, table in reader.batches([ra, dec])]
        rows = Rows.concatenate([Rows(as_float64(table, ra), as_float64(table, dec)) for table in tables])
        # These comparisons leave out NaN, which has no place in a picture.
        return rows.at((np.abs(rows.ra_deg) <= 360) & (np.abs(rows.dec_deg) <= 90))

    def _around(self, pixel: Pixel, radius_rad: float) -> Iterator[Pixel]:
        """Partitions that may lie within a radius, searched by pixels of an order with few pixels in it."""
        radius_arcsec = min(radius_rad / ARCSEC_RAD, LARGEST_THRESHOLD_ARCSEC)
        near: dict[int, set[int]] = {}
        for other in sorted(set(self.primary.files) - {pixel}):
            order = min(other[0], pixel[0] + _FINER)
            if order not in near:
                near[order] = set(_core.neighbours(*pixel, order, radius_arcsec).to_pylist())
            if other[1] >> (2 * (other[0] - order)) in near[order]:
                yield other


def open_margin(
    margin: PathLike,
    primary: PathLike | None = None,
    path_generator: PathGenerator | None = None,
    primary_storage_options: Mapping[str, Any] | None = None,
) -> MarginCatalog:
    """Open a margin catalog and its primary; the arguments are those of `inspect_margin`.

    Raises
    ------
    CatalogNotFoundError, CatalogError
        When the margin or its primary does not exist, or cannot be used; names the file.
    """
    both = inspect_margin(margin, primary, path_generator, primary_storage_options)
    return MarginCatalog(both.margin, both.primary, both.threshold_arcsec, both.columns)


def check_has_rows(catalog: MarginCatalog) -> None:
    """Raise `CatalogError` for a margin catalog without files."""
    if not catalog.margin.files:
        raise CatalogError(f"{catalog.margin.path} has no rows: name a pixel to draw its surroundings")


def _apart_rad(pixel: Pixel, other: Pixel) -> float:
    """Lower bound on the distance of a pixel from the centre of another."""
    circle = bounding_circle(*other)
    return float(np.arccos(np.clip(circle.centre @ _middle(pixel), -1, 1))) - circle.radius_rad


def _middle(pixel: Pixel) -> Floats:
    ra_deg, dec_deg = centre(*pixel)
    middle: Floats = unit_vectors(np.array([ra_deg]), np.array([dec_deg]))[0]
    return middle


def _as_complex(rows: Rows) -> NDArray[np.complex128]:
    return rows.ra_deg + 1j * rows.dec_deg
