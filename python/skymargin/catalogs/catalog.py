"""Catalogs on disk: what a catalog is to the pipeline, whatever the format it is kept in.

Each format is a module with the same functions, those of `Format`. This package knows files and properties, never
geometry.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, cast

from skymargin.catalogs.output_options import OutputOptions
from skymargin.errors import CatalogError, CatalogNotFoundError, SkymarginError
from skymargin.storage.paths import AnyPath, can_list, exists

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from skymargin.catalogs.metadata_file import RowGroups

# The first that recognises a folder has it: HATS also takes for its own what has but a list of partitions.
FORMATS = ("hipscat", "hats")


@dataclass(frozen=True)
class SpatialColumns:
    """The columns that say where a row is.

    Attributes
    ----------
    ra, dec : str
        Columns of the coordinates in degrees.
    index : str or None
        Column of the spatial index; None when the catalog has none and it is to be computed from ra and dec.
    index_order : int
        HEALPix order of that column; 29 for a computed one.
    index_shift : int
        How many bits of that column are below the pixel of that order, and no position.
    """

    ra: str
    dec: str
    index: str | None
    index_order: int
    index_shift: int = 0


@dataclass(frozen=True)
class StatedRows:
    """A number of rows that a file of a catalog says it has.

    Attributes
    ----------
    file : Path or UPath
        The file.
    rows : int
        The number.
    key : str
        What the file calls it; empty for the sum that `_metadata` has.
    """

    file: AnyPath
    rows: int
    key: str = ""

    def __str__(self) -> str:
        return (
            f"{self.file} says {self.key}={self.rows}" if self.key else f"{self.file} is of {self.rows} rows"
        )


@dataclass(frozen=True)
class Catalog:
    """A catalog whose margin is to be made.

    Attributes
    ----------
    path : Path or UPath
        Its folder; of a collection, the folder of the primary catalog.
    format : str
        Name of the module of this package that reads and writes its format.
    columns : SpatialColumns
        The columns that say where a row is.
    schema : pyarrow.Schema
        Types, order and metadata of its columns.
    orders, pixels : numpy.ndarray
        Its partitions, uint8 and uint64, in the order they are listed.
    files : list of tuple of str
        The files of each partition, relative to `path`, in the order in which their rows are numbered.
    size_bytes : numpy.ndarray
        The size of each partition's files together, int64.
    listed_in : Path or UPath
        The file (or folder) the list of partitions came from.
    stated_rows : list of StatedRows
        How many rows it says it has.
    """

    path: AnyPath
    format: str
    columns: SpatialColumns
    schema: pa.Schema
    orders: np.ndarray
    pixels: np.ndarray
    files: list[tuple[str, ...]]
    size_bytes: np.ndarray
    listed_in: AnyPath
    stated_rows: list[StatedRows] = field(default_factory=list)


@dataclass(frozen=True)
class MarginContents:
    """What a finished margin catalog says of itself.

    Attributes
    ----------
    name : str
        Name of the margin catalog.
    margin_threshold_arcsec : float
        Its threshold.
    rows : int
        Rows in all its partitions.
    orders, pixels : numpy.ndarray
        Its partitions in nested order.
    row_groups : list of RowGroups
        Their row groups in the same order, with the paths of their files; each may hold those of several partitions.
    wanted : OutputOptions
        What is wanted of its files beside the rows.
    """

    name: str
    margin_threshold_arcsec: float
    rows: int
    orders: np.ndarray
    pixels: np.ndarray
    row_groups: list[RowGroups]
    wanted: OutputOptions = field(default_factory=OutputOptions)


class Format(Protocol):
    """What a module of this package offers for its format."""

    def is_catalog(self, path: AnyPath) -> bool:
        """Whether the folder looks like a catalog of this format, whole or not."""

    def open_catalog(self, path: AnyPath) -> Catalog:
        """Read what there is to know of a catalog, without its rows."""

    def margin_file(self, order: int, pixel: int) -> str:
        """Path of a margin partition's file inside the margin catalog."""

    def margin_schema(self, schema: pa.Schema) -> pa.Schema:
        """Schema of the margin of a catalog with such a schema."""

    def margin_columns(self, rows: pa.Table, origin: pa.Table, order: int, pixel: int) -> pa.Table:
        """The columns of a margin for rows that lie in the margin of a pixel.

        `origin` has the partition of each row as `source_order` and `source_pixel`. The columns are in the order of the
        margin's schema, and travel in the types that `rows` do.
        """

    def write_options(self, schema: pa.Schema, wanted: Mapping[str, Any]) -> dict[str, Any]:
        """Keyword arguments of `pyarrow.parquet.write_table` for a file of the format, those wanted among them."""

    def finish_margin(self, folder: AnyPath, catalog: Catalog, contents: MarginContents) -> None:
        """Write everything of a margin catalog but its partitions; what makes it valid comes last."""


def format_named(name: str) -> Format:
    """The module of one format."""
    return cast(Format, importlib.import_module(f"skymargin.catalogs.{name}"))


def open_catalog(path: AnyPath) -> Catalog:
    """Open a catalog, or the primary catalog of a collection.

    Raises
    ------
    CatalogNotFoundError
        When there is nothing at `path`, or no catalog of a known format.
    CatalogError
        When the catalog is not complete or contradicts itself.
    """
    if can_list(path) and not exists(path):
        raise CatalogNotFoundError(f"input_catalog_path: there is nothing at {path}")
    for name in FORMATS:
        known = format_named(name)
        if known.is_catalog(path):
            try:
                return known.open_catalog(path)
            except SkymarginError:
                raise
            except OSError as error:
                raise CatalogError(f"{path} cannot be read: {error}") from error
    raise CatalogNotFoundError(
        f"input_catalog_path: {path} is not a catalog: it has no hats.properties, properties, collection.properties "
        "or catalog_info.json"
    )


def require_column(schema: pa.Schema, column: str, role: str, where: AnyPath) -> pa.Field:
    """Field of a column that the catalog's properties name.

    Raises
    ------
    CatalogError
        When the schema has no such column.
    """
    if column not in schema.names:
        raise CatalogError(
            f"{where} names {column!r} as the {role} column, which the catalog does not have; "
            f"its columns are {', '.join(schema.names)}"
        )
    return schema.field(column)


def require_number_column(schema: pa.Schema, column: str, role: str, where: AnyPath) -> None:
    """Check that a column which the catalog's properties name is there and holds numbers.

    Raises
    ------
    CatalogError
        When it is not so.
    """
    from pyarrow import types

    kind = require_column(schema, column, role, where).type
    if not (types.is_floating(kind) or types.is_integer(kind)):
        raise CatalogError(
            f"{where} names {column!r} as the {role} column, which is of type {kind}, not a number"
        )
