"""The picture of a pixel and its margin: rows by separation, true edges, and the line at the threshold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

import skymargin._core as _core
from skymargin.arrow.columns import values_of
from skymargin.geometry.angles import ARCSEC_RAD
from skymargin.geometry.limits import LARGEST_ORDER
from skymargin.geometry.outline import bounding_circle, outline, unit_vectors
from skymargin.plot.projection import Plane
from skymargin.plot.scene import WHOLE, Scene
from skymargin.plot.view import UNITS, Rows, View

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import PathCollection
    from matplotlib.figure import Figure
    from matplotlib.legend import Legend
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

# Okabe and Ito's colours and the colour map can be told apart with any kind of colour vision.
_OWN, _OTHER, _LINE, _LACKING, _BEYOND = "#0072B2", "#8A8A8A", "#D55E00", "#000000", "#CC79A7"
_INSIDE, _BAND = "#E3EFF7", "#FBE9DC"
_COLOUR_MAP = "viridis"
# Text gets a background, so that it can be read over dots and lines.
_PAPER = {"boxstyle": "round,pad=0.2", "facecolor": "white", "edgecolor": "none", "alpha": 0.8}
_NOTE: dict[str, Any] = {"fontsize": 9, "bbox": _PAPER, "zorder": 5}
_MIDDLE: dict[str, Any] = {"ha": "center", "va": "center"}
_CROSS: dict[str, Any] = {"s": 60, "marker": "x", "color": _LACKING, "linewidths": 1.8, "zorder": 4.5}
_FRAME = {"boxstyle": "round", "facecolor": "white", "edgecolor": _LINE}
_ARROW = {"arrowstyle": "->", "color": _LINE, "shrinkB": 7, "linewidth": 1.6}

# Width of the close-up in thresholds: around the densest rows, and at most to include rows of other kinds.
_CLOSE = 5.0
_WIDEST = 8.0
# A close-up of this part of the width of the whole shows the same.
_SIMILAR = 0.6
_GRID = 300
_MOST_LABELS = 12
# The mean width of a letter of a label, the height of a label, and the radius of a dot that has one.
_LETTER_POINTS, _LABEL_POINTS, _DOT_POINTS = 5.4, 15.0, 6.5
# Partitions that cannot be read are named up to this number.
_MOST_NAMED = 3
# Rows this near to the threshold may be in the margin or not.
_ROUNDING_ARCSEC = 1e-9
# More dots than this hide each other. Rows of the margin are all drawn.
_MOST_DOTS = 20_000
# More dots than this are an image in a PDF or SVG file, which would be slow to show otherwise.
_MOST_VECTORS = 2_000
# Up to this number of rows, all are compared with all.
_FEW_ROWS = 2_000


def densest(rows: Rows, threshold_arcsec: float) -> NDArray[np.intp]:
    """Return which rows lie near the row with the most (or nearly the most) others near it, shape (k,)."""
    vectors = unit_vectors(*rows)
    candidates = vectors
    if len(rows) > _FEW_ROWS:
        # Only rows of the fullest cell of about this radius: all against all would be a matrix of billions.
        order = int(np.clip(np.floor(-np.log2(_CLOSE * threshold_arcsec * ARCSEC_RAD)), 0, LARGEST_ORDER))
        cells = values_of(_core.spatial_index(*rows, order))
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
    """Return the view of the densest group of margin rows, wide enough for rows of other kinds nearby.

    For a margin without rows it is the view of the southern corner of the pixel.
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

    distances_rad = [
        float(reach_rad(scene.margin.at(group)).max()) + threshold_rad,
        *(float(reach_rad(rows).min()) for rows in (scene.own, scene.others) if len(rows)),
    ]
    included = [distance for distance in distances_rad if distance <= _WIDEST * threshold_rad]
    half_width_rad = max(included, default=distances_rad[0]) + 0.5 * threshold_rad
    return View(plane, min(half_width_rad, whole_view(scene).half_width_rad))


def has_close_up(scene: Scene) -> bool:
    """Whether a close-up shows more than the whole pixel; not where the margin is as wide as the pixel."""
    return close_view(scene).half_width_rad < _SIMILAR * whole_view(scene).half_width_rad


