"""A picture of one partition with its margin: the whole of it, and a close look at its edge."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from skymargin import _core
from skymargin.formats.partition_files import partition_files
from skymargin.outline import bounding_circle, outline, unit_vectors
from skymargin.projection import Plane

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.collections import PathCollection
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

# Okabe and Ito's colours, told apart with any kind of colour vision; so is the map of the separations.
_OWN, _OTHER, _LINE = "#0072B2", "#8A8A8A", "#D55E00"
_INSIDE, _BAND = "#E3EFF7", "#FBE9DC"
_COLOUR_MAP = "viridis"
# What text is written on, so that it can be read over dots and lines.
_PAPER = {"boxstyle": "round,pad=0.2", "facecolor": "white", "edgecolor": "none", "alpha": 0.8}

_ARCSEC = np.pi / 648_000
_UNITS = ((1.0, "arcsec"), (60.0, "arcmin"), (3600.0, "degrees"))
# The whole partition is shown with this much of the circle about it; the close-up with so many thresholds
# around.
_WHOLE = 1.04
_CLOSE = 5.0
_WIDEST = 8.0
_GRID = 300
_MOST_LABELS = 12
_FINALISTS = 12


@dataclass(frozen=True)
class _Rows:
    ra_deg: Floats
    dec_deg: Floats


@dataclass(frozen=True)
class _Scene:
    order: int
    pixel: int
    threshold_arcsec: float
    own: _Rows
    margin: _Rows
    separation_arcsec: Floats
    others: _Rows


@dataclass(frozen=True)
class _View:
    """A square of the sky, and the unit its axes count in."""

    plane: Plane
    half_width_rad: float

    @property
    def unit(self) -> tuple[float, str]:
        """Radians of the unit, and its name."""
        width_arcsec = 2 * self.half_width_rad / _ARCSEC
        arcsec, name = [unit for unit in _UNITS if width_arcsec >= 3 * unit[0]][-1]
        return arcsec * _ARCSEC, name

    def place(self, rows: _Rows) -> tuple[Floats, Floats]:
        """Offsets to the east and north in the unit of the axes."""
        east_rad, north_rad = self.plane.project(rows.ra_deg, rows.dec_deg)
        return east_rad / self.unit[0], north_rad / self.unit[0]

    def seen(self, rows: _Rows) -> NDArray[np.intp]:
        """Which rows lie in the view."""
        east_rad, north_rad = self.plane.project(rows.ra_deg, rows.dec_deg)
        return np.flatnonzero(np.maximum(np.abs(east_rad), np.abs(north_rad)) < self.half_width_rad)

    @property
    def half_width(self) -> float:
        """Half the width in the unit of the axes."""
        return self.half_width_rad / self.unit[0]


def most_telling_pixel(
    catalog_path: str | Path, margin_path: str | Path, threshold_arcsec: float
) -> tuple[int, int]:
    """Return order and pixel of the partition that makes the best picture.

    That is the one whose close-up shows rows of all kinds (its own, its margin's, and such that are too far
    away), then the one with most margin rows close together, then the one with most margin rows.

    Parameters
    ----------
    catalog_path, margin_path : str or Path
        Local HATS catalogs with columns ``ra`` and ``dec``.
    threshold_arcsec : float
        The margin threshold, arcseconds.

    Raises
    ------
    ValueError
        If no partition has a margin with rows.
    """
    partitions = partition_files(catalog_path)
    interest = {}
    for pixel, path in partition_files(margin_path).items():
        rows = _read([path])
        if pixel in partitions:
            interest[pixel] = (len(_densest(rows, _CLOSE * threshold_arcsec)), len(rows.ra_deg), pixel)
    if not interest:
        raise ValueError(f"{margin_path} has no rows: there is nothing to draw")

    def kinds(pixel: tuple[int, int]) -> int:
        scene = _gather(catalog_path, margin_path, *pixel, threshold_arcsec)
        view = _close_up(scene)
        return sum(len(view.seen(rows)) > 0 for rows in (scene.own, scene.others))

    finalists = sorted(interest, key=interest.__getitem__, reverse=True)[:_FINALISTS]
    return max(finalists, key=lambda pixel: (kinds(pixel), interest[pixel]))


def draw_margin(
    catalog_path: str | Path,
    margin_path: str | Path,
    order: int,
    pixel: int,
    threshold_arcsec: float,
    picture_path: str | Path,
) -> None:
    """Draw one partition and its margin as a PNG.

    Left is the whole partition, its margin rows coloured by their separation from it; right the place at its
    edge where most of them lie together, with the line at the threshold.

    Parameters
    ----------
    catalog_path, margin_path : str or Path
        Local HATS catalogs with columns ``ra`` and ``dec``.
    order, pixel : int
        A partition whose margin has rows.
    threshold_arcsec : float
        The margin threshold, arcseconds.
    picture_path : str or Path
        The PNG file to write.

    Raises
    ------
    ValueError
        If that pixel is no partition or its margin has no rows.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    scene = _gather(catalog_path, margin_path, order, pixel, threshold_arcsec)
    figure = Figure(figsize=(13, 6.6), layout="constrained")
    FigureCanvasAgg(figure)
    whole, close = figure.subplots(1, 2)
    close_up = _close_up(scene)
    _draw_whole(whole, scene, close_up)
    dots = _draw_close(close, scene, close_up)
    figure.colorbar(dots, ax=close, label="separation from the partition (arcsec)", shrink=0.85)
    handles, labels = close.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)
    figure.savefig(str(picture_path), dpi=110)


