"""The rows of margins in their order, from runs of rows that are each in order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias

from skymargin.arrow.columns import to_arrow, to_numpy
from skymargin.arrow.transport import from_transport
from skymargin.build.stages.shards import sort_keys

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

Run: TypeAlias = "tuple[pa.Table, pa.Table]"
"""Rows of one margin in its order, and where they come from."""


class Merged:
    """Margins one after the other, each of several runs.

    Parameters
    ----------
    runs_of_margins
        The runs of each margin.
    schema
        Schema in which rows are given.
    most_rows
        So many rows are put in order at once; of more, only those that are asked for.
    threshold_arcsec
        Rows with a larger separation are left out; None: none.

    Attributes
    ----------
    schema : pyarrow.Schema
        As given.
    """

    def __init__(
        self,
        runs_of_margins: Sequence[Sequence[Run]],
        schema: pa.Schema,
        most_rows: int,
        threshold_arcsec: float | None = None,
    ) -> None:
        import numpy as np
        import pyarrow as pa

        self.schema = schema
        self._runs = [rows for runs in runs_of_margins for rows, _ in runs]
        counts = [sum(len(rows) for rows, _ in runs) for runs in runs_of_margins]
        origin = pa.concat_tables([origin for runs in runs_of_margins for _, origin in runs])
        keys = sort_keys(origin)
        margin = np.repeat(np.arange(len(counts)), counts)
        self._order = np.lexsort((*keys, margin))
        if threshold_arcsec is not None:
            near = to_numpy(origin.column("separation_arcsec"))[self._order] <= threshold_arcsec
            self._order = self._order[near]
            counts = np.bincount(margin[self._order], minlength=len(counts)).tolist()
        self._most_rows = most_rows
        self._index = keys[-1][self._order]
        self._margin_starts = np.cumsum([0, *counts]).tolist()
        self._run_starts = np.cumsum([0, *(len(rows) for rows in self._runs)])
        self._whole = self._take_all() if len(margin) <= most_rows else None

    def index(self, margin: int) -> np.ndarray:
        """Index values of the rows of one margin."""
        return self._index[self._margin_starts[margin] : self._margin_starts[margin + 1]]

    def rows(self, margin: int, start: int, stop: int) -> pa.Table:
        """Rows `start` to before `stop` of one margin, in one chunk."""
        import numpy as np

        first = self._margin_starts[margin]
        if self._whole is None:
            rows = self._take(self._order[first + start : first + stop])
        elif self._whole.schema.types == self.schema.types:
            rows = self._whole.slice(first + start, stop - start)
        else:
            # pyarrow cannot write what was cast from a slice to a view.
            rows = self._whole.take(to_arrow(np.arange(first + start, first + stop)))
        # The types of the catalog are given to a row group by itself: a dictionary then has its values alone. One chunk
        # a column: where pages end must not depend on how the rows were found.
        return from_transport(rows, self.schema).combine_chunks()

    def _take_all(self) -> pa.Table:
        return self._in_order(self._runs, self._order)

    def _take(self, wanted: np.ndarray) -> pa.Table:
        """Rows by their numbers in the runs put end to end.

        Each run is in order, so what is wanted of it is one stretch: only that is copied. Where the stretches have rows
        that belong to a wider margin alone, and together more rows than are put in order at once, rows are picked.
        """
        import numpy as np

        run = np.searchsorted(self._run_starts, wanted, side="right") - 1
        mine = {int(number): wanted[run == number] for number in np.unique(run)}
        ends = {number: (int(rows.min()), int(rows.max()) + 1) for number, rows in mine.items()}
        picks = sum(end - first for first, end in ends.values()) > max(len(wanted), self._most_rows)
        parts, place, gathered = [], np.empty(len(wanted), dtype=np.int64), 0
        for number, rows in mine.items():
            first, end = ends[number]
            start = int(self._run_starts[number])
            if picks:
                part = self._runs[number].take(to_arrow(rows - start))
                place[run == number] = np.arange(gathered, gathered + len(rows))
            else:
                part = self._runs[number].slice(first - start, end - first)
                place[run == number] = rows - first + gathered
            parts.append(part)
            gathered += len(part)
        return self._in_order(parts, place)

    def _in_order(self, stretches: Sequence[pa.Table], wanted: np.ndarray) -> pa.Table:
        import pyarrow as pa

        return pa.concat_tables(stretches).combine_chunks().take(to_arrow(wanted))
