"""The conformance set is what its reference computes, and skymargin decides every required row as it says."""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path

import mpmath
import numpy as np
import pyarrow as pa
import pytest
from mpmath import mpf

import skymargin
import skymargin._core as _core
from conformance.catalogs import CATALOGS, Catalog, Row
from conformance.positions import Position, positions
from conformance.reference import Pixel, Point
from conformance.tables import (
    DIGITS,
    FOLDER,
    TOLERANCE_ARCSEC,
    Record,
    decision_records,
    partition_records,
    records_of,
    separation_record,
)
from tests.support.catalogs import Layout, Sky, ids_of, make_margins, write_catalog

Margins = dict[tuple[int, int], list[int]]
# Every how many rows a value is computed anew.
STEP = 9

by_catalog = pytest.mark.parametrize("catalog", CATALOGS, ids=lambda catalog: catalog.name)


@pytest.fixture(scope="module")
def tables() -> dict[str, list[Record]]:
    return {path.stem: records_of(path.stem) for path in FOLDER.glob("*.csv")}


def of_catalog(table: list[Record], catalog: Catalog) -> list[Record]:
    return [record for record in table if record["catalog"] == catalog.name]


def pixel_of(record: Record) -> tuple[int, int]:
    return int(record["order"]), int(record["pixel"])


def position_of(record: Record) -> Position:
    return Position(record["place"], *pixel_of(record), float(record["ra_deg"]), float(record["dec_deg"]))


def kept_rows(tables: dict[str, list[Record]], catalog: Catalog) -> list[Row]:
    return [
        Row(float(record["ra_deg"]), float(record["dec_deg"]), pixel_of(record))
        for record in of_catalog(tables["rows"], catalog)
    ]


def expected_margins(tables: dict[str, list[Record]], catalog: Catalog) -> dict[float, Margins]:
    """The rows of each margin, by threshold, in the order of the table."""
    margins: dict[float, Margins] = {threshold: defaultdict(list) for threshold in catalog.thresholds_arcsec}
    for record in of_catalog(tables["margins"], catalog):
        margins[float(record["threshold_arcsec"])][pixel_of(record)].append(int(record["row"]))
    return margins


def arguments(record: Record) -> tuple[np.ndarray, np.ndarray, int, int]:
    return np.array([float(record["ra_deg"])]), np.array([float(record["dec_deg"])]), *pixel_of(record)


def test_the_tool_makes_these_positions(tables: dict[str, list[Record]]) -> None:
    """To a rounding error: the sines of another platform may put a position beside the one that is kept."""
    with mpmath.workdps(DIGITS):
        made, kept = list(positions()), list(map(position_of, tables["separations"]))
        rows = {catalog.name: catalog.rows for catalog in CATALOGS}
    assert [case[:3] for case in made] == [case[:3] for case in kept]
    np.testing.assert_allclose([case[3:] for case in made], [case[3:] for case in kept], rtol=1e-12)
    made_rows = [(name, str(number)) for name, those in rows.items() for number in range(len(those))]
    assert made_rows == [(record["catalog"], record["row"]) for record in tables["rows"]]


def test_separations_are_those_of_the_reference(tables: dict[str, list[Record]]) -> None:
    with mpmath.workdps(DIGITS):
        for record in tables["separations"][::STEP]:
            assert separation_record(position_of(record)) == record


def test_separations_known_without_arithmetic_are_exact(tables: dict[str, list[Record]]) -> None:
    """From a corner on the equator, along it; from a pole, along a meridian on the other side."""
    known = [record for record in tables["separations"] if record["place"] == "exact separation"]
    assert len(known) > 25
    for record in known:
        ra_deg, dec_deg = float(record["ra_deg"]), float(record["dec_deg"])
        off_deg = (
            90 - abs(dec_deg) if int(record["pixel"]) >> 2 * int(record["order"]) != 4 else abs(ra_deg) - 45
        )
        # Seen from 225 degrees, the nearer end of base cell 4 is the western one, at 315.
        off_deg = 90.0 if off_deg == 180 else off_deg
        assert float(record["separation_arcsec"]) == 3600 * off_deg


def test_decisions_follow_from_the_separations(tables: dict[str, list[Record]]) -> None:
    with mpmath.workdps(DIGITS):
        computed = [decision for record in tables["separations"] for decision in decision_records(record)]
    assert computed == tables["decisions"]


@by_catalog
def test_catalogs_are_those_of_the_reference(catalog: Catalog, tables: dict[str, list[Record]]) -> None:
    with mpmath.workdps(DIGITS):
        for row, record in zip(kept_rows(tables, catalog), of_catalog(tables["rows"], catalog), strict=True):
            assert row.own in catalog.partitions
            assert Pixel(*row.own).contains(Point(row.ra_deg, row.dec_deg))
            assert row.healpix_29 == int(record["healpix_29"])
    assert list(partition_records(catalog)) == of_catalog(tables["partitions"], catalog)
    # The empty pixels and the partitions are the sky, once, and no four empty pixels could be one.
    names = (*catalog.partitions, *catalog.empty_pixels)
    assert sum(4 ** (29 - order) for order, _ in names) == 12 * 4**29
    siblings = Counter((order, pixel >> 2) for order, pixel in catalog.empty_pixels if order)
    assert max(siblings.values()) < 4


