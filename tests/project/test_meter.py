"""The meter that benchmarks and the campaign measure with counts what a command costs, and nothing else."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks.meter import measure

MEGABYTE = 1_000_000


def test_what_a_command_and_its_children_read_is_counted(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(bytes(8 * MEGABYTE))
    cost = measure(["sh", "-c", f"cat {file} > /dev/null; exit 3"], 60, tmp_path / "log")
    assert cost.exit_code == 3
    assert 8 * MEGABYTE <= cost.bytes_read < 8.2 * MEGABYTE


def test_the_memory_of_the_tree_is_that_of_all_processes(tmp_path: Path) -> None:
    script = tmp_path / "hold.py"
    script.write_text("import time\nheld = b'x' * 100_000_000\ntime.sleep(1)\n")
    cost = measure(
        ["sh", "-c", f"{sys.executable} {script} & {sys.executable} {script}; wait"], 60, tmp_path / "log"
    )
    assert cost.exit_code == 0
    assert 200 * MEGABYTE <= cost.peak_tree_bytes < 300 * MEGABYTE
    assert 100 * MEGABYTE <= cost.peak_process_bytes < 150 * MEGABYTE


def test_a_command_out_of_time_is_ended_with_its_children(tmp_path: Path) -> None:
    child = tmp_path / "child"
    cost = measure(["sh", "-c", f"sleep 600 & echo $! > {child}; wait"], 1, tmp_path / "log")
    assert cost.exit_code is None
    assert not Path("/proc", child.read_text().strip()).exists()


def test_a_command_that_is_none_is_told(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="no-such-command"):
        measure(["./no-such-command"], 60, tmp_path / "log")
