"""What pictures say and how they are written: titles, the colour bar of the sky, file formats, and damaged files."""

from __future__ import annotations

import errno
import logging
import re
import shutil
from itertools import combinations
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Annotation
from PIL import Image

from skymargin.cli.main import main
from skymargin.errors import ArgumentError, PartitionReadError, StorageError
from skymargin.plot import partition
from skymargin.plot.figures import most_telling_pixel, plot_partition, plot_sky
from skymargin.plot.partition import _angle, close_view, label_offsets, whole_view
from skymargin.plot.scene import open_margin
from skymargin.plot.sky import bar_ticks
from skymargin.plot.view import Rows
from tests.plot.test_figures import AT_RA_0, POLE, SKY, THRESHOLD_ARCSEC, artists
from tests.support.catalogs import files_of, make_margin, sky_near_edges, write_catalog
from tests.support.workspace import Workspace
from tools.draw_figures import crowded_catalog

WHERE = f"margin: order {POLE[0]}, pixel {POLE[1]}"


def damage(file: Path) -> None:
    """Make a file one that has its name and size, and is no Parquet file."""
    file.write_bytes(bytes(file.stat().st_size))


def axes_dots(axes: Axes, name: str) -> np.ndarray:
    (dots,) = artists(axes, name)
    return np.asarray(dots.get_offsets())


@pytest.fixture
def copied(made: Workspace, tmp_path: Path) -> Path:
    """A folder with copies of the catalog and its margin, which a test may damage."""
    shutil.copytree(made.catalog, tmp_path / made.catalog.name)
    shutil.copytree(made.margin, tmp_path / "margin")
    return tmp_path


def test_labels_of_a_close_up_cover_neither_another_nor_a_dot(tmp_path: Path) -> None:
    """Measured in the drawn picture, of stars as close as in an open cluster."""
    margin = crowded_catalog(tmp_path, "corner", 41.8103, 0.0, 60.0)
    shown, left_out = 0, 0
    for order, pixel in list(files_of(margin))[2:10]:
        axes = plot_partition(margin, (order, pixel)).axes[1]
        figure = axes.figure
        FigureCanvasAgg(figure).draw()
        labels = [text for text in axes.texts if isinstance(text, Annotation)]
        boxes = [label.get_window_extent() for label in labels]
        assert not [pair for pair in combinations(boxes, 2) if pair[0].overlaps(pair[1])]
        dots = axes.transData.transform(axes_dots(axes, "margin"))
        assert not [box for box in boxes if any(box.contains(*dot) for dot in dots)]
        scene = open_margin(margin, None).scene((order, pixel))
        seen = int(close_view(scene).sees(scene.margin).sum())
        shown += len(labels)
        left_out += seen - len(labels) if labels else 0
    assert shown > 30
    assert left_out < 0.2 * shown


def test_labels_without_room_are_left_out() -> None:
    """Four dots in one place have labels below, above and on both sides; a fifth has none."""
    places = np.zeros((5, 2))
    offsets = label_offsets(places, ["1.23 arcsec"] * 5)
    assert offsets[:2] == [(0.0, -15.0), (0.0, 15.0)]
    assert offsets[4] is None
    assert len(set(offsets)) == 5
    # Far from each other, all are below.
    assert label_offsets(np.array([[0.0, 0.0], [200.0, 0.0]]), ["1 arcsec"] * 2) == [(0.0, -15.0)] * 2


def test_titles_say_what_is_shown(made: Workspace) -> None:
    members = len(SKY.margins(THRESHOLD_ARCSEC)[POLE])
    own = int(SKY.lies_in(*POLE).sum())
    contents = f"{own:,} rows of the partition, {members:,} rows in its margin"
    scene = open_margin(made.margin, None).scene(POLE)
    seen = int(close_view(scene).sees(scene.margin).sum())
    assert 0 < seen < members
    part = f"{seen:,} of the {members:,} rows of its margin, within 30 arcmin"
    whole, close, _ = plot_partition(made.margin, POLE).axes
    assert whole.get_title() == f"{WHERE}\n{contents}"
    assert close.get_title() == f"A close-up of its edge\n{part}"
    assert plot_partition(made.margin, POLE, view="whole").axes[0].get_title() == f"{WHERE}\n{contents}"
    assert plot_partition(made.margin, POLE, view="close-up").axes[0].get_title() == f"{WHERE}\n{part}"


