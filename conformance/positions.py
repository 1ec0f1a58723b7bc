"""Positions about pixels, where separations and decisions are hard: corners, edges, poles, caps, ties."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterator
from typing import NamedTuple

import mpmath

from conformance.reference import Pixel, nested_index

SEED = 20261128
TWO_THIRDS_DEG = math.degrees(math.asin(2 / 3))
ORDERS = (0, 1, 2, 3, 5, 7, 10, 13, 17, 21, 25, 29)
# 0 in several ways of writing, lines on which base cells meet in the caps, their middles, and others.
LONGITUDES_DEG = (0.0, 45.0, 90.0, 123.456, 225.0, 270.0, 359.999999, 360.0, -0.000001, -90.0)


class Position(NamedTuple):
    """A position and a pixel."""

    place: str
    order: int
    pixel: int
    ra_deg: float
    dec_deg: float


def positions() -> Iterator[Position]:
    """All positions of the table of separations, in its order, each once."""
    source = random.Random(SEED)
    groups = (
        base_cell_corners(source),
        pixel_corners(source),
        edges(source),
        poles(source),
        right_ascension_zero(source),
        caps(source),
        touching(),
        far(source),
        ties(),
    )
    met = set()
    for position in itertools.chain.from_iterable(groups):
        if position[1:] not in met:
            met.add(position[1:])
            yield position


def base_cell_corners(source: random.Random) -> Iterator[Position]:
    """About all four corners of all twelve base cells, for pixels of many orders."""
    for face in range(12):
        for corner in range(4):
            order = ORDERS[(5 * face + corner) % len(ORDERS)]
            last = (1 << order) - 1
            at = (corner % 2, corner // 2)
            pixel = nested_index(order, face, at[0] * last, at[1] * last)
            for sides in (0.01, 1.0):
                yield Position("base cell corner", order, pixel, *about(source, order, pixel, at, sides))


def pixel_corners(source: random.Random) -> Iterator[Position]:
    """About a corner of a pixel anywhere, at every order."""
    for order in range(30):
        for _ in range(2):
            at = (source.randint(0, 1), source.randint(0, 1))
            pixel = source.randrange(12 << (2 * order))
            sides = 10 ** source.uniform(-6, 0.5)
            yield Position("pixel corner", order, pixel, *about(source, order, pixel, at, sides))


def edges(source: random.Random) -> Iterator[Position]:
    """About the middle of an edge, where it is farthest from a great circle, at every order."""
    for order in range(30):
        for sides in (1e-6, 1e-3, 0.1):
            pixel = source.randrange(12 << (2 * order))
            along = source.uniform(0.2, 0.8)
            at = source.choice([(along, 0.0), (along, 1.0), (0.0, along), (1.0, along)])
            yield Position("edge", order, pixel, *about(source, order, pixel, at, sides))


def poles(source: random.Random) -> Iterator[Position]:
    """The poles and their surroundings, for pixels that touch a pole and for those one or two rings from it."""
    for number, order in enumerate((*ORDERS, *ORDERS)):
        south, last = number % 2, (1 << order) - 1
        away = min(number % 3, last)
        column, row = (away, 0) if south else (last - away, last)
        pixel = nested_index(order, number % 4 + 8 * south, column, row)
        sign = -1 if south else 1
        yield Position("pole", order, pixel, source.choice(LONGITUDES_DEG), sign * 90.0)
        from_pole_deg = 58.6 / (1 << order) * 10 ** source.uniform(-3, 0.3)
        yield Position("pole", order, pixel, source.uniform(0, 360), sign * (90.0 - min(from_pole_deg, 80.0)))


def right_ascension_zero(source: random.Random) -> Iterator[Position]:
    """The same places written on both sides of 0 and 360 degrees, and as negative right ascensions."""
    for number, order in enumerate(ORDERS):
        face = (0, 3, 4, 4, 8, 11)[number % 6]
        last = (1 << order) - 1
        level = source.randint(0, last)
        column, row = {0: (level, last), 3: (last, level), 8: (0, level), 11: (level, 0)}.get(
            face, (level, level)
        )
        pixel = nested_index(order, face, column, row)
        _, z = Pixel(order, pixel).corner(column, row)
        dec_deg = _degrees(mpmath.asin(z))
        # Binary fractions of a degree, so that all ways of writing a place are the same place.
        off_deg = 2.0 ** -(order + 2)
        for ra_deg in (off_deg, 360 - off_deg, -off_deg, off_deg - 360):
            yield Position("right ascension 0", order, pixel, ra_deg, round(dec_deg * 1024) / 1024)
    for ra_deg in (0.0, 360.0, -360.0):
        for pixel in (0, 3, 4, 8):
            yield Position("right ascension 0", 0, pixel, ra_deg, 41.25)


def caps(source: random.Random) -> Iterator[Position]:
    """Both sides of |z| = 2/3, where the projection changes: the nearest doubles, and near and far ones."""
    declinations_deg = (
        TWO_THIRDS_DEG,
        math.nextafter(TWO_THIRDS_DEG, 90.0),
        TWO_THIRDS_DEG - 1e-7,
        TWO_THIRDS_DEG + 1e-7,
    )
    for number, order in enumerate((*ORDERS, *ORDERS)):
        south, last = number % 2, (1 << order) - 1
        column = source.randint(0, last)
        # Pixels whose diagonal is the limit, and those on both sides of it.
        row = min(max(last - column + number % 3 - 1, 0), last)
        pixel = nested_index(order, number % 4 + 8 * south, column, row)
        longitude, _ = Pixel(order, pixel).corner(column + source.randint(0, 1), row + source.randint(0, 1))
        off_deg = 45.0 / (1 << order) * source.uniform(-1, 1)
        ra_deg = (_degrees(longitude) + off_deg) % 360
        dec_deg = declinations_deg[number % 4] * (-1 if south else 1)
        yield Position("polar cap edge", order, pixel, ra_deg, dec_deg)


def touching() -> Iterator[Position]:
    """Positions exactly on edges and corners, of every pixel that has them: separations of exactly 0."""
    for order in (0, 1, 2, 3):
        for pixel in range(12 << (2 * order)):
            shape = Pixel(order, pixel)
            # All base cells, and one in 7, 14 and 21 of the finer pixels.
            if order and pixel % (7 * order):
                continue
            for column, row in ((0, 0), (1, 0), (1, 1), (0, 1)):
                longitude, z = shape.corner(shape.column + column, shape.row + row)
                ra_deg, dec_deg = _degrees(longitude), _degrees(mpmath.asin(z))
                if dec_deg in (0.0, 30.0, -30.0, 90.0, -90.0) and ra_deg * 64 == int(ra_deg * 64):
                    yield Position("on an edge or corner", order, pixel, ra_deg, dec_deg)
    for face, ra_deg in ((0, 0.0), (0, 90.0), (1, 90.0), (3, 360.0), (2, -180.0)):
        yield Position("on an edge or corner", 0, face, ra_deg, 67.890123)
        yield Position("on an edge or corner", 0, face + 8, ra_deg, -43.210987)
    for order, pixel, ra_deg, dec_deg in ((0, 4, 10.0, 10.0), (0, 4, -10.0, -10.0), (0, 6, 180.0, 0.0)):
        yield Position("inside", order, pixel, ra_deg, dec_deg)


def far(source: random.Random) -> Iterator[Position]:
    """Far away, up to the antipode, where a pixel may have two nearest points."""
    for number in range(24):
        order = (0, 0, 1, 2, 4, 8)[number % 6]
        pixel = source.randrange(12 << (2 * order))
        shape = Pixel(order, pixel)
        longitude, z = shape.corner(shape.column, shape.row)
        ra_deg, dec_deg = _degrees(longitude), _degrees(mpmath.asin(z))
        if number % 2:
            ra_deg, dec_deg = ra_deg + 180, -dec_deg
        dec_deg = min(max(dec_deg + source.uniform(-30, 30), -90.0), 90.0)
        yield Position("far", order, pixel, (ra_deg + source.uniform(-60, 60)) % 360, dec_deg)


def ties() -> Iterator[Position]:
    """Separations that are known without arithmetic: along the equator from a corner, and across a pole.

    A pixel of the equatorial base cell 4 ends in a corner at the equator; a position to its east at right ascension
    ``corner + off`` is ``off`` degrees away. A position opposite to a pixel that touches a pole is as far from it as
    from the pole.
    """
    for order, power in ((0, 0), (0, 4), (1, 6), (2, 9), (3, 12), (4, 14), (5, 3)):
        last = (1 << order) - 1
        # The corners at the equator are at column - row = +-1: the pixel at the eastern end of the cell.
        pixel = nested_index(order, 4, last, 0)
        yield Position("exact separation", order, pixel, 45 + 2.0**-power, 0.0)
        yield Position("exact separation", order, nested_index(order, 4, 0, last), -45 - 2.0**-power, 0.0)
        for face, sign in ((0, 1), (8, -1)):
            at = last if face == 0 else 0
            pole = nested_index(order, face, at, at)
            yield Position("exact separation", order, pole, 225.0, sign * (90 - 2.0**-power))
    yield Position("exact separation", 0, 4, 135.0, 0.0)
    yield Position("exact separation", 0, 0, 225.0, 0.0)
    yield Position("exact separation", 0, 4, 225.0, 0.0)


def about(
    source: random.Random, order: int, pixel: int, at: tuple[float, float], sides: float
) -> tuple[float, float]:
    """A position some pixel sides away from a place of a pixel, in a direction by chance."""
    shape = Pixel(order, pixel)
    longitude, z = _place(shape, shape.column + at[0], shape.row + at[1])
    dec_place_deg = math.degrees(math.asin(z))
    distance_deg = min(58.6 / shape.nside * sides, 60.0)
    angle = source.uniform(0, 2 * math.pi)
    dec_deg = min(max(dec_place_deg + distance_deg * math.sin(angle), -90.0), 90.0)
    squeeze = max(math.cos(math.radians(dec_deg)), 0.01)
    return (math.degrees(longitude) + distance_deg * math.cos(angle) / squeeze) % 360, dec_deg


def _place(shape: Pixel, column: float, row: float) -> tuple[float, float]:
    """Longitude and z of a place on the grid of a base cell, roughly: it is only where positions are put."""
    n = shape.nside
    ring = shape.first_ring * n - column - row
    if n <= ring <= 3 * n:
        return math.pi / 4 * (shape.eighth + (column - row) / n), 4 / 3 - 2 * ring / (3 * n)
    from_pole = min(ring, 4 * n - ring)
    z = 1 - from_pole**2 / (3 * n * n)
    turn = (column - row) / from_pole if from_pole else 0.0
    return math.pi / 4 * (shape.eighth + turn), z if ring < n else -z


def _degrees(angle_rad: mpmath.mpf) -> float:
    return float(mpmath.degrees(angle_rad))
