"""Planning: from a catalog to batches of partitions, and from shards to batches of margins."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from skymargin.build.batch_limits import batch_limits
from skymargin.build.stages.shards import group_type, read_index, read_rows_within
from skymargin.build.stages.tasks import MapTask, ReduceTask, RunSpec, nested_position, shard_file
from skymargin.catalogs.catalog import Catalog, format_named
from skymargin.catalogs.hats_extras import as_written
from skymargin.errors import ArgumentError, CatalogError
from skymargin.storage.paths import absolute

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy as np

    from skymargin._core import Tiling
    from skymargin.build.stages.map import MapResult
    from skymargin.catalogs.output_options import OutputOptions

# Opening a file and reading its footer takes about as long as decoding this much.
_FILE_BYTES = 128 << 10
# Rows are gathered from about as many places as there are rows: what a row costs beside its bytes.
_ROW_BYTES = 64


def coarse_margin_order(margin_threshold_arcsec: float) -> int:
    """Order of the margin pixels of hats-import for a threshold: the deepest whose pixels are not narrower than it.

    As `hats.pixel_math.healpix_shim.margin2order` has it, where a pixel is taken to be 1.6 times as wide on average as
    it is at its narrowest: log2(sqrt(pi/3) / average width), truncated, and clipped to 0..29.
    """
    average_width_rad = math.radians(margin_threshold_arcsec / 3600 * 1.6)
    return min(max(int(math.log2(math.sqrt(math.pi / 3) / average_width_rad)), 0), 29)


def coarse_threshold_arcsec(margin_order: int) -> float:
    """Threshold that hats-import records for an order of margin pixels.

    As `hats.pixel_math.healpix_shim.order2mindist` has it: the root of a pixel's area over 1.6.
    """
    return math.degrees(math.sqrt(4 * math.pi / (12 << (2 * margin_order)))) / 1.6 * 3600


def margin_choice(
    margin_threshold_arcsec: float, margin_order: int, fine_filtering: bool, catalog: Catalog
) -> tuple[float, int]:
    """Threshold and order a margin is made with.

    Parameters
    ----------
    margin_threshold_arcsec, margin_order, fine_filtering
        The arguments of the run.
    catalog
        The primary catalog.

    Returns
    -------
    (float, int)
        As given for an exact margin; as hats-import sets them for a coarse one.

    Raises
    ------
    ArgumentError
        When the margin pixels of a coarse margin are not smaller than every partition, or narrower than the threshold.
    """
    if fine_filtering:
        return margin_threshold_arcsec, margin_order
    if margin_order >= 0:
        margin_threshold_arcsec = coarse_threshold_arcsec(margin_order)
    else:
        margin_order = coarse_margin_order(margin_threshold_arcsec)
    highest_order = int(max(catalog.orders, default=-1))
    if margin_order <= highest_order:
        raise ArgumentError(
            f"margin_order {margin_order} (chosen or given) is not above {highest_order}, the highest order of a "
            "partition, as it must be with fine_filtering=False; fine_filtering=True has no such limit"
        )
    if coarse_threshold_arcsec(margin_order) < margin_threshold_arcsec:
        raise ArgumentError(
            f"margin_threshold {margin_threshold_arcsec} arcsec is wider than pixels of margin_order {margin_order}, "
            "which fine_filtering=False cannot do; fine_filtering=True has no such limit"
        )
    return margin_threshold_arcsec, margin_order


def check_output(catalog: Catalog, wanted: OutputOptions) -> None:
    """Check that the margin of the catalog can be written as wanted.

    Raises
    ------
    ArgumentError
        When its format or its columns do not allow it.
    """
    wanted.check_format(catalog.format)
    delta = wanted.row_group_kwargs.get("subtile_order_delta")
    if delta is not None and int(max(catalog.orders, default=0)) + delta > catalog.columns.index_order:
        raise ArgumentError(
            f"row_group_kwargs['subtile_order_delta'] {delta} is not allowed: the catalog has partitions of order "
            f"{max(catalog.orders)} and an index of order {catalog.columns.index_order}, which is not so fine"
        )
    if wanted.addl_hats_properties:
        as_written(wanted.addl_hats_properties)
    if wanted.write_table_kwargs:
        _check_writer(catalog, wanted.write_table_kwargs)


def _check_writer(catalog: Catalog, wanted: Mapping[str, Any]) -> None:
    """Begin a Parquet file with the options, and those of the format with them: it says what is wrong with them."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        options = format_named(catalog.format).write_options(catalog.schema, wanted)
        options.pop("row_group_size", None)
        sink = pa.BufferOutputStream()
        with pq.ParquetWriter(sink, catalog.schema, **options):
            pass
    except Exception as error:
        raise ArgumentError(f"write_table_kwargs {dict(wanted)} cannot be used: {error}") from error
    schema = pq.read_metadata(pa.BufferReader(sink.getvalue())).schema
    columns = {schema.column(number).path for number in range(len(schema))}
    for key, value in wanted.items():
        # Of columns by name, unknown ones would pass unnoticed.
        unknown = sorted(set(value) - columns) if isinstance(value, dict | list | tuple) else []
        if unknown:
            raise ArgumentError(
                f"write_table_kwargs[{key!r}] cannot be used: there is no column {unknown[0]!r} in the Parquet file; "
                f"it has {', '.join(sorted(columns))}"
            )


def check_partitions(catalog: Catalog) -> Tiling:
    """The catalog's partitions as a tiling of the sky.

    Raises
    ------
    CatalogError
        When a partition is not a HEALPix pixel, or two of them overlap.
    """
    import skymargin._core as _core

    try:
        return _core.Tiling(catalog.orders, catalog.pixels)
    except ValueError as error:
        raise CatalogError(f"{catalog.listed_in} lists partitions that cannot be: {error}") from error


