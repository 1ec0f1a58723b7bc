"""A script with worker processes: with a main guard it runs, without one it is told what is missing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.catalogs import ids_of, make_margin

SCRIPT = """
from skymargin import MarginCacheArguments, pipeline
{guard}
    pipeline(MarginCacheArguments(
        "out", "margin", input_catalog_path={catalog!r}, margin_threshold=3600, dask_n_workers=2, progress_bar=False
    ))
"""


@pytest.mark.parametrize("guard", ["if True:", "if __name__ == '__main__':"])
def test_a_script_with_worker_processes(guard: str, small_catalog: Path, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(guard=guard, catalog=str(small_catalog)))
    done = subprocess.run(
        [sys.executable, script.name], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.stdout == ""
    if "__main__" in guard:
        assert (done.returncode, done.stderr) == (0, "")
        make_margin(small_catalog, tmp_path, 3600.0, "by_threads")
        assert ids_of(tmp_path / "out" / "margin") == ids_of(tmp_path / "by_threads")
        return
    assert done.returncode == 1
    assert done.stderr.count("Traceback") == 1, done.stderr
    message = done.stderr.splitlines()[-1]
    assert message.startswith(
        "skymargin.errors.WorkerError: dask_n_workers=2 starts worker processes, and each "
    )
    assert 'below `if __name__ == "__main__":`, or use threads' in message
    assert {path.name for path in tmp_path.iterdir()} <= {"script.py", "out"}
    assert not any((tmp_path / "out").iterdir())
