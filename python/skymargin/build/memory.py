"""How the memory of a worker is shared out between its threads, and what each may hold.

A thread that maps holds what its scan may hold (and one page of each column on top), and the rows gathered for the
shard, which are three times in memory when they are written: as they came, put together, and in order. A thread that
reduces holds one row group of the output four times: gathered, in order, in the catalog's types, and encoded. The
sizes depend on nothing but the limit and the number of threads; what is written does not depend on them. Shards are
mapped, not read: their pages are the system's, which takes them back when it needs them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from skymargin.build.batch_limits import batch_limits
from skymargin.errors import ArgumentError

# What a worker takes before it reads: Python, pyarrow, numpy, the plan; with Dask some 40 MB more.
WORKER_BYTES = 160 << 20
SMALLEST_LIMIT_BYTES = 256 << 20

_GATHERED_COPIES = 3
_ROW_GROUP_COPIES = 4
_LEAST_BYTES = 1 << 20
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kMGT]?)(i?)B?", re.IGNORECASE)
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}


@dataclass(frozen=True)
class MemoryShares:
    """What each thread of a worker may hold.

    Attributes
    ----------
    scan_bytes : int
        By the reading of one partition.
    gathered_bytes : int
        By the rows that wait to be written to a shard.
    reducing : int
        Threads of a worker that may write row groups at the same time.
    """

    scan_bytes: int = field(default_factory=lambda: batch_limits().scan_bytes)
    gathered_bytes: int = field(default_factory=lambda: batch_limits().gathered_bytes)
    reducing: int = 1 << 10


def memory_shares(limit_bytes: int | None, threads: int) -> MemoryShares:
    """Share out what a worker may take.

    Parameters
    ----------
    limit_bytes
        The most bytes of one worker, at least `SMALLEST_LIMIT_BYTES`; None for the sizes that are best.
    threads
        Threads of one worker.
    """
    if limit_bytes is None:
        return MemoryShares()
    limits = batch_limits()
    free_bytes = limit_bytes - WORKER_BYTES
    thread_bytes = free_bytes // threads
    # Half for the scan, half for the three copies of what was gathered.
    scan_bytes = min(max(thread_bytes // 2, _LEAST_BYTES), limits.scan_bytes)
    gathered_bytes = min(max(thread_bytes // 2 // _GATHERED_COPIES, _LEAST_BYTES), limits.gathered_bytes)
    reducing = max(1, min(threads, free_bytes // (_ROW_GROUP_COPIES * limits.row_group_bytes)))
    return MemoryShares(scan_bytes, gathered_bytes, reducing)


def read_size(name: str, value: object) -> int:
    """A number of bytes, given as a number or as text such as `400MB` or `1.5 GiB`.

    Raises
    ------
    ArgumentError
        When it is neither, or less than a worker needs.
    """
    match = _SIZE.fullmatch(value.strip()) if isinstance(value, str) else None
    if match:
        base = 1024 if match[3] else 1000
        size = int(float(match[1]) * base ** _POWERS[match[2].lower()])
    elif isinstance(value, int) and not isinstance(value, bool):
        size = value
    else:
        raise ArgumentError(
            f"{name} {value!r} is not allowed: it is a number of bytes, or text such as '2GB'"
        )
    if size < SMALLEST_LIMIT_BYTES:
        raise ArgumentError(
            f"{name} {value!r} is not allowed: a worker needs at least {SMALLEST_LIMIT_BYTES >> 20} MiB"
        )
    return size
