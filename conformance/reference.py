"""Separations of positions and HEALPix pixels by mpmath: a reference that shares nothing with the packages it checks.

Pixel edges are the curves z(phi) of Górski et al. (2005), separations the spherical law of cosines, minima the zeros
of its derivative. Coordinates are exact: a float of degrees is the number that it is. Whether a position lies on an
edge is decided without rounding: turns are fractions, and so is the sine of the declination where it is rational (by
Niven's theorem at 0, 30 and 90 degrees only; everywhere else a position of whole binary digits lies on no edge but a
meridian).

Set the precision with ``mpmath.workdps``, 50 digits or more.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from fractions import Fraction

import mpmath
from mpmath import mpf

SAMPLES = 32
FINEST_ORDER = 29
# The declinations whose sine is rational.
_RATIONAL_SINES = {-90: -1, -30: Fraction(-1, 2), 0: 0, 30: Fraction(1, 2), 90: 1}

Curve = Callable[[mpf], tuple[mpf, mpf, mpf]]


class Point:
    """A position: its exact degrees in radians, at the working precision."""

    def __init__(self, ra_deg: float, dec_deg: float) -> None:
        self.longitude = mpmath.radians(mpf(ra_deg))
        self.latitude = mpmath.radians(mpf(dec_deg))
        self.sin_latitude, self.cos_latitude = mpmath.sin(self.latitude), mpmath.cos(self.latitude)
        self.turns = Fraction(ra_deg) / 90 % 4
        rational = _RATIONAL_SINES.get(dec_deg)
        self.z: Fraction | mpf = self.sin_latitude if rational is None else Fraction(rational)

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
        self.order, self.pixel = order, index
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

    def place(self, point: Point) -> tuple[Fraction | mpf, Fraction | mpf] | None:
        """Column and row of a point on the grid of this base cell; none if it is in the cap of another quadrant."""
        n, z = self.nside, point.z
        if 3 * abs(z) <= 2:
            eastward: Fraction | mpf = (2 * point.turns - self.eighth + 4) % 8 - 4
            northward = self.first_ring - 2 + 3 * z / 2
            if isinstance(z, mpf):
                eastward = _number(eastward)
            return n * (northward + eastward) / 2, n * (northward - eastward) / 2
        quadrant = self.face % 4
        turn = (point.turns - quadrant) % 4
        if self.face // 4 != (0 if z > 0 else 2) or (turn > 1 and abs(z) != 1):
            return None
        if abs(z) == 1:
            west = east = Fraction(0)
        else:
            from_pole = n * mpmath.sqrt(3 * (1 - abs(z)))
            west, east = from_pole * _number(turn), from_pole * _number(1 - turn)
        return (n - east, n - west) if z > 0 else (west, east)

    def contains(self, point: Point) -> bool:
        """Whether the point lies in the closed pixel."""
        column, row = self.place(point) or (-1, -1)
        return bool(self.column <= column <= self.column + 1 and self.row <= row <= self.row + 1)

    def index_29(self, point: Point) -> int:
        """The index at order 29 of a point of the closed pixel; on an edge, that of a neighbour inside the pixel."""
        finer = (1 << FINEST_ORDER) // self.nside
        column, row = self.place(point) or (-1, -1)
        return nested_index(
            FINEST_ORDER,
            self.face,
            min(math.floor(column * finer), (self.column + 1) * finer - 1),
            min(math.floor(row * finer), (self.row + 1) * finer - 1),
        )

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


def nested_index(order: int, face: int, column: int, row: int) -> int:
    """The index of a pixel by its base cell and its place on the cell's grid."""
    index = face << (2 * order)
    for bit in range(order):
        index |= ((column >> bit) & 1) << (2 * bit) | ((row >> bit) & 1) << (2 * bit + 1)
    return index


def _number(fraction: Fraction) -> mpf:
    return mpf(fraction.numerator) / fraction.denominator


def meridian_cosine(point: Point, longitude: mpf, ends_z: list[mpf]) -> mpf:
    """The largest cosine of the separation from a piece of a meridian."""
    across = point.cos_latitude * mpmath.cos(longitude - point.longitude)
    lowest, uppermost = sorted(mpmath.asin(z) for z in ends_z)
    foot = mpmath.atan2(point.sin_latitude, across)
    places = [lowest, uppermost, *([foot] if lowest < foot < uppermost else [])]
    return max(point.sin_latitude * mpmath.sin(place) + across * mpmath.cos(place) for place in places)


def text_of(separation_arcsec: mpf) -> str:
    """A separation in 32 digits without an exponent."""
    return str(mpmath.nstr(separation_arcsec, 32, min_fixed=-100, max_fixed=100))
