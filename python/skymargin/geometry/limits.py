"""How deep HEALPix goes, and how wide a margin may be."""

from __future__ import annotations

# The deepest order of HEALPix, and that of an index column in HATS.
LARGEST_ORDER = 29
# 90 degrees.
LARGEST_THRESHOLD_ARCSEC = 90 * 3600.0
