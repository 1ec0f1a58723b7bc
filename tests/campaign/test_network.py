"""Servers that fail, in short; and that the judge of the runs sees a wrong one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.campaign.conftest import RunShort
from tests.campaign.network.campaign import Trial, stage
from tests.campaign.network.kinds import KINDS, Case
from tests.campaign.network.proxy import proxy_of


def test_servers_that_fail(run_short: RunShort) -> None:
    outcome = run_short("network")
    assert sum(tally.survived for tally in outcome.tallies) >= 4
    assert sum(tally.refused for tally in outcome.tallies) >= 3


def test_the_judge_sees_a_row_that_is_missing_and_what_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With no fault at all the margin is right; with one of its files changed, or one beside it, it is not."""
    case = Case(0, KINDS[0], seed=1, rate=0.0)
    with stage(tmp_path, 1) as servers, proxy_of(servers.web.url) as proxy:
        trial = Trial(servers, case, proxy)
        trial.run()
        assert trial.survived(0) == ("survived", "")
        files = trial.files()
        spoilt = {name: content[:-1] if "Npix" in name else content for name, content in files.items()}
        monkeypatch.setattr(trial, "files", lambda: spoilt)
        assert trial.survived(0) == ("failed", "another margin than without faults")
        monkeypatch.setattr(trial, "files", lambda: {**files, "margin.skymargin-partial": b""})
        assert trial.survived(0)[1].startswith("left behind")
        monkeypatch.setattr(trial, "files", lambda: files)
        assert "what looks like a margin" in trial.wrong_with("http://127.0.0.1/stars: gone")
        assert "names no URL" in trial.wrong_with("something went wrong")
