"""The report of a run."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from skymargin.formatting import arcsec_text, counted, readable_bytes, seconds_text
from skymargin.shown import Shown, Table


@dataclass(frozen=True)
class MarginReport(Shown):
    """What was written, what was read for it, and how long it took.

    Attributes
    ----------
    catalog_path : str
        The margin catalog.
    rows : int
        Rows written, over all partitions.
    partitions : int
        Partitions written: pixels whose margin has a row.
    margin_threshold_arcsec : float
        The threshold recorded in the catalog, in arcseconds.
    primary_path : str
        The primary catalog.
    primary_rows : int
        Rows of that catalog.
    primary_partitions : int
        Partitions of that catalog.
    bytes_read : int
        Bytes fetched from the primary catalog's files: footers, page indexes and pages, compressed.
    pages_decoded : int
        Pages of those files that were decompressed.
    hints_ignored : int
        Page indexes, sizes and positions of column chunks, key-value metadata and embedded schemas of those files that
        contradicted their pages, and were ignored. The margin is right; another reader may trip over such a file.
    seconds : dict
        Seconds by stage (planning, mapping, reducing, finishing) of the run that made the margin.
    empty_reason : str or None
        Why the margin has no row; None when it has rows.
    """

    catalog_path: str
    rows: int
    partitions: int
    margin_threshold_arcsec: float
    primary_path: str
    primary_rows: int
    primary_partitions: int
    bytes_read: int
    pages_decoded: int
    hints_ignored: int = 0
    seconds: dict[str, float] = field(default_factory=dict)
    empty_reason: str | None = None

    def summary(self) -> str:
        """One readable line."""
        ignored = (
            f", {counted(self.hints_ignored, 'wrong hint')} in its files ignored"
            if self.hints_ignored
            else ""
        )
        return (
            f"{self.catalog_path}: {self._what()}; threshold {arcsec_text(self.margin_threshold_arcsec)}; catalog of "
            f"{self._primary()}, {readable_bytes(self.bytes_read)} read{ignored}; "
            f"{seconds_text(sum(self.seconds.values()))}"
        )

    def _what(self) -> str:
        if self.empty_reason is not None:
            return f"empty margin, {self.empty_reason}"
        return f"{counted(self.rows, 'row')} in {counted(self.partitions, 'partition')}"

    def _primary(self) -> str:
        return f"{counted(self.primary_rows, 'row')} in {counted(self.primary_partitions, 'partition')}"

    def _table(self) -> Table:
        ignored = f"{self.hints_ignored:,} that contradicted their pages" if self.hints_ignored else None
        rows = [
            ("margin", self.catalog_path),
            ("what", self._what()),
            ("threshold", arcsec_text(self.margin_threshold_arcsec)),
            ("catalog", f"{self.primary_path}: {self._primary()}"),
            ("read", f"{readable_bytes(self.bytes_read)}, {counted(self.pages_decoded, 'page')}"),
            ("hints ignored", ignored),
            self._times(),
        ]
        return Table("Margin built", rows)

    def _times(self) -> tuple[str, str]:
        # Tenths of a second show nothing of a small catalog.
        is_short = 0 < max(self.seconds.values(), default=0.0) < 0.05
        unit, factor, digits = ("milliseconds", 1000, 0) if is_short else ("seconds", 1, 1)
        stages = ", ".join(f"{name} {factor * time:.{digits}f}" for name, time in self.seconds.items())
        return unit, f"{factor * sum(self.seconds.values()):.{digits}f}" + (f": {stages}" if stages else "")

    def to_dict(self) -> dict[str, Any]:
        """The report as plain values, for JSON."""
        return dataclasses.asdict(self)
