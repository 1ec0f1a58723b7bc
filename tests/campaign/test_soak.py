"""Pipelines one after the other, in short; and that growth is seen."""

from __future__ import annotations

from typing import Any

import pytest

from tests.campaign.conftest import RunShort
from tests.campaign.soak.campaign import judged

Samples = list[tuple[int, dict[str, dict[str, float]]]]


def samples(**growing: float) -> Samples:
    """What a process holds that gains so much of each with each pipeline."""
    held: dict[str, float] = {
        "anonymous kB": 90_000,
        "descriptors": 20,
        "threads": 9,
        "files left": 0,
        "keys": 0,
    }
    return [
        (number, {"driver": {name: kept + growing.get(name, 0) * number for name, kept in held.items()}})
        for number in range(20, 201, 20)
    ]


def test_nothing_grows(run_short: RunShort) -> None:
    outcome = run_short("soak")
    assert [tally.tried for tally in outcome.tallies] == [13, 13]
    assert all(tally.refused for tally in outcome.tallies), "runs that fail are among them"
    assert {row[0].split(", ")[-1].split(":")[0] for row in outcome.figures[0].rows} == {
        "driver",
        "worker 1",
        "scheduler",
    }


@pytest.mark.parametrize(
    ("growing", "said"),
    [
        ({"anonymous kB": 60.0}, "anonymous kB grows by 60.0 kB for each pipeline, of 30 kB allowed"),
        ({"descriptors": 1}, "descriptors grows from 40 to 220"),
        ({"threads": 0.1}, "threads grows from 11 to 29"),
        ({"files left": 0.05}, "files left grows from 1 to 10"),
        ({"keys": 3}, "keys grows from 60 to 600"),
    ],
)
def test_growth_is_seen(growing: dict[str, Any], said: str) -> None:
    _, broken = judged("in a test", samples(**growing), 30.0)
    assert broken == [f"in a test, driver: {said}"]


def test_what_comes_and_goes_is_no_growth() -> None:
    steady = samples()
    steady[3][1]["driver"]["threads"] += 8
    steady[4][1]["driver"]["descriptors"] += 30
    assert judged("in a test", steady, 30.0)[1] == []


def test_a_process_that_ends_early_is_a_failure() -> None:
    assert judged("in a test", [], 30.0)[1] == ["in a test: ended after 0 pipelines"]
