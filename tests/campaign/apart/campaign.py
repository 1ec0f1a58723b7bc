"""Clusters without a shared disk: workers come, leave and die, the scheduler is lost, the store fails.

The scheduler and the workers are processes that see none of the files of the run: empty file systems are mounted over
its folders. Catalog, intermediate files and output are on an S3 server on loopback.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from distributed import Client

from skymargin import MarginCacheArguments, pipeline_with_client
from skymargin.catalogs.write_catalog import write_catalog as write_table
from skymargin.demo import ROWS_PER_PARTITION, load_stars
from skymargin.errors import SkymarginError
from tests.campaign.outcomes import Outcome, Tally
from tests.support.catalogs import (
    ids_of,
    make_margin,
    on_disk,
    same_margin,
    sky_near_edges,
    write_catalog,
)
from tests.support.clusters import Hosts, hiding
from tests.support.limits import limits
from tests.support.servers import Bucket, Server, new_bucket, s3_server

THRESHOLD_ARCSEC = 60.0
# Neighbours, so that all of them have margins.
PARTITIONS = tuple((3, 160 + number) for number in range(24))
_TIMES = 20
_IN_SHORT = ("a worker is killed", "the scheduler is killed", "the store answers 503")
_PATIENCE_SECONDS = 120
# A request to a store takes longer than one on loopback.
_DELAY_SECONDS = 0.01


@dataclass(frozen=True)
class Moment:
    """When a fault comes: at a certain object of a stage that is written."""

    part: str
    number: int

    def __str__(self) -> str:
        return f"at {self.part} {self.number}"


class Trial:
    """One run on a cluster of its own, and what happens to it.

    Parameters
    ----------
    hosts
        Starts processes.
    hides
        The command with which workers see no files of the run.
    server
        The store.
    moment
        When something happens.
    """

    def __init__(self, hosts: Hosts, hides: list[str], server: Server, moment: Moment) -> None:
        self._hosts, self._hides, self._server, self.moment = hosts, hides, server, moment
        self.scheduler = hosts.start_scheduler()
        self.workers: list[subprocess.Popen[bytes]] = []
        self.happened = threading.Event()
        self._seen = 0
        self._lock = threading.Lock()

    def start_workers(self, count: int) -> Client:
        """Start workers, and connect."""
        for _ in range(count):
            self.workers.append(self._hosts.start_worker(*self._hides))
        return self._hosts.connect(count)

    def arrange(self, fault: Callable[[Trial], object]) -> None:
        """Have something happen at the moment."""

        def watch(method: str, path: str) -> None:
            time.sleep(_DELAY_SECONDS)
            if method != "PUT" or self.moment.part not in path:
                return
            with self._lock:
                self._seen += 1
                is_now = self._seen == self.moment.number
            if is_now:
                # Not in the thread that answers: the worker may wait for the answer.
                threading.Thread(target=self._happen, args=(fault,), daemon=True).start()

        self._server.record.trouble = watch

    def _happen(self, fault: Callable[[Trial], object]) -> None:
        # A connection may be lost with what is ended.
        with suppress(OSError):
            fault(self)
        self.happened.set()


def _kill(trial: Trial) -> None:
    os.kill(trial.workers[-1].pid, signal.SIGKILL)


def _join(trial: Trial) -> None:
    trial.workers.append(trial._hosts.start_worker(*trial._hides))


def _leave(trial: Trial) -> None:
    with trial._hosts.connect(1) as client:
        client.retire_workers([sorted(client.scheduler_info(n_workers=-1)["workers"])[0]])


def _lose_scheduler(trial: Trial) -> None:
    os.kill(trial.scheduler.pid, signal.SIGKILL)


def _restart(trial: Trial) -> None:
    with trial._hosts.connect(1) as client:
        client.restart(wait_for_workers=False)


# What happens, how many workers begin.
_CLUSTER_FAULTS: dict[str, tuple[Callable[[Trial], object], int]] = {
    "a worker is killed": (_kill, 2),
    "a worker joins": (_join, 1),
    "a worker leaves, as `adapt` retires it": (_leave, 2),
    "the scheduler is killed": (_lose_scheduler, 2),
    "the scheduler restarts its workers": (_restart, 2),
}
# What the store does to a request that is chosen, each at most twice in a row.
_STORE_FAULTS: dict[str, str | int | float] = {
    "the store answers late": 0.4,
    "the store drops connections": "drop",
    "the store answers 503": 503,
}


def run(scratch: Path, seed: int, *, short: bool) -> Outcome:
    """Try each fault in both stages."""
    rng = random.Random(seed)
    tallies = []
    try:
        hiding(scratch)
    except OSError as error:
        return Outcome("apart", left_out=[f"everything: file systems cannot be mounted here: {error}"])
    with stage(scratch, seed) as bench:
        for fault in _IN_SHORT if short else (*_CLUSTER_FAULTS, *_STORE_FAULTS):
            tally = Tally(fault)
            tallies.append(tally)
            for _ in range(1 if short else _TIMES):
                part = rng.choice((".arrow", "Npix="))
                moment = Moment(part, rng.randint(1, 8 if part == ".arrow" else 24))
                how, said = bench.judged(fault, moment, rng.randrange(1 << 30))
                tally.count(f"{moment}", said if how == "failed" else "", refused=how == "refused")
        if not short:
            tallies.append(_real_stars(bench, scratch))
    return Outcome("apart", tallies)


def _real_stars(bench: Stage, scratch: Path) -> Tally:
    """The demo's stars, in its partitions and in about 1,000, without a fault."""
    tally = Tally("no fault: the stars of the demo, in its partitions and in 1,000")
    stars = load_stars()
    for number, rows in enumerate((ROWS_PER_PARTITION, 700)):
        name = f"gaia-{rows}"
        partitions = write_table(stars, scratch / name, rows_per_partition=rows)
        make_margin(scratch / name, scratch / f"{name}-margin", THRESHOLD_ARCSEC)
        bench.bucket.put(scratch / name, name)
        whole = replace(bench, catalog=name, margin=on_disk(scratch / f"{name}-margin" / "margin"))
        how, said = whole.judged("none", Moment("", 0), number)
        tally.count(
            f"{len(partitions)} partitions", said if how == "failed" else "", refused=how == "refused"
        )
    return tally


