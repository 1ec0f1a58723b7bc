"""The viewport of a picture: a square of the sky, the unit of its axes, and rows and edges in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from skymargin.geometry.angles import ARCSEC_RAD
from skymargin.geometry.outline import edge_points

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from skymargin.plot.projection import Plane

    Floats = NDArray[np.float64]

UNITS = ((1.0, "arcsec"), (60.0, "arcmin"), (3600.0, "degrees"))
# Beyond this, near the antipode, a line would jump from one side of the plane to the other.
_FARTHEST_RAD = 3.0
# Steps of an edge are drawn as straight lines, up to this fraction of the view.
_STEP = 1 / 100
_CUTS = 16
_MOST_ROUNDS = 10


class Rows(NamedTuple):
    """Positions of rows in degrees, two arrays of shape (n,)."""

    ra_deg: Floats
    dec_deg: Floats

    def __len__(self) -> int:
        return len(self.ra_deg)

    def at(self, selection: NDArray[np.bool_] | NDArray[np.intp] | slice) -> Rows:
        """Some of the rows."""
        return Rows(self.ra_deg[selection], self.dec_deg[selection])

    @classmethod
    def concatenate(cls, parts: list[Rows]) -> Rows:
        """The rows of all parts; none when there are no parts."""
        none = cls(np.empty(0), np.empty(0))
        return cls(*(np.concatenate(column) for column in zip(none, *parts, strict=True)))


@dataclass(frozen=True)
class View:
    """A square of the sky.

    Attributes
    ----------
    plane : Plane
        Projection about its centre.
    half_width_rad : float
        Half its width, radians.
    """

    plane: Plane
    half_width_rad: float

    @property
    def unit(self) -> tuple[float, str]:
        """The unit of its axes in radians, and the name of that unit."""
        width_arcsec = 2 * self.half_width_rad / ARCSEC_RAD
        arcsec, name = [unit for unit in UNITS if width_arcsec >= 3 * unit[0] or unit is UNITS[0]][-1]
        return arcsec * ARCSEC_RAD, name

    @property
    def half_width(self) -> float:
        """Half its width in the unit of its axes."""
        return self.half_width_rad / self.unit[0]

    def place(self, rows: Rows) -> tuple[Floats, Floats]:
        """Offsets of positions to the east and north, in the unit of the axes."""
        east_rad, north_rad = self.plane.project(*rows)
        return east_rad / self.unit[0], north_rad / self.unit[0]

    def sees(self, rows: Rows) -> NDArray[np.bool_]:
        """Which positions lie in the view, shape (n,)."""
        east_rad, north_rad = self.plane.project(*rows)
        seen: NDArray[np.bool_] = np.maximum(np.abs(east_rad), np.abs(north_rad)) < self.half_width_rad
        return seen

    def middle(self) -> tuple[float, float]:
        """Right ascension and declination of its centre, degrees."""
        ra_deg, dec_deg = self.plane.unproject(np.zeros(1), np.zeros(1))
        return float(ra_deg[0]), float(dec_deg[0])

    def edge(self, order: int, pixel: int, points_per_edge: int = 64) -> Rows:
        """The edge of a pixel as a closed line, in steps too small to see where it crosses the view.

        Parameters
        ----------
        order, pixel : int
            HEALPix order and nested index.
        points_per_edge : int
            Points of each of the four edges outside the view.
        """
        along = np.arange(4 * points_per_edge + 1) / points_per_edge
        for _ in range(_MOST_ROUNDS):
            points = np.stack(self.plane.project(*edge_points(order, pixel, along)), axis=-1)
            step_rad = np.linalg.norm(np.diff(points, axis=0), axis=1)
            near = np.linalg.norm(points, axis=1) - np.sqrt(2) * self.half_width_rad
            seen = np.minimum(near[1:], near[:-1]) < step_rad
            long = np.flatnonzero(seen & (step_rad > _STEP * self.half_width_rad))
            if len(long) == 0:
                break
            cuts = np.arange(1, _CUTS) / _CUTS
            added = along[long, None] + (along[long + 1] - along[long])[:, None] * cuts
            along = np.sort(np.concatenate([along, added.ravel()]))
        return Rows(*edge_points(order, pixel, along))

    def edge_line(self, order: int, pixel: int) -> Floats:
        """The edge of a pixel as a line in the unit of the axes, shape (n, 2); NaN far outside the view."""
        line = np.stack(self.place(self.edge(order, pixel)), axis=-1)
        line[np.linalg.norm(line, axis=1) * self.unit[0] > _FARTHEST_RAD] = np.nan
        return line
