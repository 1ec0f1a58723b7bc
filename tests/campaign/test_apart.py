"""Clusters without a shared disk, in short."""

from __future__ import annotations

from tests.campaign.conftest import RunShort


def test_clusters_that_share_only_a_store(run_short: RunShort) -> None:
    outcome = run_short("apart")
    if not outcome.left_out:
        assert sum(tally.survived for tally in outcome.tallies) >= 1
