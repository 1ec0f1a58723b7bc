"""A scheduler and workers that were started by their command lines, elsewhere: what the workers see, and what not."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from skymargin import MarginCacheArguments, pipeline, pipeline_with_client
from skymargin.build.execution.tasks import GivenUp
from skymargin.build.execution.workers import own_workers
from skymargin.cli.main import main
from skymargin.errors import WorkerError
from tests.support.catalogs import (
    MIXED_PARTITIONS,
    ids_of,
    nothing_left,
    sky_near_edges,
    write_catalog,
)
from tests.support.clusters import StartWorkers, cluster, hidden
from tests.support.limits import limits
from tests.support.workspace import Workspace

__all__ = ["cluster"]

THRESHOLD_ARCSEC = 600.0
SKY = sky_near_edges(MIXED_PARTITIONS, rows=800, reach_arcsec=THRESHOLD_ARCSEC, seed=21)


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder this process works in, with a catalog in it."""
    folder = tmp_path / "work"
    write_catalog(folder / "stars", SKY)
    monkeypatch.chdir(folder)
    return folder


def arguments(**others: object) -> MarginCacheArguments:
    return Workspace(Path("stars"), Path("out"), THRESHOLD_ARCSEC).arguments(**others)


def test_relative_paths_with_workers_in_another_folder(work: Path, cluster: StartWorkers) -> None:
    client = cluster(2)
    # So that both workers have something to do.
    with limits(smallest_task_bytes=1, tasks_per_thread=32):
        report = pipeline_with_client(arguments(tmp_dir="tmp"), client)
    assert ids_of(work / "out" / "margin") == SKY.margins(THRESHOLD_ARCSEC)
    assert report.rows == sum(map(len, SKY.margins(THRESHOLD_ARCSEC).values()))
    assert nothing_left(work / "tmp")
    assert {path.name for path in work.iterdir()} == {"stars", "out", "tmp"}
    left = {path.name for path in (work.parent / "elsewhere").rglob("*") if "Norder" in str(path)}
    assert not left


def test_the_same_from_the_command_line(work: Path, cluster: StartWorkers) -> None:
    address = cluster(1).scheduler.address
    command = [
        "build",
        "stars",
        "-t",
        str(THRESHOLD_ARCSEC),
        "-o",
        "out",
        "--name",
        "margin",
        "--no-progress",
    ]
    assert main([*command, "--scheduler", address]) == 0
    assert ids_of(work / "out" / "margin") == SKY.margins(THRESHOLD_ARCSEC)


def test_a_relative_path_for_workers_of_our_own(work: Path) -> None:
    pipeline(arguments(dask_n_workers=2, dask_tmp="dask", tmp_dir="tmp"))
    assert ids_of(work / "out" / "margin") == SKY.margins(THRESHOLD_ARCSEC)
    assert nothing_left(work / "dask")
    assert nothing_left(work / "tmp")


@pytest.mark.parametrize(
    ("place", "argument"), [("stars", "input_catalog_path"), ("out", "output_path"), ("tmp", "tmp_dir")]
)
def test_workers_with_another_view_of_the_files(
    place: str, argument: str, work: Path, cluster: StartWorkers
) -> None:
    """Each worker has an empty file system mounted where the folder is: the folder is there, and is not the same."""
    for name in ("out", "tmp"):
        (work / name).mkdir()
    client = cluster(2, *hidden(work / place))
    with pytest.raises(WorkerError) as caught:
        pipeline_with_client(arguments(tmp_dir="tmp"), client)
    told = str(caught.value)
    assert f"{work / place}" in told
    assert f"({argument})" in told
    assert "1 more of 2 workers" in told
    assert "there for all workers, under the same paths" in told
    assert nothing_left(work / "out")
    assert nothing_left(work / "tmp")


def test_workers_without_skymargin(work: Path, cluster: StartWorkers) -> None:
    preload = "import sys; sys.modules['skymargin'] = None"
    client = cluster(1, options=("--preload", preload))
    with pytest.raises(WorkerError, match=r"cannot run skymargin: .*skymargin.*need the same version"):
        pipeline_with_client(arguments(), client)
    assert nothing_left(work / "out")


def noted(notes: Path, task: tuple[int, float], _is_given_up: GivenUp) -> int:
    """Note that a task is begun, take some time, and return the worker's process."""
    number, seconds = task
    (notes / f"{number}-{time.monotonic_ns()}.begun").touch()
    time.sleep(seconds)
    return os.getpid()


def test_no_task_runs_again_for_a_result_that_was_taken(tmp_path: Path) -> None:
    """It wrote into a margin that was at its place already, and left part of a file in it."""
    notes = tmp_path / "notes"
    notes.mkdir()

    done = []

    def die(task: tuple[int, float], process: int) -> None:
        done.append(task)
        if task[0] == 0:
            os.kill(process, signal.SIGKILL)

    tasks = [(0, 0.0), (1, 3.0), (2, 0.0), (3, 0.0)]
    with own_workers(2, 1, tmp_path) as workers:
        workers.run(noted, notes, tasks, die)
        begun = sorted(file.stem for file in notes.glob("*.begun"))
        time.sleep(1)
        assert sorted(file.stem for file in notes.glob("*.begun")) == begun
    assert sorted(done) == tasks
    assert [name for name in begun if name.startswith("0-")] == begun[:1]
