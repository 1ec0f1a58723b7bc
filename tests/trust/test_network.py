"""Servers that fail, in short; and that the judge of the runs sees a wrong one."""

from __future__ import annotations

from tests.trust.conftest import RunShort


def test_servers_that_fail(run_short: RunShort) -> None:
    outcome = run_short("network")
    assert sum(tally.survived for tally in outcome.tallies) >= 4
    assert sum(tally.refused for tally in outcome.tallies) >= 3
