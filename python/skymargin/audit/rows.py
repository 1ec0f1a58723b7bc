"""Comparison of the rows of a margin with the rows of its primary, value by value.

Three passes, none of which loads a whole catalog: positions of the margin; positions of the primary, partition by
partition; then, for one group of margins at a time, the values of the rows concerned, as digests.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

import skymargin._core as _core
from skymargin.arrow.columns import values_of
from skymargin.audit.brute_force import Margins
from skymargin.audit.digest import digests, digests_of_numbers
from skymargin.audit.positions import (
    MarginRows,
    ReferenceRows,
    SuspectRows,
    is_position,
    read_margin,
    unique_rows,
)
from skymargin.audit.report import MOST_NAMED, Fault, belonging
from skymargin.audit.row_matching import Match, match_rows
from skymargin.audit.schemas import comparable_columns, expected_schema, in_type, schema_difference
from skymargin.catalogs.layout import PIXEL_COLUMNS, SOURCE_COLUMNS, directory
from skymargin.catalogs.partition_reader import PartitionRows, as_float64
from skymargin.errors import PartitionReadError, PositionError

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from skymargin.catalogs.folder import CatalogFolder, Columns
    from skymargin.catalogs.layout import Pixel

    Digests = NDArray[np.uint64]
    Numbers = NDArray[np.int64]

# Nearer to the threshold than this, the decision of exact arithmetic is not promised: a row may be in or out.
_UNDECIDED_ARCSEC = 1e-9
_GROUP_BYTES = 256 << 20
# The numbers of a partition and of a row, in one integer: up to 8 million partitions of a trillion rows.
_ROW_BITS = np.int64(40)


class RowAudit:
    """The audit of the rows of some margins.

    Parameters
    ----------
    margin, primary : CatalogFolder
        The margin and its primary catalog.
    tiles : list of (int, int)
        The pixels whose margins are checked.
    threshold_arcsec : float
        The threshold.
    columns : Columns
        Names of the columns of the coordinates and of the index, by which rows must be sorted.

    Attributes
    ----------
    expected, found : numpy.ndarray, shape (tiles,)
        Rows that belong to each margin, and rows in its file.
    counts : list of collections.Counter
        For each margin, kind of fault to how often it occurs.
    rows_read : int
        Rows of the primary that were compared.
    largest_excess_arcsec : float
        How far the farthest extra row lies beyond the threshold.
    farthest_right_arcsec, nearest_missing_arcsec : float
        Separations of the farthest row that is where it belongs, and of the nearest missing row.
    """

    def __init__(
        self,
        margin: CatalogFolder,
        primary: CatalogFolder,
        tiles: list[Pixel],
        threshold_arcsec: float,
        columns: Columns,
    ) -> None:
        self._margin, self._primary, self._tiles = margin, primary, tiles
        self._threshold_arcsec = threshold_arcsec
        self._ra, self._dec, self._index = columns.ra, columns.dec, columns.index
        self._schema = expected_schema(primary.schema(), margin.format)
        self._parts = list(primary.files)
        self._part_numbers = {pixel: part for part, pixel in enumerate(self._parts)}
        self._numbers = {pixel: number for number, pixel in enumerate(tiles)}
        self._rows: dict[int, MarginRows] = {}
        # Rows missing from a margin, and rows beyond a threshold: some may be the same rows.
        self._missing: list[Numbers] = []
        self._beyond: list[tuple[int, ReferenceRows, Numbers]] = []
        self.expected = np.zeros(len(tiles), np.int64)
        self.found = np.zeros(len(tiles), np.int64)
        self.counts: list[Counter[str]] = [Counter() for _ in tiles]
        self._faults: dict[str, list[tuple[float, Fault]]] = {}
        self.rows_read = 0
        self.largest_excess_arcsec = 0.0
        self.farthest_right_arcsec = 0.0
        self.nearest_missing_arcsec = float("inf")

    @property
    def steps(self) -> int:
        """The number of steps that `run` takes."""
        return 2 * len(self._tiles) + len(self._parts)

    def run(self, advance: Callable[[int], None]) -> None:
        """Run the audit; `advance` is called with the number of steps done."""
        for number in range(len(self._tiles)):
            self._read_margin(number)
            advance(1)
        for first, last, rows in self._groups(self._reference_rows(advance)):
            self._compare(first, last, rows)
            advance(last - first)
        self._classify_beyond()

    def add(self, number: int, fault: Fault, badness: float = 0.0, count: int = 1) -> None:
        """Count a fault of a margin, and keep it among those listed if it is bad enough."""
        self.counts[number][fault.kind] += count
        named = self._faults.setdefault(fault.kind, [])
        named.append((badness, fault))
        if len(named) > 4 * MOST_NAMED:
            named.sort(key=_badness, reverse=True)
            del named[MOST_NAMED:]

    def worst(self) -> dict[str, list[Fault]]:
        """The faults of each kind that are listed, the worst first."""
        return {
            kind: [fault for _, fault in sorted(named, key=_badness, reverse=True)]
            for kind, named in self._faults.items()
        }

    def _read_margin(self, number: int) -> None:
        """Read the positions of one margin's file, and check its schema and order."""
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
                comparable = comparable_columns(rows.schemas, self._schema)
                all_names = self._schema.names
                names = {all_names[column] for column in comparable}
                if not {self._ra, self._dec} <= names:
                    return
                index = self._index if self._index in names else None
                margin_rows = read_margin(rows, pixel, self._ra, self._dec, index)
        except PartitionReadError as error:
            self._add_unreadable(number, paths, error)
            return
        self._rows[number] = margin_rows
        if margin_rows.unsorted is not None:
            note = f"row {margin_rows.unsorted} is the first that is not in the order of {index}"
            self.add(number, Fault("unsorted_file", str(paths[0]), pixel, note=note))
        if rows.rows == 0:
            self.add(number, Fault("left_over_file", str(paths[0]), pixel, note="it has no rows"))

    def _add_unreadable(self, number: int, paths: Sequence[object], error: PartitionReadError) -> None:
        self.found[number] = 0
        reason = str(error).removeprefix(str(paths[0])).strip()
        self.add(number, Fault("unreadable_file", str(paths[0]), self._tiles[number], note=reason))

    def _reference_rows(self, advance: Callable[[int], None]) -> ReferenceRows:
        """Rows of the primary that belong to the margins, or may be in them without belonging; by margin."""
        margins = Margins(self._tiles, self._threshold_arcsec)
        suspects = SuspectRows(self._rows, self._threshold_arcsec)
        suspected = suspects.partitions(self._parts)
        # Of a sample, most partitions are out of reach.
        all_checked = set(self._parts) <= set(self._tiles)
        entries: list[ReferenceRows] = []
        for part, pixel in enumerate(self._parts):
            if all_checked or pixel in suspected or margins.near(pixel):
                entries += self._rows_of_partition(part, margins, suspects)
            advance(1)
        rows = unique_rows(entries)
        np.add.at(self.expected, rows.tile[rows.belongs], 1)
        return rows

    def _rows_of_partition(
        self, part: int, margins: Margins, suspects: SuspectRows
    ) -> Iterator[ReferenceRows]:
        """Yield the reference rows in one partition of the primary; one row may come twice for a margin."""
        pixel = self._parts[part]
        paths, own = self._primary.file_paths(pixel), self._numbers.get(pixel, -1)
        with PartitionRows(paths) as rows:
            self.rows_read += rows.rows
            for first_row, table in rows.batches([self._ra, self._dec]):
                ra_deg, dec_deg = as_float64(table, self._ra), as_float64(table, self._dec)
                bad = np.flatnonzero(~is_position(ra_deg, dec_deg))
                if len(bad):
                    raise PositionError(
                        f"{paths[0]}: row {first_row + bad[0]} of the primary catalog has no usable coordinates "
                        f"({self._ra}={ra_deg[bad[0]]}, {self._dec}={dec_deg[bad[0]]})"
                    )
                batches = [(*suspects.among(ra_deg, dec_deg), False)]
                for number, row in margins.rows(ra_deg, dec_deg, own):
                    away = _core.separation_arcsec(ra_deg[row], dec_deg[row], *self._tiles[number])
                    batches.append((np.full(len(row), number), row, values_of(away), True))
                for tile, row, away, belongs in batches:
                    numbers = (tile, np.full(len(row), part), row + first_row)
                    yield ReferenceRows(*numbers, away, ra_deg[row], dec_deg[row], np.full(len(row), belongs))

    def _groups(self, reference: ReferenceRows) -> Iterator[tuple[int, int, ReferenceRows]]:
        """Margins in groups whose rows fit into memory, with their reference rows."""
        bounds = np.searchsorted(reference.tile, np.arange(len(self._tiles) + 1))
        cost = (np.diff(bounds) + self.found) * 24 * (len(self._schema) + 4)
        first = 0
        while first < len(self._tiles):
            last, total = first + 1, int(cost[first])
            while last < len(self._tiles) and total + int(cost[last]) <= _GROUP_BYTES:
                total += int(cost[last])
                last += 1
            yield first, last, reference.at(slice(bounds[first], bounds[last]))
            first = last

    def _compare(self, first: int, last: int, reference: ReferenceRows) -> None:
        """Compare the values of the rows of some margins."""
        values, where = self._primary_digests(reference)
        bounds = np.searchsorted(reference.tile, np.arange(first, last + 1))
        for number in range(first, last):
            entries = slice(bounds[number - first], bounds[number - first + 1])
            rows = reference.at(entries)
            actual, columns = self._margin_digests(number)
            if actual is None:
                self._add_all_missing(number, rows.at(rows.belongs))
                continue
            expected = self._as_in_margin(values[where[entries]], number, rows)[:, columns]
            all_names = self._schema.names
            names = [all_names[column] for column in columns]
            position = [names.index(name) for name in (self._ra, self._dec) if name in names]
            match = match_rows(expected, actual[:, columns], rows.belongs, position)
            self._count(number, rows, match)
            for entry, row in match.changed.tolist():
                differing = np.flatnonzero(expected[entry] != actual[row, columns])
                note = "in " + ", ".join(names[column] for column in differing)
                self._add_row("changed", number, row, note)

    def _primary_digests(self, reference: ReferenceRows) -> tuple[Digests, Numbers]:
        """Digests of rows of the primary, each row once, and the position of each reference row among them."""
        keys, where = np.unique(_keys(reference), return_inverse=True)
        values = np.zeros((len(keys), len(self._schema)), np.uint64)
        parts = keys >> _ROW_BITS
        for part in np.unique(parts).tolist():
            start, stop = np.searchsorted(parts, (part, part + 1))
            numbers = keys[start:stop] - (part << int(_ROW_BITS))
            with PartitionRows(self._primary.file_paths(self._parts[part]), self._schema) as rows:
                known = set(rows.schemas[0].names)
                columns = [place for place, name in enumerate(self._schema.names) if name in known]
                names = [self._schema.field(place).name for place in columns]
                for at, table in rows.take(numbers, names):
                    values[(start + at)[:, None], columns] = _digests_of(table, self._schema)
        return values, where

    def _margin_digests(self, number: int) -> tuple[Digests | None, list[int]]:
        """Digests of the rows of a margin, and the columns that can be compared; None when it cannot be read."""
        if number not in self._rows:
            return None, []
        paths = self._margin.file_paths(self._tiles[number])
        try:
            with PartitionRows(paths) as rows:
                columns = comparable_columns(rows.schemas, self._schema)
                values = np.zeros((int(self.found[number]), len(self._schema)), np.uint64)
                for first_row, table in rows.batches([self._schema.field(column).name for column in columns]):
                    values[first_row : first_row + len(table), columns] = _digests_of(table, self._schema)
        except PartitionReadError as error:
            self._add_unreadable(number, paths, error)
            return None, []
        return values, columns

    def _as_in_margin(self, values: Digests, number: int, rows: ReferenceRows) -> Digests:
        """Digests of rows of the primary as the margin stores them: HiPSCat writes pixels into them."""
        if self._margin.format != "HiPSCat":
            return values
        source = np.array([self._parts[part] for part in rows.part], np.uint64).reshape(-1, 2)
        target = np.tile(np.array(self._tiles[number], np.uint64), (len(rows.part), 1))
        for names, pixel in ((PIXEL_COLUMNS, target), (tuple(SOURCE_COLUMNS), source)):
            numbers = (pixel[:, 0], directory(pixel[:, 1]), pixel[:, 1])
            for name, column in zip(names, numbers, strict=True):
                if name in self._schema.names:
                    values[:, self._schema.names.index(name)] = digests_of_numbers(column)
        return values

    def _count(self, number: int, rows: ReferenceRows, match: Match) -> None:
        """Count the faults in a match of the rows of one margin."""
        for row in match.twice.tolist():
            self._add_row("duplicate", number, row)
        for row in match.unknown.tolist():
            self._add_row("unknown", number, row)
        matched, matched_rows = np.concatenate([match.same, match.changed]).T
        belongs = rows.belongs[matched]
        if belongs.any():
            farthest = float(rows.separation_arcsec[matched[belongs]].max())
            self.farthest_right_arcsec = max(self.farthest_right_arcsec, farthest)
        own = ~belongs & (rows.part[matched] == self._part_numbers.get(self._tiles[number], -1))
        for row in matched_rows[own].tolist():
            self._add_row("own_partition", number, row)
        limit_arcsec = self._threshold_arcsec + _UNDECIDED_ARCSEC
        beyond = ~belongs & ~own & (rows.separation_arcsec[matched] > limit_arcsec)
        if beyond.any():
            self._beyond.append((number, rows.at(matched[beyond]), matched_rows[beyond]))
        self._add_missing(number, rows.at(np.setdiff1d(np.flatnonzero(rows.belongs), matched)))

    def _add_all_missing(self, number: int, rows: ReferenceRows) -> None:
        """Count the rows of a margin without a file, or whose file cannot be read."""
        pixel = self._tiles[number]
        if len(rows.row) and not self._margin.file_paths(pixel):
            path = self._margin.data / self._margin.partition_path(pixel)
            note = f"{belonging(len(rows.row))} in it"
            self.add(number, Fault("missing_file", str(path), pixel, note=note), len(rows.row))
        self._add_missing(number, rows)

    def _add_missing(self, number: int, rows: ReferenceRows) -> None:
        rows = rows.at(rows.separation_arcsec < self._threshold_arcsec - _UNDECIDED_ARCSEC)
        if len(rows.row) == 0:
            return
        nearest = float(rows.separation_arcsec.min())
        self.nearest_missing_arcsec = min(self.nearest_missing_arcsec, nearest)
        self._missing.append(_keys(rows))
        self.counts[number]["missing"] += len(rows.row)
        for entry in np.argsort(rows.separation_arcsec, kind="stable")[:MOST_NAMED].tolist():
            away = float(rows.separation_arcsec[entry])
            fault = Fault(
                kind="missing",
                file=str(self._primary.file_paths(self._parts[int(rows.part[entry])])[0]),
                pixel=self._tiles[number],
                row=int(rows.row[entry]),
                ra_deg=float(rows.ra_deg[entry]),
                dec_deg=float(rows.dec_deg[entry]),
                separation_arcsec=away,
            )
            self.add(number, fault, -away, count=0)

    def _classify_beyond(self) -> None:
        """Tell rows that are simply too far away from rows that are missing from another margin."""
        missing = np.unique(np.concatenate([np.empty(0, np.int64), *self._missing]))
        for number, rows, row_numbers in self._beyond:
            displaced = np.isin(_keys(rows), missing)
            excess = rows.separation_arcsec - self._threshold_arcsec
            if not displaced.all():
                self.largest_excess_arcsec = max(self.largest_excess_arcsec, float(excess[~displaced].max()))
            for kind, selection in (("wrong_pixel", displaced), ("too_many", ~displaced)):
                entries = np.flatnonzero(selection)
                self.counts[number][kind] += len(entries)
                worst = entries[np.argsort(-excess[entries], kind="stable")][:MOST_NAMED]
                for entry in worst.tolist():
                    note = f"{excess[entry]:.6g} arcsec beyond the threshold"
                    if kind == "wrong_pixel":
                        note += "; another pixel lacks it"
                    self._add_row(kind, number, int(row_numbers[entry]), note, float(excess[entry]), count=0)

    def _add_row(
        self, kind: str, number: int, row: int, note: str = "", badness: float = 0.0, count: int = 1
    ) -> None:
        """Count a row of a margin's file as a fault."""
        rows, pixel = self._rows[number], self._tiles[number]
        ra_deg, dec_deg, away = (float(column[row]) for column in rows[:3])
        file = str(self._margin.file_paths(pixel)[0])
        self.add(number, Fault(kind, file, pixel, row, None, ra_deg, dec_deg, away, note), badness, count)


def _badness(named: tuple[float, Fault]) -> float:
    return named[0]


def _digests_of(table: pa.Table, schema: pa.Schema) -> Digests:
    """Digests of the columns of a table, whose values count as those of a schema."""
    columns = [in_type(table.column(name), schema.field(name).type) for name in table.column_names]
    return np.stack([digests(column) for column in columns], axis=1)


def _keys(rows: ReferenceRows) -> Numbers:
    """A number for each row of the primary."""
    return (rows.part << _ROW_BITS) | rows.row
