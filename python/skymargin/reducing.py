"""Reducing: from the shards to the files of the margin catalog, a batch of margins at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby, pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from skymargin.carried import restore
from skymargin.columns import to_arrow, to_numpy
from skymargin.errors import SkymarginError, StorageError
from skymargin.formats import format_named
from skymargin.job import DestinationBatch, LoadedJob, Output, load_job, shard_file
from skymargin.shards import ShardReader, sort_keys
from skymargin.storage import is_local, output_file, remove_file

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq


@dataclass
class Reduced:
    """What the reducing of a batch came to.

    Attributes
    ----------
    number : int
        Number of the batch.
    orders, pixels : list of int
        The margins written, in the order of the batch.
    rows : int
        Rows in them.
    footer : pyarrow.parquet.FileMetaData
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
    footer: pq.FileMetaData
    files: dict[str, int]
    margin: int = 0


def reduce_batch(job_file: Path, task: tuple[DestinationBatch, Output]) -> Reduced | SkymarginError:
    """Write the margins of a batch.

    Parameters
    ----------
    job_file
        The job, beside the shards. When it disappears the run was given up, and the task ends.
    task
        The margins and where their rows are; where and how to write.

    Returns
    -------
    Reduced or SkymarginError
        An error is returned, not raised: raised, Dask would log it on every worker.
    """
    batch, output = task
    orders: list[int] = []
    pixels: list[int] = []
    rows = 0
    footers: list[pq.FileMetaData] = []
    files: dict[str, int] = {}
    reader = ShardReader()
    for (order, pixel), slices in _by_margin(batch):
        try:
            loaded = load_job(job_file)
            known = format_named(output.format)
            name = output.wanted.file_name(known.margin_file(order, pixel))
            runs = [
                (known.margin_columns(rows, origin, order, pixel), origin)
                for rows, origin in _runs(reader, job_file.parent, slices)
            ]
            delta = output.wanted.row_group_kwargs.get("subtile_order_delta")
            subtile_order = None if delta is None else order + delta
            footer, files[name] = _write_margin(runs, loaded, output, name, subtile_order)
            if not is_local(output.folder) and not job_file.exists():
                # Whoever gave the run up removes the output once; elsewhere it is moved away first.
                remove_file(output.folder / name)
                return StorageError(f"the run was given up: there is no {job_file}")
        except OSError as error:
            return StorageError(f"the margin of order {order}, pixel {pixel} cannot be written: {error}")
        orders.append(order)
        pixels.append(pixel)
        rows += footer.num_rows
        footers.append(footer)
    first, *others = footers
    for footer in others:
        first.append_row_groups(footer)
    return Reduced(batch.number, orders, pixels, rows, first, files, output.margin)


def _by_margin(batch: DestinationBatch) -> Iterator[tuple[tuple[int, int], list[tuple[int, int, int, int]]]]:
    """Each margin of the batch, with its slices as (shard, record batch, offset, rows)."""
    table = zip(batch.slices.tolist(), batch.shard.tolist(), strict=True)
    for margin, group in groupby(table, key=lambda line: line[0][:2]):
        yield margin, [(shard, *line[2:]) for line, shard in group]


def _runs(
    reader: ShardReader, folder: Path, slices: list[tuple[int, int, int, int]]
) -> list[tuple[pa.Table, pa.Table]]:
    """The slices of one margin as tables, each in the order of the margin."""
    runs = []
    for number, group in groupby(slices, key=lambda line: line[0]):
        runs += reader.read_groups(shard_file(folder, number), [line[1:] for line in group])
    return runs


def _write_margin(
    runs: list[tuple[pa.Table, pa.Table]],
    loaded: LoadedJob,
    output: Output,
    name: str,
    subtile_order: int | None,
) -> tuple[pq.FileMetaData, int]:
    """Merge the runs into one file; returns its footer and its size in bytes."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = loaded.job.columns
    schema = format_named(output.format).margin_schema(loaded.job.schema)
    origin = pa.concat_tables([origin for _, origin in runs])
    keys = sort_keys(origin)
    order = np.lexsort(keys)
    starts = np.cumsum([0, *(rows.num_rows for rows, _ in runs)])
    if output.within_arcsec is not None:
        order = order[to_numpy(origin.column("separation_arcsec"))[order] <= output.within_arcsec]
    options = {key: value for key, value in output.options.items() if key != "row_group_size"}
    if len(order) < output.compressed_rows:
        options |= {"compression": "none", "compression_level": None}
    footers: list[pq.FileMetaData] = []
    with output_file(output.folder / name) as sink:
        with pq.ParquetWriter(sink, schema, metadata_collector=footers, **options) as writer:
            index = None if subtile_order is None else keys[-1][order]
            shift = columns.index_shift + 2 * (columns.index_order - (subtile_order or 0))
            for start, stop in _row_groups(
                len(order), output.group_rows, None if index is None else index >> shift
            ):
                with loaded.reducing:
                    group = _gathered(runs, starts, order[start:stop], output.group_rows)
                    # One chunk a column: where pages end must not depend on how the rows were found.
                    table = restore(group, schema).combine_chunks()
                    writer.write_table(table, row_group_size=len(table))
        size_bytes = int(sink.tell())
    (footer,) = footers
    # As `_metadata` has it: relative to the folder it is in, which in HATS is this one.
    footer.set_file_path(name.removeprefix("dataset/"))
    return footer, size_bytes


def _row_groups(rows: int, most: int, subtile: np.ndarray | None) -> Iterator[tuple[int, int]]:
    """First row of each row group and the row after its last: no more than `most`, and all of one subtile."""
    import numpy as np

    changes = [] if subtile is None else (np.flatnonzero(subtile[1:] != subtile[:-1]) + 1).tolist()
    for first, end in pairwise([0, *changes, rows]):
        for start in range(first, end, most):
            yield start, min(start + most, end)


def _gathered(
    runs: list[tuple[pa.Table, pa.Table]], starts: np.ndarray, wanted: np.ndarray, most: int
) -> pa.Table:
    """Rows of the merged margin, given by their numbers in the runs put end to end.

    Each run is in order, so what a row group needs of it is one stretch: only that is copied. Where the stretches have
    rows that belong to a wider margin alone, and together more rows than the largest row group, rows are picked.
    """
    import numpy as np
    import pyarrow as pa

    run = np.searchsorted(starts, wanted, side="right") - 1
    mine = {int(number): wanted[run == number] for number in np.unique(run)}
    ends = {number: (int(rows.min()), int(rows.max()) + 1) for number, rows in mine.items()}
    picks = sum(end - first for first, end in ends.values()) > max(len(wanted), most)
    parts, place, gathered = [], np.empty(len(wanted), dtype=np.int64), 0
    for number, rows in mine.items():
        first, end = ends[number]
        if picks:
            part = runs[number][0].take(to_arrow(rows - starts[number]))
            place[run == number] = np.arange(gathered, gathered + len(rows))
        else:
            part = runs[number][0].slice(first - int(starts[number]), end - first)
            place[run == number] = rows - first + gathered
        parts.append(part)
        gathered += len(part)
    return pa.concat_tables(parts).combine_chunks().take(to_arrow(place))
