"""Markdown tables, and the places in a page that they are written to."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

PAGE = Path(__file__).parent.parent / "docs" / "explanation" / "benchmarks.md"


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def seconds(value: float) -> str:
    """Seconds with three digits or so."""
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:.0f}"


def megabytes(value: float) -> str:
    """Bytes as megabytes."""
    return f"{value / 1e6:,.0f} MB"


def ratio(value: float, other: float) -> str:
    """How many times `other` a value is."""
    times = value / other
    return f"{times:.1f}" if times < 100 else f"{times:.0f}"


def write_between(page: Path, name: str, text: str) -> None:
    """Put generated text between the marks ``<!-- name -->`` and ``<!-- /name -->`` of a page.

    What a person wrote outside the marks stays. The marks must be there, once.
    """
    start, stop = f"<!-- {name} -->", f"<!-- /{name} -->"
    before = page.read_text()
    if before.count(start) != 1 or before.count(stop) != 1:
        raise ValueError(f"{page}: the marks {start} and {stop} must be in it once each")
    head, _, rest = before.partition(start)
    _, _, tail = rest.partition(stop)
    page.write_text(f"{head}{start}\n\n{text}\n\n{stop}{tail}")
