"""A run of the pipeline in a process of its own, and the hand that kills it, or its workers, at a counted moment.

A moment is the nth event: a file that is opened to be written, a rename, a removal, a new folder in the process that
drives the run; or the nth request that an S3 server gets. Both were counted in an undisturbed run.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from tests.support.forks import Fork

_CHANGES = {
    *("os.rename", "os.remove", "os.rmdir", "os.mkdir"),
    *("os.link", "os.symlink", "os.truncate", "shutil.rmtree"),
}
_WRITING = os.O_WRONLY | os.O_RDWR
STAGES = ("Planning", "Mapping", "Reducing", "Finishing", "Placing")


@dataclass(frozen=True)
class Order:
    """What to run, and what shall happen at which of its events; event 0 is none of them."""

    arguments: dict[str, Any]
    event: int
    victim: str
    notes: Path
    seed: int


def started(order: Order, timeout_seconds: float = 120.0) -> Fork:
    """Start a run and wait until its imports are over."""
    run = Fork(_run, order)
    end = time.monotonic() + timeout_seconds
    while not (order.notes / "begun").exists() and run.exit_status is None:
        if time.monotonic() > end:
            raise TimeoutError(f"the run of {order.notes} did not begin in {timeout_seconds:.0f} s")
        time.sleep(0.005)
    return run


def kill(driver: int, victim: str, seed: int) -> bool:
    """Kill the driver of a run, one of its workers, or all at once; whether there was anybody to kill."""
    try:
        process = psutil.Process(driver)
        children = process.children(recursive=True)
        workers = [child for child in children if "spawn_main" in " ".join(child.cmdline())]
    except psutil.NoSuchProcess:
        return False
    victims = [process, *workers]
    if victim == "driver":
        victims = [process]
    elif victim == "worker":
        victims = [workers[seed % len(workers)]] if workers else []
    for hit in reversed(victims):
        try:
            hit.send_signal(signal.SIGKILL)
        except psutil.NoSuchProcess:
            continue
    return bool(victims)


def stage_of(notes: Path) -> str:
    """Return the stage that a run was in when it last said so."""
    path = notes / "stage"
    return path.read_text().split()[-1] if path.exists() else STAGES[0]


def events_of(notes: Path) -> int:
    """Return how many events an undisturbed run had."""
    return int((notes / "events").read_text())


def error_of(notes: Path) -> str:
    """Return the error that a run ended with, its kind first, or nothing."""
    path = notes / "error"
    return path.read_text() if path.exists() else ""


class _Watch:
    """Counts the events of this process, and kills at one of them."""

    def __init__(self, order: Order) -> None:
        self.order = order
        self.count = 0
        self.is_over = False
        self.lock = threading.Lock()
        self.stages = os.open(order.notes / "stage", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def __call__(self, event: str, args: tuple[Any, ...]) -> None:
        if event == "open":
            if not isinstance(args[2], int) or not args[2] & _WRITING or str(args[0]).startswith("/dev/"):
                return
        elif event not in _CHANGES:
            return
        with self.lock:
            self.count += 1
            if self.is_over or not 0 < self.order.event <= self.count:
                return
            self.is_over = True
        (self.order.notes / "hit").write_text(stage_of(self.order.notes))
        if not kill(os.getpid(), self.order.victim, self.order.seed):
            # A worker is not there yet: the next event is tried.
            self.is_over = False

    def enter(self, stage: str) -> None:
        os.write(self.stages, f"{stage}\n".encode())


def use_small_batches() -> None:
    """Have many batches of few partitions in this process, so that there is much to be cut off."""
    from tests.support.limits import set_limits

    set_limits(smallest_task_bytes=1, tasks_per_thread=32)


def _run(order: Order) -> None:
    from skymargin.progress import Stages
    from tests.support.catalogs import make_margin
    from tests.support.killing import Moment

    use_small_batches()
    watch = _Watch(order)
    watch.enter(STAGES[0])
    stage = Stages.stage

    def watched(self: Stages, name: str, total: int) -> Any:
        watch.enter(name)
        return stage(self, name, total)

    Stages.stage = watched  # type: ignore[method-assign]
    Moment("skymargin.build.checkpoint.pending:PendingMargin.publish").arrange(lambda: watch.enter("Placing"))
    sys.addaudithook(watch)
    (order.notes / "begun").touch()
    try:
        make_margin(**order.arguments)
    except Exception as error:
        (order.notes / "error").write_text(f"{type(error).__name__}: {error}")
        sys.exit(1)
    (order.notes / "events").write_text(str(watch.count))
