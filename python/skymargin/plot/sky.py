"""The picture of the whole sky, each pixel coloured by the number of rows in its margin."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import numpy as np

import skymargin._core as _core
from skymargin.arrow.columns import values_of
from skymargin.catalogs.partition_reader import PartitionRows
from skymargin.errors import PartitionReadError
from skymargin.formatting import arcsec_text, counted
from skymargin.geometry.limits import LARGEST_ORDER
from skymargin.geometry.outline import outline
from skymargin.geometry.pixels import starts_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from astropy.visualization.wcsaxes import WCSAxes
    from astropy.wcs import WCS
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from skymargin.catalogs.layout import Pixel
    from skymargin.plot.scene import MarginCatalog

_log = logging.getLogger("skymargin")

# The sky in a Mollweide projection is 4 sqrt(2) radians wide and half as high.
_WIDTH, _HEIGHT = 1200, 600
_WIDTH_DEG = float(np.degrees(4 * np.sqrt(2)))
_NONE, _UNREADABLE = "#D9D9D9", "#CC79A7"
_COLOUR_MAP = "viridis"
# A longer step of an edge jumps from one side of the map to the other.
_JUMP = _WIDTH / 4
# With more pixels than these, edges would hide the colours; coverage is drawn at an order that can be seen.
_MOST_EDGES = 3_000
_FINEST_SEEN = 8
# Up to this maximum, the colour bar has 2 and 5 beside the powers of ten.
_MANY = 2_000


def count_rows(catalog: MarginCatalog) -> tuple[list[Pixel], NDArray[np.int64]]:
    """Count the rows of all margins by the footers of their files.

    Returns
    -------
    pixels : list of (int, int)
        Order and nested index of every partition and every other pixel with a margin, in the order of the sky.
    rows : numpy.ndarray, shape (n,)
        Rows in the margin of each; -1 when a file of it cannot be read, of which a warning is logged.
    """
    pixels = sorted(
        set(catalog.primary.files) | set(catalog.margin.files), key=lambda pixel: int(starts_of(*pixel))
    )
    rows = np.zeros(len(pixels), np.int64)
    for number, pixel in enumerate(pixels):
        files = catalog.margin.file_paths(pixel)
        if files:
            try:
                with PartitionRows(files) as margin:
                    rows[number] = margin.rows
            except PartitionReadError as error:
                _log.warning("not counted: %s", error)
                rows[number] = -1
    return pixels, rows


def draw_sky(figure: Figure, catalog: MarginCatalog) -> WCSAxes:
    """Draw the map and its colour bar."""
    from astropy.visualization.wcsaxes.frame import EllipticalFrame
    from matplotlib.colors import ListedColormap, LogNorm

    pixels, counts = count_rows(catalog)
    sky = _mollweide()
    axes: WCSAxes = figure.add_subplot(projection=sky, frame_class=EllipticalFrame)
    number = pixels_at(sky, pixels)
    rows = np.where(number >= 0, counts[number], 0)
    style: dict[str, Any] = {"origin": "lower", "interpolation": "nearest"}
    for colour, where in ((_NONE, (number >= 0) & (rows == 0)), (_UNREADABLE, rows < 0)):
        plain = np.ma.masked_where(~where, np.ones_like(rows))
        axes.imshow(plain, cmap=ListedColormap([colour]), zorder=0, **style)
    most = int(counts.max(initial=0))
    scale = LogNorm(1, max(most, 2))
    image = axes.imshow(np.ma.masked_less_equal(rows, 0), cmap=_COLOUR_MAP, norm=scale, zorder=1, **style)
    image.set_gid("rows")
    if len(pixels) <= _MOST_EDGES:
        _draw_edges(axes, sky, pixels)
    has_boundary = _draw_coverage(axes, sky, catalog.primary.files)
    _label(axes)
    with_rows, unreadable = int((counts > 0).sum()), int((counts < 0).sum())
    empty = len(set(catalog.margin.files) - set(catalog.primary.files))
    about = [
        counted(len(catalog.primary.files), "partition") + (", inside the black line" if has_boundary else "")
    ]
    if empty:
        about.append(
            f"{empty:,} of the margins {'are of empty pixels' if empty > 1 else 'is of an empty pixel'}"
        )
    about += [f"{counted(unreadable, 'margin')} cannot be read"] if unreadable else []
    total = f"{counted(int(counts.clip(0).sum()), 'row')} within {arcsec_text(catalog.threshold_arcsec)}"
    axes.set_title(
        f"{catalog.margin.path.name}: {total}, in the margins of {counted(with_rows, 'pixel')}\n({'; '.join(about)})",
        pad=14,
    )
    label = "rows in the margin (grey: none" + (", pink: cannot be read)" if unreadable else ")")
    bar = figure.colorbar(image, ax=axes, label=label, shrink=0.7, pad=0.03)
    ticks = bar_ticks(most)
    bar.set_ticks(ticks, labels=[f"{tick:,}" for tick in ticks], minor=False)
    bar.minorticks_off()
    return axes


def bar_ticks(most: int) -> list[int]:
    """Numbers of rows beside the colour bar: 1, the maximum, and round numbers between that leave room for both."""
    steps = (1, 2, 5) if most < _MANY else (1,)
    powers = range(len(str(most)))
    between = [step * 10**power for power in powers for step in steps if 1 < step * 10**power < most / 1.25]
    return [1, *between, *([most] if most > 1 else [])]


def pixels_at(sky: WCS, pixels: list[Pixel]) -> NDArray[np.int64]:
    """Number of the pixel at each dot of the map, shape (height, width), -1 for none; pixels are in sky order."""
    east, north = np.meshgrid(np.arange(_WIDTH), np.arange(_HEIGHT))
    ra_deg, dec_deg = sky.pixel_to_world_values(east.ravel(), north.ravel())
    numbers = np.full(east.size, -1, np.int64)
    on_sky = np.isfinite(ra_deg) & np.isfinite(dec_deg)
    if not pixels or not on_sky.any():
        return numbers.reshape(east.shape)
    index = values_of(
        _core.spatial_index(np.mod(ra_deg[on_sky], 360), np.clip(dec_deg[on_sky], -90, 90), LARGEST_ORDER)
    )
    # Signed, as the index: numpy compares unsigned numbers with signed ones as floats.
    first = starts_of(*zip(*pixels, strict=True)).astype(np.int64)
    size = np.array([1 << (2 * (LARGEST_ORDER - order)) for order, _ in pixels])
    number = np.searchsorted(first, index, side="right") - 1
    numbers[on_sky] = np.where((number >= 0) & (index < first[number] + size[number]), number, -1)
    return numbers.reshape(east.shape)


def _mollweide() -> WCS:
    from astropy.wcs import WCS

    sky = WCS(naxis=2)
    sky.wcs.ctype = ["RA---MOL", "DEC--MOL"]
    sky.wcs.crval = [180.0, 0.0]
    sky.wcs.crpix = [_WIDTH / 2 + 0.5, _HEIGHT / 2 + 0.5]
    sky.wcs.cdelt = [-_WIDTH_DEG / _WIDTH, _WIDTH_DEG / _WIDTH]
    sky.pixel_shape = (_WIDTH, _HEIGHT)
    return sky


def _draw_edges(axes: WCSAxes, sky: WCS, pixels: Iterable[Pixel]) -> None:
    from matplotlib.collections import LineCollection

    lines = []
    for pixel in pixels:
        line = np.stack(sky.world_to_pixel_values(*outline(*pixel, points_per_edge=32)), axis=-1)
        jumps = np.flatnonzero(np.linalg.norm(np.diff(line, axis=0), axis=1) > _JUMP) + 1
        lines += np.split(line, jumps)
    axes.add_collection(
        LineCollection(lines, colors="white", linewidths=0.3, zorder=2, gid="edges"), autolim=False
    )


def _draw_coverage(axes: WCSAxes, sky: WCS, partitions: Iterable[Pixel]) -> bool:
    """Draw the boundary of the catalog; return False if there is none, as it covers the whole sky."""
    from mocpy import MOC

    cells = {
        (min(order, _FINEST_SEEN), pixel >> 2 * max(order - _FINEST_SEEN, 0)) for order, pixel in partitions
    }
    orders, pixels = (np.array(column) for column in zip(*sorted(cells), strict=True))
    covered = MOC.from_healpix_cells(pixels.astype(np.uint64), orders.astype(np.uint8), _FINEST_SEEN)
    if covered.sky_fraction == 1:
        return False
    covered.border(ax=axes, wcs=sky, color="black", linewidth=1.0, zorder=3)
    return True


def _label(axes: WCSAxes) -> None:
    from astropy import units
    from matplotlib.patheffects import withStroke

    ra, dec = axes.coords
    # The axis of right ascension is the equator: a label there would hide the map.
    ra.set_axislabel("")
    axes.text(0.5, -0.05, "right ascension (degrees)", transform=axes.transAxes, ha="center", va="top")
    dec.set_axislabel("declination (degrees)")
    for coordinate, every_deg in ((ra, np.arange(0, 360, 60)), (dec, np.arange(-60, 61, 30))):
        coordinate.set_major_formatter("d")
        coordinate.set_ticks(every_deg * units.deg)
        coordinate.grid(color="#555555", alpha=0.4, linewidth=0.5)
    ra.set_ticklabel(path_effects=[withStroke(linewidth=2.5, foreground="white")], size=8)
    dec.set_ticklabel(size=8)
