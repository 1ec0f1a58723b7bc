"""Cases in a few processes that live on from case to case, with little memory; one that hangs is killed and counted."""

from __future__ import annotations

import multiprocessing
import os
import queue
import resource
import sys
import threading
from collections.abc import Callable, Iterable
from multiprocessing.connection import Connection
from typing import Any

_SPAWNED = multiprocessing.get_context("spawn")
MEMORY_BYTES = 8 << 30
LONGEST_SECONDS = 60.0
# What a new process may take to have everything imported.
_START_SECONDS = 120.0


def run_all(
    work: Callable[..., Any],
    cases: Iterable[tuple[Any, ...]],
    answered: Callable[[tuple[Any, ...], Any, str], None],
    *,
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
        Called with a case, what the work returned, and in words what became of the process where it returned nothing.
    processes
        How many processes there are.
    longest_seconds
        A case that takes longer hangs.
    """
    todo: queue.SimpleQueue[tuple[Any, ...]] = queue.SimpleQueue()
    for case in cases:
        todo.put(case)
    lock = threading.Lock()

    def serve() -> None:
        worker = _Worker(work)
        try:
            while True:
                try:
                    case = todo.get_nowait()
                except queue.Empty:
                    return
                answer, trouble = worker.ask(case, longest_seconds)
                with lock:
                    answered(case, answer, trouble)
                if trouble:
                    worker.stop()
                    worker = _Worker(work)
        finally:
            worker.stop()

    threads = [threading.Thread(target=serve) for _ in range(processes)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


class _Worker:
    """A process, and the way to it."""

    def __init__(self, work: Callable[..., Any]) -> None:
        self._here, there = _SPAWNED.Pipe()
        self._process = _SPAWNED.Process(target=_answer, args=(there, work), daemon=True)
        self._process.start()
        there.close()
        self._is_ready = False

    def ask(self, case: tuple[Any, ...], longest_seconds: float) -> tuple[Any, str]:
        """The answer for a case, or what became of the process."""
        try:
            if not self._is_ready:
                self._is_ready = self._here.poll(_START_SECONDS)
                self._here.recv()
            self._here.send(case)
            if not self._here.poll(longest_seconds):
                return None, f"it hung for {longest_seconds:.0f} s"
            return self._here.recv(), ""
        except (EOFError, OSError):
            self._process.join(10)
            return None, f"its process died with {self._process.exitcode}"

    def stop(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.join()
        self._here.close()


def _answer(there: Connection, work: Callable[..., Any]) -> None:
    """Answer until the process is killed; what Rust prints of a panic it catches goes nowhere."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stderr.fileno())
    there.send("ready")
    while True:
        try:
            case = there.recv()
        except EOFError:
            return
        there.send(work(*case))
