"""Rows of a margin against the rows of its primary, value by value.

Three passes, none of which holds a catalog: the positions of the margin; the positions of the primary, one partition
after the other; then, a group of margins at a time, the values of the rows in question, as digests.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from skymargin.audit.brute_force import Margins, Pixel
from skymargin.audit.digest import digests, digests_of_numbers
from skymargin.audit.positions import MarginRows, ReferenceRows, SuspectRows, known_in, once_each, read_margin
from skymargin.audit.report import MOST_NAMED, Fault
from skymargin.audit.row_matching import Match, match_rows
from skymargin.audit.schemas import can_compare, expected_schema, schema_difference
from skymargin.catalogs.partition_reader import PartitionRows
from skymargin.errors import PartitionReadError

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from skymargin.catalogs.folder import CatalogFolder

    Digests = NDArray[np.uint64]
    Numbers = NDArray[np.int64]

# Nearer to the threshold than this, exact arithmetic on the coordinates is not promised: a row may be in or out.
_UNDECIDED_ARCSEC = 1e-9
_GROUP_BYTES = 256 << 20
# Numbers of a partition and of a row in one: up to 8 million partitions of a trillion rows.
_ROW_BITS = np.int64(40)
# HiPSCat writes the pixel of a margin, and the one of the row's own partition, into each row.
_OF_MARGIN = ("Norder", "Dir", "Npix")
_OF_SOURCE = ("margin_Norder", "margin_Dir", "margin_Npix")


class RowAudit:
    """The audit of the rows of some margins.

    Parameters
    ----------
    margin, primary : Survey
        The margin and its primary catalog.
    tiles : list of (int, int)
        The pixels whose margins are checked.
    threshold_arcsec : float
        The threshold.
    ra, dec : str
        Columns of the coordinates.
    index : str or None
        Column by which rows are to be sorted.

    Attributes
    ----------
    expected, found : numpy.ndarray, shape (tiles,)
        Rows that belong to each margin, and rows that its file holds.
    counts : list of collections.Counter
        For each margin, kind of fault to how often it occurs.
    faults : dict
        Kind to the worst of its faults, each with how bad it is.
    rows_read : int
        Rows of the primary that were compared.
    largest_excess_arcsec : float
        By how much the farthest row too many lies beyond the threshold.
    farthest_right_arcsec, nearest_missing_arcsec : float
        Separations of the farthest row that is where it belongs, and of the nearest that is missing.
    """

    def __init__(
        self,
        margin: CatalogFolder,
        primary: CatalogFolder,
        tiles: list[Pixel],
        threshold_arcsec: float,
        ra: str,
        dec: str,
        index: str | None,
    ) -> None:
        self._margin, self._primary, self._tiles = margin, primary, tiles
        self._threshold_arcsec = threshold_arcsec
        self._ra, self._dec, self._index = ra, dec, index
        self._schema = expected_schema(primary.schema(), margin.format)
        self._parts = list(primary.files)
        self._part_numbers = {pixel: part for part, pixel in enumerate(self._parts)}
        self._numbers = {pixel: number for number, pixel in enumerate(tiles)}
        self._rows: dict[int, MarginRows] = {}
        # Rows that are missing somewhere, and rows that are beyond a threshold: some may be the same.
        self._missing: list[Numbers] = []
        self._beyond: list[tuple[int, ReferenceRows, Numbers]] = []
        self.expected = np.zeros(len(tiles), np.int64)
        self.found = np.zeros(len(tiles), np.int64)
        self.counts: list[Counter[str]] = [Counter() for _ in tiles]
        self.faults: dict[str, list[tuple[float, Fault]]] = {}
        self.rows_read = 0
        self.largest_excess_arcsec = 0.0
        self.farthest_right_arcsec = 0.0
        self.nearest_missing_arcsec = float("inf")

    @property
    def steps(self) -> int:
        """How many steps `run` takes."""
        return 2 * len(self._tiles) + len(self._parts)

    def run(self, advance: Callable[[int], None]) -> None:
        """Do all of it; `advance` is told of the steps that are done."""
        for number in range(len(self._tiles)):
            self._read_margin(number)
            advance(1)
        known = self._known_rows(advance)
        for first, last, rows in self._groups(known):
            self._compare(first, last, rows)
            advance(last - first)
        self._judge_beyond()

    def add(self, number: int, fault: Fault, badness: float = 0.0, count: int = 1) -> None:
        """Count a fault in a margin, and keep it among those that are named if it is bad enough."""
        self.counts[number][fault.kind] += count
        named = self.faults.setdefault(fault.kind, [])
        named.append((badness, fault))
        if len(named) > 4 * MOST_NAMED:
            named.sort(key=lambda one: -one[0])
            del named[MOST_NAMED:]

    def worst(self) -> dict[str, list[Fault]]:
        """The faults of each kind that are named, the worst first."""
        return {
            kind: [fault for _, fault in sorted(named, key=lambda one: -one[0])]
            for kind, named in self.faults.items()
        }

    def _read_margin(self, number: int) -> None:
        """Positions, order and schema of one margin's file."""
        pixel = self._tiles[number]
        paths = self._margin.file_paths(pixel)
        if not paths:
            return
        try:
            with PartitionRows(paths) as rows:
                for path, schema in zip(paths, rows.schemas, strict=True):
                    difference = schema_difference(schema, self._schema)
                    if difference:
                        self.add(number, Fault("schema", str(path), pixel, note=difference))
                self.found[number] = rows.rows
                has = {
                    kept.name
                    for kept in self._schema
                    if all(can_compare(schema, kept) for schema in rows.schemas)
                }
                if not {self._ra, self._dec} <= has:
                    return
                index = self._index if self._index in has else None
                mine = read_margin(rows, pixel, self._ra, self._dec, index)
        except PartitionReadError as error:
            self._cannot_read(number, paths, error)
            return
        self._rows[number] = mine
        if mine.unsorted is not None:
            note = f"row {mine.unsorted} is the first that is out of order of {index}"
            self.add(number, Fault("unsorted_file", str(paths[0]), pixel, note=note))
        if rows.rows == 0:
            self.add(number, Fault("left_over_file", str(paths[0]), pixel, note="it has no rows"))

    def _cannot_read(self, number: int, paths: Sequence[object], error: PartitionReadError) -> None:
        self.found[number] = 0
        reason = str(error).removeprefix(str(paths[0])).strip()
        self.add(number, Fault("unreadable_file", str(paths[0]), self._tiles[number], note=reason))

    def _known_rows(self, advance: Callable[[int], None]) -> ReferenceRows:
        """Rows of the primary that belong to the margins, or stand in them all the same; by margin."""
        margins = Margins(self._tiles, self._threshold_arcsec)
        odd = SuspectRows(self._rows, self._threshold_arcsec)
        with_odd = odd.partitions(self._parts)
        # Of a sample, most partitions are out of reach.
        everything = set(self._parts) <= set(self._tiles)
        found: list[ReferenceRows] = []
        for part, pixel in enumerate(self._parts):
            if everything or pixel in with_odd or margins.near(pixel):
                paths, own = self._primary.file_paths(pixel), self._numbers.get(pixel, -1)
                rows, known = known_in(paths, part, own, self._tiles, margins, odd, self._ra, self._dec)
                self.rows_read += rows
                found += known
            advance(1)
        known_rows = once_each(found)
        np.add.at(self.expected, known_rows.tile[known_rows.wanted], 1)
        return known_rows

    def _groups(self, known: ReferenceRows) -> Iterator[tuple[int, int, ReferenceRows]]:
        """Margins in groups whose rows fit into memory, with the rows known of them."""
        bounds = np.searchsorted(known.tile, np.arange(len(self._tiles) + 1))
        cost = (np.diff(bounds) + self.found) * 24 * (len(self._schema) + 4)
        first = 0
        while first < len(self._tiles):
            last, total = first + 1, int(cost[first])
            while last < len(self._tiles) and total + int(cost[last]) <= _GROUP_BYTES:
                total += int(cost[last])
                last += 1
            yield first, last, known.at(slice(bounds[first], bounds[last]))
            first = last

    def _compare(self, first: int, last: int, known: ReferenceRows) -> None:
        """Compare the values of the rows of some margins."""
        values, where = self._primary_digests(known)
        bounds = np.searchsorted(known.tile, np.arange(first, last + 1))
        for number in range(first, last):
            mine = slice(bounds[number - first], bounds[number - first + 1])
            rows = known.at(mine)
            found, columns = self._margin_digests(number)
            if found is None:
                self._all_missing(number, rows.at(rows.wanted))
                continue
            expected = self._as_in_margin(values[where[mine]], number, rows)[:, columns]
            names = [self._schema.names[column] for column in columns]
            position = [names.index(name) for name in (self._ra, self._dec) if name in names]
            match = match_rows(expected, found[:, columns], rows.wanted, position)
            self._judge(number, rows, match)
            for one, other in match.changed.tolist():
                differ = np.flatnonzero(expected[one] != found[other, columns])
                self._add_found("changed", number, other, note="in " + ", ".join(names[k] for k in differ))

    def _primary_digests(self, known: ReferenceRows) -> tuple[Digests, Numbers]:
        """Digests of rows of the primary, each once, and where each known row is among them."""
        keys, where = np.unique(_keys(known), return_inverse=True)
        found = np.zeros((len(keys), len(self._schema)), np.uint64)
        parts = keys >> _ROW_BITS
        for part in np.unique(parts).tolist():
            start, stop = np.searchsorted(parts, (part, part + 1))
            wanted = keys[start:stop] - (part << int(_ROW_BITS))
            with PartitionRows(self._primary.file_paths(self._parts[part])) as rows:
                names = [name for name in self._schema.names if name in rows.schemas[0].names]
                columns = [self._schema.names.index(name) for name in names]
                for at, table in rows.take(wanted, names):
                    found[(start + at)[:, None], columns] = _digests_of(table)
        return found, where

    def _margin_digests(self, number: int) -> tuple[Digests | None, list[int]]:
        """Digests of the rows of a margin, and which columns can be compared; None when it cannot be read."""
        if number not in self._rows:
            return None, []
        paths = self._margin.file_paths(self._tiles[number])
        try:
            with PartitionRows(paths) as rows:
                columns = [
                    column
                    for column, kept in enumerate(self._schema)
                    if all(can_compare(schema, kept) for schema in rows.schemas)
                ]
                found = np.zeros((int(self.found[number]), len(self._schema)), np.uint64)
                for first_row, table in rows.batches([self._schema.names[column] for column in columns]):
                    found[first_row : first_row + len(table), columns] = _digests_of(table)
        except PartitionReadError as error:
            self._cannot_read(number, paths, error)
            return None, []
        return found, columns

    def _as_in_margin(self, values: Digests, number: int, rows: ReferenceRows) -> Digests:
        """What rows of the primary look like in a margin: HiPSCat writes pixels into them."""
        if self._margin.format != "HiPSCat":
            return values
        source = np.array([self._parts[part] for part in rows.part], np.uint64).reshape(-1, 2)
        target = np.tile(np.array(self._tiles[number], np.uint64), (len(rows.part), 1))
        for names, pixel in ((_OF_MARGIN, target), (_OF_SOURCE, source)):
            folder = pixel[:, 1] // np.uint64(10_000) * np.uint64(10_000)
            for name, column in zip(names, (pixel[:, 0], folder, pixel[:, 1]), strict=True):
                if name in self._schema.names:
                    values[:, self._schema.names.index(name)] = digests_of_numbers(column)
        return values

    def _judge(self, number: int, rows: ReferenceRows, match: Match) -> None:
        """Count what a match of the rows of one margin came to."""
        for found in match.twice.tolist():
            self._add_found("duplicate", number, found)
        for found in match.unknown.tolist():
            self._add_found("unknown", number, found)
        there = np.concatenate([match.same, match.changed])
        known, found_rows = there[:, 0], there[:, 1]
        wanted = rows.wanted[known]
        if wanted.any():
            farthest = float(rows.separation_arcsec[known[wanted]].max())
            self.farthest_right_arcsec = max(self.farthest_right_arcsec, farthest)
        own = ~wanted & (rows.part[known] == self._part_numbers.get(self._tiles[number], -1))
        for found in found_rows[own].tolist():
            self._add_found("own_partition", number, found)
        beyond = ~wanted & ~own & (rows.separation_arcsec[known] > self._threshold_arcsec + _UNDECIDED_ARCSEC)
        if beyond.any():
            self._beyond.append((number, rows.at(known[beyond]), found_rows[beyond]))
        lacking = np.setdiff1d(np.flatnonzero(rows.wanted), known)
        self._miss(number, rows.at(lacking))

    def _all_missing(self, number: int, rows: ReferenceRows) -> None:
        """A margin without a file, or with one that cannot be read."""
        pixel = self._tiles[number]
        if len(rows.row) and not self._margin.file_paths(pixel):
            path = self._margin.data / self._margin.partition_path(pixel)
            note = f"{len(rows.row):,} rows belong in it"
            self.add(number, Fault("missing_file", str(path), pixel, note=note), len(rows.row))
        self._miss(number, rows)

    def _miss(self, number: int, rows: ReferenceRows) -> None:
        rows = rows.at(rows.separation_arcsec < self._threshold_arcsec - _UNDECIDED_ARCSEC)
        if len(rows.row) == 0:
            return
        nearest = float(rows.separation_arcsec.min())
        self.nearest_missing_arcsec = min(self.nearest_missing_arcsec, nearest)
        self._missing.append(_keys(rows))
        self.counts[number]["missing"] += len(rows.row)
        for one in np.argsort(rows.separation_arcsec, kind="stable")[:MOST_NAMED].tolist():
            away = float(rows.separation_arcsec[one])
            fault = Fault(
                kind="missing",
                file=str(self._primary.file_paths(self._parts[int(rows.part[one])])[0]),
                pixel=self._tiles[number],
                row=int(rows.row[one]),
                ra_deg=float(rows.ra_deg[one]),
                dec_deg=float(rows.dec_deg[one]),
                separation_arcsec=away,
            )
            self.add(number, fault, -away, count=0)

    def _judge_beyond(self) -> None:
        """Tell rows that are simply too far away from those that are missing from another margin."""
        missing = np.unique(np.concatenate([np.empty(0, np.int64), *self._missing]))
        for number, rows, found in self._beyond:
            astray = np.isin(_keys(rows), missing)
            excess = rows.separation_arcsec - self._threshold_arcsec
            if not astray.all():
                self.largest_excess_arcsec = max(self.largest_excess_arcsec, float(excess[~astray].max()))
            for kind, chosen in (("wrong_pixel", astray), ("too_many", ~astray)):
                at = np.flatnonzero(chosen)
                self.counts[number][kind] += len(at)
                for one in at[np.argsort(-excess[at], kind="stable")][:MOST_NAMED].tolist():
                    note = f"{excess[one]:.6g} arcsec beyond the threshold"
                    if kind == "wrong_pixel":
                        note += "; another pixel lacks it"
                    self._add_found(kind, number, int(found[one]), note, float(excess[one]), count=0)

    def _add_found(
        self, kind: str, number: int, row: int, note: str = "", badness: float = 0.0, count: int = 1
    ) -> None:
        """Count a row of a margin's file as a fault."""
        rows, pixel = self._rows[number], self._tiles[number]
        ra_deg, dec_deg, away = (float(column[row]) for column in rows[:3])
        fault = Fault(
            kind, str(self._margin.file_paths(pixel)[0]), pixel, row, None, ra_deg, dec_deg, away, note
        )
        self.add(number, fault, badness, count)


def _digests_of(table: pa.Table) -> Digests:
    return np.stack([digests(column) for column in table.columns], axis=1)


def _keys(rows: ReferenceRows) -> Numbers:
    """One number for each row of the primary."""
    return (rows.part << _ROW_BITS) | rows.row
