"""Reducing: from the shards to the files of the margin catalog."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import skymargin._core as _core
from skymargin.build.execution.tasks import GivenUp
from skymargin.build.stages.tasks import (
    Job,
    MarginWriterSpec,
    ReduceTask,
    WorkerContext,
    given_up,
    worker_context,
)
from skymargin.catalogs.catalog import format_named
from skymargin.catalogs.layout import below_dataset
from skymargin.catalogs.metadata_file import RowGroups
from skymargin.errors import SkymarginError, StorageError
from skymargin.storage.output_folder import output_folder
from skymargin.storage.shard_ranges import ShardRanges

if TYPE_CHECKING:
    from skymargin.storage.paths import AnyPath


@dataclass
class ReduceResult:
    """What a reduce task wrote.

    Attributes
    ----------
    orders, pixels : list of int
        The margins, in the order of the task.
    rows : int
        Rows in them.
    row_groups : list of RowGroups
        Their row groups, with the path of the file of each; none where no `_metadata` is written.
    files : dict of str to int
        Files written, relative to the margin catalog, to their sizes in bytes.
    """

    orders: list[int] = field(default_factory=list)
    pixels: list[int] = field(default_factory=list)
    rows: int = 0
    row_groups: list[RowGroups] = field(default_factory=list)
    files: dict[str, int] = field(default_factory=dict)


def reduce_batch(job: Job, task: ReduceTask, is_given_up: GivenUp) -> ReduceResult | SkymarginError:
    """Write some margins.

    Parameters
    ----------
    job
        The job of the run.
    task
        The margins, where their rows are, and where and how to write them.
    is_given_up
        Says whether the run was given up; the task ends then.

    Returns
    -------
    ReduceResult or SkymarginError
        Expected failures are returned, not raised: Dask logs raised errors on every worker.
    """
    place = task.writer.place
    result = _reduce(job, task, is_given_up)
    # The core says of it only that a file could not be written.
    return place.lost if place is not None and place.lost is not None else result


def _reduce(job: Job, task: ReduceTask, is_given_up: GivenUp) -> ReduceResult | SkymarginError:
    writer = task.writer
    check_place = None if writer.place is None else writer.place.seen
    try:
        context = worker_context(job)
        names = margin_names(task)
        # `_metadata` names files relative to its own folder, which in HATS is `dataset`.
        below = [below_dataset(name) for name in names]
        data = writer.folder / names[0].removesuffix(below[0])
        spec = _reduce_spec(context, task.margin, writer)
        uploading_bytes = job.memory.uploading_bytes
        with context.reducing, output_folder(data, is_given_up, uploading_bytes, check_place) as output:
            if check_place is not None:
                check_place()
            written, row_groups = _core.reduce_batch(
                spec,
                task.slices.tobytes(),
                task.shard.tolist(),
                below,
                _shards(job.shards, task.shards),
                output,
                is_given_up,
            )
        if check_place is not None:
            check_place()
    except SkymarginError as error:
        return error
    except _core.GivenUpError:
        return given_up()
    except _core.MarginWriteError as error:
        order, pixel, reason = error.args
        return StorageError(
            f"the margin of order {order}, pixel {pixel} cannot be written to {writer.folder}: {reason}"
        )
    except _core.ShardError as error:
        return StorageError(
            f"the shards in {job.shards} cannot be read: {error}; resume=False starts the run anew"
        )
    except (OSError, MemoryError) as error:
        return StorageError(f"the shards in {job.shards} cannot be read: {error}")
    except (RuntimeError, ValueError) as error:
        where = f"order {task.orders[0]}, pixel {task.pixels[0]}"
        return StorageError(f"the margins from {where} on cannot be written to {writer.folder}: {error}")
    return ReduceResult(
        orders=task.orders.tolist(),
        pixels=task.pixels.tolist(),
        rows=sum(rows for rows, _ in written),
        row_groups=[RowGroups(*groups) for groups in row_groups] if writer.output.needs_row_groups else [],
        files={name: size for name, (_, size) in zip(names, written, strict=True)},
    )


def margin_names(task: ReduceTask) -> list[str]:
    """The files of the margins of a task, relative to the margin catalog."""
    file_of = format_named(task.writer.format).margin_file
    pixels = zip(task.orders.tolist(), task.pixels.tolist(), strict=True)
    return [task.writer.output.file_name(file_of(order, pixel)) for order, pixel in pixels]


def _shards(folder: AnyPath, shards: dict[int, tuple[str, int]]) -> dict[int, Path] | ShardRanges:
    """Where the core reads the shards of a task."""
    if isinstance(folder, Path):
        return {number: folder / name for number, (name, _) in shards.items()}
    return ShardRanges(folder, shards)


def _reduce_spec(context: WorkerContext, margin: int, writer: MarginWriterSpec) -> _core.ReduceSpec:
    """What the core keeps for a margin catalog; made once in each process."""
    spec = context.reduce_specs.get(margin)
    if spec is None:
        columns, output, index = context.spec.columns, writer.output, writer.threshold_index
        delta = output.row_group_kwargs.get("subtile_order_delta")
        spec = context.reduce_specs[margin] = _core.ReduceSpec(
            writer.parquet.open(),
            context.transport,
            group_rows=writer.group_rows,
            # The widest threshold is that of the shards: all rows, also of a coarse margin, without separations.
            threshold_arcsec=context.spec.rule.thresholds_arcsec[index] if index else None,
            subtile=None if delta is None else (delta, columns.index_order, columns.index_shift),
            pixel_columns=format_named(writer.format).pixel_columns(context.spec.schema),
        )
    return spec
