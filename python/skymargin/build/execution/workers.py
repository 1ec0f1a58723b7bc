"""Where tasks run: in threads of this process, or on a Dask client."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from skymargin.build.execution.dask_client import own_client
from skymargin.build.execution.dask_fleet import DEFAULT_WAIT_SECONDS, Fleet
from skymargin.build.execution.dask_tasks import DaskTasks, SharedSpec
from skymargin.build.execution.places import Place
from skymargin.build.execution.tasks import Done, Result, Spec, Task, TaskFunction
from skymargin.errors import SkymarginError

if TYPE_CHECKING:
    from distributed import Client


class Workers(Protocol):
    """Something that runs tasks."""

    @property
    def threads(self) -> int:
        """How many threads tasks are made for: those that run tasks, and those that may come."""

    @property
    def threads_per_worker(self) -> int:
        """How many of them share the memory of one process, at most."""

    def require(self, places: Sequence[Place]) -> None:
        """Check that workers see what the run needs. Those that do not get no tasks.

        Raises
        ------
        WorkerError
            When no worker sees it.
        """

    def run(
        self,
        function: TaskFunction[Spec, Task, Result],
        spec: Spec,
        tasks: Sequence[Task],
        done: Done[Task, Result],
        most_per_worker: int | None = None,
    ) -> None:
        """Run tasks.

        Parameters
        ----------
        function
            Called with the spec, a task, and a function that says whether the run was given up; it ends early then.
            Expected failures (`SkymarginError`) are returned, not raised.
        spec
            What all tasks of the run need to know. It is sent once to each worker.
        tasks
            One for each call.
        done
            Called with each task and its result as it arrives.
        most_per_worker
            How many threads of a worker may have a task, where that can be limited; the function limits it where not.

        Raises
        ------
        SkymarginError
            The first that was returned.
        """


class ThreadWorkers:
    """Threads of this process, which start at once; Dask takes half a second to import and start.

    Parameters
    ----------
    threads
        How many.
    """

    def __init__(self, threads: int) -> None:
        self.threads = self.threads_per_worker = threads

    def require(self, places: Sequence[Place]) -> None:
        """Nothing: threads of this process see what it sees."""

    def run(
        self,
        function: TaskFunction[Spec, Task, Result],
        spec: Spec,
        tasks: Sequence[Task],
        done: Done[Task, Result],
        most_per_worker: int | None = None,
    ) -> None:
        """Run tasks, as `Workers` describes."""
        # A thread that waits for its turn would keep memory that it has freed.
        threads = min(self.threads, most_per_worker or self.threads)
        with ThreadPoolExecutor(threads, thread_name_prefix="skymargin") as pool:
            given_up = threading.Event()
            submitted = {pool.submit(function, spec, task, given_up.is_set): task for task in tasks}
            try:
                for future in as_completed(submitted):
                    result = future.result()
                    if isinstance(result, SkymarginError):
                        raise result
                    done(submitted[future], result)
            except BaseException:
                # Waiting tasks are cancelled, running ones end soon.
                given_up.set()
                pool.shutdown(cancel_futures=True)
                raise


class DaskWorkers:
    """The workers of a Dask client; waits for the first of them.

    Parameters
    ----------
    client
        A connected client that is not asynchronous.
    wait_seconds
        How long to wait for a worker, now and whenever none is left.

    Raises
    ------
    WorkerError
        When none comes in time.
    """

    def __init__(self, client: Client, wait_seconds: float = DEFAULT_WAIT_SECONDS) -> None:
        self._fleet = Fleet(client, wait_seconds)
        self._shared: SharedSpec | None = None
        self._fleet.wait()

    @property
    def threads(self) -> int:
        """As `Workers` describes it."""
        return self._fleet.threads_to_come

    @property
    def threads_per_worker(self) -> int:
        """Threads of the worker with the most, of all that were seen."""
        return self._fleet.threads_per_worker

    def require(self, places: Sequence[Place]) -> None:
        """Check the workers, as `Workers` describes; those that come later check themselves."""
        self._fleet.require(places)

    def run(
        self,
        function: TaskFunction[Spec, Task, Result],
        spec: Spec,
        tasks: Sequence[Task],
        done: Done[Task, Result],
        most_per_worker: int | None = None,  # noqa: ARG002
    ) -> None:
        """Run tasks, as `Workers` describes."""
        shared = self._shared
        # A scheduler that was restarted between two stages has lost nothing else.
        if shared is None or shared.spec is not spec or shared.future.cancelled():
            shared = self._shared = SharedSpec(self._fleet, spec)
        DaskTasks(self._fleet, shared, function, tasks, done).run()

    def close(self) -> None:
        """Leave nothing of the run with the scheduler."""
        self._fleet.connection.close()


@contextmanager
def own_workers(
    workers: int, threads_per_worker: int, folder: Path, purpose: str = "workers"
) -> Iterator[Workers]:
    """Workers on this machine: threads of this process, or Dask worker processes when there are several.

    Dask's files go into a folder made in `folder`, with `purpose` in its name.
    """
    if workers == 1:
        yield ThreadWorkers(threads_per_worker)
        return
    with own_client(workers, threads_per_worker, folder, purpose) as client:
        yield DaskWorkers(client)
