"""Runs on a Dask cluster that changes or is lost: the same bytes, or one error after which the same call goes on."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import fsspec
import pytest
from distributed import Client

from skymargin import pipeline_with_client
from skymargin.build.checkpoint.state import RunState
from skymargin.errors import ArgumentError, WorkerError
from tests.support.catalogs import MIXED_PARTITIONS, Layout, nothing_left, sky_near_edges
from tests.support.clusters import Hosts
from tests.support.elastic import ABLE, BLIND, StartCluster, connect, start
from tests.support.workspace import Workspace

__all__ = ["connect", "start"]

THRESHOLD_ARCSEC = 600.0
SKY = sky_near_edges(MIXED_PARTITIONS, rows=900, reach_arcsec=THRESHOLD_ARCSEC, seed=33)
LAYOUT = Layout(row_group_rows=40)
Connect = Callable[..., Client]
Happening = Callable[[], object]
# Arranges that something happens in the driver when so many tasks of a stage are recorded; returns their numbers.
After = Callable[[str, dict[int, Happening]], list[int]]

pytestmark = pytest.mark.usefixtures("small_tasks")


@pytest.fixture
def after(monkeypatch: pytest.MonkeyPatch) -> After:
    def arrange(stage: str, happens: dict[int, Happening]) -> list[int]:
        recorded: list[int] = []
        original = getattr(RunState, f"add_{stage}")

        def add(state: RunState, task: object, result: object) -> None:
            original(state, task, result)
            recorded.append(task.number)  # type: ignore[attr-defined]
            happens.get(len(recorded), lambda: None)()

        monkeypatch.setattr(RunState, f"add_{stage}", add)
        return recorded

    return arrange


def test_a_cluster_that_starts_without_a_worker(made: Workspace, again: Workspace, connect: Connect) -> None:
    client = connect()
    client.cluster.adapt(minimum=0, maximum=2, interval="50ms")
    pipeline_with_client(again.arguments(), client)
    assert again.contents() == made.contents()


def test_workers_join_and_leave_in_both_stages(
    made: Workspace, again: Workspace, connect: Connect, after: After
) -> None:
    client = connect(ABLE)
    cluster = client.cluster
    mapped = after("mapped", {2: lambda: cluster.scale(3), 6: lambda: cluster.scale(1)})
    reduced = after(
        "reduced", {1: lambda: cluster.scale(2), 5: lambda: cluster.sync(cluster.scale_down, [0])}
    )
    pipeline_with_client(again.arguments(), client)
    assert len(mapped) == len(set(mapped)) > 20
    assert len(reduced) == len(set(reduced)) > 5
    assert again.contents() == made.contents()


def lose_scheduler(client: Client) -> None:
    client.cluster.sync(client.cluster.scheduler.close)


def restart(client: Client) -> None:
    client.restart(wait_for_workers=False)


def close_client(client: Client) -> None:
    client.close()


def close_cluster(client: Client) -> None:
    client.cluster.close()


@pytest.mark.parametrize("stage", ["mapped", "reduced"])
@pytest.mark.parametrize(
    ("lose", "words"),
    [
        (lose_scheduler, r"^the connection to the Dask scheduler tcp://127.0.0.1:\d+ was lost; "),
        (restart, r"^the Dask scheduler tcp://127.0.0.1:\d+ was restarted, which forgets all tasks"),
        (close_client, r"^the Dask client was closed during the run, or its cluster was; "),
        (close_cluster, r"^the (Dask client was closed|connection to the Dask scheduler tcp.* was lost)"),
    ],
    ids=["scheduler closed", "restarted", "client closed", "cluster closed"],
)
def test_a_lost_cluster_is_one_error_after_which_the_call_goes_on(
    lose: Callable[[Client], None],
    words: str,
    stage: str,
    made: Workspace,
    again: Workspace,
    connect: Connect,
    after: After,
) -> None:
    client = connect(ABLE, ABLE)
    recorded = after(stage, {3: lambda: lose(client)})
    with pytest.raises(WorkerError, match=words) as caught:
        pipeline_with_client(again.arguments(), client)
    assert "the same call with a connected client goes on" in str(caught.value)
    assert any("the same call goes on from there" in note for note in caught.value.__notes__)
    assert len(recorded) >= 3
    pipeline_with_client(again.arguments(), connect(ABLE))
    # What was done is not done again.
    assert len(recorded) == len(set(recorded))
    assert again.contents() == made.contents()
    assert again.names == ["margin"]


def test_a_scheduler_that_is_killed(made: Workspace, again: Workspace, tmp_path: Path, after: After) -> None:
    (tmp_path / "hosts").mkdir()
    with ExitStack() as stack:
        hosts = Hosts(tmp_path / "hosts", stack)
        scheduler = hosts.start_scheduler()
        hosts.start_worker()
        client = hosts.connect(1)
        after("mapped", {3: scheduler.kill})
        with pytest.raises(WorkerError, match=r"the connection to the Dask scheduler tcp.* was lost"):
            pipeline_with_client(again.arguments(), client)
    again.make()
    assert again.contents() == made.contents()


def test_a_client_that_is_closed_already(again: Workspace, connect: Connect) -> None:
    client = connect(ABLE)
    client.close()
    with pytest.raises(WorkerError, match="the Dask client is not connected to a scheduler: it is closed"):
        pipeline_with_client(again.arguments(), client)
    assert nothing_left(again.output)


@pytest.mark.parametrize("client", [None, "127.0.0.1:8786"])
def test_what_is_no_client_is_refused(client: object, again: Workspace) -> None:
    with pytest.raises(ArgumentError, match=f"client must be a .*Client, not {type(client).__name__}$"):
        pipeline_with_client(again.arguments(), client)  # type: ignore[arg-type]
    assert not again.margin.exists()


def test_an_asynchronous_client(made: Workspace, again: Workspace, start: StartCluster) -> None:
    address = start(ABLE).scheduler_address

    async def call() -> None:
        async with Client(address, asynchronous=True) as client:
            with pytest.raises(
                ArgumentError, match=re.escape("await asyncio.to_thread(pipeline_with_client")
            ):
                pipeline_with_client(again.arguments(), client)
            assert nothing_left(again.output)
            # As the error says.
            await asyncio.to_thread(pipeline_with_client, again.arguments(), client)

    asyncio.run(call())
    assert again.contents() == made.contents()


@pytest.fixture
def in_memory(made: Workspace, tmp_path: Path) -> Workspace:
    """The catalog in the memory of this process, which no other process sees."""
    fs = fsspec.filesystem("memory")
    fs.put(str(made.catalog), "/elastic-stars", recursive=True)
    return Workspace("memory://elastic-stars", tmp_path / "out", THRESHOLD_ARCSEC)


def partitions(margin: dict[str, bytes]) -> dict[str, bytes]:
    return {name: content for name, content in margin.items() if "Npix=" in name}


def test_workers_that_do_not_see_the_catalog_are_named_and_left_out(
    made: Workspace, in_memory: Workspace, connect: Connect, warnings_logged: Callable[[], list[str]]
) -> None:
    pipeline_with_client(in_memory.arguments(), connect(BLIND, ABLE, BLIND))
    told = warnings_logged()
    assert len(told) == 2
    assert all(
        "(input_catalog_path): there is nothing there; it gets no tasks of this run" in one for one in told
    )
    assert partitions(in_memory.contents()) == partitions(made.contents())


def test_when_no_worker_sees_the_catalog_the_run_ends(
    made: Workspace, in_memory: Workspace, connect: Connect
) -> None:
    client = connect(BLIND)
    with pytest.raises(WorkerError, match=r"does not see memory://elastic-stars.*\(input_catalog_path\)"):
        pipeline_with_client(in_memory.arguments(), client)
    assert nothing_left(in_memory.output)
    # Another worker, which has still to start.
    client.cluster.scale(2)
    pipeline_with_client(in_memory.arguments(), client)
    assert partitions(in_memory.contents()) == partitions(made.contents())


def test_a_lost_client_leaves_no_traceback_of_an_event_loop(
    again: Workspace, connect: Connect, after: After, caplog: pytest.LogCaptureFixture
) -> None:
    client = connect(ABLE)
    after("mapped", {3: client.close})
    with caplog.at_level(logging.WARNING), pytest.raises(WorkerError):
        pipeline_with_client(again.arguments(), client)
    assert [record.name for record in caplog.records if record.name.startswith(("tornado", "asyncio"))] == []
