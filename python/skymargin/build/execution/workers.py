"""Where batches are run: on threads of this process, or on a Dask client."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

from skymargin.errors import SkymarginError

if TYPE_CHECKING:
    from distributed import Client

Batch = TypeVar("Batch")
Result = TypeVar("Result")


class Workers(Protocol):
    """Something that runs a task for each batch."""

    @property
    def threads(self) -> int:
        """How many tasks run at the same time."""

    @property
    def threads_per_worker(self) -> int:
        """How many of them share the memory of one process, at the most."""

    def run(
        self,
        task: Callable[[Path, Batch], Result | SkymarginError],
        spec_file: Path,
        batches: Sequence[Batch],
        done: Callable[[Result], object],
    ) -> list[Result]:
        """Run a task for each batch.

        Parameters
        ----------
        task
            Called with the job's file and a batch. It returns errors that are worth reading, and ends early when the
            job's file is gone.
        spec_file
            The job. It is removed when the run is given up.
        batches
            One for each call.
        done
            Called with each result as it arrives.

        Returns
        -------
        list
            The results, in the order of the batches.

        Raises
        ------
        SkymarginError
            The first that a task returned.
        """


class ThreadWorkers:
    """Threads of this process: there at once, where Dask takes half a second to import and to start.

    Parameters
    ----------
    threads
        How many.
    """

    def __init__(self, threads: int) -> None:
        self.threads = self.threads_per_worker = threads

    def run(
        self,
        task: Callable[[Path, Batch], Result | SkymarginError],
        spec_file: Path,
        batches: Sequence[Batch],
        done: Callable[[Result], object],
    ) -> list[Result]:
        """Run a task for each batch, as `Workers` has it."""
        results: dict[int, Result] = {}
        with ThreadPoolExecutor(self.threads, thread_name_prefix="skymargin") as pool:
            numbers = {pool.submit(task, spec_file, batch): number for number, batch in enumerate(batches)}
            try:
                for future in as_completed(numbers):
                    result = future.result()
                    if isinstance(result, SkymarginError):
                        raise result
                    done(result)
                    results[numbers[future]] = result
            except BaseException:
                # What has not begun is dropped; what runs ends, without the job, with its partition.
                spec_file.unlink(missing_ok=True)
                pool.shutdown(cancel_futures=True)
                raise
        return [results[number] for number in range(len(batches))]


class DaskWorkers:
    """The workers of a Dask client.

    Parameters
    ----------
    client
        A connected client.
    """

    def __init__(self, client: Client) -> None:
        self._client = client

    @property
    def threads(self) -> int:
        """Threads of all its workers, at least 1."""
        threads: int = sum(self._client.nthreads().values())
        return max(1, threads)

    @property
    def threads_per_worker(self) -> int:
        """Threads of the worker that has most."""
        threads: int = max(self._client.nthreads().values(), default=1)
        return threads

    def run(
        self,
        task: Callable[[Path, Batch], Result | SkymarginError],
        spec_file: Path,
        batches: Sequence[Batch],
        done: Callable[[Result], object],
    ) -> list[Result]:
        """Run a task for each batch, as `Workers` has it."""
        from skymargin.build.execution.dask import run_batches

        return run_batches(self._client, task, spec_file, batches, done)


@contextmanager
def own_workers(
    workers: int, threads_per_worker: int, folder: Path, purpose: str = "workers"
) -> Iterator[Workers]:
    """Workers on this machine: threads of this process, or with more than one worker, processes under Dask.

    Parameters
    ----------
    workers
        Worker processes; 1 for none but this.
    threads_per_worker
        Threads of each worker.
    folder
        Folder for Dask's own files.
    purpose
        What is in the name of the folder that is made in it.
    """
    if workers == 1:
        yield ThreadWorkers(threads_per_worker)
        return
    from skymargin.build.execution.dask import own_client

    with own_client(workers, threads_per_worker, folder, purpose) as client:
        yield DaskWorkers(client)
