"""The report of an audit: its faults, counted and listed."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from skymargin.catalogs.layout import below_dataset
from skymargin.formatting import arcsec_text, counted, seconds_text, wrapped
from skymargin.shown import Shown, Table

# The name of each kind of fault, singular and plural.
KINDS = {
    "properties": ("wrong property", "wrong properties"),
    "missing_file": ("missing file", "missing files"),
    "left_over_file": ("leftover file", "leftover files"),
    "unlisted_file": ("unlisted file", "unlisted files"),
    "unreadable_file": ("unreadable file", "unreadable files"),
    "schema": ("file with another schema", "files with another schema"),
    "unsorted_file": ("unsorted file", "unsorted files"),
    "missing": ("missing row", "missing rows"),
    "too_many": ("extra row", "extra rows"),
    "own_partition": ("row of the own partition", "rows of the own partition"),
    "wrong_pixel": ("row in a wrong pixel", "rows in a wrong pixel"),
    "duplicate": ("duplicate row", "duplicate rows"),
    "changed": ("changed row", "changed rows"),
    "unknown": ("row that the primary does not have", "rows that the primary does not have"),
}
# Margins made of whole pixels have these by design; a crossmatch loses nothing because of them.
ALLOWED_IF_COARSE = ("unsorted_file", "too_many")
# How many faults of each kind are listed; all are counted.
MOST_NAMED = 20
_MOST_PRINTED = 5
_MOST_PIXELS_PRINTED = 10


@dataclass(frozen=True)
class Fault:
    """One fault of a margin.

    Attributes
    ----------
    kind : str
        One of ``KINDS``.
    file : str
        The file at fault; for a missing row, the file of the primary catalog that contains it.
    pixel : tuple of int or None
        Order and nested index of the pixel whose margin is at fault.
    row : int or None
        Number of the row in `file`, counted from 0 through all files of the partition.
    row_id : str or None
        The row's identifier as ``column=value``, where the catalog has such a column.
    ra_deg, dec_deg : float or None
        Position of the row, degrees.
    separation_arcsec : float or None
        Its separation from the pixel, arcseconds.
    note : str
        Further details.
    """

    kind: str
    file: str
    pixel: tuple[int, int] | None = None
    row: int | None = None
    row_id: str | None = None
    ra_deg: float | None = None
    dec_deg: float | None = None
    separation_arcsec: float | None = None
    note: str = ""

    def line(self, *catalogs: str) -> str:
        """One line for people, with paths relative to the first of some catalogs that contains them."""
        where = self.file
        for catalog in catalogs:
            where = below_dataset(where.removeprefix(catalog.rstrip("/") + "/"))
        if self.row is None:
            return f"{where}: {self.note}" if self.note else where
        row = f"row {self.row}" + (f", {self.row_id}," if self.row_id else "")
        words = [f"{where} {row} at ra {self.ra_deg!r} dec {self.dec_deg!r}"]
        if self.separation_arcsec is not None:
            words.append(f"{self.separation_arcsec:.9g} arcsec away")
        if self.kind == "missing" and self.pixel is not None:
            words[-1] += f" from order {self.pixel[0]}, pixel {self.pixel[1]}"
        if self.note:
            words.append(self.note)
        return ", ".join(words)


@dataclass(frozen=True)
class PixelCounts:
    """The result for the margin of one pixel.

    Attributes
    ----------
    order, pixel : int
        HEALPix order and nested index.
    expected : int
        Rows that belong to the margin.
    found : int
        Rows in its file.
    faults : dict
        Kind of fault to the number of faults, for kinds that occur.
    """

    order: int
    pixel: int
    expected: int
    found: int
    faults: dict[str, int]


@dataclass(frozen=True)
class VerifyReport(Shown):
    """What was checked and what is wrong.

    Attributes
    ----------
    margin_path, primary_path : str
        The margin, and the catalog it was compared with.
    format, builder : str
        ``HATS`` or ``HiPSCat``; the tool that made the margin, if its properties say so.
    margin_threshold_arcsec : float
        The threshold in its properties, arcseconds.
    coarse : bool
        Whether rows beyond the threshold, and rows in any order, were allowed.
    pixels, pixels_checked : int
        Partitions and empty pixels of the catalog, each with a margin of its own; and how many were checked.
    seed : int or None
        Seed of the sample; None when all were checked.
    primary_rows : int
        Rows of the primary that were compared with the pixels.
    rows_expected, rows_found : int
        Rows that belong to the margins checked, and rows in their files; a row counts once per margin.
    counts : dict
        Kind of fault to how often it occurs, for all kinds.
    largest_excess_arcsec : float
        How far the farthest extra row lies beyond the threshold, arcseconds.
    hint : str
        A likely cause of the faults, where there is one.
    per_pixel : list of PixelCounts
        The pixels whose margin has rows or should have.
    faults : list of Fault
        The worst of each kind, at most 20.
    seconds : float
        Duration of the audit.
    """

    margin_path: str
    primary_path: str
    format: str
    builder: str
    margin_threshold_arcsec: float
    coarse: bool
    pixels: int
    pixels_checked: int
    seed: int | None
    primary_rows: int
    rows_expected: int
    rows_found: int
    counts: dict[str, int]
    largest_excess_arcsec: float
    hint: str
    per_pixel: list[PixelCounts] = field(repr=False)
    faults: list[Fault] = field(repr=False)
    seconds: float = 0.0

    @property
    def right(self) -> bool:
        """Whether nothing is wrong except what `coarse` allows."""
        return not self.wrong

    @property
    def wrong(self) -> dict[str, int]:
        """The kinds of fault that occur and are not allowed, and how often."""
        return {kind: count for kind, count in self.counts.items() if count and kind not in self.allowed}

    @property
    def allowed(self) -> dict[str, int]:
        """The kinds of fault that occur and are allowed, and how often."""
        return {kind: self.counts[kind] for kind in ALLOWED_IF_COARSE if self.coarse and self.counts[kind]}

    def verdict(self) -> str:
        """The number of faults of each kind that occurs, or ``right``."""
        if self.wrong:
            return _counted(self.wrong)
        return f"right; allowed, as in coarse margins: {_counted(self.allowed)}" if self.allowed else "right"

    def checked(self) -> str:
        """What was compared, and the numbers of missing and extra rows, in one line."""
        excess = f", by up to {self.largest_excess_arcsec:.6g} arcsec" if self.counts["too_many"] else ""
        part = f" of {self.pixels:,}" if self.pixels_checked < self.pixels else ""
        return (
            f"{counted(self.primary_rows, 'row')} against {self.pixels_checked:,}{part} pixels: "
            f"{belonging(self.rows_expected)} to margins, {self.counts['missing']:,} missing, "
            f"{self.counts['too_many']:,} extra{excess}"
        )

    def summary(self) -> str:
        """The report for people, in lines of about 100 columns."""
        heads = [line for head, text in self._lines() if text for line in wrapped(text, f"{head:<8}: ", 10)]
        return "\n".join([*heads, *self._pixel_lines(), *self._fault_lines()])

    def _table(self) -> Table:
        title = "Margin verified: right" if self.right else "Margin verified: WRONG"
        return Table(
            title, self._lines(), "\n".join([*self._pixel_lines(), *self._fault_lines()]).lstrip("\n")
        )

    def _lines(self) -> list[tuple[str, str]]:
        threshold = arcsec_text(self.margin_threshold_arcsec)
        sample = f"{self.pixels_checked:,} pixels of seed {self.seed}" if self.seed is not None else ""
        return [
            ("Margin", f"{self.margin_path}: {self.format}, {threshold}, by {self.builder}"),
            ("Primary", self.primary_path),
            ("Checked", self.checked()),
            ("Sample", sample),
            ("Result", f"{'' if self.right else 'WRONG: '}{self.verdict()}; {seconds_text(self.seconds)}"),
            ("Hint", "" if self.right else self.hint),
        ]

    def to_dict(self) -> dict[str, Any]:
        """The report as plain values, for JSON; its `seconds` are by stage, as in other reports."""
        return {"right": self.right, **dataclasses.asdict(self), "seconds": {"verifying": self.seconds}}

    def _pixel_lines(self) -> list[str]:
        bad = [counts for counts in self.per_pixel if set(counts.faults) & set(self.wrong)]
        if not bad:
            return []
        bad.sort(key=lambda counts: -sum(counts.faults.values()))
        lines = ["", f"{'order':>5}  {'pixel':>12}  {'belong':>9}  {'found':>9}  wrong"]
        for counts in bad[:_MOST_PIXELS_PRINTED]:
            faults = {kind: count for kind, count in counts.faults.items() if kind in self.wrong}
            numbers = f"{counts.order:>5}  {counts.pixel:>12}  {counts.expected:>9,}  {counts.found:>9,}  "
            lines += wrapped(_counted(faults), numbers, 43)
        if len(bad) > _MOST_PIXELS_PRINTED:
            lines.append(f"and {len(bad) - _MOST_PIXELS_PRINTED:,} more pixels (--json lists all)")
        return lines

    def _fault_lines(self) -> list[str]:
        lines = []
        for kind, count in self.wrong.items():
            named = [fault for fault in self.faults if fault.kind == kind][:_MOST_PRINTED]
            of_primary = " (by their place in the primary)" if kind == "missing" else ""
            lines += ["", f"{_counted({kind: count})}{of_primary}:"]
            for fault in named:
                lines += wrapped(fault.line(self.margin_path, self.primary_path), "  ", 6)
            if count > len(named):
                lines.append(f"  and {count - len(named):,} more")
        return lines


def belonging(rows: int) -> str:
    """How many rows belong to a margin: `1 row belongs`, `2 rows belong`."""
    return f"{counted(rows, 'row')} belong{'s' if rows == 1 else ''}"


def _counted(counts: dict[str, int]) -> str:
    return ", ".join(
        f"{counts[kind]:,} {KINDS[kind][counts[kind] != 1]}" for kind in KINDS if counts.get(kind)
    )
