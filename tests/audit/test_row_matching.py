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
    known: list[tuple[Any, ...]], present: list[tuple[Any, ...]], chosen: list[bool] | None = None
) -> Match:
    """Match rows of (ra, dec, more)."""
    width = len((known or present)[0])

    def matrix(rows: list[tuple[Any, ...]]) -> np.ndarray:
        if not rows:
            return np.empty((0, width), np.uint64)
        return np.stack([digests(pa.array(column)) for column in zip(*rows, strict=True)], axis=1)

    may_match = np.array([True] * len(known) if chosen is None else chosen, dtype=bool)
    return match_rows(matrix(known), matrix(present), may_match, [0, 1])


def test_the_same_rows_in_another_order_are_the_same() -> None:
    matched = match([(1, 2, "a"), (3, 4, "b"), (1, 2, "a")], [(3, 4, "b"), (1, 2, "a"), (1, 2, "a")])
    assert sorted(matched.same[:, 0].tolist()) == [0, 1, 2]
    assert sorted(matched.same[:, 1].tolist()) == [0, 1, 2]
    assert not any(map(len, (matched.changed, matched.twice, matched.unknown)))


def test_a_row_that_is_there_once_too_often_is_twice() -> None:
    matched = match([(1, 2, "a"), (3, 4, "b")], [(1, 2, "a"), (3, 4, "b"), (1, 2, "a")])
    assert matched.twice.tolist() == [2]
    assert len(matched.same) == 2


def test_a_row_with_another_value_is_changed_wherever_the_value_is() -> None:
    known = [(1, 2, "a", 7), (3, 4, "b", 7)]
    for row in [(1, 2, "x", 7), (9, 2, "a", 7), (1, 2, "x", 8)]:
        matched = match(known, [row, known[1]])
        assert matched.changed.tolist() == [[0, 0]], row
        assert len(matched.unknown) == len(matched.twice) == 0


def test_a_row_with_nothing_in_common_is_unknown() -> None:
    matched = match([(1, 2, "a", 7)], [(5, 6, "b", 8)])
    assert matched.unknown.tolist() == [0]
    assert len(matched.changed) == len(matched.same) == 0


def test_of_equal_rows_the_chosen_one_goes_first() -> None:
    matched = match([(1, 2, "a"), (1, 2, "a")], [(1, 2, "a")], chosen=[False, True])
    assert matched.same.tolist() == [[1, 0]]


def test_rows_that_share_nothing_but_a_constant_are_not_paired() -> None:
    matched = match([(1, 2, "a", 0)], [(5, 6, "b", 0)])
    assert matched.unknown.tolist() == [0]


def test_nothing_matches_nothing() -> None:
    matched = match([], [(1, 2, "a")])
    assert matched.unknown.tolist() == [0]
    matched = match([(1, 2, "a")], [])
    assert len(matched.same) == len(matched.unknown) == 0


@given(
    st.lists(st.integers(0, 5), max_size=12),
    st.lists(st.integers(0, 5), max_size=12),
)
def test_as_many_rows_match_as_both_have(known: list[int], present: list[int]) -> None:
    if not known and not present:
        return
    rows = match([(n, n, n) for n in known], [(n, n, n) for n in present])
    common = sum(min(known.count(value), present.count(value)) for value in range(6))
    assert len(rows.same) == common
    assert [known[row] for row in rows.same[:, 0]] == [present[row] for row in rows.same[:, 1]]
    assert len(set(rows.same[:, 0])) == len(set(rows.same[:, 1])) == common
    # What is left is twice, or was never known.
    assert {present[row] for row in rows.twice} <= set(known)
    assert not {present[row] for row in rows.unknown} & set(known)
    assert len(rows.twice) + len(rows.unknown) == len(present) - common
