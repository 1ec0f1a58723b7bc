"""A run in a cone: the margins it touches, byte for byte those of a run of all, and no others."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from skymargin import MarginCacheArguments
from skymargin.catalogs.properties import read_properties
from skymargin.cli.main import main
from skymargin.errors import ArgumentError
from tests.support import brute_force
from tests.support.catalogs import (
    MIXED_PARTITIONS,
    Layout,
    files_of,
    make_margin,
    sky_near_edges,
    write_catalog,
)

THRESHOLD_ARCSEC = 400.0


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a catalog, with a hole, and its whole margin; return the folder of both."""
    folder = tmp_path_factory.mktemp("cone")
    partitions = tuple(pixel for pixel in MIXED_PARTITIONS if pixel != (2, 53))
    sky = sky_near_edges(partitions, 6_000, THRESHOLD_ARCSEC, seed=11)
    write_catalog(folder / "stars", sky, Layout(row_group_rows=100))
    make_margin(folder / "stars", folder, THRESHOLD_ARCSEC, name="whole", write_table_kwargs={})
    return folder


def distance_deg(ra_deg: float, dec_deg: float, order: int, pixel: int) -> float:
    """Distance from a point to a pixel, by many points of its edges; 0 inside."""
    inside = brute_force.pixels_of(np.array([ra_deg]), np.array([dec_deg]), order)[0] == pixel
    if inside:
        return 0.0
    along = np.linspace(0, 1, 2_000)
    edge = np.concatenate(
        [brute_force.edge_points(order, pixel, np.full(len(along), side), along) for side in range(4)]
    )
    ra, dec = math.radians(ra_deg), math.radians(dec_deg)
    point = np.array([math.cos(dec) * math.cos(ra), math.cos(dec) * math.sin(ra), math.sin(dec)])
    return float(np.degrees(2 * np.arcsin(np.linalg.norm(edge - point, axis=1).min() / 2)))


@pytest.mark.parametrize(
    "cone",
    [
        (45.0, 10.0, 3.0),
        (359.9, -1.0, 2.0),
        (120.0, 90.0, 5.0),
        (-90.0, -41.0, 30.0),
        (10.0, 41.9, 1e-9),
        (200.0, 0.0, 90.0),
    ],
)
def test_margins_in_a_cone_are_those_of_a_whole_run(
    cone: tuple[float, float, float], whole: Path, tmp_path: Path
) -> None:
    make_margin(whole / "stars", tmp_path, THRESHOLD_ARCSEC, cone=cone)
    everything, part = files_of(whole / "whole"), files_of(tmp_path / "margin")
    ra_deg, dec_deg, radius_deg = cone
    expected = {pixel for pixel in everything if distance_deg(ra_deg, dec_deg, *pixel) <= radius_deg}
    assert set(part) == expected
    assert expected
    for pixel, file in part.items():
        assert file.read_bytes() == everything[pixel].read_bytes()
    said = read_properties(tmp_path / "margin" / "hats.properties")
    assert [float(one) for one in said["skymargin_cone_deg"].split()] == list(cone)
    assert "skymargin_cone_deg" not in read_properties(whole / "whole" / "hats.properties")


def test_a_cone_reads_less_than_the_whole(whole: Path, tmp_path: Path) -> None:
    part = make_margin(whole / "stars", tmp_path, THRESHOLD_ARCSEC, cone=(45.0, 10.0, 1.0))
    all_of_it = make_margin(whole / "stars", tmp_path, THRESHOLD_ARCSEC, name="all")
    assert 0 < part.bytes_read < all_of_it.bytes_read / 2
    assert part.primary_rows == all_of_it.primary_rows


def test_an_empty_cone_says_why_it_is_empty(tmp_path: Path) -> None:
    sky = sky_near_edges(((0, 4), (0, 5)), 300, 50.0, seed=2)
    write_catalog(tmp_path / "stars", sky)
    report = make_margin(tmp_path / "stars", tmp_path, 50.0, cone=(225.0, 45.0, 1.0))
    assert (report.rows, report.partitions) == (0, 0)
    assert report.empty_reason == "because no row is in the margin of a pixel that the cone touches"


@pytest.mark.parametrize(
    "cone", [(1, 2), (0, 0, 0), (0, 91, 1), (0, 0, math.nan), (0, 0, 91), "1,2,x", 7, (361, 0, 1)]
)
def test_cones_that_are_refused(cone: object, whole: Path, tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match=r"cone is \(ra_deg, dec_deg, radius_deg\)") as caught:
        MarginCacheArguments(tmp_path, "margin", input_catalog_path=whole / "stars", cone=cone)  # type: ignore[arg-type]
    assert repr(cone) in str(caught.value)


def test_a_cone_is_not_for_pixels_as_well(whole: Path, tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="cone and debug_filter_pixel_list are not for the same run"):
        make_margin(whole / "stars", tmp_path, 10.0, cone=(0.0, 0.0, 1.0), debug_filter_pixel_list=[(0, 4)])


def test_the_command_takes_a_cone(whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["build", str(whole / "stars"), "-t", "400", "-o", str(tmp_path), "--no-progress"]
    assert main([*command, "--cone", "45,10,3"]) == 0
    said = read_properties(tmp_path / "stars_400arcs" / "hats.properties")
    assert said["skymargin_cone_deg"] == "45.0 10.0 3.0"
    assert main([*command, "--cone", "45,10"]) == 2
    assert "'45,10' is not RA,DEC,RADIUS" in capsys.readouterr().err
