"""What Windows lacks is not needed: a margin is built, verified and listed in a collection without it.

Only a run on Windows shows that everything works there; this finds what would fail on its first line.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.catalogs import ids_of, sky_near_edges, write_catalog
from tests.support.hipscat_catalogs import write_hipscat_catalog
from tests.support.processes import run_python

PARTITIONS = ((0, 4), (1, 20), (1, 21))
SKY = sky_near_edges(PARTITIONS, rows=300, reach_arcsec=60.0, seed=11)

AS_ON_WINDOWS = """
import os
import shutil
import sys

# Its own lock on Windows does not need what is hidden here, so that the lock of this system stands for it.
import filelock

ABSENT = ("fcntl", "grp", "pwd", "resource", "termios")
for module in ABSENT:
    sys.modules[module] = None
for name in ("fork", "getegid", "geteuid", "getgid", "getuid", "sched_getaffinity"):
    if hasattr(os, name):
        delattr(os, name)
# There, no folder can be opened, so that folders are removed by their paths.
shutil._use_fd_functions = False
open_any = os.open


def open_file(path, *arguments, **options):
    if os.path.isdir(path):
        raise PermissionError(13, "Permission denied", os.fspath(path))
    return open_any(path, *arguments, **options)


os.open = open_file
"""


def test_what_is_hidden_is_missed() -> None:
    code = "\ntry:\n    import fcntl\nexcept ImportError:\n    print('hidden')\ntry:\n    os.open('.', os.O_RDONLY)"
    printed = run_python(f"{AS_ON_WINDOWS}{code}\nexcept PermissionError:\n    print('refused')")
    assert printed.split() == ["hidden", "refused"]


@pytest.mark.parametrize("write", [write_catalog, write_hipscat_catalog])
def test_a_margin_is_built_without_what_windows_lacks(write: object, tmp_path: Path) -> None:
    write(tmp_path / "stars", SKY)  # type: ignore[operator]
    code = f"""
from skymargin import MarginCacheArguments, pipeline, verify

for _ in range(2):
    pipeline(MarginCacheArguments(
        input_catalog_path={str(tmp_path / "stars")!r}, output_path={str(tmp_path / "out")!r},
        output_artifact_name="margin", margin_threshold=60.0, progress_bar=False, overwrite=True))
print(verify({str(tmp_path / "out" / "margin")!r}).right, not any(sys.modules[name] for name in ABSENT))
"""
    assert run_python(AS_ON_WINDOWS + code).split() == ["True", "True"]
    assert ids_of(tmp_path / "out" / "margin") == SKY.margins(60.0)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["margin"]


def test_a_collection_lists_a_margin_without_locks(tmp_path: Path) -> None:
    write_catalog(tmp_path / "stars", SKY)
    code = f"""
from skymargin import MarginCacheArguments, pipeline

for arcsec in (60.0, 10.0):
    pipeline(MarginCacheArguments(
        input_catalog_path={str(tmp_path / "stars")!r}, collection={str(tmp_path / "mine")!r},
        output_artifact_name=f"m{{arcsec:g}}", margin_threshold=arcsec, progress_bar=False))
"""
    run_python(AS_ON_WINDOWS + code)
    assert "all_margins=m60 m10\n" in (tmp_path / "mine" / "collection.properties").read_text().replace(
        " = ", "="
    )
    assert ids_of(tmp_path / "mine" / "m10") == SKY.margins(10.0)
