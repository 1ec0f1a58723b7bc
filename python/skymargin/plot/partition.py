"""One pixel and its margin, drawn: the rows by their separation, the true edges, the line at the threshold."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

import skymargin._core as _core
from skymargin.geometry.outline import bounding_circle, outline, unit_vectors
from skymargin.plot.projection import Plane
from skymargin.plot.scene import WHOLE, Scene
from skymargin.plot.view import ARCSEC_RAD, UNITS, Rows, View

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import PathCollection
    from matplotlib.figure import Figure
    from matplotlib.legend import Legend
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

# Okabe and Ito's colours, told apart with any kind of colour vision; so is the map of the separations.
_OWN, _OTHER, _LINE, _LACKING, _BEYOND = "#0072B2", "#8A8A8A", "#D55E00", "#000000", "#CC79A7"
_INSIDE, _BAND = "#E3EFF7", "#FBE9DC"
_COLOUR_MAP = "viridis"
# What text is written on, so that it can be read over dots and lines.
_PAPER = {"boxstyle": "round,pad=0.2", "facecolor": "white", "edgecolor": "none", "alpha": 0.8}

# The close-up shows so many thresholds around the densest rows, and so many at most to have other kinds in it.
_CLOSE = 5.0
_WIDEST = 8.0
_GRID = 300
_MOST_LABELS = 12
# Rows so near the threshold may be in the margin or not.
_ROUNDING_ARCSEC = 1e-9
# More dots than these hide each other. Rows of the margin are all drawn.
_MOST_DOTS = 20_000
# Up to so many rows each is compared with each.
_FEW_ROWS = 2_000


def densest(rows: Rows, threshold_arcsec: float) -> NDArray[np.intp]:
    """Return which rows lie near the one that has most others near it, or about most, shape (k,)."""
    vectors = unit_vectors(*rows)
    candidates = vectors
    if len(rows) > _FEW_ROWS:
        # One of the fullest cell of about the radius; all against all would be a matrix of billions.
        order = int(np.clip(np.floor(-np.log2(_CLOSE * threshold_arcsec * ARCSEC_RAD)), 0, 29))
        cells = np.asarray(_core.spatial_index(*rows, order))
        fullest, counts = np.unique(cells, return_counts=True)
        members = np.flatnonzero(cells == fullest[counts.argmax()])
        candidates = vectors[members[:: len(members) // 100 + 1]]
    near = candidates @ vectors.T >= np.cos(_CLOSE * threshold_arcsec * ARCSEC_RAD)
    return np.flatnonzero(near[near.sum(axis=1).argmax()])


def whole_view(scene: Scene) -> View:
    """Return the view of the whole pixel and its margin."""
    circle = bounding_circle(scene.order, scene.pixel)
    return View(Plane(circle.centre), WHOLE * (circle.radius_rad + scene.threshold_arcsec * ARCSEC_RAD))


def close_view(scene: Scene) -> View:
    """Return the view about the densest group of margin rows, wide enough for rows of other kinds nearby.

    A margin without rows is seen at the southern corner of its pixel.
    """
    threshold_rad = scene.threshold_arcsec * ARCSEC_RAD
    if len(scene.margin) == 0:
        return View(Plane(unit_vectors(*outline(scene.order, scene.pixel, 1))[0]), _CLOSE * threshold_rad / 2)
    group = densest(scene.margin, scene.threshold_arcsec)
    middle = unit_vectors(*scene.margin.at(group)).mean(axis=0)
    plane = Plane(middle / np.linalg.norm(middle))

    def reach_rad(rows: Rows) -> Floats:
        reach: Floats = np.abs(plane.project(*rows)).max(axis=0)
        return reach

    wanted_rad = [
        float(reach_rad(scene.margin.at(group)).max()) + threshold_rad,
        *(float(reach_rad(rows).min()) for rows in (scene.own, scene.others) if len(rows)),
    ]
    affordable = [wanted for wanted in wanted_rad if wanted <= _WIDEST * threshold_rad]
    half_width_rad = max(affordable, default=wanted_rad[0]) + 0.5 * threshold_rad
    return View(plane, min(half_width_rad, whole_view(scene).half_width_rad))


def draw_both(figure: Figure, scene: Scene) -> None:
    """Draw the whole pixel on the left, on the right a close-up of its edge."""
    whole, close = figure.subplots(1, 2)
    close_up = close_view(scene)
    _draw(whole, scene, whole_view(scene), name_separations=False)
    _point_at(whole, whole_view(scene), close_up)
    dots = _draw(close, scene, close_up)
    whole.set_title(_title(scene))
    beyond = _holds_more(scene)
    close.set_title(
        f"At its edge: rows within {_angle(scene.threshold_arcsec)} belong to the margin,\n"
        + ("which holds rows beyond the dashed line, too" if beyond else "rows beyond the dashed line do not")
    )
    _add_colours(close, dots, scene)
    entries = dict(zip(*reversed(whole.get_legend_handles_labels()), strict=True))
    entries |= dict(zip(*reversed(close.get_legend_handles_labels()), strict=True))
    legend = figure.legend(
        list(entries.values()), list(entries), loc="outside lower center", ncols=4, frameon=False
    )
    _make_visible(legend)


def draw_on(axes: Axes, scene: Scene, view: View, *, legend_inside: bool) -> PathCollection:
    """Draw one view with its title, its bar of colours and its legend, inside the axes or below them."""
    dots = _draw(axes, scene, view)
    axes.set_title(_title(scene))
    _add_colours(axes, dots, scene)
    if legend_inside:
        legend = axes.legend(loc="upper left", fontsize=8, framealpha=0.8)
        legend.set_zorder(7)
    else:
        handles, labels = axes.get_legend_handles_labels()
        legend = _figure_of(axes).legend(handles, labels, loc="outside lower center", ncols=2, frameon=False)
    _make_visible(legend)
    return dots


def _figure_of(axes: Axes) -> Figure:
    figure = axes.get_figure(root=True)
    assert figure is not None
    return figure


def _make_visible(legend: Legend) -> None:
    """Let the dots of a legend be seen, however small they are where there are many."""
    from matplotlib.collections import PathCollection

    for handle in legend.legend_handles:
        if isinstance(handle, PathCollection):
            handle.set_sizes([max(25.0, float(handle.get_sizes()[0]))])
            handle.set_alpha(1)


def _title(scene: Scene) -> str:
    rows = len(scene.margin)
    where = f"order {scene.order}, pixel {scene.pixel}"
    first = (
        f"One partition ({where}): {_count(len(scene.own))}"
        if scene.is_partition
        else f"An empty pixel ({where})"
    )
    held = f"the {_count(rows)} of its neighbours that its margin holds" if rows else "no row in its margin"
    return f"{first},\nand {held}"


def _holds_more(scene: Scene) -> bool:
    return bool((scene.separation_arcsec > scene.threshold_arcsec + _ROUNDING_ARCSEC).any())


def _count(rows: int) -> str:
    return f"{rows:,} row{'' if rows == 1 else 's'}"


def _add_colours(axes: Axes, dots: PathCollection, scene: Scene) -> None:
    _figure_of(axes).colorbar(
        dots,
        ax=axes,
        label="separation from the pixel (arcsec)",
        shrink=0.85,
        extend="max" if _holds_more(scene) else "neither",
    )


def _draw(axes: Axes, scene: Scene, view: View, *, name_separations: bool = True) -> PathCollection:
    _draw_ground(axes, scene, view)
    close = view.half_width_rad <= _WIDEST * 2 * scene.threshold_arcsec * ARCSEC_RAD
    labels = {
        "others": (scene.others, _OTHER, "row of a neighbour, beyond the threshold"),
        "own": (scene.own, _OWN, "row of the partition"),
    }
    for name, (rows, colour, label) in labels.items():
        drawn = rows.at(view.sees(rows))
        if len(drawn) == 0:
            continue
        thinned = drawn.at(slice(None, None, -(-len(drawn) // _MOST_DOTS)))
        if len(thinned) < len(drawn):
            label += f" (1 of {-(-len(drawn) // _MOST_DOTS)} drawn)"
        size = 45 if close and len(drawn) < 300 else 3
        axes.scatter(
            *view.place(thinned),
            s=size,
            color=colour,
            alpha=1 if size > 3 else 0.55,
            linewidths=0,
            label=label,
            zorder=2,
            gid=name,
        )
    dots = _draw_margin_rows(axes, scene, view)
    if len(scene.lacking):
        axes.scatter(
            *view.place(scene.lacking),
            s=60,
            marker="x",
            color=_LACKING,
            linewidths=1.8,
            label="row that the margin lacks",
            zorder=4.5,
            gid="lacking",
        )
    if close and name_separations:
        _write_separations(axes, scene, view)
    _finish(axes, view)
    return dots


def _point_at(axes: Axes, view: View, close_up: View) -> None:
    east, north = (float(offset[0]) for offset in view.place(Rows(*map(np.atleast_1d, close_up.middle()))))
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


def _write_separations(axes: Axes, scene: Scene, view: View) -> None:
    east, north = view.place(scene.margin)
    seen = np.flatnonzero(view.sees(scene.margin))
    if len(seen) > _MOST_LABELS:
        return
    # In turn above and below, so that close neighbours do not write over each other.
    for turn, row in enumerate(seen[np.argsort(east[seen])]):
        axes.annotate(
            f"{_three_digits(scene.separation_arcsec[row])} arcsec",
            (east[row], north[row]),
            xytext=(0, 15 if turn % 2 else -15),
            textcoords="offset points",
            ha="center",
            va="center",
            fontsize=9,
            bbox=_PAPER,
            zorder=5,
        )


def _draw_ground(axes: Axes, scene: Scene, view: View) -> None:
    """Draw the pixel, its edge and its neighbours', and the threshold line where it can be seen apart from the edge."""
    from matplotlib.collections import LineCollection

    half_width = view.half_width
    threshold = scene.threshold_arcsec * ARCSEC_RAD / view.unit[0]
    if threshold > 4 * half_width / _GRID:
        _draw_threshold(axes, scene, view)
    lines = [view.edge_line(*other) for other in scene.neighbours]
    if lines:
        axes.add_collection(
            LineCollection(
                lines,
                colors=_OTHER,
                linewidths=1.0,
                label="edge of a neighbour",
                zorder=1.5,
                gid="neighbours",
            ),
            autolim=False,
        )
    edge = view.place(view.edge(scene.order, scene.pixel))
    axes.fill(*edge, color=_INSIDE, zorder=0.5)
    what = "partition" if scene.is_partition else "pixel"
    axes.plot(*edge, color="black", linewidth=1.6, label=f"edge of the {what}", zorder=3, gid="edge")


