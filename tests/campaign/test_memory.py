"""The short form of the campaign's memory, and that its checks see what is wrong."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.campaign.conftest import RunShort
from tests.campaign.memory.campaign import _Build, broken
from tests.campaign.memory.giants import Giants
from tests.campaign.memory.watch import watch
from tests.support.catalogs import files_of, make_margin

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="counts memory as Linux does, in /proc")


def test_memory_in_short(run_short: RunShort) -> None:
    outcome = run_short("memory")
    assert [tally.survived for tally in outcome.tallies] == [2, 1, 1]
    assert len(outcome.figures[0].rows) == 5


def test_memory_of_a_process_and_of_those_it_starts_is_seen(tmp_path: Path) -> None:
    taking = "import time; kept = b'1' * {}; time.sleep(0.7)"
    both = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {taking.format(300 << 20)!r}]); "
    watched = watch([sys.executable, "-c", both + taking.format(100 << 20)], tmp_path / "log", 60)
    assert watched.exit_code == 0
    assert 100 << 20 < watched.first_bytes < 150 << 20
    assert 300 << 20 < watched.worker_bytes < 350 << 20
    assert 300 << 20 < watched.tree_bytes < 350 << 20
    assert broken(_Build(2, 1, 350 << 20), watched) == []
    (failure,) = broken(_Build(2, 1, 256 << 20), watched)
    assert "where 268 MB are allowed" in failure
    assert broken(_Build(2, 1, 0), watched) == []


def test_a_build_that_fails_or_hangs_is_seen(tmp_path: Path) -> None:
    failed = watch([sys.executable, "-c", "raise SystemExit('no disk')"], tmp_path / "log", 60)
    assert broken(_Build(1, 1, 0), failed) == ["the build ended with 1: no disk\n"]
    hung = watch([sys.executable, "-c", "import time; time.sleep(60)"], tmp_path / "log", 0.3)
    assert broken(_Build(1, 1, 0), hung) == ["the build took too long: "]


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
    assert any("that it is there" in one for one in giants.wrong_rows(tmp_path / "margin", 60.0)[0])
