"""What the slow tests share: the environments of other tools, and catalogs on disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.shared import SHARED


def environment_of(peer: str) -> Path:
    from benchmarks.environments import has_peer, peer_python

    if not has_peer(peer):
        # Not a skip: a run of the slow tests that leaves these out proves nothing.
        pytest.fail(f"{peer} is not there: run `make peers`, or python -m benchmarks setup")
    return peer_python(peer)


@pytest.fixture(scope="session")
def hats_import_python() -> Path:
    """The Python that has hats-import and LSDB."""
    return environment_of("hats-import")


@pytest.fixture(scope="session")
def hipscat_import_python() -> Path:
    return environment_of("hipscat-import")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    if not SHARED.is_dir():
        pytest.skip("no shared catalogs: set SKYMARGIN_SHARED to the folder that holds data/")
    return SHARED
