"""The same bytes from any number of workers and threads, and what is printed while they again."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from distributed import Client, LocalCluster

from skymargin import pipeline_with_client
from tests.support.catalogs import MIXED_PARTITIONS, Layout, file_bytes, sky_near_edges
from tests.support.limits import limits
from tests.support.processes import run
from tests.support.workspace import Workspace

THRESHOLD_ARCSEC = 600.0
SKY = sky_near_edges(MIXED_PARTITIONS, rows=1_500, reach_arcsec=THRESHOLD_ARCSEC, seed=3)
LAYOUT = Layout(row_group_rows=40)


@pytest.mark.usefixtures("small_tasks")
@pytest.mark.parametrize(("workers", "threads"), [(1, 1), (1, 5), (2, 2)])
def test_output_is_the_same_for_any_workers(
    workers: int, threads: int, made: Workspace, again: Workspace, tmp_path: Path
) -> None:
    again.make(
        dask_n_workers=workers,
        dask_threads_per_worker=threads,
        tmp_dir=tmp_path / "intermediate",
        dask_tmp=tmp_path / "dask",
    )
    assert again.contents() == made.contents()
    assert not any((tmp_path / "intermediate").iterdir())


def test_output_is_the_same_in_little_memory(made: Workspace, again: Workspace) -> None:
    with limits(scan_bytes=700, gathered_bytes=700):
        again.make()
    assert again.contents() == made.contents()
    again.make("limited", memory_limit="300MB", dask_threads_per_worker=16)
    assert file_bytes(again.output / "limited") == file_bytes(made.margin)


def test_a_client_of_the_users_own(made: Workspace, again: Workspace) -> None:
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, processes=False, dashboard_address=":0") as cluster,
        Client(cluster) as client,
    ):
        pipeline_with_client(again.arguments(), client)
        # The client is still the user's, and works.
        assert client.submit(sum, [1, 2]).result() == 3
    assert again.contents() == made.contents()


@pytest.mark.parametrize("progress_bar", [True, False])
def test_progress_bars_are_shown_unless_switched_off(
    progress_bar: bool, made: Workspace, tmp_path: Path
) -> None:
    code = f"""
from skymargin import MarginCacheArguments, pipeline
pipeline(MarginCacheArguments(
    input_catalog_path={str(made.catalog)!r}, output_path={str(tmp_path)!r}, output_artifact_name="margin",
    margin_threshold={THRESHOLD_ARCSEC}, progress_bar={progress_bar},
))
"""
    command = [sys.executable, "-W", "error", "-c", code]
    done = run(command)
    if not progress_bar:
        assert (done.stdout, done.stderr) == ("", "")
        return
    (summary,) = done.stdout.splitlines()
    assert summary.startswith(f"{tmp_path}/margin: ")
    last = {line[:9]: line for line in done.stderr.replace("\r", "\n").splitlines() if line.strip()}
    assert list(last) == ["Planning ", "Mapping  ", "Reducing ", "Finishing"]
    assert all(": 100%|" in line for line in last.values())
    assert f"| {len(MIXED_PARTITIONS)}/{len(MIXED_PARTITIONS)} [" in last["Mapping  "]