def _draw_threshold(axes: Axes, scene: Scene, view: View) -> None:
    ticks = np.linspace(-view.half_width, view.half_width, _GRID)
    east, north = np.meshgrid(ticks, ticks)
    east_rad, north_rad = east.ravel() * view.unit[0], north.ravel() * view.unit[0]
    ra_deg, dec_deg = view.plane.unproject(east_rad, north_rad)
    separation = _core.separation_arcsec(ra_deg, dec_deg, scene.order, scene.pixel).to_numpy().copy()
    separation[np.hypot(east_rad, north_rad) > np.pi] = np.nan
    separation = separation.reshape(east.shape)
    axes.contourf(east, north, separation, levels=[-1, scene.threshold_arcsec], colors=[_BAND], zorder=0)
    line = axes.contour(
        east,
        north,
        separation,
        levels=[scene.threshold_arcsec],
        colors=[_LINE],
        linestyles="--",
        linewidths=1.8,
        zorder=3,
    )
    line.set_gid("threshold")
    axes.plot(
        [],
        [],
        color=_LINE,
        linestyle="--",
        linewidth=1.8,
        label=f"{_angle(scene.threshold_arcsec)} from it",
    )


def _draw_margin_rows(axes: Axes, scene: Scene, view: View) -> PathCollection:
    import matplotlib as mpl

    shown = max(int(view.sees(scene.margin).sum()), 1)
    size = float(np.clip(130 * (12 / shown) ** 0.6, 2, 130 if shown <= _MOST_LABELS else 60))
    beyond = _holds_more(scene)
    return axes.scatter(
        *view.place(scene.margin),
        s=size,
        c=scene.separation_arcsec,
        cmap=mpl.colormaps[_COLOUR_MAP].with_extremes(over=_BEYOND),
        vmin=0,
        vmax=scene.threshold_arcsec,
        edgecolors="black",
        linewidths=0.8 if size > 20 else 0.2 if size > 5 else 0,
        label="row of its margin" + (" (pink: beyond the threshold)" if beyond else ""),
        zorder=4,
        gid="margin",
    )


