"""Reducing: from the shards to the files of the margin catalog, a batch of margins at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
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
    """What the reducing of a batch came to.

    Attributes
    ----------
    number : int
        Number of the batch.
    orders, pixels : list of int
        The margins written, in the order of the batch.
    rows : int
        Rows in them.
    row_groups : list of RowGroups
        Their row groups, with the path of the file of each.
    files : dict of str to int
        Files written, relative to the margin catalog, to their sizes in bytes.
    margin : int
        Number of the margin catalog among those of the run.
    """

    number: int
    orders: list[int]
    pixels: list[int]
    rows: int
    row_groups: list[RowGroups]
    files: dict[str, int]
    margin: int = 0


def reduce_batch(spec_file: Path, task: tuple[ReduceTask, MarginWriterSpec]) -> ReduceResult | SkymarginError:
    """Write the margins of a batch.

    Parameters
    ----------
    spec_file
        The job, beside the shards. When it disappears the run was given up, and the task ends.
    task
        The margins and where their rows are; where and how to write.

    Returns
    -------
    Reduced or SkymarginError
        An error is returned, not raised: raised, Dask would log it on every worker.
    """
    batch, output = task
    reduced = ReduceResult(batch.number, [], [], 0, [], {}, output.margin)
    reader = ShardReader()
    merged_footer: pq.FileMetaData | None = None
    for group in _groups(batch, output.gathered_rows):
        try:
            loaded = worker_context(spec_file)
            runs = [list(_runs(reader, spec_file.parent, margin, output)) for margin in group]
            schema = format_named(output.format).margin_schema(loaded.job.schema)
            with loaded.reducing:
                merged = Merged(runs, schema, output.gathered_rows, output.within_arcsec)
        except (OSError, MemoryError) as error:
            return StorageError(f"the shards in {spec_file.parent} cannot be read: {error}")
        for number, margin in enumerate(group):
            try:
                footer = _write_margin(merged, number, margin, loaded, output, reduced)
                if merged_footer is None:
                    merged_footer, first = footer, RowGroups.of(footer)
                else:
                    merged_footer.append_row_groups(footer)
                if not is_local(output.folder) and not spec_file.exists():
                    # Whoever gave the run up removes the output once; elsewhere it is moved away first.
                    remove_file(output.folder / next(reversed(reduced.files)))
                    return StorageError(f"the run was given up: there is no {spec_file}")
            except (OSError, MemoryError) as error:
                return StorageError(
                    f"the margin of order {margin.order}, pixel {margin.pixel} cannot be written to "
                    f"{output.folder}: {error}"
                )
    if merged_footer is not None:
        reduced.row_groups.append(RowGroups.of(merged_footer, like=first))
    return reduced


class _Margin(NamedTuple):
    """A margin, how many rows it has, and where they are as (shard, record batch, offset, rows)."""

    order: int
    pixel: int
    rows: int
    slices: list[tuple[int, int, int, int]]


def _groups(batch: ReduceTask, most_rows: int) -> Iterator[list[_Margin]]:
    """Margins that are gathered together: neighbours with no more than so many rows, or a larger one alone."""
    table = zip(batch.slices.tolist(), batch.shard.tolist(), strict=True)
    group: list[_Margin] = []
    rows_in_group = 0
    for (order, pixel), lines in groupby(table, key=lambda line: line[0][:2]):
        slices = [(shard, *line[2:]) for line, shard in lines]
        rows = sum(one[-1] for one in slices)
        if group and rows_in_group + rows > most_rows:
            yield group
            group, rows_in_group = [], 0
        group.append(_Margin(order, pixel, rows, slices))
        rows_in_group += rows
    yield group


def _runs(reader: ShardReader, folder: Path, margin: _Margin, output: MarginWriterSpec) -> Iterator[Run]:
    """The slices of one margin, each in the order of the margin, with the columns that its format has."""
    known = format_named(output.format)
    for number, group in groupby(margin.slices, key=lambda line: line[0]):
        for rows, origin in reader.read_groups(shard_file(folder, number), [line[1:] for line in group]):
            yield known.margin_columns(rows, origin, margin.order, margin.pixel), origin


def _write_margin(
    merged: Merged,
    number: int,
    margin: _Margin,
    loaded: WorkerContext,
    output: MarginWriterSpec,
    reduced: ReduceResult,
) -> pq.FileMetaData:
    """Write the file of one margin, and note it; its footer."""
    known = format_named(output.format)
    name = output.wanted.file_name(known.margin_file(margin.order, margin.pixel))
    options = {key: value for key, value in output.options.items() if key != "row_group_size"}
    if len(merged.index(number)) < output.compressed_rows:
        options |= {"compression": "none", "compression_level": None}
    footers: list[pq.FileMetaData] = []
    with output_file(output.folder / name) as sink:
        with _parquet_writer(sink, merged.schema, metadata_collector=footers, **options) as writer:
            for start, stop in _row_groups(margin, merged.index(number), loaded.job.columns, output):
                with loaded.reducing:
                    rows = merged.rows(number, start, stop)
                    writer.write_table(rows, row_group_size=len(rows))
        reduced.files[name] = int(sink.tell())
    (footer,) = footers
    # As `_metadata` has it: relative to the folder it is in, which in HATS is this one.
    footer.set_file_path(below_dataset(name))
    reduced.orders.append(margin.order)
    reduced.pixels.append(margin.pixel)
    reduced.rows += footer.num_rows
    return footer


@contextmanager
def _parquet_writer(sink: Any, schema: pa.Schema, **options: Any) -> Iterator[pq.ParquetWriter]:
    """Close the writer at the end; after an error, the error is told, and not that the file is incomplete."""
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
    margin: _Margin, index: np.ndarray, columns: SpatialColumns, output: MarginWriterSpec
) -> Iterator[tuple[int, int]]:
    """First row of each row group and the row after its last: no more than wanted, and if wanted all of one subtile."""
    import numpy as np

    changes: list[int] = []
    delta = output.wanted.row_group_kwargs.get("subtile_order_delta")
    if delta is not None:
        shift = columns.index_shift + 2 * (columns.index_order - margin.order - delta)
        subtile = index >> shift
        changes = (np.flatnonzero(subtile[1:] != subtile[:-1]) + 1).tolist()
    for first, end in pairwise([0, *changes, len(index)]):
        for start in range(first, end, output.group_rows):
            yield start, min(start + output.group_rows, end)
