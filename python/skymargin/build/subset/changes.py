"""Making anew only the margins that changes of the primary catalog have touched.

A margin is touched when its pixel was not there before (partitions that come, go or are split change the empty pixels
around them, too), when a partition that changed has, or had, sky within its threshold, or when it would be laid out in
another way because the average row of the catalog has another size. All others are taken over, file by file.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from skymargin.arrow.columns import to_numpy
from skymargin.build.stages.map import MapResult
from skymargin.build.stages.partition_scan import PartitionScan, make_scanner
from skymargin.build.stages.plan import layout
from skymargin.build.stages.reduce import ReduceResult
from skymargin.build.subset.provenance import (
    Partition,
    decided_by,
    partitions_of,
    read_record,
    record_digest,
    stamps_of,
)
from skymargin.build.subset.scope import Scope, cone_scope, pixels_of, tiles
from skymargin.catalogs.catalog import format_named
from skymargin.catalogs.layout import DATASET, below_dataset
from skymargin.catalogs.metadata_file import RowGroups
from skymargin.catalogs.output_options import OutputOptions
from skymargin.catalogs.partition_list import list_partitions
from skymargin.errors import ArgumentError, StorageError
from skymargin.geometry.outline import outline, unit_vectors
from skymargin.storage.paths import AnyPath, exists, open_input, translate_errors

if TYPE_CHECKING:
    import pyarrow.parquet as pq

    from skymargin._core import Margins, Tiling
    from skymargin.build.arguments import MarginCacheArguments
    from skymargin.build.stages.tasks import Pixel, RunSpec
    from skymargin.catalogs.catalog import Catalog

# Along each edge of a pixel.
_EDGE_POINTS = 32
_SLACK_ARCSEC = 1.0


def scope_of(args: MarginCacheArguments, catalog: Catalog, job: RunSpec, tiling: Tiling) -> Scope:
    """What a run makes and reads, as its arguments have it.

    Raises
    ------
    ArgumentError
        When only changes are wanted, and what they are cannot be told.
    """
    stamps = stamps_of(catalog)
    if args.only_changed:
        margin = args.catalog_path
        if not exists(margin) and exists(args.run_paths.old):
            # A run was killed between its last two moves; this one ends them, or takes back the first.
            margin = args.run_paths.old
        scope = changed_scope(margin, catalog, job, tiling, OutputOptions.of(args), stamps)
    elif args.cone is not None:
        scope = cone_scope(catalog, tiling, args.cone)
    else:
        scope = Scope(catalog)
    return replace(scope, stamps=stamps)


def changed_scope(
    margin: AnyPath,
    catalog: Catalog,
    job: RunSpec,
    tiling: Tiling,
    wanted: OutputOptions,
    stamps: Sequence[str],
) -> Scope:
    """The margins that changes have touched since a margin catalog was made.

    Parameters
    ----------
    margin
        That margin catalog.
    catalog, job, tiling, wanted
        The primary catalog as it is, what a run of all is told, its tiling, and what is wanted of the files.
    stamps
        One for each of its partitions.

    Raises
    ------
    ArgumentError
        When there is no margin, no record of what it was made from, or it was made in another way.
    """
    if not exists(margin):
        raise ArgumentError(f"only_changed=True: there is no margin at {margin}; make a whole one first")
    digest = record_digest(margin)
    before = read_record(margin, decided_by(catalog, job, wanted))
    now = dict(zip(partitions_of(catalog), stamps, strict=True))
    if not all(now.values()) or not all(one.stamp for one in before.values()):
        raise ArgumentError(
            f"only_changed=True: {catalog.path} is on a server that does not tell when files changed; "
            "overwrite=True makes the margin anew"
        )
    changed = {pixel for pixel, stamp in now.items() if pixel not in before or before[pixel].stamp != stamp}
    gone = {pixel for pixel, one in before.items() if now.get(pixel) != one.stamp}
    old_tiling = _tiling(before)
    margins = _margins(tiling, job)
    new_tiles = set(tiles(tiling))
    touched = new_tiles.difference(tiles(old_tiling))
    touched |= _fed_by(_margins(old_tiling, job), job, gone) & new_tiles
    touched |= _fed_by(margins, job, changed)
    sizes = {pixel: one for pixel, one in before.items() if pixel not in gone}
    sizes |= _measured(catalog, job, changed)
    there, rows = _still_there(margin, catalog, wanted, new_tiles - touched)
    touched |= _laid_out_anew(rows, catalog, wanted, before, sizes)
    kept = [pixel for pixel in there if pixel not in touched]
    sources = _feeding(margins, tiling, job, touched, now)
    chosen = [number for number, pixel in enumerate(partitions_of(catalog)) if pixel in sources]
    unread = [(*pixel, one.rows, one.memory_bytes) for pixel, one in sizes.items() if pixel not in sources]
    known = MapResult(
        number=-1,
        primary_rows=sum(line[2] for line in unread),
        rows=sum(rows[pixel] for pixel in kept),
        memory_bytes=sum(line[3] for line in unread),
        sizes=unread,
    )
    sources_alone = catalog.with_partitions(chosen)
    return Scope(sources_alone, frozenset(touched), kept, [known], record=digest)


def taken_over(
    margin: AnyPath,
    folder: AnyPath,
    catalog: Catalog,
    scope: Scope,
    reduced: list[ReduceResult],
    wanted: OutputOptions,
) -> list[ReduceResult]:
    """Bring the margins that stay as they are into the new margin catalog, and say what is in all of it.

    Parameters
    ----------
    margin, folder
        The margin catalog that is there, and the new one under construction.
    catalog
        The primary catalog.
    scope
        What the run makes.
    reduced
        What each batch of margins came to.
    wanted
        What is wanted of the files.

    Returns
    -------
    list of Reduced
        As it was given, when nothing is taken over; else one for each margin, made or taken over.
    """
    if not scope.kept:
        return reduced
    if record_digest(margin) != scope.record:
        raise StorageError(f"{margin} was replaced by another run while this one began; start this one again")
    for pixel in scope.kept:
        name = _file_name(pixel, catalog, wanted)
        try:
            _copy(margin / name, folder / name)
        except OSError as error:
            raise StorageError(f"{margin / name} cannot be taken over into {folder}: {error}") from error
    made = [pixel for one in reduced for pixel in zip(one.orders, one.pixels, strict=True)]
    described: list[ReduceResult] = []
    like: RowGroups | None = None
    for pixel in [*made, *scope.kept]:
        described.append(_described(folder, pixel, catalog, wanted, like))
        like = described[-1].row_groups[0]
    return described


def _tiling(partitions: Iterable[Pixel]) -> Tiling:
    import numpy as np

    import skymargin._core as _core

    pairs = list(partitions)
    orders = np.array([order for order, _ in pairs], dtype=np.uint8)
    return _core.Tiling(orders, np.array([pixel for _, pixel in pairs], dtype=np.uint64))


def _margins(tiling: Tiling, job: RunSpec) -> Margins:
    import skymargin._core as _core

    return _core.Margins(tiling, job.margin_threshold_arcsec, job.margin_order, job.fine_filtering)


def _fed_by(margins: Margins, job: RunSpec, partitions: Iterable[Pixel]) -> set[Pixel]:
    """The margins that rows of the partitions may belong to."""
    found: set[Pixel] = set()
    for partition in partitions:
        # Where the rows are is of no interest here, and so it is how many there are.
        near = pixels_of(margins.cover(*partition, rows=1).destinations())
        found.update(_within(partition, near, job.margin_threshold_arcsec))
    return found


def _within(partition: Pixel, others: Iterable[Pixel], threshold_arcsec: float) -> list[Pixel]:
    """Those of the pixels that may be within a threshold of another; never misses one.

    A cover takes a destination for the disc about it, and that of a large empty pixel has half the sky in it. Of two
    pixels apart, the points nearest to each other are on their edges: measured are points of one edge, so dense that
    none is farther than a step from one of them.
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
    margins: Margins, tiling: Tiling, job: RunSpec, touched: Iterable[Pixel], partitions: dict[Pixel, str]
) -> set[Pixel]:
    """The partitions that may have rows for one of the margins."""
    wanted = set(touched)
    near: set[Pixel] = set()
    for order, pixel in wanted:
        near.update(pixels_of(tiling.near(order, pixel, job.margin_threshold_arcsec)))
    return {
        pixel
        for pixel in near
        if pixel in partitions and not wanted.isdisjoint(_fed_by(margins, job, [pixel]))
    }


