"""The command line: ``python -m tests.peers.suites [SUITE ...]``; exits with 1 when a test did what it must not.

The results are kept. When all suites have run, now or before, and are right, the page on migration gets their counts.
"""

from __future__ import annotations

import argparse
import sys
import time

from tests.peers.suites.page import write_page
from tests.peers.suites.run import LOGS, keep, kept, problems, run_suite
from tests.peers.suites.sources import NotReachableError
from tests.peers.suites.suite import SUITES


def main() -> int:
    """Entry point."""
    names = [suite.name for suite in SUITES]
    parser = argparse.ArgumentParser(prog="python -m tests.peers.suites", description=__doc__)
    parser.add_argument("suites", nargs="*", metavar="SUITE", help=f"of {', '.join(names)}; default: all")
    given = parser.parse_args()
    if unknown := set(given.suites) - set(names):
        parser.error(f"{', '.join(sorted(unknown))}: no such suite; there are {', '.join(names)}")
    is_wrong = False
    for suite in SUITES:
        if given.suites and suite.name not in given.suites:
            continue
        begun = time.monotonic()
        try:
            result = run_suite(suite)
        except NotReachableError as error:
            print(f"{suite.name}: skipped: {error}", flush=True)
            continue
        counted = ", ".join(f"{result.count(each)} {each}" for each in ("passed", "differs", "skipped"))
        margins = f"{len(result.made)} margins made, {len(result.replaced)} replaced"
        print(f"{suite.name}: {counted}; {margins}; {time.monotonic() - begun:.0f} s", flush=True)
        keep(suite, result)
        for problem in problems(suite, result):
            is_wrong = True
            print(f"  WRONG {problem}", flush=True)
    if is_wrong:
        print(f"What pytest printed is in {LOGS}; tests that must differ are listed in differences.toml.")
    results = {suite.name: result for suite in SUITES if (result := kept(suite))}
    if len(results) == len(SUITES):
        write_page(results)
    return int(is_wrong)


if __name__ == "__main__":
    sys.exit(main())
