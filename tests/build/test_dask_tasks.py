"""Tasks on a Dask cluster whose workers come, leave, cannot work, or are not there."""

from __future__ import annotations

import asyncio
import itertools
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec
import pytest
from dask.utils import key_split
from distributed import Client, SchedulerPlugin, get_worker
from upath import UPath

from skymargin._core import VERSION
from skymargin.build.execution import dask_fleet, dask_tasks, places
from skymargin.build.execution.dask_fleet import Fleet
from skymargin.build.execution.dask_tasks import DaskTasks, SharedSpec
from skymargin.build.execution.dask_worker import Blind, look, pack_task
from skymargin.build.execution.places import Place, first_missing
from skymargin.build.execution.tasks import GivenUp
from skymargin.build.execution.workers import DaskWorkers
from skymargin.errors import StorageError, WorkerError
from tests.support.elastic import ABLE, BLIND, WITHOUT_SKYMARGIN, connect, start

__all__ = ["connect", "start"]

Connect = Callable[..., Client]
Warnings = Callable[[], list[str]]
# What tasks in this process wait for; no task waits longer than this.
RELEASED = threading.Event()
MOST_SECONDS = 20


@pytest.fixture(autouse=True)
def _waiting_tasks() -> None:
    RELEASED.clear()


@pytest.fixture
def place() -> Place:
    """A file that this process sees, and no other."""
    fsspec.filesystem("memory").pipe("/elastic/file", b"here")
    return Place("input_catalog_path", UPath("memory://elastic/file"))


def place_of_work(_spec: object, seconds: float, _is_given_up: GivenUp) -> str:
    time.sleep(seconds)
    address: str = get_worker().address
    return address


def wait_to_be_released(_spec: object, task: int, _is_given_up: GivenUp) -> str:
    """The address of the worker; the first tasks do not wait."""
    assert task < 3 or RELEASED.wait(MOST_SECONDS)
    address: str = get_worker().address
    return address


def run(
    fleet: Fleet, function: Any, tasks: list[Any], happens: dict[int, Callable[[], object]] | None = None
) -> list[tuple[Any, Any]]:
    """Run tasks; their results, and what happens after how many of them."""
    done: list[tuple[Any, Any]] = []

    def note(task: Any, result: Any) -> None:
        done.append((task, result))
        (happens or {}).get(len(done), lambda: None)()

    DaskTasks(fleet, SharedSpec(fleet, None), function, tasks, note).run()
    assert sorted(task for task, _ in done) == tasks
    return done


def release_when(is_so: Callable[[], bool]) -> None:
    """Let tasks go on as soon as something is so."""

    def watch() -> None:
        for _ in range(MOST_SECONDS * 50):
            if is_so():
                break
            time.sleep(0.02)
        RELEASED.set()

    threading.Thread(target=watch, daemon=True).start()


def test_a_worker_that_joins_gets_tasks_at_once(connect: Connect) -> None:
    client = connect(ABLE)
    fleet = Fleet(client, 60)
    release_when(lambda: len(fleet_workers(client)) == 2)
    done = run(fleet, wait_to_be_released, list(range(20)), {3: lambda: client.cluster.scale(2)})
    assert len({address for _, address in done}) == 2


def fleet_workers(client: Client) -> dict[str, Any]:
    workers: dict[str, Any] = client.cluster.scheduler.workers
    return workers


def test_tasks_of_workers_that_leave_go_to_the_others(connect: Connect) -> None:
    client = connect(ABLE, ABLE, ABLE)
    done = run(
        Fleet(client, 60),
        place_of_work,
        [0.01] * 60,
        {4: lambda: client.cluster.scale(2), 8: lambda: client.cluster.scale(1)},
    )
    assert len(done) == 60


def test_all_workers_leave_and_others_come(connect: Connect) -> None:
    client = connect(ABLE)
    fleet = Fleet(client, 60)
    # Tasks that not every worker can run are sent to workers by name.
    fleet.leave_out(Blind("tcp://127.0.0.1:1", "nowhere", "has no eyes"))

    def change_all() -> None:
        client.cluster.scale(2)
        client.cluster.sync(client.cluster.scale_down, [0])

    done = run(fleet, place_of_work, [0.05] * 10, {3: change_all})
    assert len({address for _, address in done}) == 2


@pytest.mark.parametrize("kind", [BLIND, WITHOUT_SKYMARGIN], ids=["blind", "without skymargin"])
@pytest.mark.parametrize("joins_later", [True, False])
def test_a_worker_that_cannot_run_tasks_is_left_out(
    joins_later: bool, kind: dict[str, Any], place: Place, connect: Connect, warnings_logged: Warnings
) -> None:
    client = connect(*((ABLE,) if joins_later else (kind, ABLE)), later=kind)
    fleet = Fleet(client, 60)
    fleet.require([place])
    assert len(fleet.blind) == (0 if joins_later else 1)
    release_when(lambda: bool(fleet.blind))
    done = run(fleet, wait_to_be_released, list(range(20)), {3: lambda: client.cluster.scale(2)})
    (told,) = warnings_logged()
    (blind,) = fleet.blind.values()
    assert told == f"the Dask worker {blind}; it gets no tasks of this run"
    assert (blind.address in told, socket.gethostname() in told) == (True, True)
    reason = "does not see memory://" if kind is BLIND else "cannot run skymargin: ModuleNotFoundError"
    assert reason in told
    (able,) = {address for _, address in done}
    assert able != blind.address


