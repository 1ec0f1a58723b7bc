"""Write a HATS catalog from a table in memory, with adaptive partitions of one file each."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import skymargin._core as _core
from skymargin.catalogs.layout import INDEX_COLUMN, INDEX_ORDER
from skymargin.geometry.adaptive import adaptive_partitions
from skymargin.storage.paths import expanded

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from pyarrow import Table


def write_catalog(
    table: Table,
    catalog_path: str | Path,
    *,
    ra_column: str = "ra",
    dec_column: str = "dec",
    rows_per_partition: int = 1_000_000,
) -> list[tuple[int, int]]:
    """Write a table of positions as a HATS object catalog.

    Rows are sorted by their spatial index, which becomes the first column. A partition is the largest HEALPix pixel
    with at most `rows_per_partition` rows; pixels without rows have no file. The properties are written last, so that
    an interrupted write leaves no valid catalog.

    Parameters
    ----------
    table : pyarrow.Table
        The rows, with right ascension and declination in degrees.
    catalog_path : str or Path
        The directory to create; its last part is the catalog's name. It must not exist, or be empty.
    ra_column, dec_column : str
        The names of the coordinate columns.
    rows_per_partition : int
        Largest number of rows in a partition.

    Returns
    -------
    list of (int, int)
        Order and pixel of each partition, in nested order.

    Raises
    ------
    ValueError
        If the table has no rows, lacks a coordinate column or already has one named ``_healpix_29``; if a
        coordinate is not on the sphere; if more than `rows_per_partition` rows share one pixel of order 29.
    FileExistsError
        If the directory holds files.
    """
    import pyarrow as pa

    import skymargin._core as _core

    catalog_path = Path(expanded(catalog_path))
    _refuse_unusable(table, catalog_path, ra_column, dec_column, rows_per_partition)
    index = _core.spatial_index(_column(table, ra_column), _column(table, dec_column), INDEX_ORDER).to_numpy()
    # A stable sort keeps the order of rows with the same index value.
    by_sky = np.argsort(index, kind="stable")
    index = index[by_sky]
    orders, pixels, rows = adaptive_partitions(index, rows_per_partition, argument="rows_per_partition")
    partitions = list(zip(orders.tolist(), pixels.tolist(), strict=True))
    indexed = table.take(pa.array(by_sky)).add_column(0, INDEX_COLUMN, pa.array(index))
    starts = np.cumsum(rows) - rows
    for (order, pixel), start, count in zip(partitions, starts.tolist(), rows.tolist(), strict=True):
        _write_partition(indexed.slice(start, count), catalog_path, order, pixel)
    _finish(catalog_path, partitions, indexed.num_rows, ra_column, dec_column, rows_per_partition)
    return partitions


def _refuse_unusable(
    table: Table, catalog_path: Path, ra_column: str, dec_column: str, rows_per_partition: int
) -> None:
    for column in (ra_column, dec_column):
        if column not in table.column_names:
            raise ValueError(f"the table has no column {column!r}; it has {', '.join(table.column_names)}")
    if INDEX_COLUMN in table.column_names:
        raise ValueError(f"the table already has a column {INDEX_COLUMN!r}, the name of the spatial index")
    if table.num_rows == 0:
        raise ValueError("the table has no rows: a catalog needs at least one")
    if rows_per_partition < 1:
        raise ValueError(f"rows_per_partition {rows_per_partition} is not allowed: it must be at least 1")
    if catalog_path.exists() and any(catalog_path.iterdir()):
        raise FileExistsError(f"{catalog_path} holds files: a catalog is written to a new directory")


def _column(table: Table, name: str) -> NDArray[np.float64]:
    return np.asarray(table.column(name).to_numpy(), dtype=np.float64)


def _write_partition(rows: Table, catalog_path: Path, order: int, pixel: int) -> None:
    import pyarrow.parquet as pq
    from hats.io.file_io.file_io import get_parquet_write_table_kwargs
    from hats.io.paths import new_pixel_catalog_file
    from hats.pixel_math.healpix_pixel import HealpixPixel

    path = new_pixel_catalog_file(catalog_path, HealpixPixel(order, pixel))
    pq.write_table(rows, str(path), **get_parquet_write_table_kwargs(rows.schema))


def _finish(
    catalog_path: Path,
    partitions: list[tuple[int, int]],
    rows: int,
    ra_column: str,
    dec_column: str,
    rows_per_partition: int,
) -> None:
    from hats.catalog.dataset.table_properties import TableProperties
    from hats.catalog.partition_info import PartitionInfo
    from hats.io.parquet_metadata import write_parquet_metadata
    from hats.pixel_math.healpix_pixel import HealpixPixel

    written = write_parquet_metadata(catalog_path)
    if written != rows:
        raise OSError(f"{catalog_path}: the files hold {written} rows, the table {rows}")
    info = PartitionInfo.from_healpix([HealpixPixel(order, pixel) for order, pixel in partitions])
    info.write_to_file(catalog_path=catalog_path)
    TableProperties(
        catalog_name=catalog_path.name,
        catalog_type="object",
        total_rows=rows,
        ra_column=ra_column,
        dec_column=dec_column,
        healpix_column=INDEX_COLUMN,
        healpix_order=INDEX_ORDER,
        hats_max_rows=rows_per_partition,
        hats_order=max(order for order, _ in partitions),
        moc_sky_fraction=f"{info.calculate_fractional_coverage():0.5f}",
        **TableProperties.new_provenance_dict(catalog_path, builder=f"skymargin v{_core.VERSION}"),
    ).to_properties_file(catalog_path)
