"""Columns of numbers from numpy to Arrow and back, without a copy.

pyarrow's own conversions import pandas if it is installed, which takes longer than building a small margin.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa


def to_arrow(values: np.ndarray) -> pa.Array:
    """Numbers as an Arrow array.

    Parameters
    ----------
    values : numpy.ndarray of shape (n,)
        Integers or floats of a fixed width.
    """
    import numpy as np
    import pyarrow as pa

    values = np.ascontiguousarray(values)
    return pa.Array.from_buffers(
        pa.from_numpy_dtype(values.dtype), len(values), [None, pa.py_buffer(values)], null_count=0
    )


def to_numpy(column: pa.Array | pa.ChunkedArray) -> np.ndarray:
    """Numbers of a column without nulls as a read-only numpy array."""
    import numpy as np
    import pyarrow as pa

    chunks = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
    arrays = [np.from_dlpack(chunk) for chunk in chunks if len(chunk)]
    if len(arrays) == 1:
        return arrays[0]
    return np.concatenate(arrays) if arrays else np.empty(0, dtype=column.type.to_pandas_dtype())
