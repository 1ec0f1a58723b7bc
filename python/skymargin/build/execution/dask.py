"""Dask: a quiet client for one machine, and tasks run on any client."""

from __future__ import annotations

import logging
import signal
import socket
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skymargin.build.execution.tasks import Done, GivenUp, Result, Spec, Task, TaskFunction
from skymargin.errors import SkymarginError, WorkerError
from skymargin.storage.paths import exists, is_local, temporary_folder

if TYPE_CHECKING:
    from distributed import Client, Future, Worker

    from skymargin.storage.paths import AnyPath

# How long running tasks may take to notice that the run was given up, and an empty task to run.
_PATIENCE_SECONDS = 10
# Longer than Dask's processes keep a message to send it with others.
_MOMENT_SECONDS = 0.02


@contextmanager
def own_client(
    workers: int, threads_per_worker: int, folder: Path, purpose: str = "workers"
) -> Iterator[Client]:
    """A client with workers on this machine, without dashboard and without log messages.

    Dask's files go into a folder made in `folder`, with `purpose` in its name, and are removed with the workers.
    """
    with (
        temporary_folder(folder.absolute(), "dask", purpose) as inside,
        _client(workers, threads_per_worker, inside) as client,
    ):
        yield client


@contextmanager
def _client(workers: int, threads_per_worker: int, folder: Path) -> Iterator[Client]:
    import dask
    from distributed import Client, Nanny, Scheduler, SpecCluster

    # Every Dask node serves HTTP, even without a dashboard: on any free port, to this machine only.
    everywhere: dict[str, Any] = {
        "protocol": "tcp://",
        "host": "127.0.0.1",
        "dashboard": False,
        "dashboard_address": "127.0.0.1:0",
    }
    options = everywhere | {
        "nthreads": threads_per_worker,
        "local_directory": str(folder),
        # Tasks bound their own memory; Dask would pause or kill workers by the memory of the whole process.
        "memory_limit": 0,
        "silence_logs": logging.CRITICAL,
        "preload": [__name__],
    }
    # The only way to tell the scheduler where to keep its files.
    with dask.config.set({"temporary-directory": str(folder)}):
        try:
            cluster = SpecCluster(
                scheduler={"cls": Scheduler, "options": everywhere},
                workers={number: {"cls": Nanny, "options": options} for number in range(workers)},
                silence_logs=logging.CRITICAL,
            )
        except (OSError, RuntimeError) as error:
            # Dask only says that a process did not start.
            raise WorkerError(
                f"{workers} worker processes cannot be started with their files in {folder}, "
                f"perhaps for lack of space or of file descriptors: {error}"
            ) from error
        with cluster, Client(cluster) as client:
            yield client


