"""Whole catalogs in many layouts, what their margins are by brute force, and how a margin differs from that."""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tests.support import brute_force
from tests.support.catalogs import Layout, Pixel, Sky, files_of, plain, rows_of, sky_near_edges, write_catalog
from tests.support.hipscat_catalogs import INDEX, frame_of, hipscat_files, write_hipscat_catalog

THRESHOLD_ARCSEC = 60.0
# Partitions of three orders side by side, with empty pixels around them and among them.
PARTITIONS: tuple[Pixel, ...] = (
    (0, 5),
    *((1, pixel) for pixel in (0, 1, 3, 16, 17, 18)),
    *((2, pixel) for pixel in (8, 9, 11, 76, 77, 78, 79)),
)
ROWS = 1_100
# What the margin of a HiPSCat catalog has otherwise than its primary: the pixel of a row.
PIXEL_COLUMNS = ("Norder", "Dir", "Npix")
_SMALL_PAGES = {"data_page_size": 300, "write_batch_size": 16}

LAYOUTS: dict[str, Layout] = {
    "snappy, dictionaries": Layout(row_group_rows=40),
    "zstd, pages v2, page index": Layout(
        options={"compression": "zstd", "data_page_version": "2.0", "write_page_index": True, **_SMALL_PAGES}
    ),
    "uncompressed, no dictionaries, page index": Layout(
        options={"compression": "none", "use_dictionary": False, "write_page_index": True, **_SMALL_PAGES}
    ),
    "uncompressed, pages v2": Layout(
        row_group_rows=40, options={"compression": "none", "data_page_version": "2.0"}
    ),
    "snappy, checksums, page index": Layout(
        row_group_rows=100,
        options={"write_page_checksum": True, "write_page_index": True, **_SMALL_PAGES},
    ),
    "uncompressed, pages v2, checksums": Layout(
        row_group_rows=50,
        options={
            "compression": "none",
            "data_page_version": "2.0",
            "write_page_checksum": True,
            **_SMALL_PAGES,
        },
    ),
    "zstd, no dictionaries, checksums": Layout(
        row_group_rows=60,
        options={"compression": "zstd", "use_dictionary": False, "write_page_checksum": True},
    ),
    "no index column": Layout(row_group_rows=40, index_column=None, options={"compression": "none"}),
}
HIPSCAT = "HiPSCat"

Margins = Mapping[Pixel, pa.Table]


@dataclass(frozen=True)
class Base:
    """A whole catalog, of which damaged copies are made.

    Attributes
    ----------
    name
        Its layout.
    path
        Where it is.
    sky
        Its rows.
    rows
        All columns of them that a margin keeps, by id.
    ids
        The rows of each margin, by brute force.
    """

    name: str
    path: Path
    sky: Sky
    rows: pa.Table
    ids: Mapping[Pixel, list[int]]

    @property
    def is_hipscat(self) -> bool:
        """Whether it is a HiPSCat catalog."""
        return self.name == HIPSCAT

    @property
    def index(self) -> str | None:
        """The column of the spatial index."""
        return INDEX if self.is_hipscat else LAYOUTS[self.name].index_column

    @property
    def positions(self) -> set[str]:
        """The columns that say where a row is."""
        return {"ra", "dec", *([self.index] if self.index else [])}

    @cached_property
    def margins(self) -> dict[Pixel, pa.Table]:
        """The margins by brute force, the rows of each by id."""
        return {pixel: self.rows.take(pa.array(ids)) for pixel, ids in self.ids.items()}

    def files(self, catalog: Path) -> dict[Pixel, Path]:
        """The partitions of a copy."""
        return hipscat_files(catalog) if self.is_hipscat else files_of(catalog)


def write_bases(folder: Path, seed: int, names: Iterable[str] = (*LAYOUTS, HIPSCAT)) -> dict[str, Base]:
    """Write the catalogs that are to be damaged, those that are not there."""
    sky = sky_near_edges(PARTITIONS, ROWS, THRESHOLD_ARCSEC, seed)
    ids = _brute_force(folder / "margins.pickle", sky)
    bases = {}
    for number, name in enumerate(names):
        path = folder / f"whole_{number}"
        if name == HIPSCAT:
            if not path.exists():
                write_hipscat_catalog(path, sky, row_group_rows=40)
            rows = pa.Table.from_pandas(frame_of(sky)).drop_columns(list(PIXEL_COLUMNS))
        else:
            rows = rows_of(sky, LAYOUTS[name])
            if not path.exists():
                write_catalog(path, sky, LAYOUTS[name])
        bases[name] = Base(name, path, sky, by(rows, "id"), ids)
    return bases


