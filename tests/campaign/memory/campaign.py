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
import pyarrow.parquet as pq

from benchmarks.brute_force import margins
from benchmarks.generate import CACHE, Catalog, CatalogSpec, generate
from benchmarks.tables import megabytes, seconds
from tests.campaign.memory.giants import Giants
from tests.campaign.memory.watch import Watched, build_command, watch
from tests.campaign.outcomes import Figures, Outcome, Tally
from tests.support.catalogs import files_of, ids_of

_TIMEOUT_SECONDS = 600.0
# On top of its share, a thread holds a row that is larger as often as the documentation says.
_COPIES_OF_A_ROW = 10
_HEADS = ("catalog", "workers", "threads of each", "limit", "largest worker", "process tree", "seconds")


@dataclass(frozen=True)
class _Build:
    """How many workers and threads a margin is built with, and what a worker may take; 0: what it needs."""

    workers: int
    threads: int
    limit_bytes: int


def run(scratch: Path, seed: int, *, short: bool) -> Outcome:
    """Try memory, see `tests.campaign.outcomes`."""
    outcome = Outcome("memory")
    if not Path("/proc/self/status").exists():
        outcome.left_out.append("memory is counted as Linux does, in /proc, which this machine has not")
        return outcome
    figures = Figures("The most memory that builds took:", _HEADS, [])
    outcome.figures.append(figures)
    rows: list[list[str]] = []
    _try_wide(scratch, outcome, rows, short=short)
    _try_chunks(scratch, seed, outcome, rows, short=short)
    _try_rows(scratch, seed, outcome, rows, short=short)
    figures.rows = rows
    return outcome


def _try_wide(scratch: Path, outcome: Outcome, rows: list[list[str]], *, short: bool) -> None:
    """Light curves, of which the margins hold far more than the limit: like a build without one, like brute force."""
    tally = Tally("a cap on the workers of a wide catalog")
    outcome.tallies.append(tally)
    spec = CatalogSpec("light_curves", 1_500, 12) if short else CatalogSpec("light_curves", 100_000, 64)
    threshold_arcsec = 36_000.0 if short else 1_800.0
    limit_bytes = 256 << 20 if short else 300 << 20
    counts = ((1, 1), (2, 1)) if short else ((1, 1), (2, 1), (4, 1), (1, 2), (1, 4), (2, 2))
    is_there = (CACHE / spec.name / "hats.properties").exists()
    catalog = generate(spec, CACHE if is_there else scratch)
    free = scratch / "free"
    built = _Build(1, 2, 0)
    watched = _built(catalog.path, free, threshold_arcsec, built)
    name = f"{catalog.rows:,} light curves, {megabytes(catalog.size_bytes())}"
    rows.append(_row(name, built, watched))
    if watched.exit_code != 0:
        tally.failures.append(f"without limit: {_ended(watched)}")
        return
    expected = _by_brute_force(catalog, threshold_arcsec)
    if ids_of(free / "margin", "source_id") != expected:
        tally.failures.append(f"{spec.name} at {threshold_arcsec:g} arcsec: not the rows of brute force")
    right = _digests(free / "margin")
    shutil.rmtree(free)
    for workers, threads in counts:
        built = _Build(workers, threads, limit_bytes)
        output = scratch / "capped"
        watched = _built(catalog.path, output, threshold_arcsec, built)
        rows.append(_row(name, built, watched))
        failures = broken(built, watched)
        if watched.exit_code == 0 and _digests(output / "margin") != right:
            failures.append("other bytes than without limit")
        _count(tally, f"{spec.name}, {built}", failures)
        shutil.rmtree(output, ignore_errors=True)
    if not is_there:
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
    built = [_Build(1, 1, 256 << 20)] if short else [_Build(1, 1, 256 << 20), _Build(1, 2, 0)]
    _try_giants(giants, what, 0.3, built, scratch, outcome, rows)


