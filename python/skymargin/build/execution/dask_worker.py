"""What runs on Dask workers: tasks, and the answer whether a worker can run them.

Dask unpickles a task where it is received, on the scheduler and on workers. A worker that cannot, because it has no
skymargin, closes; Dask takes it for killed by the task, and sends the task to the next. So a task is a call of
`pickle.loads` with bytes, which everyone can receive: unpickling them calls `run_task`, in a thread of the worker,
where what fails is the result of that task.
"""

from __future__ import annotations

import pickle
import socket
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import skymargin._core as _core
from skymargin.build.execution.places import Place, Unseen, first_missing
from skymargin.build.execution.tasks import GivenUp, Result, Spec, Task, TaskFunction

if TYPE_CHECKING:
    from distributed import Worker

# So long a worker keeps a task that it cannot run: else it would take them all before the others are ready.
_BOUNCE_SECONDS = 0.5
# A worker that answers later, because a server or a network disk does not, is no help now.
LOOK_SECONDS = 120.0
# The specs of the last runs of this process, by their tokens.
_specs: dict[str, object] = {}
_KEPT_SPECS = 2
_loading = threading.Lock()


@dataclass(frozen=True)
class Blind:
    """A worker that cannot run the tasks of a run.

    Attributes
    ----------
    address : str
        Its address.
    host : str
        The host it runs on.
    reason : str
        Why, as the end of a sentence about it.
    may_pass : bool
        Whether it could not look, so that it may be able when it is asked again.
    """

    address: str
    host: str
    reason: str
    may_pass: bool = False

    def __str__(self) -> str:
        return f"{self.address} on {self.host} {self.reason}"


class _CannotRunError(Exception):
    """Why a worker cannot run the tasks of a run."""

    def __init__(self, why: Unseen) -> None:
        super().__init__(why.reason)
        self.why = why


class _Call:
    """Pickled, a call of `run_task`, which gets the spec as the only buffer that is not part of the pickle."""

    def __init__(self, token: str, task: bytes) -> None:
        self._token = token
        self._task = task

    def __reduce__(self) -> tuple[Any, ...]:
        return run_task, (pickle.PickleBuffer(b""), self._token, self._task, _core.VERSION)


def pack_spec(spec: Spec, places: Sequence[Place]) -> bytes:
    """What all tasks of a run get, as bytes."""
    from distributed.protocol.pickle import dumps

    packed: bytes = dumps((tuple(places), spec))
    return packed


def pack_task(function: TaskFunction[Spec, Task, Result], task: Task, token: str) -> bytes:
    """A task as bytes: `pickle.loads` runs it, with the bytes of `pack_spec` as its only buffer.

    `token` identifies the spec.
    """
    # Dask's own, for functions that are defined in a script.
    from distributed.protocol.pickle import dumps

    call = _Call(token, dumps((function, task)))
    return pickle.dumps(call, protocol=5, buffer_callback=lambda _buffer: None)


def run_task(spec: bytes, token: str, task: bytes, version: str) -> object:
    """Run a task on a worker; its result, or `Blind` when this worker cannot run tasks."""
    try:
        if why := _other_version(version):
            raise _CannotRunError(why)
        its_spec = _load(spec, token)
        function, its_task = pickle.loads(task)
    except Exception as error:
        from distributed import get_worker

        if isinstance(error, _CannotRunError):
            why = error.why
        else:
            why = Unseen(f"cannot read its tasks: {type(error).__name__}: {error}", may_pass=False)
        time.sleep(_BOUNCE_SECONDS)
        return Blind(get_worker().address, socket.gethostname(), *why)
    return function(its_spec, its_task, _given_up_on_worker())


def _load(packed: bytes, token: str) -> object:
    """The spec of a run, unpacked once in a process that sees the places of its run."""
    # Threads of one worker begin at the same moment.
    with _loading:
        if token not in _specs:
            places, spec = pickle.loads(packed)
            if why := first_missing(places):
                raise _CannotRunError(why)
            while len(_specs) >= _KEPT_SPECS:
                del _specs[next(iter(_specs))]
            _specs[token] = spec
        return _specs[token]


async def look(version: str, places: Sequence[Place], patience_seconds: float) -> Unseen | None:
    """Why this worker cannot run tasks; None when it can.

    The worker goes on with its other work meanwhile.
    """
    import asyncio

    if why := _other_version(version):
        return why
    try:
        return await asyncio.wait_for(asyncio.to_thread(first_missing, places), patience_seconds)
    except TimeoutError:
        reason = f"did not say within {patience_seconds:g} s whether it sees the files of the run"
        return Unseen(reason, may_pass=True)


def runs_any(prefix: str, dask_worker: Worker) -> bool:
    """Whether the worker runs a task whose key begins so."""
    keys = [task.key for task in dask_worker.state.all_running_tasks]
    return any(isinstance(key, str) and key.startswith(prefix) for key in keys)


def _other_version(version: str) -> Unseen | None:
    if version == _core.VERSION:
        return None
    return Unseen(f"has skymargin {_core.VERSION}, where this process has {version}", may_pass=False)


def _given_up_on_worker() -> GivenUp:
    """A function that says whether the scheduler still waits for the task of this thread."""
    from distributed import get_worker
    from distributed.core import Status

    worker = get_worker()
    key = worker.get_current_task()

    def is_given_up() -> bool:
        # A task that the scheduler no longer wants is "cancelled" until its thread ends, then forgotten.
        state = worker.state.tasks.get(key)
        is_wanted = state is not None and state.state in ("executing", "long-running")
        # A worker that has lost its scheduler closes, and its threads go on.
        return not is_wanted or worker.status not in (
            Status.running,
            Status.paused,
            Status.closing_gracefully,
        )

    return is_given_up