def _measured(catalog: Catalog, job: RunSpec, changed: set[Pixel]) -> dict[Pixel, Partition]:
    """Rows and sizes of the partitions that changed, from their footers."""
    scanner = make_scanner(catalog.schema, catalog.columns, job.memory.scan_bytes)
    found = {}
    for pixel, names in zip(partitions_of(catalog), catalog.files, strict=True):
        if pixel in changed:
            scan = PartitionScan(scanner, [catalog.path / name for name in names])
            found[pixel] = Partition(scan.rows, scan.memory_bytes, "")
    return found


def _still_there(
    margin: AnyPath, catalog: Catalog, wanted: OutputOptions, untouched: set[Pixel]
) -> tuple[list[Pixel], dict[Pixel, int]]:
    """Margins that are written and untouched, and the rows of each."""
    _, written = list_partitions(margin, margin / DATASET, None)
    there = [pixel for pixel in written if pixel in untouched]
    return there, {pixel: _footer(margin, _file_name(pixel, catalog, wanted)).num_rows for pixel in there}


def _laid_out_anew(
    rows: dict[Pixel, int],
    catalog: Catalog,
    wanted: OutputOptions,
    before: dict[Pixel, Partition],
    now: dict[Pixel, Partition],
) -> set[Pixel]:
    """Margins whose rows are the same, but not their row groups or their compression."""
    old_most, old_compressed = layout(catalog, _row_bytes(before.values()), wanted)
    new_most, new_compressed = layout(catalog, _row_bytes(now.values()), wanted)
    return {
        pixel
        for pixel, count in rows.items()
        if (count < old_compressed) != (count < new_compressed)
        or (old_most != new_most and count > min(old_most, new_most))
    }


