"""Which margins a run makes, and which partitions it reads for them: all, or those that a cone touches.

A run of some margins writes the same files for these as a run of all: their rows come from the whole catalog, and so
do the averages that decide how files are laid out.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from skymargin.build.stages.map import MapResult
from skymargin.geometry.limits import LARGEST_ORDER, LARGEST_THRESHOLD_ARCSEC
from skymargin.geometry.pixels import pixels_of

if TYPE_CHECKING:
    from skymargin._core import Tiling
    from skymargin.catalogs.catalog import Catalog
    from skymargin.catalogs.layout import Pixel

# More than the width of the deepest pixel, in which the centre of a cone is looked for.
_SLACK_ARCSEC = 0.01


@dataclass(frozen=True)
class Scope:
    """What a run makes and reads.

    Attributes
    ----------
    sources : Catalog
        The primary catalog with only the partitions that are read.
    stamps : list of str
        One fingerprint per partition of the whole catalog, used to detect changed files.
    margins : frozenset of (int, int), or None
        The margins that are made; None for all.
    kept : list of (int, int)
        Margins of an earlier run that are taken over as they are.
    unread : list of MapResult
        What is known of the partitions that are not read, with the rows of the margins that are taken over.
    record : str
        Digest of the provenance record of the margin catalog that they are taken over from.
    """

    sources: Catalog
    stamps: list[str]
    margins: frozenset[Pixel] | None = None
    kept: list[Pixel] = field(default_factory=list)
    unread: list[MapResult] = field(default_factory=list)
    record: str = ""


def touched(tiling: Tiling, cone: tuple[float, float, float]) -> set[Pixel]:
    """The tiles that have a point within a cone: right ascension, declination and radius in degrees."""
    import numpy as np

    import skymargin._core as _core

    ra_deg, dec_deg, radius_deg = cone
    ra, dec = np.array([ra_deg]), np.array([dec_deg])
    centre = _core.spatial_index(ra, dec, LARGEST_ORDER)[0].as_py()
    radius_arcsec = min(radius_deg * 3600, LARGEST_THRESHOLD_ARCSEC)
    near = tiling.near(LARGEST_ORDER, centre, min(radius_arcsec + _SLACK_ARCSEC, LARGEST_THRESHOLD_ARCSEC))
    tiles_near = {
        (order, pixel)
        for order, pixel in pixels_of(near)
        if _core.is_within(ra, dec, order, pixel, radius_arcsec)[0].as_py()
    }
    # The tile that holds the centre is not near it, but around it.
    around = {(order, centre >> 2 * (LARGEST_ORDER - order)) for order in range(LARGEST_ORDER + 1)}
    return tiles_near | around.intersection(tiles(tiling))


def tiles(tiling: Tiling) -> list[Pixel]:
    """All partitions and empty pixels: the pixels that have a margin."""
    return [*pixels_of(tiling.partitions()), *pixels_of(tiling.empty_pixels())]
