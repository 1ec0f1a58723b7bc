"""Margins of every real star against every pixel by a brute force that shares nothing with the package."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.peers.stars import gaia_positions
from tests.support.catalogs import make_margin

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=["whole sky", "with a hole"])
def catalog(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The stars in about 60 adaptive partitions; a hole in the sky leaves empty pixels of several orders."""
    from benchmarks.generate import write_catalog

    ra_deg, dec_deg = gaia_positions()
    if request.param == "with a hole":
        is_in_hole = (ra_deg > 80.0) & (ra_deg < 120.0) & (np.abs(dec_deg - 40.0) < 15.0)
        ra_deg, dec_deg = ra_deg[~is_in_hole], dec_deg[~is_in_hole]
    path = tmp_path_factory.mktemp("gaia") / "gaia"
    write_catalog(path, ra_deg, dec_deg, 60)
    return path


@pytest.mark.parametrize("threshold_arcsec", [5.0, 60.0, 3600.0])
def test_margin_of_real_stars_equals_brute_force(
    catalog: Path, tmp_path: Path, threshold_arcsec: float
) -> None:
    from benchmarks.content import exact_keys, read_source, row_keys

    expected = exact_keys(read_source(catalog), threshold_arcsec)
    make_margin(catalog, tmp_path, threshold_arcsec)
    written = row_keys(tmp_path / "margin")
    missing = {pixel: np.setdiff1d(keys, written.get(pixel, [])) for pixel, keys in expected.items()}
    too_many = {pixel: np.setdiff1d(keys, expected.get(pixel, [])) for pixel, keys in written.items()}
    assert sum(map(len, expected.values())) > 100
    assert {pixel: keys.tolist() for pixel, keys in missing.items() if len(keys)} == {}
    assert {pixel: keys.tolist() for pixel, keys in too_many.items() if len(keys)} == {}
    # Sets agree: equal lengths leave no row written twice.
    assert {pixel: len(keys) for pixel, keys in written.items()} == {
        pixel: len(keys) for pixel, keys in expected.items()
    }