def _brute_force(kept: Path, sky: Sky) -> dict[Pixel, list[int]]:
    """The rows of each margin; other processes need not find them again."""
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_bytes(pickle.dumps(sky.margins(THRESHOLD_ARCSEC)))
    margins: dict[Pixel, list[int]] = pickle.loads(kept.read_bytes())
    return margins


def second_key(rows: pa.Table) -> str:
    """The other column that names rows, for when the first is damaged."""
    return "seen" if "seen" in rows.schema.names else INDEX


def by(table: pa.Table, column: str) -> pa.Table:
    """Rows in the order of a column that names them."""
    order = pc.sort_indices(table.column(column))
    return plain(plain(table).take(order))


def margins_on_disk(base: Base, margin: Path, key: str) -> dict[Pixel, pa.Table]:
    """The margins that were made, the rows of each in the order of a column that names them."""
    margins = {}
    for pixel, file in base.files(margin).items():
        table = pq.ParquetFile(file).read()
        if base.is_hipscat:
            table = table.select([name for name in table.schema.names if name in base.rows.schema.names])
        margins[pixel] = by(table, key)
    return margins


def margins_as_read(base: Base, catalog: Path) -> dict[Pixel, pa.Table]:
    """The margins by brute force of what pyarrow reads from a damaged copy: a flipped value is a value."""
    tables, orders, pixels = [], [], []
    for (order, pixel), file in sorted(base.files(catalog).items()):
        table = pq.ParquetFile(file).read().select(base.rows.schema.names)
        tables.append(plain(table).replace_schema_metadata(None))
        orders += [order] * len(table)
        pixels += [pixel] * len(table)
    rows = pa.concat_tables(tables)
    ra_deg, dec_deg = (rows.column(name).to_numpy() for name in ("ra", "dec"))
    own = np.array(orders, dtype=np.uint8), np.array(pixels, dtype=np.uint64)
    row_numbers = brute_force.margins(ra_deg, dec_deg, *own, PARTITIONS, THRESHOLD_ARCSEC)
    return {pixel: by(rows.take(pa.array(rows_inside)), "id") for pixel, rows_inside in row_numbers.items()}


def difference(margins: Margins, expected: Margins, but: Iterable[str] = ()) -> str:
    """How margins differ from those expected, in words; empty when they do not. Some columns are not compared."""
    but = set(but)
    for pixel in sorted({*margins, *expected}):
        ours, theirs = margins.get(pixel), expected.get(pixel)
        if ours is None or theirs is None:
            return f"the margin of {pixel} is {'not there' if ours is None else 'too many'}"
        key = second_key(theirs) if "id" in but else "id"
        our_keys, their_keys = (by(side, key).column(key).to_pylist() for side in (ours, theirs))
        if our_keys != their_keys:
            missing, surplus = (
                sorted(set(their_keys) - set(our_keys)),
                sorted(set(our_keys) - set(their_keys)),
            )
            return f"of the margin of {pixel}, rows {missing[:5]} are missing, {surplus[:5]} too many"
        if set(ours.schema.names) != set(theirs.schema.names):
            return f"the margin of {pixel} has the columns {ours.schema.names}"
        for name in sorted(set(theirs.schema.names) - but):
            if not by(ours, key).column(name).equals(by(theirs, key).column(name)):
                return f"of the margin of {pixel}, column {name} has other values"
    return ""


def missing_of(margins: Margins, expected: Margins) -> set[Any] | None:
    """The ids of rows that are missing; None when there is any other difference."""
    missing: set[Any] = set()
    for pixel, theirs in expected.items():
        ours = margins.get(pixel)
        ids = set() if ours is None else set(ours.column("id").to_pylist())
        lacking = set(theirs.column("id").to_pylist()) - ids
        missing |= lacking
        kept = theirs.filter(pc.invert(pc.is_in(theirs.column("id"), pa.array(sorted(lacking), pa.int64()))))
        if len(kept) and ours is not None and difference({pixel: ours}, {pixel: kept}):
            return None
        if ours is not None and not len(kept):
            return None
    return None if set(margins) - set(expected) else missing


@dataclass
class Case:
    """A damaged copy of a catalog, and what may become of it.

    Attributes
    ----------
    what
        The damage, in a few words.
    catalog
        The copy.
    names
        An error must name one of these.
    flipped
        Columns whose values the damage may have changed without a trace.
    as_read
        Whether the rows as pyarrow reads them from the copy are right as well.
    believed
        The partition whose index, or the bounds that its files state of it, may be wrong without a trace: its rows
        may be missing.
    """

    what: str
    catalog: Path
    names: list[str]
    flipped: set[str] = field(default_factory=set)
    as_read: bool = False
    believed: Pixel | None = None