@by_catalog
def test_memberships_are_those_of_the_reference(catalog: Catalog, tables: dict[str, list[Record]]) -> None:
    """A sample of all pairs of a row and a pixel, those that are not members among them."""
    rows, expected = kept_rows(tables, catalog), expected_margins(tables, catalog)
    separations = {
        (*pixel_of(record), int(record["row"])): record["separation_arcsec"]
        for record in of_catalog(tables["margins"], catalog)
    }
    pairs = [
        (name, number)
        for name in (*catalog.partitions, *catalog.empty_pixels)
        for number, row in enumerate(rows)
        if row.own != name
    ]
    with mpmath.workdps(DIGITS):
        for name, number in pairs[:: max(1, len(pairs) // 40)]:
            separation = Pixel(*name).separation_arcsec(rows[number].ra_deg, rows[number].dec_deg)
            for threshold, margins in expected.items():
                assert (separation <= threshold) == (number in margins.get(name, []))
            kept = separations.get((*name, number))
            assert kept is None or abs(mpf(kept) - separation) < mpf("1e-25")


def test_our_separations_are_right_to_1e_9_arcsec(tables: dict[str, list[Record]]) -> None:
    assert len(tables["separations"]) > 450
    for record in tables["separations"]:
        [value] = skymargin.separation_arcsec(*arguments(record)).to_pylist()
        assert abs(mpf(record["separation_arcsec"]) - mpf(value)) <= TOLERANCE_ARCSEC, record


def test_our_decisions_are_right_wherever_they_are_required(tables: dict[str, list[Record]]) -> None:
    required = [record for record in tables["decisions"] if record["required"] == "true"]
    assert len(required) > 1_400
    for record in required:
        [within] = skymargin.is_within(*arguments(record), float(record["threshold_arcsec"])).to_pylist()
        assert within == (record["within"] == "true"), record


@by_catalog
def test_our_margins_of_tables_are_right(catalog: Catalog, tables: dict[str, list[Record]]) -> None:
    """Rows on an edge are left out: in a table their partition is that of their position, here that of their file."""
    rows = of_catalog(tables["rows"], catalog)
    at_an_edge = {
        int(r["row"]) for r in of_catalog(tables["margins"], catalog) if r["separation_arcsec"] == "0.0"
    }
    kept = [number for number in range(len(rows)) if number not in at_an_edge]
    ra_deg, dec_deg = (np.array([float(rows[row][name]) for row in kept]) for name in ("ra_deg", "dec_deg"))
    orders, pixels = zip(*catalog.partitions, strict=True)
    for threshold, expected in expected_margins(tables, catalog).items():
        members = skymargin.margin_rows(ra_deg, dec_deg, orders, pixels, threshold).to_pydict()
        found = {
            (kept[row], order, pixel)
            for row, order, pixel in zip(
                members["row"], members["margin_order"], members["margin_pixel"], strict=True
            )
        }
        assert found == {
            (row, *pixel) for pixel, numbers in expected.items() for row in numbers if row not in at_an_edge
        }


@by_catalog
@pytest.mark.parametrize("index_order", [29, 22, None])
def test_our_margins_of_catalogs_are_right(
    catalog: Catalog, index_order: int | None, tables: dict[str, list[Record]], tmp_path: Path
) -> None:
    """In one run for all thresholds, with indices of several orders and without one."""
    rows = of_catalog(tables["rows"], catalog)
    columns = {name: np.array([float(row[name]) for row in rows]) for name in ("ra_deg", "dec_deg")}
    own_order, own_pixel = (
        np.array([pixel_of(row)[part] for row in rows], dtype=np.uint64) for part in (0, 1)
    )
    sky = Sky(catalog.partitions, columns["ra_deg"], columns["dec_deg"], own_order, own_pixel)
    index = np.array([int(row["healpix_29"]) for row in rows], dtype=np.int64)
    table = pa.table({"id": np.arange(len(rows)), "ra": sky.ra_deg, "dec": sky.dec_deg})
    layout = Layout(index_column=None)
    if index_order is not None:
        layout = Layout(index_column=f"_healpix_{index_order}", index_order=index_order)
        table = table.append_column(layout.index_column, pa.array(index >> 2 * (29 - index_order)))
    write_catalog(tmp_path / "stars", sky, layout, table.take(np.argsort(index, kind="stable")))
    make_margins(tmp_path / "stars", tmp_path, catalog.thresholds_arcsec)
    for threshold, expected in expected_margins(tables, catalog).items():
        found = ids_of(tmp_path / f"margin_{threshold:g}")
        assert {pixel: sorted(numbers) for pixel, numbers in found.items()} == expected


def test_indices_are_those_of_the_reference(tables: dict[str, list[Record]]) -> None:
    """But for rows on an edge, whose index here is in the partition that has them."""
    different = 0
    for record in tables["rows"]:
        index = _core.spatial_index(*arguments(record)[:2], 29).to_pylist()[0]
        different += index != int(record["healpix_29"])
    assert different < 30
