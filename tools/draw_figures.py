"""Redraw the pictures of the documentation in docs/images: `python tools/draw_figures.py`.

The same versions of the libraries give the same files.
"""

import itertools
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from skymargin import MarginCacheArguments, pipeline
from skymargin.catalogs.write_catalog import write_catalog
from skymargin.demo import MARGIN_NAME, PICTURE_NAME, run_demo
from skymargin.geometry.outline import edge_points, unit_vectors
from skymargin.plot.figures import plot_partition, plot_sky
from skymargin.plot.projection import Plane
from skymargin.plot.view import View

ARCSEC_RAD = np.pi / 648_000
# The colours of Okabe and Ito.
BLUE, ORANGE, GREEN, PINK, GREY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#8A8A8A"
MARKS = "osD^"
DEEPEST = 20
# The bound on the second derivative of an edge in the belt that docs/explanation/geometry.md derives.
BELT_BOUND = 1.797

Families = dict[str, list[tuple[int, int]]]


def draw_all(images: Path) -> list[Path]:
    """Draw every picture and return their files."""
    with tempfile.TemporaryDirectory() as folder:
        demo = Path(folder) / "demo"
        run_demo(demo, progress_bar=False)
        margin = demo / MARGIN_NAME
        save_small(demo / PICTURE_NAME, images / "margin.png")
        plot_sky(margin, picture=demo / "sky.png")
        save_small(demo / "sky.png", images / "margin_sky.png")
        polar = crowded_catalog(Path(folder), "polar", 90.0, 0.0, 120.0)
        plot_partition(polar, (9, 4**9 - 1), view="whole", picture=demo / "pole.png")
        save_small(demo / "pole.png", images / "margin_pole.png")
        cell_corner = crowded_catalog(Path(folder), "corner", 41.8103, 0.0, 60.0)
        plot_partition(cell_corner, (9, 2 * (4**9 // 3)), picture=demo / "corner.png")
        save_small(demo / "corner.png", images / "margin_corner.png")
    for draw, name in ((draw_deviation, "edge_deviation.png"), (draw_bound, "chord_bound.png")):
        figure = Figure(figsize=(12, 5), layout="constrained")
        FigureCanvasAgg(figure)
        draw(figure)
        figure.savefig(images / name, dpi=90)
        save_small(images / name, images / name)
    return sorted(images.glob("*.png"))


def crowded_catalog(folder: Path, name: str, dec_deg: float, ra_deg: float, threshold_arcsec: float) -> Path:
    """Write a catalog of random stars around a point, build its margin and return the margin's folder."""
    random = np.random.default_rng(8)
    middle = unit_vectors(np.array([ra_deg]), np.array([dec_deg]))[0]
    plane = Plane(middle)
    ra, dec = plane.unproject(*random.normal(0, 0.01, (2, 5_000)))
    write_catalog(
        pa.table({"id": np.arange(5_000), "ra": ra, "dec": dec}), folder / name, rows_per_partition=90
    )
    pipeline(
        MarginCacheArguments(
            input_catalog_path=folder / name,
            output_path=folder,
            output_artifact_name=f"{name}_margin",
            margin_threshold=threshold_arcsec,
            progress_bar=False,
        )
    )
    return folder / f"{name}_margin"


def families(order: int) -> Families:
    """Return pixels of one order at characteristic places of the sky."""
    cell = 4**order
    return {
        "at the pole": [(order, cell - 1)],
        "at the corner of three base cells (41.8 degrees)": [(order, cell // 3)],
        "on the equator": [(order, 4 * cell + corner * (cell // 3)) for corner in (1, 2)],
        "inside a polar cap (66 degrees)": [(order, cell * 13 // 16 - 1 if order > 1 else cell - 1)],
    }


def deviation_arcsec(order: int, pixel: int, edge: int) -> float:
    """Return the greatest deviation of an edge from the great circle through its two corners."""
    points = unit_vectors(*edge_points(order, pixel, edge + np.arange(1, 1_000) / 1_000))
    first, last = unit_vectors(*edge_points(order, pixel, np.array([edge, edge + 1.0])))
    # The difference of the corners keeps the digits that their cross product loses if they are close.
    normal = np.cross(first, last - first)
    normal /= np.linalg.norm(normal)
    sines = np.abs((points - first) @ normal)
    return float(np.arcsin(sines.max()) / ARCSEC_RAD)


def draw_deviation(figure: Figure) -> None:
    """Draw a polar pixel beside its great circles, and the deviation for every order."""
    left, right = figure.subplots(1, 2)
    order, pixel = 2, 4**2 - 1
    plane = Plane(unit_vectors(*edge_points(order, pixel, np.array([2.0])))[0])
    view = View(plane, np.radians(24))
    edge = view.edge(order, pixel)
    corners = unit_vectors(*edge_points(order, pixel, np.arange(5.0)))
    between = np.concatenate(
        [
            first + (last - first) * np.linspace(0, 1, 200)[:, None]
            for first, last in itertools.pairwise(corners)
        ]
    )
    between /= np.linalg.norm(between, axis=1, keepdims=True)
    ra_deg = np.degrees(np.arctan2(between[:, 1], between[:, 0]))
    dec_deg = np.degrees(np.arctan2(between[:, 2], np.hypot(between[:, 0], between[:, 1])))
    left.plot(*np.degrees(plane.project(*edge)), color="black", label="edge of the pixel")
    left.plot(
        *np.degrees(plane.project(ra_deg, dec_deg)),
        color=ORANGE,
        linestyle="--",
        label="great circles through its corners",
    )
    left.set_aspect("equal")
    left.set_xlim(17, -17)
    left.set_ylim(-25, 7)
    left.set_xlabel("from the pole (degrees)")
    left.set_ylabel("from the pole (degrees)")
    left.set_title(f"Order {order}, pixel {pixel}, whose upper corner is the pole")
    left.legend(loc="upper left")

    orders = np.arange(DEEPEST + 1)
    for (name, colour), mark in zip(
        zip(families(0), (ORANGE, PINK, BLUE, GREEN), strict=True), MARKS, strict=True
    ):
        worst = [
            max(deviation_arcsec(*pixel, edge) for pixel in families(order)[name] for edge in range(4))
            for order in orders.tolist()
        ]
        right.semilogy(orders, worst, marker=mark, markersize=4, color=colour, label=name)
    right.set_ylim(1e-8, 1e5)
    right.axhline(1.0, color=GREY, linestyle=":")
    right.text(orders[-1], 1.3, "1 arcsec", ha="right", color="#555555")
    right.set_xticks(orders[::2])
    right.set_xlabel("HEALPix order")
    right.set_ylabel("greatest deviation of an edge (arcsec)")
    right.set_title("An edge against the great circle through its corners")
    right.legend(fontsize=8)


def draw_bound(figure: Figure) -> None:
    """Draw the distance of an edge from its chords, and the bound that decisions rely on."""
    left, right = figure.subplots(1, 2)
    halvings = np.arange(8)
    for name, mark, colour, bound, (order, pixel, edge) in (
        ("in the belt, at |z| = 2/3", "o", BLUE, BELT_BOUND, (0, 4, 1)),
        ("in a cap, at the pole", "s", ORANGE, cap_bound(0.5, 0.5, 1.0), (1, 3, 0)),
    ):
        scale = 1.0 / (1 << order)
        measured = [chord_error(order, pixel, edge, 1 << int(halving)) for halving in halvings]
        length = scale / 2.0**halvings
        left.loglog(
            length,
            np.array(measured) / ARCSEC_RAD,
            marker=mark,
            linestyle="none",
            color=colour,
            label=f"measured, {name}",
        )
        left.loglog(
            length, bound * length**2 / 8 / ARCSEC_RAD, color=colour, label=f"bound, {name} (M = {bound:.3f})"
        )
    left.set_xlabel("length h of the stretch (sides of a base cell)")
    left.set_ylabel("greatest distance from the chord (arcsec)")
    left.set_title("An edge and its chords: never farther than M h²/8")
    left.legend(fontsize=8)
    z = np.linspace(0, 2 / 3, 200)
    rho = np.sqrt(1 - z**2)
    along = rho * np.pi / 4
    curve = np.hypot((4 / 9) / rho**3 + along * np.pi / 4, 2 * (z * (2 / 3) / rho) * np.pi / 4)
    right.plot(z, curve, color=BLUE, label="|e''| of an edge in the belt")
    right.axhline(BELT_BOUND, color=ORANGE, linestyle="--", label=f"M = {BELT_BOUND}")
    right.set_xlabel("z, the sine of the declination")
    right.set_ylabel("second derivative (1 / side of a base cell²)")
    right.set_ylim(0, 2)
    right.set_title("The second derivative and its bound in the belt")
    right.legend(fontsize=8)


def cap_bound(a: float, least_sigma: float, most_sigma: float) -> float:
    """Return the bound M of the caps on an edge at the distance a from a side of its base cell."""
    outwards = 0.478 * most_sigma + 2.0147 * a**2 / least_sigma**3
    return float(np.sqrt(outwards**2 + (0.469 * a) ** 2 + (2 / 3) ** 2))


def chord_error(order: int, pixel: int, edge: int, stretches: int) -> float:
    """Return the greatest distance of points of an edge from the chords of its stretches, by place on the edge."""
    worst = 0.0
    for stretch in range(stretches):
        along = edge + (stretch + np.linspace(0, 1, 101)) / stretches
        along[-1] = min(along[-1], edge + 1.0)
        points = unit_vectors(*edge_points(order, pixel, along))
        chord = points[0] + (points[-1] - points[0]) * np.linspace(0, 1, 101)[:, None]
        worst = max(worst, float(np.linalg.norm(points - chord, axis=1).max()))
    return worst


def save_small(source: Path, target: Path) -> None:
    """Save a picture with a palette, which takes a third of the bytes."""
    with Image.open(source) as picture:
        small = picture.convert("RGB").quantize(256, dither=Image.Dither.NONE)
    small.save(target, optimize=True)


if __name__ == "__main__":
    for file in draw_all(
        Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[1] / "docs/images"
    ):
        print(f"{file}: {file.stat().st_size / 1000:.0f} kB")
