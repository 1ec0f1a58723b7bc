"""Adaptive partitions: the coarsest pixels that hold at most so many rows."""

from __future__ import annotations

import numpy as np

from benchmarks.healpix_plane import Integers

Partitions = list[tuple[int, int]]


def _counts_by_order(index: Integers, highest_order: int) -> list[Integers]:
    """Rows per pixel, for the orders 0 to `highest_order`."""
    counts = np.bincount(index >> 2 * (29 - highest_order), minlength=12 * 4**highest_order)
    orders = [counts]
    while len(orders[-1]) > 12:
        orders.append(orders[-1].reshape(-1, 4).sum(axis=1))
    return orders[::-1]


def _split(counts: list[Integers], most_rows: int) -> Partitions:
    """Partitions of at most `most_rows` rows; more only at the highest order, where splitting ends."""
    chosen: Partitions = []
    is_open = np.ones(12, dtype=bool)
    for order, rows in enumerate(counts):
        is_done = is_open & (rows > 0) & ((rows <= most_rows) | (order == len(counts) - 1))
        chosen += [(order, int(pixel)) for pixel in np.nonzero(is_done)[0]]
        is_open = np.repeat(is_open & (rows > 0) & ~is_done, 4)
    return chosen


def adaptive_partitions(index: Integers, count: int) -> Partitions:
    """About `count` partitions, in the order of the sky, by bisection on the most rows of one.

    Parameters
    ----------
    index
        Nested pixel numbers of all rows at order 29.
    """
    if count < 1 or not len(index):
        raise ValueError(f"{count} partitions of {len(index)} rows: at least one of each is needed")
    # Fine enough that the densest pixels still split: about 64 pixels of the highest order a partition.
    highest_order = min(10, max(4, int(np.ceil(np.log2(max(count, 12) * 64 / 12) / 2))))
    counts = _counts_by_order(index, highest_order)
    best = _split(counts, len(index))
    low, high = 1, len(index)
    while low < high:
        most_rows = (low + high) // 2
        partitions = _split(counts, most_rows)
        if abs(len(partitions) - count) < abs(len(best) - count):
            best = partitions
        if len(partitions) > count:
            low = most_rows + 1
        else:
            high = most_rows
    return sorted(best, key=lambda partition: first_index(*partition))


def first_index(order: int, pixel: int) -> int:
    """The lowest nested pixel number at order 29 inside a pixel."""
    return pixel << 2 * (29 - order)
