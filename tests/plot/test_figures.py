"""Pictures of margins: what is drawn is what is in the files and on the edges, and it says its units."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cdshealpix.nested
import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PathCollection
from matplotlib.figure import Figure
from PIL import Image

from skymargin.cli.main import main
from skymargin.errors import ArgumentError, CatalogError, MissingExtraError
from skymargin.geometry.angles import ARCSEC_RAD
from skymargin.geometry.outline import bounding_circle, centre, unit_vectors
from skymargin.plot.figures import most_telling_pixel, plot_partition, plot_sky
from skymargin.plot.partition import close_view, densest, round_arcsec, whole_view
from skymargin.plot.projection import Plane
from skymargin.plot.scene import open_margin
from skymargin.plot.view import Rows, View
from tests.support import brute_force
from tests.support.catalogs import (
    MIXED_PARTITIONS,
    Pixel,
    files_of,
    make_margin,
    sky_near_edges,
    write_catalog,
)
from tests.support.hipscat_catalogs import write_hipscat_catalog
from tests.support.workspace import Workspace

THRESHOLD_ARCSEC = 1_800.0
# The partition whose northern corner is the pole; one at a corner of three base cells; one that RA 0 runs through.
POLE, CORNER, AT_RA_0 = (3, 63), (1, 16), (1, 19)
SKY = sky_near_edges(MIXED_PARTITIONS, 3_000, THRESHOLD_ARCSEC, seed=11)


def artists(axes: Axes, name: str) -> list[Any]:
    return [artist for artist in axes.get_children() if artist.get_gid() == name]


def drawn(axes: Axes, name: str) -> np.ndarray:
    """Where the dots or the lines of a name are, one row for each."""
    (artist,) = artists(axes, name)
    if isinstance(artist, PathCollection):
        return np.asarray(artist.get_offsets())
    if isinstance(artist, LineCollection):
        return np.concatenate([line for line in artist.get_segments() if len(line)])
    return np.stack(artist.get_data(), axis=-1)


def sky_vectors(points: np.ndarray, view: View) -> np.ndarray:
    """Unit vectors of what is at some place of a picture."""
    return unit_vectors(*view.plane.unproject(*(points * view.unit[0]).T))


def of_rows(rows: list[int]) -> np.ndarray:
    return unit_vectors(SKY.ra_deg[rows], SKY.dec_deg[rows])


def same_places(left: np.ndarray, right: np.ndarray) -> bool:
    """Whether two sets of unit vectors are the same, to a hundred-thousandth of an arcsecond."""
    assert left.shape == right.shape
    apart = np.linalg.norm(left[:, None] - right[None], axis=-1)
    return bool(max(apart.min(axis=0).max(), apart.min(axis=1).max()) < 5e-11)


@pytest.mark.parametrize("pixel", [POLE, CORNER, AT_RA_0])
def test_the_dots_are_the_rows_that_brute_force_finds(pixel: Pixel, made: Workspace) -> None:
    figure = plot_partition(made.margin, pixel, view="whole")
    axes = figure.axes[0]
    view = whole_view(open_margin(made.margin, None).scene(pixel))
    members = SKY.margins(THRESHOLD_ARCSEC)[pixel]
    dots = drawn(axes, "margin")
    assert same_places(sky_vectors(dots, view), of_rows(members))
    (artist,) = artists(axes, "margin")
    colours = np.asarray(artist.get_array())
    ra_deg, dec_deg = view.plane.unproject(*(dots * view.unit[0]).T)
    assert np.abs(colours - brute_force.separations_arcsec(ra_deg, dec_deg, *pixel)).max() < 1e-3
    mine = np.flatnonzero(SKY.lies_in(*pixel)).tolist()
    assert same_places(sky_vectors(drawn(axes, "own"), view), of_rows(mine))
    # Every other row in view is grey: none is lost, none is drawn twice.
    rest = sorted(set(range(len(SKY))) - set(members) - set(mine))
    seen = view.sees(Rows(SKY.ra_deg[rest], SKY.dec_deg[rest]))
    assert same_places(sky_vectors(drawn(axes, "others"), view), of_rows(np.array(rest)[seen].tolist()))
    assert not artists(axes, "lacking")


@pytest.mark.parametrize("name", ["whole", "close-up"])
@pytest.mark.parametrize("pixel", [POLE, CORNER, AT_RA_0])
def test_the_lines_are_the_edges_and_the_threshold(pixel: Pixel, name: str, made: Workspace) -> None:
    axes = plot_partition(made.margin, pixel, view=name).axes[0]  # type: ignore[arg-type]
    scene = open_margin(made.margin, None).scene(pixel)
    view = whole_view(scene) if name == "whole" else close_view(scene)
    edge = sky_vectors(drawn(axes, "edge"), view)
    ra_deg = np.degrees(np.arctan2(edge[:, 1], edge[:, 0]))
    dec_deg = np.degrees(np.arctan2(edge[:, 2], np.hypot(edge[:, 0], edge[:, 1])))
    # The nearest corners of the library are on the line, and all of the line is on the edge.
    lon, lat = cdshealpix.nested.vertices(np.array([pixel[1]], dtype=np.uint64), pixel[0])
    corners = unit_vectors(lon.deg[0], lat.deg[0])
    assert np.linalg.norm(edge[:, None] - corners[None], axis=-1).min(axis=0).max() < 1e-12
    assert brute_force.separations_arcsec(ra_deg, dec_deg, *pixel).max() < 1e-3
    assert edge.std(axis=0).max() > 0.01
    if name == "close-up":
        (line,) = artists(axes, "threshold")
        points = np.concatenate([path.vertices for path in line.get_paths()])
        on_sky = view.plane.unproject(*(points * view.unit[0]).T)
        apart = brute_force.separations_arcsec(*on_sky, *pixel)
        assert len(points) > 100
        assert np.abs(apart - THRESHOLD_ARCSEC).max() < 0.01 * THRESHOLD_ARCSEC
    # Every neighbour that touches the pixel has its edge there.
    touching = {
        other for other in MIXED_PARTITIONS if other != pixel and shares_an_edge_or_corner(pixel, other)
    }
    assert len(touching) > 3
    assert touching <= set(scene.neighbours)
    (lines,) = artists(axes, "neighbours")
    assert len(lines.get_segments()) == len(scene.neighbours)


def shares_an_edge_or_corner(pixel: Pixel, other: Pixel) -> bool:
    finest = max(pixel[0], other[0])
    around = cdshealpix.external_neighbours(
        np.array([pixel[1]], dtype=np.uint64), pixel[0], finest - pixel[0]
    )
    near = np.concatenate([np.ravel(part).astype(np.int64) for part in around])
    return bool(np.isin(other[1], near[near >= 0] >> (2 * (finest - other[0]))))


@pytest.mark.parametrize("view", ["whole", "close-up"])
def test_axes_say_their_units_and_the_bar_its_length(view: str, made: Workspace) -> None:
    figure = plot_partition(made.margin, POLE, view=view)  # type: ignore[arg-type]
    axes, colours = figure.axes
    scene = open_margin(made.margin, None).scene(POLE)
    seen = whole_view(scene) if view == "whole" else close_view(scene)
    unit = {"arcsec": 1.0, "arcmin": 60.0, "degrees": 3600.0}
    name = axes.get_xlabel().removeprefix("to the east (").removesuffix(")")
    assert axes.get_ylabel() == f"to the north ({name})"
    assert seen.unit == (unit[name] * ARCSEC_RAD, name)
    assert colours.get_ylabel() == "separation from the pixel (arcsec)"
    assert axes.get_xlim()[0] > 0 > axes.get_xlim()[1]
    assert axes.get_aspect() == 1
    (said,) = [
        text.get_text() for text in axes.texts if " arcsec" in text.get_text() and "=" in text.get_text()
    ]
    bar = drawn(axes, "scale bar")
    length_arcsec = float(said.partition(" arcsec")[0].replace(",", ""))
    assert abs(bar[1, 0] - bar[0, 0]) * unit[name] == pytest.approx(length_arcsec, rel=1e-12)


@given(
    st.floats(-90, 90) | st.sampled_from([-90.0, 90.0, 0.0, 41.8103]),
    st.floats(0, 360),
    st.integers(0, 20),
    st.floats(1e-9, 1.2),
)
def test_an_edge_has_no_visible_steps_in_any_view(
    dec_deg: float, ra_deg: float, order: int, half_width_rad: float
) -> None:
    middle = unit_vectors(np.array([ra_deg]), np.array([dec_deg]))[0]
    pixel = int(brute_force.pixels_of([ra_deg], [dec_deg], order)[0])
    view = View(Plane(middle), half_width_rad)
    edge = view.edge(order, pixel)
    east, north = view.place(edge)
    step = np.hypot(np.diff(east), np.diff(north))
    near = np.minimum(np.hypot(east, north)[1:], np.hypot(east, north)[:-1])
    assert (edge.ra_deg[0], edge.dec_deg[0]) == (edge.ra_deg[-1], edge.dec_deg[-1])
    # A line that passes the view at less than a step's length was cut into steps of a hundredth.
    in_view = near < 1.4 * view.half_width
    assert not in_view.any() or step[in_view].max() <= 0.0101 * view.half_width


def test_rows_that_the_margin_lacks_and_rows_too_many_are_told_apart(made: Workspace, tmp_path: Path) -> None:
    make_margin(made.catalog, tmp_path, THRESHOLD_ARCSEC, name="coarse", fine_filtering=False, margin_order=5)
    file = files_of(tmp_path / "coarse")[POLE]
    table = pq.ParquetFile(file).read()
    members = set(SKY.margins(THRESHOLD_ARCSEC)[POLE])
    first = next(row for row, number in enumerate(table["id"].to_pylist()) if number in members)
    lost = table["id"][first].as_py()
    pq.write_table(table.filter(np.arange(len(table)) != first), file)
    scene = open_margin(tmp_path / "coarse", made.catalog).scene(POLE)
    assert scene.lacking.ra_deg.tolist() == [SKY.ra_deg[lost]]
    beyond = scene.separation_arcsec > scene.threshold_arcsec
    assert beyond.any()
    axes = plot_partition(tmp_path / "coarse", POLE, primary=made.catalog, view="whole").axes[0]
    labels = axes.get_legend_handles_labels()[1]
    # The coarse margin states a wider threshold than was asked for; within that it lacks one row.
    assert "row that the margin lacks" in labels
    assert "row of its margin (pink: beyond the threshold)" in labels
    assert same_places(sky_vectors(drawn(axes, "lacking"), whole_view(scene)), of_rows([lost]))


def test_an_empty_pixel_and_a_margin_without_rows(tmp_path: Path) -> None:
    partitions = ((1, 0), (1, 1))
    made_up = sky_near_edges(partitions, 60, 60.0, seed=3)
    write_catalog(tmp_path / "stars", made_up)
    make_margin(tmp_path / "stars", tmp_path, 7_200.0, name="wide")
    empty = sorted(set(files_of(tmp_path / "wide")) - set(partitions))
    axes = plot_partition(tmp_path / "wide", empty[0], view="whole").axes[0]
    assert axes.get_title().startswith(f"wide: order {empty[0][0]}, pixel {empty[0][1]}, an empty pixel\n")
    assert "edge of the pixel" in axes.get_legend_handles_labels()[1]
    assert not artists(axes, "own")
    for file in files_of(tmp_path / "wide").values():
        file.unlink()
    axes = plot_partition(tmp_path / "wide", (1, 0), view="close-up").axes[0]
    assert axes.get_title() == "wide: order 1, pixel 0\nno row in its margin"
    assert len(drawn(axes, "margin")) == 0
    with pytest.raises(CatalogError, match="wide has no rows: name a pixel"):
        plot_partition(tmp_path / "wide")


def test_it_draws_on_axes_that_are_given(made: Workspace) -> None:
    figure = Figure()
    left, right = figure.subplots(1, 2)
    assert plot_partition(made.margin, POLE, view="whole", axes=left) is figure
    assert drawn(left, "margin").size
    assert not right.has_data()
    with pytest.raises(ArgumentError, match="view 'both' needs two axes"):
        plot_partition(made.margin, POLE, axes=left)
    with pytest.raises(ArgumentError, match="view 'near' is not allowed: allowed are both, whole, close-up"):
        plot_partition(made.margin, POLE, view="near")  # type: ignore[arg-type]


@pytest.mark.parametrize("pixel", [5, "3/63", (3,), (3, 63, 1), (3.5, 63), ("3", "63")])
def test_a_pixel_is_a_pair_of_whole_numbers(pixel: object, made: Workspace) -> None:
    with pytest.raises(ArgumentError, match="is not allowed: it must be a pair of whole numbers"):
        plot_partition(made.margin, pixel)  # type: ignore[arg-type]
    plot_partition(made.margin, (np.int64(3), np.uint64(63)), view="close-up")  # type: ignore[arg-type]


def test_separations_are_written_in_the_close_up_alone(tmp_path: Path) -> None:
    """Six rows wrote their separations over each other on the left of a picture of both views."""
    write_catalog(tmp_path / "stars", sky_near_edges(((1, 0), (1, 1)), 12, 7_200.0, seed=3))
    make_margin(tmp_path / "stars", tmp_path, 7_200.0)
    whole, close, _ = plot_partition(tmp_path / "margin").axes
    left, right = (
        [text.get_text() for text in axes.texts if text.get_text().endswith(" arcsec")]
        for axes in (whole, close)
    )
    assert not left
    assert right


def test_the_densest_rows_are_found_among_many() -> None:
    random = np.random.default_rng(5)
    crowd = 500
    ra_deg = np.r_[random.uniform(0, 360, 4_000), random.normal(0, 1e-3, crowd) % 360]
    dec_deg = np.r_[np.degrees(np.arcsin(random.uniform(-1, 1, 4_000))), random.normal(0, 1e-3, crowd)]
    few = densest(Rows(ra_deg[-crowd - 1_000 :], dec_deg[-crowd - 1_000 :]), 10.0)
    many = densest(Rows(ra_deg, dec_deg), 10.0)
    assert len(few) > 450
    assert len(many) > 450
    assert (few >= 1_000).sum() > 450
    assert (many >= 4_000).sum() > 450


@pytest.mark.parametrize(
    ("about", "rounded"),
    [
        (1.0, 1.0),
        (1.9, 1.0),
        (59, 30.0),
        (60, 60.0),
        (0.37, 0.2),
        (3e-6, 2e-6),
        (7_199, 3_600.0),
        (7_200, 7_200.0),
    ],
)
def test_bars_have_round_lengths(about: float, rounded: float) -> None:
    assert round_arcsec(about) == pytest.approx(rounded, rel=1e-12)


def test_the_sky_map_has_each_count_in_its_pixel(made: Workspace) -> None:
    figure = plot_sky(made.margin)
    axes, colours = figure.axes
    (image,) = artists(axes, "rows")
    shown = np.ma.filled(np.ma.asarray(image.get_array()), 0)
    counts = {pixel: len(rows) for pixel, rows in SKY.margins(THRESHOLD_ARCSEC).items()}
    for pixel in MIXED_PARTITIONS:
        ra_deg, dec_deg = centre(*pixel)
        east, north = axes.wcs.world_to_pixel_values(ra_deg, dec_deg)
        assert shown[round(float(north)), round(float(east))] == counts.get(pixel, 0), pixel
    assert colours.get_ylabel().startswith("rows in the margin")
    assert axes.coords[1].get_axislabel() == "declination (degrees)"
    assert "right ascension (degrees)" in [text.get_text() for text in axes.texts]
    total = sum(counts.values())
    assert f"{total:,} rows within 1800 arcsec" in axes.get_title()


def test_the_sky_map_tells_where_the_catalog_ends(tmp_path: Path) -> None:
    write_catalog(tmp_path / "stars", sky_near_edges(((1, 0), (1, 1)), 60, 60.0, seed=3))
    make_margin(tmp_path / "stars", tmp_path, 7_200.0)
    title = plot_sky(tmp_path / "margin", picture=tmp_path / "sky.png").axes[0].get_title()
    empty = len(set(files_of(tmp_path / "margin")) - {(1, 0), (1, 1)})
    assert empty > 0
    assert f"(2 partitions, inside the black line; {empty} of the margins are of empty pixels)" in title
    with Image.open(tmp_path / "sky.png") as picture:
        assert picture.format == "PNG"


def test_the_pixels_named_are_the_nearest(made: Workspace) -> None:
    with pytest.raises(ArgumentError) as caught:
        plot_partition(made.margin, (9, 200_000))
    named = [
        tuple(map(int, name.split("/"))) for name in str(caught.value).rpartition(" are ")[2].split(", ")
    ]
    middle = unit_vectors(*(np.array([angle]) for angle in centre(9, 200_000)))[0]
    known = {*MIXED_PARTITIONS, *files_of(made.margin)}
    assert named == sorted(known, key=lambda other: -float(bounding_circle(*other).centre @ middle))[:4]


def test_the_command_writes_the_picture(
    made: Workspace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = tmp_path / "a.png"
    assert main(["plot", str(made.margin), "-o", str(picture), "--pixel", "3/63"]) == 0
    assert capsys.readouterr().out == f"{picture}\n"
    first = picture.read_bytes()
    assert main(["plot", str(made.margin), "-o", str(picture), "--sky", "--overwrite"]) == 0
    assert picture.read_bytes() != first
    assert first[:8] == picture.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


@pytest.mark.parametrize("library", ["matplotlib", "mocpy"])
def test_a_missing_library_is_named_with_what_installs_it(
    library: str, made: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    import importlib.util

    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == library else real(name))
    with pytest.raises(MissingExtraError, match=f"drawing needs {library}: pip install {library}$"):
        plot_sky(made.margin)


def test_the_most_telling_pixel_has_a_margin(made: Workspace) -> None:
    assert most_telling_pixel(made.margin) in files_of(made.margin)


def test_a_hipscat_margin_is_drawn(tmp_path: Path) -> None:
    """Its properties and the places of its files have other names."""
    write_hipscat_catalog(tmp_path / "stars", SKY)
    make_margin(tmp_path / "stars", tmp_path, THRESHOLD_ARCSEC)
    assert (tmp_path / "margin" / "catalog_info.json").is_file()
    scene = open_margin(tmp_path / "margin", None).scene(POLE)
    axes = plot_partition(tmp_path / "margin", POLE, view="whole").axes[0]
    members = SKY.margins(THRESHOLD_ARCSEC)[POLE]
    assert same_places(sky_vectors(drawn(axes, "margin"), whole_view(scene)), of_rows(members))
