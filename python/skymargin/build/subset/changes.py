"""Rebuilding only the margins affected by changes of the primary catalog.

A margin is affected when its pixel is new (added, removed and split partitions change the empty pixels around them,
too), when a changed partition has, or had, sky within its threshold, or when its file would be laid out differently
because the average row of the catalog has another size. All others are taken over, file by file.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from skymargin.arrow.columns import to_numpy
from skymargin.build.memory import MemoryShares
from skymargin.build.stages.map import MapResult
from skymargin.build.stages.partition_scan import PartitionScan, make_scanner
from skymargin.build.stages.plan import group_rows
from skymargin.build.stages.reduce import ReduceResult
from skymargin.build.subset.provenance import Partition, decided_by, read_record, record_digest
from skymargin.build.subset.scope import Scope, tiles
from skymargin.catalogs.catalog import format_named
from skymargin.catalogs.layout import DATASET, below_dataset
from skymargin.catalogs.metadata_file import RowGroups
from skymargin.catalogs.partition_list import list_partitions
from skymargin.errors import ArgumentError, StorageError
from skymargin.geometry.outline import outline, unit_vectors
from skymargin.geometry.pixels import pixels_of
from skymargin.storage.paths import AnyPath, exists, translate_errors
from skymargin.storage.range_reader import read_tail

if TYPE_CHECKING:
    from skymargin._core import Margins, Tiling
    from skymargin.build.stages.tasks import SelectionRule
    from skymargin.catalogs.catalog import Catalog
    from skymargin.catalogs.layout import Pixel
    from skymargin.catalogs.output_options import OutputOptions

# Along each edge of a pixel.
_EDGE_POINTS = 32
_SLACK_ARCSEC = 1.0


def changed_scope(
    margin: AnyPath,
    catalog: Catalog,
    rule: SelectionRule,
    tiling: Tiling,
    output: OutputOptions,
    stamps: list[str],
) -> Scope:
    """The margins affected by changes of the primary catalog since a margin catalog was made.

    `catalog`, `tiling` and `stamps` describe the primary catalog as it is now.

    Raises
    ------
    ArgumentError
        When there is no margin, it has no record of what it was made from, or it was made in another way.
    """
    if not exists(margin):
        raise ArgumentError(f"only_changed=True: there is no margin at {margin}; make a whole one first")
    digest = record_digest(margin)
    before = read_record(margin, decided_by(catalog, rule.widest_arcsec, rule.fine_filtering, output))
    now = dict(zip(catalog.partitions, stamps, strict=True))
    if not all(now.values()) or not all(partition.stamp for partition in before.values()):
        raise ArgumentError(
            f"only_changed=True: {catalog.path} is on a server that does not tell when files changed; "
            "overwrite=True makes the margin anew"
        )
    changed = {pixel for pixel, stamp in now.items() if pixel not in before or before[pixel].stamp != stamp}
    gone = {pixel for pixel, partition in before.items() if now.get(pixel) != partition.stamp}
    old_tiling = _tiling(before)
    margins = rule.margins(tiling)
    new_tiles = set(tiles(tiling))
    touched = new_tiles.difference(tiles(old_tiling))
    touched |= _fed_by(rule.margins(old_tiling), rule, gone) & new_tiles
    touched |= _fed_by(margins, rule, changed)
    sizes = {pixel: partition for pixel, partition in before.items() if pixel not in gone}
    sizes |= _measured(catalog, changed)
    written, rows = _written(margin, catalog, output, new_tiles - touched)
    touched |= _laid_out_anew(rows, catalog, output, before, sizes)
    kept = [pixel for pixel in written if pixel not in touched]
    sources = _feeding(margins, tiling, rule, touched, now)
    chosen = [number for number, pixel in enumerate(catalog.partitions) if pixel in sources]
    unread = MapResult(
        sizes=[
            (*pixel, partition.rows, partition.memory_bytes)
            for pixel, partition in sizes.items()
            if pixel not in sources
        ],
        rows_per_threshold=[sum(rows[pixel] for pixel in kept)],
    )
    return Scope(
        catalog.with_partitions(chosen), stamps, frozenset(touched), kept, unread=[unread], record=digest
    )


def take_over(
    margin: AnyPath,
    folder: AnyPath,
    catalog: Catalog,
    scope: Scope,
    reduced: list[ReduceResult],
    output: OutputOptions,
) -> list[ReduceResult]:
    """Copy the margins that stay as they are into the new margin catalog.

    `margin` is the existing margin catalog, `folder` the new one under construction.

    Returns
    -------
    list of ReduceResult
        As given, when nothing is taken over; else one for each margin, made or taken over.
    """
    if not scope.kept:
        return reduced
    if record_digest(margin) != scope.record:
        raise StorageError(f"{margin} was replaced by another run while this one began; start this one again")
    for pixel in scope.kept:
        name = _file_name(pixel, catalog, output)
        try:
            _copy(margin / name, folder / name)
        except OSError as error:
            raise StorageError(f"{margin / name} cannot be taken over into {folder}: {error}") from error
    made = [pixel for result in reduced for pixel in zip(result.orders, result.pixels, strict=True)]
    return [_result_of_file(folder, pixel, catalog, output) for pixel in [*made, *scope.kept]]


def _tiling(partitions: Iterable[Pixel]) -> Tiling:
    import numpy as np

    import skymargin._core as _core

    pairs = list(partitions)
    orders = np.array([order for order, _ in pairs], dtype=np.uint8)
    return _core.Tiling(orders, np.array([pixel for _, pixel in pairs], dtype=np.uint64))


def _fed_by(margins: Margins, rule: SelectionRule, partitions: Iterable[Pixel]) -> set[Pixel]:
    """The margins that rows of the partitions may belong to."""
    fed: set[Pixel] = set()
    for partition in partitions:
        # The number of rows changes where a cover looks, not its destinations.
        near = pixels_of(margins.cover(*partition, rows=1).destinations())
        fed.update(_within(partition, near, rule.widest_arcsec))
    return fed


def _within(partition: Pixel, others: Iterable[Pixel], threshold_arcsec: float) -> list[Pixel]:
    """The pixels of `others` that may be within a threshold of a partition; never misses one.

    A cover treats a destination as the disc around it, which for a large empty pixel is half the sky. The nearest
    points of two disjoint pixels lie on their edges, so the separation is measured from points along one edge, and
    the step between these points is added to the threshold.
    """
    import numpy as np

    import skymargin._core as _core

    ra_deg, dec_deg = outline(*partition, _EDGE_POINTS)
    edge = unit_vectors(ra_deg, dec_deg)
    step = float(np.linalg.norm(np.diff(edge, axis=0), axis=1).max())
    reach_arcsec = threshold_arcsec + np.degrees(step) * 3600 + _SLACK_ARCSEC
    return [
        other
        for other in others
        if to_numpy(_core.separation_arcsec(ra_deg, dec_deg, *other)).min() <= reach_arcsec
    ]


def _feeding(
    margins: Margins, tiling: Tiling, rule: SelectionRule, touched: set[Pixel], partitions: dict[Pixel, str]
) -> set[Pixel]:
    """The partitions that may have rows for one of the margins."""
    near: set[Pixel] = set()
    for order, pixel in touched:
        near.update(pixels_of(tiling.near(order, pixel, rule.widest_arcsec)))
    return {
        pixel
        for pixel in near
        if pixel in partitions and not touched.isdisjoint(_fed_by(margins, rule, [pixel]))
    }


def _measured(catalog: Catalog, changed: set[Pixel]) -> dict[Pixel, Partition]:
    """Rows and sizes of the partitions that changed, from their footers."""
    scanner = make_scanner(catalog.schema, catalog.columns, MemoryShares().scan_bytes)
    partitions = {}
    for number, pixel in enumerate(catalog.partitions):
        if pixel in changed:
            files = [catalog.root / name for name in catalog.files[number]]
            scan = PartitionScan(scanner, files, catalog.sizes_of(number))
            partitions[pixel] = Partition(scan.rows, scan.memory_bytes, "")
    return partitions


def _written(
    margin: AnyPath, catalog: Catalog, output: OutputOptions, untouched: set[Pixel]
) -> tuple[list[Pixel], dict[Pixel, int]]:
    """Margins that are written and untouched, and the rows of each."""
    _, listed = list_partitions(margin, margin / DATASET, None, None)
    written = [pixel for pixel in listed if pixel in untouched]
    return written, {pixel: _result_of_file(margin, pixel, catalog, output).rows for pixel in written}


def _laid_out_anew(
    rows: dict[Pixel, int],
    catalog: Catalog,
    output: OutputOptions,
    before: dict[Pixel, Partition],
    now: dict[Pixel, Partition],
) -> set[Pixel]:
    """Margins whose rows are the same, but not their row groups."""
    old_most = group_rows(catalog, _row_bytes(before.values()), output)
    new_most = group_rows(catalog, _row_bytes(now.values()), output)
    if old_most == new_most:
        return set()
    return {pixel for pixel, count in rows.items() if count > min(old_most, new_most)}


def _row_bytes(partitions: Iterable[Partition]) -> int:
    sizes = [(partition.rows, partition.memory_bytes) for partition in partitions]
    return sum(memory_bytes for _, memory_bytes in sizes) // max(sum(rows for rows, _ in sizes), 1)


def _file_name(pixel: Pixel, catalog: Catalog, output: OutputOptions) -> str:
    return output.file_name(format_named(catalog.format).margin_file(*pixel))


def _result_of_file(folder: AnyPath, pixel: Pixel, catalog: Catalog, output: OutputOptions) -> ReduceResult:
    name = _file_name(pixel, catalog, output)
    try:
        row_groups = RowGroups.of_file(read_tail(folder / name), below_dataset(name))
    except (OSError, ValueError) as error:
        raise ArgumentError(
            f"only_changed=True: {folder / name} cannot be read, so it cannot be taken over ({error}); "
            "overwrite=True makes the margin anew"
        ) from error
    return ReduceResult([pixel[0]], [pixel[1]], row_groups.rows, [row_groups])


def _copy(source: AnyPath, target: AnyPath) -> None:
    """Copy one file within its file system; a hard link where possible, which takes no space."""
    if not (isinstance(source, Path) and isinstance(target, Path)):
        with translate_errors(target):
            # As lists: fsspec would take brackets of single paths for a pattern.
            source.fs.copy([source.path], [target.path])  # type: ignore[union-attr]
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
