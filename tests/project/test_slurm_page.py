"""The scripts of the page on SLURM, with a queue of which `sbatch` starts each job at once, on this machine."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from skymargin.catalogs.write_catalog import write_catalog
from tests.support.catalogs import ids_of
from tests.support.processes import run
from tests.support.samples import scattered_stars
from tests.support.servers import page_bucket

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "run-on-slurm.md"
SHARED, REMOTE = re.findall(
    r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
)
SBATCH = """#!/bin/sh
# The script is the queue's from now on, and the job starts in another folder, as on another node.
mkdir -p "$QUEUE/home" && cp "$1" "$QUEUE/script-$$" && cd "$QUEUE/home" || exit 1
setsid sh "$QUEUE/script-$$" > "$QUEUE/log-$$" 2>&1 < /dev/null &
echo "$!" >> "$QUEUE/jobs"
echo "Submitted batch job $!"
"""
SCANCEL = '#!/bin/sh\nkill -TERM -- "-$1" 2> /dev/null || true\n'


pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="job scripts are for a POSIX shell")


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "queue"
    (folder / "bin").mkdir(parents=True)
    for name, script in {"sbatch": SBATCH, "scancel": SCANCEL}.items():
        (folder / "bin" / name).write_text(script)
        (folder / "bin" / name).chmod(0o755)
    yield folder
    for job in (folder / "jobs").read_text().split() if (folder / "jobs").exists() else ():
        subprocess.run([folder / "bin" / "scancel", job], check=False)


def script_with(code: str, threshold_arcsec: str, path: Path) -> Path:
    """Write one of the scripts, with a wider margin: its catalog is smaller than that of the page."""
    pytest.importorskip("dask_jobqueue")
    assert f"margin_threshold={threshold_arcsec}" in code
    path.write_text(code.replace(f"margin_threshold={threshold_arcsec}", "margin_threshold=3600.0"))
    return path


def on_a_node(queue: Path, **more: str) -> dict[str, str]:
    """The environment of a script that finds the commands of the queue."""
    return {"PATH": f"{queue / 'bin'}{os.pathsep}{os.environ['PATH']}", "QUEUE": str(queue), **more}


def check_ended(queue: Path) -> None:
    """Check that both jobs were asked for, and were ended with the cluster."""
    jobs = (queue / "jobs").read_text().split()
    assert len(jobs) == 2
    for job in jobs:
        for _ in range(300):
            if subprocess.run(["ps", "-g", job], capture_output=True, check=False).returncode:
                break
            time.sleep(0.1)
        else:
            pytest.fail(f"job {job} is still there")


def test_with_a_shared_scratch(queue: Path, tmp_path: Path) -> None:
    script = script_with(SHARED, "25.0", tmp_path / "script.py")
    write_catalog(
        scattered_stars(3_000, seed=5), tmp_path / "demo" / "gaia_dr3_bright", rows_per_partition=400
    )
    # A port that nobody listens on: the mail is no part of this.
    done = run([sys.executable, script], tmp_path, on_a_node(queue, SKYMARGIN_SMTP_PORT="1"))
    assert "no mail was sent to name@example.org" in done.stderr
    assert "gaia_dr3_bright_25arcs" in done.stdout
    assert ids_of(tmp_path / "demo" / "gaia_dr3_bright_25arcs")
    assert not any((tmp_path / "demo" / "scratch").iterdir())
    check_ended(queue)


def test_without_a_shared_scratch(queue: Path, tmp_path: Path) -> None:
    script = script_with(REMOTE, "25.0", tmp_path / "script.py")
    assert "tmp_dir" not in REMOTE
    with page_bucket(tmp_path) as (bucket, environment):
        done = run([sys.executable, script], tmp_path, on_a_node(queue, **environment))
        assert "my_catalog_25arcs" in done.stdout
        made = bucket.contents("margins")
    assert {name.split("/")[0] for name in made} == {"my_catalog_25arcs"}
    assert "my_catalog_25arcs/hats.properties" in made
    check_ended(queue)
