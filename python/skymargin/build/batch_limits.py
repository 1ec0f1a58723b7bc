"""The sizes by which a run is divided into tasks, record batches and row groups."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class BatchLimits:
    """How large the parts of a run are.

    Attributes
    ----------
    tasks_per_thread : int
        Dask takes 2 ms for a task: a few dozen tasks per thread keep all threads busy to the end and cost a few
        hundredths of a second.
    smallest_task_bytes, largest_task_bytes : int
        A smaller task is not worth sending, and a larger one is not safe to lose.
    scan_bytes, gathered_bytes : int
        Most memory for reading one partition, and for the rows that wait to be written to a shard; see `memory`.
    row_group_bytes : int
        Most bytes of a row group of the output, before compression.
    compressed_bytes : int
        A margin smaller than this is not compressed: making the compressors of all columns takes longer than
        everything else in writing the file (1.2 ms of 1.9 ms for 34 columns), and saves less than its footer takes.
    """

    tasks_per_thread: int = 32
    smallest_task_bytes: int = 4 << 20
    largest_task_bytes: int = 2 << 30
    scan_bytes: int = 32 << 20
    gathered_bytes: int = 16 << 20
    row_group_bytes: int = 16 << 20
    compressed_bytes: int = 64 << 10


# The limits of every run of this process. Tests set others; the rows of a margin do not depend on them.
DEFAULT_LIMITS = BatchLimits()


def batch_limits() -> BatchLimits:
    """Return the limits that apply to the runs of this process."""
    return DEFAULT_LIMITS
