"""`_metadata` is decided when reducing begins: written, written with a warning, or left out."""

from __future__ import annotations

import warnings
from pathlib import Path

import hats
import pytest

from skymargin import verify
from skymargin.build.checkpoint.state import RunState
from skymargin.build.stages.reduce import ReduceResult
from skymargin.build.stages.tasks import ReduceTask
from tests.support.catalogs import MIXED_PARTITIONS, ids_of, sky_near_edges, write_catalog
from tests.support.hipscat_catalogs import hipscat_ids, write_hipscat_catalog
from tests.support.limits import metadata_limits
from tests.support.workspace import Workspace

THRESHOLD_ARCSEC = 60.0
SKY = sky_near_edges(MIXED_PARTITIONS, rows=300, reach_arcsec=THRESHOLD_ARCSEC, seed=31)


@pytest.fixture
def work(tmp_path: Path) -> Workspace:
    write_catalog(tmp_path / "stars", SKY)
    return Workspace(tmp_path / "stars", tmp_path / "out", THRESHOLD_ARCSEC)


def metadata(work: Workspace) -> Path:
    return work.margin / "dataset" / "_metadata"


def test_it_is_written_without_a_word(work: Workspace) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        work.make()
    assert metadata(work).stat().st_size < 1_000_000


def test_a_large_one_is_written_with_a_warning(work: Workspace) -> None:
    with (
        metadata_limits(warned_bytes=1000),
        pytest.warns(
            UserWarning, match=r"margin: _metadata will take about \d.* for [\d,]+ row groups"
        ) as caught,
    ):
        work.make()
    assert "create_metadata=False" in str(caught[0].message)
    assert metadata(work).exists()


def test_one_that_is_too_large_is_left_out_from_the_beginning(
    work: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    results: list[ReduceResult] = []
    record = RunState.add_reduced

    def add_reduced(state: RunState, task: ReduceTask, result: ReduceResult) -> None:
        results.append(result)
        record(state, task, result)

    monkeypatch.setattr(RunState, "add_reduced", add_reduced)
    with (
        metadata_limits(most_bytes=1000),
        pytest.warns(UserWarning, match=r"margin: _metadata is not written: it would take \d"),
    ):
        report = work.make(create_summary_md=True)
    # No footer was kept for it.
    assert results
    assert not any(result.row_groups for result in results)
    assert not metadata(work).exists()
    assert not (work.margin / "README.md").exists()
    assert work.ids == SKY.margins(THRESHOLD_ARCSEC)
    assert report.rows == sum(map(len, work.ids.values()))
    assert verify(work.margin).right
    assert len(hats.read_hats(work.margin).get_healpix_pixels()) == report.partitions


def test_every_run_decides_the_same(work: Workspace) -> None:
    for name in ("first", "second"):
        with metadata_limits(most_bytes=1000), pytest.warns(UserWarning, match="is not written"):
            work.make(name)
    assert work.contents("first").keys() == work.contents("second").keys()


def test_margins_in_hipscat_have_the_same_limits(tmp_path: Path) -> None:
    write_hipscat_catalog(tmp_path / "stars", SKY)
    work = Workspace(tmp_path / "stars", tmp_path / "out", THRESHOLD_ARCSEC)
    with metadata_limits(most_bytes=1000), pytest.warns(UserWarning, match="is not written"):
        work.make()
    assert not (work.margin / "_metadata").exists()
    assert hipscat_ids(work.margin) == SKY.margins(THRESHOLD_ARCSEC)
    assert ids_of(work.margin) == SKY.margins(THRESHOLD_ARCSEC)
