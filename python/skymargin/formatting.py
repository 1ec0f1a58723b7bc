"""Numbers and paragraphs as text for people."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from decimal import Decimal


def counted(number: int, noun: str) -> str:
    """A number of things: `1 row`, `1,000 rows`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def listed(names: Sequence[str], most: int = 3) -> str:
    """Names in words: the first `most`, and how many more there are."""
    if not names:
        return "no files"
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more:,} more" if more > 0 else "")


def readable_bytes(count_bytes: int) -> str:
    """A size in units of 1000: `13.7 MB`."""
    size = float(count_bytes)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def readable_duration(seconds: float) -> str:
    """A duration in the largest unit of which there are at least two: `36 hours`, `12 days`."""
    for unit, unit_seconds in (("days", 86_400), ("hours", 3_600)):
        if seconds >= 2 * unit_seconds:
            return f"{seconds // unit_seconds:.0f} {unit}"
    minutes = int(seconds // 60)
    return "1 minute" if minutes == 1 else f"{minutes} minutes"


def seconds_text(seconds: float) -> str:
    """A short duration: `1.2 s`, or `12 ms` where tenths of a second would show none."""
    return f"{seconds * 1000:.0f} ms" if 0 < seconds < 0.05 else f"{seconds:.1f} s"


def in_one_line(error: BaseException) -> str:
    """The message of an error without line ends, which those of Thrift have."""
    return " ".join(str(error).split())


def wrapped(text: str, first: str, indent: int) -> list[str]:
    """Text in lines of 100 columns, longer only for a longer word.

    The first line begins with `first`, the others with `indent` spaces.
    """
    return textwrap.wrap(
        text,
        100,
        initial_indent=first,
        subsequent_indent=" " * indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def arcsec_text(arcsec: float) -> str:
    """A threshold as people read it, with as many digits as tell it apart: `1.7000000001 arcsec`."""
    return f"{arcsec:.12g} arcsec"


def threshold_name(catalog_name: str, threshold_arcsec: float) -> str:
    """The name of a margin: that of its catalog, and the threshold in arcseconds with all its digits.

    Two thresholds never share a name: 0.5 gives ``0.5arcs``, 10 gives ``10arcs``, 1e-07 gives ``0.0000001arcs``.
    """
    # repr() gives the fewest digits that identify the float.
    digits = format(Decimal(repr(threshold_arcsec)), "f")
    if "." in digits:
        digits = digits.rstrip("0").rstrip(".")
    return f"{catalog_name}_{digits}arcs"
