"""Runs that are killed at any moment: what a reader sees then, and that the next run ends in the same bytes."""

from __future__ import annotations

import multiprocessing
import random
import threading
import time
import traceback
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.campaign.kill.places import Files, Place
from tests.campaign.kill.process import (
    STAGES,
    Order,
    error_of,
    events_of,
    kill,
    stage_of,
    started,
    use_small_batches,
)
from tests.campaign.outcomes import Figures, Outcome, Tally
from tests.support.catalogs import Layout, ids_of, make_margin, sky_near_edges, write_catalog
from tests.support.forks import Fork, preload
from tests.support.hipscat_catalogs import hipscat_ids, write_hipscat_catalog
from tests.support.servers import Record, new_bucket, s3_server

THRESHOLD_ARCSEC = 600.0
EARLIER_ARCSEC = 1_200.0
PARTITIONS = ((1, 0), (1, 1), (1, 2), (2, 12), (2, 13), (2, 14), (2, 15), (1, 17), (0, 5), (0, 7))
PROCESSES = 2
TIMEOUT_SECONDS = 120.0
# How often each is tried in full: HATS and HiPSCat, on disk and on S3, and who is killed.
FULL = {
    ("hats", "disk", "driver"): 56,
    ("hats", "disk", "worker"): 18,
    ("hats", "disk", "all"): 18,
    ("hats", "S3", "driver"): 28,
    ("hats", "S3", "worker"): 10,
    ("hats", "S3", "all"): 10,
    ("hipscat", "disk", "driver"): 20,
    ("hipscat", "disk", "worker"): 8,
    ("hipscat", "disk", "all"): 8,
    ("hipscat", "S3", "driver"): 12,
    ("hipscat", "S3", "worker"): 6,
    ("hipscat", "S3", "all"): 6,
}
SHORT = {("hats", "disk", "driver"): 6, ("hats", "S3", "driver"): 2, ("hats", "disk", "all"): 1}
NAMES = {"hats": "HATS", "hipscat": "HiPSCat"}
VICTIMS = {"driver": "the driver", "worker": "one Dask worker", "all": "all of them"}


@dataclass(frozen=True)
class Case:
    """One run that is killed, at a fraction of its events, of its requests, or of its time."""

    number: int
    format: str
    store: str
    victim: str
    by: str
    fraction: float
    workers: int
    overwrites: bool
    resumes_with: int

    @property
    def fault(self) -> str:
        """The kind of fault this is one of."""
        return f"SIGKILL to {VICTIMS[self.victim]}, {NAMES[self.format]} on {self.store}"

    def __str__(self) -> str:
        over = ", overwriting" if self.overwrites else ""
        return f"case {self.number} ({self.fault}, {self.workers} workers, by {self.by} at {self.fraction:.3f}{over})"


@dataclass
class Ending:
    """How a case ended."""

    case: Case
    stage: str = "after its end"
    failures: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Usual:
    """An undisturbed run: its files, and how many events, requests and seconds it had."""

    files: Files
    events: int
    requests: int
    seconds: float


def run(scratch: Path, seed: int, *, short: bool) -> Outcome:
    """Kill runs at random moments."""
    chosen = cases(SHORT if short else FULL, seed)
    tallies = {case.fault: Tally(case.fault) for case in chosen}
    stages: Counter[tuple[str, str]] = Counter()
    with ProcessPoolExecutor(PROCESSES, multiprocessing.get_context("spawn")) as pool:
        shares = [(scratch / f"{number}", chosen[number::PROCESSES], seed) for number in range(PROCESSES)]
        for share in pool.map(_all_of, shares):
            for ending in share:
                tallies[ending.case.fault].count(f"{ending.case}, seed {seed}", ending.failures)
                stages[ending.case.victim, ending.stage] += 1
    outcome = Outcome("kill", list(tallies.values()), [_spread(stages)])
    if not short:
        hit = {stage for _, stage in stages}
        outcome.failures += [
            f"no kill fell into the stage {stage}: the moments are not spread"
            for stage in STAGES
            if stage not in hit
        ]
    return outcome


