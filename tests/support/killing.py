"""Runs of the pipeline in processes of their own, which die without a word at a chosen moment."""

from __future__ import annotations

import importlib
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from skymargin.build.execution.tasks import GivenUp
from skymargin.build.stages.map import MapResult, map_batch
from skymargin.build.stages.tasks import Job, MapTask
from skymargin.errors import SkymarginError
from tests.support.forks import Fork, preload, run_forked

preload(__name__)


@dataclass(frozen=True)
class Moment:
    """Before or after a call of a function, given as module:name, for the nth time."""

    function: str
    call: int = 1
    after: bool = False

    def __str__(self) -> str:
        return f"{'after' if self.after else 'before'} {self.function.split(':')[1]} {self.call}"

    def arrange(self, happening: Callable[[], object]) -> None:
        """Have something happen at this moment in this process."""
        module, _, name = self.function.partition(":")
        owner: Any = importlib.import_module(module)
        *classes, attribute = name.split(".")
        for class_name in classes:
            owner = getattr(owner, class_name)
        original = getattr(owner, attribute)
        calls = []

        def watched(*args: object, **named: object) -> object:
            calls.append(None)
            if len(calls) == self.call and not self.after:
                happening()
            result = original(*args, **named)
            if len(calls) == self.call and self.after:
                happening()
            return result

        setattr(owner, attribute, watched)


def run_killed_at(
    moment: Moment, catalog: Path, output: Path, threshold_arcsec: float | tuple[float, ...], **arguments: Any
) -> None:
    """Run the pipeline in a process that is killed at a moment; fails when the moment never comes."""
    status = run_forked(_run, 60, moment, None, catalog, output, threshold_arcsec, **arguments)
    assert status == -signal.SIGKILL, f"{moment} never came: {status}"


def run_halted_at(
    moment: Moment,
    reached: Path,
    catalog: Path,
    output: Path,
    threshold_arcsec: float | tuple[float, ...],
    **arguments: Any,
) -> Fork:
    """Run the pipeline in a process that touches a file at a moment and then waits; to be killed by the caller."""
    run = Fork(_run, moment, reached, catalog, output, threshold_arcsec, **arguments)
    wait_for(reached.exists, str(reached))
    return run


def wait_for(is_there: Callable[[], bool], what: str) -> None:
    """Wait until another process has made something."""
    for _ in range(3_000):
        if is_there():
            return
        time.sleep(0.02)
    raise AssertionError(f"{what} was not made")


def die_once(job: Job, batch: MapTask, is_given_up: GivenUp) -> MapResult | SkymarginError:
    """Map a batch, but kill the worker before the third one, once, when another batch is recorded as mapped."""
    shards = Path(str(job.shards))
    died = shards / "died"
    if batch.number == 2 and not died.exists():
        beside = shards.parent
        wait_for(lambda: any(beside.glob("*-progress-*/mapped-*")), f"a record of a batch in {beside}")
        died.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return map_batch(job, batch, is_given_up)


def _run(
    moment: Moment,
    halted: Path | None,
    catalog: Path,
    output: Path,
    threshold_arcsec: float | tuple[float, ...],
    **arguments: Any,
) -> None:
    """Run to a moment: there the process is killed, or, with a file to touch, halted."""
    from tests.support.catalogs import make_margin, make_margins
    from tests.support.limits import set_limits

    set_limits(smallest_task_bytes=1, tasks_per_thread=32)
    if halted is None:
        moment.arrange(lambda: os.kill(os.getpid(), signal.SIGKILL))
    else:
        moment.arrange(lambda: (halted.touch(), time.sleep(600)))
    make = make_margins if isinstance(threshold_arcsec, tuple) else make_margin
    make(catalog, output, threshold_arcsec, **arguments)  # type: ignore[operator]
