"""The command line: ``python -m benchmarks STEP``.

Steps: setup, generate, compare, scaling, startup, in_memory, several, page.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

from benchmarks import compare, in_memory, scaling, several, startup
from benchmarks.environments import PEERS, make_peer
from benchmarks.generate import generate
from benchmarks.machine import require_release
from benchmarks.tables import PAGE, write_between
from benchmarks.tools import TOOLS

STEPS = ("compare", "scaling", "startup", "in_memory", "several")


def write_page() -> None:
    """Write every table that has been measured into the page."""
    parts: dict[str, Callable[[], str]] = {
        "comparison": compare.markdown,
        "scaling": scaling.markdown,
        "startup": startup.markdown,
        "in_memory": in_memory.markdown,
        "several": several.markdown,
    }
    for name, markdown in parts.items():
        try:
            write_between(PAGE, name, markdown())
        except FileNotFoundError as missing:
            step = "compare" if name == "comparison" else name
            print(f"{missing}: python -m benchmarks {step}")


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "step", nargs="?", default="all", choices=["all", "setup", "generate", *STEPS, "page"]
    )
    parser.add_argument("--cases", nargs="+", default=list(compare.CASES), choices=list(compare.CASES))
    parser.add_argument("--tools", nargs="+", default=list(TOOLS), choices=list(TOOLS))
    parser.add_argument("--curves", nargs="+", default=["rows", "partitions", "threads"])
    parser.add_argument("--repetitions", type=int, default=5, help="runs of a tool on a catalog")
    parser.add_argument(
        "--budget-minutes", type=float, default=5.0, help="no further run of a tool after this long"
    )
    parser.add_argument("--timeout-minutes", type=float, default=30.0, help="a run is ended after this long")
    parser.add_argument("--workers", type=int, default=2, help="workers (skymargin: threads) of each tool")
    given = parser.parse_args()
    if given.step in ("all", *STEPS):
        require_release()
    if given.step == "setup":
        for peer in PEERS:
            make_peer(peer)
    if given.step == "generate":
        for case in given.cases:
            print(generate(compare.CASES[case].spec).path)
    if given.step in ("all", "compare"):
        compare.compare(
            given.cases,
            repetitions=given.repetitions,
            budget_minutes=given.budget_minutes,
            timeout_minutes=given.timeout_minutes,
            workers=given.workers,
            tools=given.tools,
        )
    if given.step in ("all", "scaling"):
        scaling.scale(
            given.curves,
            repetitions=min(given.repetitions, 3),
            workers=given.workers,
            timeout_minutes=given.timeout_minutes,
        )
    if given.step in ("all", "startup"):
        startup.measure_startup(repetitions=given.repetitions, workers=given.workers)
    if given.step in ("all", "in_memory"):
        in_memory.measure_in_memory(repetitions=given.repetitions, workers=given.workers)
    if given.step in ("all", "several"):
        several.measure_several(repetitions=given.repetitions, workers=given.workers)
    if given.step not in ("setup", "generate"):
        write_page()


if __name__ == "__main__":
    main()
