"""Functions in processes that are forked from one with the slow imports loaded; several threads may start them.

Forking saves seconds of imports for each process. The process that is forked has no threads.
"""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Callable
from multiprocessing.connection import wait

_FORKS = multiprocessing.get_context("forkserver")
_preloaded = {
    "distributed",
    "hats",
    "skymargin.build.pipeline",
    "skymargin.cli.main",
    "tests.support.catalogs",
}
# Each start asks after all other children. The status of a child can be read once: a second thread that reads it at
# the same time gets nothing, which multiprocessing takes for an exit status of 255.
_LOCK = threading.Lock()


def preload(*modules: str) -> None:
    """Have more modules loaded in the process that is forked; without effect after the first fork."""
    _preloaded.update(modules)
    _FORKS.set_forkserver_preload(sorted(_preloaded))


preload()


class Fork:
    """A running function of a module, in a process of its own."""

    def __init__(self, function: Callable[..., object], *args: object, **named: object) -> None:
        self._process = _FORKS.Process(target=function, args=args, kwargs=named)
        with _LOCK:
            self._process.start()

    @property
    def pid(self) -> int:
        """Its process identifier."""
        assert self._process.pid is not None
        return self._process.pid

    @property
    def exit_status(self) -> int | None:
        """Its exit status, negative for a signal; None while it runs."""
        with _LOCK:
            return self._process.exitcode

    def wait(self, seconds: float) -> int | None:
        """Wait for its end; the exit status, None when it still runs."""
        wait([self._process.sentinel], seconds)
        return self.exit_status

    def kill(self) -> None:
        """End it, if it has not ended."""
        self._process.kill()
        self.wait(60)


def run_forked(function: Callable[..., object], seconds: float, *args: object, **named: object) -> int | None:
    """Run a function of a module in a process of its own; its exit status, None when it was killed after a time."""
    fork = Fork(function, *args, **named)
    status = fork.wait(seconds)
    if status is None:
        fork.kill()
    return status
