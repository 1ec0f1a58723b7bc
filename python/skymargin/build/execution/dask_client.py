"""A quiet Dask client with workers on this machine."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skymargin.build.execution.dask_logging import quiet, quiet_dask
from skymargin.build.execution.main_guard import missing_guard, watch_main_guard
from skymargin.errors import WorkerError
from skymargin.interrupts import held_interrupt
from skymargin.storage.paths import temporary_folder

if TYPE_CHECKING:
    from distributed import Client, Nanny, Worker

# Windows has no signals that wait.
_CAN_BLOCK = hasattr(signal, "pthread_sigmask")


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
    from distributed import Client, Scheduler, SpecCluster

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
        # What makes the worker in its process.
        "worker_class": _quiet_worker,
    }
    with (
        quiet_dask(),
        # The only way to tell the scheduler where to keep its files.
        dask.config.set({"temporary-directory": str(folder)}),
        watch_main_guard(folder) as is_guard_missing,
        ExitStack() as stack,
    ):
        try:
            # Interrupted while workers start or end, Dask leaves processes and prints tracebacks.
            with held_interrupt():
                try:
                    cluster = SpecCluster(
                        scheduler={"cls": Scheduler, "options": everywhere},
                        workers={number: {"cls": _nanny, "options": options} for number in range(workers)},
                    )
                except (OSError, RuntimeError) as error:
                    if is_guard_missing():
                        raise WorkerError(missing_guard(workers)) from None
                    # Dask only says that a process did not start.
                    raise WorkerError(
                        f"{workers} worker processes cannot be started with their files in {folder}, "
                        f"perhaps for lack of space or of file descriptors: {error}"
                    ) from error
                client = stack.enter_context(Client(stack.enter_context(cluster)))
            yield client
        finally:
            with held_interrupt():
                stack.close()


def _nanny(scheduler: str, **options: Any) -> Nanny:
    """Make what starts a worker's process, in which Ctrl-C waits until the worker can ignore it."""
    from multiprocessing import resource_tracker

    from distributed import Nanny

    if _CAN_BLOCK:
        # Python starts it with the first process, and lets signals through in that thread again.
        resource_tracker.ensure_running()
        # In the thread of Dask's loop, from which those that start processes have it.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    return Nanny(scheduler, **options)


def _quiet_worker(**options: Any) -> Worker:
    """Make the worker of `own_client` in its process, without log messages, and ignore Ctrl-C there.

    The terminal sends Ctrl-C to all processes. The pipeline ends its workers itself, without their tracebacks.
    """
    from distributed import Worker

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if _CAN_BLOCK:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    quiet()
    return Worker(**options)
