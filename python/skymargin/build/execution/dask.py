"""Dask: a quiet client for one machine, and batches run on any client."""

from __future__ import annotations

import logging
import signal
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

from skymargin.errors import SkymarginError, WorkerError
from skymargin.storage.paths import exists, is_local, temporary_folder

if TYPE_CHECKING:
    from distributed import Client, Worker

    from skymargin.storage.paths import AnyPath

Batch = TypeVar("Batch")
Result = TypeVar("Result")

# How long tasks that still run may take to notice that the run was given up, and a task of nothing to be run.
_PATIENCE_SECONDS = 10
# How long a message between Dask's processes may wait to be sent with others, and more.
_MOMENT_SECONDS = 0.02


@contextmanager
def own_client(
    workers: int, threads_per_worker: int, folder: Path, purpose: str = "workers"
) -> Iterator[Client]:
    """A client with workers on this machine, without dashboard and without log messages.

    Parameters
    ----------
    workers
        Worker processes.
    threads_per_worker
        Threads of each worker.
    folder
        Folder for Dask's own files. It is left as it was: what Dask keeps there beyond its workers, such as locks,
        goes with them.
    purpose
        What is in the name of the folder that is made in it.
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

    # Every Dask node serves HTTP, dashboard or not: on any port that is free, and to this machine only.
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
    # The scheduler, too, keeps files, and cannot be told where in another way.
    with dask.config.set({"temporary-directory": str(folder)}):
        try:
            cluster = SpecCluster(
                scheduler={"cls": Scheduler, "options": everywhere},
                workers={number: {"cls": Nanny, "options": options} for number in range(workers)},
                silence_logs=logging.CRITICAL,
            )
        except (OSError, RuntimeError) as error:
            # What Dask says of it is no more than that a process did not start.
            raise WorkerError(
                f"{workers} worker processes cannot be started with their files in {folder}, "
                f"for want of room or of file descriptors, perhaps: {error}"
            ) from error
        with cluster, Client(cluster) as client:
            yield client


def dask_setup(_worker: Worker) -> None:
    """Leave Ctrl-C to the process that runs the pipeline; Dask calls this in each worker process of `own_client`.

    The terminal sends it to all of them. The pipeline ends its workers itself, without their tracebacks.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def run_batches(
    client: Client,
    task: Callable[[Path, Batch], Result | SkymarginError],
    spec_file: Path,
    batches: Sequence[Batch],
    done: Callable[[Result], object],
) -> list[Result]:
    """Run a task for each batch on a client, as `skymargin.build.execution.workers.Workers` has it."""
    from distributed import KilledWorker, as_completed, wait

    if not batches:
        return []
    futures = client.map(
        task, [spec_file] * len(batches), batches, pure=False, key=f"skymargin-{task.__name__}"
    )
    results = {}
    try:
        for future, result in as_completed(futures, with_results=True):
            if isinstance(result, SkymarginError):
                raise result
            done(result)
            results[future.key] = result
            # Dask would run the task again when the worker that keeps its result dies: beside the next stage, or after
            # the end, into folders that have moved.
            future.release()
        _wait_for_stragglers(client, [future.key for future in futures])
    except BaseException as error:
        # What has not begun ends at once without the job, what runs ends with its partition.
        spec_file.unlink(missing_ok=True)
        with suppress(Exception):
            wait(futures, timeout=_PATIENCE_SECONDS)
        if isinstance(error, KilledWorker):
            raise WorkerError(
                "several workers of Dask died one after the other over the same partitions, for want of memory "
                f"perhaps, which memory_limit caps: {error}"
            ) from error
        raise
    return [cast(Result, results[future.key]) for future in futures]


def _wait_for_stragglers(client: Client, keys: Sequence[str]) -> None:
    """Wait until no worker runs a task again whose result was taken just before the worker that kept it died."""
    # It comes after the releases on the way to the scheduler, which begins none of the tasks any more then. Where no
    # worker is left, none runs anything.
    with suppress(TimeoutError):
        client.submit(_nothing, pure=False).result(timeout=_PATIENCE_SECONDS)
    # A worker may be told of a task a moment after it was asked, so it is asked twice.
    silent = 0
    while silent < 2:
        running = client.run(_is_running_any, keys, on_error="ignore")
        silent = 0 if any(running.values()) else silent + 1
        time.sleep(_MOMENT_SECONDS)


def _nothing() -> None:
    pass


def _is_running_any(keys: Sequence[str], dask_worker: Worker) -> bool:
    return not {task.key for task in dask_worker.state.all_running_tasks}.isdisjoint(keys)


def check_visible(client: Client, places: Mapping[str, AnyPath]) -> None:
    """Wait for a worker, and have every worker look for the files of the run.

    Parameters
    ----------
    client
        A connected client. Workers that join later are not asked.
    places
        Something that exists, by the argument that says where it is. Names made up for the run tell a folder that
        is shared from one that only has the same path.

    Raises
    ------
    WorkerError
        When a worker does not see one of them, or has no skymargin that could look.
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
    """Of the places, the first that this process does not see, in words; empty when it sees them all."""
    for argument, path in places.items():
        try:
            if exists(path):
                continue
            trouble = "there is no such file or folder" if is_local(path) else "there is nothing there"
        except Exception as error:
            trouble = f"{type(error).__name__}: {error}"
        return f"{path} ({argument}) on {socket.gethostname()}: {trouble}"
    return ""
