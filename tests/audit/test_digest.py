"""Digests are equal where values are: for every type, in any of its forms."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skymargin.audit.digest import combined, digests
from tests.support.column_types import TYPES


def same(values: Sequence[Any]) -> list[list[bool]]:
    """Which of some Python values are the same one, NaN = NaN but 0.0 != -0.0."""
    return [[repr(left) == repr(right) for right in values] for left in values]


def equal(hashes: np.ndarray) -> list[list[bool]]:
    return (hashes[:, None] == hashes[None, :]).tolist()


@pytest.mark.parametrize("name", TYPES)
def test_values_of_every_type_have_digests_of_their_own(name: str) -> None:
    kind, value = TYPES[name]
    values = [None if number % 5 == 0 else value(number) for number in range(40)]
    array = pa.array([*values, *values], kind)
    hashes = digests(array)
    assert len(hashes) == 80
    assert equal(hashes) == same([repr(value) for value in array.to_pylist()])
    assert len(set(hashes.tolist())) > 1 or len({repr(value) for value in array.to_pylist()}) == 1


@pytest.mark.parametrize("name", TYPES)
def test_slices_and_chunks_have_the_digests_of_their_values(name: str) -> None:
    kind, value = TYPES[name]
    array = pa.array([None if number % 5 == 0 else value(number) for number in range(40)], kind)
    whole = digests(array)
    np.testing.assert_array_equal(digests(array.slice(3, 20)), whole[3:23])
    np.testing.assert_array_equal(digests(pa.chunked_array([array.slice(0, 7), array.slice(7)])), whole)
    assert len(digests(array.slice(40))) == 0


def test_floats_are_compared_by_their_bits_but_every_nan_is_the_same() -> None:
    other_nan = np.uint64(0x7FF8000000000123).view(np.float64)
    values = np.array([np.nan, other_nan, -np.nan, 0.0, -0.0, 1.0, np.nextafter(1.0, 2.0), np.inf, -np.inf])
    hashes = digests(pa.array(values)).tolist()
    assert hashes[0] == hashes[1] == hashes[2]
    assert len(set(hashes)) == 7
    nested = digests(pa.array([[1.0, math.nan], [1.0, math.nan], [math.nan, 1.0]]))
    assert nested[0] == nested[1] != nested[2]


@pytest.mark.parametrize(
    ("kind", "other", "values"),
    [
        (pa.int8(), pa.int64(), [-3, 0, 5, None]),
        (pa.uint8(), pa.uint64(), [3, 0, 255, None]),
        (pa.float32(), pa.float64(), [0.5, -1.25, None]),
        (pa.string(), pa.large_string(), ["", "a", "ab", None]),
        (pa.string(), pa.dictionary(pa.int8(), pa.string()), ["b", "a", "b", None]),
        (pa.string(), pa.string_view(), ["", "a long text that is not kept in place", None]),
        (pa.list_(pa.int16()), pa.large_list(pa.int32()), [[], [1, 2], [None], None]),
        (pa.null(), pa.struct([("a", pa.int8())]), [None, None]),
        *(
            (pa.binary(width), pa.binary(), [b"\xff" * width, None, b"\0" * width])
            for width in (1, 2, 3, 4, 8, 16)
        ),
    ],
)
def test_the_type_a_value_is_kept_in_does_not_matter(
    kind: pa.DataType, other: pa.DataType, values: list[Any]
) -> None:
    np.testing.assert_array_equal(digests(pa.array(values, kind)), digests(pa.array(values, other)))


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (pa.list_(pa.int64()), [[], [0], [0, 0], [1, 2], [2, 1], [None], None]),
        (pa.string(), ["", "a", "b", "ab", "ba", "a\0", None]),
        (pa.binary(), [b"", b"\0", b"\0\0", None]),
        (pa.list_(pa.list_(pa.int64())), [[], [[]], [[], []], [[1], []], [[], [1]], [[1]], None]),
        (
            pa.struct([("a", pa.int64()), ("b", pa.int64())]),
            [{"a": 1, "b": 2}, {"a": 2, "b": 1}, {"a": None, "b": None}, None],
        ),
        (pa.map_(pa.string(), pa.int64()), [[], [("a", 1)], [("a", 2)], [("b", 1)], None]),
        (pa.bool_(), [True, False, None]),
        (pa.decimal128(30, 2), [1, 2, -1, None]),
    ],
)
def test_values_that_are_nearly_alike_are_told_apart(kind: pa.DataType, values: list[Any]) -> None:
    assert len(set(digests(pa.array(values, kind)).tolist())) == len(values)


@given(
    st.lists(
        st.one_of(st.none(), st.lists(st.one_of(st.none(), st.text(max_size=3)), max_size=3)), max_size=8
    )
)
def test_lists_of_texts(values: list[list[str | None] | None]) -> None:
    assert equal(digests(pa.array(values, pa.list_(pa.string())))) == same(values)


def test_rows_differ_by_the_order_of_their_columns() -> None:
    rows = np.array([[1, 2], [2, 1], [1, 2]], np.uint64)
    hashes = combined(rows)
    assert hashes[0] == hashes[2] != hashes[1]