def dask_setup(_worker: Worker) -> None:
    """Ignore Ctrl-C in a worker process of `own_client`; Dask calls this when the process starts.

    The terminal sends Ctrl-C to all processes. The pipeline ends its workers itself, without their tracebacks.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def run_tasks(
    client: Client,
    function: TaskFunction[Spec, Task, Result],
    spec: Spec,
    tasks: Sequence[Task],
    done: Done[Task, Result],
) -> None:
    """Run tasks on a client, as `skymargin.build.execution.workers.Workers` describes."""
    from distributed import KilledWorker, as_completed

    if not tasks:
        return
    # The dashboard shows one bar for all keys with the same words before the first number.
    name, token = f"skymargin-{function.__name__.removesuffix('_batch')}", uuid.uuid4().hex
    # The scheduler keeps the spec: a worker that joins later gets it, and it is not lost with a worker.
    shared = client.submit(_received, spec, pure=False, key=f"skymargin-spec-{token}")
    keys = [f"{name}-{token}-{number}" for number in range(len(tasks))]
    futures = client.map(partial(_run, function), [shared] * len(tasks), tasks, pure=False, key=keys)
    task_of = dict(zip((future.key for future in futures), tasks, strict=True))
    try:
        for future, result in as_completed(futures, with_results=True):
            if isinstance(result, SkymarginError):
                raise result
            done(task_of[future.key], result)
            # Dask reruns a task if the worker holding its result dies, which could write into the output after it was
            # published.
            future.release()
        _wait_for_stragglers(client, list(task_of))
    except BaseException as error:
        with suppress(Exception):
            _give_up(client, futures)
        if isinstance(error, KilledWorker):
            raise WorkerError(
                "several Dask workers died one after another over the same partitions, perhaps for lack of memory, "
                f"which memory_limit caps: {error}"
            ) from error
        raise


def _wait_for_stragglers(client: Client, keys: Sequence[str]) -> None:
    """Wait until no worker reruns a task: its worker may have died just before the result was released."""
    # This task reaches the scheduler after the releases, so the scheduler starts no other task after it. When it times
    # out, no worker is left.
    with suppress(TimeoutError):
        client.submit(_nothing, pure=False).result(timeout=_PATIENCE_SECONDS)
    # A worker may receive a task just after it was asked, so it is asked twice.
    silent = 0
    while silent < 2:
        running = client.run(_is_running_any, keys, on_error="ignore")
        silent = 0 if any(running.values()) else silent + 1
        time.sleep(_MOMENT_SECONDS)


def _give_up(client: Client, futures: Sequence[Future]) -> None:
    """Cancel tasks, and wait until those that run have noticed."""
    keys = [future.key for future in futures]
    client.cancel(futures)
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < deadline and any(client.run(_is_running_any, keys, on_error="ignore").values()):
        time.sleep(_MOMENT_SECONDS)


def _received(spec: Spec) -> Spec:
    return spec


def _run(function: TaskFunction[Spec, Task, Result], spec: Spec, task: Task) -> Result | SkymarginError:
    """Run a task on a worker."""
    return function(spec, task, _given_up_on_worker())


def _given_up_on_worker() -> GivenUp:
    """A function that says whether the scheduler still waits for the task of this thread."""
    from distributed import get_worker
    from distributed.core import Status
    from distributed.worker import thread_state

    worker, key = get_worker(), thread_state.key

    def is_given_up() -> bool:
        state = worker.state.tasks.get(key)
        is_wanted = state is not None and state.state in ("executing", "long-running")
        # A worker that has lost its scheduler closes, and its threads go on.
        return not is_wanted or worker.status not in (
            Status.running,
            Status.paused,
            Status.closing_gracefully,
        )

    return is_given_up


def _nothing() -> None:
    pass


def _is_running_any(keys: Sequence[str], dask_worker: Worker) -> bool:
    return not {task.key for task in dask_worker.state.all_running_tasks}.isdisjoint(keys)


def check_visible(client: Client, places: Mapping[str, AnyPath]) -> None:
    """Wait for a worker, then check that every worker sees the files of the run.

    Parameters
    ----------
    client
        A connected client. Workers that join later are not asked.
    places
        A file or folder of the run by the argument that names its place. Names made for this run show whether a
        folder is shared, or only has the same path.

    Raises
    ------
    WorkerError
        When a worker does not see one of them, or cannot run skymargin.
    """
    client.wait_for_workers(1)
    answers = client.run(missing, dict(places), on_error="return")
    blind = {worker: answer for worker, answer in sorted(answers.items()) if answer}
    if not blind:
        return
    worker, answer = next(iter(blind.items()))
    others = f" (and {len(blind) - 1} more of {len(answers)} workers)" if len(blind) > 1 else ""
    if isinstance(answer, BaseException):
        raise WorkerError(
            f"the Dask worker {worker}{others} cannot run skymargin: {type(answer).__name__}: {answer}; "
            "workers need the same version of it as this process"
        ) from answer
    raise WorkerError(
        f"the Dask worker {worker}{others} does not see {answer}; the catalog, the output and tmp_dir must be "
        "there for all workers, under the same paths"
    )


def missing(places: Mapping[str, AnyPath]) -> str:
    """The first place that this process does not see, in words; empty when it sees all."""
    for argument, path in places.items():
        try:
            if exists(path):
                continue
            trouble = "there is no such file or folder" if is_local(path) else "there is nothing there"
        except Exception as error:
            trouble = f"{type(error).__name__}: {error}"
        return f"{path} ({argument}) on {socket.gethostname()}: {trouble}"
    return ""
