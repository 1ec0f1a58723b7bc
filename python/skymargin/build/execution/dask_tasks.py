"""The tasks of a stage on the workers of a Dask client."""

from __future__ import annotations

import pickle
import queue
import uuid
from collections import deque
from collections.abc import Sequence
from concurrent.futures import CancelledError
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Generic

from skymargin.build.execution.dask_connection import TICK_SECONDS
from skymargin.build.execution.dask_fleet import Fleet, probe_key
from skymargin.build.execution.dask_worker import Blind, pack_spec, pack_task
from skymargin.build.execution.tasks import Done, Result, Spec, Task, TaskFunction
from skymargin.errors import SkymarginError, WorkerError

if TYPE_CHECKING:
    from distributed import Future

# How long running tasks may take to notice that the run was given up, and an empty task to run.
_PATIENCE_SECONDS = 10
# Dask warns of messages above 10 MB.
_MESSAGE_BYTES = 4 << 20
# So many tasks of each thread are with the scheduler when it may not choose among all workers: the next one is there
# when a task ends, and a worker that joins later finds some left.
_TASKS_PER_THREAD = 2
# A task that fails so often before it begins fails for good.
_MOST_FAILURES = 3


class SharedSpec:
    """The spec of a run on the scheduler, for all its tasks.

    A worker that joins later gets it, and the scheduler has it made again when it is lost with a worker. Dask cancels
    it when the connection is lost.

    Parameters
    ----------
    fleet
        The workers.
    spec
        The spec.
    """

    def __init__(self, fleet: Fleet, spec: object) -> None:
        self.spec = spec
        self.token = uuid.uuid4().hex
        packed = pack_spec(spec, fleet.places)
        # A function that is everywhere: every worker can hold the bytes.
        self.future = fleet.connection.submit(bytes, packed, key=f"skymargin-spec-{self.token}")
        fleet.connection.watch(self.future)


