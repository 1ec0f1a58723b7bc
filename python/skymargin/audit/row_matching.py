"""Matching of two sets of rows by their values: which are the same, changed, repeated or unknown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from skymargin.audit.digest import combined

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from skymargin.audit.digest import Digests

    Numbers = NDArray[np.int64]

# Rows are matched by the number of columns they share only where this many comparisons of rows suffice.
_MOST_COMPARISONS = 1_000_000


@dataclass(frozen=True)
class Match:
    """How the rows of a margin file match reference rows.

    Attributes
    ----------
    same : numpy.ndarray, shape (n, 2)
        Numbers of a reference row and of a file's row with the same values.
    changed : numpy.ndarray, shape (n, 2)
        Likewise, of rows that are the same row with other values.
    twice : numpy.ndarray
        Numbers of the file's rows that repeat a matched one.
    unknown : numpy.ndarray
        Numbers of the file's rows that match no reference row.
    """

    same: Numbers
    changed: Numbers
    twice: Numbers
    unknown: Numbers


def match_rows(
    reference: Digests, actual: Digests, belongs: NDArray[np.bool_], position: Sequence[int]
) -> Match:
    """Match rows by the digests of their columns, each row once.

    Parameters
    ----------
    reference, actual : numpy.ndarray, shape (rows, columns)
        Digests of the same columns of the reference rows, and of the rows in the file.
    belongs : numpy.ndarray of bool
        Which reference rows are matched first when several have the same values.
    position : sequence of int
        Numbers of the coordinate columns: rows still unmatched are paired first by these, then by the number of columns
        they share, at least half of them.
    """
    reference_key, actual_key = combined(reference), combined(actual)
    same = _pairs(reference_key, actual_key, np.argsort(~belongs, kind="stable"))
    left = np.setdiff1d(np.arange(len(reference)), same[:, 0])
    actual_left = np.setdiff1d(np.arange(len(actual)), same[:, 1])
    is_twice = np.isin(actual_key[actual_left], actual_key[same[:, 1]])
    twice, actual_left = actual_left[is_twice], actual_left[~is_twice]
    left = left[np.argsort(~belongs[left], kind="stable")]
    changed = []
    if len(position) and len(left) and len(actual_left):
        at = list(position)
        pairs = _pairs(combined(reference[left][:, at]), combined(actual[actual_left][:, at]))
        changed.append(np.stack([left[pairs[:, 0]], actual_left[pairs[:, 1]]], axis=1))
        left, actual_left = np.delete(left, pairs[:, 0]), np.delete(actual_left, pairs[:, 1])
    # Only rows that are missing can have turned into others.
    pairs = _most_alike(reference, actual, left[belongs[left]], actual_left)
    changed.append(pairs)
    unknown = np.setdiff1d(actual_left, pairs[:, 1])
    return Match(same, np.concatenate(changed), twice, unknown)


def _pairs(reference: Digests, actual: Digests, order: Numbers | None = None) -> Numbers:
    """Pairs of equal keys, each used once; of equal reference keys those that come first in `order`."""
    order = np.arange(len(reference)) if order is None else order
    numbered = np.empty_like(reference)
    numbered[order] = _numbered(reference[order])
    _, left, right = np.intersect1d(numbered, _numbered(actual), return_indices=True)
    return np.stack([left, right], axis=1).astype(np.int64)


def _numbered(keys: Digests) -> Digests:
    """Keys made distinct: the number of earlier occurrences is mixed into each."""
    by_key = np.argsort(keys, kind="stable")
    ordered = keys[by_key]
    first = np.r_[True, ordered[1:] != ordered[:-1]][: len(keys)]
    start = np.maximum.accumulate(np.where(first, np.arange(len(keys)), 0))
    before = np.empty(len(keys), np.uint64)
    before[by_key] = np.arange(len(keys)) - start
    return combined(np.stack([keys, before], axis=1))


def _most_alike(reference: Digests, actual: Digests, left: Numbers, actual_left: Numbers) -> Numbers:
    """Pairs of unmatched rows that share at least half of their columns, the most alike first."""
    pairs: list[tuple[int, int]] = []
    if 0 < len(left) * len(actual_left) <= _MOST_COMPARISONS:
        shared = np.zeros((len(left), len(actual_left)), np.int64)
        for column, actual_column in zip(reference[left].T, actual[actual_left].T, strict=True):
            shared += column[:, None] == actual_column[None, :]
        taken: tuple[set[int], set[int]] = (set(), set())
        for flat in np.argsort(-shared, axis=None, kind="stable"):
            row, other = divmod(int(flat), len(actual_left))
            if 2 * shared[row, other] < reference.shape[1] or shared[row, other] == 0:
                break
            if row not in taken[0] and other not in taken[1]:
                taken[0].add(row)
                taken[1].add(other)
                pairs.append((left[row], actual_left[other]))
    return np.array(pairs, np.int64).reshape(-1, 2)
