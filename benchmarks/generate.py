"""Writing generated HATS catalogs to disk.

A catalog is made once and kept in the cache folder under a name that says what it is. Its files depend on the
seed alone, never on the number of threads. The properties are written last, so a catalog that exists is
complete.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.columns import MAKERS, Rows
from benchmarks.healpix_plane import Floats, Integers, coordinates_deg, pixel_points
from benchmarks.layouts import writer_options
from benchmarks.partitions import Partitions, adaptive_partitions, first_index
from benchmarks.sky import galactic_positions

CACHE = Path(os.environ.get("SKYMARGIN_BENCHMARKS_CACHE", Path(__file__).parent / ".cache"))
SEED = 20261101


@dataclass(frozen=True)
class CatalogSpec:
    """What a generated catalog is: its columns, rows, wanted partitions, layout and seed."""

    columns: str
    rows: int
    partitions: int
    layout: str = "today"
    seed: int = SEED

    @property
    def name(self) -> str:
        """The catalog's name, and its folder's."""
        return f"{self.columns}_{self.rows}_rows_{self.partitions}_partitions_{self.layout}_{self.seed}"


@dataclass(frozen=True)
class OnePartitionSpec:
    """A catalog of one partition with a known number of rows near its border.

    `border_rows` rows lie `border_distance_arcsec` inside the middle part of one edge, all others far from
    every edge.
    """

    columns: str = "light_curves"
    rows: int = 13_700
    border_rows: int = 15
    border_distance_arcsec: float = 4.0
    order: int = 3
    pixel: int = 300
    layout: str = "today"
    seed: int = SEED

    @property
    def name(self) -> str:
        """The catalog's name, and its folder's."""
        return f"one_partition_{self.columns}_{self.rows}_rows_{self.layout}_{self.seed}"


@dataclass
class Catalog:
    """A catalog on disk."""

    path: Path
    rows: int
    partitions: Partitions = field(repr=False)

    def file_path(self, order: int, pixel: int) -> Path:
        """The Parquet file of a partition."""
        return self.path / relative_path(order, pixel)

    def files(self) -> list[Path]:
        """The Parquet files of all partitions, in the order of the sky."""
        return [self.file_path(*partition) for partition in self.partitions]

    def size_bytes(self) -> int:
        """Bytes of all partitions' files."""
        return sum(file.stat().st_size for file in self.files())


def relative_path(order: int, pixel: int) -> Path:
    """Path of a partition's file inside its catalog."""
    return Path("dataset", f"Norder={order}", f"Dir={pixel // 10_000 * 10_000}", f"Npix={pixel}.parquet")


def spatial_index(ra_deg: Floats, dec_deg: Floats) -> Integers:
    """Nested pixel numbers at order 29, by the cdshealpix package that hats itself uses."""
    from hats.pixel_math.spatial_index import compute_spatial_index

    return np.asarray(compute_spatial_index(ra_deg, dec_deg), dtype=np.int64)


def generate(spec: CatalogSpec | OnePartitionSpec, cache: Path = CACHE, threads: int = 2) -> Catalog:
    """The catalog of a specification, made if the cache does not hold it yet."""
    path = cache / spec.name
    if not (path / "hats.properties").exists():
        if isinstance(spec, OnePartitionSpec):
            ra_deg, dec_deg = _one_partition_positions(spec)
            partitions: Partitions | int = [(spec.order, spec.pixel)]
        else:
            ra_deg, dec_deg = galactic_positions(spec.rows, spec.seed)
            partitions = spec.partitions
        write_catalog(path, ra_deg, dec_deg, partitions, spec.columns, spec.layout, spec.seed, threads)
    return open_catalog(path)


def open_catalog(path: Path) -> Catalog:
    """A catalog that is already on disk."""
    listed = np.loadtxt(path / "partition_info.csv", delimiter=",", skiprows=1, dtype=np.int64, ndmin=2)
    partitions = sorted(map(tuple, listed[:, :2].tolist()), key=lambda partition: first_index(*partition))
    properties = (path / "hats.properties").read_text().splitlines()
    rows = next(int(line.partition("=")[2]) for line in properties if line.startswith("hats_nrows="))
    return Catalog(path=path, rows=rows, partitions=partitions)


