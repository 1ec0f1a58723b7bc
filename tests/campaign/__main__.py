"""The command line: ``python -m tests.campaign [PART ...]``; exits with 1 when anything failed.

Each part is tried, then all that was kept of all parts is written into the page.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.machine import require_release
from tests.campaign.outcomes import Outcome, keep, kept
from tests.campaign.page import write_page

# In the order of the page. A part is the package of this name.
PARTS = (
    "geometry",
    "files",
    "fuzz",
    "kill",
    "refused_writes",
    "damage",
    "hostile",
    "network",
    "apart",
    "determinism",
    "memory",
    "growth",
    "soak",
)
SEED = 20_261_125


def run_part(
    part: str, scratch: Path, *, seed: int = SEED, short: bool = False, minutes: float | None = None
) -> Outcome:
    """Run a part of the campaign in an empty folder that it may fill; each target of the fuzzer for some minutes."""
    begun = time.monotonic()
    more = {"minutes": minutes} if part == "fuzz" and minutes is not None else {}
    outcome: Outcome = importlib.import_module(f"tests.campaign.{part}.campaign").run(
        scratch, seed, short=short, **more
    )
    outcome.seconds = time.monotonic() - begun
    return outcome


def main() -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m tests.campaign", description=__doc__)
    parser.add_argument(
        "parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; all of them if none is named"
    )
    parser.add_argument("--short", action="store_true", help="as in the tests; the page is left alone")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--scratch", type=Path, help="folder to work in; a temporary one if none is named")
    parser.add_argument(
        "--minutes", type=float, help="how long each target of the fuzzer runs; 30 by default"
    )
    given = parser.parse_args()
    if unknown := set(given.parts) - set(PARTS):
        parser.error(f"{', '.join(sorted(unknown))}: no such part; there are {', '.join(PARTS)}")
    if given.scratch is not None and not given.scratch.is_dir():
        parser.error(f"--scratch {given.scratch}: there is no such folder")
    if not given.short:
        require_release()
    failures = 0
    for part in given.parts or PARTS:
        with tempfile.TemporaryDirectory(prefix=f"trust-{part}-", dir=given.scratch) as scratch:
            outcome = run_part(part, Path(scratch), seed=given.seed, short=given.short, minutes=given.minutes)
        failures += len(outcome.all_failures)
        _print(outcome, given.seed)
        if not given.short:
            keep(outcome)
    if not given.short:
        write_page(outcome for outcome in map(kept, PARTS) if outcome)
    return 1 if failures else 0


def _print(outcome: Outcome, seed: int) -> None:
    print(f"{outcome.part}: {outcome.seconds:.0f} s, seed {seed}")
    for tally in outcome.tallies:
        counted = f"{tally.tried:,} tried, {tally.survived:,} survived, {tally.refused:,} refused clearly"
        print(f"  {tally.fault}: {counted}, {len(tally.failures)} failed")
    for figures in outcome.figures:
        print(f"  {figures.title}")
        for row in (figures.heads, *figures.rows):
            print("    " + " | ".join(row))
    for failure in outcome.all_failures:
        print(f"  FAILED {failure}")
    for reason in outcome.left_out:
        print(f"  not tried: {reason}")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
