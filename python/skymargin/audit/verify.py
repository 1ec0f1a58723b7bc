"""The audit of a margin catalog, whoever built it, against its primary catalog."""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from dataclasses import replace
from numbers import Integral
from typing import TYPE_CHECKING

from skymargin.audit.report import KINDS, MOST_NAMED, Fault, PixelCounts, VerifyReport
from skymargin.audit.schemas import expected_schema, schema_difference
from skymargin.catalogs.folder import (
    CatalogFolder,
    Columns,
    Pixel,
    check_primary,
    coordinate_columns,
    inspect_catalog,
    inspect_primary,
    primary_of,
    stated_threshold_arcsec,
)
from skymargin.errors import ArgumentError
from skymargin.progress import Stages
from skymargin.storage.paths import AnyPath, as_path, open_input

if TYPE_CHECKING:
    import pyarrow as pa
    from upath import UPath

    from skymargin.audit.rows import RowAudit

    PathLike = str | os.PathLike[str] | UPath


def verify(
    margin: PathLike,
    primary: PathLike | None = None,
    *,
    coarse: bool = False,
    sample: int | None = None,
    seed: int | None = None,
    progress_bar: bool = False,
) -> VerifyReport:
    """Check a margin catalog against the definition of a margin: every row, value and file.

    Every row of every partition that could reach a pixel is measured; nothing that chooses rows in the pipeline is
    used.

    Parameters
    ----------
    margin
        A HATS or HiPSCat margin catalog, of any tool.
    primary
        The catalog, or collection, that the margin is of; default: the one its properties name.
    coarse
        Allow what margins made of whole pixels (hats-import, ACID, ``fine_filtering=False``) have by their nature, and
        by which a crossmatch loses nothing: rows beyond the threshold, in any order. They are counted all the same.
    sample
        Check the margins of this many pixels, chosen at random; default: of all.
    seed
        Seed of the sample; default: a new one, which the report names.
    progress_bar
        Whether to show a progress bar.

    Returns
    -------
    VerifyReport
        What was checked and what is wrong.

    Raises
    ------
    CatalogNotFoundError
        When there is no margin, or no primary catalog.
    CatalogError
        When the margin is none, or does not state its threshold.
    PartitionReadError, PositionError
        When the primary cannot be read.
    ArgumentError
        When `sample` or `seed` is not allowed.
    """
    from skymargin.audit.brute_force import margin_pixels
    from skymargin.audit.rows import RowAudit

    started = time.perf_counter()
    _check_numbers(sample, seed)
    one = inspect_catalog(as_path(margin))
    threshold_arcsec = stated_threshold_arcsec(one)
    other = inspect_primary(primary_of(one) if primary is None else as_path(primary))
    check_primary(other)
    schema = other.schema()
    columns = coordinate_columns(other, schema)
    tiles, strays = margin_pixels(other.files, one.files)
    whole = len(tiles)
    if sample is not None and sample < whole:
        seed = random.SystemRandom().randrange(1 << 32) if seed is None else seed
        tiles = sorted(random.Random(seed).sample(sorted(tiles), sample))
    else:
        seed = None

    audit = RowAudit(one, other, tiles, threshold_arcsec, columns.ra, columns.dec, columns.index)
    with Stages(progress_bar).stage("Verifying", total=audit.steps) as advance:
        audit.run(advance)
    faults = audit.worst()
    counts = Counter({kind: sum(one[kind] for one in audit.counts) for kind in KINDS})
    rows = None if seed is not None else int(audit.found.sum())
    for fault in [
        *_wrong_files(one, strays, audit, tiles),
        *_wrong_schema(one, expected_schema(schema, one.format)),
        *_wrong_properties(one, other, columns, schema, rows),
    ]:
        counts[fault.kind] += 1
        faults.setdefault(fault.kind, []).append(fault)
    named = [fault for kind in KINDS for fault in faults.get(kind, [])[:MOST_NAMED]]
    return VerifyReport(
        margin_path=str(one.path),
        primary_path=str(other.path),
        format=one.format,
        builder=one.properties.get("hats_builder", "unknown builder"),
        margin_threshold_arcsec=threshold_arcsec,
        coarse=coarse,
        pixels=whole,
        pixels_checked=len(tiles),
        seed=seed,
        primary_rows=audit.rows_read,
        rows_expected=int(audit.expected.sum()),
        rows_found=int(audit.found.sum()),
        counts={kind: counts[kind] for kind in KINDS},
        largest_excess_arcsec=audit.largest_excess_arcsec,
        hint=_hint(counts, audit, coarse),
        per_pixel=[
            PixelCounts(*tile, int(expected), int(found), dict(wrong))
            for tile, expected, found, wrong in zip(
                tiles, audit.expected, audit.found, audit.counts, strict=True
            )
            if expected or found or wrong
        ],
        faults=_with_ids(named, _id_column(schema), one, other),
        seconds=time.perf_counter() - started,
    )


def _check_numbers(sample: int | None, seed: int | None) -> None:
    for name, value, least in (("sample", sample, 1), ("seed", seed, 0)):
        if value is not None and (
            isinstance(value, bool) or not isinstance(value, Integral) or value < least
        ):
            raise ArgumentError(f"{name} {value!r} is not allowed: it is a whole number, {least} or more")


