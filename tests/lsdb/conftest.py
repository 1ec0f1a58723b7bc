"""Real stars where borders of partitions matter, as two catalogs with other partitions, and every pair of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import dask
import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from tests.lsdb.frames import quietly

lsdb = quietly(lambda: pytest.importorskip("lsdb", reason="LSDB is not installed: extra `lsdb`"))

SEED = 20_261_128
JITTER_ARCSEC = 4.0
Pairs = set[tuple[int, int]]


@pytest.fixture(scope="module", autouse=True)
def _threads() -> Iterator[None]:
    """Compute in threads: a client of another test that lost its scheduler leaves `dask.distributed` as the default."""
    with dask.config.set(scheduler="threads"):
        yield


@dataclass(frozen=True)
class Stars:
    """Stars with their numbers, and the catalog that they are written to."""

    table: pa.Table
    path: Path

    def positions(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        return self.table["ra"].to_numpy(), self.table["dec"].to_numpy()

    def where(self, mask: NDArray[np.bool_]) -> Stars:
        return Stars(self.table.filter(pa.array(mask)), self.path)


@dataclass(frozen=True)
class TwoCatalogs:
    """The same stars, measured twice."""

    left: Stars
    right: Stars


def pairs_within(left: Stars, right: Stars, radius_arcsec: float) -> Pairs:
    """Every pair of stars within a radius: astropy's match of all positions, which knows no partitions."""
    from astropy import units
    from astropy.coordinates import SkyCoord, search_around_sky

    ours, theirs = (SkyCoord(*stars.positions(), unit="deg") for stars in (left, right))
    places, others, _, _ = search_around_sky(ours, theirs, radius_arcsec * units.arcsec)
    lefts, rights = left.table["id"].to_numpy()[places], right.table["id"].to_numpy()[others]
    return set(zip(lefts.tolist(), rights.tolist(), strict=True))


def stars_at_borders() -> dict[str, NDArray[Any]]:
    """Stars of Gaia near the edges of pixels of order 2, about the poles, and where right ascension begins again."""
    from skymargin import margin_rows
    from skymargin.demo import load_stars

    stars = load_stars()
    ra_deg, dec_deg = stars["ra"].to_numpy(), stars["dec"].to_numpy()
    pixels = np.arange(12 * 4**2)
    near = margin_rows(ra_deg, dec_deg, np.full(len(pixels), 2), pixels, 90.0)["row"]
    close = near.to_numpy().astype(np.int64)
    polar = np.flatnonzero(np.abs(dec_deg) > 88.5)
    meridian = np.flatnonzero(np.minimum(ra_deg, 360 - ra_deg) < 0.05)
    chosen = np.unique(np.concatenate([close, polar, meridian]))
    assert len(chosen) > 3_000
    return {
        "id": np.arange(len(chosen)),
        "ra": ra_deg[chosen],
        "dec": dec_deg[chosen],
        "mag": stars["phot_g_mean_mag"].to_numpy()[chosen],
    }


def jittered(columns: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """The same stars, each moved by a Gaussian in both directions of the tangent plane, poles included."""
    from tests.support.brute_force import coordinates_deg, unit_vectors

    points = unit_vectors(columns["ra"], columns["dec"])
    points += np.random.default_rng(SEED).normal(0.0, np.radians(JITTER_ARCSEC / 3600), points.shape)
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    ra_deg, dec_deg = coordinates_deg(points)
    return {**columns, "ra": ra_deg, "dec": dec_deg}


@pytest.fixture(scope="session")
def two_catalogs(tmp_path_factory: pytest.TempPathFactory) -> TwoCatalogs:
    from skymargin import write_catalog

    folder = tmp_path_factory.mktemp("gaia")
    columns = stars_at_borders()
    made = []
    for name, stars, rows in (("left", columns, 400), ("right", jittered(columns), 200)):
        table = pa.table(stars)
        partitions = write_catalog(table, folder / name, rows_per_partition=rows)
        assert len({order for order, _ in partitions}) > 1
        made.append(Stars(table, folder / name))
    return TwoCatalogs(*made)


@pytest.fixture(scope="session")
def all_pairs(two_catalogs: TwoCatalogs) -> Any:
    """All pairs of the two catalogs within a radius, computed once for each."""
    return cache(lambda radius_arcsec: pairs_within(two_catalogs.left, two_catalogs.right, radius_arcsec))
