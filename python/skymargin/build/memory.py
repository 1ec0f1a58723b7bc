"""The shares of a worker's memory that its threads may hold.

A mapping thread holds what its scan may hold (plus one page of each column), and the rows gathered for the shard, which
take up to three times their size: buffers are larger than what is in them, and a record batch of them is put in order
and encoded. A reducing thread holds the rows of one row group up to four times: as read from the shards, a column in
order, its pages, and these compressed; and the record batches of the runs that it merges there.

On object stores a thread also holds what is on its way: what the client puts together of an answer, record batches of
shards that are read ahead, the part of a file that is sent, and complete files that wait to be sent. The shares depend
only on the limit, the number of threads, and what is on stores; the output does not depend on them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from skymargin.build.batch_limits import batch_limits
from skymargin.errors import ArgumentError
from skymargin.storage.output_folder import PART_BYTES, SENDING_COPIES, UPLOADING_BYTES
from skymargin.storage.shard_ranges import ShardRanges

# What a worker takes before it reads: Python, pyarrow, numpy, the plan; with Dask about 40 MB more.
WORKER_BYTES = 160 << 20
SMALLEST_LIMIT_BYTES = 256 << 20
# What the client of an object store takes beside what is sent: its modules, connections and buffers.
CLIENT_BYTES = 64 << 20

_GATHERED_COPIES = 3
_ROW_GROUP_COPIES = 4
# What a client holds of an answer beside the scan, which is as large.
_ANSWER_COPIES = 2
_LEAST_BYTES = 1 << 20
# Fewer threads map when each would have less than this.
_LEAST_MAPPING_BYTES = 2 * _GATHERED_COPIES * _LEAST_BYTES
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kMGT]?)(i?)B?", re.IGNORECASE)
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}


@dataclass(frozen=True)
class MemoryShares:
    """What each thread of a worker may hold.

    Attributes
    ----------
    scan_bytes : int
        For reading one partition.
    gathered_bytes : int
        For the rows that wait to be written to a shard.
    mapping, reducing : int
        How many threads of a worker may map, and how many may write row groups, at the same time.
    uploading_bytes : int
        For files of a reducing thread that are complete and wait to be sent.
    """

    scan_bytes: int = field(default_factory=lambda: batch_limits().scan_bytes)
    gathered_bytes: int = field(default_factory=lambda: batch_limits().gathered_bytes)
    mapping: int = 1 << 10
    reducing: int = 1 << 10
    uploading_bytes: int = UPLOADING_BYTES


@dataclass(frozen=True)
class OnStores:
    """Which files of a run are on object stores or other servers.

    Attributes
    ----------
    catalog, shards, margins : bool
        Whether these are.
    """

    catalog: bool = False
    shards: bool = False
    margins: bool = False


def memory_shares(limit_bytes: int | None, threads: int, on_stores: OnStores = OnStores()) -> MemoryShares:
    """The shares of the threads of a worker.

    Parameters
    ----------
    limit_bytes
        Memory limit of one worker, at least `SMALLEST_LIMIT_BYTES`; None for the fastest sizes.
    threads
        Threads of one worker.
    on_stores
        What is on stores.
    """
    if limit_bytes is None:
        return MemoryShares()
    limits = batch_limits()
    uses_client = on_stores.catalog or on_stores.shards or on_stores.margins
    free_bytes = limit_bytes - WORKER_BYTES - (CLIENT_BYTES if uses_client else 0)
    part_bytes = SENDING_COPIES * PART_BYTES
    shard_bytes = part_bytes if on_stores.shards else 0
    mapping = max(1, min(threads, free_bytes // (shard_bytes + _LEAST_MAPPING_BYTES)))
    thread_bytes = free_bytes // mapping - shard_bytes
    # Half for the scan, half for the three copies of what was gathered.
    scan_copies = _ANSWER_COPIES if on_stores.catalog else 1
    scan_bytes = min(max(thread_bytes // 2 // scan_copies, _LEAST_BYTES), limits.scan_bytes)
    gathered_bytes = min(max(thread_bytes // 2 // _GATHERED_COPIES, _LEAST_BYTES), limits.gathered_bytes)
    group_bytes = _ROW_GROUP_COPIES * limits.row_group_bytes
    if on_stores.shards:
        group_bytes += ShardRanges.ahead_bytes
    if on_stores.margins:
        group_bytes += part_bytes
    uploaded_bytes = SENDING_COPIES * UPLOADING_BYTES if on_stores.margins else 0
    reducing = max(1, min(threads, free_bytes // (group_bytes + uploaded_bytes)))
    left_bytes = (free_bytes // reducing - group_bytes) // SENDING_COPIES
    uploading_bytes = min(max(left_bytes, _LEAST_BYTES), UPLOADING_BYTES)
    return MemoryShares(scan_bytes, gathered_bytes, mapping, reducing, uploading_bytes)


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
        # Beyond all memory is no limit: infinity would be no number of bytes.
        size = int(min(float(match[1]) * base ** _POWERS[match[2].lower()], 2.0**62))
    elif isinstance(value, int) and not isinstance(value, bool):
        size = value
    else:
        raise ArgumentError(
            f"{name} {value!r} is not allowed: it must be a number of bytes, or text such as '2GB'"
        )
    if size < SMALLEST_LIMIT_BYTES:
        raise ArgumentError(
            f"{name} {value!r} is not allowed: a worker needs at least {SMALLEST_LIMIT_BYTES >> 20} MiB"
        )
    return size
