"""The three tools as command lines: the same margin, the same number of workers."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.environments import peer_python, version_of


@dataclass(frozen=True)
class Job:
    """One margin to build: MARGIN/NAME is made, SCRATCH is for intermediate files."""

    catalog: Path
    output: Path
    name: str
    threshold_arcsec: float
    workers: int
    scratch: Path

    @property
    def margin(self) -> Path:
        """Where the margin catalog will be."""
        return self.output / self.name


def skymargin(run: Job) -> list[str]:
    """The command of skymargin: one worker with as many threads as the peers have processes."""
    return [
        *(str(Path(sys.executable).parent / "skymargin"), "build", str(run.catalog)),
        *("--threshold", str(run.threshold_arcsec), "--output", str(run.output), "--name", run.name),
        *("--workers", "1", "--threads", str(run.workers), "--tmp-dir", str(run.scratch), "--no-progress"),
    ]


def hats_import(run: Job) -> list[str]:
    """The pipeline of hats-import, with one-threaded Dask workers as its documentation advises."""
    script = Path(__file__).parent / "peers" / "run_margin.py"
    return [
        *(str(peer_python("hats-import")), str(script), "hats_import"),
        *(str(run.catalog), str(run.output), run.name),
        *(str(run.threshold_arcsec), str(run.workers), str(run.scratch)),
    ]


def acid(run: Job) -> list[str]:
    """The command of ACID."""
    return [
        *(str(peer_python("acid").parent / "acid"), "hats", "build-margin", str(run.catalog)),
        *("--margin-arcsec", str(run.threshold_arcsec), "--workers", str(run.workers)),
        *("--output", str(run.margin), "--tmpdir", str(run.scratch)),
    ]


TOOLS: dict[str, Callable[[Job], list[str]]] = {
    "skymargin": skymargin,
    "hats-import": hats_import,
    "ACID": acid,
}


def versions() -> dict[str, str]:
    """The versions of the three tools and of what they stand on."""
    own, hats_import_python = Path(sys.executable), peer_python("hats-import")
    return {
        "skymargin": version_of(own, "skymargin"),
        "hats-import": version_of(hats_import_python, "hats-import"),
        "ACID": version_of(peer_python("acid"), "pyacid"),
        "hats": version_of(hats_import_python, "hats"),
        "pyarrow": version_of(own, "pyarrow"),
        "dask": version_of(own, "dask"),
        "Python": ".".join(map(str, sys.version_info[:3])),
    }