def make_job(
    catalog: Catalog,
    margin_threshold_arcsec: float,
    margin_order: int,
    fine_filtering: bool,
    narrower_arcsec: tuple[float, ...] = (),
    check_index: bool = False,
) -> RunSpec:
    """What the tasks are told of the run."""
    return RunSpec(
        catalog_path=absolute(catalog.path),
        columns=catalog.columns,
        schema=catalog.schema,
        orders=catalog.orders,
        pixels=catalog.pixels,
        margin_threshold_arcsec=margin_threshold_arcsec,
        margin_order=margin_order,
        fine_filtering=fine_filtering,
        narrower_arcsec=narrower_arcsec,
        check_index=check_index,
    )


def source_batches(catalog: Catalog, threads: int) -> list[MapTask]:
    """Partitions in batches of about equal size, neighbours together.

    Parameters
    ----------
    catalog
        The primary catalog.
    threads
        Threads of all workers.
    """
    import numpy as np

    along_sky = np.argsort(nested_position(catalog.orders, catalog.pixels))
    cost = catalog.size_bytes[along_sky] + _FILE_BYTES
    return [
        MapTask(
            number=number,
            orders=catalog.orders[chosen],
            pixels=catalog.pixels[chosen],
            files=[catalog.files[partition] for partition in chosen],
        )
        for number, chosen in enumerate(np.split(along_sky, _cuts(cost, threads)))
        if len(chosen)
    ]


def average_row_bytes(mapped: Sequence[MapResult]) -> int:
    """Size of a row of the catalog before compression, on average; the same for any way of batching."""
    rows = sum(one.primary_rows for one in mapped)
    return sum(one.memory_bytes for one in mapped) // max(rows, 1)


def destination_batches(
    shards: Path, batches: int, row_bytes: int, threads: int, narrower: int | None = None
) -> tuple[list[ReduceTask], int]:
    """Margins in batches of about equal size, neighbours together; and how many margins there are.

    Parameters
    ----------
    shards
        Folder of the shards.
    batches
        Number of batches that were mapped.
    row_bytes
        Average size of a row.
    threads
        Threads of all workers.
    narrower
        Number, among the narrower thresholds of the run, of the one whose margins are made; None: the largest.
    """
    import numpy as np

    indexes = [read_index(shard_file(shards, number)) for number in range(batches)]
    slices = np.concatenate([np.empty(0, dtype=group_type()), *indexes])
    shard = np.repeat(np.arange(batches), [len(index) for index in indexes])
    rows_of = slices["rows"]
    if narrower is not None:
        counts = [read_rows_within(shard_file(shards, number), narrower) for number in range(batches)]
        rows_of = np.concatenate([np.empty(0, dtype=np.int64), *counts])
        slices, shard, rows_of = slices[rows_of > 0], shard[rows_of > 0], rows_of[rows_of > 0]
    if not len(slices):
        return [], 0
    position = nested_position(slices["order"], slices["pixel"])
    along_sky = np.lexsort((slices["offset"], slices["record_batch"], shard, position))
    slices, shard, position = slices[along_sky], shard[along_sky], position[along_sky]
    rows_of = rows_of[along_sky]
    firsts = np.flatnonzero(np.r_[True, position[1:] != position[:-1]])
    rows = np.add.reduceat(rows_of, firsts)
    ends = np.r_[firsts[1:], len(position)]
    cuts = _cuts(rows * (row_bytes + _ROW_BYTES) + _FILE_BYTES, threads)
    bounds = np.r_[0, ends[cuts - 1], len(position)] if len(cuts) else np.array([0, len(position)])
    batched = [
        ReduceTask(number=number, shard=shard[start:stop], slices=slices[start:stop])
        for number, (start, stop) in enumerate(pairwise(bounds.tolist()))
    ]
    return batched, len(firsts)


def layout(catalog: Catalog, row_bytes: int, wanted: OutputOptions) -> tuple[int, int]:
    """Most rows of a row group, and rows from which on a margin is compressed.

    Parameters
    ----------
    catalog
        The primary catalog.
    row_bytes
        Average size of its rows.
    wanted
        What is wanted of the files.
    """
    options = format_named(catalog.format).write_options(catalog.schema, wanted.write_table_kwargs)
    most = wanted.group_rows or group_rows(options["row_group_size"], row_bytes)
    return most, 0 if wanted.names_compression else compressed_rows(row_bytes)


def group_rows(most_rows: int, row_bytes: int) -> int:
    """Rows of a row group: as many as the format's default, or fewer where rows are wide."""
    return max(1, min(most_rows, gathered_rows(row_bytes)))


def gathered_rows(row_bytes: int) -> int:
    """Rows that are put in order at once."""
    return max(1, batch_limits().row_group_bytes // max(row_bytes, 1))


def compressed_rows(row_bytes: int) -> int:
    """Rows from which on a margin is compressed."""
    return math.ceil(batch_limits().compressed_bytes / max(row_bytes, 1))


def _cuts(cost: np.ndarray, threads: int) -> np.ndarray:
    """Where to cut a sequence so that its parts cost about the same."""
    import numpy as np

    total = int(cost.sum())
    limits = batch_limits()
    parts = min(threads * limits.tasks_per_thread, math.ceil(total / limits.smallest_task_bytes))
    parts = max(1, parts, math.ceil(total / limits.largest_task_bytes))
    middle = np.cumsum(cost) - cost / 2
    part = np.minimum((middle / max(total, 1) * parts).astype(np.int64), parts - 1)
    return np.flatnonzero(part[1:] != part[:-1]) + 1