def test_a_margin_as_wide_as_its_pixel_is_drawn_once(tmp_path: Path) -> None:
    write_catalog(tmp_path / "stars", sky_near_edges(((4, 0), (4, 1), (4, 2)), 60, 10_000.0, seed=3))
    for threshold_arcsec, panels in ((60.0, 2), (10_000.0, 1)):
        name = f"wide_{threshold_arcsec:g}"
        make_margin(tmp_path / "stars", tmp_path, threshold_arcsec, name=name)
        # The last axes are the colour bar's.
        assert len(plot_partition(tmp_path / name, (4, 0)).axes) == panels + 1
    assert len(plot_partition(tmp_path / name, (4, 0), view="close-up").axes) == 2


@pytest.mark.parametrize(
    ("arcsec", "text"),
    [
        (1e-07, "1e-07 arcsec"),
        (0.25, "0.25 arcsec"),
        (60.5, "60.5 arcsec"),
        (90, "90 arcsec"),
        (120, "2 arcmin"),
        (121, "121 arcsec"),
        (1_001, "1,001 arcsec"),
        (1_001.5, "1001.5 arcsec"),
        (1_800, "30 arcmin"),
        (3_600, "1 degree"),
        (5_400, "1.5 degrees"),
        (3_606, "60.1 arcmin"),
        (20_000, "20,000 arcsec"),
        (324_000, "90 degrees"),
    ],
)
def test_angles_have_few_digits(arcsec: float, text: str) -> None:
    assert _angle(arcsec) == text


@pytest.mark.parametrize(
    ("most", "ticks"),
    [
        (0, [1]),
        (1, [1]),
        (2, [1, 2]),
        (7, [1, 2, 5, 7]),
        (10, [1, 2, 5, 10]),
        (37, [1, 2, 5, 10, 20, 37]),
        (1_999, [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 1_999]),
        (2_000, [1, 10, 100, 1_000, 2_000]),
        (10_500_000, [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_500_000]),
    ],
)
def test_the_bar_of_the_sky_has_its_maximum(most: int, ticks: list[int]) -> None:
    assert bar_ticks(most) == ticks


def test_the_largest_margin_is_at_the_end_of_the_bar(made: Workspace) -> None:
    _, bar = plot_sky(made.margin).axes
    most = max(map(len, SKY.margins(THRESHOLD_ARCSEC).values()))
    assert bar.get_yticks()[-1] == bar.get_ylim()[1] == most
    assert bar.get_yticklabels()[-1].get_text() == f"{most:,}"
    assert bar.get_yticks()[0] == bar.get_ylim()[0] == 1
    assert not len(bar.get_yticks(minor=True))


@pytest.mark.parametrize(("suffix", "first"), [(".png", b"\x89PNG"), (".pdf", b"%PDF-"), (".SVG", b"<?xml ")])
def test_a_picture_is_written_in_the_format_of_its_name(
    suffix: str, first: bytes, made: Workspace, tmp_path: Path
) -> None:
    written = []
    for name in ("one", "two"):
        picture = tmp_path / (name + suffix)
        plot_partition(made.margin, POLE, picture=picture)
        written.append(picture.read_bytes())
    assert written[0].startswith(first)
    # The same rows give the same bytes.
    assert written[0] == written[1]
    sky = tmp_path / f"sky{suffix}"
    assert main(["plot", str(made.margin), "--sky", "-o", str(sky)]) == 0
    assert sky.read_bytes().startswith(first)
    assert {path.name for path in tmp_path.iterdir()} == {f"one{suffix}", f"two{suffix}", f"sky{suffix}"}


@pytest.mark.parametrize("name", ["a.jpg", "a", ".png", "png", "a.png.gz"])
def test_other_formats_are_refused(name: str, made: Workspace, tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match=r"its name must end in \.png, \.pdf or \.svg"):
        plot_sky(made.margin, picture=tmp_path / name)


def test_a_picture_that_cannot_be_written_is_named(
    made: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_arguments: object, **_options: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Figure, "savefig", full)
    picture = tmp_path / "a.png"
    with pytest.raises(
        StorageError, match=rf"^the picture {picture} cannot be written: \[Errno 28\] No space"
    ):
        plot_sky(made.margin, picture=picture)
    assert not any(tmp_path.iterdir())


