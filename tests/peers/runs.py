"""Catalogs whose margins are compared with those of other tools, and runs of these."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

SCRIPTS = Path(__file__).parents[2] / "benchmarks" / "peers"


@dataclass(frozen=True)
class Case:
    """A catalog, a threshold at which its margins have rows, and the names of its columns."""

    path: Path
    threshold_arcsec: float
    key: str = "source_id"
    ra: str = "ra"
    dec: str = "dec"


def run_peer(python: Path, script: str, *arguments: object) -> str:
    """Return what a script of benchmarks/peers prints that runs in the environment of another tool."""
    return subprocess.run(
        [str(python), str(SCRIPTS / script), *map(str, arguments)],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout
