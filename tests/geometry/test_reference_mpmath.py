"""The core's separations and decisions against a third implementation: mpmath at 50 digits.

It shares nothing with the core nor with the reference of the Rust tests: pixel edges are the curves z(phi) of
Górski et al. (2005), separations the spherical law of cosines, minima the zeros of its derivative. Its results are
kept in ``rust/geometry/tests/reference/mpmath_cases.csv``, where the Rust tests hold their own reference to them.
Run this file as a script to write that table anew.
"""

from __future__ import annotations

import csv
import math
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import mpmath
import numpy as np
import pytest
from mpmath import mpf

import skymargin._core as _core

TABLE = Path(__file__).parents[2] / "rust/geometry/tests/reference/mpmath_cases.csv"
COLUMNS = ["order", "pixel", "ra_deg", "dec_deg", "separation_arcsec"]
CASES_PER_ORDER = 12
SAMPLES = 32
SEED = 20251123
TOLERANCE_ARCSEC = 1e-9

Curve = Callable[[mpf], tuple[mpf, mpf, mpf]]


class Point:
    """A position: its exact degrees in radians, at the working precision."""

    def __init__(self, ra_deg: float, dec_deg: float) -> None:
        self.longitude = mpmath.radians(mpf(ra_deg))
        self.latitude = mpmath.radians(mpf(dec_deg))
        self.sin_latitude, self.cos_latitude = mpmath.sin(self.latitude), mpmath.cos(self.latitude)

    def cos_separation(self, longitude: mpf, z: mpf) -> mpf:
        """The cosine of the separation from a point at a longitude and a z."""
        rho = mpmath.sqrt(1 - z * z)
        return self.sin_latitude * z + self.cos_latitude * rho * mpmath.cos(longitude - self.longitude)

    def derivative(self, longitude: mpf, z: mpf, slope: mpf) -> mpf:
        """The derivative of that cosine by the longitude, along a curve of slope dz/dlongitude."""
        rho = mpmath.sqrt(1 - z * z)
        sin, cos = mpmath.sin(longitude - self.longitude), mpmath.cos(longitude - self.longitude)
        return self.sin_latitude * slope - self.cos_latitude * (z / rho * slope * cos + rho * sin)


