"""Runs that are killed at chosen moments: what is there then, and what the next run makes of it.

`tests/campaign/kill` kills at random moments, by the clock and on S3.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from skymargin.build.batch_limits import BatchLimits
from skymargin.errors import OutputExistsError, OutputInUseError, WorkerError
from tests.support.catalogs import (
    MIXED_PARTITIONS,
    Layout,
    contents,
    make_margin,
    sky_near_edges,
    write_catalog,
)
from tests.support.killing import Moment, die_once, run_halted_at, run_killed_at

THRESHOLD_ARCSEC = 600.0

WHILE_IT_IS_MADE = [
    Moment("skymargin._core:map_batch", 1),
    Moment("skymargin._core:map_batch", 3, after=True),
    Moment("skymargin.build.checkpoint.state:RunState.add_mapped", 12),
    Moment("skymargin.build.checkpoint.state:RunState.add_mapped", 31, after=True),
    Moment("skymargin.build.checkpoint.state:RunState.begin_reducing", after=True),
    Moment("skymargin.build.stages.reduce:_shards", 5),
    Moment("skymargin.build.checkpoint.state:RunState.add_reduced", 5),
    Moment("skymargin.build.checkpoint.state:RunState.add_reduced", 20, after=True),
    Moment("skymargin.build.checkpoint.state:RunState.keep_only_margins"),
    Moment("skymargin.catalogs.hats:write_margin_properties"),
    Moment("skymargin.catalogs.hats:write_margin_properties", after=True),
    Moment("skymargin.build.checkpoint.state:RunState.record_made", after=True),
]
# The moves of an overwrite: the old away, the new in, the old removed; then the shards and the records are removed.
MOVES = [Moment("pathlib:Path.rename", call) for call in (1, 2, 3, 4, 5)]
AT_THE_END = Moment("pathlib:Path.rename", 5, after=True)


@pytest.fixture(scope="module")
def primary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("primary") / "stars"
    sky = sky_near_edges(MIXED_PARTITIONS, rows=700, reach_arcsec=THRESHOLD_ARCSEC, seed=21)
    write_catalog(path, sky, Layout(row_group_rows=40))
    return path


@pytest.fixture(scope="module")
def undisturbed(primary: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    output = tmp_path_factory.mktemp("undisturbed")
    make_margin(primary, output, THRESHOLD_ARCSEC)
    return contents(output / "margin")


@pytest.fixture(scope="module")
def earlier(primary: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Return the margin that an overwrite replaces."""
    output = tmp_path_factory.mktemp("earlier")
    make_margin(primary, output, 2 * THRESHOLD_ARCSEC)
    return contents(output / "margin")


