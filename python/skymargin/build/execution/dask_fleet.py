"""The workers of a Dask client as they come and go: waiting for them, and leaving out those that cannot work."""

from __future__ import annotations

import logging
import socket
import time
import uuid
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import skymargin._core as _core
from skymargin.build.execution.dask_connection import Connection
from skymargin.build.execution.dask_worker import LOOK_SECONDS, Blind, look, runs_any
from skymargin.build.execution.places import Place
from skymargin.errors import WorkerError

if TYPE_CHECKING:
    from distributed import Client

_log = logging.getLogger("skymargin")

DEFAULT_WAIT_SECONDS = 600.0
# Workers of a machine start within this; a longer wait is worth a message.
_SILENT_SECONDS = 5
_POLL_SECONDS = 0.2
# After these pauses a worker that could not look is asked again, then no more. It gets less time than at first: this
# process waits for the answer.
_PAUSES_SECONDS = (1.0, 2.0, 4.0, 8.0, 16.0)
_SECOND_LOOK_SECONDS = 10.0
# What is known of the workers is asked anew after this.
_KNOWN_SECONDS = 1
# Tasks are made for so many threads when nobody can tell how many will come: 256 tasks of each stage. Of a catalog of
# 100 GB each is 400 MB, about half a second of work, and up to 256 threads have one; a single thread takes about a
# second longer for them than for the fewest tasks.
_LEAST_THREADS = 32


def probe_key() -> str:
    """A key for a task without work."""
    return f"skymargin-probe-{uuid.uuid4().hex}"