def draw_both(figure: Figure, scene: Scene) -> None:
    """Draw the whole pixel on the left, and a close-up of its edge on the right."""
    whole, close = figure.subplots(1, 2)
    close_up = close_view(scene)
    _draw(whole, scene, whole_view(scene), name_separations=False)
    _point_at(whole, whole_view(scene), close_up)
    dots = _draw(close, scene, close_up)
    whole.set_title(f"{_where(scene)}\n{_contents(scene)}")
    close.set_title(f"A close-up of its edge\n{_seen(scene, close_up)}")
    _note_unreadable(whole, scene)
    _add_colours(close, dots, scene)
    _make_visible(_legend_below(figure, [whole, close]))


def draw_on(axes: Axes, scene: Scene, view: View, *, is_close: bool, legend_inside: bool) -> None:
    """Draw one view with its title, its colour bar and its legend, inside the axes or below them."""
    dots = _draw(axes, scene, view)
    axes.set_title(f"{_where(scene)}\n{_seen(scene, view) if is_close else _contents(scene)}")
    _note_unreadable(axes, scene)
    _add_colours(axes, dots, scene)
    if legend_inside:
        legend = axes.legend(loc="upper left", fontsize=8, framealpha=0.8)
        legend.set_zorder(7)
    else:
        legend = _legend_below(_figure_of(axes), [axes])
    _make_visible(legend)


def _legend_below(figure: Figure, panels: list[Axes]) -> Legend:
    entries: dict[str, Any] = {}
    for axes in panels:
        entries |= dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
    return figure.legend(
        list(entries.values()),
        list(entries),
        loc="outside lower center",
        ncols=2 * len(panels),
        frameon=False,
    )


def _figure_of(axes: Axes) -> Figure:
    figure = axes.get_figure(root=True)
    assert figure is not None
    return figure


def _make_visible(legend: Legend) -> None:
    """Enlarge the dots of a legend, which may be tiny in the picture."""
    from matplotlib.collections import PathCollection

    for handle in legend.legend_handles:
        if isinstance(handle, PathCollection):
            handle.set_sizes([max(25.0, float(handle.get_sizes()[0]))])
            handle.set_alpha(1)


def _where(scene: Scene) -> str:
    what = "" if scene.is_partition else ", an empty pixel"
    return f"{scene.name}: order {scene.order}, pixel {scene.pixel}{what}"


def _contents(scene: Scene) -> str:
    own = f"{_count(len(scene.own))} of the partition, " if scene.is_partition else ""
    if (scene.order, scene.pixel) in scene.unreadable:
        own = "the rows of the partition cannot be read, "
    return f"{own}{_count(len(scene.margin))} in its margin"


def _seen(scene: Scene, view: View) -> str:
    """What a close-up shows."""
    rows = len(scene.margin)
    if not rows:
        return "no row in its margin"
    seen = int(view.sees(scene.margin).sum())
    within = f"within {_angle(scene.threshold_arcsec)}"
    if _has_more(scene):
        within += " and, in pink, beyond"
    some = f"{seen:,} of the {_count(rows)}" if seen < rows else _count(rows)
    return f"{some} of its margin, {within}"


def _note_unreadable(axes: Axes, scene: Scene) -> None:
    if scene.unreadable:
        names = ", ".join(f"{order}/{pixel}" for order, pixel in list(scene.unreadable)[:_MOST_NAMED])
        more = len(scene.unreadable) - _MOST_NAMED
        note = f"cannot be read, rows not drawn: {names}" + (f" and {more:,} more" if more > 0 else "")
        corner: dict[str, Any] = {"transform": axes.transAxes, "ha": "right", "va": "bottom", "color": _LINE}
        axes.text(0.98, 0.015, note, gid="unreadable", **corner, **(_NOTE | {"zorder": 6}))


def _has_more(scene: Scene) -> bool:
    return bool((scene.separation_arcsec > scene.threshold_arcsec + _ROUNDING_ARCSEC).any())


def _count(rows: int) -> str:
    return f"{rows:,} row{'' if rows == 1 else 's'}" if rows else "no row"


def _add_colours(axes: Axes, dots: PathCollection, scene: Scene) -> None:
    extend = "max" if _has_more(scene) else "neither"
    label = "separation from the pixel (arcsec)"
    _figure_of(axes).colorbar(dots, ax=axes, label=label, shrink=0.85, extend=extend)


