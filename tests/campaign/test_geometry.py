"""The random tests of the core, as the campaign runs and reads them."""

from __future__ import annotations

import re

from tests.campaign.cargo import CARGO_TEST
from tests.campaign.conftest import RunShort
from tests.campaign.geometry.campaign import ROOT, Printed, damaged_files, decisions


def test_short(run_short: RunShort) -> None:
    outcome = run_short("geometry")
    random, hard, catalogs, files = outcome.tallies
    assert random.survived > 4_000 < hard.survived * 10
    assert catalogs.survived == 100
    assert files.tried == 1_000 > files.refused > files.survived > 0
    (bounds,) = outcome.figures
    assert len(bounds.rows) > 10


def test_a_wrong_decision_is_a_failure() -> None:
    line = (
        "{}: seed 1, 10 positions, 30 decisions, 5 of them within 1e-8 arcsec of the threshold, 0 within 1e-9 not held "
        "to anything; {} wrong decisions, 0 wrong values; 0.1 s on 1 threads\n"
    )
    good, bad = decisions(Printed(line.format("random", 0) + line.format("near-degenerate", 2), ""))
    assert (good.survived, good.failures) == (30, [])
    assert bad.survived == 28
    assert "2 wrong answers" in bad.failures[0]


def test_a_run_without_counts_is_a_failure() -> None:
    assert decisions(Printed("", "scan failed"))[0].failures == [
        "the two suites printed no counts",
        "scan failed",
    ]
    assert damaged_files([Printed("killed", "exit 101")]).failures == ["a run printed no counts", "exit 101"]


def test_the_crates_are_compiled_as_make_test_compiles_them() -> None:
    """Else Cargo would compile all that they need again, in the middle of the tests."""
    (command,) = re.findall(
        r"^\t(cargo test .+)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert tuple(command.split()) == CARGO_TEST