def _wrong_files(
    margin: CatalogFolder, strays: list[Pixel], audit: RowAudit, tiles: list[Pixel]
) -> list[Fault]:
    """Files left over, and what the list of partitions has of others."""
    faults = [
        Fault("left_over_file", str(margin.data / name), note="no reader looks for it under this name")
        for name in margin.strays
    ]
    for pixel in strays:
        note = "its pixel is neither a partition of the primary nor an empty pixel"
        faults += [Fault("left_over_file", str(path), pixel, note=note) for path in margin.file_paths(pixel)]
    if margin.listed is None:
        return faults
    listed = set(margin.listed)
    there = set(margin.files)
    for pixel in sorted(there - listed - set(strays)):
        note = "partition_info.csv does not list it, so that readers pass over it"
        faults.append(Fault("unlisted_file", str(margin.file_paths(pixel)[0]), pixel, note=note))
    lacking = {tile for tile, expected in zip(tiles, audit.expected, strict=True) if expected}
    for pixel in sorted(listed - there - lacking):
        path = margin.data / margin.partition_path(pixel)
        faults.append(Fault("missing_file", str(path), pixel, note="partition_info.csv lists it"))
    return faults


def _wrong_schema(margin: CatalogFolder, expected: pa.Schema) -> list[Fault]:
    """Metadata files whose columns are not those of the primary."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    faults = []
    for name in ("_common_metadata", "_metadata"):
        if name not in margin.sizes:
            continue
        try:
            with open_input(margin.data / name) as source:
                schema = pq.read_schema(source)
        except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
            reason = f"cannot be read as Parquet: {' '.join(str(error).split())}"
            faults.append(Fault("unreadable_file", str(margin.data / name), note=reason))
            continue
        difference = schema_difference(schema, expected)
        if difference:
            faults.append(Fault("schema", str(margin.data / name), note=difference))
    return faults


def _wrong_properties(
    margin: CatalogFolder, primary: CatalogFolder, columns: Columns, schema: pa.Schema, rows: int | None
) -> list[Fault]:
    said = margin.properties.get
    notes = []
    if margin.kind != "margin":
        notes.append(f"dataproduct_type is {margin.kind or 'not stated'}: it should be margin")
    nrows = said("hats_nrows")
    # Not every tool states it.
    if rows is not None and nrows is not None and nrows != str(rows):
        notes.append(f"hats_nrows is {nrows}: the files that can be read hold {rows}")
    for role, name in (("ra", columns.ra), ("dec", columns.dec)):
        if said(f"hats_col_{role}") != name:
            notes.append(
                f"hats_col_{role} is {said(f'hats_col_{role}') or 'not stated'}: in the primary it is {name}"
            )
    stated = said("hats_col_healpix")
    if stated and (stated not in schema.names or columns.index not in (None, stated)):
        notes.append(f"hats_col_healpix is {stated}: in the primary it is {columns.index}")
    elif stated and margin.index[1] != primary.index[1]:
        notes.append(f"hats_col_healpix_order is {margin.index[1]}: in the primary it is {primary.index[1]}")
    name = said("hats_primary_table_url", "").rstrip("/").rpartition("/")[2]
    known = {primary.path.name, primary.path.absolute().name, primary.properties.get("obs_collection")}
    # A collection may be named for the catalog in it.
    known.add(primary.path.absolute().parent.name)
    if name not in known:
        notes.append(
            f"hats_primary_table_url is {said('hats_primary_table_url') or 'not stated'}: "
            f"the primary catalog is {primary.path}"
        )
    return [Fault("properties", str(margin.properties_file), note=note) for note in notes]


def _hint(counts: Counter[str], audit: RowAudit, coarse: bool) -> str:
    """What the faults look like, when they look like something."""
    right, lacking = audit.farthest_right_arcsec, audit.nearest_missing_arcsec
    if (
        counts["missing"]
        and not counts["too_many"]
        and counts["missing"] > counts["missing_file"]
        and right < lacking
    ):
        return (
            f"every row up to {right:.9g} arcsec is there, and none from {lacking:.9g} on: "
            "like a margin of a smaller threshold"
        )
    others = sum(count for kind, count in counts.items() if kind not in ("too_many", "unsorted_file"))
    if counts["too_many"] and not others and not coarse:
        return (
            "nothing is missing, and the margin holds more than its threshold asks for: margins made of whole pixels "
            "do (hats-import, ACID); --coarse allows it"
        )
    return ""


def _id_column(schema: pa.Schema) -> str | None:
    """A column whose name says that it names the rows."""
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
    """Faults, those of rows with what names the row."""
    if id_column is None or all(fault.row is None for fault in faults):
        return faults
    homes = {
        str(catalog.data / names[0]): catalog.file_paths(pixel)
        for catalog in (margin, primary)
        for pixel, names in catalog.files.items()
    }
    return [fault if fault.row is None else _with_id(fault, id_column, homes[fault.file]) for fault in faults]


def _with_id(fault: Fault, id_column: str, files: list[AnyPath]) -> Fault:
    import numpy as np

    from skymargin.catalogs.partition_reader import PartitionRows
    from skymargin.errors import PartitionReadError

    try:
        with PartitionRows(files) as rows:
            for _, table in rows.take(np.array([fault.row]), [id_column]):
                return replace(fault, row_id=f"{id_column}={table.column(0)[0].as_py()}")
    except PartitionReadError:
        # Its place tells which row it is.
        pass
    return fault