def _draw(axes: Axes, scene: Scene, view: View, *, name_separations: bool = True) -> PathCollection:
    _draw_ground(axes, scene, view)
    close = view.half_width_rad <= _WIDEST * 2 * scene.threshold_arcsec * ARCSEC_RAD
    for gid, rows, colour, label in (
        ("others", scene.others, _OTHER, "row of a neighbour, beyond the threshold"),
        ("own", scene.own, _OWN, "row of the partition"),
    ):
        visible = rows.at(view.sees(rows))
        if len(visible) == 0:
            continue
        step = -(-len(visible) // _MOST_DOTS)
        if step > 1:
            label += f" (1 of {step} drawn)"
        size, alpha = (45, 1.0) if close and len(visible) < 300 else (3, 0.55)
        style: dict[str, Any] = {"s": size, "color": colour, "alpha": alpha, "linewidths": 0, "zorder": 2}
        style["rasterized"] = len(visible) > _MOST_VECTORS
        axes.scatter(*view.place(visible.at(slice(None, None, step))), label=label, gid=gid, **style)
    dots = _draw_margin_rows(axes, scene, view)
    if len(scene.lacking):
        axes.scatter(*view.place(scene.lacking), label="row that the margin lacks", gid="lacking", **_CROSS)
    if close and name_separations:
        _write_separations(axes, scene, view)
    _finish(axes, view)
    return dots


def _point_at(axes: Axes, view: View, close_up: View) -> None:
    east, north = (float(offset[0]) for offset in view.place(Rows(*map(np.atleast_1d, close_up.middle()))))
    style: dict[str, Any] = {"color": _LINE, "bbox": _FRAME, "arrowprops": _ARROW, "zorder": 5}
    axes.annotate("close-up", (east, north), xytext=(0.5 * east, 0.5 * north), **_MIDDLE, **style)


def _write_separations(axes: Axes, scene: Scene, view: View) -> None:
    east, north = view.place(scene.margin)
    seen = np.flatnonzero(view.sees(scene.margin))
    if len(seen) > _MOST_LABELS:
        return
    seen = seen[np.argsort(east[seen])]
    labels = [f"{_three_digits(scene.separation_arcsec[row])} arcsec" for row in seen]
    # East is to the left. The layout, which comes later, may make the axes smaller.
    extent = axes.get_window_extent()
    points = 0.8 * min(extent.width, extent.height) * 72 / _figure_of(axes).dpi / (2 * view.half_width)
    places = np.column_stack((-east[seen], north[seen])) * points
    for row, label, offset in zip(seen, labels, label_offsets(places, labels), strict=True):
        if offset is not None:
            axes.annotate(
                label, (east[row], north[row]), xytext=offset, textcoords="offset points", **_MIDDLE, **_NOTE
            )


def label_offsets(places: Floats, labels: list[str]) -> list[tuple[float, float] | None]:
    """Where labels go, so that none covers another or a dot.

    Parameters
    ----------
    places
        Those of the dots, in points to the right and up, shape (k, 2).
    labels
        Their labels.

    Returns
    -------
    list
        The offset of the middle of each label from its dot, in points; None where there is no room for it.
    """
    taken: list[tuple[float, float, float]] = []
    offsets: list[tuple[float, float] | None] = []
    for number, (place, label) in enumerate(zip(places, labels, strict=True)):
        half_width = 0.5 * _LETTER_POINTS * len(label) + 2
        beside = half_width + _DOT_POINTS + 2
        others = np.delete(places, number, axis=0)
        found = None
        for offset in ((0.0, -15.0), (0.0, 15.0), (beside, 0.0), (-beside, 0.0)):
            x, y = place + offset
            apart = np.abs(others - (x, y))
            hides_dot = ((apart[:, 0] < half_width + _DOT_POINTS) & (apart[:, 1] < 7 + _DOT_POINTS)).any()
            hides_label = any(
                abs(x - left) < half_width + other and abs(y - up) < _LABEL_POINTS
                for left, up, other in taken
            )
            if not hides_dot and not hides_label:
                found = offset
                taken.append((x, y, half_width))
                break
        offsets.append(found)
    return offsets


def _draw_ground(axes: Axes, scene: Scene, view: View) -> None:
    """Draw the pixel, its neighbours, and the threshold line where it can be told apart from the edge."""
    from matplotlib.collections import LineCollection

    if scene.threshold_arcsec * ARCSEC_RAD > 4 * view.half_width_rad / _GRID:
        _draw_threshold(axes, scene, view)
    lines = [view.edge_line(*other) for other in scene.neighbours]
    if lines:
        edges = LineCollection(lines, colors=_OTHER, linewidths=1.0, label="edge of a neighbour", zorder=1.5)
        edges.set_gid("neighbours")
        axes.add_collection(edges, autolim=False)
    edge = view.place(view.edge(scene.order, scene.pixel))
    axes.fill(*edge, color=_INSIDE, zorder=0.5)
    what = "partition" if scene.is_partition else "pixel"
    axes.plot(*edge, color="black", linewidth=1.6, label=f"edge of the {what}", zorder=3, gid="edge")


def _draw_threshold(axes: Axes, scene: Scene, view: View) -> None:
    ticks = np.linspace(-view.half_width, view.half_width, _GRID)
    east, north = np.meshgrid(ticks, ticks)
    east_rad, north_rad = east.ravel() * view.unit[0], north.ravel() * view.unit[0]
    ra_deg, dec_deg = view.plane.unproject(east_rad, north_rad)
    separation = values_of(_core.separation_arcsec(ra_deg, dec_deg, scene.order, scene.pixel)).copy()
    separation[np.hypot(east_rad, north_rad) > np.pi] = np.nan
    separation = separation.reshape(east.shape)
    axes.contourf(east, north, separation, levels=[-1, scene.threshold_arcsec], colors=[_BAND], zorder=0)
    style: dict[str, Any] = {"colors": [_LINE], "linestyles": "--", "linewidths": 1.8}
    line = axes.contour(east, north, separation, levels=[scene.threshold_arcsec], zorder=3, **style)
    line.set_gid("threshold")
    label = f"threshold, {_angle(scene.threshold_arcsec)}"
    axes.plot([], [], color=_LINE, linestyle="--", linewidth=1.8, label=label)


def _draw_margin_rows(axes: Axes, scene: Scene, view: View) -> PathCollection:
    import matplotlib as mpl

    shown = max(int(view.sees(scene.margin).sum()), 1)
    size = float(np.clip(130 * (12 / shown) ** 0.6, 2, 130 if shown <= _MOST_LABELS else 60))
    beyond = _has_more(scene)
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
        rasterized=shown > _MOST_VECTORS,
    )


