"""The core's separations and decisions against a third implementation: mpmath at 50 digits.

``conformance/reference.py`` shares nothing with the core nor with the reference of the Rust tests. Its results are kept
in ``rust/geometry/tests/reference/mpmath_cases.csv``, where the Rust tests hold their own reference to them.
Run this file as a script to write that table anew.
"""

from __future__ import annotations

import csv
import math
import random
from collections.abc import Iterator
from pathlib import Path

import mpmath
import numpy as np
import pytest
from mpmath import mpf

import skymargin._core as _core
from conformance.reference import Pixel, nested_index, text_of

TABLE = Path(__file__).parents[2] / "rust/geometry/tests/reference/mpmath_cases.csv"
COLUMNS = ["order", "pixel", "ra_deg", "dec_deg", "separation_arcsec"]
CASES_PER_ORDER = 12
SEED = 20251123
TOLERANCE_ARCSEC = 1e-9


def cases() -> Iterator[tuple[int, int, float, float]]:
    """Pixels of all orders, many of them where the projection is special, each with a position."""
    source = random.Random(SEED)
    for order in range(30):
        last = (1 << order) - 1
        for number in range(CASES_PER_ORDER):
            column, row = source.randint(0, last), source.randint(0, last)
            if number % 3 == 1:
                column, row = source.choice([0, last]), source.choice([0, last])
            elif number % 3 == 2:
                row = min(max(last - column + source.randint(-1, 1), 0), last)
            index = nested_index(order, source.randrange(12), column, row)
            yield order, index, *position(source, Pixel(order, index), number)


def position(source: random.Random, pixel: Pixel, number: int) -> tuple[float, float]:
    """A position about a corner of the pixel or its antipode, near or far; or a special one."""
    if number % 6 == 5:
        ra_deg = source.choice([0.0, 90.0, 180.0, 270.0, 360.0, source.uniform(0, 360)])
        two_thirds_deg = math.degrees(math.asin(2 / 3))
        return ra_deg, source.choice([90.0, -90.0, 89.99999999, two_thirds_deg, -two_thirds_deg, 0.0])
    longitude, z = pixel.corner(pixel.column + source.randint(0, 1), pixel.row + source.randint(0, 1))
    corner_ra_deg, corner_dec_deg = float(mpmath.degrees(longitude)), float(mpmath.degrees(mpmath.asin(z)))
    if number % 12 == 10:
        corner_ra_deg, corner_dec_deg = corner_ra_deg + 180, -corner_dec_deg
    side_deg = 58.6 / pixel.nside
    distance_deg = math.exp(source.uniform(math.log(1e-6 * side_deg), math.log(min(10 * side_deg, 90))))
    angle = source.uniform(0, 2 * math.pi)
    dec_deg = min(max(corner_dec_deg + distance_deg * math.sin(angle), -90.0), 90.0)
    squeeze = max(math.cos(math.radians(dec_deg)), 1e-3 * side_deg)
    return (corner_ra_deg + distance_deg * math.cos(angle) / squeeze) % 360, dec_deg


def fresh_rows() -> list[dict[str, str]]:
    """The table, computed."""
    with mpmath.workdps(50):
        return [
            {
                "order": str(order),
                "pixel": str(index),
                "ra_deg": repr(ra_deg),
                "dec_deg": repr(dec_deg),
                "separation_arcsec": text_of(Pixel(order, index).separation_arcsec(ra_deg, dec_deg)),
            }
            for order, index, ra_deg, dec_deg in cases()
        ]


def table_rows() -> list[dict[str, str]]:
    """The table, as kept."""
    with TABLE.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def rows() -> list[dict[str, str]]:
    kept = table_rows()
    assert len(kept) == 30 * CASES_PER_ORDER
    return kept


def arguments(row: dict[str, str]) -> tuple[np.ndarray, np.ndarray, int, int]:
    """A row as the core's functions take it."""
    return (
        np.array([float(row["ra_deg"])]),
        np.array([float(row["dec_deg"])]),
        int(row["order"]),
        int(row["pixel"]),
    )


def test_the_table_is_what_mpmath_computes(rows: list[dict[str, str]]) -> None:
    assert fresh_rows() == rows


def test_separations_are_right_to_1e_9_arcsec(rows: list[dict[str, str]]) -> None:
    errors_arcsec = {}
    for row in rows:
        [value_arcsec] = _core.separation_arcsec(*arguments(row)).to_pylist()
        errors_arcsec[tuple(row.values())] = abs(float(mpf(row["separation_arcsec"]) - mpf(value_arcsec)))
    assert {case: error for case, error in errors_arcsec.items() if not error <= TOLERANCE_ARCSEC} == {}


@pytest.mark.parametrize("off_arcsec", [-1e-3, -1e-8, -2e-9, 2e-9, 1e-8, 1e-3])
def test_decisions_are_right_beside_the_threshold(rows: list[dict[str, str]], off_arcsec: float) -> None:
    decided, wrong = 0, []
    for row in rows:
        threshold_arcsec = float(mpf(row["separation_arcsec"]) + mpf(off_arcsec))
        if 0 < threshold_arcsec <= 324_000:
            [within] = _core.is_within(*arguments(row), threshold_arcsec).to_pylist()
            decided += 1
            if within != (off_arcsec > 0):
                wrong.append((row, threshold_arcsec))
    assert decided > 100
    assert wrong == []


if __name__ == "__main__":
    with TABLE.open("w", newline="") as table:
        writer = csv.DictWriter(table, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(fresh_rows())
