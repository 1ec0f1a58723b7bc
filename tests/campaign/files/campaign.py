"""Files of several libraries, each written in another way: a margin has what pyarrow reads in them, value for value.

Columns of random types and options of writing are drawn by Hypothesis. A catalog that fails is made as small as it
still fails, and repeated with the seed that is printed.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.campaign.outcomes import Outcome, Tally
from tests.support.parquet_writers import WRITERS

ROOT = Path(__file__).parents[3]
FULL, SHORT = 100_000, 2_000
# pyarrow has more options than all others.
_SHARES = {"pyarrow": 0.4}
_BATCH_FILES = 1_000
_TIMEOUT_SECONDS = 1_800.0


@dataclass(frozen=True)
class Batch:
    """Files that one process checks."""

    writer: str
    seed: int
    files: int


def run(scratch: Path, seed: int, *, short: bool) -> Outcome:
    """Check files of all libraries."""
    outcome = Outcome("files")
    tallies = {
        name: Tally(
            f"files of {name} {writer.version} of random types and options, read from a disk and by ranges, "
            "against pyarrow's reading"
        )
        for name, writer in WRITERS.items()
    }
    outcome.tallies += tallies.values()
    work = batches(SHORT if short else FULL, seed)
    not_read = 0
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        for batch, told in zip(work, pool.map(lambda batch: _run_batch(batch, scratch), work), strict=True):
            tally = tallies[batch.writer]
            tally.survived += told.get("right", 0)
            not_read += told.get("not_read", 0)
            if failure := told["failure"]:
                tally.failures.append(f"seed {batch.seed}: {failure}")
    if not_read:
        outcome.left_out.append(
            f"{not_read} catalogs that pyarrow wrote or was given and does not read itself"
        )
    return outcome


def batches(files: int, seed: int) -> list[Batch]:
    """The files of each library, in batches of one process."""
    rest = (1 - sum(_SHARES.values())) / (len(WRITERS) - len(_SHARES))
    made = []
    for name in WRITERS:
        left = round(files * _SHARES.get(name, rest))
        while left > 0:
            made.append(Batch(name, seed + len(made), min(left, _BATCH_FILES)))
            left -= _BATCH_FILES
    return made


def _run_batch(batch: Batch, scratch: Path) -> dict[str, int | str]:
    folder = scratch / f"{batch.writer}-{batch.seed}"
    folder.mkdir()
    arguments = [batch.writer, str(batch.seed), str(batch.files), str(folder)]
    command = [sys.executable, "-m", "tests.campaign.files.process", *arguments]
    try:
        ran = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, timeout=_TIMEOUT_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return {"failure": f"the process did not end in {_TIMEOUT_SECONDS:.0f} s"}
    if ran.returncode:
        return {"failure": f"the process ended with {ran.returncode}: {ran.stderr[-2_000:]}"}
    told: dict[str, int | str] = json.loads(ran.stdout.splitlines()[-1])
    return told
