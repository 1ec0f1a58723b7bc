"""The short form of the campaign's memory, and that its checks see what is wrong."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks.meter import measure
from tests.campaign.builds import Build
from tests.campaign.conftest import RunShort
from tests.campaign.memory.campaign import Setting, broken
from tests.campaign.memory.giants import Giants
from tests.support.catalogs import files_of, make_margin

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="counts memory as Linux does, in /proc")


def test_memory_in_short(run_short: RunShort) -> None:
    outcome = run_short("memory")
    assert [tally.survived for tally in outcome.tallies] == [2, 1, 1]
    assert len(outcome.figures[0].rows) == 5


def test_memory_of_a_process_and_of_those_it_starts_is_seen(tmp_path: Path) -> None:
    taking = "import time; kept = b'1' * {}; time.sleep(0.7)"
    both = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {taking.format(300 << 20)!r}]); "
    command = [sys.executable, "-c", both + taking.format(100 << 20)]
    cost = measure(command, 60, tmp_path / "log", anonymous=True)
    assert cost.exit_code == 0
    assert 100 << 20 < cost.first_anonymous_bytes < 150 << 20
    assert 300 << 20 < cost.other_anonymous_bytes < 350 << 20
    assert 300 << 20 < cost.peak_tree_bytes < 350 << 20
    done = Build(cost, {})
    assert broken(Setting(2, 1, 350 << 20), done) == []
    (failure,) = broken(Setting(2, 1, 256 << 20), done)
    assert "where 268 MB are allowed" in failure
    assert broken(Setting(2, 1, 0), done) == []


@pytest.mark.parametrize(
    ("code", "seconds", "told"),
    [
        ("raise SystemExit('no disk')", 60, "ended with 1: no disk\n"),
        ("import time; time.sleep(60)", 0.3, "took too long: "),
    ],
)
def test_a_build_that_fails_or_hangs_is_seen(code: str, seconds: float, told: str, tmp_path: Path) -> None:
    cost = measure([sys.executable, "-c", code], seconds, tmp_path / "log")
    done = Build(cost, {}, (tmp_path / "log").read_text())
    assert broken(Setting(1, 1, 0), done) == [f"the build {told}"]


def test_another_value_in_a_margin_is_found(tmp_path: Path) -> None:
    giants = Giants.of(60, 4, 1 << 20)
    giants.value_bytes[:] = 5_000
    giants.write(tmp_path / "catalog")
    make_margin(tmp_path / "catalog", tmp_path, 60.0)
    wrong, compared = giants.wrong_rows(tmp_path / "margin", 60.0)
    assert wrong == []
    assert compared > 20
    giants.noise[:] ^= 1
    wrong, _ = giants.wrong_rows(tmp_path / "margin", 60.0)
    assert len(wrong) == 2 * compared
    next(iter(files_of(tmp_path / "margin").values())).unlink()
    assert any("that it is there" in text for text in giants.wrong_rows(tmp_path / "margin", 60.0)[0])
