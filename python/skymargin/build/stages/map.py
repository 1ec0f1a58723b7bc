"""Mapping: from a batch of partitions to a shard of the rows that belong to margins."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from skymargin.arrow.columns import to_arrow, to_numpy
from skymargin.build.stages.partition_scan import PartitionScan, Selection
from skymargin.build.stages.shards import ShardWriter, shard_writer
from skymargin.build.stages.tasks import MapTask, Pixel, WorkerContext, shard_file, worker_context
from skymargin.errors import SkymarginError, StorageError

if TYPE_CHECKING:
    from skymargin._core import Cover


@dataclass
class MapResult:
    """What the mapping of a batch came to.

    Attributes
    ----------
    number : int
        Number of the batch and of its shard.
    partitions : int
        Partitions read.
    primary_rows : int
        Rows of those partitions.
    rows : int
        Memberships found: rows, each counted once per margin it belongs to.
    rows_within : list of int
        How many of them are within each of the narrower thresholds of the job.
    bytes_read : int
        Bytes fetched from the catalog's files.
    pages_decoded : int
        Pages of them that were decompressed.
    memory_bytes : int
        Size of those partitions before compression.
    sizes : list of (int, int, int, int)
        Order, pixel, rows and size before compression of each of them.
    """

    number: int
    partitions: int = 0
    primary_rows: int = 0
    rows: int = 0
    bytes_read: int = 0
    pages_decoded: int = 0
    memory_bytes: int = 0
    sizes: list[tuple[int, int, int, int]] = field(default_factory=list)
    rows_within: list[int] = field(default_factory=list)


def map_batch(spec_file: Path, batch: MapTask) -> MapResult | SkymarginError:
    """Find the rows of a batch of partitions that belong to margins, and write them to a shard.

    Parameters
    ----------
    spec_file
        The job; the shard is written beside it. When it disappears the run was given up, and the task ends.
    batch
        The partitions.

    Returns
    -------
    Mapped or SkymarginError
        An error that is the catalog's fault is returned, not raised: raised, Dask would log it on every worker.
    """
    try:
        job = worker_context(spec_file).job
        mapped = MapResult(batch.number)
        file = shard_file(spec_file.parent, batch.number)
        with shard_writer(file, job.schema, job.memory.gathered_bytes, job.narrower_arcsec) as shard:
            for order, pixel, names in zip(batch.orders, batch.pixels, batch.files, strict=True):
                _map_partition(worker_context(spec_file), int(order), int(pixel), names, shard, mapped)
        mapped.rows, mapped.rows_within = shard.rows, shard.rows_within
        return mapped
    except SkymarginError as error:
        return error
    except (OSError, MemoryError) as error:
        return StorageError(f"the shards in {spec_file.parent} cannot be written: {error}")


def _map_partition(
    loaded: WorkerContext,
    order: int,
    pixel: int,
    names: tuple[str, ...],
    shard: ShardWriter,
    mapped: MapResult,
) -> None:
    job = loaded.job
    scan = PartitionScan(loaded.scanner, [job.catalog_path / name for name in names])
    cover = loaded.margins.cover(order, pixel, rows=scan.rows, index_order=job.columns.index_order)
    if job.margins is None:
        for selection in scan.select(cover):
            shard.add(selection, order, pixel)
    elif feeds(cover, job.margins):
        for selection in scan.select(cover):
            shard.add(only_of(selection, job.margins), order, pixel)
    mapped.partitions += 1
    mapped.primary_rows += scan.rows
    mapped.bytes_read += scan.bytes_read
    mapped.pages_decoded += scan.pages_decoded
    mapped.memory_bytes += scan.memory_bytes
    mapped.sizes.append((order, pixel, scan.rows, scan.memory_bytes))


def feeds(cover: Cover, margins: frozenset[Pixel]) -> bool:
    """Whether rows of a partition, whose cover it is, may belong to one of the margins."""
    found = cover.destinations()
    pairs = zip(found.column("order").to_pylist(), found.column("pixel").to_pylist(), strict=True)
    return not margins.isdisjoint(pairs)


def only_of(selection: Selection, margins: frozenset[Pixel]) -> Selection:
    """The selection without what it has for other margins; its rows all stay, whether they are wanted or not."""
    import numpy as np

    members = selection.memberships
    orders, pixels = (to_numpy(members.column(f"margin_{name}")) for name in ("order", "pixel"))
    chosen = [pair in margins for pair in zip(orders.tolist(), pixels.tolist(), strict=True)]
    return Selection(selection.rows, members.take(to_arrow(np.flatnonzero(chosen))))
