"""Catalogs of which each file is written in another way, and whether their margins are what pyarrow reads in them.

A catalog is written by one library, since its files must agree on their types; every file has options of its own.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from hypothesis import strategies as st

from benchmarks.generate import finish_catalog, relative_path
from skymargin import verify
from skymargin.arrow.transport import from_transport, to_transport
from tests.catalogs.parquet_pairs import assert_same_rows
from tests.support import brute_force
from tests.support.catalogs import (
    MIXED_PARTITIONS,
    Pixel,
    Sky,
    files_of,
    make_margin,
    on_disk,
    same_margin,
    sky_near_edges,
)
from tests.support.parquet_types import column, nulls_of
from tests.support.parquet_writers import WRITERS, Options

THRESHOLD_ARCSEC = 60.0
# Of each sky its partitions and the rows drawn.
SKIES: dict[str, tuple[tuple[Pixel, ...], int]] = {
    "one order": (tuple((3, pixel) for pixel in range(300, 332)), 1_500),
    "several orders": (MIXED_PARTITIONS, 1_200),
    "few": (tuple((2, pixel) for pixel in range(40, 44)), 2_900),
}
INDEX_COLUMN = "_healpix_29"


@cache
def sky_of(name: str) -> tuple[Sky, dict[Pixel, list[int]]]:
    """The rows of a sky, and the ids in each margin by brute force."""
    partitions, rows = SKIES[name]
    sky = sky_near_edges(partitions, rows, THRESHOLD_ARCSEC, seed=len(name))
    return sky, sky.margins(THRESHOLD_ARCSEC)


@cache
def index_of(name: str) -> np.ndarray:
    """The spatial index of each row of a sky."""
    sky, _ = sky_of(name)
    return brute_force.pixels_of(sky.ra_deg, sky.dec_deg, 29).astype(np.int64)


class NotReadError(Exception):
    """pyarrow itself does not read the files of a case."""


@dataclass(frozen=True)
class Case:
    """A catalog, as it is to be written.

    Attributes
    ----------
    writer
        The name of the library.
    sky
        The name of its rows.
    columns
        Names of types, with the pattern of their nulls and where their values begin.
    shared
        The options of all files.
    own
        The options of each file; those of the partitions are taken from it in turn.
    has_index
        Whether there is a column of the spatial index.
    has_schema
        Whether a `_common_metadata` has the schema; else that of some file is.
    """

    writer: str
    sky: str
    columns: Sequence[tuple[str, str, int]]
    shared: Options
    own: Sequence[Options]
    has_index: bool = True
    has_schema: bool = True


@st.composite
def cases(draw: Any, folder: Path, writer: str) -> Case:
    """Catalogs of a library; `folder` is for trials of what it writes."""

    def choose(values: Sequence[Any]) -> Any:
        return draw(st.sampled_from(values))

    library = WRITERS[writer]
    shared = library.shared_options(choose)
    types = [name for name in library.types(folder) if name not in library.left_out(shared)]
    named = draw(st.lists(st.sampled_from(types), min_size=1, max_size=8))
    columns = [(name, choose(nulls_of(name)), draw(st.integers(0, 500))) for name in named]
    case = Case(
        writer,
        choose(("one order", "several orders")),
        columns,
        shared,
        (),
        choose((True, True, False)),
        choose((False, True)),
    )
    leaves = library.leaves(table_of(case), folder, shared)
    own = [library.own_options(choose, leaves) for _ in sky_of(case.sky)[0].partitions]
    return replace(case, own=own)


def table_of(case: Case) -> pa.Table:
    """The rows of a catalog, in the order of the index."""
    sky, _ = sky_of(case.sky)
    index = index_of(case.sky)
    order = np.argsort(index, kind="stable")
    columns: dict[str, Any] = {
        "id": pa.array(order),
        "ra": pa.array(sky.ra_deg[order]),
        "dec": pa.array(sky.dec_deg[order]),
    }
    if case.has_index:
        columns[INDEX_COLUMN] = pa.array(index[order])
    fields = [pa.field(name, values.type) for name, values in columns.items()]
    for number, (name, nulls, start) in enumerate(case.columns):
        values = column(name, nulls)
        # Where its values end, they begin again.
        columns[column_name(number, name)] = pa.chunked_array([values.slice(start), values]).slice(
            0, len(sky)
        )
        nullable = values.null_count > 0 or start % 2 == 0
        metadata = {"unit": f"of {name}"}
        fields.append(pa.field(column_name(number, name), values.type, nullable, metadata))
    return pa.table(list(columns.values()), pa.schema(fields, metadata={"made": "for tests"}))


def column_name(number: int, type_name: str) -> str:
    """The name of a column of a case; there may be several of one type."""
    return f"{number} {type_name}"


def write(case: Case, catalog: Path) -> None:
    """Write the catalog."""
    sky, _ = sky_of(case.sky)
    library, table = WRITERS[case.writer], table_of(case)
    ids = table.column("id").to_numpy()
    (catalog / "dataset").mkdir(parents=True)
    for number, (order, pixel) in enumerate(sky.partitions):
        file = catalog / relative_path(order, pixel)
        file.parent.mkdir(parents=True, exist_ok=True)
        # In the order of the index, the rows of a partition are one run.
        own = np.flatnonzero(sky.lies_in(order, pixel)[ids])
        rows = table.slice(int(own[0]), len(own))
        library.write(rows, file, case.shared, case.own[number % len(case.own)])
    properties = {"obs_collection": "varied", "hats_nrows": str(len(sky)), "hats_npix_suffix": ".parquet"}
    if case.has_index:
        properties |= {"hats_col_healpix": INDEX_COLUMN, "hats_col_healpix_order": "29"}
    without = ("_metadata",) if case.has_schema else ("_metadata", "_common_metadata")
    finish_catalog(catalog, schema_of(catalog), [], sky.partitions, properties, without)


def schema_of(catalog: Path) -> pa.Schema:
    """The schema of a catalog, as pyarrow reads it: that of its `_common_metadata`, else of its first file."""
    stated = catalog / "dataset" / "_common_metadata"
    if stated.exists():
        return pq.read_schema(stated)
    return pq.ParquetFile(min(files_of(catalog).items())[1]).schema_arrow


def check(case: Case, folder: Path) -> int:
    """Build the margin of a catalog, from a disk and from ranges, and compare both with pyarrow's reading.

    Returns
    -------
    int
        The number of files that were read.
    """
    catalog = folder / "varied"
    shutil.rmtree(catalog, ignore_errors=True)
    write(case, catalog)
    try:
        try:
            primary = read(catalog)
        except (pa.ArrowException, OSError) as error:
            raise NotReadError(f"pyarrow does not read what {case.writer} wrote: {error}") from error
        _check(catalog, folder, primary, sky_of(case.sky)[1])
        return len(files_of(catalog))
    finally:
        shutil.rmtree(catalog)
        for name in ("near", "far"):
            shutil.rmtree(folder / name, ignore_errors=True)


def read(catalog: Path) -> pa.Table:
    """All rows of a catalog, as pyarrow reads them."""
    return pa.concat_tables(pq.ParquetFile(file).read() for file in files_of(catalog).values())


def _check(catalog: Path, folder: Path, primary: pa.Table, margins: dict[Pixel, list[int]]) -> None:
    make_margin(catalog, folder / "near", THRESHOLD_ARCSEC)
    margin = folder / "near" / "margin"
    _check_rows(primary, schema_of(catalog), margin, margins)
    memory = fsspec.filesystem("memory")
    memory.put(str(catalog), "/varied/stars", recursive=True)
    try:
        make_margin("memory://varied/stars", folder / "far", THRESHOLD_ARCSEC)  # type: ignore[arg-type]
    finally:
        memory.rm("/varied", recursive=True)
    if not same_margin(on_disk(folder / "far" / "margin"), on_disk(margin)):
        raise AssertionError("the margin of what was read by ranges is another one")
    report = verify(margin, catalog, progress_bar=False)
    if not report.right:
        raise AssertionError(report.summary())


def _check_rows(primary: pa.Table, schema: pa.Schema, margin: Path, margins: dict[Pixel, list[int]]) -> None:
    files = files_of(margin)
    tables = {pixel: pq.ParquetFile(file).read() for pixel, file in files.items()}
    found = {pixel: sorted(table.column("id").to_pylist()) for pixel, table in tables.items()}
    if found != margins:
        raise AssertionError("the margins have other rows")
    for pixel, table in tables.items():
        if not table.schema.equals(schema, check_metadata=True):
            raise AssertionError(f"{files[pixel]}: the schema is {table.schema}, not {schema}")
    # pyarrow cannot take rows of views.
    primary = to_transport(primary).combine_chunks()
    rows = pa.concat_tables(tables.values()).combine_chunks()
    places = pc.index_in(rows.column("id"), primary.column("id"))
    assert_same_rows(from_transport(primary.take(places), schema), rows)
