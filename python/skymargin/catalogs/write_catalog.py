"""Write a HATS catalog from a table in memory, with adaptive partitions of one file each."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

import skymargin._core as _core
from skymargin._core import CoordinateError
from skymargin.arrow.transport import from_transport, to_transport
from skymargin.catalogs.layout import INDEX_COLUMN, INDEX_ORDER
from skymargin.catalogs.properties import BUILDER, OWN_PROPERTIES
from skymargin.catalogs.tables import arrow_table
from skymargin.errors import StorageError
from skymargin.geometry.adaptive import adaptive_partitions
from skymargin.geometry.column_names import in_names_of
from skymargin.storage.paths import as_path

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

_OWN_PROPERTIES = OWN_PROPERTIES | {"hats_max_rows"}


def write_catalog(
    table: Any,
    catalog_path: str | os.PathLike[str],
    *,
    ra_column: str = "ra",
    dec_column: str = "dec",
    rows_per_partition: int = 1_000_000,
    sort_columns: Sequence[str] = (),
    catalog_type: Literal["object", "source"] = "object",
    properties: Mapping[str, Any] | None = None,
) -> list[tuple[int, int]]:
    """Write a table of positions as a HATS catalog.

    Rows are sorted by their spatial index, which becomes the first column. A partition is the largest HEALPix pixel
    with at most `rows_per_partition` rows; pixels without rows have no file. The properties are written last, so that
    an interrupted write leaves no valid catalog. The table is held in memory: for catalogs that do not fit, use
    hats-import.

    Parameters
    ----------
    table : polars, pandas, pyarrow or astropy table, or dict of columns
        The rows, with right ascension and declination in degrees; angles of astropy in other units are converted. Any
        table with the Arrow PyCapsule interface is accepted, and a LazyFrame of polars is collected. The index of a
        pandas frame becomes a column if it has a name. Masked values of astropy become nulls, and units are kept as
        metadata of the columns, `unit`.
    catalog_path : str or path
        The folder to create; its last part is the catalog's name. It must not exist, or be empty.
    ra_column, dec_column : str
        The names of the coordinate columns.
    rows_per_partition : int
        Largest number of rows in a partition.
    sort_columns : sequence of str
        Columns by which rows of the same spatial index are sorted, such as the time of the observations of a source;
        default: rows keep their order.
    catalog_type : str
        ``object``, or ``source`` for a catalog of several observations of each object.
    properties : dict
        Further properties of the catalog, such as ``{"hats_cols_default": "id ra dec"}``.

    Returns
    -------
    list of (int, int)
        Order and pixel of each partition, in nested order.

    Raises
    ------
    TypeError
        If `table` is no table, or a column has a type that Arrow does not have; names the column.
    CoordinateError
        If a coordinate is null or not on the sphere; names the columns and the row.
    ValueError
        If the table has no rows, lacks a column, has coordinates that are no numbers, or already has a column named
        ``_healpix_29``; if more than `rows_per_partition` rows share one pixel of order 29; if an argument is not
        allowed.
    FileExistsError
        If the folder holds files.
    StorageError
        If a file cannot be written.

    Examples
    --------
    >>> from skymargin import write_catalog
    >>> stars = {"id": [1, 2, 3], "RA": [10.0, 11.0, 200.0], "DE": [1.0, 2.0, 3.0]}
    >>> write_catalog(stars, "stars", ra_column="RA", dec_column="DE", rows_per_partition=2)  # doctest: +SKIP
    [(0, 4), (0, 6)]
    """
    import pyarrow as pa

    folder = as_path(catalog_path, "catalog_path")
    if not isinstance(folder, Path):
        raise ValueError(
            f"catalog_path {catalog_path} is not allowed: a catalog is written to a local folder"
        )
    folder = folder.absolute()
    rows = arrow_table(table, degrees=(ra_column, dec_column))
    _check_arguments(folder, rows_per_partition, catalog_type, properties or {})
    _check_columns(rows, ra_column, dec_column, sort_columns)
    index = _spatial_index(rows, ra_column, dec_column)
    by_sky = _order_of_rows(rows, index, sort_columns)
    index = index[by_sky]
    orders, pixels, counts = adaptive_partitions(index, rows_per_partition, argument="rows_per_partition")
    partitions = list(zip(orders.tolist(), pixels.tolist(), strict=True))
    indexed = _take(rows, pa.array(by_sky)).add_column(0, INDEX_COLUMN, pa.array(index))
    starts = np.cumsum(counts) - counts
    about = {
        "catalog_type": catalog_type,
        "ra_column": ra_column,
        "dec_column": dec_column,
        "hats_max_rows": rows_per_partition,
        **(properties or {}),
    }
    try:
        for (order, pixel), start, count in zip(partitions, starts.tolist(), counts.tolist(), strict=True):
            _write_partition(indexed.slice(start, count), folder, order, pixel)
        _finish(folder, partitions, indexed.num_rows, about)
    except OSError as error:
        # That of a full disk names no file.
        raise StorageError(f"the catalog {folder} cannot be written: {error}") from error
    return partitions


def _check_arguments(
    folder: Path, rows_per_partition: int, catalog_type: str, properties: Mapping[str, Any]
) -> None:
    if not isinstance(rows_per_partition, Integral) or rows_per_partition < 1:
        raise ValueError(
            f"rows_per_partition {rows_per_partition!r} is not allowed: it must be a whole number, at least 1"
        )
    if catalog_type not in ("object", "source"):
        raise ValueError(f"catalog_type {catalog_type!r} is not allowed: it must be object or source")
    if not isinstance(properties, Mapping):
        raise TypeError(f"properties must be a dict, not {properties!r}")
    for key in properties:
        if key in _OWN_PROPERTIES:
            raise ValueError(f"properties must not contain {key!r}: the catalog sets it")
        if not isinstance(key, str) or not re.fullmatch(r"[A-Za-z0-9_.-]+", key):
            raise ValueError(f"properties: {key!r} is not the name of a property")
    if folder.exists() and not folder.is_dir():
        raise FileExistsError(f"{folder} is a file: a catalog is written to a new folder")
    if folder.exists() and any(folder.iterdir()):
        raise FileExistsError(f"{folder} holds files: a catalog is written to a new folder")


def _check_columns(rows: pa.Table, ra_column: str, dec_column: str, sort_columns: Sequence[str]) -> None:
    from pyarrow import types

    names = rows.column_names
    if names and rows.num_rows == 0:
        # Before the types: columns without values have none.
        raise ValueError("the table has no rows: a catalog needs at least one")
    if isinstance(sort_columns, str):
        raise ValueError(f"sort_columns {sort_columns!r} is not allowed: it must be a list of columns")
    for argument, name in (
        ("ra_column", ra_column),
        ("dec_column", dec_column),
        *(("sort_columns", name) for name in sort_columns),
    ):
        if name not in names:
            raise ValueError(
                f"{argument}: the table has no column {name!r}; it has {', '.join(names) or 'none'}"
            )
        if names.count(name) > 1:
            raise ValueError(f"{argument}: the table has {names.count(name)} columns {name!r}")
    for argument, name in (("ra_column", ra_column), ("dec_column", dec_column)):
        kind = rows.schema.field(name).type
        if not (types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind)):
            raise ValueError(f"{argument} {name!r} is of type {kind}: it must have numbers, in degrees")
    if INDEX_COLUMN in names:
        raise ValueError(f"the table already has a column {INDEX_COLUMN!r}, the name of the spatial index")


def _spatial_index(rows: pa.Table, ra_column: str, dec_column: str) -> NDArray[np.int64]:
    import pyarrow as pa

    ra_deg, dec_deg = (rows.column(name).cast(pa.float64(), safe=False) for name in (ra_column, dec_column))
    for name, column in ((ra_column, ra_deg), (dec_column, dec_deg)):
        if column.null_count:
            first = column.is_null().to_numpy().argmax()
            raise CoordinateError(
                f"{column.null_count} of {len(column)} rows have a null for {name}, the first is row {first}: every "
                "row needs a position"
            )
    with in_names_of(ra_column, dec_column):
        index: NDArray[np.int64] = _core.spatial_index(ra_deg, dec_deg, INDEX_ORDER).to_numpy()
    return index


def _order_of_rows(
    rows: pa.Table, index: NDArray[np.int64], sort_columns: Sequence[str]
) -> NDArray[np.int64]:
    """Numbers of the rows in the order of the catalog; both sorts are stable."""
    import pyarrow as pa

    if not sort_columns:
        return np.argsort(index, kind="stable")
    import pyarrow.compute as pc

    keys = rows.select(list(dict.fromkeys(sort_columns))).append_column(INDEX_COLUMN, pa.array(index))
    by = [(name, "ascending") for name in (INDEX_COLUMN, *keys.column_names[:-1])]
    try:
        return np.asarray(pc.sort_indices(keys, sort_keys=by), dtype=np.int64)
    except (pa.ArrowNotImplementedError, pa.ArrowTypeError, pa.ArrowInvalid) as error:
        kinds = ", ".join(
            f"{field.name} of type {field.type}" for field in keys.schema if field.name != INDEX_COLUMN
        )
        raise ValueError(f"rows cannot be sorted by sort_columns, {kinds}: {error}") from error


def _take(rows: pa.Table, numbers: pa.Array) -> pa.Table:
    import pyarrow as pa

    try:
        return rows.take(numbers)
    except pa.ArrowNotImplementedError:
        # pyarrow cannot take rows of views.
        return from_transport(to_transport(rows).take(numbers), rows.schema)


def _write_partition(rows: pa.Table, catalog_path: Path, order: int, pixel: int) -> None:
    import pyarrow.parquet as pq
    from hats.io.file_io.file_io import get_parquet_write_table_kwargs
    from hats.io.paths import new_pixel_catalog_file
    from hats.pixel_math.healpix_pixel import HealpixPixel

    path = new_pixel_catalog_file(catalog_path, HealpixPixel(order, pixel))
    pq.write_table(rows, str(path), **get_parquet_write_table_kwargs(rows.schema))


def _finish(folder: Path, partitions: list[tuple[int, int]], rows: int, about: Mapping[str, Any]) -> None:
    from hats.catalog.dataset.table_properties import TableProperties
    from hats.catalog.partition_info import PartitionInfo
    from hats.io.parquet_metadata import write_parquet_metadata
    from hats.pixel_math.healpix_pixel import HealpixPixel

    written = write_parquet_metadata(folder)
    if written != rows:
        raise OSError(f"{folder}: the files hold {written} rows, the table {rows}")
    info = PartitionInfo.from_healpix([HealpixPixel(order, pixel) for order, pixel in partitions])
    info.write_to_file(catalog_path=folder)
    own = {
        "catalog_name": folder.name,
        "total_rows": rows,
        "healpix_column": INDEX_COLUMN,
        "healpix_order": INDEX_ORDER,
        "hats_order": max(order for order, _ in partitions),
        "moc_sky_fraction": f"{info.calculate_fractional_coverage():0.5f}",
        **TableProperties.new_provenance_dict(folder, builder=BUILDER),
    }
    TableProperties(**{**own, **about}).to_properties_file(folder)
