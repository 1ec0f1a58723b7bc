"""The brute force that tests compare with; it is that of the benchmarks, and uses nothing of skymargin."""

from benchmarks.brute_force import empty_pixels, margins, separations_arcsec
from benchmarks.healpix_plane import ARCSEC_RAD, coordinates_deg, edge_points, pixels_of, unit_vectors

__all__ = [
    "ARCSEC_RAD",
    "coordinates_deg",
    "edge_points",
    "empty_pixels",
    "margins",
    "pixels_of",
    "separations_arcsec",
    "unit_vectors",
]
