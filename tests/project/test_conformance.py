"""The conformance set is what its reference computes, and skymargin decides every required row as it says."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import mpmath
import numpy as np
import pytest
from mpmath import mpf

import skymargin
from conformance.catalogs import CATALOGS, Catalog
from conformance.positions import Position, positions
from conformance.reference import Pixel, Point
from conformance.tables import (
    COLUMNS,
    DIGITS,
    FOLDER,
    TOLERANCE_ARCSEC,
    Record,
    decision_records,
    differences,
    partition_records,
    records_of,
    separation_record,
    write_tables,
)
from tests.support.catalogs import ids_of, make_margins
from tests.support.conformance import (
    margins_of,
    of_catalog,
    pixel_of,
    position_of,
    rows_of,
    table,
    write_conformance_catalog,
)
from tests.support.processes import run

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/explanation/guarantees.md"
# Every how many rows a value is computed anew.
STEP = 9

by_catalog = pytest.mark.parametrize("catalog", CATALOGS, ids=lambda catalog: catalog.name)


def case_of(record: Record) -> Position:
    return Position(record["place"], *pixel_of(record), *position_of(record))


def arguments(record: Record) -> tuple[np.ndarray, np.ndarray, int, int]:
    """A record as functions of arrays take it."""
    ra_deg, dec_deg = position_of(record)
    return np.array([ra_deg]), np.array([dec_deg]), *pixel_of(record)


def test_the_command_changes_nothing_that_is_kept(tmp_path: Path) -> None:
    kept = {path: path.read_bytes() for path in FOLDER.iterdir()}
    assert "--write FOLDER" in run([sys.executable, "-m", "conformance", "--help"], ROOT).stdout
    refused = run([sys.executable, "-m", "conformance", "anything"], ROOT, code=2)
    assert "unrecognized arguments: anything" in refused.stderr
    tables = {name: records_of(name) for name in COLUMNS}
    with pytest.raises(SystemExit, match="version 1 does not change"):
        write_tables(tables, FOLDER)
    write_tables(tables, tmp_path / "new")
    assert {path: (tmp_path / "new" / path.name).read_bytes() for path in kept} == kept
    assert {path: path.read_bytes() for path in FOLDER.iterdir()} == kept


def test_the_command_says_what_differs() -> None:
    tables = {name: records_of(name) for name in COLUMNS}
    assert differences(tables) == []
    tables["partitions"][3] = {**tables["partitions"][3], "kind": "none"}
    removed = tables["margins"].pop()
    changed, shorter = differences(tables)
    rows = len(tables["partitions"])
    assert changed.startswith(f"partitions.csv: 1 of {rows:,} records differ, the first in line 5: computed ")
    assert ",none, kept " in changed
    assert shorter.endswith(f"computed nothing, kept {','.join(removed.values())}")


def test_every_table_has_its_columns() -> None:
    assert {path.stem for path in FOLDER.iterdir()} == set(COLUMNS)
    for name, columns in COLUMNS.items():
        assert all(tuple(record) == columns and "" not in record.values() for record in table(name))


def test_the_tool_makes_these_positions() -> None:
    """To a rounding error: the sines of another platform may put a position beside the one that is kept."""
    with mpmath.workdps(DIGITS):
        made, kept = list(positions()), [case_of(record) for record in table("separations")]
        made_rows = [(catalog.name, str(row)) for catalog in CATALOGS for row in range(len(catalog.rows))]
    assert [case[:3] for case in made] == [case[:3] for case in kept]
    np.testing.assert_allclose([case[3:] for case in made], [case[3:] for case in kept], rtol=1e-12)
    assert made_rows == [(record["catalog"], record["row"]) for record in table("rows")]


def test_separations_are_those_of_the_reference() -> None:
    with mpmath.workdps(DIGITS):
        for record in table("separations")[::STEP]:
            assert separation_record(case_of(record)) == record


def test_separations_known_without_arithmetic_are_exact() -> None:
    """From a corner on the equator, along it; from a pole, along a meridian on the other side."""
    known = [record for record in table("separations") if record["place"] == "exact separation"]
    assert len(known) > 25
    for record in known:
        order, pixel = pixel_of(record)
        ra_deg, dec_deg = position_of(record)
        off_deg = abs(ra_deg) - 45 if pixel >> (2 * order) == 4 else 90 - abs(dec_deg)
        # Seen from 225 degrees, the nearer end of base cell 4 is the western one, at 315.
        off_deg = 90.0 if off_deg == 180 else off_deg
        assert float(record["separation_arcsec"]) == 3600 * off_deg


def test_decisions_follow_from_the_separations() -> None:
    with mpmath.workdps(DIGITS):
        computed = [decision for record in table("separations") for decision in decision_records(record)]
    assert computed == list(table("decisions"))


@by_catalog
def test_catalogs_are_those_of_the_reference(catalog: Catalog) -> None:
    with mpmath.workdps(DIGITS):
        for row, record in zip(rows_of(catalog), of_catalog("rows", catalog), strict=True):
            assert row.own in catalog.partitions
            assert Pixel(*row.own).contains(Point(row.ra_deg, row.dec_deg))
            assert row.healpix_29 == int(record["healpix_29"])
    assert list(partition_records(catalog)) == of_catalog("partitions", catalog)
    # Partitions and empty pixels are the sky, once, and no four empty pixels could be one.
    names = (*catalog.partitions, *catalog.empty_pixels)
    assert sum(4 ** (29 - order) for order, _ in names) == 12 * 4**29
    siblings = Counter((order, pixel >> 2) for order, pixel in catalog.empty_pixels if order)
    assert max(siblings.values()) < 4


@by_catalog
def test_memberships_are_those_of_the_reference(catalog: Catalog) -> None:
    """A sample of all pairs of a row and a pixel, those that are not members among them."""
    rows, margins = rows_of(catalog), margins_of(catalog)
    kept = {
        (*pixel_of(record), int(record["row"])): record["separation_arcsec"]
        for record in of_catalog("margins", catalog)
    }
    pairs = [
        (name, number)
        for name in (*catalog.partitions, *catalog.empty_pixels)
        for number, row in enumerate(rows)
        if row.own != name
    ]
    with mpmath.workdps(DIGITS):
        for name, number in pairs[:: len(pairs) // 30]:
            separation_arcsec = Pixel(*name).separation_arcsec(rows[number].ra_deg, rows[number].dec_deg)
            for threshold_arcsec, of_threshold in margins.items():
                within = bool(separation_arcsec <= threshold_arcsec)
                assert within == (number in of_threshold.get(name, []))
            if (*name, number) in kept:
                assert abs(mpf(kept[*name, number]) - separation_arcsec) < mpf("1e-25")


def test_our_separations_are_right_to_1e_9_arcsec() -> None:
    assert len(table("separations")) > 450
    for record in table("separations"):
        [value_arcsec] = skymargin.separation_arcsec(*arguments(record)).to_pylist()
        assert abs(mpf(record["separation_arcsec"]) - mpf(value_arcsec)) <= TOLERANCE_ARCSEC, record


def test_our_decisions_are_right_wherever_they_are_required() -> None:
    required = [record for record in table("decisions") if record["required"] == "true"]
    assert len(required) > 1_400
    for record in required:
        [within] = skymargin.is_within(*arguments(record), float(record["threshold_arcsec"])).to_pylist()
        assert within == (record["within"] == "true"), record


@by_catalog
def test_our_margins_of_tables_are_right(catalog: Catalog) -> None:
    """Rows on an edge are left out: in a table their partition is that of their position, here that of their file."""
    records = of_catalog("margins", catalog)
    on_an_edge = {int(record["row"]) for record in records if record["separation_arcsec"] == "0.0"}
    rows = rows_of(catalog)
    kept = [number for number in range(len(rows)) if number not in on_an_edge]
    ra_deg, dec_deg = (np.array([getattr(rows[row], name) for row in kept]) for name in ("ra_deg", "dec_deg"))
    orders, pixels = (np.array(part) for part in zip(*catalog.partitions, strict=True))
    for threshold_arcsec, margins in margins_of(catalog).items():
        members = skymargin.margin_rows(ra_deg, dec_deg, orders, pixels, threshold_arcsec).to_pydict()
        found = zip(members["row"], members["margin_order"], members["margin_pixel"], strict=True)
        assert sorted((order, pixel, kept[row]) for row, order, pixel in found) == sorted(
            (*name, row) for name, of_pixel in margins.items() for row in of_pixel if row not in on_an_edge
        )


@by_catalog
@pytest.mark.parametrize("index_order", [29, 22, None])
def test_our_margins_of_catalogs_are_right(catalog: Catalog, index_order: int | None, tmp_path: Path) -> None:
    """In one run for all thresholds, with indices of two orders and without one."""
    write_conformance_catalog(tmp_path / "stars", catalog, index_order)
    make_margins(tmp_path / "stars", tmp_path, catalog.thresholds_arcsec)
    for threshold_arcsec, margins in margins_of(catalog).items():
        found = {name: sorted(ids) for name, ids in ids_of(tmp_path / f"margin_{threshold_arcsec:g}").items()}
        assert found == margins


def test_the_page_counts_the_rows_of_the_set() -> None:
    words = " ".join(PAGE.read_text(encoding="utf-8").split())
    decisions = Counter(record["required"] for record in table("decisions"))
    for number in (len(table("separations")), *decisions.values(), len(table("rows")), len(table("margins"))):
        assert f"{number:,} " in words, number