class Pixel:
    """A HEALPix pixel in the words of Górski et al.: rings from the north pole, lines k of each quadrant."""

    def __init__(self, order: int, index: int) -> None:
        self.nside = 1 << order
        self.face = index >> (2 * order)
        bits = [(index >> bit) & 1 for bit in range(2 * order)]
        self.column = sum(bit << place for place, bit in enumerate(bits[0::2]))
        self.row = sum(bit << place for place, bit in enumerate(bits[1::2]))
        self.first_ring = self.face // 4 + 2
        self.eighth = 2 * (self.face % 4) - (self.face // 4) % 2 + 1

    def corner(self, column: int, row: int) -> tuple[mpf, mpf]:
        """Longitude and z where two lines of the base cell's grid meet; at a pole the longitude is any."""
        n = self.nside
        ring = self.first_ring * n - column - row
        if n <= ring <= 3 * n:
            return mpmath.pi / 4 * (self.eighth + mpf(column - row) / n), mpf(4) / 3 - mpf(2 * ring) / (3 * n)
        from_pole = min(ring, 4 * n - ring)
        z = 1 - mpf(from_pole) ** 2 / (3 * n * n)
        turn = mpf(column - row) / from_pole if from_pole else mpf(0)
        return mpmath.pi / 4 * (self.eighth + turn), z if ring < n else -z

    def edges(self) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
        """The four edges as pairs of grid corners."""
        column, row = self.column, self.row
        for level in (row, row + 1):
            yield (column, level), (column + 1, level)
        for level in (column, column + 1):
            yield (level, row), (level, row + 1)

    def is_polar(self, start: tuple[int, int], end: tuple[int, int]) -> bool:
        """Whether an edge lies beyond z = 2/3 in size."""
        rings = [self.first_ring * self.nside - sum(corner) for corner in (start, end)]
        return max(rings) <= self.nside or min(rings) >= 3 * self.nside

    def line(self, start: tuple[int, int], end: tuple[int, int]) -> tuple[int, bool]:
        """The number k of a polar edge's line, and whether it counts from the quadrant's western side."""
        along_column = start[1] == end[1]
        level = start[1] if along_column else start[0]
        northern = self.face < 4
        return (self.nside - level if northern else level), along_column == northern

    def curve(self, start: tuple[int, int], end: tuple[int, int]) -> Curve:
        """An edge as longitude -> (longitude, z, dz/dlongitude); not for meridians."""
        (first_longitude, first_z), (last_longitude, last_z) = self.corner(*start), self.corner(*end)
        if not self.is_polar(start, end):
            rises = (last_z - first_z) * (last_longitude - first_longitude) > 0
            slope = 8 / (3 * mpmath.pi) * (1 if rises else -1)
            return lambda longitude: (longitude, first_z + slope * (longitude - first_longitude), slope)
        k, from_west = self.line(start, end)
        side = mpmath.pi / 2 * (self.face % 4 + (0 if from_west else 1))
        hemisphere = 1 if self.face < 4 else -1

        def polar(longitude: mpf) -> tuple[mpf, mpf, mpf]:
            turn = longitude - side
            drop = mpf(k * k) / (3 * self.nside**2) * (mpmath.pi / (2 * turn)) ** 2
            return longitude, hemisphere * (1 - drop), hemisphere * 2 * drop / turn

        return polar

    def contains(self, point: Point) -> bool:
        """Whether the point lies in the closed pixel, by the formulas from angles to grid coordinates."""
        n, z = self.nside, point.sin_latitude
        turns = point.longitude / (mpmath.pi / 2) % 4
        if abs(z) <= mpf(2) / 3:
            eastward = (2 * turns - self.eighth + 4) % 8 - 4
            northward = self.first_ring - 2 + 3 * z / 2
            column, row = n * (northward + eastward) / 2, n * (northward - eastward) / 2
        else:
            quadrant = min(int(turns), 3)
            from_pole = n * mpmath.sqrt(3 * (1 - abs(z)))
            west, east = from_pole * (turns - quadrant), from_pole * (quadrant + 1 - turns)
            if quadrant + (0 if z > 0 else 8) != self.face:
                return False
            column, row = (n - east, n - west) if z > 0 else (west, east)
        return bool(self.column <= column <= self.column + 1 and self.row <= row <= self.row + 1)

    def separation_arcsec(self, ra_deg: float, dec_deg: float) -> mpf:
        """The separation of a position and the closed pixel."""
        point = Point(ra_deg, dec_deg)
        if self.contains(point):
            return mpf(0)
        highest = max(self.highest_cosine(point, start, end) for start, end in self.edges())
        return mpmath.degrees(mpmath.acos(min(highest, mpf(1)))) * 3600

    def highest_cosine(self, point: Point, start: tuple[int, int], end: tuple[int, int]) -> mpf:
        """The largest cosine of the separation along an edge."""
        corners = [self.corner(*start), self.corner(*end)]
        highest = max(point.cos_separation(*corner) for corner in corners)
        if self.is_polar(start, end) and self.line(start, end)[0] == 0:
            return max(highest, meridian_cosine(point, self.meridian(start, end), [z for _, z in corners]))
        curve = self.curve(start, end)
        (first, _), (last, _) = sorted(corners)
        longitudes = [first + (last - first) * step / SAMPLES for step in range(SAMPLES + 1)]
        slopes = [point.derivative(*curve(longitude)) for longitude in longitudes]
        for step in range(SAMPLES):
            if slopes[step] > 0 > slopes[step + 1]:
                bracket = (longitudes[step], longitudes[step + 1])
                turning = mpmath.findroot(
                    lambda longitude: point.derivative(*curve(longitude)),
                    bracket,
                    solver="anderson",
                    verify=False,
                )
                highest = max(highest, point.cos_separation(*curve(turning)[:2]))
        return highest

    def meridian(self, start: tuple[int, int], end: tuple[int, int]) -> mpf:
        """The longitude of an edge whose line is number 0."""
        return mpmath.pi / 2 * (self.face % 4 + (0 if self.line(start, end)[1] else 1))


def meridian_cosine(point: Point, longitude: mpf, ends_z: list[mpf]) -> mpf:
    """The largest cosine of the separation from a piece of a meridian."""
    across = point.cos_latitude * mpmath.cos(longitude - point.longitude)
    lowest, uppermost = sorted(mpmath.asin(z) for z in ends_z)
    foot = mpmath.atan2(point.sin_latitude, across)
    places = [lowest, uppermost, *([foot] if lowest < foot < uppermost else [])]
    return max(point.sin_latitude * mpmath.sin(place) + across * mpmath.cos(place) for place in places)


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
            index = source.randrange(12) << (2 * order)
            for bit in range(order):
                index |= ((column >> bit) & 1) << (2 * bit) | ((row >> bit) & 1) << (2 * bit + 1)
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


def text_of(separation_arcsec: mpf) -> str:
    """A separation in 32 digits without an exponent."""
    return str(mpmath.nstr(separation_arcsec, 32, min_fixed=-100, max_fixed=100))


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
