"""Reducing: from the shards to the files of the margin catalog."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import skymargin._core as _core
from skymargin.build.stages.tasks import (
    MarginWriterSpec,
    ReduceTask,
    WorkerContext,
    given_up,
    shard_file,
    worker_context,
)
from skymargin.catalogs.catalog import format_named
from skymargin.catalogs.layout import below_dataset
from skymargin.catalogs.metadata_file import RowGroups
from skymargin.errors import SkymarginError, StorageError
from skymargin.storage.paths import AnyPath, RemoteFolder, remove_file

if TYPE_CHECKING:
    from upath import UPath


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
        Their row groups, with the path of the file of each.
    files : dict of str to int
        Files written, relative to the margin catalog, to their sizes in bytes.
    """

    orders: list[int] = field(default_factory=list)
    pixels: list[int] = field(default_factory=list)
    rows: int = 0
    row_groups: list[RowGroups] = field(default_factory=list)
    files: dict[str, int] = field(default_factory=dict)


def reduce_batch(spec_file: Path, task: ReduceTask) -> ReduceResult | SkymarginError:
    """Write some margins.

    Parameters
    ----------
    spec_file
        The spec of the run, beside the shards. The task ends when it disappears: the run was given up.
    task
        The margins, where their rows are, and where and how to write them.

    Returns
    -------
    ReduceResult or SkymarginError
        Expected failures are returned, not raised: Dask logs raised errors on every worker.
    """
    writer, folder = task.writer, spec_file.parent
    try:
        context = worker_context(spec_file)
        file_of = format_named(writer.format).margin_file
        orders, pixels = task.orders.tolist(), task.pixels.tolist()
        names = [
            writer.output.file_name(file_of(order, pixel))
            for order, pixel in zip(orders, pixels, strict=True)
        ]
        # `_metadata` names files relative to its own folder, which in HATS is `dataset`.
        below = [below_dataset(name) for name in names]
        data = writer.folder / names[0].removesuffix(below[0])
        spec = _reduce_spec(context, task.margin, writer)
        with context.reducing:
            written, row_groups = _core.reduce_batch(
                spec,
                task.slices.tobytes(),
                task.shard.tolist(),
                below,
                partial(_shard, folder, task.tokens),
                data if isinstance(data, Path) else _GivenUpFolder(data, spec_file),
                spec_file,
            )
    except SkymarginError as error:
        return error
    except _core.GivenUpError:
        return given_up(spec_file)
    except _core.MarginWriteError as error:
        order, pixel, reason = error.args
        return StorageError(
            f"the margin of order {order}, pixel {pixel} cannot be written to {writer.folder}: {reason}"
        )
    except _core.ShardError as error:
        return StorageError(
            f"the shards in {folder} cannot be read: {error}; resume=False starts the run anew"
        )
    except (OSError, MemoryError) as error:
        return StorageError(f"the shards in {folder} cannot be read: {error}")
    except (RuntimeError, ValueError) as error:
        where = f"order {task.orders[0]}, pixel {task.pixels[0]}"
        return StorageError(f"the margins from {where} on cannot be written to {writer.folder}: {error}")
    return ReduceResult(
        orders=orders,
        pixels=pixels,
        rows=sum(rows for rows, _ in written),
        row_groups=[RowGroups(*groups) for groups in row_groups],
        files={name: size for name, (_, size) in zip(names, written, strict=True)},
    )


def _shard(folder: Path, tokens: dict[int, str], number: int) -> Path:
    return shard_file(folder, number, tokens[number])


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


class _GivenUpFolder(RemoteFolder):
    """A remote folder in which no file is left that was completed after the run was given up.

    The run that is given up removes its output once; a local folder is moved away first.
    """

    def __init__(self, folder: UPath, spec_file: Path) -> None:
        super().__init__(folder)
        self._spec_file = spec_file

    def finished(self, file: AnyPath) -> None:
        """Remove the file if the run was given up."""
        if not self._spec_file.exists():
            remove_file(file)
            raise given_up(self._spec_file)