class Fleet:
    """The workers of a client.

    Parameters
    ----------
    client
        A connected client that is not asynchronous.
    wait_seconds
        How long to wait for a worker while there is none.

    Attributes
    ----------
    connection : Connection
        The connection to their scheduler.
    places : tuple of Place
        What they must see.
    blind : dict of str to Blind
        Those that are left out, by address. One that could not look is asked again, and comes back when it can.
    threads_per_worker : int
        Threads of the worker with the most, of all that were seen.
    """

    def __init__(self, client: Client, wait_seconds: float) -> None:
        self.connection = Connection(client)
        self.places: tuple[Place, ...] = ()
        self.blind: dict[str, Blind] = {}
        # How often each was asked again, and when to ask those that are left out for now.
        self._asked: dict[str, int] = {}
        self._ask_at: dict[str, float] = {}
        self.threads_per_worker = 1
        self._client = client
        self._wait_seconds = wait_seconds
        self._waits_since: float | None = None
        self._has_said = False
        self._known: dict[str, int] = {}
        self._known_at = -float("inf")

    def workers(self, *, now: bool = True) -> dict[str, int]:
        """Threads of all workers by address; `now`: not what was known a moment ago."""
        if now or time.monotonic() - self._known_at > _KNOWN_SECONDS:
            self._known = dict(self.connection.call(self._client.nthreads))
            self._known_at = time.monotonic()
            self.threads_per_worker = max(self.threads_per_worker, *self._known.values(), 1)
        return self._known

    def able(self, *, now: bool = True) -> dict[str, int]:
        """The same of those that are not left out."""
        return {
            address: threads
            for address, threads in self.workers(now=now).items()
            if address not in self.blind
        }

    @property
    def threads_to_come(self) -> int:
        """For how many threads to make tasks, so that workers that come later have work, too."""
        seen = sum((self.able() or self.workers()).values())
        number = _most_workers(self._client.cluster)
        return max(seen, _LEAST_THREADS if number is None else number * self.threads_per_worker, 1)

    def wait(self) -> None:
        """Wait for a worker that is not left out.

        Raises
        ------
        WorkerError
            When none comes in time.
        """
        if self.able():
            return
        # A cluster that adapts starts workers for tasks alone, and keeps one for the result of a task. This one every
        # worker can run, whatever it sees.
        self.connection.watch(self.connection.submit(bool, key=probe_key()))
        while not self.able():
            self.waited()
            time.sleep(_POLL_SECONDS)
            self.look_again()
        self.came()

    def came(self) -> None:
        """Note that there are workers."""
        self._waits_since, self._has_said = None, False

    def waited(self) -> None:
        """Note that there is no worker to run tasks; say so after a while, and end the run after a long while.

        Raises
        ------
        WorkerError
            When there was none for as long as the run waits.
        """
        now = time.monotonic()
        if self._waits_since is None:
            self._waits_since = now
        waited_seconds = now - self._waits_since
        if waited_seconds >= self._wait_seconds:
            raise self.none_left(f" within {self._wait_seconds:g} s, as long as dask_wait_seconds allows")
        if waited_seconds >= _SILENT_SECONDS and not self._has_said:
            self._has_said = True
            _log.warning(
                "waiting for workers of the Dask scheduler %s, for at most %g s (dask_wait_seconds): there is none "
                "that can run tasks now",
                self.connection.address,
                self._wait_seconds,
            )

    def none_left(self, within: str = "") -> WorkerError:
        """The error of a run without workers."""
        blind = [self.blind[address] for address in self.workers() if address in self.blind]
        if not blind:
            return WorkerError(
                f"no worker of the Dask scheduler {self.connection.address} came{within}: start workers, then the same "
                "call again"
            )
        more = f" (and {len(blind) - 1} more of {len(blind)} workers cannot work)" if len(blind) > 1 else ""
        first = f"no other worker came{within}, and " if within else ""
        return WorkerError(
            f"{first}the Dask worker {blind[0]}{more}; the catalog, the output and tmp_dir must be there for all "
            "workers, under the same paths, and all need the same version of skymargin"
        )

    def require(self, places: Sequence[Place]) -> None:
        """Leave out the workers that do not see the places of a run; wait for others when they are to come.

        Raises
        ------
        WorkerError
            When no worker is left.
        """
        self.places = tuple(places)
        while True:
            self.look()
            number = len(self.workers())
            if self.able() or not number:
                # Those that come later check themselves.
                return
            if (_planned_workers(self._client.cluster) or 0) > number:
                self.wait()
            elif self._ask_at:
                time.sleep(_POLL_SECONDS)
                self.look_again()
            else:
                raise self.none_left()

    def look(self) -> bool:
        """Ask all workers whether they can run tasks; whether one more has to be left out."""
        return bool(self._ask(list(self.able()), LOOK_SECONDS))

    def look_again(self) -> None:
        """Ask the workers that could not look, when their pause is over; those that can now get tasks again."""
        if not self._ask_at:
            return
        now, workers = time.monotonic(), self.workers(now=False)
        # Those that have left are not asked.
        self._ask_at = {address: at for address, at in self._ask_at.items() if address in workers}
        due = [address for address, at in self._ask_at.items() if at <= now]
        if not due:
            return
        before = {address: self.blind.pop(address) for address in due}
        for address in due:
            del self._ask_at[address]
        left_out = self._ask(due, _SECOND_LOOK_SECONDS)
        for address in set(due) - left_out:
            _log.info("the Dask worker %s on %s can work now", address, before[address].host)

    def _ask(self, workers: list[str], patience_seconds: float) -> set[str]:
        """Ask workers whether they can run tasks; those that cannot, which are left out."""
        if not workers:
            return set()
        answers = self.connection.run(
            look, _core.VERSION, self.places, patience_seconds, workers=workers, on_error="return"
        )
        # Without an answer, a worker has just left.
        cannot = {
            address: answer
            for address, answer in answers.items()
            if answer and not isinstance(answer, OSError)
        }
        hosts: dict[str, str] = {}
        if cannot:
            # A function that is everywhere, also where skymargin is not.
            hosts = self.connection.run(socket.gethostname, workers=list(cannot), on_error="ignore")
        for address in sorted(cannot):
            answer = cannot[address]
            if isinstance(answer, BaseException):
                # Dask puts the words of an error that it cannot send into a plain one.
                kind = "" if type(answer) is Exception else f"{type(answer).__name__}: "
                reason, may_pass = f"cannot run skymargin: {kind}{answer}", False
            else:
                reason, may_pass = answer
            self.leave_out(Blind(address, hosts.get(address, "an unknown host"), reason, may_pass))
        return set(cannot)

    def leave_out(self, worker: Blind) -> None:
        """Give no more tasks to a worker; one that could not look is asked again after a pause, a few times."""
        address = worker.address
        if address in self.blind:
            return
        self.blind[address] = worker
        asked = self._asked.get(address, 0)
        if worker.may_pass and asked < len(_PAUSES_SECONDS):
            self._asked[address] = asked + 1
            self._ask_at[address] = time.monotonic() + _PAUSES_SECONDS[asked]
        if not asked or address not in self._ask_at:
            until = "until it can" if address in self._ask_at else "of this run"
            _log.warning("the Dask worker %s; it gets no tasks %s", worker, until)

    def wait_until_idle(self, prefix: str, patience_seconds: float | None = None) -> None:
        """Wait until no worker runs a task whose key begins so."""
        deadline = None if patience_seconds is None else time.monotonic() + patience_seconds
        # A worker may receive a task just after it was asked, so it is asked twice.
        silent = 0
        while silent < 2 and (deadline is None or time.monotonic() < deadline):
            running = self.connection.run(runs_any, prefix, on_error="ignore")
            silent = 0 if any(running.values()) else silent + 1
            # Longer than Dask's processes keep a message to send it with others.
            time.sleep(0.02)


def _most_workers(cluster: Any) -> int | None:
    """How many workers a cluster will have at most, as far as it tells; None when it does not."""
    adaptive = getattr(cluster, "_adaptive", None)
    if adaptive is None:
        return _planned_workers(cluster)
    maximum = getattr(adaptive, "maximum", None)
    return maximum if isinstance(maximum, int) else None


def _planned_workers(cluster: Any) -> int | None:
    """How many workers a cluster was told to start; None where it only knows those that have come."""
    return len(cluster.plan) if hasattr(cluster, "worker_spec") else None
