"""Two lots of rows told apart by their values: which are the same, which were changed, which are twice."""

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

# Rows are paired by how many columns they share only where this many comparisons of rows are enough.
_MOST_COMPARISONS = 1_000_000


@dataclass(frozen=True)
class Match:
    """How rows that were found go with rows that are known.

    Attributes
    ----------
    same : numpy.ndarray, shape (n, 2)
        Numbers of a known row and of a found one that hold the same values.
    changed : numpy.ndarray, shape (n, 2)
        Likewise, of rows that are one row with other values.
    twice : numpy.ndarray
        Numbers of found rows that hold what another one holds already.
    unknown : numpy.ndarray
        Numbers of found rows that go with no known one.
    """

    same: Numbers
    changed: Numbers
    twice: Numbers
    unknown: Numbers


def match_rows(known: Digests, found: Digests, wanted: NDArray[np.bool_], position: Sequence[int]) -> Match:
    """Match rows by the digests of their columns, each row once.

    Parameters
    ----------
    known, found : numpy.ndarray, shape (rows, columns)
        Digests of the same columns.
    wanted : numpy.ndarray of bool
        Which known rows go first when several hold the same values.
    position : sequence of int
        Numbers of the columns that say where a row is: what is left is paired by these first, then by
        the number of columns shared, at least half of them.
    """
    known_key, found_key = combined(known), combined(found)
    same = _pairs(known_key, found_key, np.argsort(~wanted, kind="stable"))
    known_left = np.setdiff1d(np.arange(len(known)), same[:, 0])
    found_left = np.setdiff1d(np.arange(len(found)), same[:, 1])
    is_twice = np.isin(found_key[found_left], found_key[same[:, 1]])
    twice, found_left = found_left[is_twice], found_left[~is_twice]
    known_left = known_left[np.argsort(~wanted[known_left], kind="stable")]
    changed = []
    if len(position) and len(known_left) and len(found_left):
        at = list(position)
        pairs = _pairs(combined(known[known_left][:, at]), combined(found[found_left][:, at]))
        changed.append(np.stack([known_left[pairs[:, 0]], found_left[pairs[:, 1]]], axis=1))
        known_left, found_left = (
            np.delete(left, pairs[:, side]) for side, left in enumerate((known_left, found_left))
        )
    # Only rows that are lacking may have turned into others.
    pairs = _alike(known, found, known_left[wanted[known_left]], found_left)
    changed.append(pairs)
    unknown = np.setdiff1d(found_left, pairs[:, 1])
    return Match(same, np.concatenate(changed), twice, unknown)


def _pairs(known: Digests, found: Digests, order: Numbers | None = None) -> Numbers:
    """Pairs of equal keys, each used once; of equal known ones those that come first in `order`."""
    order = np.arange(len(known)) if order is None else order
    known_numbered = np.empty_like(known)
    known_numbered[order] = _numbered(known[order])
    _, left, right = np.intersect1d(known_numbered, _numbered(found), return_indices=True)
    return np.stack([left, right], axis=1).astype(np.int64)


def _numbered(keys: Digests) -> Digests:
    """Keys with how often they occurred before mixed in, so that each is there once."""
    by_key = np.argsort(keys, kind="stable")
    ordered = keys[by_key]
    first = np.r_[True, ordered[1:] != ordered[:-1]][: len(keys)]
    start = np.maximum.accumulate(np.where(first, np.arange(len(keys)), 0))
    before = np.empty(len(keys), np.uint64)
    before[by_key] = np.arange(len(keys)) - start
    return combined(np.stack([keys, before], axis=1))


def _alike(known: Digests, found: Digests, known_left: Numbers, found_left: Numbers) -> Numbers:
    """Pairs of rows that share at least half of their columns, the most alike first."""
    nothing = np.empty((0, 2), np.int64)
    if not 0 < len(known_left) * len(found_left) <= _MOST_COMPARISONS:
        return nothing
    shared = np.zeros((len(known_left), len(found_left)), np.int64)
    for one, other in zip(known[known_left].T, found[found_left].T, strict=True):
        shared += one[:, None] == other[None, :]
    pairs = []
    taken: tuple[set[int], set[int]] = (set(), set())
    for flat in np.argsort(-shared, axis=None, kind="stable"):
        row, column = divmod(int(flat), len(found_left))
        if 2 * shared[row, column] < known.shape[1] or shared[row, column] == 0:
            break
        if row not in taken[0] and column not in taken[1]:
            taken[0].add(row)
            taken[1].add(column)
            pairs.append((known_left[row], found_left[column]))
    return np.array(pairs, np.int64).reshape(-1, 2) if pairs else nothing