def _try_rows(scratch: Path, seed: int, outcome: Outcome, rows: list[list[str]], *, short: bool) -> None:
    """Rows of 100 MB next to borders, so that they are in margins."""
    row_bytes = 4_000_000 if short else 100_000_000
    giants = Giants.of(300, seed, row_bytes // 2 + (1 << 20))
    giants.value_bytes[:] = 1_000
    threshold_arcsec = 60.0
    inside = sorted({row for found in giants.sky.margins(threshold_arcsec).values() for row in found})
    giants.value_bytes[inside[:: max(1, len(inside) // 6)]] = row_bytes // 2
    outside = np.setdiff1d(np.arange(len(giants.sky)), inside)
    giants.value_bytes[outside[:2]] = row_bytes // 2
    what = f"rows of {row_bytes // 1_000_000} MB beside small ones"
    built = (
        [_Build(1, 1, 256 << 20)]
        if short
        else [_Build(1, 1, 256 << 20), _Build(2, 1, 256 << 20), _Build(1, 2, 1 << 30)]
    )
    _try_giants(giants, what, threshold_arcsec, built, scratch, outcome, rows, row_bytes)


def _try_giants(
    giants: Giants,
    what: str,
    threshold_arcsec: float,
    builds: list[_Build],
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
    for built in builds:
        watched = _built(catalog, output, threshold_arcsec, built)
        rows.append(_row(what, built, watched))
        failures = broken(built, watched, row_bytes)
        if watched.exit_code == 0:
            wrong, compared = giants.wrong_rows(output / "margin", threshold_arcsec)
            failures += wrong[:3] if compared else ["no row was in a margin, so nothing was tried"]
        _count(tally, f"{what}, {built}", failures)
        shutil.rmtree(output, ignore_errors=True)
    shutil.rmtree(catalog)


def broken(built: _Build, watched: Watched, row_bytes: int = 0) -> list[str]:
    """What is wrong with a build by what it took; rows larger than the share of a thread come on top of its limit."""
    if watched.exit_code != 0:
        return [_ended(watched)]
    if not built.limit_bytes:
        return []
    allowed_bytes = built.limit_bytes + built.threads * _COPIES_OF_A_ROW * row_bytes
    took_bytes = max(watched.first_bytes, watched.worker_bytes)
    if took_bytes <= allowed_bytes:
        return []
    return [f"a process took {megabytes(took_bytes)} where {megabytes(allowed_bytes)} are allowed"]


def _built(catalog: Path, output: Path, threshold_arcsec: float, built: _Build) -> Watched:
    command = build_command(
        catalog, output, threshold_arcsec, built.workers, built.threads, built.limit_bytes
    )
    return watch(command, output.with_suffix(".log"), _TIMEOUT_SECONDS)


def _count(tally: Tally, case: str, failures: list[str]) -> None:
    if failures:
        tally.failures.append(f"{case}: {'; '.join(failures)}")
    else:
        tally.survived += 1


def _ended(watched: Watched) -> str:
    how = "took too long" if watched.exit_code is None else f"ended with {watched.exit_code}"
    return f"the build {how}: {watched.said[-500:]}"


def _row(name: str, built: _Build, watched: Watched) -> list[str]:
    worker_bytes = watched.worker_bytes if built.workers > 1 else watched.first_bytes
    return [
        name,
        str(built.workers),
        str(built.threads),
        megabytes(built.limit_bytes) if built.limit_bytes else "none",
        megabytes(worker_bytes),
        megabytes(watched.tree_bytes),
        seconds(watched.seconds),
    ]


def _digests(margin: Path) -> dict[tuple[int, int], bytes]:
    found = {}
    for pixel, path in files_of(margin).items():
        with path.open("rb") as file:
            found[pixel] = hashlib.file_digest(file, "blake2b").digest()
    return found


def _by_brute_force(catalog: Catalog, threshold_arcsec: float) -> dict[tuple[int, int], list[int]]:
    """Identifiers of the rows of each margin."""
    names = ["_healpix_29", "source_id", "ra", "dec"]
    tables = [pq.read_table(file, columns=names, partitioning=None) for file in catalog.files()]
    index, number, ra_deg, dec_deg = (
        np.concatenate([table.column(name).to_numpy() for table in tables]) for name in names
    )
    ends = np.cumsum([0, *map(len, tables)])
    own = {partition: np.arange(ends[at], ends[at + 1]) for at, partition in enumerate(catalog.partitions)}
    found = margins(ra_deg, dec_deg, index, own, threshold_arcsec)
    return {pixel: sorted(number[rows].tolist()) for pixel, rows in found.items()}
