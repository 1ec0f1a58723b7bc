"""Cases in a few processes that live on from case to case, with little memory; one that hangs is killed and counted."""

from __future__ import annotations

import importlib
import multiprocessing
import os
import resource
import signal
import sys
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any

_SPAWNED = multiprocessing.get_context("spawn")
MEMORY_BYTES = 8 << 30
LONGEST_SECONDS = 60.0
# What a new process may take to have everything imported.
_START_SECONDS = 300.0


def run_all(
    work: Callable[..., Any],
    cases: Iterable[tuple[Any, ...]],
    answered: Callable[[tuple[Any, ...], Any, str], None],
    *,
    modules: tuple[str, ...] = (),
    processes: int = 2,
    longest_seconds: float = LONGEST_SECONDS,
) -> None:
    """Do work for each case, in any order.

    Parameters
    ----------
    work
        A function of a module, called with what a case consists of.
    cases
        All of them.
    answered
        Called with a case, what the work returned, and in words what went wrong where it returned nothing.
    modules
        What a process imports before it gets a case, so that no case is charged for it.
    processes
        How many processes there are.
    longest_seconds
        A case that takes longer hangs.
    """
    remaining, lock = iter(cases), threading.Lock()

    def serve() -> bool:
        """Take cases until there is none or one goes wrong; whether any may remain."""
        with ProcessPoolExecutor(1, _SPAWNED, initializer=_limit, initargs=(work, modules)) as process:
            pid = process.submit(os.getpid).result(_START_SECONDS)
            trouble = ""
            while not trouble:
                with lock:
                    case = next(remaining, None)
                if case is None:
                    return False
                answer = None
                try:
                    answer = process.submit(work, *case).result(longest_seconds)
                except TimeoutError:
                    trouble = f"it hung for {longest_seconds:.0f} s"
                    os.kill(pid, signal.SIGKILL)
                except BrokenProcessPool:
                    trouble = "its process died"
                except Exception as error:
                    trouble = f"{type(error).__name__}: {error}"
                with lock:
                    answered(case, answer, trouble)
        return True

    def serve_all() -> None:
        while serve():
            pass

    with ThreadPoolExecutor(processes) as threads:
        for served in [threads.submit(serve_all) for _ in range(processes)]:
            served.result()


def _limit(_work: Callable[..., Any], modules: tuple[str, ...]) -> None:
    """Limit the memory of this process; what Rust prints of a panic it catches goes nowhere.

    The work comes along so that its module is imported here.
    """
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())
    for module in modules:
        importlib.import_module(module)
