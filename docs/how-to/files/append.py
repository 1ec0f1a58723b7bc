"""Append the rows of a night to a HATS catalog.

Usage: python append.py CATALOG NIGHT.parquet

The file has the columns of the catalog without its spatial index. A partition with new rows is written again, or gets
one more file where each partition is a folder of files (npix_suffix="/"). Rows where the catalog has no partition make
new ones.
"""

import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from hats.catalog import PartitionInfo, TableProperties
from hats.io.parquet_metadata import write_parquet_metadata
from hats.io.paths import new_pixel_catalog_file
from hats.pixel_math import HealpixPixel

from skymargin import spatial_index

INDEX_ORDER = 29


def append(catalog: Path, rows: pa.Table, night: str) -> tuple[int, int]:
    """Append rows to a catalog, and return how many of its partitions have grown and how many are new."""
    if not len(rows):
        return 0, 0
    about = TableProperties.read_from_dir(catalog)
    partitions = PartitionInfo.read_from_dir(catalog).get_healpix_pixels()
    schema = pq.read_schema(catalog / "dataset" / "_common_metadata")
    index = spatial_index(rows[about.ra_column], rows[about.dec_column])
    rows = rows.append_column(about.healpix_column, index).select(schema.names).cast(schema)
    rows = rows.sort_by(about.healpix_column)
    changed = []
    for pixel, first, last in slices(rows[about.healpix_column].to_numpy(), partitions):
        add_to_partition(catalog, pixel, rows.slice(first, last - first), about, night)
        changed.append(pixel)
    new = set(changed) - set(partitions)
    # What describes the catalog comes after its data, the properties last.
    info = PartitionInfo.from_healpix([*partitions, *new])
    info.write_to_file(catalog_path=catalog)
    about.copy_and_update(
        total_rows=write_parquet_metadata(catalog),
        hats_order=int(info.get_highest_order()),
        moc_sky_fraction=round(float(info.calculate_fractional_coverage()), 5),
        # Not counted here.
        hats_max_rows=None,
    ).to_properties_file(catalog)
    return len(changed) - len(new), len(new)


def slices(index: np.ndarray, partitions: list[HealpixPixel]) -> Iterator[tuple[HealpixPixel, int, int]]:
    """Yield each pixel that rows sorted by their index belong to, with its first row and the one after its last."""
    known = sorted(partitions, key=lambda pixel: pixel.pixel << 2 * (INDEX_ORDER - pixel.order))
    orders = np.array([pixel.order for pixel in known])
    shifts = 2 * (INDEX_ORDER - orders)
    begins = np.array([pixel.pixel for pixel in known]) << shifts
    at = np.searchsorted(begins, index, side="right") - 1
    is_known = (at >= 0) & (index < begins[at] + (1 << shifts[at]))
    # A new partition is as small as the smallest there is, so that it overlaps none.
    row_orders = np.where(is_known, orders[at], orders.max())
    row_pixels = index >> 2 * (INDEX_ORDER - row_orders)
    is_next = (np.diff(row_orders) != 0) | (np.diff(row_pixels) != 0)
    bounds = [0, *(np.flatnonzero(is_next) + 1).tolist(), len(index)]
    for first, last in pairwise(bounds):
        yield HealpixPixel(int(row_orders[first]), int(row_pixels[first])), first, last


def add_to_partition(
    catalog: Path, pixel: HealpixPixel, rows: pa.Table, about: TableProperties, night: str
) -> None:
    """Write the rows of one partition."""
    suffix = about.npix_suffix
    name = f"{night}.parquet" if suffix == "/" else None
    file = Path(str(new_pixel_catalog_file(catalog, pixel, npix_suffix=suffix, npix_parquet_name=name)))
    if file.exists() and suffix == "/":
        raise FileExistsError(f"{file}: this night was appended before")
    if file.exists():
        rows = pa.concat_tables([pq.ParquetFile(file).read(), rows]).sort_by(about.healpix_column)
    # Written aside and renamed: nobody reads half a file.
    aside = file.with_name(f".{file.name}")
    pq.write_table(rows, aside)
    aside.rename(file)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("Usage: python append.py CATALOG NIGHT.parquet")
    catalog, night = map(Path, sys.argv[1:])
    grown, new = append(catalog, pq.read_table(night), night.stem)
    print(f"{catalog}: {grown} partitions have grown, {new} are new")
