"""The examples of the page on LSDB run, in the folder of a clone after `make demo`."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from tests.conftest import Demo
from tests.support.processes import run

PAGE = Path(__file__).parents[2] / "docs/how-to/lsdb.md"
EXAMPLES = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def test_every_example_runs(demo: Demo) -> None:
    """In one process, as LSDB takes long to import; each begins with its own imports."""
    pytest.importorskip("lsdb", reason="LSDB is not installed: extra `lsdb`")
    assert len(EXAMPLES) == 6
    code = "\n".join(EXAMPLES)
    printed = run([sys.executable, "-W", "ignore", "-c", code], demo.folder.parent).stdout.splitlines()
    counts = [float(re.match(r"[\d.]+", line)[0]) for line in printed if re.match(r"\d", line)]
    assert len(counts) == len(EXAMPLES)
    assert all(count > 0 for count in counts)
    assert counts[3] == 167.4
