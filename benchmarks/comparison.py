"""The comparison: skymargin, hats-import and ACID build the same margins, side by side in one run."""

from __future__ import annotations

from dataclasses import asdict

from benchmarks.cases import CASES, THRESHOLD_ARCSEC
from benchmarks.content import compare_contents
from benchmarks.environments import make_peer
from benchmarks.floor import Floor
from benchmarks.options import Options
from benchmarks.race import Runs, race, runs_of
from benchmarks.results import NotMeasuredError, Result, Results, printed_json, provenance, surroundings
from benchmarks.tables import megabytes, ratio, seconds, table
from benchmarks.tools import TOOLS

NAMES = {case: f"comparison-{case}" for case in CASES}
_OWN = "skymargin"
_ENVIRONMENTS = {"hats-import": "hats-import", "ACID": "acid"}


def compare(options: Options) -> None:
    """Run the cases and keep the results of each."""
    peers = [_ENVIRONMENTS[tool] for tool in options.tools if tool in _ENVIRONMENTS]
    for peer in peers:
        make_peer(peer)
    for name in options.cases:
        case = CASES[name]
        print(f"{name}: {case.title}", flush=True)
        catalog = options.catalog(case.spec)
        folder = options.scratch(name)
        result = surroundings(options.workers, peers)
        runs, margins = race(catalog, {tool: TOOLS[tool] for tool in options.tools}, folder, options)
        contents = compare_contents(margins, catalog.partitions, THRESHOLD_ARCSEC)
        result |= {
            "title": case.title,
            "rows": catalog.rows,
            "partitions": len(catalog.partitions),
            "size_bytes": catalog.size_bytes(),
            "runs": {tool: asdict(done) for tool, done in runs.items()},
            "contents": {tool: asdict(content) for tool, content in contents.items()},
            "timeout_minutes": options.timeout_minutes,
        }
        if _OWN in margins:
            result["floor"] = printed_json(
                "-m", "benchmarks.floor", catalog.path, margins[_OWN], options.workers
            )
        options.results.keep(NAMES[name], result)


def times_peer(results: Results, case: str, peer: str) -> float:
    """How many times as fast as a peer skymargin is; a lower bound where the peer was ended at its time-out."""
    runs = runs_of(results.kept(NAMES[case]))
    for tool in (_OWN, peer):
        if tool not in runs or runs[tool].failure:
            raise NotMeasuredError(f"{tool} has no run of {case}")
    return runs[peer].median_seconds / runs[_OWN].median_seconds


def times_floor(results: Results, case: str) -> float:
    """The time of skymargin without its start-up, which is a build of the small catalog, in times of the floor."""
    result = results.kept(NAMES[case])
    if "floor" not in result:
        raise NotMeasuredError(f"{case} has no floor")
    own = runs_of(result)[_OWN].median_seconds
    return (own - _start_up(results)) / Floor(**result["floor"]).seconds


def _start_up(results: Results) -> float:
    return runs_of(results.kept(NAMES["small"]))[_OWN].median_seconds


def markdown(results: Results) -> str:
    """The comparison's tables."""
    kept = results.all_kept(NAMES.values())
    workers = next(iter(kept.values()))["workers"]
    about = (
        f"{provenance(kept)}\n\n{workers} workers each (skymargin: threads), page cache warm, "
        f'{THRESHOLD_ARCSEC:g} arcsec. "Runs" is how many the medians are of.'
    )
    cases = [_case_markdown(results, name) for name in CASES if NAMES[name] in kept]
    return "\n\n".join([about, *cases])


def _case_markdown(results: Results, case: str) -> str:
    result = results.kept(NAMES[case])
    runs = runs_of(result)
    rows = [_row(tool, runs, result) for tool in TOOLS if tool in runs]
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
    if "floor" in result:
        text += "\n\n" + _floor_markdown(results, case, Floor(**result["floor"]))
    if any(done.timed_out for done in runs.values()):
        text += (
            f"\n\nRuns are ended after {result['timeout_minutes']:g} minutes; a ratio is then a lower bound."
        )
    return text


def _row(tool: str, runs: dict[str, Runs], result: Result) -> list[str]:
    done, own, content = runs[tool], runs.get(_OWN), result["contents"].get(tool)
    if done.failure:
        return [tool, f"failed: {done.failure[:80]}", *[""] * 7]
    bound = ">= " if done.timed_out else ""
    times = "1" if tool == _OWN else "-"
    if tool != _OWN and own is not None and not own.failure:
        times = bound + ratio(done.median_seconds, own.median_seconds)
    return [
        tool,
        bound + seconds(done.median_seconds),
        str(len(done.measurements)),
        times,
        megabytes(done.peak_tree_bytes),
        megabytes(done.peak_process_bytes),
        megabytes(done.median_of("bytes_read")),
        f"{content['rows']:,}" if content else "-",
        f"{content['exact']:,} ({content['missing']:,} missing)" if content else "-",
    ]


def _floor_markdown(results: Results, case: str, floor: Floor) -> str:
    text = (
        f"Floor: {seconds(floor.seconds)} s, of which {seconds(floor.positions_seconds)} s for index, ra and "
        f"dec of every file and {seconds(floor.pages_seconds)} s for the {floor.pages:,} pages "
        f"({megabytes(floor.pages_bytes)}) in {floor.files_touched:,} files that hold a row of the margin."
    )
    try:
        times = times_floor(results, case)
    except NotMeasuredError:
        return text
    return text + (f" skymargin without its start-up: {times:.1f} times the floor." if times > 0 else "")
