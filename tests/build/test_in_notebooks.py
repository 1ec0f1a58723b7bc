"""In the cells of a notebook: reports and bars are shown, pictures are drawn, and an interrupt is one short error."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from skymargin import verify
from tests.support.catalogs import MIXED_PARTITIONS, sky_near_edges, write_catalog
from tests.support.kernels import Kernel, kernel

# Says when a few partitions are mapped, and then waits until the run is given up.
SLOW = """
import sys, time
from pathlib import Path
from skymargin import MarginCacheArguments, pipeline
from skymargin.build import batch_limits
from skymargin.build.stages.map import map_batch

batch_limits.DEFAULT_LIMITS = batch_limits.BatchLimits(smallest_task_bytes=1, tasks_per_thread=32)
calls = []

def slow_map_batch(job, task, is_given_up):
    calls.append(task.number)
    if len(calls) == 4 and not Path("begun").exists():
        Path("begun").touch()
        while not is_given_up():
            time.sleep(0.01)
    return map_batch(job, task, is_given_up)

import skymargin.build.run
sys.modules["skymargin.build.run"].map_batch = slow_map_batch
args = MarginCacheArguments("out", "margin", input_catalog_path="catalog", margin_threshold=60.0)
"""


@pytest.fixture(scope="module")
def notebook(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Kernel, Path]]:
    folder = tmp_path_factory.mktemp("notebook")
    sky = sky_near_edges(MIXED_PARTITIONS, rows=300, reach_arcsec=60.0, seed=14)
    write_catalog(folder / "catalog", sky)
    with kernel(folder) as running:
        yield running, folder


def test_an_interrupted_run_is_one_short_error_and_goes_on(notebook: tuple[Kernel, Path]) -> None:
    cells, folder = notebook
    assert cells.run(SLOW).error == ("", "")
    stopped = cells.run("report = pipeline(args)", interrupt_when=(folder / "begun").exists)
    name, traceback = stopped.error
    assert name == "KeyboardInterrupt"
    # The user's line, one of ours, and where the work is kept.
    assert "----> 1 report = pipeline(args)" in traceback
    assert traceback.count("File ") == 1
    assert traceback.count("KeyboardInterrupt") <= 4
    assert "What is done is kept in " in traceback.splitlines()[-1]
    assert not stopped.printed
    before = set(cells.run("print(*calls)\ncalls.clear()").printed.split())
    went_on = cells.run("report = pipeline(args)\nprint(*calls)\nreport")
    assert went_on.error == ("", "")
    again = set(went_on.printed.split())
    # What was done was not done again. The last two were being recorded, or given up.
    assert len(before) == 4
    assert 1 <= len(before & again) <= 3
    tasks = len(before | again)
    assert before | again == {str(number) for number in range(tasks)}
    assert tasks > 20
    assert verify(folder / "out" / "margin").right
    assert [path.name for path in (folder / "out").iterdir()] == ["margin"]
    *bars, report = went_on.data
    assert ["Mapping" in bar["text/plain"] for bar in bars] == [False, True, False, False]
    assert all("application/vnd.jupyter.widget-view+json" in bar for bar in bars)
    assert "Margin built" in report["text/html"]


def test_an_audit_is_interrupted_as_shortly(notebook: tuple[Kernel, Path]) -> None:
    cells, folder = notebook
    slow = """
import time
from skymargin.audit.rows import RowAudit

def run(self, advance):
    Path("auditing").touch()
    time.sleep(60)

RowAudit.run = run
"""
    assert cells.run(slow).error == ("", "")
    stopped = cells.run(
        "import skymargin\nskymargin.verify('out/margin')", interrupt_when=(folder / "auditing").exists
    )
    name, traceback = stopped.error
    assert name == "KeyboardInterrupt"
    assert traceback.count("File ") == 1


def test_pictures_are_shown(notebook: tuple[Kernel, Path]) -> None:
    cells, _ = notebook
    drawn = cells.run("from skymargin.plot import plot_partition\nplot_partition('out/margin', (3, 63))")
    assert drawn.error == ("", "")
    (figure,) = drawn.data
    assert figure["image/png"].startswith("iVBOR")