def _read(paths: Iterable[Path]) -> _Rows:
    import pyarrow.parquet as pq

    tables = [pq.ParquetFile(path).read(columns=["ra", "dec"]) for path in paths]
    ra_deg, dec_deg = (
        np.concatenate([np.zeros(0), *(table.column(name).to_numpy() for table in tables)])
        for name in ("ra", "dec")
    )
    return _Rows(ra_deg, dec_deg)


def _densest(rows: _Rows, within_arcsec: float) -> NDArray[np.intp]:
    """Return which rows lie near the one that has most others near it."""
    vectors = unit_vectors(rows.ra_deg, rows.dec_deg)
    near = vectors @ vectors.T >= np.cos(within_arcsec * _ARCSEC)
    return np.flatnonzero(near[near.sum(axis=1).argmax()])


def _gather(
    catalog_path: str | Path, margin_path: str | Path, order: int, pixel: int, threshold_arcsec: float
) -> _Scene:
    partitions, margins = partition_files(catalog_path), partition_files(margin_path)
    if (order, pixel) not in partitions:
        raise ValueError(f"{catalog_path} has no partition of order {order}, pixel {pixel}")
    if (order, pixel) not in margins:
        raise ValueError(f"{margin_path} has no rows for order {order}, pixel {pixel}: nothing to draw")
    circle = bounding_circle(order, pixel)
    view_rad = _WHOLE * np.sqrt(2) * (circle.radius_rad + threshold_arcsec * _ARCSEC)
    near = []
    for other, path in partitions.items():
        theirs = bounding_circle(*other)
        apart_rad = np.arccos(np.clip(theirs.centre @ circle.centre, -1, 1))
        if other != (order, pixel) and apart_rad <= theirs.radius_rad + view_rad:
            near.append(path)
    margin, neighbours = _read([margins[order, pixel]]), _read(near)
    belongs = np.isin(neighbours.ra_deg, margin.ra_deg) & np.isin(neighbours.dec_deg, margin.dec_deg)
    return _Scene(
        order=order,
        pixel=pixel,
        threshold_arcsec=threshold_arcsec,
        own=_read([partitions[order, pixel]]),
        margin=margin,
        separation_arcsec=_core.separation_arcsec(margin.ra_deg, margin.dec_deg, order, pixel).to_numpy(),
        others=_Rows(neighbours.ra_deg[~belongs], neighbours.dec_deg[~belongs]),
    )


