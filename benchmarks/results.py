"""Results of the parts, kept as JSON in the cache: the page is made from them, whichever run they are from."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import machine
from benchmarks.environments import ROOT
from benchmarks.tools import versions

# Of this process: results with the same value are from one run.
RUN = time.strftime("%Y-%m-%d %H:%M:%S")

Result = dict[str, Any]


class NotMeasuredError(LookupError):
    """A result is missing: its part has not been run."""


class Results:
    """The results in a folder.

    Parameters
    ----------
    folder
        Where they are; made when the first is kept.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def keep(self, name: str, result: Mapping[str, Any]) -> None:
        """Write a result, whole or not at all."""
        self.folder.mkdir(parents=True, exist_ok=True)
        unfinished = self._path(name).with_suffix(".unfinished")
        unfinished.write_text(json.dumps(result, indent=1))
        unfinished.replace(self._path(name))

    def kept(self, name: str) -> Result:
        """Return a result that was kept."""
        if not self._path(name).exists():
            raise NotMeasuredError(f"{name} has not been measured")
        result: Result = json.loads(self._path(name).read_text())
        return result

    def all_kept(self, names: Iterable[str]) -> dict[str, Result]:
        """Return those of the named results that were kept; there is at least one."""
        names = list(names)
        kept = {name: self.kept(name) for name in names if self._path(name).exists()}
        if not kept:
            raise NotMeasuredError(f"none of {', '.join(names)} has been measured")
        return kept

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.json"


def surroundings(workers: int, peers: Iterable[str] = ()) -> Result:
    """What a result depends on besides the code; taken just before measuring."""
    return {
        "run": RUN,
        "command": " ".join(["python -m benchmarks", *sys.argv[1:]]),
        "machine": machine.describe(),
        "versions": versions(peers),
        "workers": workers,
        "busy_before": machine.busy_share(),
        "load": os.getloadavg()[0],
    }


def provenance(results: Mapping[str, Result]) -> str:
    """The lines that say where, when and how results were measured: one line for each run they are from."""
    by_run: dict[tuple[str, str], dict[str, Result]] = {}
    for name, result in results.items():
        by_run.setdefault((result["run"], result["command"]), {})[name] = result
    lines = []
    for (run, command), group in by_run.items():
        last = list(group.values())[-1]
        names = "" if len(by_run) == 1 else f"{', '.join(group)}: "
        programs = ", ".join(f"{name} {version}" for name, version in last["versions"].items())
        busiest = max(result["busy_before"] for result in group.values())
        load = max(result["load"] for result in group.values())
        lines.append(
            f"{names}{last['machine']}; {programs}. Run of {run}, `{command}`; before it, other work took at most "
            f"{busiest:.0%} of the processors, and the load was at most {load:.1f}."
        )
    return "\n\n".join(lines)


def printed_json(*command: object, python: object = sys.executable) -> Result:
    """Run a Python interpreter; its last line of output as JSON."""
    done = subprocess.run(
        [str(python), *map(str, command)], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True
    )
    result: Result = json.loads(done.stdout.splitlines()[-1])
    return result


def slope(values: list[float], times: list[float]) -> float:
    """Slope of a straight line through the logarithms: 1 is proportional, 0 is constant."""
    return float(np.polyfit(np.log(values), np.log(times), 1)[0])