def test_many_dots_are_one_image_in_a_drawing(made: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """A PDF with a shape for each of 20,000 rows takes minutes to show."""
    axes = plot_partition(made.margin, POLE, view="whole").axes[0]
    numbers = {name: len(axes_dots(axes, name)) for name in ("others", "own", "margin")}
    most = sorted(numbers.values())[1]
    monkeypatch.setattr(partition, "_MOST_VECTORS", most)
    axes = plot_partition(made.margin, POLE, view="whole").axes[0]
    images = {name for name in numbers if artists(axes, name)[0].get_rasterized()}
    assert images == {name for name, number in numbers.items() if number > most}
    assert len(images) == 1


def test_damaged_partitions_are_left_out_with_a_note(copied: Path, caplog: pytest.LogCaptureFixture) -> None:
    margin, files = copied / "margin", files_of(copied / "stars")
    scene = open_margin(margin, None).scene(POLE)
    broken = scene.neighbours[0]
    for pixel in (broken, POLE):
        damage(files[pixel])
    with caplog.at_level(logging.WARNING, "skymargin"):
        axes = plot_partition(margin, POLE, view="whole", primary=copied / "stars").axes[0]
    reasons = [record.getMessage() for record in caplog.records]
    assert len(reasons) == 2
    assert all(reason.startswith("not drawn: ") for reason in reasons)
    assert {str(files[broken]), str(files[POLE])} == {reason.split()[2] for reason in reasons}
    members = len(SKY.margins(THRESHOLD_ARCSEC)[POLE])
    assert axes.get_title() == (
        f"{WHERE}\nthe rows of the partition cannot be read, {members:,} rows in its margin"
    )
    (note,) = artists(axes, "unreadable")
    assert note.get_text() == (
        f"cannot be read, rows not drawn: {broken[0]}/{broken[1]}, {POLE[0]}/{POLE[1]}"
    )
    assert not artists(axes, "own")
    # Of all other partitions, the rows are there.
    lost = SKY.lies_in(*broken)
    assert lost.any()
    rest = ~(lost | SKY.lies_in(*POLE))
    rest[SKY.margins(THRESHOLD_ARCSEC)[POLE]] = False
    seen = whole_view(scene).sees(Rows(SKY.ra_deg[rest], SKY.dec_deg[rest]))
    assert len(axes_dots(axes, "others")) == seen.sum()
    assert len(axes_dots(axes, "margin")) == members


def test_a_damaged_margin_is_named_or_passed_over(copied: Path, caplog: pytest.LogCaptureFixture) -> None:
    margin, files = copied / "margin", files_of(copied / "margin")
    best = most_telling_pixel(margin)
    damage(files[best])
    with pytest.raises(PartitionReadError, match=re.escape(str(files[best]))):
        plot_partition(margin, best)
    assert most_telling_pixel(margin) != best
    assert str(files[best]) in caplog.text
    plot_partition(margin)
    for file in files.values():
        damage(file)
    with pytest.raises(PartitionReadError, match="cannot be read as Parquet"):
        plot_partition(margin)


def test_the_sky_shows_which_margins_cannot_be_read(copied: Path, caplog: pytest.LogCaptureFixture) -> None:
    margin = copied / "margin"
    file = files_of(margin)[AT_RA_0]
    damage(file)
    axes, bar = plot_sky(margin, picture=copied / "sky.png").axes
    rest = sum(len(rows) for pixel, rows in SKY.margins(THRESHOLD_ARCSEC).items() if pixel != AT_RA_0)
    assert f"{rest:,} rows within" in axes.get_title()
    assert axes.get_title().endswith("1 margin cannot be read)")
    assert bar.get_ylabel() == "rows in the margin (grey: none, pink: cannot be read)"
    assert [record.getMessage().split()[2] for record in caplog.records] == [str(file)]
    with Image.open(copied / "sky.png") as picture:
        pink = np.all(np.asarray(picture.convert("RGB")) == (0xCC, 0x79, 0xA7), axis=-1)
    assert pink.sum() > 1_000


def test_figures_show_themselves_in_notebooks(made: Workspace) -> None:
    for figure in (plot_partition(made.margin, POLE, view="close-up"), plot_sky(made.margin)):
        picture = figure._repr_png_()  # type: ignore[attr-defined]
        assert picture.startswith(b"\x89PNG")
        assert isinstance(figure, Figure)
    # They belong to no window, and none stays in memory.
    assert plt.get_fignums() == []
