"""The conformance set as tests use it: its rows, its margins, its catalogs on disk."""

from __future__ import annotations

from collections import defaultdict
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa

from conformance.catalogs import Catalog, Row
from conformance.tables import Record, records_of
from tests.support.catalogs import Layout, Sky, write_catalog

Name = tuple[int, int]
FINEST_ORDER = 29


@cache
def table(name: str) -> tuple[Record, ...]:
    return tuple(records_of(name))


def of_catalog(name: str, catalog: Catalog) -> list[Record]:
    """The records of a table that are of a catalog."""
    return [record for record in table(name) if record["catalog"] == catalog.name]


def pixel_of(record: Record) -> Name:
    return int(record["order"]), int(record["pixel"])


def position_of(record: Record) -> tuple[float, float]:
    return float(record["ra_deg"]), float(record["dec_deg"])


def rows_of(catalog: Catalog) -> list[Row]:
    return [Row(*position_of(record), pixel_of(record)) for record in of_catalog("rows", catalog)]


def margins_of(catalog: Catalog) -> dict[float, dict[Name, list[int]]]:
    """The rows of each margin that has any, by threshold."""
    margins: dict[float, dict[Name, list[int]]] = {
        threshold: defaultdict(list) for threshold in catalog.thresholds_arcsec
    }
    for record in of_catalog("margins", catalog):
        margins[float(record["threshold_arcsec"])][pixel_of(record)].append(int(record["row"]))
    return {threshold: dict(of_threshold) for threshold, of_threshold in margins.items()}


def write_conformance_catalog(path: Path, catalog: Catalog, index_order: int | None = FINEST_ORDER) -> None:
    """Write a catalog of the set as HATS, with an index of an order or without one, each row in its own partition."""
    rows = rows_of(catalog)
    ra_deg, dec_deg = (np.array([getattr(row, name) for row in rows]) for name in ("ra_deg", "dec_deg"))
    own_order, own_pixel = (np.array([row.own[part] for row in rows], dtype=np.uint64) for part in (0, 1))
    index = np.array([int(record["healpix_29"]) for record in of_catalog("rows", catalog)], dtype=np.int64)
    columns = {"id": np.arange(len(rows)), "ra": ra_deg, "dec": dec_deg}
    layout = Layout(index_column=None)
    if index_order is not None:
        name = f"_healpix_{index_order}"
        layout = Layout(index_column=name, index_order=index_order)
        columns[name] = index >> 2 * (FINEST_ORDER - index_order)
    in_order = pa.table(columns).take(pa.array(np.argsort(index, kind="stable")))
    write_catalog(path, Sky(catalog.partitions, ra_deg, dec_deg, own_order, own_pixel), layout, in_order)
