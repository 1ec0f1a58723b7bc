"""Memory: the cap of a worker under one, two and four of them, column chunks above 2 GiB, and rows of 100 MB.

What is judged is the anonymous memory of each process: what is its own and in no file. Shards are mapped files, whose
pages the system takes back when it needs them; the memory of the process tree, which has them, is told beside.
"""

from __future__ import annotations

import hashlib
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.content import exact_keys, read_source
from benchmarks.generate import CACHE, CatalogSpec, generate
from benchmarks.tables import megabytes, seconds
from tests.campaign.builds import Build, build
from tests.campaign.memory.giants import Giants
from tests.campaign.outcomes import Figures, Outcome, Tally
from tests.support.catalogs import files_of, ids_of

_TIMEOUT_SECONDS = 600.0
# On top of its share, a thread holds a row that is larger as often as the documentation says.
_COPIES_OF_A_ROW = 10
_HEADS = ("catalog", "workers", "threads of each", "limit", "largest worker", "process tree", "seconds")


@dataclass(frozen=True)
class Setting:
    """How many workers and threads a margin is built with, and what a worker may take; 0: what it needs."""

    workers: int
    threads: int
    limit_bytes: int

    def build(self, catalog: Path, output: Path, threshold_arcsec: float) -> Build:
        """Build a margin in this way, and watch its anonymous memory."""
        return build(
            catalog,
            output,
            threshold_arcsec,
            timeout_seconds=_TIMEOUT_SECONDS,
            anonymous=True,
            dask_n_workers=self.workers,
            dask_threads_per_worker=self.threads,
            memory_limit=self.limit_bytes or None,
        )


def run(scratch: Path, seed: int, *, short: bool) -> Outcome:
    """Build margins of large rows under limits."""
    outcome = Outcome("memory")
    if not Path("/proc/self/status").exists():
        outcome.left_out.append("memory is counted as Linux does, in /proc, which this machine has not")
        return outcome
    rows: list[list[str]] = []
    outcome.figures.append(Figures("The most memory that builds took:", _HEADS, rows))
    _try_wide(scratch, outcome, rows, short=short)
    _try_chunks(scratch, seed, outcome, rows, short=short)
    _try_rows(scratch, seed, outcome, rows, short=short)
    return outcome


def _try_wide(scratch: Path, outcome: Outcome, rows: list[list[str]], *, short: bool) -> None:
    """Light curves, of which the margins hold far more than the limit: like a build without one, like brute force."""
    tally = Tally("a cap on the workers of a wide catalog")
    outcome.tallies.append(tally)
    spec = CatalogSpec("light_curves", 1_500, 12) if short else CatalogSpec("light_curves", 100_000, 64)
    threshold_arcsec = 36_000.0 if short else 1_800.0
    limit_bytes = 256 << 20 if short else 300 << 20
    counts = ((1, 1), (2, 1)) if short else ((1, 1), (2, 1), (4, 1), (1, 2), (1, 4), (2, 2))
    is_cached = (CACHE / spec.name / "hats.properties").exists()
    catalog = generate(spec, CACHE if is_cached else scratch)
    output = scratch / "capped"
    name = f"{catalog.rows:,} light curves, {megabytes(catalog.size_bytes())}"
    right: dict[tuple[int, int], bytes] = {}
    for setting in (Setting(1, 2, 0), *(Setting(*count, limit_bytes) for count in counts)):
        done = setting.build(catalog.path, output, threshold_arcsec)
        rows.append(_row(name, setting, done))
        failures = broken(setting, done)
        if not setting.limit_bytes:
            # The others are compared with it.
            exact = exact_keys(read_source(catalog.path), threshold_arcsec)
            expected = {pixel: keys.tolist() for pixel, keys in exact.items()}
            if not failures and ids_of(output / "margin", "source_id") != expected:
                failures.append("not the rows of brute force")
            outcome.failures += [f"{spec.name}, {setting}: {failure}" for failure in failures]
            right = _digests(output / "margin") if not failures else {}
        else:
            if not done.failure and _digests(output / "margin") != right:
                failures.append("other bytes than without limit")
            tally.count(f"{spec.name}, {setting}", failures)
        shutil.rmtree(output)
    if not is_cached:
        shutil.rmtree(catalog.path)