@dataclass(frozen=True)
class Stage:
    """The store with a catalog, and the margin that a run on disk makes of it."""

    folder: Path
    hides: list[str]
    server: Server
    bucket: Bucket
    catalog: str
    margin: dict[str, bytes]

    def judged(self, fault: str, moment: Moment, seed: int) -> tuple[str, str]:
        """Run once with a fault; how it ended, and what was said."""
        name = f"case-{seed}"
        homes = self.folder / name
        homes.mkdir()
        with ExitStack() as stack:
            trial = Trial(Hosts(homes, stack), self.hides, self.server, moment)
            happens, workers = _CLUSTER_FAULTS.get(fault, (None, 2))
            client = trial.start_workers(workers)
            if happens is not None:
                trial.arrange(happens)
            elif fault in _STORE_FAULTS:
                self.server.record.trouble = _store_fault(_STORE_FAULTS[fault], seed)
            refused = self._run(name, client)
            self.server.record.trouble = lambda _method, _path: None
            if happens is not None and not trial.happened.wait(10):
                return "failed", "the moment never came"
        if refused is not None:
            if not isinstance(refused, SkymarginError) or "\n" in str(refused):
                return "failed", f"not a clear error: {type(refused).__name__}: {refused}"
            if any(path.endswith("properties") for path in self.bucket.contents(name)):
                return "failed", f"an error, and what looks like a margin: {refused}"
            again = self._run_anew(name)
            if again is not None:
                return "failed", f"the next run, without faults: {type(again).__name__}: {again}"
        files = self.bucket.contents(name)
        if strays := sorted(path for path in files if not path.startswith("margin/")):
            return "failed", f"left behind: {strays[:3]}"
        if not same_margin({path.removeprefix("margin/"): file for path, file in files.items()}, self.margin):
            return "failed", "another margin than that of a run on disk"
        if left := list(Path(tempfile.gettempdir()).iterdir()):
            return "failed", f"left on this machine: {left[:3]}"
        return ("survived", "") if refused is None else ("refused", str(refused))

    def _run_anew(self, name: str) -> BaseException | None:
        homes = self.folder / f"{name}-anew"
        homes.mkdir()
        with ExitStack() as stack:
            hosts = Hosts(homes, stack)
            hosts.start_scheduler()
            hosts.start_worker(*self.hides)
            return self._run(name, hosts.connect(1))

    def _run(self, name: str, client: Client) -> BaseException | None:
        """Make the margin; the error, if there is one."""
        result: list[BaseException | None] = []

        def make() -> None:
            try:
                with limits(smallest_task_bytes=1, tasks_per_thread=8):
                    pipeline_with_client(self._arguments(name), client)
            except BaseException as error:
                result.append(error)
            else:
                result.append(None)

        thread = threading.Thread(target=make, daemon=True)
        thread.start()
        thread.join(_PATIENCE_SECONDS)
        return result[0] if result else TimeoutError(f"no end after {_PATIENCE_SECONDS} s")

    def _arguments(self, name: str) -> MarginCacheArguments:
        return MarginCacheArguments(
            input_catalog_path=f"{self.bucket.url}/{self.catalog}",
            input_storage_options=self.bucket.options,
            output_path=f"{self.bucket.url}/{name}",
            output_storage_options=self.bucket.options,
            output_artifact_name="margin",
            margin_threshold=THRESHOLD_ARCSEC,
            progress_bar=False,
        )


def _store_fault(fault: str | float, seed: int) -> Callable[[str, str], Any]:
    rng, lock = random.Random(seed), threading.Lock()
    in_a_row: dict[tuple[str, str], int] = {}

    def choose(method: str, path: str) -> Any:
        with lock:
            before = in_a_row.get((method, path), 0)
            if before >= 2 or rng.random() > 0.15:
                in_a_row[method, path] = 0
                return None
            in_a_row[method, path] = before + 1
        if isinstance(fault, float):
            time.sleep(fault)
            return None
        return fault

    return choose


@contextmanager
def stage(scratch: Path, seed: int) -> Iterator[Stage]:
    """Write the catalog, make its margin on disk, check that by brute force, and put the catalog on a store."""
    sky = sky_near_edges(PARTITIONS, 400, THRESHOLD_ARCSEC, seed=seed)
    write_catalog(scratch / "stars", sky)
    make_margin(scratch / "stars", scratch, THRESHOLD_ARCSEC)
    assert ids_of(scratch / "margin") == sky.margins(THRESHOLD_ARCSEC)
    (scratch / "system").mkdir()
    (scratch / "hosts").mkdir()
    before, tempfile.tempdir = tempfile.tempdir, str(scratch / "system")
    try:
        with s3_server() as server:
            bucket = new_bucket(server)
            bucket.put(scratch / "stars", "stars")
            hides = hiding(scratch / "system", scratch / "stars", scratch / "margin")
            yield Stage(scratch / "hosts", hides, server, bucket, "stars", on_disk(scratch / "margin"))
    finally:
        tempfile.tempdir = before
