"""The audit of a margin catalog of any tool against its primary catalog."""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from dataclasses import replace
from numbers import Integral
from typing import TYPE_CHECKING

from skymargin.audit.footers import read_parquet
from skymargin.audit.report import KINDS, MOST_NAMED, Fault, PixelCounts, VerifyReport
from skymargin.audit.schemas import expected_schema, schema_difference
from skymargin.catalogs.folder import CatalogFolder, Columns, inspect_margin
from skymargin.catalogs.layout import COMMON_METADATA, METADATA, PARTITION_INFO, Pixel
from skymargin.catalogs.properties import whole_number
from skymargin.errors import ArgumentError, PartitionReadError
from skymargin.interrupts import with_short_interrupts
from skymargin.progress import Stages
from skymargin.storage.paths import AnyPath

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    import pyarrow as pa
    from upath import UPath

    from skymargin.audit.rows import RowAudit
    from skymargin.catalogs.leaf_paths import PathGenerator

    PathLike = str | os.PathLike[str] | UPath


@with_short_interrupts
def verify(
    margin: PathLike,
    primary: PathLike | None = None,
    *,
    path_generator: PathGenerator | None = None,
    primary_storage_options: Mapping[str, Any] | None = None,
    coarse: bool = False,
    sample: int | None = None,
    seed: int | None = None,
    progress_bar: bool = False,
) -> VerifyReport:
    """Check a margin catalog against the definition of a margin: every row, value and file.

    Every row of every partition within reach of a pixel is measured; nothing that selects rows in the pipeline is used.

    Parameters
    ----------
    margin
        A HATS or HiPSCat margin catalog, made by any tool.
    primary
        Its primary catalog, or the collection of that; default: the one its properties name.
    path_generator
        Where the partitions of the primary lie, if not where its format has them: a template or a function, as for
        `MarginCacheArguments`.
    primary_storage_options
        Options of the file system of the primary, as fsspec takes them; of a local primary, those of the files that
        `path_generator` names.
    coarse
        Allow rows beyond the threshold, and rows in any order, as margins made of whole pixels have them (hats-import,
        ACID, ``fine_filtering=False``): a crossmatch loses nothing because of them. They are counted nevertheless.
    sample
        Check the margins of this many pixels, chosen at random; default: all.
    seed
        Seed of the sample; default: a new one, which the report states.
    progress_bar
        Whether to show a progress bar.

    Returns
    -------
    VerifyReport
        What was checked and what is wrong.

    Raises
    ------
    CatalogNotFoundError
        When the margin or its primary catalog does not exist.
    CatalogError
        When the catalog is not a margin, or does not state its threshold.
    PartitionReadError, PositionError
        When the primary cannot be read.
    ArgumentError
        When an argument is not allowed.
    """
    from skymargin.audit.brute_force import margin_pixels
    from skymargin.audit.rows import RowAudit

    started = time.perf_counter()
    _check_numbers(sample, seed)
    both = inspect_margin(margin, primary, path_generator, primary_storage_options)
    catalog, reference, schema, columns = both.margin, both.primary, both.schema, both.columns
    tiles, strays = margin_pixels(reference.files, catalog.files)
    pixels = len(tiles)
    if sample is not None and sample < pixels:
        seed = random.SystemRandom().randrange(1 << 32) if seed is None else seed
        tiles = sorted(random.Random(seed).sample(sorted(tiles), sample))
    else:
        seed = None

    audit = RowAudit(catalog, reference, tiles, both.threshold_arcsec, columns)
    with Stages(progress_bar).stage("Verifying", total=audit.steps) as advance:
        audit.run(advance)
    faults = audit.worst()
    counts = Counter({kind: sum(margin_counts[kind] for margin_counts in audit.counts) for kind in KINDS})
    rows = None if seed is not None else int(audit.found.sum())
    for fault in [
        *_wrong_files(catalog, strays, audit, tiles),
        *_wrong_schema(catalog, expected_schema(schema, catalog.format)),
        *_wrong_properties(catalog, reference, columns, schema, rows),
    ]:
        counts[fault.kind] += 1
        faults.setdefault(fault.kind, []).append(fault)
    named = [fault for kind in KINDS for fault in faults.get(kind, [])[:MOST_NAMED]]
    return VerifyReport(
        margin_path=str(catalog.path),
        primary_path=str(reference.path),
        format=catalog.format,
        builder=catalog.properties.get("hats_builder", "unknown builder"),
        margin_threshold_arcsec=both.threshold_arcsec,
        coarse=coarse,
        pixels=pixels,
        pixels_checked=len(tiles),
        seed=seed,
        primary_rows=audit.rows_read,
        rows_expected=int(audit.expected.sum()),
        rows_found=int(audit.found.sum()),
        counts={kind: counts[kind] for kind in KINDS},
        largest_excess_arcsec=audit.largest_excess_arcsec,
        hint=_hint(counts, audit, coarse, catalog.part),
        per_pixel=[
            PixelCounts(*tile, int(expected), int(actual), dict(wrong))
            for tile, expected, actual, wrong in zip(
                tiles, audit.expected, audit.found, audit.counts, strict=True
            )
            if expected or actual or wrong
        ],
        faults=_with_ids(named, _id_column(schema), catalog, reference),
        seconds=time.perf_counter() - started,
    )


def _check_numbers(sample: int | None, seed: int | None) -> None:
    for name, value, least in (("sample", sample, 1), ("seed", seed, 0)):
        if value is not None and (
            isinstance(value, bool) or not isinstance(value, Integral) or value < least
        ):
            raise ArgumentError(
                f"{name} {value!r} is not allowed: it must be a whole number, {least} or more"
            )


