"""The tables of the conformance set: computed, written, read."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path

import mpmath
from mpmath import mpf

from conformance.catalogs import CATALOGS, Catalog
from conformance.positions import Position, positions
from conformance.reference import Pixel, text_of

FOLDER = Path(__file__).parent / "v1"
DIGITS = 60
LARGEST_ARCSEC = 324_000.0
# A decision is required where the separation differs from the threshold by more.
TOLERANCE_ARCSEC = 1e-9
COLUMNS = {
    "separations": ("place", "order", "pixel", "ra_deg", "dec_deg", "separation_arcsec"),
    "decisions": ("order", "pixel", "ra_deg", "dec_deg", "threshold_arcsec", "within", "required"),
    "partitions": ("catalog", "order", "pixel", "kind"),
    "rows": ("catalog", "row", "ra_deg", "dec_deg", "order", "pixel", "healpix_29"),
    "margins": ("catalog", "threshold_arcsec", "order", "pixel", "row", "separation_arcsec"),
}
Record = dict[str, str]


def records_of(table: str) -> list[Record]:
    """A table, as kept."""
    with (FOLDER / f"{table}.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def computed_tables() -> dict[str, list[Record]]:
    """Compute all tables anew."""
    with mpmath.workdps(DIGITS):
        separations = list(map(separation_record, positions()))
        tables: dict[str, list[Record]] = {
            "separations": separations,
            "decisions": [decision for record in separations for decision in decision_records(record)],
        }
        for name in ("partitions", "rows", "margins"):
            tables[name] = []
        for catalog in CATALOGS:
            tables["partitions"] += partition_records(catalog)
            tables["rows"] += row_records(catalog)
            tables["margins"] += margin_records(catalog)
    return tables


def differences(tables: dict[str, list[Record]]) -> list[str]:
    """What of some tables differs from the tables as kept: for each of them its first line that does."""
    lines = []
    for name, records in tables.items():
        kept = records_of(name)
        pairs = enumerate(zip_longest(records, kept), start=2)
        unlike = [(line, *pair) for line, pair in pairs if pair[0] != pair[1]]
        if unlike:
            line, now, before = unlike[0]
            lines.append(
                f"{name}.csv: {len(unlike):,} of {max(len(records), len(kept)):,} records differ, the first in "
                f"line {line}: computed {_shown(now)}, kept {_shown(before)}"
            )
    return lines


def write_tables(tables: dict[str, list[Record]], folder: Path) -> None:
    """Write tables into a folder. The tables as kept are frozen, so their folder is refused."""
    if folder.resolve() == FOLDER.resolve():
        raise SystemExit(f"{folder}: version 1 does not change; write into another folder")
    folder.mkdir(parents=True, exist_ok=True)
    for name, records in tables.items():
        with (folder / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, COLUMNS[name], lineterminator="\n")
            writer.writeheader()
            writer.writerows(records)


def separation_record(position: Position) -> Record:
    """A position with its separation."""
    place, order, pixel, ra_deg, dec_deg = position
    separation_arcsec = Pixel(order, pixel).separation_arcsec(ra_deg, dec_deg)
    values = (place, str(order), str(pixel), repr(ra_deg), repr(dec_deg), text_of(separation_arcsec))
    return dict(zip(COLUMNS["separations"], values, strict=True))


def decision_records(separation: Record) -> Iterator[Record]:
    """The decisions about a position, by its separation as kept."""
    separation_arcsec = mpf(separation["separation_arcsec"])
    for threshold_arcsec in thresholds_arcsec(separation_arcsec):
        apart_arcsec = abs(separation_arcsec - threshold_arcsec)
        values = {
            "threshold_arcsec": repr(threshold_arcsec),
            "within": _word(separation_arcsec <= threshold_arcsec),
            "required": _word(apart_arcsec > TOLERANCE_ARCSEC),
        }
        yield {name: values.get(name) or separation[name] for name in COLUMNS["decisions"]}


def thresholds_arcsec(separation_arcsec: mpf) -> list[float]:
    """Thresholds that are hard for a separation: 2e-9 arcsec and one unit in the last place to either side, and it."""
    if separation_arcsec == 0:
        return [math.ulp(0.0), 1e-12, 2e-9, 1.0, LARGEST_ARCSEC]
    nearest = float(separation_arcsec)
    close = [nearest, math.nextafter(nearest, 0.0), math.nextafter(nearest, math.inf)]
    # Of a separation that is no double, the two doubles beside it.
    below = [value for value in close if mpf(value) < separation_arcsec]
    above = [value for value in close if mpf(value) > separation_arcsec]
    beside = {max(below), min(above), *(value for value in close if mpf(value) == separation_arcsec)}
    apart = {float(separation_arcsec - mpf("2e-9")), float(separation_arcsec + mpf("2e-9"))}
    return sorted(value for value in {*beside, *apart, LARGEST_ARCSEC} if 0 < value <= LARGEST_ARCSEC)


def partition_records(catalog: Catalog) -> Iterator[Record]:
    """The partitions and the empty pixels of a catalog."""
    for kind, names in (("partition", catalog.partitions), ("empty", catalog.empty_pixels)):
        for order, pixel in names:
            yield {"catalog": catalog.name, "order": str(order), "pixel": str(pixel), "kind": kind}


def row_records(catalog: Catalog) -> Iterator[Record]:
    """The rows of a catalog."""
    for number, row in enumerate(catalog.rows):
        own = map(str, row.own)
        values = (catalog.name, str(number), repr(row.ra_deg), repr(row.dec_deg), *own, str(row.healpix_29))
        yield dict(zip(COLUMNS["rows"], values, strict=True))


def margin_records(catalog: Catalog) -> Iterator[Record]:
    """The rows of all margins of a catalog, by threshold."""
    separations = list(catalog.separations_arcsec())
    for threshold_arcsec in catalog.thresholds_arcsec:
        for (order, pixel), row, separation_arcsec in separations:
            if abs(separation_arcsec - threshold_arcsec) <= TOLERANCE_ARCSEC:
                raise ValueError(f"row {row} of {catalog.name!r} is too close to {threshold_arcsec} arcsec")
            if separation_arcsec <= threshold_arcsec:
                names = (catalog.name, repr(threshold_arcsec), str(order), str(pixel), str(row))
                values = (*names, text_of(separation_arcsec))
                yield dict(zip(COLUMNS["margins"], values, strict=True))


def _shown(record: Record | None) -> str:
    return "nothing" if record is None else ",".join(record.values())


def _word(truth: bool) -> str:
    return "true" if truth else "false"
