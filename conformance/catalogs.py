"""Small catalogs of which every margin is known: mixed orders, poles, right ascension 0, deep and empty pixels."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from mpmath import mpf

from conformance.positions import about
from conformance.reference import Pixel, Point, nested_index

SEED = 429
Name = tuple[int, int]
ARCSEC_RAD = math.pi / 648_000
# A pixel of order k is within 1.07/2^k rad of its centre.
_REACH_RAD = 1.2

_WHOLE_SKY = (
    *((0, pixel) for pixel in (1, 2, 5, 6, 7, 8, 9, 10, 11)),
    *((1, pixel) for pixel in (0, 1, 2, 12, 14, 15, 16, 17, 19)),
    *((2, pixel) for pixel in (12, 13, 14, 52, 53, 54, 55, 72, 73, 75)),
    *((3, pixel) for pixel in (60, 61, 62, 63, 296, 297, 299)),
)


@dataclass(frozen=True)
class Row:
    """A position, and the partition that it is in."""

    ra_deg: float
    dec_deg: float
    own: Name

    @property
    def healpix_29(self) -> int:
        """The index at order 29, inside the partition."""
        return Pixel(*self.own).index_29(Point(self.ra_deg, self.dec_deg))


@dataclass(frozen=True)
class Catalog:
    """Partitions, the thresholds of their margins, and positions that are put in whatever partition has them."""

    name: str
    partitions: tuple[Name, ...]
    thresholds_arcsec: tuple[float, ...]
    rows_per_partition: int
    special: tuple[tuple[float, float], ...] = ()

    @cached_property
    def empty_pixels(self) -> tuple[Name, ...]:
        """The fewest pixels that cover the sky where there is no partition."""
        return tuple(sorted(name for face in range(12) for name in self._empty_in((0, face))))

    def _empty_in(self, name: Name) -> Iterator[Name]:
        order, pixel = name
        inside = [
            part
            for part in self.partitions
            if part[0] >= order and part[1] >> (2 * (part[0] - order)) == pixel
        ]
        if not inside:
            yield name
        elif name not in inside:
            for child in range(4):
                yield from self._empty_in((order + 1, 4 * pixel + child))

    @cached_property
    def rows(self) -> tuple[Row, ...]:
        """Rows about the edges of all partitions, one in the middle of each, and the special ones."""
        source = random.Random(f"{SEED} {self.name}")
        places = list(self.special)
        for order, pixel in self.partitions:
            places.append(about(source, order, pixel, (0.5, 0.5), 0.01))
            for _ in range(self.rows_per_partition):
                along = source.choice((0.0, 1.0, source.uniform(0, 1)))
                at = source.choice([(along, 0.0), (along, 1.0), (0.0, along), (1.0, along)])
                threshold_deg = source.choice(self.thresholds_arcsec) / 3600
                sides = threshold_deg * source.uniform(0.1, 2.5) / (58.6 / (1 << order))
                places.append(about(source, order, pixel, at, sides))
        rows = []
        for ra_deg, dec_deg in places:
            point = Point(ra_deg, dec_deg)
            own = [name for name in self.partitions if Pixel(*name).contains(point)]
            if own:
                rows.append(Row(ra_deg, dec_deg, own[0]))
        return tuple(rows)

    def separations_arcsec(self) -> Iterator[tuple[Name, int, mpf]]:
        """The separation of every row from every pixel that it is not in and that may be within a threshold."""
        farthest_rad = max(self.thresholds_arcsec) * ARCSEC_RAD
        for name in (*self.partitions, *self.empty_pixels):
            shape = Pixel(*name)
            reach_rad = farthest_rad + _REACH_RAD / shape.nside
            for number, row in enumerate(self.rows):
                if row.own != name and _from_middle_rad(shape, row) <= reach_rad:
                    yield name, number, shape.separation_arcsec(row.ra_deg, row.dec_deg)


def _from_middle_rad(shape: Pixel, row: Row) -> float:
    """The angle between a position and the middle of a pixel, to many digits less than the slack of its use."""
    ra_deg, dec_deg = about(random.Random(0), shape.order, shape.pixel, (0.5, 0.5), 0.0)
    halves = [
        math.sin(math.radians(off_deg) / 2) ** 2 for off_deg in (dec_deg - row.dec_deg, ra_deg - row.ra_deg)
    ]
    cosines = math.cos(math.radians(dec_deg)) * math.cos(math.radians(row.dec_deg))
    return 2 * math.asin(min(1.0, math.sqrt(halves[0] + cosines * halves[1])))


def _three_cells(order: int) -> tuple[Name, Name, Name]:
    """The pixels of an order at the corner where base cells 0, 3 and 4 meet: right ascension 0, z = 2/3."""
    last = (1 << order) - 1
    return (
        (order, nested_index(order, 0, 0, last)),
        (order, nested_index(order, 3, last, 0)),
        (order, nested_index(order, 4, last, last)),
    )


CATALOGS = (
    Catalog("mixed-orders", _WHOLE_SKY, (10.0, 3600.0), 2, ((45.0, 90.0), (0.0, -90.0), (90.0, 70.0))),
    Catalog(
        "poles",
        ((1, 3), (2, 47), (3, 127), (1, 40), (2, 128), (4, 2304)),
        (1.0, 600.0),
        5,
        (
            *((ra_deg, dec_deg) for ra_deg in (0.0, 45.0, 200.0, 360.0) for dec_deg in (90.0, -90.0)),
            *((ra_deg, 90 - 2.0**-12) for ra_deg in (10.0, 100.0, 190.0)),
            *((ra_deg, 2.0**-13 - 90) for ra_deg in (10.0, 100.0, 190.0)),
        ),
    ),
    Catalog(
        "right-ascension-0",
        (
            (3, nested_index(3, 0, 4, 7)),
            (4, nested_index(4, 3, 15, 9)),
            (3, nested_index(3, 4, 3, 3)),
            (3, nested_index(3, 4, 4, 4)),
            (2, nested_index(2, 8, 0, 2)),
        ),
        (30.0, 7200.0),
        6,
        (
            *((ra_deg, dec_deg) for ra_deg in (0.0, 360.0, -360.0) for dec_deg in (60.0, 1.0, -1.0, -60.0)),
            *((ra_deg, dec_deg) for ra_deg in (2.0**-8, -(2.0**-8)) for dec_deg in (60.0, -60.0)),
        ),
    ),
    Catalog(
        "base-cells-meet",
        (
            _three_cells(8)[0],
            _three_cells(9)[1],
            _three_cells(10)[2],
            (10, _three_cells(10)[2][1] - 1),
            (10, _three_cells(10)[2][1] - 3),
        ),
        (45.0, 4000.0),
        6,
    ),
    Catalog(
        "finer-than-0.1-arcsec",
        (*((21, (5 << 42) + pixel) for pixel in range(4)), (20, (5 << 40) + 1)),
        (0.05,),
        6,
    ),
    Catalog("one-partition", ((2, 90),), (600.0,), 40, ((67.5, 0.0), (45.0, 0.0))),
    Catalog("quarter-of-the-sky", ((0, 1), (1, 20), (1, 47)), (60_000.0, 324_000.0), 4),
)