@pytest.fixture(autouse=True)
def _small_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make as many batches as there are threads for, so that there is much to be cut off."""
    monkeypatch.setattr(
        "skymargin.build.batch_limits.DEFAULT_LIMITS", BatchLimits(smallest_task_bytes=1, tasks_per_thread=32)
    )


def names_in(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


@pytest.mark.parametrize("moment", WHILE_IT_IS_MADE, ids=str)
def test_a_killed_run_goes_on_to_the_same_bytes(
    moment: Moment, primary: Path, undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    output = tmp_path / "out"
    run_killed_at(moment, primary, output, THRESHOLD_ARCSEC)
    assert not (output / "margin").exists()
    assert any(".skymargin-" in name for name in names_in(output))
    # The batches were made for one thread.
    make_margin(primary, output, THRESHOLD_ARCSEC, dask_threads_per_worker=3)
    assert contents(output / "margin") == undisturbed
    assert names_in(output) == ["margin"]


@pytest.mark.parametrize("moment", [*MOVES, AT_THE_END], ids=str)
def test_a_run_killed_between_its_moves_goes_on(
    moment: Moment, primary: Path, undisturbed: dict[str, bytes], earlier: dict[str, bytes], tmp_path: Path
) -> None:
    killed_overwriting(moment, primary, tmp_path, undisturbed, earlier)
    # Nothing is left to be replaced when the old one was moved away; all is over when the records are gone.
    to_be_replaced = moment in (MOVES[0], AT_THE_END)
    make_margin(primary, tmp_path, THRESHOLD_ARCSEC, overwrite=to_be_replaced)
    assert contents(tmp_path / "margin") == undisturbed
    assert names_in(tmp_path) == ["margin"]


@pytest.mark.parametrize("moment", MOVES[:3], ids=str)
def test_a_run_killed_between_its_moves_is_followed_by_another(
    moment: Moment, primary: Path, undisturbed: dict[str, bytes], earlier: dict[str, bytes], tmp_path: Path
) -> None:
    whole = killed_overwriting(moment, primary, tmp_path, undisturbed, earlier)
    with pytest.raises(OutputExistsError, match="exists already"):
        make_margin(primary, tmp_path, 3 * THRESHOLD_ARCSEC)
    assert contents(tmp_path / "margin") == whole
    make_margin(primary, tmp_path, 2 * THRESHOLD_ARCSEC, overwrite=True)
    assert contents(tmp_path / "margin") == earlier
    assert names_in(tmp_path) == ["margin"]


def killed_overwriting(
    moment: Moment, primary: Path, folder: Path, new: dict[str, bytes], old: dict[str, bytes]
) -> dict[str, bytes]:
    """Kill a run that replaces the margin; one of the two must be whole, and is returned."""
    make_margin(primary, folder, 2 * THRESHOLD_ARCSEC)
    run_killed_at(moment, primary, folder, THRESHOLD_ARCSEC, overwrite=True)
    final = folder / "margin"
    # At its place, or under the name that the old one has between the two moves.
    (margin,) = [final] if final.exists() else folder.glob("margin.skymargin-old-*")
    whole = new if moment.call > 2 else old
    assert contents(margin) == whole
    return whole


def test_a_killed_driver_of_worker_processes(
    primary: Path, undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    moment = Moment("skymargin.build.checkpoint.state:RunState.add_mapped", 8)
    output, dask_tmp = tmp_path / "out", tmp_path / "dask"
    run_killed_at(moment, primary, output, THRESHOLD_ARCSEC, dask_n_workers=2, dask_tmp=dask_tmp)
    (left,) = dask_tmp.glob("dask.skymargin-workers-*")
    other = dask_tmp / left.name.replace("workers-", "workers-0")
    other.mkdir()
    make_margin(primary, output, THRESHOLD_ARCSEC, dask_tmp=dask_tmp)
    assert contents(output / "margin") == undisturbed
    assert names_in(output) == ["margin"]
    # That of another run stays.
    assert names_in(dask_tmp) == [other.name]


def test_a_killed_worker_is_replaced(
    primary: Path, undisturbed: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("skymargin.build.run.map_batch", die_once)
    make_margin(
        primary, tmp_path, THRESHOLD_ARCSEC, dask_n_workers=2, delete_intermediate_parquet_files=False
    )
    (shards,) = tmp_path.glob("margin.skymargin-shards-*")
    assert (shards / "died").exists()
    assert contents(tmp_path / "margin") == undisturbed


def test_workers_that_die_again_and_again_are_told(
    primary: Path, undisturbed: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import dask

    with monkeypatch.context() as patched:
        patched.setattr("skymargin.build.run.map_batch", die_once)
        with (
            dask.config.set({"distributed.scheduler.allowed-failures": 0}),
            pytest.raises(WorkerError, match=r"Dask workers died one after another .* memory_limit") as died,
        ):
            make_margin(primary, tmp_path, THRESHOLD_ARCSEC, dask_n_workers=2)
    assert any("the same call goes on from there" in note for note in died.value.__notes__)
    assert not (tmp_path / "margin").exists()
    make_margin(primary, tmp_path, THRESHOLD_ARCSEC)
    assert contents(tmp_path / "margin") == undisturbed
    assert names_in(tmp_path) == ["margin"]


def test_no_two_runs_at_once(primary: Path, undisturbed: dict[str, bytes], tmp_path: Path) -> None:
    moment = Moment("skymargin.build.checkpoint.state:RunState.add_mapped", 20)
    run = run_halted_at(moment, tmp_path / "reached", primary, tmp_path / "out", THRESHOLD_ARCSEC)
    try:
        before = names_in(tmp_path / "out")
        for arguments in ({}, {"overwrite": True, "resume": False}, {"tmp_dir": tmp_path / "elsewhere"}):
            with pytest.raises(OutputInUseError, match=f"another run is making .*{run.pid} on "):
                make_margin(primary, tmp_path / "out", THRESHOLD_ARCSEC, **arguments)
        assert names_in(tmp_path / "out") == before
        # Another name in the same folders is another run.
        make_margin(primary, tmp_path / "out", THRESHOLD_ARCSEC, "other", tmp_dir=tmp_path / "out")
        assert set(names_in(tmp_path / "out")) == {*before, "other"}
    finally:
        run.kill()
    make_margin(primary, tmp_path / "out", THRESHOLD_ARCSEC)
    assert contents(tmp_path / "out" / "margin") == undisturbed
    assert names_in(tmp_path / "out") == ["margin", "other"]
