"""A run in a cone: the margins it touches, byte for byte those of a run of all, and no others."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from skymargin import info, verify
from skymargin.catalogs.properties import read_properties
from skymargin.cli.main import main
from skymargin.errors import ArgumentError
from tests.support import brute_force
from tests.support.catalogs import MIXED_PARTITIONS, Layout, file_bytes, sky_near_edges, write_catalog
from tests.support.workspace import Workspace

THRESHOLD_ARCSEC = 400.0
# With a hole.
SKY = sky_near_edges(
    tuple(pixel for pixel in MIXED_PARTITIONS if pixel != (2, 53)), 6_000, THRESHOLD_ARCSEC, seed=11
)
LAYOUT = Layout(row_group_rows=100)


def distance_deg(ra_deg: float, dec_deg: float, order: int, pixel: int) -> float:
    """Distance from a point to a pixel, by many points of its edges; 0 inside."""
    if brute_force.pixels_of(np.array([ra_deg]), np.array([dec_deg]), order)[0] == pixel:
        return 0.0
    along = np.tile(np.linspace(0, 1, 2_000), 4)
    edge = brute_force.edge_points(order, pixel, np.repeat(np.arange(4), 2_000), along)
    apart = np.linalg.norm(edge - brute_force.unit_vectors(ra_deg, dec_deg), axis=1)
    return float(np.degrees(2 * np.arcsin(apart.min() / 2)))


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
    cone: tuple[float, float, float], made: Workspace, work: Workspace
) -> None:
    work.make(cone=cone)
    ra_deg, dec_deg, radius_deg = cone
    whole = file_bytes(made.margin)
    expected = {
        pixel: content
        for pixel, content in whole.items()
        if distance_deg(ra_deg, dec_deg, *pixel) <= radius_deg
    }
    assert expected
    assert file_bytes(work.margin) == expected
    said = read_properties(work.margin / "hats.properties")
    assert [float(value) for value in said["skymargin_cone_deg"].split()] == list(cone)
    assert "skymargin_cone_deg" not in read_properties(made.margin / "hats.properties")
    part = f"only the margins that intersect the cone {','.join(map(str, map(float, cone)))}"
    assert (info(work.margin).part, info(made.margin).part) == (part, "")
    report = verify(work.margin)
    assert set(report.wrong) <= {"missing", "missing_file"}
    assert (part in report.hint) == (len(expected) < len(whole))


def test_a_cone_reads_less_than_the_whole(made: Workspace, work: Workspace) -> None:
    part = work.make(cone=(45.0, 10.0, 1.0))
    assert made.report is not None
    # With their footers, small files are read whole.
    assert 0 < part.bytes_read <= made.report.bytes_read
    assert 0 < part.pages_decoded < made.report.pages_decoded / 2
    assert part.primary_rows == made.report.primary_rows


def test_an_empty_cone_says_why_it_is_empty(tmp_path: Path) -> None:
    write_catalog(tmp_path / "stars", sky_near_edges(((0, 4), (0, 5)), 300, 50.0, seed=2))
    report = Workspace(tmp_path / "stars", tmp_path, 50.0).make(cone=(225.0, 45.0, 1.0))
    assert (report.rows, report.partitions) == (0, 0)
    assert report.empty_reason == "because no row is in the margin of a pixel that the cone touches"


@pytest.mark.parametrize(
    "cone", [(1, 2), (0, 0, 0), (0, 91, 1), (0, 0, math.nan), (0, 0, 91), "1,2,x", 7, (361, 0, 1)]
)
def test_cones_that_are_refused(cone: object, made: Workspace) -> None:
    with pytest.raises(ArgumentError, match=r"cone is \(ra_deg, dec_deg, radius_deg\)") as caught:
        made.arguments(cone=cone)
    assert repr(cone) in str(caught.value)


def test_a_cone_is_not_for_pixels_as_well(made: Workspace) -> None:
    with pytest.raises(ArgumentError, match="cone and debug_filter_pixel_list cannot be combined"):
        made.make("other", cone=(0.0, 0.0, 1.0), debug_filter_pixel_list=[(0, 4)])


def test_the_command_takes_a_cone(
    made: Workspace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["build", str(made.catalog), "-t", "400", "-o", str(tmp_path), "--no-progress"]
    assert main([*command, "--cone", "45,10,3"]) == 0
    said = read_properties(tmp_path / "stars_400arcs" / "hats.properties")
    assert said["skymargin_cone_deg"] == "45.0 10.0 3.0"
    assert main([*command, "--cone", "45,10"]) == 2
    assert "'45,10' is not RA,DEC,RADIUS" in capsys.readouterr().err
