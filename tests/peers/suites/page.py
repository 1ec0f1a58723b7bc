"""The counts of the suites, in the page on migration."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from benchmarks.environments import ROOT
from benchmarks.tables import table, write_between
from tests.peers.suites.run import Result
from tests.peers.suites.suite import SUITES, differences, reasons

PAGE = ROOT / "docs" / "how-to" / "migrate.md"
MARK = "suites"


def write_page(results: Mapping[str, Result], page: Path = PAGE) -> None:
    """Write the counts between their marks."""
    write_between(page, MARK, f"{counts(results)}\n\n{by_reason(results)}")


def counts(results: Mapping[str, Result]) -> str:
    """One row for each suite; some may not have run."""
    rows = []
    for suite in SUITES:
        name = f"{suite.source.package} {suite.source.version}"
        numbers = ["not run", "", "", "", ""]
        if result := results.get(suite.name):
            of_tests = [result.count(outcome) for outcome in ("passed", "differs", "skipped")]
            numbers = [f"{number:,}" for number in (*of_tests, len(result.made), len(result.replaced))]
        rows.append([name, "those of hats-import" if suite.coarse else "exact", *numbers])
    heads = ["tests of", "rows of margins", "passed", "differ", "skipped", "margins made", "margins replaced"]
    return table(heads, rows)


def by_reason(results: Mapping[str, Result]) -> str:
    """The reasons of the tests that differ, with their number in all suites."""
    found: Counter[str] = Counter()
    for name, result in results.items():
        listed = differences(name)
        found.update(listed[test] for test, (outcome, _) in result.outcomes.items() if outcome == "differs")
    rows = [[f"{found[reason]:,}", text] for reason, text in reasons().items() if found[reason]]
    return table(["tests", "why they differ"], rows)
