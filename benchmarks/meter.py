"""Run one command and measure its whole process tree: seconds, memory, bytes read, CPU.

Run as ``python -m benchmarks.meter RESULT.json TIMEOUT_SECONDS ANONYMOUS COMMAND...`` in a process of its own, so
that what the kernel accounts to the children of this process is the command's and nothing else's:

- seconds: from just before the command starts until it has ended;
- bytes read: ``rchar`` of /proc/PID/io, that is what every read call returned, from disk or page cache. The
  kernel adds a child's figures to its parent's when it is reaped, and this process reaps orphans too, so no
  process is lost;
- peak memory: the highest sum over the tree of PSS (resident pages, a shared page counted once), sampled
  every 10 ms or slower where reading it would cost more than 2 % of a core; and, exact and unsampled, the
  kernel's own high-water mark of the resident set of the largest single process;
- anonymous memory, if ANONYMOUS is 1: the most of the command's own process and of any it starts, which no file
  stands behind, sampled every 4 ms.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

_PR_SET_CHILD_SUBREAPER = 36
SAMPLE_SECONDS = 0.01
ANONYMOUS_SAMPLE_SECONDS = 0.004
# Between two looks at which processes there are, where anonymous memory is sampled.
TREE_SECONDS = 0.1
# Reading PSS walks the page tables of the process it reads: at most this share of the time goes to it.
SAMPLER_SHARE = 0.02
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Measurement:
    """What one run cost. `exit_code` is None when the run was ended at its time-out."""

    seconds: float
    exit_code: int | None
    peak_tree_bytes: int
    peak_process_bytes: int
    bytes_read: int
    cpu_seconds: float
    first_anonymous_bytes: int = 0
    other_anonymous_bytes: int = 0


def measure(command: list[str], timeout_seconds: float, log: Path, *, anonymous: bool = False) -> Measurement:
    """Run a command under a meter process; its output goes to `log`.

    Raises
    ------
    RuntimeError
        When the meter itself fails, with what it said.
    """
    result = log.with_suffix(".json")
    result.unlink(missing_ok=True)
    numbers = [str(timeout_seconds), str(int(anonymous))]
    with log.open("wb") as output:
        metered = subprocess.run(
            [sys.executable, "-m", "benchmarks.meter", str(result), *numbers, *command],
            cwd=Path(__file__).parent.parent,
            stdout=output,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
        )
    if metered.returncode != 0:
        raise RuntimeError(f"the meter of {command} failed: {log.read_text(errors='replace')[-2_000:]}")
    return Measurement(**json.loads(result.read_text()))


def _parents() -> dict[int, int]:
    """The parent of every process."""
    parents = {}
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            try:
                fields = Path(entry.path, "stat").read_bytes().rpartition(b")")[2].split()
            except OSError:
                continue
            parents[int(entry.name)] = int(fields[1])
    return parents


def descendants(ancestor: int) -> list[int]:
    """All living descendants of a process."""
    children: dict[int, list[int]] = {}
    for process, parent in _parents().items():
        children.setdefault(parent, []).append(process)
    processes: list[int] = []
    waiting = list(children.get(ancestor, []))
    while waiting:
        process = waiting.pop()
        processes.append(process)
        waiting += children.get(process, [])
    return processes


def _resident_bytes(process: int) -> int:
    try:
        return int(Path(f"/proc/{process}/statm").read_bytes().split()[1]) * _PAGE_BYTES
    except OSError:
        return 0


def _proportional_bytes(process: int) -> int:
    return _bytes_of(f"/proc/{process}/smaps_rollup", b"Pss:")


def _anonymous_bytes(process: int) -> int:
    return _bytes_of(f"/proc/{process}/status", b"RssAnon:")


def _bytes_of(path: str, name: bytes) -> int:
    """A figure that the kernel gives in kB; 0 when the process has ended."""
    try:
        lines = Path(path).read_bytes().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(name)), 0)


class _Watch(threading.Thread):
    """Keeps the peaks of the descendants of this process, and ends them when their time is up.

    This is the only other thread, and it lives until all is counted: a thread that ends meanwhile would take
    what it read to the figures of the children.
    """

    def __init__(self, timeout_seconds: float, anonymous: bool) -> None:
        super().__init__(daemon=True)
        self.peak_bytes = 0
        self.command = 0
        self.first_anonymous_bytes = self.other_anonymous_bytes = 0
        self._anonymous = anonymous
        self.is_timed_out = False
        self.is_over = threading.Event()
        self._deadline = time.monotonic() + timeout_seconds

    def run(self) -> None:
        pause, next_look = SAMPLE_SECONDS, 0.0
        processes: list[int] = []
        while not self.is_over.wait(ANONYMOUS_SAMPLE_SECONDS if self._anonymous else pause):
            now = time.monotonic()
            if not self.is_timed_out and now > self._deadline:
                self.is_timed_out = True
                _kill(descendants(os.getpid()))
            for process in processes if self._anonymous else []:
                anonymous_bytes = _anonymous_bytes(process)
                if process == self.command:
                    self.first_anonymous_bytes = max(self.first_anonymous_bytes, anonymous_bytes)
                else:
                    self.other_anonymous_bytes = max(self.other_anonymous_bytes, anonymous_bytes)
            if now < next_look:
                continue
            start = time.thread_time()
            processes = descendants(os.getpid())
            # A sum of PSS is never above the sum of resident sizes, which is far cheaper to read.
            if sum(map(_resident_bytes, processes)) > self.peak_bytes:
                self.peak_bytes = max(self.peak_bytes, sum(map(_proportional_bytes, processes)))
            pause = max(SAMPLE_SECONDS, (time.thread_time() - start) / SAMPLER_SHARE)
            next_look = now + TREE_SECONDS if self._anonymous else 0.0


def _kill(processes: list[int]) -> None:
    for process in processes:
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)


def _end_descendants() -> None:
    """End every process this meter started, and wait until none is left."""
    while processes := descendants(os.getpid()):
        _kill(processes)
        _reap_all()


def _reap_all() -> None:
    """Reap the ended children without waiting for living ones longer than a moment."""
    time.sleep(0.01)
    while True:
        try:
            process, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if process == 0:
            return


def _read_by(path: str) -> int:
    return next(
        int(line.split()[1]) for line in Path(path).read_text().splitlines() if line.startswith("rchar")
    )


def run(command: list[str], timeout_seconds: float, anonymous: bool) -> Measurement:
    """Run and measure a command from this process, which must have no other children."""
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "cannot become the reaper of orphaned processes")
    watch = _Watch(timeout_seconds, anonymous)
    watch.start()
    start = time.perf_counter()
    child = subprocess.Popen(command)
    watch.command = child.pid
    exit_code: int | None = child.wait()
    seconds = time.perf_counter() - start
    if watch.is_timed_out:
        exit_code = None
    _end_descendants()
    # This process's own reads are those of its living threads: what remains came from reaped children.
    own = sum(_read_by(f"{thread}/io") for thread in Path("/proc/self/task").iterdir())
    children_read = max(_read_by("/proc/self/io") - own, 0)
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    watch.is_over.set()
    watch.join()
    return Measurement(
        seconds=seconds,
        exit_code=exit_code,
        peak_tree_bytes=watch.peak_bytes,
        peak_process_bytes=usage.ru_maxrss * 1024,
        bytes_read=children_read,
        cpu_seconds=usage.ru_utime + usage.ru_stime,
        first_anonymous_bytes=watch.first_anonymous_bytes,
        other_anonymous_bytes=watch.other_anonymous_bytes,
    )


def main() -> None:
    """Entry point: RESULT.json TIMEOUT_SECONDS ANONYMOUS COMMAND..."""
    result, timeout_seconds, anonymous, *command = sys.argv[1:]
    cost = run(command, float(timeout_seconds), anonymous == "1")
    Path(result).write_text(json.dumps(asdict(cost)))


if __name__ == "__main__":
    main()
