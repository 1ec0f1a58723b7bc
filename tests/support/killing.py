"""Runs of the pipeline in processes of their own, which die without a word at a chosen moment."""

from __future__ import annotations

import importlib
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from skymargin.build.stages import map as map_stage
from skymargin.build.stages.tasks import MapTask
from skymargin.errors import SkymarginError

# A process that has these loaded is forked for each run, which saves seconds of imports. It has no threads.
_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["distributed", "skymargin.build.pipeline", __name__])


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
        owner: Any = importlib.import_module(module) and sys.modules[module]
        *classes, attribute = name.split(".")
        for one in classes:
            owner = getattr(owner, one)
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
    run = _started(catalog, output, threshold_arcsec, moment, None, arguments)
    run.join(60)
    assert run.exitcode == -signal.SIGKILL, f"{moment} never came: {run.exitcode}"


def run_killed_after(
    seconds: float, catalog: Path, output: Path, threshold_arcsec: float | tuple[float, ...], **arguments: Any
) -> bool:
    """Run the pipeline in a process that is killed after a time; whether it was still running."""
    begun = output.parent / f"{output.name}-begun"
    begun.unlink(missing_ok=True)
    run = _started(catalog, output, threshold_arcsec, None, begun, arguments)
    wait_for(begun.exists, str(begun))
    run.join(seconds)
    run.kill()
    run.join(60)
    assert run.exitcode in (0, -signal.SIGKILL)
    return run.exitcode != 0


def run_halted_at(
    moment: Moment,
    reached: Path,
    catalog: Path,
    output: Path,
    threshold_arcsec: float | tuple[float, ...],
    **arguments: Any,
) -> Any:
    """Run the pipeline in a process that touches a file at a moment and then waits; to be killed by the caller."""
    run = _started(catalog, output, threshold_arcsec, moment, reached, arguments)
    wait_for(reached.exists, str(reached))
    return run


def wait_for(is_there: Callable[[], bool], what: str) -> None:
    """Wait until another process has made something."""
    for _ in range(3_000):
        if is_there():
            return
        time.sleep(0.02)
    raise AssertionError(f"{what} was not made")


def die_once(spec_file: Path, batch: MapTask) -> map_stage.Mapped | SkymarginError:
    """Map a batch, but kill the worker before the third one, once, when another batch is recorded as mapped."""
    died = spec_file.parent / "died"
    if batch.number == 2 and not died.exists():
        beside = spec_file.parent.parent
        wait_for(lambda: any(beside.glob("*-progress-*/mapped-*")), f"a record of a batch in {beside}")
        died.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return map_stage.map_batch(spec_file, batch)


def _started(
    catalog: Path,
    output: Path,
    threshold_arcsec: float | tuple[float, ...],
    moment: Moment | None,
    signalled: Path | None,
    arguments: dict[str, Any],
) -> Any:
    run = _FORKS.Process(target=_run, args=(catalog, output, threshold_arcsec, moment, signalled, arguments))
    run.start()
    return run


def _run(
    catalog: Path,
    output: Path,
    threshold_arcsec: float | tuple[float, ...],
    moment: Moment | None,
    signalled: Path | None,
    arguments: dict[str, Any],
) -> None:
    from tests.support.catalogs import make_margin, make_margins
    from tests.support.limits import set_limits

    set_limits(smallest_task_bytes=1)
    if moment is None and signalled is not None:
        signalled.touch()
    elif moment is not None and signalled is not None:
        moment.arrange(lambda: (signalled.touch(), time.sleep(600)))
    elif moment is not None:
        moment.arrange(lambda: os.kill(os.getpid(), signal.SIGKILL))
    if isinstance(threshold_arcsec, tuple):
        make_margins(catalog, output, threshold_arcsec, **arguments)
    else:
        make_margin(catalog, output, threshold_arcsec, **arguments)
