"""Primary catalogs, whatever their format: opened strictly, so that what a margin cannot be made of is refused.

Each format is a module with the functions of `Format`. `folder` inspects catalogs leniently, for audits and pictures.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol, cast

from skymargin.arrow.kinds import INTEGERS, NUMBERS, Kind, kind_of
from skymargin.catalogs.layout import INDEX_ORDER, Pixel
from skymargin.catalogs.output_options import OutputOptions
from skymargin.catalogs.suggestions import enclosing_catalog, no_catalog
from skymargin.errors import ArgumentError, CatalogError, CatalogNotFoundError, SkymarginError
from skymargin.storage.paths import AnyPath, exists, names_in

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from skymargin.catalogs.leaf_paths import PartitionPaths
    from skymargin.catalogs.metadata_file import RowGroups

# The first one that recognises a folder opens it: HATS also recognises a mere list of partitions.
FORMATS = ("hipscat", "hats")
# All powers of ten up to this one are exact as float64, so that decimals with as many places become the nearest one.
LARGEST_SCALE = 22


@dataclass(frozen=True)
class SpatialColumns:
    """The columns of a row's position.

    Attributes
    ----------
    ra, dec : str
        Columns of the coordinates in degrees.
    index : str or None
        Column of the spatial index; None when the catalog has none, and it is computed from ra and dec.
    index_order : int
        HEALPix order of that column; 29 for a computed index.
    index_shift : int
        Number of low bits of that column that are not part of the pixel.
    """

    ra: str
    dec: str
    index: str | None
    index_order: int
    index_shift: int = 0


@dataclass(frozen=True)
class StatedRows:
    """A number of rows that a file of a catalog states.

    Attributes
    ----------
    file : Path or UPath
        The file.
    rows : int
        The number.
    key : str
        Its key in the file; empty for the sum in `_metadata`.
    """

    file: AnyPath
    rows: int
    key: str = ""

    def __str__(self) -> str:
        return (
            f"{self.file} says {self.key}={self.rows}"
            if self.key
            else f"{self.file} has {self.rows} row{'s' * (self.rows != 1)}"
        )


@dataclass(frozen=True)
class Catalog:
    """A primary catalog.

    Attributes
    ----------
    path : Path or UPath
        Its folder; of a collection, the folder of the primary catalog.
    format : str
        Name of the module of this package that reads and writes its format.
    columns : SpatialColumns
        The columns of its rows' positions.
    schema : pyarrow.Schema
        Types, order and metadata of its columns.
    orders, pixels : numpy.ndarray
        Its partitions, uint8 and uint64, in the order in which they are listed.
    files : list of tuple of str
        The files of each partition, relative to `root`, in the order in which their rows are numbered.
    size_bytes : numpy.ndarray
        The total size of each partition's files, int64.
    listed_in : Path or UPath
        The file (or folder) that lists the partitions.
    stated_rows : list of StatedRows
        The numbers of rows that its files state.
    file_sizes : list of tuple of int
        The size of each of these files, of a catalog on a server; empty for one on a disk.
    file_marks : dict of str to str
        What the listing of a store says of each file besides its size, that tells versions apart; by path relative to
        `root`.
    elsewhere : Path or UPath, or None
        The folder that `files` are relative to, where these are not where the format has them.
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
    file_sizes: list[tuple[int, ...]] = field(default_factory=list, repr=False)
    file_marks: dict[str, str] = field(default_factory=dict, repr=False)
    elsewhere: AnyPath | None = None

    @property
    def root(self) -> AnyPath:
        """The folder that its files are relative to: `path`, unless they lie elsewhere."""
        return self.path if self.elsewhere is None else self.elsewhere

    @property
    def partitions(self) -> list[Pixel]:
        """Order and pixel of its partitions, in the order in which they are listed."""
        return list(zip(self.orders.tolist(), self.pixels.tolist(), strict=True))

    def sizes_of(self, number: int) -> tuple[int | None, ...]:
        """The sizes of the files of a partition, given by its number, as they were listed; None for those on a disk."""
        return self.file_sizes[number] if self.file_sizes else (None,) * len(self.files[number])

    def with_partitions(self, numbers: Sequence[int]) -> Catalog:
        """The catalog with some of its partitions only, given by their numbers. It states no number of rows."""
        chosen = list(numbers)
        return replace(
            self,
            orders=self.orders[chosen],
            pixels=self.pixels[chosen],
            files=[self.files[number] for number in chosen],
            size_bytes=self.size_bytes[chosen],
            stated_rows=[],
            file_sizes=[self.file_sizes[number] for number in chosen] if self.file_sizes else [],
        )

    def overlapping(self, pixels: Sequence[Pixel]) -> Catalog:
        """The catalog with only the partitions that overlap one of some pixels; without pixels, all of it.

        Raises
        ------
        ArgumentError
            When no partition does.
        """
        import numpy as np

        if not pixels:
            return self
        shift = 2 * (INDEX_ORDER - self.orders.astype(np.uint64))
        start, stop = self.pixels << shift, (self.pixels + np.uint64(1)) << shift
        chosen = np.zeros(len(start), dtype=bool)
        for order, pixel in pixels:
            below = 2 * (INDEX_ORDER - order)
            chosen |= (start < (pixel + 1) << below) & (pixel << below < stop)
        if not chosen.any():
            raise ArgumentError(
                f"debug_filter_pixel_list {list(pixels)} overlaps no partition of the catalog {self.path}"
            )
        return self.with_partitions(np.flatnonzero(chosen).tolist())


