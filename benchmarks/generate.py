"""Writing generated HATS catalogs to disk.

A catalog is made once and kept in the cache folder under a name that says what it is. Its files depend on the
seed alone, never on the number of threads. The properties are written last, so a catalog that exists is
complete.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.columns import MAKERS, Rows
from benchmarks.healpix_plane import Floats, Integers
from benchmarks.layouts import writer_options
from benchmarks.partitions import Partitions, adaptive_partitions, first_index
from benchmarks.sky import galactic_positions

CACHE = Path(os.environ.get("SKYMARGIN_BENCHMARKS_CACHE", Path(__file__).parent / ".cache"))
SEED = 20261101
# A catalog to try a benchmark with has this part of the rows.
TINY_SHARE = 100
# The most that is made at once, of several small partitions: making rows costs milliseconds however few they are.
ROWS_AT_ONCE = 100_000
BYTES_AT_ONCE = 64_000_000
# Columns of all partitions beyond which a catalog has no _metadata: it would take gigabytes to make, and no tool of
# the benchmarks needs it.
METADATA_COLUMNS = 1_000_000


class Spec(Protocol):
    """What a catalog of the benchmarks is."""

    @property
    def name(self) -> str:
        """The catalog's name, and its folder's."""

    def write(self, path: Path, threads: int) -> None:
        """Write the catalog; its properties appear when it is complete."""

    def tiny(self: AnySpec) -> AnySpec:
        """The same catalog with few rows, to try a benchmark with."""


AnySpec = TypeVar("AnySpec", bound=Spec)


@dataclass(frozen=True)
class CatalogSpec:
    """A galaxy seen from inside: its columns, rows, wanted partitions, layout and seed."""

    columns: str
    rows: int
    partitions: int
    layout: str = "today"
    seed: int = SEED

    @property
    def name(self) -> str:
        """The catalog's name, and its folder's."""
        return f"{self.columns}_{self.rows}_rows_{self.partitions}_partitions_{self.layout}_{self.seed}"

    def write(self, path: Path, threads: int) -> None:
        """Write the catalog."""
        ra_deg, dec_deg = galactic_positions(self.rows, self.seed)
        write_catalog(path, ra_deg, dec_deg, self.partitions, self.columns, self.layout, self.seed, threads)

    def tiny(self) -> CatalogSpec:
        """The same with few rows."""
        return replace(
            self, rows=max(self.rows // TINY_SHARE, 1_000), partitions=max(self.partitions // TINY_SHARE, 12)
        )


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


def generate(spec: Spec, cache: Path = CACHE, threads: int = 2) -> Catalog:
    """The catalog of a specification, made if the cache does not hold it yet."""
    path = cache / spec.name
    if not (path / "hats.properties").exists():
        print(f"making {spec.name}", file=sys.stderr, flush=True)
        spec.write(path, threads)
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

    first_row = Rows(np.arange(len(index[:1])), index[:1], ra_deg[:1], dec_deg[:1])
    example = MAKERS[columns](first_row, np.random.default_rng(seed))
    schema = example.schema
    rows_at_once = min(ROWS_AT_ONCE, BYTES_AT_ONCE // max(example.nbytes, 1))
    has_metadata = len(partitions) * len(schema) <= METADATA_COLUMNS

    def write(group: range) -> list[pq.FileMetaData]:
        first, last = int(starts[group[0]]), int(stops[group[-1]])
        rows = Rows(np.arange(first, last), index[first:last], ra_deg[first:last], dec_deg[first:last])
        table = MAKERS[columns](rows, np.random.default_rng([seed, *partitions[group[0]]]))
        footers = [
            _write_file(unfinished, partitions[at], table[starts[at] - first : stops[at] - first], layout)
            for at in group
        ]
        return footers if has_metadata else []

    with ThreadPoolExecutor(threads) as pool:
        footers = [
            footer for group in pool.map(write, _groups(stops - starts, rows_at_once)) for footer in group
        ]
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
    if has_metadata:
        in_order = sorted(zip(partitions, footers, strict=True), key=lambda item: item[0])
        footers = [footer for _, footer in in_order]
    without = () if has_metadata else ("_metadata",)
    finish_catalog(unfinished, schema, footers, sorted(partitions), properties, without)
    unfinished.rename(path)


def _groups(rows: Integers, most: int) -> Iterator[range]:
    """Runs of partitions, of so many rows each, that are made at once: `most` rows, or one partition."""
    first, total = 0, 0
    for at, count in enumerate(rows.tolist()):
        if total and total + count > most:
            yield range(first, at)
            first, total = at, 0
        total += count
    yield range(first, len(rows))


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
