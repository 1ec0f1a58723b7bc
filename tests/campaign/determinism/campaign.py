"""The same bytes: one margin made again and again, each time in a fresh process with one thing changed."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from skymargin.build.subset.provenance import RECORD
from tests.campaign.determinism import process
from tests.campaign.determinism.catalogs import coarse_margins, served, write_catalogs
from tests.campaign.outcomes import Figures, Outcome, Tally
from tests.support.catalogs import MIXED_PARTITIONS, Sky, ids_of, on_disk, sky_near_edges
from tests.support.forks import preload, run_forked
from tests.support.hipscat_catalogs import hipscat_ids
from tests.support.killing import Moment, run_killed_at

THRESHOLD_ARCSEC = 600.0
MARGIN_ORDER = 5
KINDS = tuple((form, exact) for form in ("HATS", "HiPSCat") for exact in (True, False))
_PATIENCE_SECONDS = 120
_SIDE_BY_SIDE = 2
_ONE_AT_A_TIME = threading.Lock()
# Lines that hold the time of the run, or places of it: by design not those of another run.
_TIMES = (b"hats_creation_date", b'"generation_date"')
# The last is the room that the files take, the record of the times of change among them.
_PLACES = (
    *(b"hats_primary_table_url", b'"primary_catalog"', b'"input_catalog_path"'),
    *(b'"output_path"', b'"catalog_path"', b"hats_estsize"),
)


@dataclass(frozen=True)
class Variation:
    """A run with something changed.

    Attributes
    ----------
    group
        The row of the table.
    name
        What is changed, to what.
    arguments
        Further arguments of the run.
    environment
        Further variables of its environment.
    told
        What else `tests.campaign.determinism.process` is told.
    catalog
        Name of the catalog that it reads: that of all runs, or a copy that differs in nothing that counts.
    killed
        When an earlier run is killed, which this one resumes.
    """

    group: str
    name: str
    arguments: dict[str, Any] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    told: dict[str, Any] = field(default_factory=dict)
    catalog: str = "stars"
    killed: Moment | None = None


def variations(short: bool) -> list[Variation]:
    """List all that is varied; the first is the run that the others are compared with."""
    small, threads = {"task_bytes": 1}, {n: {"dask_threads_per_worker": n} for n in (2, 3, 4, 16)}
    first = Variation("threads", "1 thread")
    more_threads = [Variation("threads", f"{n} threads", threads[n], told=small) for n in (2, 4, 16)]
    workers = [
        Variation("worker processes", f"{n} workers", {"dask_n_workers": n} | threads[2], told=told)
        for n, told in ((2, small), (4, {}))
    ]
    copies = ("lines_shuffled", "footers_shuffled", "no_footers", "no_list", "files_made_in_another_order")
    order = [
        Variation("order of partitions", name.replace("_", " "), threads[2], catalog=name) for name in copies
    ]
    sizes = [
        Variation("sizes of tasks and pieces", name, arguments, told=told)
        for name, arguments, told in (
            ("small tasks", {}, small),
            ("large tasks", {}, {"task_bytes": 1 << 40}),
            ("memory_limit 256 MiB", {"memory_limit": "256MiB"}, {}),
            ("pieces of 700 bytes", {}, {"piece_bytes": 700}),
        )
    ]
    hashing = [
        Variation("PYTHONHASHSEED", seed, threads[2], {"PYTHONHASHSEED": seed}) for seed in ("0", "1", "4242")
    ]
    surroundings = [
        Variation("time zone, locale, processor features", name, environment=environment)
        for name, environment in (
            ("Kolkata", {"TZ": "Asia/Kolkata", "LC_ALL": "C"}),
            ("Honolulu", {"TZ": "Pacific/Honolulu", "LC_ALL": "C.UTF-8", "LANGUAGE": "de"}),
            ("no SIMD in Arrow", {"ARROW_USER_SIMD_LEVEL": "NONE", "LANG": "tr_TR.UTF-8", "PYTHONUTF8": "0"}),
        )
    ]
    places = [
        Variation("temporary folders, a later run", "tmp_dir", {"tmp_dir": "TMP"} | threads[2]),
        Variation("temporary folders, a later run", "once more"),
    ]
    # The run that is killed has small tasks, too.
    resumed = [
        Variation("resumed after a kill", str(moment), threads[3], told=small, killed=moment)
        for moment in (
            Moment("skymargin.build.checkpoint.state:RunState.add_mapped", 12),
            Moment("skymargin.build.checkpoint.state:RunState.add_reduced", 5),
        )
    ]
    remote = [Variation("read from a server", name, catalog=name) for name in ("http", "s3")]
    if short:
        return [first, more_threads[2], order[1], hashing[2], resumed[0]]
    return [
        *(first, *more_threads, *workers, *order, *sizes),
        *(*hashing, *surroundings, *places, *resumed, *remote),
    ]


def run(scratch: Path, seed: int, *, short: bool) -> Outcome:
    """Make each kind of margin in every variation, and margins in memory on several numbers of threads."""
    varied = variations(short)
    if not short:
        # Before the first is forked, or it is too late.
        preload("hipscat.io.write_metadata")
    kinds = [("HATS", True), ("HiPSCat", False)] if short else KINDS
    tallies = {variation.group: Tally(variation.group) for variation in varied}
    rows, failures = [], []
    sky = sky_near_edges(MIXED_PARTITIONS, 500 if short else 900, THRESHOLD_ARCSEC, seed=seed)
    with ExitStack() as servers, ThreadPoolExecutor(_SIDE_BY_SIDE) as pool:
        for form in dict.fromkeys(form for form, _ in kinds):
            write_catalogs(scratch / form, form, sky, seed)
        urls = {} if short else served(scratch, servers)
        in_memory = pool.submit(frames, scratch, sky, ("2",) if short else ("1", "2", "4"))
        for form, exact in kinds:
            runs = Runs(scratch / form, form, exact, sky, urls, short)
            begun = time.monotonic()
            made = [(variation, pool.submit(runs.made, variation)) for variation in varied]
            reference = made[0][1].result()
            failures += runs.wrong_rows()
            digests: dict[str, set[str]] = defaultdict(set)
            for variation, result in made:
                try:
                    files = result.result()
                    trouble = different(files, reference, elsewhere=variation.catalog != "stars")
                    for name, digest in files.raw.items():
                        digests[name].add(digest)
                except Exception as error:
                    trouble = f"{type(error).__name__}: {error}"
                case = f"{form}, exact={exact}, {variation.name} (seed {seed})"
                tallies[variation.group].count(case, trouble)
            rows.append(_row(form, exact, len(varied), digests))
            if not short:
                spent = time.monotonic() - begun
                print(f"determinism: {form}, exact={exact}: {spent:.0f} s", file=sys.stderr)
        tallies["memory"] = in_memory.result()
    title = (
        "Files of the margins over all these runs. Those with several SHA-256 hold what differs by design: the minute "
        "of the run (properties of HATS, provenance of HiPSCat), and where the catalog was read from; without these "
        "lines they are one, too. The record of what a margin was made from holds the time of change of each file of "
        "the catalog, which a server tells in another way."
    )
    heads = ["margin", "runs", "files", "with one SHA-256", "with several"]
    return Outcome("determinism", list(tallies.values()), [Figures(title, heads, rows)], failures)


@dataclass(frozen=True)
class Digests:
    """SHA-256 of each file of a margin: of all of it, and without what differs by design."""

    raw: dict[str, str]
    bare: dict[str, str]
    without_places: dict[str, str]


class Runs:
    """Margins of one kind.

    Parameters
    ----------
    folder
        Where the catalogs are, and the margins will be.
    form, exact
        The kind: HATS or HiPSCat, exact or coarse.
    sky
        The rows.
    urls
        The catalogs on servers, with their storage options.
    short
        Whether it is to be quick: to import the hipscat library takes ten seconds, in each process.
    """

    def __init__(
        self,
        folder: Path,
        form: str,
        exact: bool,
        sky: Sky,
        urls: dict[str, tuple[str, dict[str, Any] | None]],
        short: bool,
    ) -> None:
        self._folder, self._form, self._exact, self._sky = folder, form, exact, sky
        self._urls, self._short = urls, short
        self._kind = "exact" if exact else "coarse"

    def made(self, variation: Variation) -> Digests:
        """Make the margin in a process of its own."""
        place = f"{self._kind}-{variation.name.replace(' ', '-')}"
        output = self._folder / place
        arguments: dict[str, Any] = dict(variation.arguments)
        if "tmp_dir" in arguments:
            arguments["tmp_dir"] = str(self._folder / f"{place}-tmp" / "deep")
        if not self._exact:
            arguments |= {"fine_filtering": False, "margin_order": MARGIN_ORDER}
        catalog: str = str(self._folder / variation.catalog)
        if variation.catalog in self._urls:
            url, options = self._urls[variation.catalog]
            catalog, arguments["input_storage_options"] = f"{url}/{self._form}/stars", options
        if variation.killed is not None:
            run_killed_at(variation.killed, Path(catalog), output, THRESHOLD_ARCSEC, **arguments)
        told = {"catalog": catalog, "output": str(output), "threshold_arcsec": THRESHOLD_ARCSEC}
        told |= {"arguments": arguments} | variation.told
        if self._form == "HiPSCat" and self._short:
            with _ONE_AT_A_TIME:
                process.make(**told)
        elif self._form == "HiPSCat" and not variation.environment:
            status = run_forked(process.make, _PATIENCE_SECONDS, **told)
            assert status == 0, f"ended with {status}; what it said is on standard error"
        else:
            _run(told, variation.environment)
        left = sorted(entry.name for entry in output.iterdir() if entry.name != "margin")
        assert not left, f"left behind: {left}"
        return digests_of(on_disk(output / "margin"))

    def wrong_rows(self) -> list[str]:
        """Compare the run that the others are compared with to brute force."""
        margin = self._folder / f"{self._kind}-1-thread" / "margin"
        ids = ids_of(margin) if self._form == "HATS" else hipscat_ids(margin)
        exact = self._exact
        expected = self._sky.margins(THRESHOLD_ARCSEC) if exact else coarse_margins(self._sky, MARGIN_ORDER)
        return [] if ids == expected else [f"{self._form}, {self._kind}: other rows than brute force gives"]


def digests_of(files: dict[str, bytes]) -> Digests:
    """Take the digests of files."""

    def digests(marks: tuple[bytes, ...], names: Sequence[str]) -> dict[str, str]:
        texts = {}
        for name in names:
            content = files[name]
            if name.endswith(("properties", "_info.json")):
                lines = content.splitlines(keepends=True)
                content = b"".join(line for line in lines if not line.strip().startswith(marks))
            texts[name] = hashlib.sha256(content).hexdigest()
        return texts

    recorded = [name for name in files if not name.endswith(RECORD)]
    # No mark keeps every line.
    return Digests(digests((), [*files]), digests(_TIMES, [*files]), digests(_TIMES + _PLACES, recorded))


def different(files: Digests, reference: Digests, *, elsewhere: bool) -> str:
    """Say which files differ, if any; of a catalog that was read elsewhere, without its place and its files' times."""
    if files.raw.keys() != reference.raw.keys():
        return f"other files: {sorted(files.raw.keys() ^ reference.raw.keys())[:3]}"
    ours, theirs = ((side.without_places if elsewhere else side.bare).items() for side in (files, reference))
    names = [name for name, _ in sorted(ours - theirs)]
    return f"other bytes in {len(names)} files: {names[:3]}" if names else ""


