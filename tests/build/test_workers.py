"""The same bytes from any number of workers and threads, and what is printed while they work."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from distributed import Client, LocalCluster

from skymargin import MarginCacheArguments, pipeline_with_client
from skymargin.build.memory import MemoryShares
from tests.support.catalogs import (
    MIXED_PARTITIONS,
    Layout,
    Sky,
    contents,
    make_margin,
    sky_near_edges,
    write_catalog,
)

THRESHOLD_ARCSEC = 600.0


@pytest.fixture(scope="module")
def sky() -> Sky:
    return sky_near_edges(MIXED_PARTITIONS, rows=1_500, reach_arcsec=THRESHOLD_ARCSEC, seed=3)


@pytest.fixture(scope="module")
def primary(sky: Sky, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("primary") / "stars"
    write_catalog(path, sky, Layout(row_group_rows=40))
    return path


@pytest.fixture(scope="module")
def one_thread(primary: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    output = tmp_path_factory.mktemp("one")
    make_margin(primary, output, THRESHOLD_ARCSEC)
    return contents(output / "margin")


@pytest.mark.parametrize(("workers", "threads"), [(1, 1), (1, 5), (2, 2)])
def test_output_is_the_same_for_any_workers(
    workers: int,
    threads: int,
    primary: Path,
    one_thread: dict[str, bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Tasks so small that every partition and every margin is one of its own.
    monkeypatch.setattr("skymargin.build.stages.plan._SMALLEST_TASK_BYTES", 1)
    make_margin(
        primary,
        tmp_path,
        THRESHOLD_ARCSEC,
        dask_n_workers=workers,
        dask_threads_per_worker=threads,
        tmp_dir=tmp_path / "intermediate",
        dask_tmp=tmp_path / "dask",
    )
    assert contents(tmp_path / "margin") == one_thread
    assert not any((tmp_path / "intermediate").iterdir())


def test_output_is_the_same_when_rows_are_written_in_many_pieces(
    primary: Path, one_thread: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = sys.modules["skymargin.build.pipeline"]
    monkeypatch.setattr(pipeline, "memory_shares", lambda *_: MemoryShares(700, 700, 1))
    make_margin(primary, tmp_path, THRESHOLD_ARCSEC)
    assert contents(tmp_path / "margin") == one_thread


def test_a_client_of_the_users_own(primary: Path, one_thread: dict[str, bytes], tmp_path: Path) -> None:
    args = MarginCacheArguments(
        input_catalog_path=primary,
        output_path=tmp_path,
        output_artifact_name="margin",
        margin_threshold=THRESHOLD_ARCSEC,
        progress_bar=False,
    )
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, processes=False, dashboard_address=":0") as cluster,
        Client(cluster) as client,
    ):
        pipeline_with_client(args, client)
        # The client is still the user's, and works.
        assert client.submit(sum, [1, 2]).result() == 3
    assert contents(tmp_path / "margin") == one_thread


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )


@pytest.mark.parametrize("progress_bar", [True, False])
def test_progress_bars_are_shown_unless_switched_off(
    progress_bar: bool, primary: Path, tmp_path: Path
) -> None:
    done = run(
        f"""
        from skymargin import MarginCacheArguments, pipeline
        pipeline(MarginCacheArguments(
            input_catalog_path={str(primary)!r}, output_path={str(tmp_path)!r}, output_artifact_name="margin",
            margin_threshold={THRESHOLD_ARCSEC}, progress_bar={progress_bar},
        ))
        """
    )
    if not progress_bar:
        assert (done.stdout, done.stderr) == ("", "")
        return
    (summary,) = done.stdout.splitlines()
    assert summary.startswith(f"{tmp_path}/margin: ")
    last = {line[:9]: line for line in done.stderr.replace("\r", "\n").splitlines() if line.strip()}
    assert list(last) == ["Planning ", "Mapping  ", "Reducing ", "Finishing"]
    assert all(": 100%|" in line for line in last.values())
    assert f"| {len(MIXED_PARTITIONS)}/{len(MIXED_PARTITIONS)} [" in last["Mapping  "]
