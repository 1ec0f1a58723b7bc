"""Results of the steps, kept in the cache: the page is made from them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from benchmarks import machine
from benchmarks.environments import ROOT
from benchmarks.generate import CACHE

RESULTS = CACHE / "results"


def keep(name: str, result: Mapping[str, Any]) -> None:
    """Write a result to where the page finds it."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(result, indent=1))


def kept(name: str) -> dict[str, Any]:
    """Return a result that was kept; `FileNotFoundError` if it was not measured."""
    path = RESULTS / f"{name}.json"
    if not path.exists():
        raise FileNotFoundError(f"{name} has not been measured")
    result: dict[str, Any] = json.loads(path.read_text())
    return result


def printed_json(*command: object, python: object = sys.executable) -> dict[str, Any]:
    """Run a Python interpreter; its last line of output as JSON."""
    done = subprocess.run(
        [str(python), *map(str, command)], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True
    )
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def surroundings(workers: int) -> dict[str, Any]:
    """What a result depends on besides the code; taken just before measuring."""
    return {
        "machine": machine.describe(),
        "workers": workers,
        "busy_before": machine.busy_share(),
        "load": os.getloadavg()[0],
        "measured": time.strftime("%Y-%m-%d"),
    }


def conditions(result: Mapping[str, Any]) -> str:
    """The sentences about other work on the machine."""
    return (
        f"{result['workers']} threads, on {result['machine']}. Other work took {result['busy_before']:.0%} of the "
        f"processors just before, and the load was {result['load']:.1f}: on a busy machine processor time says more "
        "than seconds."
    )


def slope(values: list[float], times: list[float]) -> float:
    """Slope of a straight line through the logarithms: 1 is proportional, 0 is constant."""
    return float(np.polyfit(np.log(values), np.log(times), 1)[0])
