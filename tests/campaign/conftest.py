"""The short form of each part of the campaign."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import pytest

from tests.campaign.__main__ import SEED, run_part
from tests.campaign.outcomes import Outcome


class RunShort(Protocol):
    """Runs a part in its short form and checks that nothing failed."""

    def __call__(self, part: str) -> Outcome: ...


@pytest.fixture
def run_short(tmp_path: Path) -> RunShort:
    """Return what runs a part of the campaign in its short form."""

    def run(part: str) -> Outcome:
        outcome = run_part(part, tmp_path, short=True)
        assert not outcome.all_failures, "\n".join([f"seed {SEED}", *outcome.all_failures])
        assert all(tally.tried for tally in outcome.tallies), "a fault that was never tried"
        return outcome

    return run