def frames(scratch: Path, sky: Sky, cores: Sequence[str]) -> Tally:
    """Margins in memory: on several numbers of threads, in processes with several numbers of their own."""
    tally = Tally("margins in memory, 1, 2 and 4 threads")
    table = scratch / "frame.parquet"
    pl.DataFrame({"id": np.arange(len(sky)), "ra": sky.ra_deg, "dec": sky.dec_deg}).write_parquet(table)
    first = ""
    for number_of_cores in cores:
        told = {"frames": str(table), "threads": [1, 2, 4, 0]}
        environment = {"RAYON_NUM_THREADS": number_of_cores, "POLARS_MAX_THREADS": number_of_cores}
        digests = json.loads(_run(told, environment))
        first = first or digests["1"]
        for threads, digest in digests.items():
            case = f"threads={threads}, {number_of_cores} of rayon"
            tally.count(case, "" if digest == first else "another result")
    return tally


def _run(told: dict[str, Any], environment: dict[str, str]) -> str:
    ended = subprocess.run(
        [sys.executable, "-W", "error", "-m", "tests.campaign.determinism.process"],
        input=json.dumps(told),
        env=os.environ | environment,
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        timeout=_PATIENCE_SECONDS,
    )
    assert not ended.returncode, " ".join(ended.stderr.split()[-60:])
    return ended.stdout


def _row(form: str, exact: bool, runs: int, digests: dict[str, set[str]]) -> list[str]:
    several = sorted(name for name, values in digests.items() if len(values) > 1)
    kind = f"{form}, {'exact' if exact else 'coarse'}"
    counts = [str(runs), str(len(digests)), str(len(digests) - len(several))]
    return [kind, *counts, ", ".join(several) or "none"]
