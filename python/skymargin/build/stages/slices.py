"""Slices: where the rows of margins lie in the shards, as mapping returns them and reducing gets them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


def slice_type() -> np.dtype:
    """The type of an encoded slice, as the core writes and reads it.

    The pixel of the margin; position and length in bytes of the record batch in its shard; the number of the run, whose
    slices are in order one after the other; the first row in the record batch, and the number of rows; the index, the
    source and the row of the first row, which order it.
    """
    import numpy as np

    wide = [("pixel", "<u8"), ("position", "<u8"), ("length", "<u8")]
    narrow = [("run", "<u4"), ("first", "<u4"), ("rows", "<u4")]
    key = [("key_index", "<u8"), ("key_source", "<u8"), ("key_row", "<u8")]
    return np.dtype([("order", "u1"), *wide, *narrow, *key])


def decode_slices(slices: bytes, rows_within: bytes) -> tuple[np.ndarray, np.ndarray]:
    """The slices of a shard, of `slice_type`, and a line of row counts for each: within each threshold of the run."""
    import numpy as np

    table = np.frombuffer(slices, dtype=slice_type())
    rows = np.frombuffer(rows_within, dtype="<i8")
    # Without slices, numpy cannot tell how many thresholds there are.
    return table, rows.reshape(len(table), -1) if len(table) else rows.reshape(0, 1)
