"""Margins of catalogs as they were opened: only the pages that hold rows of margins are read.

A catalog on which nothing was done but opening it, with columns and filters perhaps, is read by the scan of the core
instead of through its partitions. Where LSDB was asked to read in a way that the scan does not know, its partitions are
used as for any other catalog; so is a single partition that the scan refuses, and LSDB reads.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import lsdb
import nested_pandas as npd
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from lsdb.loaders.hats.read_hats import read_pixel
from lsdb.operations.lsdb_ops import FromHealpixMap
from nested_pandas.nestedframe.io import from_pyarrow
from pyarrow.parquet import filters_to_expression

import skymargin._core as _core
from skymargin.arrow.transport import from_transport
from skymargin.catalogs.layout import INDEX_COLUMN, INDEX_ORDER, is_data_file
from skymargin.errors import PartitionReadError, PositionError
from skymargin.lsdb.edges import (
    EdgeRows,
    MarginColumns,
    Memberships,
    NearPixels,
    cover_of,
    edges_of_frame,
    has_numbers,
    positions_of,
)
from skymargin.storage.paths import recorded_path
from skymargin.storage.scan_file import open_scan_file, scan_errors

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from skymargin.storage.paths import AnyPath

# What LSDB passes to the function that reads a partition; a keyword argument of the user comes on top.
_KNOWN = {
    "path_generator",
    "catalog_base_dir",
    "npix_suffix",
    "query_url_params",
    "columns",
    "schema",
    "filters",
    "index_column",
    "is_dir",
}
# The rows of a table before it is filtered.
_ROW = "__skymargin_row"


@dataclass(frozen=True)
class StoredCatalog:
    """The files of a catalog, and what of them LSDB loads.

    Attributes
    ----------
    arguments : dict
        What LSDB passes to the function that reads a partition.
    index : str or None
        The column of the spatial index.
    index_order : int
        Its order.
    """

    arguments: dict[str, Any]
    index: str | None
    index_order: int

    @property
    def schema(self) -> pa.Schema:
        """The schema of its files."""
        return self.arguments["schema"]

    @property
    def loaded(self) -> list[str] | None:
        """The columns to load, in their order; None for all."""
        columns = self.arguments["columns"]
        return None if columns is None else list(columns)

    @property
    def filters(self) -> list[Any] | None:
        """Which rows to load, in the disjunctive normal form of pyarrow."""
        filters: list[Any] | None = self.arguments["filters"]
        return filters

    @property
    def frame_index(self) -> str | None:
        """The column that becomes the index of a frame."""
        name: str | None = self.arguments["index_column"]
        return name

    def load(self, pixel: Any) -> npd.NestedFrame:
        """All rows of a partition, as LSDB loads them."""
        return read_pixel(pixel, **self.arguments)

    def files(self, pixel: Any) -> list[AnyPath]:
        """The files of a partition, in the order in which its rows are loaded."""
        # A folder of files has the suffix `/`.
        suffix = self.arguments["npix_suffix"]
        path_of, folder = self.arguments["path_generator"], self.arguments["catalog_base_dir"]
        path = recorded_path(path_of(folder, pixel, None, suffix))
        if suffix != "/":
            return [path]
        inside: list[AnyPath] = [file for file in path.iterdir() if is_data_file(file.name, "")]
        return sorted(inside, key=lambda file: str(file.name))

    @cached_property
    def frame_columns(self) -> list[str]:
        """The columns of the table that becomes a frame."""
        loaded, index = self.loaded, self.frame_index
        if loaded is None:
            return list(self.schema.names)
        is_added = index is not None and index in self.schema.names and index not in loaded
        return [*loaded, *([index] if is_added and index is not None else [])]

    @cached_property
    def filtered_columns(self) -> list[str]:
        """The columns that filters need, and that are not loaded."""
        names = dict.fromkeys(name for name, _, _ in _conditions(self.filters))
        return [name for name in names if name not in self.frame_columns]

    def frame(self, table: pa.Table) -> npd.NestedFrame:
        """Rows as the frame that LSDB makes of them."""
        frame = from_pyarrow(table.select(self.frame_columns).replace_schema_metadata(self._metadata))
        if frame.index.name != self.frame_index and self.frame_index in frame.columns:
            frame = frame.set_index(self.frame_index)
        return npd.NestedFrame(frame)

    @property
    def _metadata(self) -> dict[bytes, bytes] | None:
        # pyarrow keeps it when it reads all columns.
        metadata: dict[bytes, bytes] | None = self.schema.metadata if self.loaded is None else None
        return metadata


@dataclass(frozen=True)
class CatalogReader:
    """Reads the rows of margins from the files of a catalog; the same object serves all tasks of a process.

    Attributes
    ----------
    columns : MarginColumns
        The columns that decide.
    stored : StoredCatalog
        The files.
    """

    columns: MarginColumns
    stored: StoredCatalog

    @cached_property
    def schema(self) -> pa.Schema:
        """The schema of what is read: the columns of the frame, those of filters, and those that decide."""
        stored = self.stored
        deciding = [name for name in (self.columns.ra, self.columns.dec, stored.index) if name is not None]
        names = dict.fromkeys([*stored.frame_columns, *stored.filtered_columns, *deciding])
        return pa.schema([stored.schema.field(name) for name in names])

    @cached_property
    def scanner(self) -> _core.Scanner:
        """What opens files."""
        stored = self.stored
        return _core.Scanner(
            _core.transport_schema(self.schema),
            ra_column=self.columns.ra,
            dec_column=self.columns.dec,
            index_column=stored.index,
            index_order=stored.index_order,
            other_columns=True,
        )

    def __getstate__(self) -> dict[str, Any]:
        # A scanner cannot be pickled; each process makes its own.
        return {name: value for name, value in vars(self).items() if name != "scanner"}


def stored_catalog(catalog: Any) -> StoredCatalog | None:
    """The files of a catalog of LSDB, when its partitions are what was read from them; None for any other catalog."""
    operation = catalog._operation
    if not (
        isinstance(operation, FromHealpixMap) and operation.func is read_pixel and not operation.map_kwargs
    ):
        return None
    given = operation.kwargs
    usual_path = inspect.signature(lsdb.open_catalog).parameters["path_generator"].default
    if operation.args or set(given) - _KNOWN or given["path_generator"] is not usual_path:
        return None
    schema, loaded, filters = given["schema"], given["columns"], given["filters"]
    names = schema.names
    if len(set(names)) < len(names) or not set(loaded or ()) <= set(names):
        # A part of a nested column is loaded.
        return None
    if filters is not None and not (
        _is_normal_form(filters) and {n for n, _, _ in _conditions(filters)} <= set(names)
    ):
        return None
    info = catalog.hc_structure.catalog_info
    # LSDB also reads catalogs whose index is stored as another type; there coordinates decide.
    integers = {field.name for field in schema if pa.types.is_integer(field.type)}
    index = next((name for name in (info.healpix_column, INDEX_COLUMN) if name in integers), None)
    is_named = index is not None and index == info.healpix_column and info.healpix_order is not None
    return StoredCatalog(dict(given), index, info.healpix_order if is_named else INDEX_ORDER)


def edges_of_files(
    reader: CatalogReader, pixel: Any, near_orders: NDArray[Any], near_pixels: NDArray[Any]
) -> EdgeRows:
    """The rows of a partition's files that belong to margins of the near pixels, filtered and with the loaded columns.

    Raises
    ------
    PartitionReadError
        When a file cannot be read. Names the file.
    PositionError
        When rows have no position, or another than their index or partition says.
    """
    near = (near_orders, near_pixels)
    try:
        return _edges_of_pages(reader, pixel, near)
    except PositionError:
        # The scan decides before it filters: perhaps these rows are left out.
        if reader.stored.filters is None:
            raise
        frame = reader.stored.load(pixel)
    except PartitionReadError:
        loaded = _loaded_if_other(reader, pixel)
        if loaded is None:
            raise
        frame = loaded
    return edges_of_frame(reader.columns, frame, (int(pixel.order), int(pixel.pixel)), *near)


def _edges_of_pages(reader: CatalogReader, pixel: Any, near: NearPixels) -> EdgeRows:
    """What `edges_of_files` returns, from the pages that hold rows of margins."""
    columns, stored = reader.columns, reader.stored
    source = (int(pixel.order), int(pixel.pixel))
    tables, members, first_row = [], [], 0
    with positions_of(columns, source), scan_errors():
        files = [open_scan_file(reader.scanner, path) for path in stored.files(pixel)]
        row_count = sum(file.rows for file in files)
        cover = cover_of(source, near, columns.threshold_arcsec, row_count, stored.index_order)
        for file in files:
            for rows, found in file.scan(cover, first_row):
                tables.append(rows)
                members.append(found)
            first_row += file.rows
    table = pa.Table.from_batches(tables, _core.transport_schema(reader.schema))
    firsts = np.cumsum([0, *(len(batch) for batch in tables)])[:-1]
    place = _joined(
        [found.column("position").to_numpy() + first for found, first in zip(members, firsts, strict=True)]
    )
    order, margin, index = (
        _joined([found.column(name).to_numpy() for found in members])
        for name in ("margin_order", "margin_pixel", "index")
    )
    index_of_row = np.zeros(len(table), np.int64)
    index_of_row[place] = index.astype(np.int64)

    belonging = Memberships.near(place, order, margin, near)
    kept = np.unique(belonging.rows)
    if stored.filters is not None:
        kept = np.intersect1d(kept, _rows_within(table, stored.filters), assume_unique=True)
        passed = np.isin(belonging.rows, kept)
        belonging = Memberships(belonging.rows[passed], belonging.starts[passed])
    frame = stored.frame(from_transport(table.take(pa.array(kept)), reader.schema))
    return belonging.edge_rows(frame, index_of_row[kept], kept, is_numbered=has_numbers(frame))


def _loaded_if_other(reader: CatalogReader, pixel: Any) -> npd.NestedFrame | None:
    """The rows of a partition whose files have other columns than the schema, if LSDB can load them."""
    try:
        for path in reader.stored.files(pixel):
            with path.open("rb") as file:
                types = {field.name: field.type for field in pq.read_schema(file)}
            if any(types.get(field.name) != field.type for field in reader.schema):
                return reader.stored.load(pixel)
    except (OSError, ValueError, TypeError, pa.ArrowException):
        # The error of the scan says what is wrong, and with which file.
        return None
    return None


def _rows_within(table: pa.Table, filters: list[Any]) -> NDArray[np.int64]:
    """The rows of a table that filters let through, sorted."""
    names = list(dict.fromkeys(name for name, _, _ in _conditions(filters)))
    numbered = table.select(names).append_column(_ROW, pa.array(np.arange(len(table))))
    rows: NDArray[np.int64] = numbered.filter(filters_to_expression(filters)).column(_ROW).to_numpy()
    return rows


def _is_normal_form(filters: Any) -> bool:
    """Whether filters are conditions, or lists of them; pyarrow also takes expressions."""
    if not isinstance(filters, list) or not filters:
        return False
    alternatives = filters if isinstance(filters[0], list) else [filters]
    return all(
        isinstance(condition, tuple) and len(condition) == 3 and isinstance(condition[0], str)
        for alternative in alternatives
        for condition in alternative
    )


def _conditions(filters: list[Any] | None) -> Iterator[tuple[str, str, Any]]:
    """The conditions of filters: column, operator, value."""
    for alternative in filters or ():
        if isinstance(alternative, list):
            yield from alternative
        else:
            yield alternative


def _joined(parts: Sequence[NDArray[Any]]) -> NDArray[Any]:
    return np.concatenate(parts) if parts else np.empty(0, np.int64)
