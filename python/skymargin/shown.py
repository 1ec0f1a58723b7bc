"""How reports look: text when they are printed, a table when a notebook shows them."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import NamedTuple

# Notebooks style tables themselves: only what the words need is set.
_LEFT = "text-align: left; vertical-align: top"


class Table(NamedTuple):
    """What a notebook shows of a report.

    Attributes
    ----------
    title : str
        The line above the table.
    rows : sequence of (str, object)
        Label and value; rows without a value are left out.
    below : str
        Text of fixed width below the table.
    """

    title: str
    rows: Sequence[tuple[str, object]]
    below: str = ""

    def to_html(self) -> str:
        """The table as HTML; all text in it is escaped, paths and column names of catalogs too."""
        lines = [f'<tr><th colspan="2" style="{_LEFT}">{html.escape(self.title)}</th></tr>']
        for head, text in self.rows:
            if text not in (None, ""):
                lines.append(
                    f'<tr><th style="{_LEFT}; font-weight: normal">{html.escape(head)}</th>'
                    f'<td style="{_LEFT}; overflow-wrap: anywhere">{html.escape(str(text))}</td></tr>'
                )
        below = f"<pre>{html.escape(self.below)}</pre>" if self.below else ""
        return f"<table>{''.join(lines)}</table>{below}"


class Shown:
    """A report that prints as its summary, and that notebooks show as a table."""

    def summary(self) -> str:
        """Readable lines."""
        raise NotImplementedError

    def _table(self) -> Table:
        """What notebooks show."""
        raise NotImplementedError

    def __str__(self) -> str:
        return self.summary()

    def _repr_html_(self) -> str:
        # Notebooks look for this name.
        return self._table().to_html()
