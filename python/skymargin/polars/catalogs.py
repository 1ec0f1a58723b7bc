"""Margin catalogs on disk as frames, with the pixel of each row's margin."""

from __future__ import annotations

import csv
import json
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import polars as pl

from skymargin.catalogs.properties import read_properties
from skymargin.errors import CatalogError, CatalogNotFoundError, MissingPartitionError
from skymargin.polars.partitions import pixel_pairs

Pixel = tuple[int, int]

_FILE = re.compile(r"Norder=(\d+)/Dir=\d+/Npix=(\d+)(?:\.\w+|/[^/]+)$")
_PATH_COLUMN = "__skymargin_path"
_OWN = ("Norder", "Dir", "Npix")
_KINDS = {"Norder": pl.UInt8, "Dir": pl.UInt64, "Npix": pl.UInt64}


def scan_margin(path: str | os.PathLike[str], *, pixels: Iterable[Any] | None = None) -> pl.LazyFrame:
    """Scan a margin catalog, or only the margins of some pixels.

    Parameters
    ----------
    path : str or path
        A HATS or HiPSCat margin catalog in a local folder.
    pixels : iterable of (int, int), optional
        Order and index of the pixels whose margins to read; no other file is opened. A pixel without margin rows has no
        file and contributes no rows.

    Returns
    -------
    polars.LazyFrame
        The rows, sorted by order and index of the margin's pixel and then as in its file, with all their columns and
        with `margin_Norder` (uint8) and `margin_Npix` (uint64): the pixel whose margin a row belongs to, as in
        `margins`.

    Raises
    ------
    CatalogNotFoundError
        When there is no catalog at `path`.
    CatalogError
        When it is not a margin catalog, or has a column with the name of an added one.
    MissingPartitionError
        When a margin that the catalog lists has no file.

    Notes
    -----
    In a HiPSCat margin, `margin_Norder`, `margin_Dir` and `margin_Npix` are the partition a row comes from, and
    `Norder`, `Dir` and `Npix` the pixel of the margin. Here the names are swapped, so that they mean the same for both
    formats, and `Norder`, `Dir` and `Npix` mean what they mean in the primary catalog.
    """
    folder = Path(path)
    files = _margin_files(folder)
    if pixels is not None:
        selected = set(pixel_pairs(pixels, "pixels"))
        files = {pixel: names for pixel, names in files.items() if pixel in selected}
    names = [name for pixel in sorted(files) for name in files[pixel]]
    # A margin catalog without rows has no partition files; its metadata file, without rows, has the columns.
    source = names or _metadata_file(folder)
    # Without hive partitioning: polars would add columns of its own for the folders.
    scanned = pl.scan_parquet(
        source, hive_partitioning=False, glob=False, hidden_file_prefix=[], include_file_paths=_PATH_COLUMN
    )
    if not names:
        scanned = scanned.head(0)
    columns = scanned.collect_schema().names()
    if all(name in columns for own in _OWN for name in (own, f"margin_{own}")):
        scanned = scanned.rename(
            {own: f"margin_{own}" for own in _OWN} | {f"margin_{own}": own for own in _OWN}
        )
    elif taken := {"margin_Norder", "margin_Npix"} & set(columns):
        raise CatalogError(f"{folder} has a column {min(taken)!r}, which is added here")
    path_parts = {"margin_Norder": r"Norder=(\d+)/Dir=", "margin_Npix": r"/Npix=(\d+)[^=]*$"}
    return scanned.with_columns(
        pl.col(_PATH_COLUMN)
        .str.replace_all("\\", "/", literal=True)
        .str.extract(part)
        .cast(_KINDS[name[7:]])
        .alias(name)
        for name, part in path_parts.items()
    ).drop(_PATH_COLUMN)


def read_margin(path: str | os.PathLike[str], *, pixels: Iterable[Any] | None = None) -> pl.DataFrame:
    """Read a margin catalog, or only the margins of some pixels.

    Parameters
    ----------
    path, pixels
        As for `scan_margin`.

    Returns
    -------
    polars.DataFrame
        The frame of `scan_margin`, collected.

    Raises
    ------
    CatalogNotFoundError, CatalogError, MissingPartitionError
        As `scan_margin`.
    """
    return scan_margin(path, pixels=pixels).collect()


def _margin_files(folder: Path) -> dict[Pixel, list[Path]]:
    """Return the files of each margin; every margin that is listed has some."""
    files: dict[Pixel, list[Path]] = {}
    root = folder / "dataset" if _is_hats(folder) else folder
    for file in sorted([*root.glob("Norder=*/Dir=*/Npix=*"), *root.glob("Norder=*/Dir=*/Npix=*/*")]):
        match = _FILE.search(file.as_posix())
        if match and file.is_file() and not file.name.startswith(("_", ".")):
            files.setdefault((int(match[1]), int(match[2])), []).append(file)
    listing = folder / "partition_info.csv"
    for pixel in _listed(listing) if listing.exists() else ():
        if pixel not in files:
            raise MissingPartitionError(
                f"{root}: no file for the margin of order {pixel[0]}, pixel {pixel[1]}, which {listing} lists"
            )
    return files


def _is_hats(folder: Path) -> bool:
    """Whether a margin catalog is in HATS format, else HiPSCat."""
    if not folder.exists():
        raise CatalogNotFoundError(f"path: there is nothing at {folder}")
    properties = next(
        (folder / name for name in ("hats.properties", "properties") if (folder / name).exists()), None
    )
    info = folder / "catalog_info.json"
    if properties is not None:
        kind, where = read_properties(properties).get("dataproduct_type"), properties
    elif info.exists():
        try:
            kind, where = json.loads(info.read_text(encoding="utf-8")).get("catalog_type"), info
        except (OSError, ValueError, AttributeError) as error:
            raise CatalogError(f"{info} cannot be read as JSON: {error}") from error
    else:
        raise CatalogNotFoundError(
            f"path: {folder} is not a catalog: it has no hats.properties, properties or catalog_info.json"
        )
    if kind != "margin":
        raise CatalogError(f"{where} says that this is a catalog of type {kind}; only margins are read here")
    return properties is not None


def _listed(listing: Path) -> list[Pixel]:
    try:
        with listing.open(encoding="utf-8", newline="") as lines:
            return [(int(row["Norder"]), int(row["Npix"])) for row in csv.DictReader(lines)]
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise CatalogError(f"{listing} cannot be read as a list of partitions: {error}") from error


def _metadata_file(folder: Path) -> Path:
    for name in ("dataset/_common_metadata", "dataset/_metadata", "_common_metadata", "_metadata"):
        if (folder / name).exists():
            return folder / name
    raise CatalogError(f"{folder} has no rows and no _common_metadata: nothing says which columns it has")
