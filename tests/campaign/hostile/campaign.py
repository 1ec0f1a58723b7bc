"""Hostile input: names, paths, properties, lists, links and Parquet files made to do harm, and mails with more headers.

Each is a run of the command line in a process with little memory and a time-out, in a sandbox of which only the output
folder may change.
"""

from __future__ import annotations

import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from tests.campaign.hostile.files import file_cases
from tests.campaign.hostile.mail import mail_tally
from tests.campaign.hostile.names import name_cases
from tests.campaign.hostile.places import place_cases
from tests.campaign.hostile.process import Case, template, try_case
from tests.campaign.outcomes import Outcome, Tally

_AT_ONCE = 2
# The short form tries so many.
_ONE_IN = 7


def run(scratch: Path, seed: int, *, short: bool) -> Outcome:
    """Try hostile input of all kinds."""
    outcome = Outcome("hostile")
    cases = [*name_cases(), *place_cases(), *file_cases()]
    if short:
        cases = _some(cases, int(np.random.default_rng(seed).integers(_ONE_IN)))
    begins = template(scratch / "template")
    begun = time.monotonic()
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        tried = [
            pool.submit(try_case, case, begins, scratch / f"case-{number}")
            for number, case in enumerate(cases)
        ]
        for ended in tried:
            ended.result()
    print(f"hostile: {len(cases)} cases in {time.monotonic() - begun:.0f} s", file=sys.stderr)
    outcome.left_out.append(
        "valid rows that fit the memory as they are read, and not as they are written: pyarrow may end the process then"
    )
    outcome.tallies = [*_counted(cases), mail_tally(begins.folder / "in" / "stars")]
    return outcome


def _some(cases: list[Case], first: int) -> list[Case]:
    """One in so many of each kind, beginning with another one for another seed, and those that got through once."""
    kinds: dict[str, list[Case]] = {}
    for case in cases:
        if not case.slow and not case.always:
            kinds.setdefault(case.fault, []).append(case)
    chosen = [case for kind in kinds.values() for case in kind[first % len(kind) :: _ONE_IN]]
    return chosen + [case for case in cases if case.always]


def _counted(cases: list[Case]) -> list[Tally]:
    tallies: dict[str, Tally] = {}
    for case in cases:
        tally = tallies.setdefault(case.fault, Tally(case.fault))
        tally.count(case.name, case.failure, refused=not case.survived)
    return list(tallies.values())
