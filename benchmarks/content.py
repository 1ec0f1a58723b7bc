"""What a margin holds: its rows per pixel, and how many of them are within the threshold."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.brute_force import empty_pixels, margins, separations_arcsec
from benchmarks.healpix_plane import Floats, Integers

_PIXEL = re.compile(r"Norder=(\d+)/.*Npix=(\d+)")


def pixel_files(catalog: Path) -> dict[tuple[int, int], list[Path]]:
    """The Parquet files of a catalog by pixel (order, pixel), whatever their suffix, one or many a pixel."""
    files: dict[tuple[int, int], list[Path]] = {}
    for path in sorted((catalog / "dataset").rglob("*")):
        match = _PIXEL.search(path.relative_to(catalog).as_posix())
        if match and path.is_file():
            files.setdefault((int(match[1]), int(match[2])), []).append(path)
    return files


def row_keys(margin: Path, key: str = "source_id") -> dict[tuple[int, int], Integers]:
    """The sorted keys of a margin's rows by pixel."""
    return {
        pixel: np.sort(
            np.concatenate([pq.ParquetFile(path).read(columns=[key])[key].to_numpy() for path in paths])
        )
        for pixel, paths in pixel_files(margin).items()
    }


@dataclass(frozen=True)
class Source:
    """All rows of a catalog: where each is, its key, and the order and pixel of its partition."""

    ra_deg: Floats
    dec_deg: Floats
    keys: Integers
    own: Integers


def read_source(catalog: Path, key: str = "source_id", ra: str = "ra", dec: str = "dec") -> Source:
    """The positions and keys of a whole catalog."""
    files = [(pixel, path) for pixel, paths in pixel_files(catalog).items() for path in paths]
    tables = [pq.ParquetFile(path).read(columns=[ra, dec, key]) for _, path in files]
    ra_deg, dec_deg, keys = (
        np.concatenate([table[name].to_numpy() for table in tables]) for name in (ra, dec, key)
    )
    own = np.repeat(np.array([pixel for pixel, _ in files]), list(map(len, tables)), axis=0)
    return Source(ra_deg.astype(np.float64), dec_deg.astype(np.float64), keys.astype(np.int64), own)


def exact_keys(source: Source, threshold_arcsec: float) -> dict[tuple[int, int], Integers]:
    """The sorted keys of the rows of every margin that has one, by brute force."""
    partitions = dict.fromkeys(map(tuple, source.own.tolist()))
    rows_of = margins(source.ra_deg, source.dec_deg, *source.own.T, partitions, threshold_arcsec)
    return {pixel: np.sort(source.keys[rows]) for pixel, rows in rows_of.items()}


@dataclass(frozen=True)
class Content:
    """Rows a tool wrote, how many are within the threshold, how many such rows others found and it lacks."""

    rows: int
    exact: int
    missing: int


def compare_contents(
    margin_paths: dict[str, Path], partitions: Iterable[tuple[int, int]], threshold_arcsec: float
) -> dict[str, Content]:
    """Judge margins of the same catalog by the separations of every row that any of them holds.

    The coarse ring of the peers is wider than the threshold, so together they hold every row that belongs to
    the margin; a row that one of them lacks is counted as missing there. ACID cuts the empty sky into other
    pixels than HATS: its rows there count for the empty pixel that holds theirs.
    """
    partitions = list(partitions)
    tiles = {*partitions, *empty_pixels(partitions)}
    exact: set[tuple[int, int, int]] = set()
    pairs: dict[str, set[tuple[int, int, int]]] = {}
    written: dict[str, int] = {}
    for tool, margin in margin_paths.items():
        pairs[tool], written[tool] = set(), 0
        for pixel, paths in pixel_files(margin).items():
            order, tile = _holding_tile(pixel, tiles, margin)
            table = pa.concat_tables(
                [pq.ParquetFile(path).read(columns=["source_id", "ra", "dec"]) for path in paths]
            )
            keys = table["source_id"].to_pylist()
            if len(set(keys)) != len(keys):
                raise ValueError(f"{paths[0]}: a row is twice in the margin of this pixel")
            ra_deg, dec_deg = (table[name].to_numpy() for name in ("ra", "dec"))
            is_exact = separations_arcsec(ra_deg, dec_deg, order, tile, threshold_arcsec) <= threshold_arcsec
            written[tool] += len(keys)
            pairs[tool].update((order, tile, key) for key in keys)
            exact.update((order, tile, keys[row]) for row in np.nonzero(is_exact)[0])
    return {
        tool: Content(rows=written[tool], exact=len(mine & exact), missing=len(exact - mine))
        for tool, mine in pairs.items()
    }


def _holding_tile(pixel: tuple[int, int], tiles: set[tuple[int, int]], margin: Path) -> tuple[int, int]:
    """The partition or empty pixel that a pixel is, or lies in."""
    order, number = pixel
    for up in range(order + 1):
        if (order - up, number >> 2 * up) in tiles:
            return order - up, number >> 2 * up
    raise ValueError(f"{margin}: order {order}, pixel {number} lies in no partition and in no empty pixel")
