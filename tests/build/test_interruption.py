"""Ctrl-C in the middle of a run: the process ends soon, quietly, and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.catalogs import MIXED_PARTITIONS, nothing_left, sky_near_edges, write_catalog

# Says when mapping has begun, and then takes its time over every partition, watching for the end of the run.
SCRIPT = """
import sys, time
from pathlib import Path
from skymargin import MarginCacheArguments, pipeline
from skymargin.build import batch_limits
from skymargin.build.stages.map import map_batch

batch_limits.DEFAULT_LIMITS = batch_limits.BatchLimits(smallest_task_bytes=1, tasks_per_thread=32)

def slow_map_batch(job, task, is_given_up):
    Path(sys.argv[3]).touch()
    time.sleep(0.2)
    return map_batch(job, task, is_given_up)

import skymargin.build.run
slow_map_batch.__qualname__ = slow_map_batch.__name__ = "map_batch"
sys.modules["skymargin.build.run"].map_batch = slow_map_batch

if __name__ == "__main__":
    args = MarginCacheArguments(
        input_catalog_path=sys.argv[1], output_path=sys.argv[2], output_artifact_name="margin",
        margin_threshold=60.0, dask_n_workers=int(sys.argv[4]), progress_bar=False,
    )
    try:
        pipeline(args)
    except KeyboardInterrupt:
        print("interrupted")
        sys.exit(130)
"""


@pytest.mark.parametrize(
    ("workers", "begun"),
    [
        (1, "begun"),
        (2, "begun"),
        (2, "temporary/dask.skymargin-*"),
        (2, "temporary/dask.skymargin-*/*/worker-*"),
    ],
    ids=["threads", "processes", "processes start", "processes have started"],
)
def test_ctrl_c_leaves_nothing_and_says_nothing(workers: int, begun: str, tmp_path: Path) -> None:
    sky = sky_near_edges(MIXED_PARTITIONS, rows=300, reach_arcsec=60.0, seed=14)
    write_catalog(tmp_path / "catalog", sky)
    (tmp_path / "script.py").write_text(SCRIPT)
    (tmp_path / "temporary").mkdir()
    names = ("script.py", "catalog", "out", "begun")
    run = subprocess.Popen(
        [sys.executable, *(str(tmp_path / name) for name in names), str(workers)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        env={**os.environ, "TMPDIR": str(tmp_path / "temporary")},
    )
    try:
        while run.poll() is None and not any(tmp_path.glob(begun)):
            time.sleep(0.05)
        # As the terminal does: to every process of the group.
        os.killpg(run.pid, signal.SIGINT)
        printed, _ = run.communicate(timeout=60)
    finally:
        run.kill()
    assert (run.returncode, printed) == (130, "interrupted\n")
    assert nothing_left(tmp_path / "out")
    assert not list((tmp_path / "temporary").glob("dask*"))
