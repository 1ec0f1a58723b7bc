"""What a run would do is what it does, within the factors that are stated; and nothing is written."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from skymargin import MarginPlan, pipeline, plan_margin
from skymargin.catalogs.layout import Pixel
from skymargin.cli.main import main
from skymargin.errors import OutputExistsError
from tests.support.catalogs import (
    MIXED_PARTITIONS,
    Layout,
    Sky,
    sky_at,
    sky_near_edges,
    write_catalog,
)
from tests.support.workspace import Workspace


def smooth_sky(partitions: tuple[Pixel, ...], rows: int, seed: int) -> Sky:
    """Rows all over the partitions, denser towards the north."""
    random = np.random.default_rng(seed)
    points = random.normal(size=(rows, 3)) + np.array([0.0, 0.0, 0.7])
    ra_deg = np.mod(np.degrees(np.arctan2(points[:, 1], points[:, 0])), 360)
    dec_deg = np.degrees(np.arctan2(points[:, 2], np.hypot(points[:, 0], points[:, 1])))
    return sky_at(partitions, ra_deg, dec_deg)


def everything_below(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in sorted(folder.rglob("*"))}


# A catalog of three orders with a hole, in which the density varies smoothly.
SKY = smooth_sky(
    (
        *((2, pixel) for pixel in range(100) if pixel != 50),
        *((1, pixel) for pixel in range(25, 44)),
        *((3, pixel) for pixel in range(704, 768)),
    ),
    60_000,
    seed=1,
)
LAYOUT = Layout(row_group_rows=200)
THRESHOLD_ARCSEC = 900.0


@pytest.fixture
def work(primary: Path, tmp_path: Path) -> Workspace:
    return Workspace(primary, tmp_path / "out", THRESHOLD_ARCSEC)


@pytest.mark.parametrize("threshold_arcsec", [900.0, 7_200.0, 40_000.0])
def test_the_estimates_are_within_the_stated_factors(threshold_arcsec: float, work: Workspace) -> None:
    args = work.arguments(margin_threshold=threshold_arcsec)
    plan = plan_margin(args)
    report = pipeline(args)
    assert plan.measured_partitions <= 16 < plan.sources
    assert not plan.exact
    assert plan.most_partitions >= report.partitions
    assert report.rows / 2 <= plan.estimated_rows <= report.rows * 2
    assert plan.exact_primary_rows
    assert plan.estimated_primary_rows == report.primary_rows == len(SKY)
    assert f" of {len(SKY):,} rows in " in plan.summary()
    assert report.bytes_read / 2 <= plan.estimated_bytes_read <= report.bytes_read * 2
    size_bytes = sum(file.stat().st_size for file in work.files.values())
    assert size_bytes / 3 <= plan.estimated_size_bytes <= size_bytes * 3
    assert plan.estimated_seconds > 0


def test_destinations_are_those_that_can_get_rows(tmp_path: Path) -> None:
    """With rows along all edges each margin that can get rows does; the empty pixels among them."""
    partitions = tuple(pixel for pixel in MIXED_PARTITIONS if pixel[0] > 0)
    write_catalog(tmp_path / "stars", sky_near_edges(partitions, 20_000, 3_600.0, seed=4))
    work = Workspace(tmp_path / "stars", tmp_path, 3_600.0)
    plan = plan_margin(work.arguments())
    report = work.make()
    assert report.partitions <= plan.most_partitions
    written = set(work.files)
    assert written - set(partitions)
    # A tile counts as the disc about it: a few more come with them.
    assert plan.most_partitions <= len(written) + 6


def test_rows_of_a_part_are_estimated(work: Workspace) -> None:
    args = work.arguments(debug_filter_pixel_list=[(0, 1), (0, 2), (0, 5)])
    plan = plan_margin(args)
    report = pipeline(args)
    assert not plan.exact_primary_rows
    assert report.primary_rows / 2 <= plan.estimated_primary_rows <= report.primary_rows * 2
    assert f" of about {plan.estimated_primary_rows:,} rows in " in plan.summary()


def test_a_small_catalog_is_measured_as_a_whole(tmp_path: Path) -> None:
    partitions = tuple((1, pixel) for pixel in range(8))
    write_catalog(tmp_path / "stars", sky_near_edges(partitions, 3_000, 100.0, seed=4))
    args = Workspace(tmp_path / "stars", tmp_path / "out", 100.0).arguments()
    plan = plan_margin(args)
    report = pipeline(args)
    assert plan.exact
    assert (plan.estimated_rows, plan.estimated_primary_rows) == (report.rows, report.primary_rows)
    assert plan.estimated_bytes_read == report.bytes_read


def test_nothing_is_written(work: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    monkeypatch.chdir(tmp_path)
    before = everything_below(work.catalog)
    plan_margin(work.arguments(tmp_dir=tmp_path / "work"))
    assert everything_below(work.catalog) == before
    assert list(tmp_path.rglob("*")) == [temporary]


def test_a_cone_is_forecast_as_one(work: Workspace) -> None:
    args = work.arguments(margin_threshold=3_600.0, cone=(45.0, 20.0, 8.0))
    plan = plan_margin(args)
    report = pipeline(args)
    assert report.partitions <= plan.most_partitions < 40
    assert plan.estimated_rows < report.rows * 4


def test_changes_are_forecast_as_such(work: Workspace) -> None:
    work.make()
    plan = plan_margin(work.arguments(only_changed=True))
    assert (plan.sources, plan.most_partitions, plan.estimated_rows) == (0, 0, 0)
    assert "reads no partition" in plan.summary()
    assert plan.kept_partitions == len(work.files)


def test_what_would_be_refused_is_refused(work: Workspace) -> None:
    args = work.arguments()
    pipeline(args)
    with pytest.raises(OutputExistsError, match="exists already"):
        plan_margin(args)


def test_a_plan_as_text_and_as_values(work: Workspace) -> None:
    plan = plan_margin(work.arguments())
    assert json.loads(json.dumps(plan.to_dict())) == asdict(plan)
    text = plan.summary()
    for told in (
        f"{plan.most_partitions:,} partitions",
        f"{plan.estimated_rows:,} rows",
        "nothing was written",
    ):
        assert told in text
    assert isinstance(plan, MarginPlan)


def test_the_command_says_what_it_would_do(work: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["build", str(work.catalog), "-t", "900", "-o", str(work.output), "--dry-run"]
    assert main(command) == 0
    assert "nothing was written" in capsys.readouterr().out
    assert main([*command, "--json"]) == 0
    (told,) = json.loads(capsys.readouterr().out)["reports"]
    assert told["catalog_path"] == str(work.output / "stars_900arcs")
    assert work.names == []
