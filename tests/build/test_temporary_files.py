"""Where intermediate files go, alone and together, on other file systems; and that nothing is left of them."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.catalogs import ids_of
from tests.support.processes import run

RUN = """
import json, os, sys, threading, time
from skymargin import MarginCacheArguments, pipeline

seen = set()
stop = threading.Event()

def watch(places):
    while not stop.is_set():
        for place in places:
            paths = (os.path.join(base, name) for base, *inside in os.walk(place) for names in inside for name in names)
            seen.update(path for path in paths if path.endswith(".arrow") or "/worker" in path)
        time.sleep(0.005)

arguments = json.loads(sys.argv[1])
workers = arguments.pop("dask_n_workers", 1)
watched = threading.Thread(target=watch, args=[json.loads(sys.argv[2])])
watched.start()
try:
    if __name__ == "__main__":
        pipeline(MarginCacheArguments(**arguments, progress_bar=False, dask_n_workers=workers))
finally:
    stop.set()
    watched.join()
print(json.dumps(sorted(seen)))
"""


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Path]:
    """A folder on another file system than that of the output."""
    shared = Path("/dev/shm")
    if not os.access(shared, os.W_OK) or shared.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no second file system at /dev/shm")
    folder = Path(tempfile.mkdtemp(prefix="skymargin-test-", dir=shared))
    yield folder
    shutil.rmtree(folder)


def everything_below(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


@pytest.mark.parametrize(
    ("given", "shards_in", "dask_in", "workers"),
    [
        ((), "out", "system", 1),
        (("tmp_dir",), "tmp_dir", "tmp_dir", 2),
        (("dask_tmp",), "dask_tmp", "dask_tmp", 1),
        (("dask_tmp",), "dask_tmp", "dask_tmp", 2),
        (("resume_tmp",), "out", "system", 2),
        (("tmp_dir", "dask_tmp", "resume_tmp"), "tmp_dir", "dask_tmp", 2),
    ],
    ids=["none", "tmp_dir", "dask_tmp", "dask_tmp under Dask", "resume_tmp", "all"],
)
def test_intermediate_files_are_where_they_were_told_and_nothing_is_left(
    given: tuple[str, ...],
    shards_in: str,
    dask_in: str,
    workers: int,
    small_catalog: Path,
    tmp_path: Path,
    memory: Path,
) -> None:
    before = everything_below(small_catalog)
    # Missing folders, two of them on the other file system.
    places = {
        "tmp_dir": memory / "a" / "shards",
        "dask_tmp": memory / "b" / "dask",
        "resume_tmp": tmp_path / "c" / "records",
        "out": tmp_path / "out",
        "system": tmp_path / "system",
    }
    places["system"].mkdir()
    arguments = {
        "input_catalog_path": str(small_catalog),
        "output_path": str(places["out"]),
        "output_artifact_name": "margin",
        "margin_threshold": 3600.0,
        "dask_n_workers": workers,
        **{name: str(places[name]) for name in given},
    }
    (tmp_path / "here").mkdir()
    script = tmp_path / "script.py"
    script.write_text(RUN)
    watched = json.dumps([str(memory), str(tmp_path)])
    command = [sys.executable, script, json.dumps(arguments), watched]
    done = run(command, tmp_path / "here", {"TMPDIR": str(places["system"])})
    seen = json.loads(done.stdout.splitlines()[-1])
    shards = {path for path in seen if path.endswith(".arrow")}
    assert shards
    assert all(path.startswith(f"{places[shards_in]}/margin.skymargin-") for path in shards), shards
    spaces = {path for path in seen if "/worker" in path}
    # One worker is this process, without Dask.
    assert bool(spaces) == (workers > 1)
    assert all(path.startswith(f"{places[dask_in]}/dask.skymargin-workers-") for path in spaces), spaces

    assert ids_of(places["out"] / "margin")
    assert everything_below(small_catalog) == before
    left = {f"memory/{path}" for path in everything_below(memory)}
    left |= {path for path in everything_below(tmp_path) if not path.startswith("out/margin")}
    # What was told and was missing has been made, and is empty; nothing else.
    made = {
        "tmp_dir": {"memory/a", "memory/a/shards"},
        "dask_tmp": {"memory/b", "memory/b/dask"},
        "resume_tmp": {"c", "c/records"},
    }
    allowed = {"out", "system", "here", "script.py"} | {path for name in given for path in made[name]}
    assert left <= allowed
