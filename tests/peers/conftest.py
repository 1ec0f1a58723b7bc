"""What the slow tests share: the environment of hats-import and LSDB, and catalogs on disk."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# The generator and the brute force are the benchmarks', which are no part of the installed package.
sys.path.insert(0, str(ROOT))

SHARED = Path(os.environ.get("SKYMARGIN_SHARED", ROOT.parent / "shared"))


@pytest.fixture(scope="session")
def hats_import_python() -> Path:
    from benchmarks.environments import has_peer, peer_python

    if not has_peer("hats-import"):
        # Not a skip: a run of the slow tests that leaves these out proves nothing.
        pytest.fail("hats-import and LSDB are not there: run `make peers`, or python -m benchmarks setup")
    return peer_python("hats-import")


@pytest.fixture(scope="session")
def hipscat_import_python() -> Path:
    from benchmarks.environments import has_peer, peer_python

    if not has_peer("hipscat-import"):
        pytest.fail("hipscat-import is not there: run `make peers`, or python -m benchmarks setup")
    return peer_python("hipscat-import")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    data = SHARED / "data"
    if not data.is_dir():
        pytest.skip("no shared catalogs: set SKYMARGIN_SHARED to the folder that holds data/")
    return data


@pytest.fixture(scope="session")
def shared_catalogs(shared_data: Path) -> Path:
    return shared_data / "hats"
