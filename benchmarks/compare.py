"""The comparison: skymargin, hats-import and ACID build the same margins, side by side in one run."""

from __future__ import annotations

import shutil
import sys
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks import machine
from benchmarks.content import compare_contents
from benchmarks.environments import RACED, make_peer
from benchmarks.floor import Floor
from benchmarks.generate import CACHE, CatalogSpec, OnePartitionSpec, generate
from benchmarks.meter import Measurement
from benchmarks.race import Runs, race
from benchmarks.results import RESULTS, keep, kept, printed_json
from benchmarks.tables import megabytes, ratio, seconds, table
from benchmarks.tools import TOOLS, versions

THRESHOLD_ARCSEC = 10.0


@dataclass(frozen=True)
class Case:
    """One catalog of the comparison, and what is said about it."""

    title: str
    spec: CatalogSpec | OnePartitionSpec


CASES = {
    "small": Case("a small catalog: what start-up costs", CatalogSpec("narrow", 10_000, 12)),
    "stars-100": Case("10 M rows x 34 columns, ~100 partitions", CatalogSpec("stars", 10_000_000, 100)),
    "stars-1800": Case("the same rows, ~1,800 partitions", CatalogSpec("stars", 10_000_000, 1_800)),
    "wide": Case(
        "4 GB of light curves, 40 kB a row, 64 partitions", CatalogSpec("light_curves", 100_000, 64)
    ),
    "one-partition": Case("one partition of 480 MB, 15 rows within the threshold", OnePartitionSpec()),
    "stars-100-yesterday": Case(
        "10 M rows x 34 columns, ~100 partitions, yesterday's layout",
        CatalogSpec("stars", 10_000_000, 100, "yesterday"),
    ),
    "wide-yesterday": Case(
        "4 GB of light curves, yesterday's layout", CatalogSpec("light_curves", 100_000, 64, "yesterday")
    ),
}


def compare(
    cases: list[str],
    *,
    repetitions: int,
    budget_minutes: float,
    timeout_minutes: float,
    workers: int,
    tools: list[str],
) -> None:
    """Run the cases and keep the results of each."""
    for peer in RACED:
        make_peer(peer)
    for name in cases:
        case = CASES[name]
        print(f"{name}: {case.title}", flush=True)
        catalog = generate(case.spec)
        busy = machine.busy_share()
        folder = CACHE / "runs" / name
        runs, margins = race(
            catalog,
            tools,
            folder,
            threshold_arcsec=THRESHOLD_ARCSEC,
            workers=workers,
            repetitions=repetitions,
            budget_seconds=budget_minutes * 60,
            timeout_seconds=timeout_minutes * 60,
        )
        contents = compare_contents(margins, catalog.partitions, THRESHOLD_ARCSEC)
        floor = (
            printed_json("-m", "benchmarks.floor", catalog.path, margins["skymargin"], workers)
            if "skymargin" in margins
            else None
        )
        result = {
            "title": case.title,
            "rows": catalog.rows,
            "partitions": len(catalog.partitions),
            "size_bytes": catalog.size_bytes(),
            "workers": workers,
            "busy_before": busy,
            "runs": {tool: asdict(done) for tool, done in runs.items()},
            "contents": {tool: asdict(content) for tool, content in contents.items()},
            "floor": floor,
            "versions": versions(),
            "machine": machine.describe(),
            "command": "python -m benchmarks " + " ".join(sys.argv[1:]),
            "timeout_minutes": timeout_minutes,
        }
        keep(name, result)
        shutil.rmtree(folder)


def results() -> dict[str, dict[str, Any]]:
    """The kept results of the cases that have been run, in the order of `CASES`."""
    return {name: kept(name) for name in CASES if (RESULTS / f"{name}.json").exists()}


def runs_of(result: dict[str, Any]) -> dict[str, Runs]:
    """The runs of a kept result."""
    return {
        tool: Runs([Measurement(**run) for run in done["measurements"]], done["failure"])
        for tool, done in result["runs"].items()
    }


def markdown() -> str:
    """The comparison's tables."""
    measured = results()
    if not measured:
        raise FileNotFoundError("no case of the comparison has been run")
    start_up = runs_of(measured["small"])["skymargin"].median_seconds if "small" in measured else None
    return "\n\n".join(
        [_provenance(measured), *(_case_markdown(result, start_up) for result in measured.values())]
    )


def _provenance(measured: dict[str, dict[str, Any]]) -> str:
    last = list(measured.values())[-1]
    named = ", ".join(f"{name} {version}" for name, version in last["versions"].items())
    commands = " and ".join(
        f"`{command}`" for command in dict.fromkeys(r["command"] for r in measured.values())
    )
    busiest = max(result["busy_before"] for result in measured.values())
    return (
        f"Measured on {last['machine']}; {named}. {last['workers']} workers each (skymargin: threads), "
        f"page cache warm, {THRESHOLD_ARCSEC:g} arcsec; other work took at most {busiest:.0%} of the "
        f"processors just before a case. "
        f"Command: {commands}."
    )


def _case_markdown(result: dict[str, Any], start_up: float | None) -> str:
    runs = runs_of(result)
    own = runs.get("skymargin")
    rows = []
    for tool in TOOLS:
        if tool not in runs:
            continue
        done, content = runs[tool], result["contents"].get(tool)
        if done.failure:
            rows.append([tool, f"failed: {done.failure[:80]}", "", "", "", "", "", "", ""])
            continue
        bound = ">= " if done.timed_out else ""
        is_peer = own is not None and tool != "skymargin" and not own.failure
        rows.append(
            [
                tool,
                bound + seconds(done.median_seconds),
                str(len(done.measurements)),
                bound + ratio(done.median_seconds, own.median_seconds) if own and is_peer else "1",
                megabytes(done.peak_tree_bytes),
                megabytes(done.peak_process_bytes),
                megabytes(done.median_of("bytes_read")),
                f"{content['rows']:,}" if content else "-",
                f"{content['exact']:,} ({content['missing']:,} missing)" if content else "-",
            ]
        )
    heads = [
        *("tool", "seconds", "runs", "times skymargin", "peak memory, tree", "peak memory, process"),
        *("bytes read", "rows written", "of them exact"),
    ]
    title, count = result["title"], result["partitions"]
    text = (
        f"### {title[0].upper()}{title[1:]}\n\n{result['rows']:,} rows, {count:,} "
        f"{'partition' if count == 1 else 'partitions'}, {result['size_bytes'] / 1e9:.2f} GB on disk.\n\n"
        f"{table(heads, rows)}"
    )
    if result["floor"] and own:
        text += "\n\n" + _floor_markdown(Floor(**result["floor"]), own.median_seconds, start_up)
    if any(done.timed_out for done in runs.values()):
        text += (
            f"\n\nRuns are ended after {result['timeout_minutes']:g} minutes; a ratio is then a lower bound."
        )
    return text


def _floor_markdown(floor: Floor, own_seconds: float, start_up: float | None) -> str:
    text = (
        f"Floor: {seconds(floor.seconds)} s, of which {seconds(floor.positions_seconds)} s for index, ra and "
        f"dec of every file and {seconds(floor.pages_seconds)} s for the {floor.pages:,} pages "
        f"({megabytes(floor.pages_bytes)}) in {floor.files_touched:,} files that hold a row of the margin."
    )
    if start_up is not None and own_seconds > start_up:
        times = ratio(own_seconds - start_up, floor.seconds)
        text += f" skymargin without its start-up: {times} times the floor."
    return text
