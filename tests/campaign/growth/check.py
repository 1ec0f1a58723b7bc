"""Whether the margin of an invented catalog is right: its counts, and margins chosen by chance against brute force."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from benchmarks.brute_force import ARCSEC_PER_RAD, empty_pixels, margin_rows
from benchmarks.healpix_plane import Floats, cell_to_vectors, pixel_square, unit_vectors
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
    wanted = _chosen(sky)
    for order, pixel in wanted:
        expected = _expected(sky, order, pixel, threshold_arcsec)
        file = margin / f"dataset/Norder={order}/Dir={pixel // 10_000 * 10_000}/Npix={pixel}.parquet"
        found = (
            sorted(pq.read_table(file, columns=["source_id"]).column(0).to_pylist()) if file.exists() else []
        )
        if found != expected:
            missing, more = len(set(expected) - set(found)), len(set(found) - set(expected))
            failures.append(
                f"margin of {order}/{pixel}: {missing} rows missing, {more} too many of {len(expected)}"
            )
    return failures, len(wanted) + 1


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
        f"{found} {what}, expected {wanted}" for what, (found, wanted) in pairs.items() if found != wanted
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
    others = [
        other for other in _near(sky, order, pixel, threshold_arcsec) if (sky.order, other) != (order, pixel)
    ]
    parts = [sky.positions(other) for other in others]
    if not parts:
        return []
    index, ra_deg, dec_deg = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    own = np.repeat(others, sky.rows)
    # No row of the partition itself is among them.
    rows = margin_rows(unit_vectors(ra_deg, dec_deg), index, own, order, pixel, -1, threshold_arcsec)
    numbers = np.concatenate([np.arange(other * sky.rows, (other + 1) * sky.rows) for other in others])
    return sorted(numbers[rows].tolist())


def _near(sky: InventedSky, order: int, pixel: int, threshold_arcsec: float) -> list[int]:
    """Partitions that may have a row within the threshold of a pixel: by circles about both, drawn generously."""
    middle = _middles(order, np.array([pixel]))[0]
    middles = _middles(sky.order, np.arange(sky.partitions))
    # No pixel reaches farther from its middle than 0.85 rad, at order 0.
    reach_rad = 0.9 * (2.0**-order + 2.0**-sky.order) + threshold_arcsec / ARCSEC_PER_RAD
    return np.flatnonzero(middles @ middle >= np.cos(min(reach_rad, np.pi))).tolist()


def _middles(order: int, pixels: np.ndarray) -> Floats:
    squares = [pixel_square(order, pixel) for pixel in pixels.tolist()]
    cell, u, v, side = (np.array(column) for column in zip(*squares, strict=True))
    return cell_to_vectors(cell, u + side / 2, v + side / 2)