def _finish(axes: Axes, view: View) -> None:
    half_width, (unit_rad, unit) = view.half_width, view.unit
    axes.set_aspect("equal")
    # East is to the left, as one sees the sky.
    axes.set_xlim(half_width, -half_width)
    axes.set_ylim(-half_width, half_width)
    axes.set_xlabel(f"to the east ({unit})")
    axes.set_ylabel(f"to the north ({unit})")
    ra_deg, dec_deg = view.middle()
    digits = {"degrees": 2, "arcmin": 3, "arcsec": 5}[unit]
    axes.text(
        0.98,
        0.98,
        f"centre: RA {round(ra_deg, digits) % 360:.{digits}f}\u00b0, Dec {dec_deg:+.{digits}f}\u00b0",
        transform=axes.transAxes,
        ha="right",
        va="top",
        fontsize=9,
        bbox=_PAPER,
        zorder=6,
    )
    bar_arcsec = round_arcsec(0.4 * view.half_width_rad / ARCSEC_RAD)
    left, height, length = 0.92 * half_width, -0.9 * half_width, bar_arcsec * ARCSEC_RAD / unit_rad
    bar = ([left, left - length], [height, height])
    axes.plot(*bar, color="black", linewidth=4, solid_capstyle="butt", zorder=6, gid="scale bar")
    axes.text(
        left,
        height + 0.04 * half_width,
        f"{bar_arcsec:,g} arcsec" + (f" = {_angle(bar_arcsec)}" if bar_arcsec >= 120 else ""),
        ha="left",
        va="bottom",
        bbox=_PAPER,
        zorder=6,
    )


def round_arcsec(about_arcsec: float) -> float:
    """Return the largest round angle that is no larger."""
    if about_arcsec < 1:
        power = 10.0 ** np.floor(np.log10(about_arcsec))
        return float(max(step for step in (1, 2, 5) if step * power <= about_arcsec) * power)
    return float(
        max(step * unit for unit, _ in UNITS for step in (1, 2, 5, 10, 20, 30) if step * unit <= about_arcsec)
    )


def _three_digits(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _angle(arcsec: float) -> str:
    if arcsec >= 3600:
        return f"{arcsec / 3600:g} degree{'' if arcsec == 3600 else 's'}"
    return f"{arcsec / 60:g} arcmin" if arcsec >= 120 else f"{arcsec:g} arcsec"
