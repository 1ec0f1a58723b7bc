"""A Dask scheduler and its worker on two hosts, which share a network with an object store and nothing else."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.processes import run
from tests.support.two_hosts import CABLE, NAMESPACES, THERE

ROOT = Path(__file__).parents[2]


@pytest.fixture
def namespaces() -> tuple[str, ...]:
    """The command that runs another on a host of its own, or skip the test."""
    try:
        tried = subprocess.run([*NAMESPACES, *CABLE], capture_output=True, text=True, check=False)
        reason = tried.stderr.strip() if tried.returncode else ""
    except FileNotFoundError as error:
        reason = str(error)
    if reason:
        pytest.skip(f"no network namespaces can be made and joined here: {reason}")
    return NAMESPACES


def test_a_margin_is_made_on_another_host(namespaces: tuple[str, ...], tmp_path: Path) -> None:
    done = run([*namespaces, sys.executable, "-m", "tests.support.two_hosts", tmp_path], ROOT)
    assert json.loads(done.stdout.splitlines()[-1]) == {
        "worker": f"tcp://{THERE}",
        # Not the catalogs of the other host; its store, but not what listens on its loopback.
        "sees": [],
        "reaches": [True, False],
        "same": True,
    }
