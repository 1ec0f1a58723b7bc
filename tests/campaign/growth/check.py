"""Whether the margin of an invented catalog is right: its counts, and margins chosen by chance against brute force."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from benchmarks.brute_force import bounding_circle, empty_pixels, margins
from benchmarks.generate import relative_path
from benchmarks.healpix_plane import ARCSEC_RAD, Floats, pixel_points
from tests.campaign.growth.invented import InventedSky

Pixel = tuple[int, int]

_MARGINS = 24
# Empty pixels are large: all rows may be near one.
_EMPTY_MARGINS = 4
_MOST_ROWS_OF_EMPTY = 6_000_000
_MOST_ROWS = 60_000_000


def check_margins(
    sky: InventedSky, margin: Path, report: Mapping[str, Any], threshold_arcsec: float
) -> tuple[list[str], int]:
    """Compare a margin catalog with its report, and some of its margins with brute force.

    Returns
    -------
    (list of str, int)
        What is wrong, and how many comparisons were made.
    """
    failures = _counts(sky, margin, report)
    chosen = _chosen(sky)
    for order, pixel in chosen:
        expected = _expected(sky, order, pixel, threshold_arcsec)
        file = margin / relative_path(order, pixel)
        ids = (
            sorted(pq.read_table(file, columns=["source_id"]).column(0).to_pylist()) if file.exists() else []
        )
        if ids != expected:
            missing, more = len(set(expected) - set(ids)), len(set(ids) - set(expected))
            failures.append(
                f"margin of {order}/{pixel}: {missing} rows missing, {more} too many of {len(expected)}"
            )
    return failures, len(chosen) + 1


def _counts(sky: InventedSky, margin: Path, report: Mapping[str, Any]) -> list[str]:
    footer = pq.read_metadata(margin / "dataset" / "_metadata")
    listed = (margin / "partition_info.csv").read_text().count("\n") - 1
    files = sum(1 for _ in (margin / "dataset").rglob("Npix=*.parquet"))
    pairs = {
        "rows read": (report["primary_rows"], sky.partitions * sky.rows),
        "partitions read": (report["primary_partitions"], sky.partitions),
        "rows in _metadata": (footer.num_rows, report["rows"]),
        "partitions listed": (listed, report["partitions"]),
        "files": (files, report["partitions"]),
    }
    wrong = [
        f"{value} {what}, expected {expected}"
        for what, (value, expected) in pairs.items()
        if value != expected
    ]
    return ["; ".join(wrong)] if wrong else []


def _chosen(sky: InventedSky) -> list[Pixel]:
    """Pixels whose margins are compared: fewer where each takes long."""
    random = np.random.default_rng([sky.seed, sky.partitions, sky.rows])
    count = max(2, min(_MARGINS, _MOST_ROWS // (9 * sky.rows)))
    pixels = random.choice(sky.partitions, min(count, sky.partitions), replace=False)
    chosen = [(sky.order, int(pixel)) for pixel in pixels]
    if sky.partitions * sky.rows <= _MOST_ROWS_OF_EMPTY:
        empty = empty_pixels((sky.order, pixel) for pixel in range(sky.partitions))
        # The deepest touch partitions.
        chosen += empty[-_EMPTY_MARGINS:]
    return chosen


def _expected(sky: InventedSky, order: int, pixel: int, threshold_arcsec: float) -> list[int]:
    """Identifiers of the rows of one margin, by brute force over all partitions that are not far away."""
    near = _near(sky, order, pixel, threshold_arcsec)
    if not near:
        return []
    _, ra_deg, dec_deg = (np.concatenate(columns) for columns in zip(*map(sky.positions, near), strict=True))
    own = np.repeat(near, sky.rows)
    chosen = [(order, pixel)]
    rows = margins(ra_deg, dec_deg, np.full(len(own), sky.order), own, [], threshold_arcsec, chosen)
    numbers = np.concatenate([np.arange(other * sky.rows, (other + 1) * sky.rows) for other in near])
    return sorted(numbers[rows.get((order, pixel), [])].tolist())


def _near(sky: InventedSky, order: int, pixel: int, threshold_arcsec: float) -> list[int]:
    """Partitions that may have a row within the threshold of a pixel: by circles about both, drawn generously."""
    centre, radius_rad = bounding_circle(order, pixel)
    # No pixel reaches farther from its middle than 0.85 rad, at order 0.
    reach_rad = radius_rad + 0.9 * 2.0**-sky.order + threshold_arcsec * ARCSEC_RAD
    return np.flatnonzero(_centres(sky) @ centre >= np.cos(min(reach_rad, np.pi)) - 1e-12).tolist()


@lru_cache(maxsize=1)
def _centres(sky: InventedSky) -> Floats:
    half = np.array(0.5)
    return np.array([pixel_points(sky.order, pixel, half, half) for pixel in range(sky.partitions)])