def _finish(axes: Axes, view: View) -> None:
    half_width, (unit_rad, unit) = view.half_width, view.unit
    axes.set_aspect("equal")
    # East is to the left, as on the sky.
    axes.set_xlim(half_width, -half_width)
    axes.set_ylim(-half_width, half_width)
    axes.set_xlabel(f"to the east ({unit})")
    axes.set_ylabel(f"to the north ({unit})")
    ra_deg, dec_deg = view.middle()
    digits = {"degrees": 2, "arcmin": 3, "arcsec": 5}[unit]
    dec = f"{dec_deg:+.{digits}f}".replace("-", "\u2212")
    centre = f"centre: RA {round(ra_deg, digits) % 360:.{digits}f}\u00b0, Dec {dec}\u00b0"
    corner: dict[str, Any] = {"transform": axes.transAxes, "ha": "right", "va": "top"}
    axes.text(0.98, 0.98, centre, **corner, **(_NOTE | {"zorder": 6}))
    bar_arcsec = round_arcsec(0.4 * view.half_width_rad / ARCSEC_RAD)
    left, height, length = 0.92 * half_width, -0.9 * half_width, bar_arcsec * ARCSEC_RAD / unit_rad
    bar = ([left, left - length], [height, height])
    axes.plot(*bar, color="black", linewidth=4, solid_capstyle="butt", zorder=6, gid="scale bar")
    length_text = f"{bar_arcsec:,g} arcsec" + (f" = {_angle(bar_arcsec)}" if bar_arcsec >= 120 else "")
    axes.text(left, height + 0.04 * half_width, length_text, ha="left", va="bottom", bbox=_PAPER, zorder=6)


def round_arcsec(about_arcsec: float) -> float:
    """Return the largest round angle that is not larger than an angle."""
    if about_arcsec < 1:
        power = 10.0 ** np.floor(np.log10(about_arcsec))
        return float(max(step for step in (1, 2, 5) if step * power <= about_arcsec) * power)
    return float(
        max(step * unit for unit, _ in UNITS for step in (1, 2, 5, 10, 20, 30) if step * unit <= about_arcsec)
    )


def _three_digits(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _angle(arcsec: float) -> str:
    """An angle in the largest unit in which it has few digits."""
    if arcsec >= 3600 and arcsec % 36 == 0:
        return f"{arcsec / 3600:g} degree{'' if arcsec == 3600 else 's'}"
    if arcsec >= 120 and arcsec % 6 == 0 and arcsec < 36_000:
        return f"{arcsec / 60:g} arcmin"
    return f"{arcsec:,.0f} arcsec" if arcsec >= 1000 and arcsec % 1 == 0 else f"{arcsec:g} arcsec"
