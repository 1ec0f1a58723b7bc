"""A margin checked the slow way: every row against every pixel.

Nothing that chooses candidates in the pipeline is used here. A row is left out only when it lies outside a
circle that holds the pixel and its margin; every other separation is computed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from skymargin import _core
from skymargin.formats.partition_files import partition_files
from skymargin.outline import bounding_circle, unit_vectors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from numpy.typing import NDArray

_ARCSEC_RAD = np.pi / 648_000
# Far more than the rounding of unit vectors and their products, far less than a row costs.
_SLACK_RAD = 1e-7
_ROUNDING = 1e-14

Pixel = tuple[int, int]


@dataclass(frozen=True)
class BruteForceCheck:
    """What a check found.

    Attributes
    ----------
    rows : int
        Rows of the catalog.
    pixels : int
        Pixels whose margin was checked: partitions and empty pixels.
    expected : int
        Rows that belong to the margins, a row counted once per margin.
    missing : int
        Of those, rows that the margin catalog lacks.
    too_many : int
        Rows of the margin catalog that do not belong there.
    """

    rows: int
    pixels: int
    expected: int
    missing: int
    too_many: int

    def __str__(self) -> str:
        """Return one line for people."""
        return (
            f"{self.rows:,} rows against {self.pixels:,} pixels: {self.expected:,} rows belong to margins, "
            f"{self.missing:,} missing, {self.too_many:,} too many"
        )


def check_margin(
    catalog_path: str | Path,
    margin_path: str | Path,
    threshold_arcsec: float,
    *,
    id_column: str,
    ra_column: str = "ra",
    dec_column: str = "dec",
    watch: Callable[[list[Pixel]], Iterable[Pixel]] = iter,
) -> BruteForceCheck:
    """Compare a margin catalog with the definition of a margin.

    Parameters
    ----------
    catalog_path, margin_path : str or Path
        Local HATS catalogs with one ``.parquet`` file per partition.
    threshold_arcsec : float
        The margin threshold, arcseconds.
    id_column : str
        A column whose values name the rows, each once in the catalog.
    ra_column, dec_column : str
        The coordinates, degrees.
    watch : callable
        Wraps the list of pixels that is worked through, for a progress bar.

    Raises
    ------
    ValueError
        If `id_column` has a value twice, or the catalog holds no partition.
    """
    import pyarrow.parquet as pq

    partitions = partition_files(catalog_path)
    if not partitions:
        raise ValueError(f"{catalog_path} holds no partition to check against")
    margins = partition_files(margin_path)
    columns = [id_column, ra_column, dec_column]
    tables = [pq.ParquetFile(path).read(columns=columns) for path in partitions.values()]
    own = np.repeat(np.arange(len(tables)), [table.num_rows for table in tables])
    ids, ra_deg, dec_deg = (
        np.concatenate([table.column(name).to_numpy() for table in tables]) for name in columns
    )
    if len(np.unique(ids)) != len(ids):
        raise ValueError(f"{catalog_path}: column {id_column!r} does not name rows, it has a value twice")
    vectors = unit_vectors(ra_deg, dec_deg)

    number_of = {pixel: number for number, pixel in enumerate(partitions)}
    pixels = [*partitions, *empty_pixels(partitions)]
    expected = missing = too_many = 0
    for pixel in watch(pixels):
        circle = bounding_circle(*pixel)
        reach_rad = min(circle.radius_rad + threshold_arcsec * _ARCSEC_RAD + _SLACK_RAD, np.pi)
        inside = vectors @ circle.centre >= np.cos(reach_rad) - _ROUNDING
        maybe = np.flatnonzero(inside & (own != number_of.get(pixel, -1)))
        separation_arcsec = _core.separation_arcsec(ra_deg[maybe], dec_deg[maybe], *pixel).to_numpy()
        right = ids[maybe[separation_arcsec <= threshold_arcsec]]
        path = margins.pop(pixel, None)
        found = pq.ParquetFile(path).read(columns=[id_column]).column(0).to_numpy() if path else ids[:0]
        expected += len(right)
        missing += _surplus(right, found)
        too_many += _surplus(found, right)
    # What is left belongs to pixels that are neither partitions nor empty.
    too_many += sum(pq.ParquetFile(path).metadata.num_rows for path in margins.values())
    return BruteForceCheck(len(ids), len(pixels), expected, missing, too_many)


def empty_pixels(partitions: Iterable[Pixel]) -> list[Pixel]:
    """Return the fewest pixels that cover the sky where no partition does."""
    partitions = set(partitions)
    holding = {(order - up, pixel >> (2 * up)) for order, pixel in partitions for up in range(1, order + 1)}
    empty: list[Pixel] = []
    waiting = [(0, base_cell) for base_cell in range(12)]
    while waiting:
        order, pixel = waiting.pop()
        if (order, pixel) in holding:
            waiting += [(order + 1, 4 * pixel + child) for child in range(4)]
        elif (order, pixel) not in partitions:
            empty.append((order, pixel))
    return empty


def _surplus(these: NDArray[np.int64], those: NDArray[np.int64]) -> int:
    """Return how many of these, counted as often as they occur, are not matched by one of those."""
    values, where = np.unique(np.concatenate([these, those]), return_inverse=True)
    balance = np.zeros(len(values), dtype=np.int64)
    np.add.at(balance, where[: len(these)], 1)
    np.subtract.at(balance, where[len(these) :], 1)
    return int(balance[balance > 0].sum())
