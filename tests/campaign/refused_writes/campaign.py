"""Full disks and refused writes: runs whose files cannot be written or read, and the next run after each.

The disks are small file systems in memory, mounted in a namespace of their own; their sizes, and all else that is
limited, are drawn from the seed, so that each run fails at another moment.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from tests.campaign.outcomes import Figures, Outcome, Tally
from tests.campaign.refused_writes.bench import NAME, THRESHOLD_ARCSEC, Ending, Run
from tests.support.catalogs import (
    MIXED_PARTITIONS,
    Layout,
    ids_of,
    make_margin,
    sky_near_edges,
    write_catalog,
)
from tests.support.hipscat_catalogs import hipscat_ids, write_hipscat_catalog

_NEEDS_MOUNT = ("full disk", "few inodes", "earlier margin", "collection", "read-only")
_PROCESSES = 2
# 384 partitions, more than a process may have files open.
_MANY = tuple((3, pixel) for pixel in range(0, 768, 2))
_EXTRAS = ["--with", "statistics", "--with", "thumbnail", "--with", "markdown"]
# Words of a message, and the stage they come from.
_STAGES = {
    "shards in": "mapping",
    "margin of order": "margins",
    "dataset/_": "metadata",
    "_metadata.skymargin.json": "metadata",
    "partial": "metadata and properties",
    "skymargin-progress": "records",
}


def run(scratch: Path, seed: int, *, short: bool) -> Outcome:
    """Try runs that cannot write, or not read, what they must."""
    outcome = Outcome("refused_writes")
    peak = _prepare(scratch)
    runs = _runs(np.random.default_rng(seed), peak)
    if short:
        runs = _one_of_each(runs)
    prefix = _namespace()
    if prefix is None:
        outcome.left_out.append(
            "full and read-only disks: file systems cannot be mounted here (needs `unshare -Urm`)"
        )
        runs = [run for run in runs if run.kind not in _NEEDS_MOUNT]
    elif os.geteuid() == 0 and not shutil.which("setpriv"):
        outcome.left_out.append(
            "folders without permission: root may write everywhere, and there is no `setpriv`"
        )
        runs = [run for run in runs if run.kind not in ("no permission", "unreadable input")]
    endings = _tried(runs, scratch, prefix or [])
    outcome.tallies = _counted(runs, endings, seed)
    outcome.figures = [_stages(runs, endings)]
    return outcome


def _prepare(scratch: Path) -> dict[str, int]:
    """Write the catalogs, and make the margins that all others must be like; the bytes that each takes on the way."""
    sky = sky_near_edges(MIXED_PARTITIONS, rows=1_200, reach_arcsec=THRESHOLD_ARCSEC, seed=4)
    many = sky_near_edges(_MANY, rows=500, reach_arcsec=THRESHOLD_ARCSEC, seed=5)
    write_catalog(scratch / "hats", sky, Layout(row_group_rows=100))
    write_hipscat_catalog(scratch / "hipscat", sky)
    write_catalog(scratch / "many", many, Layout(row_group_rows=100))
    peak = {}
    extras = {f"create_{name}": True for name in ("per_partition_stats", "thumbnail", "summary_md")}
    for catalog, kind in (("hats", "hats"), ("hipscat", "hipscat"), ("many", "many"), ("hats", "extras")):
        output = scratch / "reference" / kind
        make_margin(
            scratch / catalog,
            output,
            THRESHOLD_ARCSEC,
            NAME,
            delete_intermediate_parquet_files=False,
            delete_resume_log_files=False,
            **(extras if kind == "extras" else {}),
        )
        ids = (hipscat_ids if kind == "hipscat" else ids_of)(output / NAME)
        expected = (many if kind == "many" else sky).margins(THRESHOLD_ARCSEC)
        assert ids == expected, f"the undisturbed margin of {kind} is not that of brute force"
        peak[kind] = sum(_pages(file) for file in output.rglob("*"))
    return peak


def _pages(file: Path) -> int:
    """What a file takes in memory."""
    return -(-file.stat().st_size // 4096) * 4096 if file.is_file() else 0


def _runs(random: np.random.Generator, peak: dict[str, int]) -> list[Run]:
    runs: list[Run] = []

    def add(count: int, fault: str, kind: str, amount: int | Callable[[], float] = 0, **about: Any) -> None:
        for _ in range(count):
            drawn = int(amount() if callable(amount) else amount)
            runs.append(Run(len(runs), fault, kind, amount=drawn, **about))

    def up_to(most: float, least: float = 4096) -> Callable[[], float]:
        return lambda: random.uniform(least, most)

    hats, extras, hipscat = (peak[kind] for kind in ("hats", "extras", "hipscat"))
    full = "full disk: output"
    add(20, full, "full disk", up_to(1.05 * hats))
    # What is written last takes least; this is where a margin nearly looks whole.
    add(15, full, "full disk", up_to(hats, 0.85 * hats))
    add(6, full, "full disk", up_to(extras, 0.8 * extras), options=_EXTRAS)
    add(6, full, "full disk", up_to(1.02 * hipscat), catalog="hipscat")
    add(6, full, "full disk", up_to(1.02 * hipscat, 0.85 * hipscat), catalog="hipscat")
    add(8, "full disk: output, two Dask workers", "full disk", up_to(1.05 * hats), workers=2)
    add(12, "disk without room for another file: output", "few inodes", up_to(130, 2))
    add(8, "full disk: tmp_dir", "full disk", up_to(0.5 * hats), where="tmp_dir")
    add(3, "full disk: tmp_dir", "full disk", up_to(0.5 * hats), where="tmp_dir", workers=2)
    add(6, "full disk: dask_tmp", "full disk", up_to(20_000), where="dask_tmp", workers=2)
    add(4, "full disk: dask_tmp", "few inodes", up_to(12, 2), where="dask_tmp", workers=2)
    add(12, "full disk, an earlier margin is to be replaced", "earlier margin", up_to(hats, 0))
    joined = "full disk, added to a collection"
    add(8, joined, "collection", up_to(1.05 * hats), options=["--add-to-collection"])
    add(4, joined, "collection", up_to(1.01 * hats, 0.95 * hats), options=["--add-to-collection"])
    add(12, "limit on the size of a file", "file size", up_to(150_000, 1))
    add(2, "limit on the size of a file", "file size", up_to(60_000, 1), workers=2)
    for where, workers in (("output", 1), ("output", 2), ("tmp_dir", 1), ("dask_tmp", 2)):
        about: dict[str, Any] = {"where": where, "workers": workers}
        add(1, "read-only disk", "read-only", **about)
        for mode in (0o555, 0o000):
            add(1, "folder without write permission", "no permission", mode, **about)
        for what in range(3):
            add(1, "a file, or a link to nowhere, for a folder", "no folder", what, **about)
    for catalog in ("hats", "hipscat"):
        about = {"catalog": catalog}
        for where in ("file", "folder", "metadata"):
            add(3, "input that may not be read", "unreadable input", up_to(1e6, 0), where=where, **about)
    few, about = "few file descriptors", {"catalog": "many"}
    add(1, few, "few files", 256, **about)
    add(1, few, "few files", 256, workers=2, **about)
    add(5, few, "few files", up_to(64, 12), **about)
    add(2, few, "few files", up_to(64, 16), workers=2, **about)
    return runs


def _one_of_each(runs: list[Run]) -> list[Run]:
    """The first run of each fault; with one worker, where there is one."""
    first: dict[str, Run] = {}
    for run in sorted(runs, key=lambda run: run.workers):
        first.setdefault(run.fault, run)
    return list(first.values())


def _namespace() -> list[str] | None:
    """What a command begins with to have file systems of its own; None when that is not allowed here."""
    for prefix in (["unshare", "-m"], ["unshare", "-Urm"]):
        if shutil.which("unshare") and shutil.which("mount"):
            tried = subprocess.run(
                [*prefix, "mount", "-t", "tmpfs", "tmpfs", "/mnt"], capture_output=True, check=False
            )
            if tried.returncode == 0:
                return prefix
    return None


def _tried(runs: list[Run], scratch: Path, prefix: list[str]) -> dict[int, Ending]:
    """The ending of each run; two are tried at a time."""
    (scratch / "runs.json").write_text(json.dumps([asdict(run) for run in runs]))
    module = [sys.executable, "-m", "tests.campaign.refused_writes.process", str(scratch)]
    processes = [
        subprocess.Popen(
            [*prefix, *module, str(number), str(_PROCESSES)],
            cwd=Path(__file__).parents[3],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(_PROCESSES)
    ]
    endings = {}
    begun = time.monotonic()
    for process in processes:
        said, complaints = process.communicate()
        for line in said.splitlines():
            ending = Ending(**json.loads(line))
            endings[ending.number] = ending
        if process.returncode != 0:
            raise RuntimeError(f"a process that tries runs ended with {process.returncode}: {complaints}")
    print(f"refused_writes: {len(runs)} runs in {time.monotonic() - begun:.0f} s", file=sys.stderr)
    return endings


def _counted(runs: list[Run], endings: dict[int, Ending], seed: int) -> list[Tally]:
    tallies = {run.fault: Tally(run.fault) for run in runs}
    for run in runs:
        ending = endings[run.number]
        tallies[run.fault].count(f"seed {seed}, {run}", ending.failure, refused=not ending.survived)
    return list(tallies.values())


def _stages(runs: list[Run], endings: dict[int, Ending]) -> Figures:
    """Where disks were full."""
    limited = [run.number for run in runs if run.kind in ("full disk", "few inodes", "file size")]
    messages = [endings[number].message for number in limited]
    ended = Counter(
        next((stage for words, stage in _STAGES.items() if words in message), "folders and locks")
        for message in messages
        if message
    )
    return Figures(
        "What could not be written when a disk was full, no inode was left or a file too large:",
        ["what", "runs"],
        [[stage, str(count)] for stage, count in ended.most_common()],
    )
