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


def values_of(column: pa.Array | pa.ChunkedArray) -> np.ndarray:
    """A column as pyarrow's own conversion has it, which is asked only where there are nulls or other types.

    Parameters
    ----------
    column
        Of any type; numbers and truth values without nulls are converted here, and may be read-only.
    """
    import pyarrow as pa
    from pyarrow import types

    if column.null_count == 0:
        if types.is_integer(column.type) or types.is_floating(column.type):
            return to_numpy(column)
        if isinstance(column, pa.BooleanArray):
            return truth_values(column)
    is_chunked = isinstance(column, pa.ChunkedArray)
    values: np.ndarray = column.to_numpy() if is_chunked else column.to_numpy(zero_copy_only=False)
    return values


def truth_values(column: pa.BooleanArray) -> np.ndarray:
    """Truth values of a column; those of nulls are whatever is there."""
    import numpy as np

    bits = column.buffers()[1]
    if len(column) == 0 or bits is None:
        return np.zeros(len(column), dtype=bool)
    every = np.unpackbits(np.frombuffer(bits, np.uint8), bitorder="little")
    return every[column.offset :][: len(column)].astype(bool)
