"""Mapping: from partitions to a shard of the rows that belong to margins."""

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
    """What a map task read and found.

    Attributes
    ----------
    sizes : list of (int, int, int, int)
        Order, pixel, rows and size before compression of each partition.
    rows_per_threshold : list of int
        For each threshold of the run, the memberships found: rows, each counted once per margin it belongs to.
    bytes_read : int
        Bytes fetched from the catalog's files.
    pages_decoded : int
        Pages of them that were decompressed.
    """

    sizes: list[tuple[int, int, int, int]] = field(default_factory=list)
    rows_per_threshold: list[int] = field(default_factory=list)
    bytes_read: int = 0
    pages_decoded: int = 0

    @property
    def primary_rows(self) -> int:
        """Rows of the partitions."""
        return sum(rows for _, _, rows, _ in self.sizes)

    @property
    def memory_bytes(self) -> int:
        """Size of the partitions before compression."""
        return sum(memory_bytes for _, _, _, memory_bytes in self.sizes)


def map_batch(spec_file: Path, task: MapTask) -> MapResult | SkymarginError:
    """Find the rows of some partitions that belong to margins, and write them to a shard.

    Parameters
    ----------
    spec_file
        The spec of the run, beside which the shard is written. The task ends when it disappears: the run was given up.
    task
        The partitions.

    Returns
    -------
    MapResult or SkymarginError
        Expected failures are returned, not raised: Dask logs raised errors on every worker.
    """
    try:
        context = worker_context(spec_file)
        spec, result = context.spec, MapResult()
        file = shard_file(spec_file.parent, task.number)
        thresholds_arcsec = spec.rule.thresholds_arcsec
        with shard_writer(file, spec.schema, context.memory.gathered_bytes, thresholds_arcsec) as shard:
            for order, pixel, names in zip(task.orders, task.pixels, task.files, strict=True):
                # Asked for again: it raises when the run was given up.
                _map_partition(worker_context(spec_file), int(order), int(pixel), names, shard, result)
        result.rows_per_threshold = shard.rows_per_threshold
        return result
    except SkymarginError as error:
        return error
    except (OSError, MemoryError) as error:
        return StorageError(f"the shards in {spec_file.parent} cannot be written: {error}")


def _map_partition(
    context: WorkerContext,
    order: int,
    pixel: int,
    names: tuple[str, ...],
    shard: ShardWriter,
    result: MapResult,
) -> None:
    spec = context.spec
    scan = PartitionScan(context.scanner, [spec.catalog_path / name for name in names])
    cover = context.margins.cover(order, pixel, rows=scan.rows, index_order=spec.columns.index_order)
    if spec.margins is None:
        for selection in scan.select(cover):
            shard.add(selection, order, pixel)
    elif feeds(cover, spec.margins):
        for selection in scan.select(cover):
            shard.add(only_of(selection, spec.margins), order, pixel)
    result.bytes_read += scan.bytes_read
    result.pages_decoded += scan.pages_decoded
    result.sizes.append((order, pixel, scan.rows, scan.memory_bytes))


def feeds(cover: Cover, margins: frozenset[Pixel]) -> bool:
    """Whether rows of the partition of a cover may belong to one of the margins."""
    pixels = cover.destinations()
    pairs = zip(pixels.column("order").to_pylist(), pixels.column("pixel").to_pylist(), strict=True)
    return not margins.isdisjoint(pairs)


def only_of(selection: Selection, margins: frozenset[Pixel]) -> Selection:
    """The selection without its memberships in other margins; all its rows stay."""
    import numpy as np

    members = selection.memberships
    orders, pixels = (to_numpy(members.column(f"margin_{name}")) for name in ("order", "pixel"))
    chosen = [pair in margins for pair in zip(orders.tolist(), pixels.tolist(), strict=True)]
    return Selection(selection.rows, members.take(to_arrow(np.flatnonzero(chosen))))