def _close_up(scene: _Scene) -> _View:
    """Return the view about the densest group of margin rows, wide enough for rows of other kinds nearby."""
    group = _densest(scene.margin, _CLOSE * scene.threshold_arcsec)
    middle = unit_vectors(scene.margin.ra_deg[group], scene.margin.dec_deg[group]).mean(axis=0)
    plane = Plane(middle / np.linalg.norm(middle))
    threshold_rad = scene.threshold_arcsec * _ARCSEC

    def reach_rad(rows: _Rows) -> Floats:
        reach: Floats = np.abs(plane.project(rows.ra_deg, rows.dec_deg)).max(axis=0)
        return reach

    wanted_rad = [
        float(reach_rad(scene.margin)[group].max()) + threshold_rad,
        *(float(reach_rad(rows).min()) for rows in (scene.own, scene.others) if len(rows.ra_deg)),
    ]
    affordable = [wanted for wanted in wanted_rad if wanted <= _WIDEST * threshold_rad]
    return _View(plane, max(affordable, default=wanted_rad[0]) + 0.5 * threshold_rad)


def _draw_whole(axes: Axes, scene: _Scene, close_up: _View) -> None:
    circle = bounding_circle(scene.order, scene.pixel)
    view = _View(Plane(circle.centre), _WHOLE * (circle.radius_rad + scene.threshold_arcsec * _ARCSEC))
    _draw_ground(axes, scene, view)
    for rows, colour in ((scene.others, _OTHER), (scene.own, _OWN)):
        axes.scatter(*view.place(rows), s=3, color=colour, alpha=0.55, linewidths=0, zorder=2)
    _draw_margin_rows(axes, scene, view, size=50)
    ra_deg, dec_deg = close_up.plane.unproject(np.zeros(1), np.zeros(1))
    east, north = (float(offset[0]) for offset in view.place(_Rows(ra_deg, dec_deg)))
    axes.annotate(
        "close-up",
        (east, north),
        xytext=(0.5 * east, 0.5 * north),
        ha="center",
        va="center",
        color=_LINE,
        bbox={"boxstyle": "round", "facecolor": "white", "edgecolor": _LINE},
        arrowprops={"arrowstyle": "->", "color": _LINE, "shrinkB": 7, "linewidth": 1.6},
        zorder=5,
    )
    axes.set_title(
        f"One partition (order {scene.order}, pixel {scene.pixel}): {len(scene.own.ra_deg):,} rows,\n"
        f"and the {len(scene.margin.ra_deg):,} rows of its neighbours that its margin holds"
    )
    _finish(axes, view)


def _draw_close(axes: Axes, scene: _Scene, view: _View) -> PathCollection:
    _draw_ground(axes, scene, view)
    for rows, colour, label in (
        (scene.own, _OWN, "row of the partition"),
        (scene.others, _OTHER, "row of a neighbour, too far away"),
    ):
        axes.scatter(*view.place(rows), s=45, color=colour, linewidths=0, label=label, zorder=2)
    dots = _draw_margin_rows(axes, scene, view, size=130)
    _write_separations(axes, scene, view)
    axes.set_title(
        f"At its edge: rows within {_angle(scene.threshold_arcsec)} belong to the margin,\n"
        "rows beyond the dashed line do not"
    )
    _finish(axes, view)
    return dots


def _write_separations(axes: Axes, scene: _Scene, view: _View) -> None:
    east, north = view.place(scene.margin)
    seen = view.seen(scene.margin)
    # In turn above and below, so that close neighbours do not write over each other.
    for turn, row in enumerate(seen[np.argsort(east[seen])][:_MOST_LABELS]):
        axes.annotate(
            f"{scene.separation_arcsec[row]:.1f} arcsec",
            (east[row], north[row]),
            xytext=(0, 15 if turn % 2 else -15),
            textcoords="offset points",
            ha="center",
            va="center",
            fontsize=9,
            bbox=_PAPER,
            zorder=5,
        )