@dataclass(frozen=True)
class MarginContents:
    """What the metadata of a finished margin catalog states.

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
        Their row groups in the same order, with the paths of their files; an item may hold those of several partitions.
    options : OutputOptions
        The options of its files.
    bytes_elsewhere : int
        Bytes of partitions that are not in the folder in which its metadata is written, but in the one that it will be
        published to.
    marks_folder : Path or UPath, or None
        Folder for the files that make it a catalog, when they are not to be among the others yet.
    """

    name: str
    margin_threshold_arcsec: float
    rows: int
    orders: np.ndarray
    pixels: np.ndarray
    row_groups: list[RowGroups]
    options: OutputOptions = field(default_factory=OutputOptions)
    bytes_elsewhere: int = 0
    marks_folder: AnyPath | None = None


class Format(Protocol):
    """The functions that a module of this package has for its format."""

    def is_catalog(self, path: AnyPath, names: frozenset[str] | None) -> bool:
        """Whether the folder, with what `names_in` returned for it, looks like a catalog, complete or not."""

    def open_catalog(
        self, path: AnyPath, names: frozenset[str] | None, paths: PartitionPaths | None
    ) -> Catalog:
        """Read all metadata of a catalog, and no rows; `paths` gives the paths of partitions, if not the format."""

    def margin_file(self, order: int, pixel: int) -> str:
        """Path of a margin partition's file inside the margin catalog."""

    def margin_schema(self, schema: pa.Schema) -> pa.Schema:
        """Schema of the margin of a catalog with this schema."""

    def pixel_columns(self, schema: pa.Schema) -> tuple[int, int, int] | None:
        """Positions of the columns of order, directory and pixel, which in a margin name the margin's own pixel.

        None when the format has none. A margin of a format that has them gets three more columns, for the partition
        that each row comes from.
        """

    def write_options(self, schema: pa.Schema, overrides: Mapping[str, Any]) -> dict[str, Any]:
        """Keyword arguments of `pyarrow.parquet.write_table` for a file of the format, with `overrides` in place."""

    def finish_margin(self, folder: AnyPath, catalog: Catalog, contents: MarginContents) -> None:
        """Write the metadata files of a margin catalog whose partitions are written, and its properties last.

        Parameters
        ----------
        folder
            The margin catalog.
        catalog
            Its primary catalog.
        contents
            The contents of the margin catalog.
        """


def format_named(name: str) -> Format:
    """The module of one format."""
    return cast(Format, importlib.import_module(f"skymargin.catalogs.{name}"))


def open_catalog(path: AnyPath, paths: PartitionPaths | None = None) -> Catalog:
    """Open a catalog, or the primary catalog of a collection.

    `paths` gives the paths of its partitions, where the format does not.

    Raises
    ------
    CatalogNotFoundError
        When there is nothing at `path`, or no catalog of a known format.
    CatalogError
        When the catalog is not complete or contradicts itself.
    """
    try:
        # One listing instead of a question for each file.
        names = names_in(path)
        if names is not None and not names and not exists(path):
            raise CatalogNotFoundError(f"input_catalog_path: there is nothing at {path}")
        if enclosing_catalog(path) is not None:
            raise no_catalog(path, "input_catalog_path")
        for name in FORMATS:
            known = format_named(name)
            if known.is_catalog(path, names):
                return known.open_catalog(path, names, paths)
    except SkymarginError:
        raise
    except OSError as error:
        raise CatalogError(f"{path} cannot be read: {error}") from error
    raise no_catalog(path, "input_catalog_path")


def require_column(schema: pa.Schema, column: str, role: str, where: AnyPath) -> pa.Field:
    """Field of a column that a catalog's properties name.

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


def require_numbers(
    schema: pa.Schema, column: str, role: str, where: AnyPath, *, integer: bool = False
) -> None:
    """Check that a column which a catalog's properties name exists and holds numbers that the core reads, or integers.

    Raises
    ------
    CatalogError
        When it does not.
    """
    data_type = require_column(schema, column, role, where).type
    kind = kind_of(data_type)
    if kind is Kind.DECIMAL:
        is_read = data_type.bit_width <= 128 and 0 <= data_type.scale <= LARGEST_SCALE
        allowed = f"a decimal of at most 128 bits and 0 to {LARGEST_SCALE} places"
    else:
        is_read, allowed = kind in NUMBERS, "a number"
    if integer:
        is_read, allowed = kind in INTEGERS, "integer"
    if not is_read:
        raise CatalogError(
            f"{where} names {column!r} as the {role} column, which is of type {data_type}, not {allowed}"
        )
