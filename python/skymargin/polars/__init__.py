"""Margins of frames in memory, and the geometry of pixels as polars expressions.

Expressions are functions that return `polars.Expr`, not methods of a registered namespace: a position is two columns,
but a namespace belongs to one; type checkers and editors know functions; and importing this module does not change
polars.

Tables may be polars DataFrames and LazyFrames, pandas DataFrames, pyarrow and astropy tables, or any other table with
the Arrow PyCapsule interface; the result is a table of the same kind. Only the two coordinate columns are passed to the
core, without a copy when they are contiguous 64-bit floats.

Nulls: expressions return null where a coordinate is null. `tile`, `margins` and `partition_and_margin` raise an error,
because a margin without such rows would look complete. NaN, infinite and out-of-range coordinates always raise an error
that names the row and the value.
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


def __dir__() -> list[str]:
    # Without the modules: they are not for users.
    return __all__
