"""Servers that fail: catalogs read from and margins written to servers behind a proxy that does wrong on the wire."""

from __future__ import annotations

import multiprocessing
import random
import re
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from skymargin.errors import SkymarginError
from skymargin.storage.remote import TRIES
from tests.campaign.network.kinds import ENDING, KINDS, Case
from tests.campaign.network.proxy import Proxy, proxy_of
from tests.campaign.outcomes import Outcome, Tally
from tests.support.catalogs import (
    Layout,
    ids_of,
    make_margin,
    on_disk,
    rows_of,
    same_margin,
    sky_near_edges,
    write_catalog,
)
from tests.support.servers import Bucket, Server, http_server, new_bucket, s3_options, s3_server

THRESHOLD_ARCSEC = 60.0
PARTITIONS = ((0, 5), (1, 14), (1, 15), (2, 52))
# A run that is to end takes a few seconds, most of them waits between tries.
_PATIENCE_SECONDS = 120
# Tries of botocore with the options below, in each of two tries of two layers of s3fs, or fewer of these and our own.
_S3_TRIES = 3 * 2 * 2 * 2
_SILENCE_SECONDS = 0.7
_LIMITS = {
    "config_kwargs": {
        "connect_timeout": 2,
        "read_timeout": _SILENCE_SECONDS,
        "retries": {"max_attempts": 2},
    }
}
_AT_ONCE = 8


def run(scratch: Path, seed: int, *, short: bool) -> Outcome:
    """Run each kind of fault a number of times, many runs at once: they mostly wait."""
    rng = random.Random(seed)
    cases: list[Case] = []
    for kind in KINDS:
        for _ in range(kind.times[short]):
            cases.append(Case(len(cases), kind, rng.randrange(1 << 30), rng.choice((0.1, 0.25, 0.4))))
    tallies = {kind.fault: Tally(kind.fault) for kind in KINDS if kind.times[short]}
    if short:
        results = tried(scratch / "0", cases, seed)
    else:
        halves = [(scratch / str(half), cases[half::2], seed) for half in range(2)]
        with multiprocessing.get_context("spawn").Pool(2) as pool:
            results = [result for half in pool.starmap(tried, halves) for result in half]
    for number, how, said in sorted(results):
        failure = said if how == "failed" else ""
        tallies[cases[number].kind.fault].count(str(cases[number]), failure, refused=how == "refused")
    lied = "answers with other bytes of the right length, which nothing tells: without checksums nobody finds them"
    return Outcome("network", list(tallies.values()), left_out=[lied])


def tried(scratch: Path, cases: list[Case], seed: int) -> list[tuple[int, str, str]]:
    """Run cases on servers of their own: number, how it ended, what was said."""
    scratch.mkdir(parents=True)
    # Its locks for output that is not on this machine.
    (scratch / "system").mkdir()
    before, tempfile.tempdir = tempfile.tempdir, str(scratch / "system")
    try:
        with stage(scratch, seed) as bench, ThreadPoolExecutor(_AT_ONCE) as pool:
            begun = time.monotonic()
            results = []
            for count, result in enumerate(pool.map(bench.judged, cases)):
                results.append(result)
                if time.monotonic() - begun > 60:
                    print(f"network: {count + 1} of {len(cases)}", file=sys.stderr)
                    begun = time.monotonic()
            return results
    finally:
        tempfile.tempdir = before


@dataclass(frozen=True)
class Stage:
    """The servers, and the margins that brute force has agreed to."""

    folder: Path
    web: Server
    s3: Server
    bucket: Bucket
    margins: dict[str, dict[str, bytes]]

    def judged(self, case: Case) -> tuple[int, str, str]:
        """Run a case; a run that does not end is left behind."""
        result: list[tuple[str, str]] = []
        thread = threading.Thread(target=lambda: result.append(self._watched(case)), daemon=True)
        thread.start()
        thread.join(_PATIENCE_SECONDS)
        return (case.number, *(result[0] if result else ("failed", f"no end after {_PATIENCE_SECONDS} s")))

    def _watched(self, case: Case) -> tuple[str, str]:
        try:
            return self._judged(case)
        except BaseException as error:
            return "failed", f"{type(error).__name__}: {error}"

    def _judged(self, case: Case) -> tuple[str, str]:
        upstream = self.web if case.kind.where == "http" else self.s3
        with proxy_of(upstream.url) as proxy:
            trial = Trial(self, case, proxy)
            trial.prepare()
            proxy.faults.choose = case.plan()
            refused = ""
            try:
                trial.run()
            except (SkymarginError, OSError) as error:
                refused = str(error)
            most = max(proxy.faults.asked.values(), default=0)
            limit = 2 * TRIES if case.kind.where == "http" else _S3_TRIES
            committed = sum(count for fault, count in proxy.faults.done.items() if fault)
            if most > limit:
                return "failed", f"{most} times the same request: {proxy.faults.asked.most_common(1)[0][0]}"
            if not refused:
                return trial.survived(committed)
            if not case.kind.stays and not case.kind.may_refuse:
                return "failed", f"no margin, though each fault went away: {refused}"
            if trouble := trial.wrong_with(refused):
                return "failed", trouble
            proxy.faults.heal()
            try:
                trial.run()
            except (SkymarginError, OSError) as error:
                return "failed", f"the next run, without faults: {error}"
            how, said = trial.survived(1)
            return (
                ("refused", refused) if how == "survived" else (how, f"the next run, without faults: {said}")
            )


