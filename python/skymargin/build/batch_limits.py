"""The sizes by which a run is divided into tasks, record batches and row groups."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class BatchLimits:
    """How large the parts of a run are.

    Attributes
    ----------
    tasks_per_thread : int
        Dask takes 2 to 5 ms for a task: with 32 tasks per thread, two worker processes took 2.8 s for what took 2.3 s
        with 8. Large tasks start first, so that 8 keep all threads busy to the end.
    smallest_task_bytes, largest_task_bytes : int
        A smaller task is not worth sending, and a larger one is not safe to lose.
    smallest_share_bytes : int
        Where there would be fewer tasks than threads, tasks are smaller than `smallest_task_bytes`, down to this, which
        is about four files: a thread sends up to 16 files to a store at a time, so that more threads send more.
    smallest_part_bytes : int
        A smaller part of a partition is not worth opening its file again.
    scan_bytes, gathered_bytes : int
        Most memory for reading one partition, and for the rows that wait to be written to a shard; see `memory`.
    row_group_bytes : int
        Most bytes of a row group of the output, before compression.
    """

    tasks_per_thread: int = 8
    smallest_task_bytes: int = 4 << 20
    largest_task_bytes: int = 2 << 30
    smallest_share_bytes: int = 512 << 10
    smallest_part_bytes: int = 16 << 20
    scan_bytes: int = 32 << 20
    gathered_bytes: int = 16 << 20
    row_group_bytes: int = 16 << 20


# The limits of every run of this process. Tests set others; the rows of a margin do not depend on them.
DEFAULT_LIMITS = BatchLimits()


def batch_limits() -> BatchLimits:
    """Return the limits that apply to the runs of this process."""
    return DEFAULT_LIMITS
