"""Many pipelines in one process: nothing may grow."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from tests.campaign.outcomes import Figures, Outcome, Tally
from tests.support.catalogs import Layout, files_of, sky_near_edges, write_catalog
from tests.support.hipscat_catalogs import write_hipscat_catalog
from tests.support.servers import new_bucket, s3_server

THRESHOLD_ARCSEC = 60.0
PARTITIONS = ((0, 5), (1, 14), (1, 15), (2, 52), (2, 53), (2, 54))
# A run here gathers a few MB. What one leaves for good would be a job with its catalog, a report, a file system or a
# shard, of 50 kB and more each. What the allocator makes of holes is below that.
LIMIT_KB_PER_PIPELINE = 30.0
# From few pipelines no slope can be told; what is left by each run, of a MB or so, can.
SHORT_LIMIT_KB_PER_PIPELINE = 1_000.0
_PATIENCE_SECONDS = 900
# Dask keeps the last thousands of its steps, which take more and more memory until they are so many.
_SHORT_HISTORY = {
    "DASK_DISTRIBUTED__ADMIN__LOG_LENGTH": "50",
    "DASK_DISTRIBUTED__ADMIN__LOW_LEVEL_LOG_LENGTH": "50",
}
_MEASURED = ("RSS kB", "anonymous kB")
# Dask and fsspec keep some connections and threads ready, which come and go.
_SLACK = {"descriptors": 8, "threads": 2, "asyncio tasks": 3}
_NOT_LIMITED = ("objects",)


def run(scratch: Path, seed: int, *, short: bool) -> Outcome:
    """Run pipelines with threads and with a client, side by side, each in one process."""
    told: dict[str, Any] = (
        {"pipelines": 13, "warm_up": 7, "each": 2, "hipscat": False}
        if short
        else {"pipelines": 200, "warm_up": 20, "each": 6, "hipscat": True}
    )
    sky = sky_near_edges(PARTITIONS, 400, THRESHOLD_ARCSEC, seed=seed)
    margins = [(list(pixel), ids) for pixel, ids in sky.margins(THRESHOLD_ARCSEC).items()]
    outcome = Outcome("soak")
    with s3_server() as s3, ThreadPoolExecutor(2) as pool:
        for name in ("threads", "client"):
            folder = scratch / name
            for catalog in ("stars", "bad"):
                write_catalog(folder / catalog, sky, Layout(row_group_rows=50))
            damaged = files_of(folder / "bad")[2, 53]
            damaged.write_bytes(damaged.read_bytes()[:-20] + b"x" * 20)
            write_hipscat_catalog(folder / "old_stars", sky)
        bucket = new_bucket(s3)
        bucket.put(scratch / "threads" / "stars", "stars")
        told |= {"margins": margins, "bucket": bucket.name, "options": bucket.options}
        started = [
            pool.submit(_soaked, told | {"folder": str(scratch / name), "with_client": name == "client"})
            for name in ("threads", "client")
        ]
        printed = [process.result() for process in started]
    limit = SHORT_LIMIT_KB_PER_PIPELINE if short else LIMIT_KB_PER_PIPELINE
    rows: list[list[str]] = []
    for how, lines in zip(("pipeline, 2 threads", "pipeline_with_client"), printed, strict=True):
        tally = Tally(f"{how}: runs one after the other, each sixth of a damaged catalog")
        troubles = [line for line in lines if "trouble" in line]
        tally.failures += [f"pipeline {line['number']} (seed {seed}): {line['trouble']}" for line in troubles]
        tally.refused = sum(_is_bad(number, told["hipscat"]) for number in range(told["pipelines"]))
        tally.survived = told["pipelines"] - tally.refused - len(troubles)
        outcome.tallies.append(tally)
        samples = [(line["number"], line["held"]) for line in lines if "held" in line]
        more, broken = judged(how, samples, limit)
        rows += more
        outcome.failures += broken
    title = (
        f"What is held after the first {told['warm_up']} and after all {told['pipelines']} pipelines. Memory is fitted "
        f"by a line, which may rise by {limit:.0f} kB for each pipeline at most."
    )
    heads = ["what", "after the first", "after all", "for each pipeline"]
    outcome.figures.append(Figures(title, heads, rows))
    return outcome


def judged(
    how: str, samples: list[tuple[int, dict[str, dict[str, float]]]], limit_kb: float
) -> tuple[list[list[str]], list[str]]:
    """Return the rows of the table, and which limits were broken.

    Parameters
    ----------
    how
        How the pipelines were run.
    samples
        The number of pipelines before each, and what each process held then.
    limit_kb
        By how much memory may grow for each pipeline.
    """
    if len(samples) < 2:
        return [], [f"{how}: ended after {samples[-1][0] if samples else 0} pipelines"]
    rows, broken = [], []
    for process, first in samples[0][1].items():
        for name in first:
            numbers = [number for number, _ in samples]
            values = [held[process][name] for _, held in samples]
            start, end = values[0], values[-1]
            memory = name in _MEASURED
            slope = float(np.polyfit(numbers, values, 1)[0])
            kept = f"{how}, {process}: {name}"
            rows.append([kept, f"{start:,.0f}", f"{end:,.0f}", f"{slope:+.1f} kB" if memory else ""])
            if memory and slope > limit_kb:
                broken.append(
                    f"{kept} grows by {slope:.1f} kB for each pipeline, of {limit_kb:.0f} kB allowed"
                )
            # Growth is what every later sample has more of.
            least = min(values[len(values) // 2 :])
            if not memory and name not in _NOT_LIMITED and least > start + _SLACK.get(name, 0):
                broken.append(f"{kept} grows from {start:.0f} to {end:.0f}")
    return rows, broken


def _is_bad(number: int, hipscat: bool) -> bool:
    return number % (7 if hipscat else 6) == 2


def _soaked(told: dict[str, Any]) -> list[dict[str, Any]]:
    """Start the process, and read what it says until it ends."""
    command = [sys.executable, "-m", "tests.campaign.soak.process"]
    ended = subprocess.run(
        command,
        input=json.dumps(told),
        cwd=Path(__file__).parents[3],
        env=os.environ | _SHORT_HISTORY,
        capture_output=True,
        text=True,
        timeout=_PATIENCE_SECONDS,
    )
    lines = [json.loads(line) for line in ended.stdout.splitlines() if line.startswith("{")]
    if ended.returncode:
        lines.append({"number": -1, "trouble": " ".join(ended.stderr.split()[-60:])})
    return lines
