"""The campaign's results, written into the page of the documentation."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from benchmarks import machine
from benchmarks.tables import table, write_between
from tests.campaign.outcomes import Outcome

PAGE = Path(__file__).parents[2] / "docs" / "explanation" / "reliability.md"
# At the end of a traceback.
EXCEPTION = re.compile(r"(?:\w+\.)*\w+(?:Error|Exception|Exit|Interrupt|Warning)\b(?!\()")


def write_page(outcomes: Iterable[Outcome], page: Path = PAGE) -> None:
    """Write the results of the parts that were run, each between its marks; what a person wrote stays.

    Parameters
    ----------
    outcomes
        Those of all parts that were run.
    page
        The page, which has the marks ``<!-- counts -->`` and those of each part.
    """
    ran = list(outcomes)
    write_between(page, "counts", counts(ran))
    for outcome in ran:
        write_between(page, outcome.part, details(outcome))


def counts(outcomes: list[Outcome]) -> str:
    """Return one row for each part, and their sum."""
    rows = [
        [outcome.part, *_numbers([outcome]), f"{outcome.seconds / 60:.1f} min"]
        for outcome in outcomes
        if outcome.tallies or outcome.figures
    ]
    total = ["**all**", *_numbers(outcomes), f"{sum(outcome.seconds for outcome in outcomes) / 60:.0f} min"]
    heads = ["part", "tried", "survived", "refused clearly", "failed", "time"]
    return f"{table(heads, [*rows, total])}\n\nMeasured on: {machine.describe()}."


def details(outcome: Outcome) -> str:
    """Return the faults of a part, its figures, and what was left out."""
    parts = []
    if outcome.tallies:
        rows = [
            [tally.fault, *_formatted(tally.tried, tally.survived, tally.refused, len(tally.failures))]
            for tally in outcome.tallies
        ]
        parts.append(table(["fault", "tried", "survived", "refused clearly", "failed"], rows))
    parts += [f"{figures.title}\n\n{table(figures.heads, figures.rows)}" for figures in outcome.figures]
    parts += [f"Failed: {brief(failure)}" for failure in outcome.all_failures]
    parts += [f"Not tried: {reason}" for reason in outcome.left_out]
    return "\n\n".join(parts)


def brief(failure: str) -> str:
    """A failure in one line without folders of this machine: of a traceback, the exception and its message."""
    what, mark, trace = failure.partition("Traceback (most recent call last):")
    # A traceback may be in one line: then two blanks and more are where lines began, but for the last.
    last = re.split(r"\n|  +", trace.strip())[-1]
    if named := EXCEPTION.search(last):
        last = last[named.start() :]
    text = f"{what}{last}" if mark else " ".join(what.split())
    return re.sub(r"(?<![\w.:/])/(?:[\w.+@%=~-]+/)+", "", text.strip())


def _numbers(outcomes: list[Outcome]) -> list[str]:
    tallies = [tally for outcome in outcomes for tally in outcome.tallies]
    failed = sum(len(outcome.all_failures) for outcome in outcomes)
    survived, refused = sum(tally.survived for tally in tallies), sum(tally.refused for tally in tallies)
    return _formatted(sum(tally.tried for tally in tallies), survived, refused, failed)


def _formatted(*numbers: int) -> list[str]:
    return [f"{number:,}" for number in numbers]
