"""The memory of a command and of each process it starts, as Linux counts it, sampled while it runs."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.meter import descendants, proportional_bytes

_ROOT = Path(__file__).parents[3]
_PAUSE_SECONDS = 0.004
# Adding up the shared pages of a process takes milliseconds.
_TREE_PAUSE_SECONDS = 0.1


@dataclass(frozen=True)
class Watched:
    """What a command took.

    Attributes
    ----------
    seconds : float
        Until it ended.
    exit_code : int or None
        None when it was ended because it took too long.
    first_bytes : int
        Most anonymous memory of the process itself: what is its own and in no file.
    worker_bytes : int
        The same of the largest of the processes it started; 0 when it started none.
    tree_bytes : int
        Most memory of all of them together, mapped files and all, a shared page counted once (PSS).
    said : str
        The end of what it printed.
    """

    seconds: float
    exit_code: int | None
    first_bytes: int
    worker_bytes: int
    tree_bytes: int
    said: str


def watch(command: list[str], log: Path, timeout_seconds: float) -> Watched:
    """Run a command and watch it."""
    first = worker = tree = 0
    exit_code: int | None
    begun = time.monotonic()
    next_tree = begun
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=_ROOT, stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL
        )
        started: list[int] = []
        while (exit_code := process.poll()) is None and time.monotonic() - begun < timeout_seconds:
            first = max(first, _anonymous_bytes(process.pid))
            worker = max([worker, *map(_anonymous_bytes, started)])
            if time.monotonic() >= next_tree:
                started = descendants(process.pid)
                tree = max(tree, sum(map(proportional_bytes, [process.pid, *started])))
                next_tree = time.monotonic() + _TREE_PAUSE_SECONDS
            time.sleep(_PAUSE_SECONDS)
        seconds = time.monotonic() - begun
        if exit_code is None:
            process.kill()
            process.wait()
    return Watched(seconds, exit_code, first, worker, tree, log.read_text(errors="replace")[-2_000:])


def build_command(
    catalog: Path, output: Path, threshold_arcsec: float, workers: int, threads: int, limit_bytes: int
) -> list[str]:
    """Return the command that builds a margin with so many workers, each with so many threads and such a limit."""
    given = [catalog, output, threshold_arcsec, workers, threads, limit_bytes]
    return [sys.executable, "-m", "tests.campaign.memory.process", *map(str, given)]


def _anonymous_bytes(process: int) -> int:
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon:")), 0)