def cases(numbers: dict[tuple[str, str, str], int], seed: int) -> list[Case]:
    """Choose the moments; the same for the same seed."""
    chosen: list[Case] = []
    for (kind, store, victim), count in numbers.items():
        draw = random.Random(f"{seed} {kind} {store} {victim}")
        for number in range(count):
            # Spread evenly, each at random within its share.
            fraction = (number + draw.random()) / count
            ways = ["events", "time", *(["requests"] * 2 if store == "S3" else ["events"])]
            chosen.append(
                Case(
                    number=len(chosen),
                    format=kind,
                    store=store,
                    victim=victim,
                    by=draw.choice(ways),
                    fraction=fraction,
                    workers=2 if victim != "driver" or draw.random() < 0.1 else 1,
                    overwrites=draw.random() < 0.3,
                    resumes_with=2 if draw.random() < 0.15 else 1,
                )
            )
    return chosen


def _spread(stages: Counter[tuple[str, str]]) -> Figures:
    rows = [
        [stage, *(str(stages[victim, stage]) for victim in VICTIMS)] for stage in (*STAGES, "after its end")
    ]
    return Figures(
        "The stage that a run was in when it was hit:", ["stage", "the driver", "one worker", "all"], rows
    )


def _all_of(share: tuple[Path, list[Case], int]) -> list[Ending]:
    folder, chosen, seed = share
    # As the runs that are killed: the batches must be the same ones.
    use_small_batches()
    preload("s3fs", *({case.format for case in chosen} & {"hipscat"}), "tests.campaign.kill.process")
    with ExitStack() as held:
        field_ = Field(folder, held, {case.store for case in chosen})
        return [field_.try_case(case, seed) for case in chosen]


