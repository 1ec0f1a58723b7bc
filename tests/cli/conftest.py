"""A margin of the small catalog, exact and coarse."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.catalogs import make_margin


@pytest.fixture(scope="session")
def margins(small_catalog: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make the folder with the margins `margin` and `coarse` of the small catalog, within a degree."""
    folder = tmp_path_factory.mktemp("margins")
    make_margin(small_catalog, folder, 3_600.0)
    make_margin(small_catalog, folder, 3_600.0, name="coarse", fine_filtering=False, margin_order=5)
    return folder
