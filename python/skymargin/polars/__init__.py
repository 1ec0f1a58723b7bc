"""Margins of frames in memory, and the geometry of pixels as polars expressions.

The expressions are plain functions that return `polars.Expr`, not methods of a registered namespace: a position is two
columns, a namespace hangs on one; a function is known to type checkers and editors; and importing this module changes
nothing in polars.

Tables may be polars DataFrames and LazyFrames, pandas DataFrames, pyarrow tables, or anything else with the Arrow
PyCapsule interface; what comes back is of the kind that went in. Only the two coordinate columns are handed to the
core, without a copy where they hold 64-bit floats in one piece.

Nulls: expressions give null where a coordinate is null. `tile`, `margins` and `partition_and_margin` refuse such rows,
because a margin without them could not be told from a complete one. NaN, infinite and out-of-range coordinates are an
error everywhere, which names the row and the value.
"""

from skymargin._core import CoordinateError
from skymargin.polars.catalogs import read_margin, scan_margin
from skymargin.polars.expressions import pixel, separation_arcsec, spatial_index, within_margin
from skymargin.polars.margin_frames import PartitionWithMargin, margins, partition_and_margin
from skymargin.polars.partitions import tile

__all__ = [
    "CoordinateError",
    "PartitionWithMargin",
    "margins",
    "partition_and_margin",
    "pixel",
    "read_margin",
    "scan_margin",
    "separation_arcsec",
    "spatial_index",
    "tile",
    "within_margin",
]