def _wrong_files(
    margin: CatalogFolder, strays: list[Pixel], audit: RowAudit, tiles: list[Pixel]
) -> list[Fault]:
    """Leftover files, and differences between the files and the partition list."""
    faults = [
        Fault("left_over_file", str(margin.data / name), note="readers do not look for it under this name")
        for name in margin.strays
    ]
    for pixel in strays:
        note = "its pixel is neither a partition of the primary nor an empty pixel"
        faults += [Fault("left_over_file", str(path), pixel, note=note) for path in margin.file_paths(pixel)]
    if margin.listed is None:
        return faults
    listed, existing = set(margin.listed), set(margin.files)
    for pixel in sorted(existing - listed - set(strays)):
        note = f"{PARTITION_INFO} does not list it, so readers ignore it"
        faults.append(Fault("unlisted_file", str(margin.file_paths(pixel)[0]), pixel, note=note))
    lacking = {tile for tile, expected in zip(tiles, audit.expected, strict=True) if expected}
    for pixel in sorted(listed - existing - lacking):
        path = margin.data / margin.partition_path(pixel)
        faults.append(Fault("missing_file", str(path), pixel, note=f"{PARTITION_INFO} lists it"))
    return faults


def _wrong_schema(margin: CatalogFolder, expected: pa.Schema) -> list[Fault]:
    """Metadata files whose columns are not those of the primary."""
    import pyarrow.parquet as pq

    faults = []
    for name in (COMMON_METADATA, METADATA):
        path = margin.data / name
        if name not in margin.sizes:
            continue
        try:
            difference = schema_difference(read_parquet(path, pq.read_schema), expected)
        except PartitionReadError as error:
            reason = str(error).removeprefix(f"{path} ")
            faults.append(Fault("unreadable_file", str(path), note=reason))
            continue
        if difference:
            faults.append(Fault("schema", str(path), note=difference))
    return faults


def _wrong_properties(
    margin: CatalogFolder, primary: CatalogFolder, columns: Columns, schema: pa.Schema, rows: int | None
) -> list[Fault]:
    stated = margin.properties.get
    notes = []
    if margin.kind != "margin":
        notes.append(f"dataproduct_type is {margin.kind or 'not stated'}: it should be margin")
    nrows = stated("hats_nrows")
    # Not every tool states it.
    if rows is not None and nrows is not None and whole_number(nrows) != rows:
        notes.append(f"hats_nrows is {nrows}: the readable files have {rows}")
    for role, name in (("ra", columns.ra), ("dec", columns.dec)):
        column = stated(f"hats_col_{role}")
        if column != name:
            notes.append(f"hats_col_{role} is {column or 'not stated'}: in the primary it is {name}")
    index = stated("hats_col_healpix")
    if index and (index not in schema.names or columns.index not in (None, index)):
        notes.append(f"hats_col_healpix is {index}: in the primary it is {columns.index}")
    elif index and margin.index[1] != primary.index[1]:
        notes.append(f"hats_col_healpix_order is {margin.index[1]}: in the primary it is {primary.index[1]}")
    url = stated("hats_primary_table_url", "")
    folder = primary.path.absolute()
    # A collection may have the name of the catalog in it.
    names = {primary.path.name, folder.name, folder.parent.name, primary.properties.get("obs_collection")}
    if url.rstrip("/").rpartition("/")[2] not in names:
        notes.append(
            f"hats_primary_table_url is {url or 'not stated'}: the primary catalog is {primary.path}"
        )
    return [Fault("properties", str(margin.properties_file), note=note) for note in notes]


def _hint(counts: Counter[str], audit: RowAudit, coarse: bool, part: str) -> str:
    """A likely cause of the faults; empty when there is none."""
    if part and counts["missing"]:
        return f"its properties say that it is a trial of a part, {part}: what is missing elsewhere was not asked for"
    right, missing = audit.farthest_right_arcsec, audit.nearest_missing_arcsec
    if counts["missing"] > counts["missing_file"] and not counts["too_many"] and right < missing:
        return (
            f"all rows up to {right:.9g} arcsec are in the margin, and none from {missing:.9g} on: "
            "it looks like a margin of a smaller threshold"
        )
    others = sum(count for kind, count in counts.items() if kind not in ("too_many", "unsorted_file"))
    if counts["too_many"] and not others and not coarse:
        return (
            "no row is missing, but the margin has rows beyond its threshold, as margins made of whole pixels have "
            "(hats-import, ACID): --coarse allows them"
        )
    return ""


def _id_column(schema: pa.Schema) -> str | None:
    """A column whose name says that it identifies the rows."""
    from pyarrow import types

    for column in schema:
        is_named = column.name.lower() in ("id", "objectid", "sourceid") or column.name.endswith(
            ("_id", "Id", "ID")
        )
        if is_named and (types.is_integer(column.type) or types.is_string(column.type)):
            return str(column.name)
    return None


def _with_ids(
    faults: list[Fault], id_column: str | None, margin: CatalogFolder, primary: CatalogFolder
) -> list[Fault]:
    """Faults; those of rows with the row's identifier."""
    if id_column is None or all(fault.row is None for fault in faults):
        return faults
    files = {
        str(paths[0]): paths
        for catalog in (margin, primary)
        for paths in map(catalog.file_paths, catalog.files)
    }
    return [fault if fault.row is None else _with_id(fault, id_column, files[fault.file]) for fault in faults]


def _with_id(fault: Fault, id_column: str, files: list[AnyPath]) -> Fault:
    import numpy as np

    from skymargin.catalogs.partition_reader import PartitionRows

    try:
        with PartitionRows(files) as rows:
            for _, table in rows.take(np.array([fault.row]), [id_column]):
                return replace(fault, row_id=f"{id_column}={table.column(0)[0].as_py()}")
    except PartitionReadError:
        # The number of the row has to do.
        pass
    return fault
