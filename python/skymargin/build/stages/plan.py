"""Planning: what a catalog and arguments allow, and the work in tasks of about equal size."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING, TypeVar

from skymargin.build.batch_limits import batch_limits
from skymargin.build.stages.slices import decode_slices, slice_type
from skymargin.build.stages.tasks import (
    MapTask,
    MarginWriterSpec,
    ReduceTask,
    SelectionRule,
)
from skymargin.catalogs.catalog import Catalog, format_named
from skymargin.catalogs.hats_extras import as_written
from skymargin.catalogs.parquet_format import ParquetFormat, parquet_format
from skymargin.errors import ArgumentError, CatalogError
from skymargin.geometry.limits import LARGEST_ORDER
from skymargin.geometry.pixels import starts_of
from skymargin.storage.paths import absolute

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import numpy as np
    import pyarrow as pa

    from skymargin._core import Tiling
    from skymargin.build.stages.map import MapResult
    from skymargin.catalogs.output_options import OutputOptions
    from skymargin.catalogs.place_mark import PlaceMark
    from skymargin.storage.paths import AnyPath

# Opening a file and reading its footer takes about as long as decoding this much.
_FILE_BYTES = 128 << 10
# Cost of a row besides its bytes: rows are gathered from about as many places as there are rows.
_ROW_BYTES = 64
# The smallest part of a partition on a server is this many times as large as on a disk: for each part, a thread waits
# for the end of the file again.
_REMOTE_PARTS = 4
# A partition is cut into at most this many parts for each thread.
_PARTS_PER_THREAD = 4

AnyTask = TypeVar("AnyTask", MapTask, ReduceTask)


def coarse_margin_order(margin_threshold_arcsec: float) -> int:
    """Order of the margin pixels of hats-import for a threshold: the deepest whose pixels are not narrower than it.

    As `hats.pixel_math.healpix_shim.margin2order` has it, where a pixel is taken to be 1.6 times as wide on average as
    it is at its narrowest: log2(sqrt(pi/3) / average width), truncated, and clipped to 0..29.
    """
    average_width_rad = math.radians(margin_threshold_arcsec / 3600 * 1.6)
    return min(max(int(math.log2(math.sqrt(math.pi / 3) / average_width_rad)), 0), LARGEST_ORDER)


def coarse_threshold_arcsec(margin_order: int) -> float:
    """Threshold that hats-import records for an order of margin pixels.

    As `hats.pixel_math.healpix_shim.order2mindist` has it: the root of a pixel's area over 1.6.
    """
    return math.degrees(math.sqrt(4 * math.pi / (12 << (2 * margin_order)))) / 1.6 * 3600


def selection_rule(
    thresholds_arcsec: Sequence[float], margin_order: int, fine_filtering: bool, catalog: Catalog
) -> SelectionRule:
    """Which rows belong to the margins.

    The thresholds of a run are distinct, the widest first; a coarse margin has one.

    Returns
    -------
    SelectionRule
        As given for exact margins; as hats-import sets threshold and order for a coarse one.

    Raises
    ------
    ArgumentError
        When the margin pixels of a coarse margin are not smaller than every partition, or narrower than the threshold.
    """
    if fine_filtering:
        return SelectionRule(tuple(thresholds_arcsec), None if margin_order < 0 else margin_order, True)
    (threshold_arcsec,) = thresholds_arcsec
    if margin_order >= 0:
        threshold_arcsec = coarse_threshold_arcsec(margin_order)
    else:
        margin_order = coarse_margin_order(threshold_arcsec)
    highest_order = int(max(catalog.orders, default=-1))
    if margin_order <= highest_order:
        raise ArgumentError(
            f"margin_order {margin_order} (chosen or given) is not above {highest_order}, the highest order of a "
            "partition, as it must be with fine_filtering=False; fine_filtering=True has no such limit"
        )
    if coarse_threshold_arcsec(margin_order) < threshold_arcsec:
        raise ArgumentError(
            f"margin_threshold {threshold_arcsec} arcsec is wider than pixels of margin_order {margin_order}, "
            "which fine_filtering=False cannot do; fine_filtering=True has no such limit"
        )
    return SelectionRule((threshold_arcsec,), margin_order, False)


def check_output_options(catalog: Catalog, output: OutputOptions) -> None:
    """Check that the margin of the catalog can be written with the options.

    Raises
    ------
    ArgumentError
        When its format or its columns do not allow it.
    """
    output.check_format(catalog.format)
    delta = output.row_group_kwargs.get("subtile_order_delta")
    if delta is not None and int(max(catalog.orders, default=0)) + delta > catalog.columns.index_order:
        raise ArgumentError(
            f"row_group_kwargs['subtile_order_delta'] {delta} is not allowed: the catalog has partitions of order "
            f"{max(catalog.orders)} and an index of order {catalog.columns.index_order}, which is coarser"
        )
    if output.addl_hats_properties:
        as_written(output.addl_hats_properties)
    if output.write_table_kwargs:
        margin_format(catalog, output)


def catalog_tiling(catalog: Catalog) -> Tiling:
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
        raise CatalogError(f"{catalog.listed_in} lists invalid partitions: {error}") from error


def map_tasks(catalog: Catalog, threads: int) -> list[MapTask]:
    """Partitions in tasks of about equal size for the threads of all workers, neighbours together."""
    import numpy as np

    along_sky = np.argsort(starts_of(catalog.orders, catalog.pixels))
    cost = catalog.size_bytes[along_sky] + _FILE_BYTES
    parts = _parts(cost, threads, bool(catalog.file_sizes))
    along_sky, of_parts = np.repeat(along_sky, parts), np.repeat(parts, parts)
    part = np.arange(len(of_parts)) - np.repeat(np.cumsum(parts) - parts, parts)
    cost = np.repeat(cost, parts) // of_parts
    bounds = [0, *_cuts(cost, threads).tolist(), len(cost)]
    return [
        MapTask(
            number=number,
            orders=catalog.orders[along_sky[start:stop]],
            pixels=catalog.pixels[along_sky[start:stop]],
            part=part[start:stop],
            parts=of_parts[start:stop],
            files=[catalog.files[partition] for partition in along_sky[start:stop]],
            cost=int(cost[start:stop].sum()),
            file_sizes=[catalog.file_sizes[partition] for partition in along_sky[start:stop]]
            if catalog.file_sizes
            else [],
        )
        for number, (start, stop) in enumerate(pairwise(bounds))
        if stop > start
    ]


def _parts(cost: np.ndarray, threads: int, is_remote: bool) -> np.ndarray:
    """Into how many parts each partition is cut.

    Enough that no part keeps one thread busy when the others are done, and that none is too large to be lost with its
    task.
    """
    import numpy as np

    limits = batch_limits()
    parts: np.ndarray = np.maximum(-(-cost // limits.largest_task_bytes), 1)
    if threads > 1:
        smallest = limits.smallest_part_bytes * (_REMOTE_PARTS if is_remote else 1)
        share = max(int(cost.sum()) // (threads * _PARTS_PER_THREAD), smallest)
        parts = np.maximum(parts, np.minimum(-(-cost // share), threads * _PARTS_PER_THREAD))
    return parts


def largest_first(tasks: Iterable[AnyTask]) -> list[AnyTask]:
    """Tasks in the order in which they are started: the large ones first, those of about one size along the sky."""
    return sorted(tasks, key=lambda task: -task.cost.bit_length())


def task_sizes() -> tuple[int, ...]:
    """What decides how work is cut into tasks, besides the work and the number of threads."""
    limits = batch_limits()
    sizes = (limits.tasks_per_thread, limits.smallest_task_bytes, limits.largest_task_bytes)
    smallest = (limits.smallest_share_bytes, limits.smallest_part_bytes)
    return *sizes, *smallest, _PARTS_PER_THREAD, _REMOTE_PARTS, _FILE_BYTES, _ROW_BYTES


def average_row_bytes(mapped: Sequence[MapResult]) -> int:
    """Size of a row of the catalog before compression, on average; the same however partitions are put into tasks."""
    rows = sum(result.primary_rows for result in mapped)
    return sum(result.memory_bytes for result in mapped) // max(rows, 1)


def margin_writer(
    folder: AnyPath,
    catalog: Catalog,
    row_bytes: int,
    output: OutputOptions,
    threshold_index: int,
    place: PlaceMark | None = None,
) -> MarginWriterSpec:
    """Where and how the files of a margin catalog are written."""
    return MarginWriterSpec(
        folder=absolute(folder),
        format=catalog.format,
        parquet=margin_format(catalog, output),
        group_rows=group_rows(catalog, row_bytes, output),
        output=output,
        threshold_index=threshold_index,
        place=place,
    )


def margin_format(catalog: Catalog, output: OutputOptions) -> ParquetFormat:
    """How the files of a margin of the catalog are written.

    Raises
    ------
    ArgumentError
        When `write_table_kwargs` cannot be used.
    """
    return _format_of(format_named(catalog.format).margin_schema(catalog.schema), catalog, output)


def catalog_format(catalog: Catalog, output: OutputOptions) -> ParquetFormat:
    """The same for files with the columns of the catalog alone."""
    return _format_of(catalog.schema, catalog, output)


def _format_of(schema: pa.Schema, catalog: Catalog, output: OutputOptions) -> ParquetFormat:
    # Elements of lists have the names that they have in the catalog.
    given = {"use_compliant_nested_type": False, **output.write_table_kwargs}
    options = format_named(catalog.format).write_options(catalog.schema, given)
    return parquet_format(schema, options, output.write_table_kwargs)


def reduce_tasks(
    mapped: Mapping[int, MapResult],
    margin: int,
    writer: MarginWriterSpec,
    row_bytes: int,
    threads: int,
    first: int,
) -> list[ReduceTask]:
    """Margins of one margin catalog in tasks of about equal size, neighbours together.

    `mapped` has the results of the map tasks by their numbers, which are those of the shards, `margin` is the number of
    the margin catalog in the run, `first` the number of the first task.
    """
    import numpy as np

    numbers = sorted(mapped)
    contents = [decode_slices(mapped[number].slices, mapped[number].rows_within) for number in numbers]
    slices = np.concatenate([np.empty(0, dtype=slice_type()), *(table for table, _ in contents)])
    shard = np.repeat(np.array(numbers, dtype=np.int64), [len(table) for table, _ in contents])
    counts = [rows[:, writer.threshold_index] for table, rows in contents if len(table)]
    slice_rows = np.concatenate([np.empty(0, dtype=np.int64), *counts])
    position = starts_of(slices["order"], slices["pixel"])
    # The slices of a shard are in its order, and stay in it.
    along_sky = np.lexsort((shard, position))
    along_sky = along_sky[slice_rows[along_sky] > 0]
    if not len(along_sky):
        return []
    slices, shard, position = slices[along_sky], shard[along_sky], position[along_sky]
    firsts = np.flatnonzero(np.r_[True, position[1:] != position[:-1]])
    rows = np.add.reduceat(slice_rows[along_sky], firsts)
    cost = rows * (row_bytes + _ROW_BYTES) + _FILE_BYTES
    # Each task begins with the first slice of a margin.
    margins = np.r_[0, _cuts(cost, threads), len(firsts)].tolist()
    bounds = np.r_[firsts, len(position)]
    return [
        ReduceTask(
            number=first + number,
            margin=margin,
            writer=writer,
            orders=slices["order"][firsts[start:end]],
            pixels=slices["pixel"][firsts[start:end]],
            shard=shard[bounds[start] : bounds[end]],
            shards={
                number: (mapped[number].shard, mapped[number].shard_bytes)
                for number in set(shard[bounds[start] : bounds[end]].tolist())
            },
            slices=slices[bounds[start] : bounds[end]],
            cost=int(cost[start:end].sum()),
        )
        for number, (start, end) in enumerate(pairwise(margins))
    ]


def group_rows(catalog: Catalog, row_bytes: int, output: OutputOptions) -> int:
    """Most rows of a row group: as the options say, else the format's default, or fewer where rows are wide."""
    if output.group_rows:
        return output.group_rows
    options = format_named(catalog.format).write_options(catalog.schema, output.write_table_kwargs)
    most: int = options["row_group_size"]
    return max(1, min(most, batch_limits().row_group_bytes // max(row_bytes, 1)))


def _cuts(cost: np.ndarray, threads: int) -> np.ndarray:
    """Where to cut a sequence so that its parts cost about the same."""
    import numpy as np

    total = int(cost.sum())
    limits = batch_limits()
    parts = min(threads * limits.tasks_per_thread, math.ceil(total / limits.smallest_task_bytes))
    # Little work is for all threads, too.
    parts = max(parts, min(threads, math.ceil(total / limits.smallest_share_bytes)))
    parts = max(1, parts, math.ceil(total / limits.largest_task_bytes))
    middle = np.cumsum(cost) - cost / 2
    part = np.minimum((middle / max(total, 1) * parts).astype(np.int64), parts - 1)
    return np.flatnonzero(part[1:] != part[:-1]) + 1