def _row_bytes(partitions: Iterable[Partition]) -> int:
    known = list(partitions)
    return sum(one.memory_bytes for one in known) // max(sum(one.rows for one in known), 1)


def _file_name(pixel: Pixel, catalog: Catalog, wanted: OutputOptions) -> str:
    return wanted.file_name(format_named(catalog.format).margin_file(*pixel))


def _footer(folder: AnyPath, name: str) -> pq.FileMetaData:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with open_input(folder / name) as source:
            return pq.read_metadata(source)
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
        raise ArgumentError(
            f"only_changed=True: {folder / name} cannot be read, so it cannot be taken over ({error}); "
            "overwrite=True makes the margin anew"
        ) from error


def _described(
    folder: AnyPath, pixel: Pixel, catalog: Catalog, wanted: OutputOptions, like: RowGroups | None
) -> ReduceResult:
    name = _file_name(pixel, catalog, wanted)
    footer = _footer(folder, name)
    footer.set_file_path(below_dataset(name))
    return ReduceResult(-1, [pixel[0]], [pixel[1]], footer.num_rows, [RowGroups.of(footer, like)], {})


def _copy(source: AnyPath, target: AnyPath) -> None:
    """One file, within the file system; a link where there are links, which costs no room."""
    if not (isinstance(source, Path) and isinstance(target, Path)):
        with translate_errors(target):
            source.fs.copy(source.path, target.path)  # type: ignore[union-attr]
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