def _try_chunks(scratch: Path, seed: int, outcome: Outcome, rows: list[list[str]], *, short: bool) -> None:
    """Two column chunks one after the other, each above 2 GiB: sizes beyond 2^31, offsets beyond 2^32."""
    count, value_bytes, noise_bytes = (200, 1 << 18, 8 << 20) if short else (4_600, 2 << 20, 64 << 20)
    giants = Giants.of(count, seed, noise_bytes)
    # One such partition is enough; the other has the same rows, but smaller.
    is_large = giants.sky.own_pixel == 8
    giants.value_bytes[:] = np.where(is_large, value_bytes, value_bytes >> 7)
    largest = int(giants.value_bytes[is_large].sum())
    what = f"column chunks of {largest / 2**30:.2f} GiB in one row group"
    if not short and largest <= 1 << 31:
        outcome.failures.append(f"{what}: not more than 2 GiB, so nothing was tried; seed {seed}")
    settings = [Setting(1, 1, 256 << 20), Setting(1, 2, 0)]
    _try_giants(giants, what, 0.3, settings[:1] if short else settings, scratch, outcome, rows)


def _try_rows(scratch: Path, seed: int, outcome: Outcome, rows: list[list[str]], *, short: bool) -> None:
    """Rows of 100 MB next to borders, so that they are in margins."""
    row_bytes = 4_000_000 if short else 100_000_000
    giants = Giants.of(300, seed, row_bytes // 2 + (1 << 20))
    giants.value_bytes[:] = 1_000
    threshold_arcsec = 60.0
    inside = sorted({row for margin in giants.sky.margins(threshold_arcsec).values() for row in margin})
    giants.value_bytes[inside[:: max(1, len(inside) // 6)]] = row_bytes // 2
    outside = np.setdiff1d(np.arange(len(giants.sky)), inside)
    giants.value_bytes[outside[:2]] = row_bytes // 2
    what = f"rows of {row_bytes // 1_000_000} MB beside small ones"
    settings = [Setting(1, 1, 256 << 20), Setting(2, 1, 256 << 20), Setting(1, 2, 1 << 30)]
    settings = settings[:1] if short else settings
    _try_giants(giants, what, threshold_arcsec, settings, scratch, outcome, rows, row_bytes)


def _try_giants(
    giants: Giants,
    what: str,
    threshold_arcsec: float,
    settings: list[Setting],
    scratch: Path,
    outcome: Outcome,
    rows: list[list[str]],
    row_bytes: int = 0,
) -> None:
    tally = Tally(what)
    outcome.tallies.append(tally)
    print(f"memory: {what}", file=sys.stderr, flush=True)
    catalog, output = scratch / "giants", scratch / "giants_margin"
    giants.write(catalog)
    for setting in settings:
        done = setting.build(catalog, output, threshold_arcsec)
        rows.append(_row(what, setting, done))
        failures = broken(setting, done, row_bytes)
        if not done.failure:
            wrong, compared = giants.wrong_rows(output / "margin", threshold_arcsec)
            failures += wrong[:3] if compared else ["no row was in a margin, so nothing was tried"]
        tally.count(f"{what}, {setting}", failures)
        shutil.rmtree(output)
    shutil.rmtree(catalog)


def broken(setting: Setting, done: Build, row_bytes: int = 0) -> list[str]:
    """What is wrong with a build by what it took; rows larger than the share of a thread come on top of its limit."""
    if done.failure:
        return [done.failure]
    allowed_bytes = setting.limit_bytes + setting.threads * _COPIES_OF_A_ROW * row_bytes
    took_bytes = max(done.cost.first_anonymous_bytes, done.cost.other_anonymous_bytes)
    if not setting.limit_bytes or took_bytes <= allowed_bytes:
        return []
    return [f"a process took {megabytes(took_bytes)} where {megabytes(allowed_bytes)} are allowed"]


def _row(name: str, setting: Setting, done: Build) -> list[str]:
    cost = done.cost
    worker_bytes = cost.other_anonymous_bytes if setting.workers > 1 else cost.first_anonymous_bytes
    return [
        name,
        str(setting.workers),
        str(setting.threads),
        megabytes(setting.limit_bytes) if setting.limit_bytes else "none",
        megabytes(worker_bytes),
        megabytes(cost.peak_tree_bytes),
        seconds(cost.seconds),
    ]


def _digests(margin: Path) -> dict[tuple[int, int], bytes]:
    digests = {}
    for pixel, path in files_of(margin).items():
        with path.open("rb") as file:
            digests[pixel] = hashlib.file_digest(file, "blake2b").digest()
    return digests
