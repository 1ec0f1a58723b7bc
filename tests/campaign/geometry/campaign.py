"""The Rust crates' own random tests at full length: decisions, bounds, selections, and damaged files for the reader.

They are tests of ``rust/geometry/tests`` and ``rust/scan/tests``, which read their number of cases from the
environment; `make test` runs them with small numbers. A case is repeated with the seed that is printed.
"""

from __future__ import annotations

import os
import re
import resource
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.campaign.cargo import CARGO_TEST
from tests.campaign.outcomes import Figures, Outcome, Tally

ROOT = Path(__file__).parents[3]
READER_ADDRESS_SPACE_BYTES = 2 << 30
READERS = 2
TIMEOUT_SECONDS = 1_200.0

_DECISIONS = re.compile(
    r"^\.*(?P<suite>[\w-]+): seed \d+, (?P<positions>\d+) positions, (?P<decisions>\d+) decisions, "
    r"(?P<hard>\d+) of them.*; (?P<wrong>\d+) wrong decisions, (?P<wrong_values>\d+) wrong values",
    re.MULTILINE,
)
_BOUND = re.compile(
    r"^\.*(?P<what>.+): found (?P<found>\S+), bound (?P<bound>\S+): (?P<share>\S+) of it", re.MULTILINE
)
_DAMAGED = re.compile(r"damaged files: (?P<read>\d+) read, (?P<refused>\d+) refused")


@dataclass(frozen=True)
class Sizes:
    """Numbers of cases."""

    positions: int
    bounds: int
    catalogs: int
    files: int


FULL = Sizes(positions=1_000_000, bounds=30_000, catalogs=20_000, files=1_000_000)
SHORT = Sizes(positions=4_000, bounds=1_000, catalogs=100, files=1_000)


def run(scratch: Path, seed: int, *, short: bool) -> Outcome:
    """Run the random tests of the crates."""
    del scratch
    sizes = SHORT if short else FULL
    outcome = Outcome("geometry")
    # The compiler needs more memory than the reader may have.
    subprocess.run([*CARGO_TEST, "--tests", "--no-run"], cwd=ROOT, check=True)
    threads = str(len(os.sched_getaffinity(0)))
    settings = {"SKYMARGIN_CASES": str(sizes.positions), "SKYMARGIN_THREADS": threads}
    printed = _test("separation_reference", "are_exact", seed, settings)
    outcome.tallies += decisions(printed)
    printed = _test("bounds", "", seed, {"SKYMARGIN_CASES": str(sizes.bounds)})
    outcome.figures.append(bounds(printed))
    if printed.failure:
        outcome.failures.append(printed.failure)
    settings = {"SKYMARGIN_CATALOGS": str(sizes.catalogs)}
    printed = _test("selection", "selection_is_brute_force", seed, settings)
    selected = Tally("catalogs of random points, every row against every pixel")
    selected.survived = 0 if printed.failure else sizes.catalogs
    outcome.tallies.append(_with_failure(selected, printed))
    with ThreadPoolExecutor(READERS) as pool:
        settings = {"SKYMARGIN_FUZZ_CASES": str(sizes.files // READERS)}
        runs = pool.map(lambda more: _test("damage", "damage_is", seed + more, settings), range(READERS))
    outcome.tallies.append(damaged_files(list(runs)))
    return outcome


@dataclass(frozen=True)
class Printed:
    """What a test printed, and how it failed, if it did."""

    text: str
    failure: str


def decisions(printed: Printed) -> list[Tally]:
    """Count the decisions of the two suites."""
    tallies = []
    for match in sorted(_DECISIONS.finditer(printed.text), key=lambda match: match["suite"], reverse=True):
        suite, *numbers = match.groups()
        positions, decisions, hard, wrong, wrong_values = map(int, numbers)
        fault = (
            f"decisions about {positions:,} {suite} positions against an independent reference, "
            f"{hard:,} of them within 1e-8 arcsec of the threshold"
        )
        tally = Tally(fault, survived=decisions - wrong)
        if wrong + wrong_values:
            tally.failures.append(f"{wrong + wrong_values} wrong answers: {match[0]}")
        tallies.append(tally)
    if len(tallies) != 2:
        return [_with_failure(Tally("decisions", failures=["the two suites printed no counts"]), printed)]
    return [_with_failure(tallies[0], printed), tallies[1]]


def bounds(printed: Printed) -> Figures:
    """Collect the worst that was found beside each bound that a shortcut rests on."""
    rows = [
        [match["what"], match["found"], match["bound"], match["share"]]
        for match in _BOUND.finditer(printed.text)
    ]
    return Figures(
        "Proven bounds, attacked by a search for their worst case:",
        ["what is bounded", "worst found", "bound", "share"],
        rows,
    )


def damaged_files(runs: list[Printed]) -> Tally:
    """Count the files that were read though damaged, and those that were refused."""
    gigabytes = READER_ADDRESS_SPACE_BYTES >> 30
    tally = Tally(f"damaged files for the page-level reader, which may take {gigabytes} GiB of address space")
    for printed in runs:
        counts = _DAMAGED.search(printed.text)
        if counts:
            tally.survived += int(counts["read"])
            tally.refused += int(counts["refused"])
        else:
            tally.failures.append("a run printed no counts")
        _with_failure(tally, printed)
    return tally


def _with_failure(tally: Tally, printed: Printed) -> Tally:
    if printed.failure:
        tally.failures.append(printed.failure)
    return tally


def _test(name: str, only: str, seed: int, settings: dict[str, str]) -> Printed:
    """Run the tests of one file whose names have a part in them."""
    limit = _limited if name == "damage" else None
    environment = {**os.environ, "SKYMARGIN_SEED": str(seed), "PROPTEST_RNG_SEED": str(seed), **settings}
    try:
        ran = subprocess.run(
            [*CARGO_TEST, "--test", name, "--", "--nocapture", only],
            cwd=ROOT,
            env=environment,
            preexec_fn=limit,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_SECONDS,
        )
    except subprocess.TimeoutExpired:
        return Printed("", f"{name} with seed {seed} did not end in {TIMEOUT_SECONDS:.0f} s")
    failure = (
        "" if ran.returncode == 0 else f"{name} with seed {seed} failed: {(ran.stdout + ran.stderr)[-2000:]}"
    )
    return Printed(ran.stdout + ran.stderr, failure)


def _limited() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (READER_ADDRESS_SPACE_BYTES, READER_ADDRESS_SPACE_BYTES))
