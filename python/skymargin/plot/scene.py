"""What a picture of a margin shows, read from the catalogs: rows by their kind, and the pixels around."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

import skymargin._core as _core
from skymargin.catalogs.folder import (
    CatalogFolder,
    Pixel,
    check_primary,
    coordinate_columns,
    inspect_catalog,
    inspect_primary,
    primary_of,
    stated_threshold_arcsec,
)
from skymargin.catalogs.partition_reader import PartitionRows, as_float64
from skymargin.errors import ArgumentError, CatalogError
from skymargin.geometry.outline import bounding_circle, centre, unit_vectors
from skymargin.plot.view import ARCSEC_RAD, Rows
from skymargin.storage.paths import as_path

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from upath import UPath

    from skymargin.catalogs.folder import Columns

    Floats = NDArray[np.float64]
    PathLike = str | os.PathLike[str] | UPath

# The whole pixel is shown with this much of the circle about it.
WHOLE = 1.04
_LARGEST_RADIUS_ARCSEC = 324_000.0
# Partitions so many orders finer than the pixel are looked for by their ancestors.
_FINER = 3
_NAMED = 4


@dataclass(frozen=True)
class Scene:
    """A pixel with its margin.

    Attributes
    ----------
    order, pixel : int
        The pixel.
    threshold_arcsec : float
        The threshold that the margin states.
    is_partition : bool
        Whether the primary has rows there.
    own : Rows
        The rows of its partition.
    margin : Rows
        The rows of its margin, as they are in the file.
    separation_arcsec : numpy.ndarray, shape (len(margin),)
        How far each of these is from the pixel.
    lacking : Rows
        Rows of other partitions within the threshold that the margin does not have.
    others : Rows
        Rows of other partitions beyond it, not in the margin.
    neighbours : list of (int, int)
        Partitions that the picture may show.
    """

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


@dataclass(frozen=True)
class MarginCatalog:
    """A margin catalog and its primary, of which pictures are drawn."""

    margin: CatalogFolder
    primary: CatalogFolder
    threshold_arcsec: float
    columns: Columns

    def margin_rows(self, pixel: Pixel) -> Rows:
        """The rows of one margin that have a position."""
        return self._read(self.margin, pixel)

    def largest_margins(self, most: int) -> list[Pixel]:
        """Pixels with a margin, those of the largest files first."""
        sizes = {
            pixel: sum(self.margin.sizes[name] for name in names)
            for pixel, names in self.margin.files.items()
        }
        return sorted(sizes, key=lambda pixel: (-sizes[pixel], pixel))[:most]

    def scene(self, pixel: Pixel) -> Scene:
        """Read what a picture of a pixel shows.

        Raises
        ------
        ArgumentError
            When the pixel is no partition and has no margin. Names those nearest.
        PartitionReadError
            When a file cannot be read.
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
        near = [Rows(np.empty(0), np.empty(0))]
        for other in neighbours:
            rows = self._read(self.primary, other)
            near.append(rows.at(unit_vectors(*rows) @ circle.centre >= np.cos(view_rad)))
        around = Rows(*(np.concatenate(column) for column in zip(*near, strict=True)))
        around = around.at(~np.isin(_places(around), _places(margin)))
        within = _core.is_within(*around, *pixel, self.threshold_arcsec).to_numpy(zero_copy_only=False)
        within = within.astype(bool)
        return Scene(
            order=pixel[0],
            pixel=pixel[1],
            threshold_arcsec=self.threshold_arcsec,
            is_partition=pixel in self.primary.files,
            own=self._read(self.primary, pixel),
            margin=margin,
            separation_arcsec=_core.separation_arcsec(*margin, *pixel).to_numpy(),
            lacking=around.at(within),
            others=around.at(~within),
            neighbours=neighbours,
        )

    def _check(self, pixel: Pixel) -> None:
        known = set(self.primary.files) | set(self.margin.files)
        if pixel in known:
            return
        order, number = pixel
        if not (0 <= order <= 29 and 0 <= number < 12 << (2 * order)):
            raise ArgumentError(
                f"pixel {order}/{number} does not exist: an order is 0 to 29, a pixel below 12 * 4**order"
            )
        middle = _middle(pixel)
        nearest = sorted(known, key=lambda other: -float(_middle(other) @ middle))
        names = ", ".join("/".join(map(str, other)) for other in nearest[:_NAMED])
        raise ArgumentError(
            f"pixel {order}/{number} is not allowed: {self.primary.path} has no such partition, and "
            f"{self.margin.path} no margin of it; those nearest are {names}"
        )

    def _read(self, catalog: CatalogFolder, pixel: Pixel) -> Rows:
        ra, dec = self.columns.ra, self.columns.dec
        parts = [(np.empty(0), np.empty(0))]
        with PartitionRows(catalog.file_paths(pixel)) as rows:
            for _, table in rows.batches([ra, dec]):
                parts.append((as_float64(table, ra), as_float64(table, dec)))
        found = Rows(*(np.concatenate(column) for column in zip(*parts, strict=True)))
        # Written so that a NaN, which is nowhere on a picture, is left out.
        return found.at((np.abs(found.ra_deg) <= 360) & (np.abs(found.dec_deg) <= 90))

    def _around(self, pixel: Pixel, radius_rad: float) -> Iterator[Pixel]:
        """Partitions that may lie within a radius, by pixels of an order that has few of them there."""
        radius_arcsec = min(radius_rad / ARCSEC_RAD, _LARGEST_RADIUS_ARCSEC)
        near: dict[int, set[int]] = {}
        for other in sorted(set(self.primary.files) - {pixel}):
            look = min(other[0], pixel[0] + _FINER)
            if look not in near:
                near[look] = set(_core.neighbours(*pixel, look, radius_arcsec).to_pylist())
            if other[1] >> (2 * (other[0] - look)) in near[look]:
                yield other


def open_margin(margin: PathLike, primary: PathLike | None) -> MarginCatalog:
    """Find a margin catalog and its primary.

    Raises
    ------
    CatalogNotFoundError, CatalogError
        When there is no margin or no primary, or they cannot be used. Names the file.
    """
    one = inspect_catalog(as_path(margin))
    threshold_arcsec = stated_threshold_arcsec(one)
    other = inspect_primary(primary_of(one) if primary is None else as_path(primary))
    check_primary(other)
    return MarginCatalog(one, other, threshold_arcsec, coordinate_columns(other, other.schema()))


def check_has_rows(catalog: MarginCatalog) -> None:
    """Refuse a margin without files.

    Raises
    ------
    CatalogError
        Which names it.
    """
    if not catalog.margin.files:
        raise CatalogError(f"{catalog.margin.path} has no rows: name a pixel to draw its surroundings")


def _apart_rad(pixel: Pixel, other: Pixel) -> float:
    """Least distance that a pixel may have from the middle of another."""
    circle, theirs = bounding_circle(*pixel), bounding_circle(*other)
    return float(np.arccos(np.clip(theirs.centre @ circle.centre, -1, 1))) - theirs.radius_rad


def _middle(pixel: Pixel) -> Floats:
    ra_deg, dec_deg = centre(*pixel)
    middle: Floats = unit_vectors(np.array([ra_deg]), np.array([dec_deg]))[0]
    return middle


def _places(rows: Rows) -> NDArray[np.complex128]:
    return rows.ra_deg + 1j * rows.dec_deg
