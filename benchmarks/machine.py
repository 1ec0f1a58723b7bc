"""The machine a figure was measured on."""

from __future__ import annotations

import os
import platform
import time
from pathlib import Path


def cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0))


def describe() -> str:
    """Processor, cores, memory and system, in one line."""
    model = next(
        (line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")),
        platform.processor() or "unknown processor",
    )
    memory = next(
        int(line.split()[1]) * 1024 for line in _lines("/proc/meminfo") if line.startswith("MemTotal")
    )
    system = f"Linux {platform.release().partition('-')[0]}"
    return f"{model}, {cores()} cores, {memory / 2**30:.0f} GB of memory, {system}"


def require_release() -> None:
    """End with a message where the extension is the one that `make test` builds: it is slower, and measures nothing."""
    from skymargin import _core

    if _core.DEBUG_ASSERTIONS:
        raise SystemExit(
            "the extension was built with debug assertions, as make test does: run make release first"
        )


def busy_share(over_seconds: float = 1.0) -> float:
    """The share of all cores' time that other work takes just now: near zero on a quiet machine."""

    def idle_and_all() -> tuple[int, int]:
        ticks = [int(value) for value in _lines("/proc/stat")[0].split()[1:9]]
        return ticks[3] + ticks[4], sum(ticks)

    idle, total = idle_and_all()
    time.sleep(over_seconds)
    idle_now, total_now = idle_and_all()
    return 1.0 - (idle_now - idle) / max(total_now - total, 1)


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines()
