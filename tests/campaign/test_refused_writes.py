"""Full disks and refused writes, a run of each kind; and that its judge sees what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.campaign.conftest import RunShort
from tests.campaign.refused_writes.bench import Failed
from tests.campaign.refused_writes.process import check_no_catalog, check_refusal

ERROR = "skymargin: error: /out/margin cannot be written: No space left on device\n"


def test_runs_that_cannot_write_or_read_refuse_or_survive(run_short: RunShort) -> None:
    outcome = run_short("refused_writes")
    assert outcome.left_out or len(outcome.tallies) >= 12
    assert sum(tally.refused for tally in outcome.tallies) >= 3


def test_a_clear_refusal_is_taken_for_one() -> None:
    assert check_refusal(1, ERROR, ["/elsewhere", "/out"]) == ERROR.strip()
    assert check_refusal(1, f"skymargin: warning: thrown away\n{ERROR}", ["/out"]) == ERROR.strip()


@pytest.mark.parametrize(
    ("status", "told", "named"),
    [
        (0, ERROR, "/out"),
        (-9, ERROR, "/out"),
        (1, "", "/out"),
        (1, ERROR, "/tmp_dir"),
        (1, f"Traceback (most recent call last):\n{ERROR}", "/out"),
        (1, f"thread '<unnamed>' panicked at src/lib.rs\n{ERROR}", "/out"),
        (1, f"something else on /out\n{ERROR}", "/out"),
        (1, "OSError: /out", "/out"),
    ],
)
def test_what_is_no_clear_refusal_is_a_failure(status: int, told: str, named: str) -> None:
    with pytest.raises(Failed):
        check_refusal(status, told, [named])


def test_a_margin_that_was_left_behind_is_a_failure(small_catalog: Path, tmp_path: Path) -> None:
    check_no_catalog(tmp_path / "nothing")
    with pytest.raises(Failed, match="left behind"):
        check_no_catalog(small_catalog)
