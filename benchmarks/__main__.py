"""The command line: ``python -m benchmarks PART...``; without a part, all of them, one after another.

Every part writes its own tables into docs/explanation/benchmarks.md when it is done, and keeps its results: an
interrupted run leaves what it has finished. ``page`` writes the page again from the results that were kept.
"""

from __future__ import annotations

import argparse

from benchmarks.generate import CACHE
from benchmarks.machine import require_release
from benchmarks.options import Options, remove_scratch
from benchmarks.parts import PARTS, run_part, start_trial, write_page
from benchmarks.results import Results
from benchmarks.tables import PAGE
from tools.compile_bytecode import compile_package

_PAGE_ONLY = "page"


def _listed() -> str:
    lines = [f"  {part.name:<12}{part.minutes:>4g} min  {part.what}" for part in PARTS.values()]
    total = sum(part.minutes for part in PARTS.values())
    return "\n".join(["parts, with their time on two cores:", *lines, f"  {'all':<12}{total:>4g} min"])


def main() -> None:
    """Entry point."""
    default = Options(Results(CACHE / "results"))
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        epilog=_listed(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "parts", nargs="*", metavar="PART", help="parts to run, or `page`; default: all parts"
    )
    parser.add_argument("--list", action="store_true", help="list the parts and how long they take")
    parser.add_argument("--cases", nargs="+", default=default.cases, choices=default.cases)
    parser.add_argument("--tools", nargs="+", default=default.tools, choices=default.tools)
    parser.add_argument("--curves", nargs="+", default=default.curves, choices=default.curves)
    parser.add_argument(
        "--repetitions", type=int, default=default.repetitions, help="runs of a tool on a catalog"
    )
    parser.add_argument(
        "--budget-minutes",
        type=float,
        default=default.budget_minutes,
        help="no further run of a tool on a catalog after this long",
    )
    parser.add_argument(
        "--timeout-minutes",
        type=float,
        default=default.timeout_minutes,
        help="a run is ended after this long",
    )
    parser.add_argument(
        "--workers", type=int, default=default.workers, help="workers (skymargin: threads) of each tool"
    )
    parser.add_argument(
        "--trial",
        action="store_true",
        help="tiny catalogs and one run of each: to try the benchmarks; writes a copy of the page",
    )
    given = parser.parse_args()
    unknown = set(given.parts) - {*PARTS, _PAGE_ONLY}
    if unknown:
        parser.error(f"no part {', '.join(sorted(unknown))}: choose from {', '.join((*PARTS, _PAGE_ONLY))}")
    if given.list:
        print(_listed())
        return
    folder = CACHE / "trial" if given.trial else CACHE
    options = Options(
        Results(folder / "results"),
        is_trial=given.trial,
        repetitions=1 if given.trial else given.repetitions,
        budget_minutes=given.budget_minutes,
        timeout_minutes=given.timeout_minutes,
        workers=given.workers,
        cases=tuple(given.cases),
        tools=tuple(given.tools),
        curves=tuple(given.curves),
    )
    page = start_trial(folder, PAGE) if given.trial else PAGE
    if given.parts == [_PAGE_ONLY]:
        write_page(options.results, page)
        return
    if not given.trial:
        require_release()
    # The peers have their bytecode.
    compile_package()
    for name in given.parts or PARTS:
        run_part(PARTS[name], options, page)
    remove_scratch()


if __name__ == "__main__":
    main()