class Trial:
    """One output, and what is at its place.

    Parameters
    ----------
    stage
        The servers.
    case
        What is tried.
    proxy
        Stands before the server that the case is about.
    """

    def __init__(self, stage: Stage, case: Case, proxy: Proxy) -> None:
        self._stage, self._case, self._proxy = stage, case, proxy
        self._name = f"case-{case.number}"
        self._here = stage.folder / self._name
        self._old: dict[str, bytes] = {}

    @property
    def _remote_output(self) -> bool:
        return self._case.kind.where in ("out", "over", "parts")

    def prepare(self) -> None:
        """Put something there that is to be replaced."""
        if self._case.kind.where == "over":
            self._old = {
                "margin/hats.properties": b"dataproduct_type=margin\n",
                "margin/dataset/_metadata": b"old",
            }
            self._stage.bucket.write({f"{self._name}/{name}": text for name, text in self._old.items()})

    def run(self) -> None:
        """Make the margin."""
        where, stage = self._case.kind.where, self._stage
        patient = s3_options(self._proxy.url, **_LIMITS)
        arguments: dict[str, Any] = {"dask_threads_per_worker": 2, "tmp_dir": self._here / "tmp"}
        source: Any = stage.folder / ("parts" if where == "parts" else "stars")
        output: Any = self._here / "out"
        if where == "http":
            import aiohttp

            source = f"{self._proxy.url}/stars"
            limit = aiohttp.ClientTimeout(sock_read=_SILENCE_SECONDS)
            arguments["input_storage_options"] = {"client_kwargs": {"timeout": limit}}
        elif where == "s3":
            source = f"{stage.bucket.url}/stars"
            arguments["input_storage_options"] = patient
        if self._remote_output:
            output = f"{stage.bucket.url}/{self._name}"
            # The smallest parts that S3 takes.
            more = {"default_block_size": 5 << 20} if where == "parts" else {}
            arguments |= {"output_storage_options": {**patient, **more}, "overwrite": where == "over"}
        make_margin(source, output, THRESHOLD_ARCSEC, **arguments)

    def files(self) -> dict[str, bytes]:
        """Return what is at the output now."""
        return self._stage.bucket.contents(self._name) if self._remote_output else on_disk(self._here / "out")

    def survived(self, committed: int) -> tuple[str, str]:
        """Judge a run that ended without an error."""
        files = self.files()
        right = self._stage.margins["parts" if self._case.kind.where == "parts" else "stars"]
        if strays := sorted(name for name in files if not name.startswith("margin/")):
            return "failed", f"left behind: {strays[:3]}"
        margin = {name.removeprefix("margin/"): content for name, content in files.items()}
        if not margin or not same_margin(margin, right):
            return "failed", "another margin than without faults"
        if self._here.joinpath("tmp").exists() and any(self._here.joinpath("tmp").iterdir()):
            return "failed", "files left in tmp_dir"
        if self._case.kind.stays and not committed:
            return "failed", "the fault never came"
        return "survived", ""

    def wrong_with(self, refused: str) -> str:
        """Say what is wrong with a run that ended with an error, if anything."""
        if not re.search(r"s3://bucket-|http://127", refused):
            return f"the error names no URL: {refused}"
        concerned = self._case.kind.asked == re.escape(ENDING) and self._case.kind.stays
        if concerned and not refused.count(ENDING):
            return f"the error does not name {ENDING}: {refused}"
        if "\n" in refused or "panicked" in refused:
            return f"not a clear error: {refused}"
        margin = {name: content for name, content in self.files().items() if name.startswith("margin/")}
        if self._old and "margin/hats.properties" in margin:
            return "" if margin == self._old else "a mixture of the old and the new catalog"
        if any(name.count("/") == 1 and name.endswith("properties") for name in margin):
            return f"an error, and what looks like a margin: {refused}"
        return ""


@contextmanager
def stage(scratch: Path, seed: int) -> Iterator[Stage]:
    """Write the catalogs, make their margins on disk, check these by brute force, and serve the catalogs."""
    sky = sky_near_edges(PARTITIONS, 2_000, THRESHOLD_ARCSEC, seed=seed)
    # Files so large that they are read in many ranges; those for parts, so large that margins are sent in parts.
    for name, noise_bytes in (("stars", 200), ("parts", 30_000)):
        layout = Layout(row_group_rows=150)
        some = sky if name == "stars" else sky_near_edges(PARTITIONS[:2], 500, THRESHOLD_ARCSEC, seed=seed)
        table = rows_of(some, layout)
        noise = np.random.default_rng(seed).bytes(noise_bytes * len(table))
        cuts = [noise[noise_bytes * row : noise_bytes * (row + 1)] for row in range(len(table))]
        table = table.append_column("noise", pa.array(cuts, pa.binary()))
        write_catalog(scratch / name, some, layout, table)
        make_margin(scratch / name, scratch / f"{name}-margin", THRESHOLD_ARCSEC)
        assert ids_of(scratch / f"{name}-margin" / "margin") == some.margins(THRESHOLD_ARCSEC)
    margins = {name: on_disk(scratch / f"{name}-margin" / "margin") for name in ("stars", "parts")}
    with http_server(scratch) as web, s3_server() as s3:
        bucket = new_bucket(s3, **_LIMITS)
        bucket.put(scratch / "stars", "stars")
        yield Stage(scratch, web, s3, bucket, margins)
