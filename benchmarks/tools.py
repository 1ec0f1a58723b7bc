"""The three tools as command lines: the same margin, the same number of workers."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
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


def skymargin(run: Job, *, workers: int = 1, threads: int | None = None) -> list[str]:
    """The command of skymargin: one worker with as many threads as the peers have processes, or as is said."""
    threads = run.workers if threads is None else threads
    return [
        *(str(Path(sys.executable).parent / "skymargin"), "build", str(run.catalog)),
        *("--threshold", str(run.threshold_arcsec), "--output", str(run.output), "--name", run.name),
        *("--workers", str(workers), "--threads", str(threads), "--tmp-dir", str(run.scratch)),
        *("--no-progress", "--json"),
    ]


# Runs in a fresh interpreter: the command line takes one worker to be threads of its own process.
_ONE_PROCESS = """
import json, sys
from pathlib import Path
from skymargin import MarginCacheArguments, pipeline_with_client
from skymargin.build.execution.dask_client import own_client
catalog, output, name, threshold, scratch = sys.argv[1:]
args = MarginCacheArguments(output, name, input_catalog_path=catalog, margin_threshold=float(threshold),
    tmp_dir=scratch, progress_bar=False)
with own_client(1, 1, Path(scratch)) as client:
    report = pipeline_with_client(args, client)
print(json.dumps({"reports": [{"seconds": report.seconds}]}))
"""


def one_worker_process(run: Job) -> list[str]:
    """skymargin with one Dask worker process of one thread, as `skymargin` starts two of them."""
    return [
        *(sys.executable, "-c", _ONE_PROCESS),
        *(str(run.catalog), str(run.output), run.name, str(run.threshold_arcsec), str(run.scratch)),
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


Command = Callable[[Job], list[str]]

TOOLS: dict[str, Command] = {
    "skymargin": skymargin,
    "hats-import": hats_import,
    "ACID": acid,
}


# The packages of the environments whose versions matter.
_PACKAGES = {"hats-import": ("hats-import", "hats", "lsdb"), "acid": ("pyacid",)}


def versions(peers: Iterable[str] = ()) -> dict[str, str]:
    """The versions of skymargin and what it stands on, and of peers."""
    named = {package: version_of(sys.executable, package) for package in ("skymargin", "pyarrow", "dask")}
    for peer in peers:
        named |= {package: version_of(peer_python(peer), package) for package in _PACKAGES[peer]}
    return named | {"Python": ".".join(map(str, sys.version_info[:3]))}
