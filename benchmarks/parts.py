"""The parts of the benchmarks: what each measures, how long it takes, and its place in the page."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from benchmarks import (
    aims,
    comparison,
    geometry,
    in_memory,
    lsdb_margins,
    object_store,
    parallel,
    scaling,
    several,
    stages,
    startup,
)
from benchmarks.cases import CASES, SKEWED
from benchmarks.environments import RACED, make_peer
from benchmarks.options import Options
from benchmarks.results import RUN, NotMeasuredError, Results
from benchmarks.tables import table, write_between

_TIMES = "times"


@dataclass(frozen=True)
class Part:
    """A part that is run by its name; the page has its tables between marks of that name.

    Attributes
    ----------
    name, what
        Its name, and what it does.
    minutes
        How long it takes on two cores.
    run
        Does it.
    markdown
        Its tables; None: it measures nothing.
    kept
        The names of its results.
    """

    name: str
    what: str
    minutes: float
    run: Callable[[Options], None]
    markdown: Callable[[Results], str] | None = None
    kept: Iterable[str] = ()


def _set_up(_options: Options) -> None:
    for peer in RACED:
        make_peer(peer)


def _generate(options: Options) -> None:
    specs = [case.spec for case in (CASES | object_store.CATALOGS).values()]
    for spec in (*specs, SKEWED.spec, *(spec for curve in scaling.CURVES.values() for spec in curve.points)):
        options.catalog(spec)


PARTS = {
    part.name: part
    for part in (
        Part("setup", "make the environments of hats-import and ACID", 4, _set_up),
        Part("generate", "make the catalogs; 21 GB are kept for the next run", 17, _generate),
        Part(
            "geometry",
            "decisions and covers per second",
            4,
            geometry.measure_geometry,
            geometry.markdown,
            [geometry.NAME],
        ),
        Part(
            "comparison",
            "skymargin, hats-import and ACID beside the floor",
            40,
            comparison.compare,
            comparison.markdown,
            comparison.NAMES.values(),
        ),
        Part(
            "scaling",
            "growth with rows and partitions",
            10,
            scaling.scale,
            scaling.markdown,
            scaling.NAMES.values(),
        ),
        Part(
            "parallel",
            "two threads and two processes against one",
            4,
            parallel.measure_parallel,
            parallel.markdown,
            parallel.NAMES.values(),
        ),
        Part(
            "stages",
            "processor time of each stage, and of a file",
            2,
            stages.measure_stages,
            stages.markdown,
            stages.NAMES.values(),
        ),
        Part(
            "startup",
            "a small build, and where its time goes",
            1,
            startup.measure_startup,
            startup.markdown,
            [startup.NAME],
        ),
        Part(
            "in_memory",
            "tables in memory, beside LSDB",
            5,
            in_memory.measure_in_memory,
            in_memory.markdown,
            [in_memory.NAME],
        ),
        Part(
            "lsdb",
            "margins of catalogs of LSDB, computed when used",
            6,
            lsdb_margins.measure_lsdb,
            lsdb_margins.markdown,
            [lsdb_margins.NAME],
        ),
        Part(
            "several",
            "two margins in one run",
            1,
            several.measure_several,
            several.markdown,
            [several.NAME],
        ),
        Part(
            "object_store",
            "requests to a store that answers after 50 ms",
            12,
            object_store.measure_object_store,
            object_store.markdown,
            object_store.NAMES.values(),
        ),
    )
}


def run_part(part: Part, options: Options, page: Path) -> None:
    """Run a part, and write its tables and those of the whole into the page."""
    print(f"== {part.name}: {part.what}; about {part.minutes:g} minutes", flush=True)
    begun = time.monotonic()
    part.run(options)
    try:
        times = options.results.kept(_TIMES)
    except NotMeasuredError:
        times = {}
    times[part.name] = {"run": RUN, "minutes": (time.monotonic() - begun) / 60}
    options.results.keep(_TIMES, times)
    write_page(options.results, page, [part])


def write_page(results: Results, page: Path, parts: Iterable[Part] = tuple(PARTS.values())) -> None:
    """Write the tables of parts that were measured into the page, and the tables on the whole."""
    for part in parts:
        if part.markdown is None:
            continue
        try:
            write_between(page, part.name, part.markdown(results))
        except NotMeasuredError as missing:
            print(f"{missing}: python -m benchmarks {part.name}")
    write_between(page, "aims", aims.markdown(results))
    write_between(page, "run", runs_markdown(results))


def runs_markdown(results: Results) -> str:
    """Which run each part is from, and how long the parts take."""
    try:
        times = results.kept(_TIMES)
    except NotMeasuredError:
        times = {}
    rows, runs = [], set()
    for part in PARTS.values():
        measured = _runs_of(part, results)
        runs |= measured
        took = times.get(part.name)
        minutes = f"{took['minutes']:.1f}" if took else "-"
        begun = ", ".join(sorted(measured or ({took["run"]} if took else {"not run"})))
        rows.append([f"`{part.name}`", part.what, f"{part.minutes:g}", minutes, begun])
    total = sum(took["minutes"] for took in times.values())
    rows.append(["all", "", f"{sum(part.minutes for part in PARTS.values()):g}", f"{total:.0f}", ""])
    said = (
        "All tables of this page are from one run."
        if len(runs) == 1
        else f"The tables of this page are from {len(runs)} runs; each table says from which."
    )
    return f"{said}\n\n" + table(
        ["part", "what it does", "minutes, planned", "minutes, last run", "results from the run of"], rows
    )


def _runs_of(part: Part, results: Results) -> set[str]:
    try:
        return {str(result["run"]) for result in results.all_kept(part.kept).values()}
    except NotMeasuredError:
        return set()


def start_trial(folder: Path, page: Path) -> Path:
    """A copy of the page, to be written in a trial."""
    folder.mkdir(parents=True, exist_ok=True)
    return Path(shutil.copy(page, folder / page.name))
