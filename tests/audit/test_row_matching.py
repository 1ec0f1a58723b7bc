"""Rows are matched by their values, each once."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from skymargin.audit.digest import digests
from skymargin.audit.row_matching import Match, match_rows


def match(
    known: list[tuple[Any, ...]], found: list[tuple[Any, ...]], wanted: list[bool] | None = None
) -> Match:
    """Match rows of (ra, dec, more)."""
    width = len((known or found)[0])

    def matrix(rows: list[tuple[Any, ...]]) -> np.ndarray:
        if not rows:
            return np.empty((0, width), np.uint64)
        return np.stack([digests(pa.array(column)) for column in zip(*rows, strict=True)], axis=1)

    want = np.array([True] * len(known) if wanted is None else wanted, dtype=bool)
    return match_rows(matrix(known), matrix(found), want, [0, 1])


def test_the_same_rows_in_another_order_are_the_same() -> None:
    found = match([(1, 2, "a"), (3, 4, "b"), (1, 2, "a")], [(3, 4, "b"), (1, 2, "a"), (1, 2, "a")])
    assert sorted(found.same[:, 0].tolist()) == [0, 1, 2]
    assert sorted(found.same[:, 1].tolist()) == [0, 1, 2]
    assert not any(map(len, (found.changed, found.twice, found.unknown)))


def test_a_row_that_is_there_once_too_often_is_twice() -> None:
    found = match([(1, 2, "a"), (3, 4, "b")], [(1, 2, "a"), (3, 4, "b"), (1, 2, "a")])
    assert found.twice.tolist() == [2]
    assert len(found.same) == 2


def test_a_row_with_another_value_is_changed_wherever_the_value_is() -> None:
    known = [(1, 2, "a", 7), (3, 4, "b", 7)]
    for row in [(1, 2, "x", 7), (9, 2, "a", 7), (1, 2, "x", 8)]:
        found = match(known, [row, known[1]])
        assert found.changed.tolist() == [[0, 0]], row
        assert len(found.unknown) == len(found.twice) == 0


def test_a_row_with_nothing_in_common_is_unknown() -> None:
    found = match([(1, 2, "a", 7)], [(5, 6, "b", 8)])
    assert found.unknown.tolist() == [0]
    assert len(found.changed) == len(found.same) == 0


def test_of_equal_rows_the_wanted_one_goes_first() -> None:
    found = match([(1, 2, "a"), (1, 2, "a")], [(1, 2, "a")], wanted=[False, True])
    assert found.same.tolist() == [[1, 0]]


def test_rows_that_share_nothing_but_a_constant_are_not_paired() -> None:
    found = match([(1, 2, "a", 0)], [(5, 6, "b", 0)])
    assert found.unknown.tolist() == [0]


def test_nothing_matches_nothing() -> None:
    found = match([], [(1, 2, "a")])
    assert found.unknown.tolist() == [0]
    found = match([(1, 2, "a")], [])
    assert len(found.same) == len(found.unknown) == 0


@given(
    st.lists(st.integers(0, 5), max_size=12),
    st.lists(st.integers(0, 5), max_size=12),
)
def test_as_many_rows_match_as_both_have(known: list[int], found: list[int]) -> None:
    if not known and not found:
        return
    rows = match([(one, one, one) for one in known], [(one, one, one) for one in found])
    common = sum(min(known.count(value), found.count(value)) for value in range(6))
    assert len(rows.same) == common
    assert [known[one] for one in rows.same[:, 0]] == [found[one] for one in rows.same[:, 1]]
    assert len(set(rows.same[:, 0])) == len(set(rows.same[:, 1])) == common
    # What is left is twice, or was never there.
    assert {found[one] for one in rows.twice} <= set(known)
    assert not {found[one] for one in rows.unknown} & set(known)
    assert len(rows.twice) + len(rows.unknown) == len(found) - common