def write_catalog(
    path: Path,
    ra_deg: Floats,
    dec_deg: Floats,
    partitions: Partitions | int,
    columns: str = "narrow",
    layout: str = "today",
    seed: int = SEED,
    threads: int = 2,
) -> None:
    """Write a HATS catalog of the given positions.

    Parameters
    ----------
    path
        The catalog's folder; anything there is replaced.
    partitions
        The partitions, or about how many of them to make by splitting the densest.
    columns
        One of `benchmarks.columns.MAKERS`.
    """
    index = spatial_index(ra_deg, dec_deg)
    by_index = np.argsort(index, kind="stable")
    index, ra_deg, dec_deg = index[by_index], ra_deg[by_index], dec_deg[by_index]
    if isinstance(partitions, int):
        partitions = adaptive_partitions(index, partitions)
    starts = np.searchsorted(index, [first_index(*partition) for partition in partitions])
    stops = np.searchsorted(index, [first_index(order, pixel + 1) for order, pixel in partitions])
    if int((stops - starts).sum()) != len(index):
        raise ValueError(
            f"the partitions hold {int((stops - starts).sum())} of {len(index)} rows: all are needed"
        )

    unfinished = path.with_name(path.name + ".unfinished")
    for folder in (unfinished, path):
        shutil.rmtree(folder, ignore_errors=True)
    for partition in partitions:
        (unfinished / relative_path(*partition)).parent.mkdir(parents=True, exist_ok=True)

    def write(partition: tuple[int, int], start: int, stop: int) -> pq.FileMetaData:
        rows = Rows(np.arange(start, stop), index[start:stop], ra_deg[start:stop], dec_deg[start:stop])
        table = MAKERS[columns](rows, np.random.default_rng([seed, *partition]))
        return _write_file(unfinished, partition, table, layout)

    with ThreadPoolExecutor(threads) as pool:
        footers = list(pool.map(write, partitions, starts.tolist(), stops.tolist()))
    schema = MAKERS[columns](
        Rows(np.arange(0), index[:0], ra_deg[:0], dec_deg[:0]), np.random.default_rng(seed)
    ).schema
    properties = {
        "obs_collection": path.name,
        "hats_nrows": len(index),
        "hats_col_healpix": "_healpix_29",
        "hats_col_healpix_order": 29,
        "hats_order": max(order for order, _ in partitions),
        "moc_sky_fraction": round(sum(4.0**-order for order, _ in partitions) / 12, 5),
        "hats_builder": "skymargin benchmarks",
    }
    # In breadth-first order of the pixels, as hats writes them.
    in_order = sorted(zip(partitions, footers, strict=True), key=lambda item: item[0])
    finish_catalog(unfinished, schema, [footer for _, footer in in_order], sorted(partitions), properties)
    unfinished.rename(path)


def _write_file(
    catalog_path: Path, partition: tuple[int, int], table: pa.Table, layout: str
) -> pq.FileMetaData:
    footers: list[pq.FileMetaData] = []
    options = writer_options(layout, table.schema, len(table))
    path = relative_path(*partition)
    pq.write_table(table, catalog_path / path, metadata_collector=footers, **options)
    footers[0].set_file_path(path.relative_to("dataset").as_posix())
    return footers[0]


def finish_catalog(
    path: Path,
    schema: pa.Schema,
    footers: list[pq.FileMetaData],
    partitions: Iterable[tuple[int, int]],
    properties: Mapping[str, object],
    without: Collection[str] = (),
) -> None:
    """Write what makes a folder of files a HATS catalog: metadata, partition list and, last, properties.

    Parameters
    ----------
    footers
        Those of all files, each with its path below `dataset`.
    properties
        In addition to those that every generated catalog has.
    without
        Files that are left out.
    """
    from hats.catalog import TableProperties

    if "_metadata" not in without:
        pq.write_metadata(schema, path / "dataset" / "_metadata", metadata_collector=footers)
    if "_common_metadata" not in without:
        pq.write_metadata(schema, path / "dataset" / "_common_metadata")
    if "partition_info.csv" not in without:
        lines = "".join(f"{order},{pixel}\n" for order, pixel in partitions)
        (path / "partition_info.csv").write_text(f"Norder,Npix\n{lines}")
    common = {"dataproduct_type": "object", "hats_col_ra": "ra", "hats_col_dec": "dec"}
    TableProperties(**(common | properties)).to_properties_file(path)


def _one_partition_positions(spec: OnePartitionSpec) -> tuple[Floats, Floats]:
    """Positions in one pixel: the first rows just inside one edge, the others in its inner part."""
    rng = np.random.default_rng([spec.seed, spec.rows])
    u, v = rng.uniform(0.05, 0.95, (2, spec.rows))
    # Across an edge of the belt one unit of u is sqrt((pi/4)**2 + (2/3)**2) radians long at the equator and
    # the edges are not at right angles: the distance to the edge is the area of the cell's parallelogram over
    # the edge's length.
    length = np.hypot(np.pi / 4, 2 / 3)
    height_rad = 2 * (np.pi / 4) * (2 / 3) / length
    u[: spec.border_rows] = np.radians(spec.border_distance_arcsec / 3600.0) / (height_rad * 2.0**-spec.order)
    v[: spec.border_rows] = np.linspace(0.3, 0.7, spec.border_rows)
    return coordinates_deg(pixel_points(spec.order, spec.pixel, u, v))
