"""Reducing: from the shards to the files of the margin catalog."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import groupby, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from skymargin.build.stages.merge import Merged, Run
from skymargin.build.stages.shards import ShardReader
from skymargin.build.stages.tasks import (
    MarginWriterSpec,
    ReduceTask,
    WorkerContext,
    shard_file,
    worker_context,
)
from skymargin.catalogs.catalog import format_named
from skymargin.catalogs.layout import below_dataset
from skymargin.catalogs.metadata_file import RowGroups
from skymargin.errors import SkymarginError, StorageError
from skymargin.storage.paths import is_local, output_file, remove_file

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    from skymargin.catalogs.catalog import SpatialColumns


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
    writer, result = task.writer, ReduceResult()
    reader = ShardReader()
    merged_footer: pq.FileMetaData | None = None
    for group in _groups(task, writer.gathered_rows):
        try:
            context = worker_context(spec_file)
            runs = [list(_runs(reader, spec_file.parent, margin, writer)) for margin in group]
            schema = format_named(writer.format).margin_schema(context.spec.schema)
            # The widest threshold is that of the shards: all rows, also of a coarse margin, which has no separations.
            thresholds_arcsec, index = context.spec.rule.thresholds_arcsec, writer.threshold_index
            with context.reducing:
                merged = Merged(
                    runs, schema, writer.gathered_rows, thresholds_arcsec[index] if index else None
                )
        except (OSError, MemoryError) as error:
            return StorageError(f"the shards in {spec_file.parent} cannot be read: {error}")
        for number, margin in enumerate(group):
            try:
                footer = _write_margin(merged, number, margin, context, writer, result)
                if merged_footer is None:
                    merged_footer, first = footer, RowGroups.of(footer)
                else:
                    merged_footer.append_row_groups(footer)
                if not is_local(writer.folder) and not spec_file.exists():
                    # The run that was given up removes its output once; a local folder is moved away first.
                    remove_file(writer.folder / next(reversed(result.files)))
                    return StorageError(f"the run was given up: there is no {spec_file}")
            except (OSError, MemoryError) as error:
                return StorageError(
                    f"the margin of order {margin.order}, pixel {margin.pixel} cannot be written to "
                    f"{writer.folder}: {error}"
                )
    if merged_footer is not None:
        result.row_groups.append(RowGroups.of(merged_footer, like=first))
    return result


class _Margin(NamedTuple):
    """A margin, how many rows it has, and where they are as (shard, record batch, offset, rows)."""

    order: int
    pixel: int
    rows: int
    slices: list[tuple[int, int, int, int]]


def _groups(task: ReduceTask, most_rows: int) -> Iterator[list[_Margin]]:
    """Margins that are gathered together: neighbours with no more than so many rows, or a larger one alone."""
    table = zip(task.slices.tolist(), task.shard.tolist(), strict=True)
    group: list[_Margin] = []
    rows_in_group = 0
    for (order, pixel), lines in groupby(table, key=lambda line: line[0][:2]):
        slices = [(shard, *line[2:]) for line, shard in lines]
        rows = sum(rows for *_, rows in slices)
        if group and rows_in_group + rows > most_rows:
            yield group
            group, rows_in_group = [], 0
        group.append(_Margin(order, pixel, rows, slices))
        rows_in_group += rows
    yield group


def _runs(reader: ShardReader, folder: Path, margin: _Margin, writer: MarginWriterSpec) -> Iterator[Run]:
    """The slices of one margin, each in the order of the margin, with the columns that its format has."""
    catalog_format = format_named(writer.format)
    for number, group in groupby(margin.slices, key=lambda line: line[0]):
        for rows, origin in reader.read_groups(shard_file(folder, number), [line[1:] for line in group]):
            yield catalog_format.margin_columns(rows, origin, margin.order, margin.pixel), origin


def _write_margin(
    merged: Merged,
    number: int,
    margin: _Margin,
    context: WorkerContext,
    writer: MarginWriterSpec,
    result: ReduceResult,
) -> pq.FileMetaData:
    """Write the file of one margin and add it to the result; returns its footer."""
    name = writer.output.file_name(format_named(writer.format).margin_file(margin.order, margin.pixel))
    options = {key: value for key, value in writer.parquet_options.items() if key != "row_group_size"}
    if len(merged.index(number)) < writer.compressed_rows:
        options |= {"compression": "none", "compression_level": None}
    footers: list[pq.FileMetaData] = []
    with output_file(writer.folder / name) as sink:
        with _parquet_writer(sink, merged.schema, metadata_collector=footers, **options) as parquet:
            for start, stop in _row_groups(margin, merged.index(number), context.spec.columns, writer):
                with context.reducing:
                    rows = merged.rows(number, start, stop)
                    parquet.write_table(rows, row_group_size=len(rows))
        result.files[name] = int(sink.tell())
    (footer,) = footers
    # `_metadata` names files relative to its own folder, which in HATS is `dataset`.
    footer.set_file_path(below_dataset(name))
    result.orders.append(margin.order)
    result.pixels.append(margin.pixel)
    result.rows += footer.num_rows
    return footer


@contextmanager
def _parquet_writer(sink: Any, schema: pa.Schema, **options: Any) -> Iterator[pq.ParquetWriter]:
    """Close the writer at the end; after an error, raise that error and not one of the incomplete file."""
    import pyarrow.parquet as pq

    writer = pq.ParquetWriter(sink, schema, **options)
    try:
        yield writer
    except BaseException:
        with suppress(Exception):
            writer.close()
        raise
    writer.close()


def _row_groups(
    margin: _Margin, index: np.ndarray, columns: SpatialColumns, writer: MarginWriterSpec
) -> Iterator[tuple[int, int]]:
    """First row of each row group and the row after its last: few enough, and when asked for all of one subtile."""
    import numpy as np

    changes: list[int] = []
    delta = writer.output.row_group_kwargs.get("subtile_order_delta")
    if delta is not None:
        shift = columns.index_shift + 2 * (columns.index_order - margin.order - delta)
        subtile = index >> shift
        changes = (np.flatnonzero(subtile[1:] != subtile[:-1]) + 1).tolist()
    for first, end in pairwise([0, *changes, len(index)]):
        for start in range(first, end, writer.group_rows):
            yield start, min(start + writer.group_rows, end)
