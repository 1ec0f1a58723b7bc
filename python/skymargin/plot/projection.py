"""The azimuthal equidistant projection of pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from skymargin.geometry.outline import unit_vectors

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Plane:
    """Azimuthal equidistant projection about a point: distances and directions from that point are true.

    It works on vectors, so that the poles and RA 0 are not special.

    Parameters
    ----------
    middle : numpy.ndarray, shape (3,)
        The unit vector of the point.
    """

    middle: Floats

    def project(self, ra_deg: Floats, dec_deg: Floats) -> tuple[Floats, Floats]:
        """Return offsets to the east and to the north, radians."""
        vectors = unit_vectors(ra_deg, dec_deg)
        east, north = self._axes()
        to_east, to_north, along = vectors @ east, vectors @ north, vectors @ self.middle
        sine = np.hypot(to_east, to_north)
        stretch = np.divide(np.arctan2(sine, along), sine, out=np.ones_like(sine), where=sine > 0)
        return to_east * stretch, to_north * stretch

    def unproject(self, east_rad: Floats, north_rad: Floats) -> tuple[Floats, Floats]:
        """Return right ascension and declination, degrees, of offsets in radians."""
        east, north = self._axes()
        angle = np.hypot(east_rad, north_rad)
        shrink = np.sinc(angle / np.pi)
        vectors = (
            np.multiply.outer(np.cos(angle), self.middle)
            + np.multiply.outer(shrink * east_rad, east)
            + np.multiply.outer(shrink * north_rad, north)
        )
        ra_deg = np.degrees(np.arctan2(vectors[..., 1], vectors[..., 0])) % 360
        return ra_deg, np.degrees(np.arctan2(vectors[..., 2], np.hypot(vectors[..., 0], vectors[..., 1])))

    def _axes(self) -> tuple[Floats, Floats]:
        east = np.array([-self.middle[1], self.middle[0], 0.0])
        length = np.linalg.norm(east)
        # At a pole, any direction can be called east.
        east = east / length if length > 0 else np.array([0.0, 1.0, 0.0])
        return east, np.cross(self.middle, east)
