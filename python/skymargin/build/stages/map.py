"""Mapping: from partitions to a shard of the rows that belong to margins."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import skymargin._core as _core
from skymargin.build.execution.tasks import GivenUp
from skymargin.build.stages.tasks import Job, MapTask, given_up, shard_name, worker_context
from skymargin.errors import PartitionReadError, PositionError, SkymarginError, StorageError
from skymargin.formatting import in_one_line
from skymargin.storage.output_folder import output_folder
from skymargin.storage.range_reader import RangeReader

if TYPE_CHECKING:
    from upath import UPath


@dataclass
class MapResult:
    """What a map task read and found.

    Attributes
    ----------
    sizes : list of (int, int, int, int)
        Order, pixel, rows and size before compression of each partition whose first part the task had.
    slices, rows_within : bytes
        What is in the shard, as `skymargin.build.stages.slices.decode_slices` reads it.
    rows_per_threshold : list of int
        For each threshold of the run, the memberships found: rows, each counted once per margin it belongs to.
    bytes_read : int
        Bytes fetched from the catalog's files.
    pages_decoded : int
        Pages of them that were decompressed.
    hints_ignored : int
        What files say beside their pages (page indexes, sizes, embedded schemas) and that contradicted them: it was
        ignored.
    shard_bytes : int
        The size of the shard.
    shard : str
        The name of the shard. A task that runs twice writes two shards, and one of them is recorded.
    """

    sizes: list[tuple[int, int, int, int]] = field(default_factory=list)
    slices: bytes = b""
    rows_within: bytes = b""
    rows_per_threshold: list[int] = field(default_factory=list)
    bytes_read: int = 0
    pages_decoded: int = 0
    hints_ignored: int = 0
    shard_bytes: int = 0
    shard: str = ""

    @property
    def primary_rows(self) -> int:
        """Rows of the partitions."""
        return sum(rows for _, _, rows, _ in self.sizes)

    @property
    def memory_bytes(self) -> int:
        """Size of the partitions before compression."""
        return sum(memory_bytes for _, _, _, memory_bytes in self.sizes)


def map_batch(job: Job, task: MapTask, is_given_up: GivenUp) -> MapResult | SkymarginError:
    """Find the rows of some partitions that belong to margins, and write them to a shard.

    Parameters
    ----------
    job
        The job of the run.
    task
        The partitions.
    is_given_up
        Says whether the run was given up; the task ends then.

    Returns
    -------
    MapResult or SkymarginError
        Expected failures are returned, not raised: Dask logs raised errors on every worker.
    """
    try:
        context = worker_context(job)
        root = context.spec.files_root
        names_of = {str(root / name): name for names in task.files for name in names}
        # Files on a disk have no sizes here.
        listed = zip(task.files, task.file_sizes, strict=bool(task.file_sizes))
        sizes = {name: size for pair in listed for name, size in zip(*pair, strict=True)}
        columns = (task.orders.tolist(), task.pixels.tolist(), task.part.tolist(), task.parts.tolist())
        parts = [
            (order, pixel, [str(root / name) for name in names], part, of_parts)
            for order, pixel, part, of_parts, names in zip(*columns, task.files, strict=True)
        ]
        shard = shard_name(task.number, uuid.uuid4().hex[:8])
        open_reader = None if isinstance(root, Path) else partial(_open_reader, root, names_of, sizes)
        with context.mapping, output_folder(job.shards, is_given_up) as folder:
            mapped = _core.map_batch(context.map_spec, parts, folder, shard, is_given_up, open_reader)
        return MapResult(*mapped, shard)
    except SkymarginError as error:
        return error
    except _core.CoordinateError as error:
        return PositionError(str(error))
    except _core.GivenUpError:
        return given_up()
    except (_core.ShardError, MemoryError) as error:
        return StorageError(f"the shards in {job.shards} cannot be written: {error}")
    except OSError as error:
        return PartitionReadError(in_one_line(error))
    except (RuntimeError, ValueError) as error:
        where = f"order {task.orders[0]}, pixel {task.pixels[0]}"
        return PartitionReadError(f"the partitions from {where} on cannot be mapped: {error}")


def _open_reader(root: UPath, names: dict[str, str], sizes: dict[str, int], path: str) -> RangeReader:
    """Open a file of the catalog by its path.

    `names` has the path of each relative to `root`, and `sizes` the size of each of these.
    """
    return RangeReader(root / names[path], sizes.get(names[path]))