class DaskTasks(Generic[Spec, Task, Result]):
    """The tasks of a stage.

    Dask divides them among its workers. When one of these cannot run them, those that it hands back wait here, and go
    to the others a few at a time.

    Parameters
    ----------
    fleet
        The workers.
    shared
        The spec.
    function, tasks, done
        As `skymargin.build.execution.workers.Workers.run` has them.
    """

    def __init__(
        self,
        fleet: Fleet,
        shared: SharedSpec,
        function: TaskFunction[Spec, Task, Result],
        tasks: Sequence[Task],
        done: Done[Task, Result],
    ) -> None:
        self._fleet = fleet
        self._shared = shared
        self._function = function
        self._tasks = tasks
        self._done = done
        # The dashboard shows one bar for all keys with the same words before the first number.
        self._prefix = f"skymargin-{function.__name__.removesuffix('_batch')}-{uuid.uuid4().hex}"
        self._sent = 0
        self._waiting: deque[int] = deque()
        # The number of each task that was sent, and the workers that it was sent to; None for any.
        self._running: dict[Future, tuple[int, frozenset[str] | None]] = {}
        self._results: queue.SimpleQueue[tuple[Future, Any, BaseException | None]] = queue.SimpleQueue()
        self._failures: dict[int, int] = {}

    def run(self) -> None:
        """Run them all.

        Raises
        ------
        SkymarginError
            The first that a task returned, or `WorkerError`.
        """
        if not self._tasks:
            return
        try:
            if self._fleet.blind:
                self._waiting.extend(range(len(self._tasks)))
                self._send_waiting()
            else:
                self._send(range(len(self._tasks)), None)
            while self._running or self._waiting:
                try:
                    arrived = self._results.get(timeout=TICK_SECONDS)
                except queue.Empty:
                    self._look_after()
                else:
                    self._take(*arrived)
                self._fleet.look_again()
            self._wait_for_stragglers()
        except BaseException:
            with suppress(Exception):
                self._give_up()
            raise

    def _send(self, numbers: Sequence[int], workers: frozenset[str] | None) -> None:
        """Send tasks to the scheduler, for these workers or for any."""
        message: list[tuple[int, bytes]] = []
        size = 0
        for number in numbers:
            task = pack_task(self._function, self._tasks[number], self._shared.token)
            message.append((number, task))
            size += len(task)
            if size >= _MESSAGE_BYTES:
                self._send_message(message, workers)
                message, size = [], 0
        if message:
            self._send_message(message, workers)

    def _send_message(self, message: list[tuple[int, bytes]], workers: frozenset[str] | None) -> None:
        connection = self._fleet.connection
        keys = [f"{self._prefix}-{self._sent + place}" for place in range(len(message))]
        self._sent += len(message)
        futures = connection.map(
            pickle.loads,
            [task for _, task in message],
            buffers=[self._shared.future],
            key=keys,
            workers=None if workers is None else sorted(workers),
        )
        for future, (number, _) in zip(futures, message, strict=True):
            self._running[future] = number, workers
            connection.send_results(future, self._results)

    def _take(self, future: Future, result: Any, error: BaseException | None) -> None:
        """Take what became of a task."""
        if future not in self._running:
            # It was cancelled here, and was sent again.
            return
        number, _ = self._running.pop(future)
        if error is not None:
            self._failed(future, number, error)
        elif isinstance(result, Blind):
            self._fleet.leave_out(result)
            self._waiting.append(number)
        elif isinstance(result, SkymarginError):
            raise result
        else:
            self._done(self._tasks[number], result)
        # Dask reruns a task if the worker holding its result dies, which could write into the output after it was
        # published.
        future.release()
        self._send_waiting()

    def _failed(self, future: Future, number: int, error: BaseException) -> None:
        """Raise the error of a task, or let the task wait for another worker."""
        from distributed import KilledWorker

        if future.status != "error" and (
            isinstance(error, OSError | CancelledError) or not isinstance(error, Exception)
        ):
            # Not the task failed, but Dask: it was cancelled, or its result could not be fetched.
            raise self._fleet.connection.lost(error) from error
        if isinstance(error, KilledWorker):
            raise WorkerError(
                "several Dask workers died one after another over the same partitions, perhaps for lack of memory, "
                f"which memory_limit caps: {error}"
            ) from error
        if not isinstance(error, ImportError | AttributeError):
            raise error
        # Where there is no skymargin, or an old one, a task fails before it can say so.
        self._failures[number] = failures = self._failures.get(number, 0) + 1
        if self._fleet.look() or (self._fleet.blind and failures <= _MOST_FAILURES):
            self._waiting.append(number)
        elif isinstance(error, ImportError):
            raise WorkerError(
                f"a Dask worker cannot run skymargin: {type(error).__name__}: {error}; all workers need the same "
                "version of it as this process"
            ) from error
        else:
            raise error

    def _send_waiting(self) -> None:
        """Send the next of the tasks that wait for workers that can run them."""
        if not self._waiting:
            return
        able = self._fleet.able(now=False)
        room = min(len(self._waiting), _TASKS_PER_THREAD * sum(able.values()) - len(self._running))
        if room > 0:
            self._send([self._waiting.popleft() for _ in range(room)], frozenset(able))

    def _look_after(self) -> None:
        """See to tasks that nothing was heard of for a moment."""
        self._fleet.connection.check()
        able = self._fleet.able()
        lost = [
            future
            for future, (_, workers) in self._running.items()
            if workers is not None and workers.isdisjoint(able)
        ]
        if lost:
            # All workers that they were sent to have left.
            self._waiting.extendleft(self._running.pop(future)[0] for future in reversed(lost))
            self._fleet.connection.cancel(lost)
        if able:
            self._fleet.came()
            self._send_waiting()
        else:
            self._fleet.waited()

    def _wait_for_stragglers(self) -> None:
        """Wait until no worker reruns a task: its worker may have died just before the result was released."""
        connection = self._fleet.connection
        # This task reaches the scheduler after the releases, so the scheduler starts no other task after it. When it
        # times out, no worker is left.
        probe = connection.submit(bool, key=probe_key())
        with suppress(TimeoutError):
            connection.result(probe, _PATIENCE_SECONDS)
        self._fleet.wait_until_idle(self._prefix)

    def _give_up(self) -> None:
        """Cancel tasks, and wait until those that run have noticed."""
        self._fleet.connection.check()
        self._fleet.connection.cancel(list(self._running))
        self._fleet.wait_until_idle(self._prefix, _PATIENCE_SECONDS)
