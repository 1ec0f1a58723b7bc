"""The targets of the fuzzer in short, and what is made of what libFuzzer prints."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.campaign.__main__ import run_part
from tests.campaign.conftest import RunShort
from tests.campaign.fuzz import campaign
from tests.campaign.fuzz.campaign import Printed, counted, covered, fuzzed
from tests.campaign.fuzz.corpus import TARGETS, write_corpus
from tests.campaign.outcomes import Outcome

LOG = """\
#8192\tpulse  cov: 5101 ft: 12111 corp: 411/260Kb lim: 4096 exec/s: 4096 rss: 190Mb
#9001\tDONE   cov: 5200 ft: 12222 corp: 420/270Kb lim: 4096 exec/s: 4000 rss: 200Mb
stat::number_of_executed_units: 9001
"""


def test_short(run_short: RunShort) -> None:
    outcome = run_short("fuzz")
    assert [tally.fault.split("`")[1] for tally in outcome.tallies] == list(TARGETS)
    assert all(tally.tried > 3_000 and tally.refused for tally in outcome.tallies)
    # A footer alone has no pages.
    assert all(tally.survived for tally in outcome.tallies[1:])


def test_inputs_are_of_every_library(tmp_path: Path) -> None:
    write_corpus(tmp_path / "corpus", 5)
    files = [file.name.split("-")[0] for file in (tmp_path / "corpus" / "files").iterdir()]
    assert {"pyarrow", "polars", "DuckDB", "fastparquet"} <= set(files)
    for target in TARGETS:
        assert len(list((tmp_path / "corpus" / target).iterdir())) > 20


def test_what_libfuzzer_prints_is_counted() -> None:
    tally = fuzzed("scan", Printed(LOG))
    assert (tally.survived, tally.failures) == (9_001, [])
    assert covered({"scan": Printed(LOG)}).rows == [["`scan`", "5200", "420"]]
    assert fuzzed("scan", Printed(LOG, "it ended with 77")).failures == ["it ended with 77"]
    assert fuzzed("scan", Printed("nothing")).failures == ["it told no counts: nothing"]


def test_a_target_that_does_not_end_is_a_failure() -> None:
    tallies = counted(Printed("footer: seed 1, 0 read, 7 refused\n", "it ended with 101"))
    assert (tallies[0].refused, tallies[0].failures) == (7, [])
    assert [tally.failures for tally in tallies[1:]] == [
        [f"{target} did not end: it ended with 101"] for target in TARGETS[1:]
    ]


def test_the_minutes_are_those_of_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[float] = []

    def run(scratch: Path, seed: int, *, short: bool, minutes: float) -> Outcome:
        del scratch, seed, short
        given.append(minutes)
        return Outcome("fuzz")

    monkeypatch.setattr(campaign, "run", run)
    run_part("fuzz", tmp_path, minutes=2.5)
    assert given == [2.5]
