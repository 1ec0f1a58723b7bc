"""Ranges of several remote files in one call."""

from __future__ import annotations

from typing import TYPE_CHECKING

from skymargin.storage.range_reader import fetch_ranges

if TYPE_CHECKING:
    from collections.abc import Mapping

    from upath import UPath


class ShardRanges:
    """Reads ranges of the shards of a task, as the core wants them.

    Parameters
    ----------
    folder
        The folder of the shards.
    shards
        The name and the size in bytes of each, by its number.

    Attributes
    ----------
    ahead_bytes : int
        How many bytes the core reads in one call, if it knows what it will need.
    """

    ahead_bytes = 8 << 20

    def __init__(self, folder: UPath, shards: Mapping[int, tuple[str, int]]) -> None:
        self._folder = folder
        self._files = {number: (folder / name, size_bytes) for number, (name, size_bytes) in shards.items()}

    def read_ranges(self, numbers: list[int], starts: list[int], stops: list[int]) -> list[bytes]:
        """The bytes of each shard from each start to before its stop.

        Raises
        ------
        OSError
            When a range cannot be read completely after several tries. Names the file.
        """
        ranges = [
            (*self._files[number], start, stop)
            for number, start, stop in zip(numbers, starts, stops, strict=True)
        ]
        return fetch_ranges(ranges)
