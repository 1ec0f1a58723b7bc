"""Columns as numpy arrays: as pyarrow itself converts them."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from skymargin.arrow.columns import values_of

COLUMNS = {
    "int64": pa.array([3, -1, 7, 2]),
    "uint8": pa.array([3, 1, 255, 0], pa.uint8()),
    "double": pa.array([0.5, -0.0, float("nan"), float("inf")]),
    "float16": pa.array(np.array([0.5, 1, 2, 3], np.float16)),
    "truth values": pa.array([True, False, True, True, False, True, True, False, True, True, False]),
    "nulls": pa.array([1, None, 3, 4]),
    "truth values with nulls": pa.array([True, None, False, True]),
    "text": pa.array(["a", "b", "c", "d"]),
}


@pytest.mark.parametrize("name", COLUMNS)
def test_values_are_those_of_pyarrow(name: str) -> None:
    column = COLUMNS[name]
    for part in (column, column.slice(1, 2), column.slice(3), column.slice(0, 0)):
        np.testing.assert_array_equal(values_of(part), part.to_numpy(zero_copy_only=False))
        assert values_of(part).dtype == part.to_numpy(zero_copy_only=False).dtype
    for chunks in ([column], [column.slice(0, 1), column.slice(1)], [column, column.slice(0, 0)]):
        chunked = pa.chunked_array(chunks, column.type)
        np.testing.assert_array_equal(values_of(chunked), chunked.to_numpy())
    assert len(values_of(pa.chunked_array([], column.type))) == 0
