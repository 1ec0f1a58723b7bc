"""A connection to a Dask scheduler that ends in one clear error when it is lost, never in a wait without end."""

from __future__ import annotations

import queue
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import CancelledError
from typing import TYPE_CHECKING, Any

from skymargin.errors import ArgumentError, WorkerError

if TYPE_CHECKING:
    from distributed import Client, Future

# How often the state of the client is looked at while nothing arrives.
TICK_SECONDS = 0.5


def check_client(client: Client) -> None:
    """Refuse a client that cannot be used from here, before any work.

    Raises
    ------
    ArgumentError
        When it is asynchronous.
    WorkerError
        When it is not connected.
    """
    if client.asynchronous:
        raise ArgumentError(
            "client is asynchronous, and pipeline_with_client would block its event loop: "
            "call it in a thread, `await asyncio.to_thread(pipeline_with_client, args, client)`, or pass a client that "
            "is not asynchronous"
        )
    if client.status != "running":
        raise WorkerError(f"the Dask client is not connected to a scheduler: it is {client.status}")


class Connection:
    """What a run asks of a client.

    Dask's own blocking calls wait for ever when the client is closed in another thread. Here every answer comes through
    a queue, and the state of the client is looked at while none comes.

    Parameters
    ----------
    client
        A connected client that is not asynchronous.
    """

    def __init__(self, client: Client) -> None:
        self.client = client
        self.address: str = getattr(client.scheduler, "address", "that was lost")
        self._canary: Future | None = None

    def watch(self, canary: Future) -> None:
        """Take a future that this process keeps as the sign of the connection.

        Dask cancels all futures when the connection is lost, also when the client connects again at once, when the
        scheduler restarts, and when the client is closed.
        """
        self._canary = canary

    def close(self) -> None:
        """Let go of the canary."""
        canary, self._canary = self._canary, None
        if canary is not None:
            canary.release()

    def check(self) -> None:
        """Raise `WorkerError` when the connection is lost, or was since the canary was made."""
        stream = self.client.scheduler_comm
        # A scheduler that shuts down in good order tells so, and the client waits on as if it ran.
        is_closed = stream is None or stream.closed()
        if (
            is_closed
            or self.client.status != "running"
            or (self._canary is not None and self._canary.cancelled())
        ):
            raise self.lost()

    def lost(self, error: BaseException | None = None) -> WorkerError:
        """The error that says what became of the connection; `error` is what Dask says, where it says something."""
        if not isinstance(error, CancelledError):
            # Dask gives the reason to whoever waits for a future; nobody waits for this one.
            error = getattr(getattr(self._canary, "_state", None), "exception", None) or error
        status, reason = self.client.status, getattr(error, "reason", None)
        if reason == "scheduler-restart":
            what = (
                f"the Dask scheduler {self.address} was restarted, which forgets all tasks (client.restart)"
            )
        elif status in ("closing", "closed") and reason != "scheduler-connection-lost":
            what = "the Dask client was closed during the run, or its cluster was"
        elif (
            isinstance(error, CancelledError)
            and status == "running"
            and reason != "scheduler-connection-lost"
        ):
            what = f"tasks of the run were cancelled on the Dask scheduler {self.address}: {error}"
        else:
            what = f"the connection to the Dask scheduler {self.address} was lost"
        return WorkerError(f"{what}; the same call with a connected client goes on with what is left")

    def call(self, ask: Callable[[], Awaitable[Any]]) -> Any:
        """The answer to a question that `ask` puts in the event loop of the client.

        Raises
        ------
        WorkerError
            When the connection is lost.
        """
        import asyncio

        answers: queue.SimpleQueue[tuple[Any, BaseException | None]] = queue.SimpleQueue()

        async def put() -> None:
            try:
                answers.put((await ask(), None))
            except (Exception, asyncio.CancelledError) as error:
                answers.put((None, error))

        self.client.loop.add_callback(put)
        while True:
            try:
                answer, error = answers.get(timeout=TICK_SECONDS)
            except queue.Empty:
                self.check()
                continue
            if error is None:
                return answer
            self.check()
            # What asks the scheduler fails with these before the client notices that it is gone.
            if isinstance(error, OSError | CancelledError | asyncio.CancelledError) and not isinstance(
                error, TimeoutError
            ):
                raise self.lost(error) from error
            raise error

    def submit(self, function: Callable[..., Any], *values: Any, key: str) -> Future:
        """Send a task of its own to the scheduler."""
        try:
            return self.client.submit(function, *values, key=key, pure=False)
        except Exception:
            # A client that was closed has an error of its own for this.
            self.check()
            raise

    def map(self, function: Callable[..., Any], values: Sequence[Any], **options: Any) -> list[Future]:
        """Send a task for each value to the scheduler."""
        try:
            futures: list[Future] = self.client.map(function, values, pure=False, **options)
        except Exception:
            self.check()
            raise
        return futures

    def cancel(self, futures: Sequence[Future]) -> None:
        """Cancel tasks; those that run notice it."""
        self.call(lambda: self.client.cancel(list(futures)))

    def run(self, function: Callable[..., Any], *values: Any, **options: Any) -> dict[str, Any]:
        """The answers of workers to a call beside their tasks, by address."""
        answers: dict[str, Any] = self.call(lambda: self.client.run(function, *values, **options))
        return answers

    def result(self, future: Future, timeout_seconds: float) -> Any:
        """The result of a future, as `call`; `TimeoutError` when it takes too long."""
        import asyncio

        async def wait() -> Any:
            return await asyncio.wait_for(_result(future), timeout_seconds)

        return self.call(wait)

    def send_results(self, future: Future, results: queue.SimpleQueue[Any]) -> None:
        """Put (future, its result, its error) into a queue when it is done."""
        import asyncio

        async def put() -> None:
            try:
                results.put((future, await future, None))
            except (Exception, asyncio.CancelledError) as error:
                results.put((future, None, error))

        self.client.loop.add_callback(put)


async def _result(future: Future) -> Any:
    return await future