class Field:
    """The catalogs on disk and on a server of this process, and undisturbed runs on them."""

    def __init__(self, folder: Path, held: ExitStack, stores: set[str]) -> None:
        self.folder = folder
        self.sky = sky_near_edges(PARTITIONS, rows=400, reach_arcsec=THRESHOLD_ARCSEC, seed=41)
        write_catalog(folder / "hats", self.sky, Layout(row_group_rows=40))
        write_hipscat_catalog(folder / "hipscat", self.sky, row_group_rows=40)
        self.bucket = None
        self.record = Record()
        if "S3" in stores:
            server = held.enter_context(s3_server())
            self.bucket, self.record = new_bucket(server, f"bucket-{folder.name}"), server.record
            for kind in ("hats", "hipscat"):
                self.bucket.put(folder / kind, kind)
        self.known: dict[tuple[str, str, int, float], Usual] = {}

    def place(self, kind: str, store: str, name: str) -> Place:
        """Make a place for the output of one run."""
        place = Place(kind, self.folder / name, self.bucket if store == "S3" else None)
        (place.folder / "notes").mkdir(parents=True)
        return place

    def usual(self, kind: str, store: str, workers: int, threshold_arcsec: float) -> Usual:
        """Make a margin undisturbed, once, and hold it to brute force."""
        key = kind, store, workers, threshold_arcsec
        if key not in self.known:
            place = self.place(kind, store, f"usual-{kind}-{store}-{workers}-{threshold_arcsec:g}")
            self.record.reset()
            arguments = self._arguments(place, threshold_arcsec, workers)
            order = Order(arguments, 0, "driver", place.folder / "notes", 0)
            run = started(order)
            begun = time.monotonic()
            status = run.wait(TIMEOUT_SECONDS)
            assert status == 0, f"the undisturbed run {key} failed: {error_of(order.notes)}"
            seconds = time.monotonic() - begun
            requests = len(self.record.requests)
            files = place.catalogs()["margin"]
            self._check_exact(kind, files, place.folder / "copy", threshold_arcsec)
            self.known[key] = Usual(files, events_of(order.notes), requests, seconds)
            place.remove()
        return self.known[key]

    def try_case(self, case: Case, seed: int) -> Ending:
        """Run, kill, look, go on, compare."""
        ending = Ending(case)
        place = self.place(case.format, case.store, f"case-{case.number}")
        try:
            self._try(case, place, ending, seed)
        except Exception:
            ending.failures.append(traceback.format_exc(limit=-3).replace("\n", " "))
        place.remove()
        return ending

    def _try(self, case: Case, place: Place, ending: Ending, seed: int) -> None:
        usual = self.usual(case.format, case.store, case.workers, THRESHOLD_ARCSEC)
        valid = [usual.files]
        if case.overwrites:
            valid.append(self.usual(case.format, case.store, 1, EARLIER_ARCSEC).files)
            make_margin(**self._arguments(place, EARLIER_ARCSEC, 1))
        notes = place.folder / "notes"
        order = Order(
            self._arguments(place, THRESHOLD_ARCSEC, case.workers) | {"overwrite": case.overwrites},
            event=1 + int(case.fraction * usual.events) if case.by == "events" else 0,
            victim=case.victim,
            notes=notes,
            seed=seed + case.number,
        )
        with _Reader(place, usual.files, watching=not case.overwrites and case.store == "disk") as reader:
            run = started(order)
            self._strike(case, run, usual, order)
            status = run.wait(TIMEOUT_SECONDS)
        ending.failures += reader.failures
        if status is None:
            run.kill()
            status = run.exit_status
            ending.failures.append(f"a hang: the run did not end in {TIMEOUT_SECONDS:.0f} s")
        if status != 0 or case.victim == "worker":
            ending.stage = _hit(notes)
        self.look(place, valid, ending)
        if status not in (0, -9, 1) or (status == 1 and case.victim != "worker"):
            ending.failures.append(f"exit status {status}: {error_of(notes)}")
        if status == 1 and not error_of(notes).startswith("WorkerError"):
            ending.failures.append(f"no clear error after a killed worker: {error_of(notes)}")
        again = self._arguments(place, THRESHOLD_ARCSEC, case.resumes_with)
        if status != 0:
            # The margin may have its place already: an overwriting run may replace it by the same.
            make_margin(**again | {"overwrite": "margin" in place.catalogs()})
        if place.catalogs().get("margin") != usual.files:
            ending.failures.append("the margin is not that of the undisturbed run")
        ending.failures += [f"{left} is left" for left in place.leftovers()]

    def _strike(self, case: Case, run: Fork, usual: Usual, order: Order) -> None:
        """Kill by the clock, or at a request; at an event the run does it itself."""

        def strike() -> bool:
            (order.notes / "hit").write_text(stage_of(order.notes))
            return kill(run.pid, case.victim, order.seed)

        if case.by == "time":
            time.sleep(case.fraction * usual.seconds)
            while run.exit_status is None and not strike():
                time.sleep(0.005)
        elif case.by == "requests":
            last = int(case.fraction * usual.requests)
            self.record.reset()
            lock, done = threading.Lock(), threading.Event()

            def trouble(_method: str, _path: str) -> None:
                with lock:
                    if len(self.record.requests) > last and not done.is_set() and strike():
                        done.set()

            self.record.trouble = trouble
            run.wait(TIMEOUT_SECONDS)
            self.record.reset()

    def look(self, place: Place, valid: list[Files], ending: Ending) -> None:
        """See what is there as a reader does: nothing valid but a whole margin."""
        for name, files in place.catalogs().items():
            if any(is_whole(files, margin) for margin in valid):
                continue
            accepting = place.accepted(name)
            ending.failures += [f"{reader} takes the partial {name} for valid" for reader in accepting]

    def _arguments(self, place: Place, threshold_arcsec: float, workers: int) -> dict[str, Any]:
        return {
            **place.arguments(self.folder / place.format),
            "threshold_arcsec": threshold_arcsec,
            "dask_n_workers": workers,
            "dask_threads_per_worker": 1,
        }

    def _check_exact(self, kind: str, files: Files, copy: Path, threshold_arcsec: float) -> None:
        for name, content in files.items():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            (copy / name).write_bytes(content)
        ids = ids_of(copy) if kind == "hats" else hipscat_ids(copy)
        assert ids == self.sky.margins(threshold_arcsec), f"the undisturbed margin of {kind} is not exact"


def is_whole(files: Files, margin: Files) -> bool:
    """Whether files are a margin; HATS has its properties under two names, of which any one makes it whole."""
    missing = margin.keys() - files.keys()
    return all(margin.get(name) == content for name, content in files.items()) and (
        not missing or missing in ({"properties"}, {"hats.properties"})
    )


def _hit(notes: Path) -> str:
    path = notes / "hit"
    return path.read_text() if path.exists() else stage_of(notes)


class _Reader:
    """Reads the margin again and again while it is made: it must see nothing, or all of it."""

    def __init__(self, place: Place, whole: Files, *, watching: bool) -> None:
        self.place = place
        self.whole = whole
        self.failures: list[str] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._read) if watching else None

    def __enter__(self) -> _Reader:
        if self._thread:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        if self._thread:
            self._thread.join()

    def _read(self) -> None:
        final = Path(self.place.output) / "margin"
        while not self._over.wait(0.02):
            try:
                is_whole = not final.exists() or self.place.catalogs()["margin"] == self.whole
            except FileNotFoundError:
                # A lock or a temporary file beside it was removed meanwhile.
                continue
            if not is_whole:
                self.failures.append("a reader saw a part of the margin while it was made")
                return
