"""Mapping: from a batch of partitions to a shard of the rows that belong to margins."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from skymargin.errors import SkymarginError, StorageError
from skymargin.job import Job, SourceBatch, load_job, shard_file
from skymargin.scan import PartitionScan
from skymargin.shards import ShardWriter, shard_writer

if TYPE_CHECKING:
    from skymargin._core import Margins


@dataclass
class Mapped:
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
    bytes_read : int
        Bytes of the catalog's files that were needed.
    memory_bytes : int
        Size of those partitions before compression.
    """

    number: int
    partitions: int = 0
    primary_rows: int = 0
    rows: int = 0
    bytes_read: int = 0
    memory_bytes: int = 0


def map_batch(job_file: Path, batch: SourceBatch) -> Mapped | SkymarginError:
    """Find the rows of a batch of partitions that belong to margins, and write them to a shard.

    Parameters
    ----------
    job_file
        The job; the shard is written beside it. When it disappears the run was given up, and the task ends.
    batch
        The partitions.

    Returns
    -------
    Mapped or SkymarginError
        An error that is the catalog's fault is returned, not raised: raised, Dask would log it on every worker.
    """
    try:
        job, margins = load_job(job_file)
        mapped = Mapped(batch.number)
        with shard_writer(shard_file(job_file.parent, batch.number), job.schema) as shard:
            for order, pixel, names in zip(batch.orders, batch.pixels, batch.files, strict=True):
                _, margins = load_job(job_file)
                _map_partition(job, margins, int(order), int(pixel), names, shard, mapped)
        mapped.rows = shard.rows
        return mapped
    except SkymarginError as error:
        return error
    except OSError as error:
        return StorageError(f"the shards in {job_file.parent} cannot be written: {error}")


def _map_partition(
    job: Job,
    margins: Margins,
    order: int,
    pixel: int,
    names: tuple[str, ...],
    shard: ShardWriter,
    mapped: Mapped,
) -> None:
    files = [job.catalog_path / name for name in names]
    with PartitionScan(files, job.schema, job.columns) as scan:
        cover = margins.cover(
            order,
            pixel,
            rows=scan.rows,
            index_order=job.columns.index_order,
        )
        for selection in scan.select(cover):
            shard.add(selection, order, pixel)
    mapped.partitions += 1
    mapped.primary_rows += scan.rows
    mapped.bytes_read += scan.bytes_read
    mapped.memory_bytes += scan.memory_bytes
