"""The small real catalogs that lie beside the repository; tests of them are skipped where they are not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

SHARED = Path(os.environ.get("SKYMARGIN_SHARED", Path(__file__).parents[3] / "shared")) / "data"
needs_shared = pytest.mark.skipif(
    not SHARED.is_dir(), reason="no shared catalogs: set SKYMARGIN_SHARED to the folder that holds data/"
)
