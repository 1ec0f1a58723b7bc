"""Numbers as text for people."""

from __future__ import annotations


def readable_bytes(count_bytes: int) -> str:
    """A size in units of 1000: `13.7 MB`."""
    size = float(count_bytes)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"