def test_workers_that_cannot_run_tasks_end_a_run(place: Place, connect: Connect) -> None:
    fleet = Fleet(connect(BLIND), 60)
    with pytest.raises(
        WorkerError, match=rf"^the Dask worker tcp.* on {socket.gethostname()} does not see mem"
    ):
        fleet.require([place])


def test_the_only_worker_that_can_run_tasks_leaves(place: Place, connect: Connect) -> None:
    client = connect(BLIND, ABLE)
    fleet = Fleet(client, 1.0)
    fleet.require([place])

    def only_the_blind() -> None:
        # The last one that was started goes first.
        client.cluster.scale(1)

    with pytest.raises(
        WorkerError, match=r"^no other worker came within 1 s, as .* worker tcp.* does not see mem"
    ):
        run(fleet, place_of_work, [0.05] * 20, {2: only_the_blind})


def test_all_workers_leave_and_none_comes(connect: Connect) -> None:
    client = connect(ABLE)
    leave = {2: lambda: client.cluster.scale(0)}
    with pytest.raises(WorkerError, match=r"^no worker of the Dask scheduler tcp.* came within 0.7 s"):
        run(Fleet(client, 0.7), place_of_work, [0.05] * 20, leave)


def test_waiting_is_said_and_has_an_end(
    connect: Connect, warnings_logged: Warnings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dask_fleet, "_SILENT_SECONDS", 0.1)
    client = connect()
    with pytest.raises(
        WorkerError, match=r"^no worker of .* came within 0.7 s, as long as dask_wait_seconds"
    ):
        DaskWorkers(client, 0.7)
    (told,) = warnings_logged()
    assert told.startswith(
        f"waiting for workers of the Dask scheduler {client.scheduler.address}, for at most 0.7 s"
    )
    client.cluster.scale(1)
    assert DaskWorkers(client, 60).threads == 1


@pytest.mark.parametrize(
    ("maximum", "threads"), [(5, 10), (None, 32)], ids=["with a maximum", "without a maximum"]
)
def test_a_cluster_that_adapts_starts_its_first_worker(
    maximum: int | None, threads: int, connect: Connect
) -> None:
    two = ABLE | {"options": ABLE["options"] | {"nthreads": 2}}
    client = connect(later=two)
    client.cluster.adapt(minimum=0, interval="20ms", **({"maximum": maximum} if maximum else {}))
    workers = DaskWorkers(client, 60)
    assert (workers.threads, workers.threads_per_worker) == (threads, 2)


def test_tasks_are_made_for_the_workers_that_are_to_come(connect: Connect) -> None:
    client = connect(ABLE, ABLE)
    assert DaskWorkers(client).threads == 2
    # As a queue that starts jobs later: those that it was told to start count.
    client.cluster.worker_spec.update(dict.fromkeys(range(10, 15), client.cluster.new_spec))
    assert DaskWorkers(client).threads == 7
    # Of a scheduler alone, nobody knows what workers will come to it.
    with Client(client.scheduler.address) as other:
        assert DaskWorkers(other).threads == 32


def test_the_dashboard_has_a_bar_for_each_stage(connect: Connect) -> None:
    seen: set[str] = set()

    class Note(SchedulerPlugin):  # type: ignore[misc]
        def update_graph(self, _scheduler: Any, *, keys: set[str], **_others: Any) -> None:
            seen.update(key_split(key) for key in keys)

    def map_batch(_spec: object, task: int, _is_given_up: GivenUp) -> int:
        return task

    def reduce_batch(spec: object, task: int, is_given_up: GivenUp) -> int:
        return map_batch(spec, task, is_given_up)

    client = connect()
    client.cluster.scheduler.add_plugin(Note())
    client.cluster.scale(1)
    workers = DaskWorkers(client)
    spec = object
    for stage in (map_batch, reduce_batch):
        workers.run(stage, spec, range(3), lambda _task, _result: None)
    assert seen == {"skymargin-map", "skymargin-reduce", "skymargin-spec", "skymargin-probe"}


BEGUN = itertools.count()
NOTED: list[bool] = []


def fail_or_wait(_spec: object, task: int, is_given_up: GivenUp) -> int | StorageError:
    """Fail as the third that begins; the others end when they notice, and note whether they did."""
    if next(BEGUN) == 2:
        return StorageError("the disk is full")
    deadline = time.monotonic() + MOST_SECONDS
    while not is_given_up() and time.monotonic() < deadline:
        time.sleep(0.01)
    NOTED.append(is_given_up())
    return task