def _draw_ground(axes: Axes, scene: _Scene, view: _View) -> None:
    """Draw the partition, its true edge and, where it can be seen apart from the edge, the threshold line."""
    half_width = view.half_width
    threshold = scene.threshold_arcsec * _ARCSEC / view.unit[0]
    if threshold > 4 * half_width / _GRID:
        ticks = np.linspace(-half_width, half_width, _GRID)
        east, north = np.meshgrid(ticks, ticks)
        ra_deg, dec_deg = view.plane.unproject(east.ravel() * view.unit[0], north.ravel() * view.unit[0])
        separation = _core.separation_arcsec(ra_deg, dec_deg, scene.order, scene.pixel).to_numpy()
        separation = separation.reshape(east.shape)
        axes.contourf(east, north, separation, levels=[-1, scene.threshold_arcsec], colors=[_BAND], zorder=0)
        axes.contour(
            east,
            north,
            separation,
            levels=[scene.threshold_arcsec],
            colors=[_LINE],
            linestyles="--",
            linewidths=1.8,
            zorder=3,
        )
        label = f"{_angle(scene.threshold_arcsec)} from the partition"
        axes.plot([], [], color=_LINE, linestyle="--", linewidth=1.8, label=label)
    edge = view.place(_Rows(*outline(scene.order, scene.pixel, points_per_edge=4096)))
    axes.fill(*edge, color=_INSIDE, zorder=0.5)
    axes.plot(*edge, color="black", linewidth=1.6, label="edge of the partition", zorder=3)


def _draw_margin_rows(axes: Axes, scene: _Scene, view: _View, size: float) -> PathCollection:
    return axes.scatter(
        *view.place(scene.margin),
        s=size,
        c=scene.separation_arcsec,
        cmap=_COLOUR_MAP,
        vmin=0,
        vmax=scene.threshold_arcsec,
        edgecolors="black",
        linewidths=0.8,
        label="row of its margin",
        zorder=4,
    )


def _finish(axes: Axes, view: _View) -> None:
    half_width, (unit_rad, unit) = view.half_width, view.unit
    axes.set_aspect("equal")
    # East is to the left, as one sees the sky.
    axes.set_xlim(half_width, -half_width)
    axes.set_ylim(-half_width, half_width)
    axes.set_xlabel(f"to the east ({unit})")
    axes.set_ylabel(f"to the north ({unit})")
    ra_deg, dec_deg = view.plane.unproject(np.zeros(1), np.zeros(1))
    axes.text(
        0.98,
        0.98,
        f"centre: RA {ra_deg[0]:.2f}\u00b0, Dec {dec_deg[0]:+.2f}\u00b0",
        transform=axes.transAxes,
        ha="right",
        va="top",
        fontsize=9,
        bbox=_PAPER,
        zorder=6,
    )
    bar_arcsec = _round_arcsec(0.4 * view.half_width_rad / _ARCSEC)
    left, height, length = 0.92 * half_width, -0.9 * half_width, bar_arcsec * _ARCSEC / unit_rad
    bar = ([left, left - length], [height, height])
    axes.plot(*bar, color="black", linewidth=4, solid_capstyle="butt", zorder=6)
    axes.text(
        left - length / 2,
        height + 0.04 * half_width,
        _angle(bar_arcsec),
        ha="center",
        va="bottom",
        bbox=_PAPER,
        zorder=6,
    )


def _round_arcsec(about_arcsec: float) -> float:
    """Return the largest of the round angles that is no larger."""
    steps = [step * unit for unit, _ in _UNITS for step in (1, 2, 5, 10, 20, 30)]
    return max((step for step in steps if step <= about_arcsec), default=about_arcsec)


def _angle(arcsec: float) -> str:
    if arcsec >= 3600:
        return f"{arcsec / 3600:g} degree{'' if arcsec == 3600 else 's'}"
    return f"{arcsec / 60:g} arcmin" if arcsec >= 120 else f"{arcsec:g} arcsec"
