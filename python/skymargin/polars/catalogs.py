"""Margin catalogs on disk as frames with the pixel of each row's margin."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, assert_never

import polars as pl

from skymargin.arrow.kinds import Kind, kind_of
from skymargin.catalogs.folder import CatalogFolder, inspect_catalog
from skymargin.catalogs.layout import (
    COMMON_METADATA,
    DIRECTORY_COLUMN,
    METADATA,
    NUMBERS_IN_PATH,
    ORDER_COLUMN,
    PARTITION_INFO,
    PIXEL_COLUMN,
    PIXEL_COLUMNS,
)
from skymargin.catalogs.metadata_file import read_schema
from skymargin.errors import ArgumentError, CatalogError, MissingPartitionError
from skymargin.polars.partitions import pixel_pairs
from skymargin.storage.paths import as_path

if TYPE_CHECKING:
    import pyarrow as pa

# The most digits of a decimal of polars.
_MOST_DIGITS = 38
_PATH_COLUMN = "__skymargin_path"
_TYPES = {ORDER_COLUMN: pl.UInt8, DIRECTORY_COLUMN: pl.UInt64, PIXEL_COLUMN: pl.UInt64}


def scan_margin(path: str | os.PathLike[str], *, pixels: Iterable[Any] | None = None) -> pl.LazyFrame:
    """Scan a margin catalog, or the margins of some pixels in it.

    Parameters
    ----------
    path : str or path
        A HATS or HiPSCat margin catalog in a local folder.
    pixels : iterable of (int, int), optional
        Order and index of the pixels whose margins to scan; no other file is opened. A pixel without margin rows has no
        file, and gives no rows.

    Returns
    -------
    polars.LazyFrame
        The rows, sorted by order and index of the margin's pixel, then in the order of its file. They have all their
        columns, and `margin_Norder` (uint8) and `margin_Npix` (uint64): the pixel whose margin a row belongs to, as in
        `margins`.

    Raises
    ------
    CatalogNotFoundError
        When there is no catalog at `path`.
    CatalogError
        When it is not a margin catalog, a column has the name of one that is added, or polars does not know its type.
    MissingPartitionError
        When a margin that the catalog lists has no file.
    ArgumentError
        When `path` is a URL.

    Notes
    -----
    The rows of a HiPSCat margin have `margin_Norder`, `margin_Dir` and `margin_Npix` for the partition they come from,
    and `Norder`, `Dir` and `Npix` for the pixel of the margin. These names are swapped here, so that the columns have
    the same meaning for both formats, and `Norder`, `Dir` and `Npix` their meaning in the primary catalog.
    """
    catalog = _open_margin(_local_folder(path))
    chosen = set(catalog.files) if pixels is None else set(pixel_pairs(pixels, "pixels")) & set(catalog.files)
    files = [str(file) for pixel in sorted(chosen) for file in catalog.file_paths(pixel)]
    # A margin without rows has no file: its metadata, a Parquet file without rows, has the columns.
    source = files or [_metadata_file(catalog)]
    # Without hive_partitioning=False, polars would add columns for the names of the folders.
    scanned = pl.scan_parquet(
        source, hive_partitioning=False, glob=False, hidden_file_prefix=[], include_file_paths=_PATH_COLUMN
    )
    if not files:
        scanned = scanned.head(0)
    _check_types(Path(source[0]))
    columns = scanned.collect_schema().names()
    swapped = {name: f"margin_{name}" for name in PIXEL_COLUMNS}
    if {*swapped, *swapped.values()} <= set(columns):
        scanned = scanned.rename(swapped | {margin: own for own, margin in swapped.items()})
    elif taken := {swapped[name] for name in NUMBERS_IN_PATH} & set(columns):
        raise CatalogError(f"{path} has a column {min(taken)!r}, which is added here")
    return scanned.with_columns(
        pl.col(_PATH_COLUMN)
        .str.replace_all("\\", "/", literal=True)
        .str.extract(pattern)
        .cast(_TYPES[name])
        .alias(swapped[name])
        for name, pattern in NUMBERS_IN_PATH.items()
    ).drop(_PATH_COLUMN)


def read_margin(path: str | os.PathLike[str], *, pixels: Iterable[Any] | None = None) -> pl.DataFrame:
    """Read a margin catalog, or the margins of some pixels in it.

    Parameters
    ----------
    path, pixels
        As for `scan_margin`.

    Returns
    -------
    polars.DataFrame
        The rows that `scan_margin` scans.

    Raises
    ------
    CatalogNotFoundError, CatalogError, MissingPartitionError
        As `scan_margin` does.
    """
    return scan_margin(path, pixels=pixels).collect()


def _local_folder(path: str | os.PathLike[str]) -> Path:
    folder = as_path(path)
    if not isinstance(folder, Path):
        raise ArgumentError(f"path {path} is not allowed: margins are read from a local folder here")
    return folder


def _open_margin(path: Path) -> CatalogFolder:
    """A margin catalog in which every listed margin has a file."""
    catalog = inspect_catalog(path)
    if catalog.kind != "margin":
        raise CatalogError(
            f"{catalog.properties_file} says that this is a catalog of type {catalog.kind or 'nothing'}; "
            "only margins are read here"
        )
    for pixel in catalog.listed or ():
        if pixel not in catalog.files:
            raise MissingPartitionError(
                f"{catalog.data / catalog.partition_path(pixel)}: no file for the margin of order {pixel[0]}, "
                f"pixel {pixel[1]}, which {path / PARTITION_INFO} lists"
            )
    return catalog


def _check_types(file: Path) -> None:
    """Check that polars knows the types of a file: it panics at list views, and at others when rows are read."""
    for field in read_schema(file):
        if not is_known(field.type):
            raise CatalogError(
                f"{file}: column {field.name!r} is of type {field.type}, which polars does not know"
            )


def is_known(data_type: pa.DataType) -> bool:
    """Whether polars has a type, and all types in it."""
    import pyarrow as pa
    from pyarrow import types

    if isinstance(data_type, pa.BaseExtensionType):
        return is_known(data_type.storage_type)
    kind = kind_of(data_type)
    match kind:
        case Kind.LIST if types.is_list_view(data_type) or types.is_large_list_view(data_type):
            return False
        case Kind.DECIMAL:
            return bool(data_type.precision <= _MOST_DIGITS)
        case Kind.DICTIONARY:
            return is_known(data_type.value_type)
        case Kind.LIST | Kind.FIXED_LIST | Kind.STRUCT | Kind.MAP:
            return all(is_known(data_type.field(number).type) for number in range(data_type.num_fields))
        case (
            Kind.NULL
            | Kind.BOOLEAN
            | Kind.SIGNED
            | Kind.UNSIGNED
            | Kind.FLOAT
            | Kind.TEMPORAL
            | Kind.FIXED_BYTES
            | Kind.BYTES
        ):
            return True
        case Kind.NOT_IN_PARQUET:
            return False
        case _:
            assert_never(kind)


def _metadata_file(catalog: CatalogFolder) -> str:
    for name in (COMMON_METADATA, METADATA):
        if name in catalog.sizes:
            return str(catalog.data / name)
    raise CatalogError(
        f"{catalog.path} has no rows and no {COMMON_METADATA}: nothing says which columns it has"
    )