def test_running_tasks_notice_that_the_run_was_given_up(connect: Connect) -> None:
    client = connect(ABLE, ABLE, ABLE)
    with pytest.raises(StorageError, match="the disk is full"):
        run(Fleet(client, 60), fail_or_wait, list(range(12)))
    # None is still running: that is what the run waited for.
    assert len(NOTED) == next(BEGUN) - 1 >= 2
    assert all(NOTED)
    assert client.submit(sum, [1, 2]).result() == 3


def test_another_version_of_skymargin_is_said_in_words() -> None:
    told = asyncio.run(look("0.0.1", [], 1))
    assert told == (f"has skymargin {VERSION}, where this process has 0.0.1", False)
    assert asyncio.run(look(VERSION, [], 1)) is None


def not_there(_spec: object, _task: object, _is_given_up: GivenUp) -> None:
    raise AssertionError("a task that cannot be unpacked was run")


def test_a_task_that_cannot_be_unpacked_is_not_run(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    """As with a skymargin of the same version that is not the same."""
    fleet = Fleet(connect(ABLE), 0.5)
    shared = SharedSpec(fleet, None)
    packed = pack_task(not_there, 0, shared.token)
    monkeypatch.setattr(dask_tasks, "pack_task", lambda *_ignored: packed)
    monkeypatch.delattr("tests.build.test_dask_tasks.not_there")
    with pytest.raises(WorkerError, match=r"cannot read its tasks: AttributeError: .*not_there"):
        DaskTasks(fleet, shared, place_of_work, [0], print).run()


def test_what_is_missing_is_said_in_words(tmp_path: Path) -> None:
    present, gone = tmp_path / "present", tmp_path / "gone"
    present.mkdir()
    assert first_missing([Place("output_path", present)]) is None
    told = first_missing([Place("output_path", present), Place("tmp_dir", gone)])
    assert told == (f"does not see {gone} (tmp_dir): there is no such file or folder", False)
    nowhere = UPath("memory://elastic/nowhere")
    told = first_missing([Place("tmp_dir", nowhere)])
    assert told
    assert told.reason.endswith("nowhere (tmp_dir): there is nothing there")
    # A folder of an object store does not exist before a file is in it.
    assert first_missing([Place("tmp_dir", nowhere, must_exist=False)]) is None


def test_a_store_that_cannot_be_reached_is_said_in_words() -> None:
    unreachable = UPath("http://127.0.0.1:1/stars/properties")
    told = first_missing([Place("input_catalog_path", unreachable, must_exist=False)])
    assert told
    assert told.reason.startswith("cannot reach http://127.0.0.1:1/stars/properties (input_catalog_path): ")
    assert told.may_pass


@pytest.fixture
def unreachable(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], list[int]]:
    """Let so many looks at a server fail, of the workers of this process; returns those that are left."""
    monkeypatch.setattr(dask_fleet, "_PAUSES_SECONDS", (0.05, 0.1))
    there = places.exists

    def arrange(looks: int) -> list[int]:
        left = [looks]

        def exists(path: Any) -> bool:
            if left[0] > 0:
                left[0] -= 1
                raise StorageError(f"{path}: ConnectionError: the server is busy")
            return there(path)

        monkeypatch.setattr(places, "exists", exists)
        return left

    return arrange


@pytest.mark.parametrize("looks", [1, 2])
def test_a_worker_that_could_not_look_is_asked_again(
    looks: int,
    place: Place,
    connect: Connect,
    unreachable: Callable[[int], list[int]],
    warnings_logged: Warnings,
) -> None:
    fleet = Fleet(connect(ABLE), 60)
    unreachable(looks)
    fleet.require([place])
    assert not fleet.blind
    assert [worker for _, worker in run(fleet, place_of_work, [0.0])] == list(fleet.able())
    (told,) = warnings_logged()
    assert "cannot reach memory://elastic/file (input_catalog_path): StorageError" in told
    assert told.endswith("; it gets no tasks until it can")


def test_a_worker_that_could_not_look_comes_back_while_others_work(
    place: Place, connect: Connect, unreachable: Callable[[int], list[int]]
) -> None:
    fleet = Fleet(connect(ABLE, ABLE), 60)
    # One of them cannot look, first when it is asked, then when it is asked again.
    unreachable(1)
    fleet.require([place])
    assert len(fleet.blind) == 1
    worked = run(fleet, place_of_work, [0.05] * 40)
    assert {worker for _, worker in worked} == set(fleet.workers())
    assert not fleet.blind


def test_a_worker_that_can_never_look_is_left_out_for_good(
    place: Place, connect: Connect, unreachable: Callable[[int], list[int]], warnings_logged: Warnings
) -> None:
    fleet = Fleet(connect(ABLE), 60)
    left = unreachable(1_000)
    with pytest.raises(WorkerError, match=r"cannot reach memory://elastic/file .*the server is busy"):
        fleet.require([place])
    # At first, and after each of two pauses.
    assert left == [997]
    assert [told.rpartition("; ")[2] for told in warnings_logged()] == [
        "it gets no tasks until it can",
        "it gets no tasks of this run",
    ]
