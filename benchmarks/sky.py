"""Positions on a sky with a galactic plane, from a seed."""

from __future__ import annotations

import numpy as np

from benchmarks.healpix_plane import Floats, coordinates_deg

# Shares of the stars: everywhere, in a disk, in a bulge. Their contrast is near that of Gaia at G < 18.
HALO_SHARE = 0.40
DISK_SHARE = 0.48
DISK_HEIGHT = 0.15  # e-folding of |sin b|
BULGE_WIDTH_DEG = 14.0

# Rows: the galactic axes in equatorial coordinates (J2000), so that galactic @ matrix is equatorial.
_GALACTIC_TO_EQUATORIAL = np.array(
    [
        [-0.0548755604162154, -0.8734370902348850, -0.4838350155487132],
        [0.4941094278755837, -0.4448296299600112, 0.7469822444972189],
        [-0.8676661490190047, -0.1980763734312015, 0.4559837761750669],
    ]
)


def galactic_positions(rows: int, seed: int, disk_height: float = DISK_HEIGHT) -> tuple[Floats, Floats]:
    """Right ascension and declination in degrees of `rows` stars of a galaxy seen from inside."""
    rng = np.random.default_rng([seed, rows])
    halo = round(rows * HALO_SHARE)
    disk = round(rows * DISK_SHARE)
    bulge = rows - halo - disk
    longitude = rng.uniform(-np.pi, np.pi, rows)
    sin_latitude = np.empty(rows)
    sin_latitude[:halo] = rng.uniform(-1.0, 1.0, halo)
    # A Laplace distribution folded back into [-1, 1] by its inverse cumulative function.
    tail = rng.uniform(-1.0, 1.0, disk)
    sin_latitude[halo : halo + disk] = (
        -np.sign(tail) * disk_height * np.log1p(-np.abs(tail) * -np.expm1(-1.0 / disk_height))
    )
    width_rad = np.radians(BULGE_WIDTH_DEG)
    longitude[halo + disk :] = rng.normal(0.0, width_rad, bulge)
    sin_latitude[halo + disk :] = np.sin(np.clip(rng.normal(0.0, width_rad / 2, bulge), -1.5, 1.5))
    cos_latitude = np.sqrt(np.clip(1.0 - sin_latitude**2, 0.0, None))
    galactic = np.stack(
        [cos_latitude * np.cos(longitude), cos_latitude * np.sin(longitude), sin_latitude], axis=1
    )
    return coordinates_deg(galactic @ _GALACTIC_TO_EQUATORIAL)
