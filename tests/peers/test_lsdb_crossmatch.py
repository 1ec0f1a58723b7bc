"""A crossmatch by LSDB with a margin made here loses no pair; without the margin it does."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from tests.peers.runs import run_peer
from tests.peers.stars import gaia_positions
from tests.support.catalogs import make_margin

pytestmark = pytest.mark.slow

RADIUS_ARCSEC = 5.0
SEED = 20261102
Pairs = set[tuple[int, int]]


@dataclass(frozen=True)
class Sky:
    """Two catalogs of the same stars in different partitions, and every pair within the radius."""

    left: Path
    right: Path
    pairs: Pairs


def jittered(
    ra_deg: NDArray[np.float64], dec_deg: NDArray[np.float64], sigma_arcsec: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Positions moved by a Gaussian in both directions of the tangent plane, poles included."""
    from benchmarks.healpix_plane import unit_vectors

    rng = np.random.default_rng(SEED)
    moved = unit_vectors(ra_deg, dec_deg)
    moved += rng.normal(0.0, np.radians(sigma_arcsec / 3600.0), moved.shape)
    x, y, z = moved.T
    return np.mod(np.degrees(np.arctan2(y, x)), 360.0), np.degrees(np.arctan2(z, np.hypot(x, y)))


def all_pairs(left: Path, right: Path, radius_arcsec: float) -> Pairs:
    """Every pair of rows within the radius: each left row against all right rows at its declination."""
    from benchmarks.brute_force import chord_to_arcsec
    from benchmarks.content import read_source
    from benchmarks.healpix_plane import unit_vectors

    ours, others = read_source(left), read_source(right)
    by_dec = np.argsort(others.dec_deg)
    dec_deg, keys = others.dec_deg[by_dec], others.keys[by_dec]
    points = unit_vectors(ours.ra_deg, ours.dec_deg)
    targets = unit_vectors(others.ra_deg, others.dec_deg)[by_dec]
    # No two points are closer than their declinations differ; the slack is for rounding.
    reach_deg = radius_arcsec / 3600.0 * (1.0 + 1e-6)
    first = np.searchsorted(dec_deg, ours.dec_deg - reach_deg)
    last = np.searchsorted(dec_deg, ours.dec_deg + reach_deg, side="right")
    pairs: Pairs = set()
    for start in range(0, len(points), 20_000):
        counts = (last - first)[start : start + 20_000]
        row = np.repeat(np.arange(start, start + len(counts)), counts)
        other = np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts) + first[row]
        separation = chord_to_arcsec(np.linalg.norm(points[row] - targets[other], axis=1))
        near = separation <= radius_arcsec
        pairs.update(zip(ours.keys[row[near]].tolist(), keys[other[near]].tolist(), strict=True))
    return pairs


@pytest.fixture(scope="module")
def sky(tmp_path_factory: pytest.TempPathFactory) -> Sky:
    from benchmarks.generate import write_catalog

    folder = tmp_path_factory.mktemp("sky")
    ra_deg, dec_deg = gaia_positions()
    write_catalog(folder / "left", ra_deg, dec_deg, 40)
    write_catalog(folder / "right", *jittered(ra_deg, dec_deg, 1.5), 90)
    pairs = all_pairs(folder / "left", folder / "right", RADIUS_ARCSEC)
    return Sky(folder / "left", folder / "right", pairs)


def crossmatch(python: Path, sky: Sky, margin: Path | None, folder: Path) -> Pairs:
    """The pairs that LSDB finds."""
    _, multiplicity = np.unique([left for left, _ in sky.pairs], return_counts=True)
    (folder / "tmp").mkdir()
    arguments = (sky.left, sky.right, margin or "none", RADIUS_ARCSEC, multiplicity.max() + 1)
    run_peer(python, "run_lsdb_crossmatch.py", *arguments, folder / "pairs.parquet", folder / "tmp")
    table = pq.ParquetFile(folder / "pairs.parquet").read()
    lefts, rights = table["source_id_left"].to_pylist(), table["source_id_right"].to_pylist()
    pairs = set(zip(lefts, rights, strict=True))
    assert len(pairs) == table.num_rows
    return pairs


def test_crossmatch_with_the_margin_finds_every_pair(
    sky: Sky, hats_import_python: Path, tmp_path: Path
) -> None:
    make_margin(sky.right, tmp_path, RADIUS_ARCSEC)
    assert len(sky.pairs) > 400_000
    assert crossmatch(hats_import_python, sky, tmp_path / "margin", tmp_path) == sky.pairs


def test_crossmatch_without_the_margin_loses_pairs(
    sky: Sky, hats_import_python: Path, tmp_path: Path
) -> None:
    assert crossmatch(hats_import_python, sky, None, tmp_path) < sky.pairs
