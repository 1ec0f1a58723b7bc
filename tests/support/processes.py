"""Commands and Python code in processes of their own."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path


def run(
    command: Sequence[object],
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
    code: int | None = 0,
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, with more variables in its environment; it must end with the code, if any is given."""
    done = subprocess.run(
        [str(word) for word in command],
        cwd=folder,
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert code is None or done.returncode == code, done.stderr
    return done


def run_at_once(target: Callable[..., object], *arguments: tuple[object, ...]) -> None:
    """Call a function in several processes, each with its arguments and, last, a barrier at which all wait."""
    context = multiprocessing.get_context("spawn")
    started = context.Barrier(len(arguments))
    runs = [context.Process(target=target, args=(*own, started)) for own in arguments]
    for run in runs:
        run.start()
    for run in runs:
        run.join(60)
    assert [run.exitcode for run in runs] == [0] * len(arguments)


def run_python(code: str, *arguments: object, ends_with: int = 0, **environment: str) -> str:
    """Run Python code, warnings as errors; return what it printed."""
    command = [sys.executable, "-W", "error", "-c", textwrap.dedent(code), *arguments]
    return run(command, environment=environment, code=ends_with).stdout
