"""What a build of the largest surveys would take, on paper, from rates that are measured here.

One thread builds a few catalogs that differ in one thing each; the differences between them are the rates: of a
partition, of a column of a partition, of a byte that is read, of a row that is written. They are of processor time and
add up to the work that cores share. Three terms are not shared: what the driver does for each partition and for each
task, and what each worker process needs before its first task, all at the same time.
"""

from __future__ import annotations

import math
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.generate import CatalogSpec, generate
from skymargin.build.batch_limits import BatchLimits
from skymargin.build.execution.workers import own_workers
from tests.campaign.builds import Build, build_recorded
from tests.campaign.outcomes import Figures

THRESHOLD_ARCSEC = 10.0
_WIDE_ARCSEC = 600.0
_SKY_DEG2 = 41_252.96
_CORES = (1, 16, 256)
_EMPTY_TASKS = 2_000


@dataclass(frozen=True)
class Survey:
    """A survey as it is taken to be."""

    name: str
    rows: float
    partitions: int
    columns: int
    row_bytes: float


# Bytes of a row as they are in the files. Gaia's are those of its HATS catalog, rounded up; the others are assumptions.
SURVEYS = (
    Survey("Gaia DR3", 1.8e9, 4_000, 152, 600.0),
    Survey("ZTF light curves", 1.2e9, 10_000, 12, 3_000.0),
    Survey("Rubin objects", 20e9, 100_000, 300, 1_500.0),
)


@dataclass(frozen=True)
class Rates:
    """What things cost: seconds, and bytes of the driver's memory.

    Attributes
    ----------
    start_seconds
        A build of next to nothing.
    partition_seconds, column_seconds, byte_seconds, margin_row_seconds
        Of a partition, of one column of it, of a byte read, and of a row of a margin.
    driver_seconds
        Of a partition, in planning and finishing, which nothing shares with the driver.
    driver_column_bytes
        Memory of the driver for a column of a partition.
    base_bytes
        Memory of a build of next to nothing.
    worker_seconds
        Of a worker process besides its tasks.
    task_seconds
        Of the driver for a task, on Dask.
    together
        How many times as long shared work takes each of two processes of one machine as one alone.
    """

    start_seconds: float
    partition_seconds: float
    column_seconds: float
    byte_seconds: float
    margin_row_seconds: float
    driver_seconds: float
    driver_column_bytes: float
    base_bytes: float
    worker_seconds: float
    task_seconds: float
    together: float


def measured(scratch: Path, seed: int) -> Rates:
    """Measure the rates."""

    def built(
        columns: str, rows: int, partitions: int, arcsec: float = THRESHOLD_ARCSEC, workers: int = 1
    ) -> Build:
        print(f"growth: rates, {columns}, {partitions:,} partitions", file=sys.stderr, flush=True)
        catalog = generate(CatalogSpec(columns, rows, partitions, seed=seed), scratch / "rates")
        output = scratch / "rates_output"
        shutil.rmtree(output, ignore_errors=True)
        return build_recorded(catalog.path, output, arcsec, threads=1, workers=workers)

    start = built("narrow", 1_200, 12)
    few, many = built("narrow", 1_000_000, 300), built("narrow", 1_000_000, 20_000)
    more_columns = built("stars", 1_000_000, 3_000), built("narrow", 1_000_000, 3_000)
    large = built("narrow", 10_000_000, 300)
    wide = built("narrow", 1_000_000, 300, _WIDE_ARCSEC)
    twice = built("narrow", 1_000_000, 20_000, workers=2)
    return rates(start, few, many, more_columns, large, wide, twice, measured_task_seconds(scratch))


def measured_task_seconds(scratch: Path) -> float:
    """What the driver takes for a task without work, on two worker processes."""
    with own_workers(2, 1, scratch) as workers:
        workers.run(_no_work, None, range(20), _taken)
        began = time.perf_counter()
        workers.run(_no_work, None, range(_EMPTY_TASKS), _taken)
        return (time.perf_counter() - began) / _EMPTY_TASKS


def _no_work(_spec: object, _task: object, _is_given_up: object) -> int:
    return 0


def _taken(_task: object, _result: object) -> None:
    pass


def rates(
    start: Build,
    few: Build,
    many: Build,
    columns: tuple[Build, Build],
    large: Build,
    wide: Build,
    twice: Build,
    task_seconds: float,
) -> Rates:
    """The rates, from builds that differ in one thing each.

    Parameters
    ----------
    start
        Next to nothing.
    few, many
        The same rows in few and in many partitions.
    columns
        Another number of columns, 34 and 8.
    large
        As `few`, with more rows.
    wide
        As `few`, with a larger threshold.
    twice
        As `many`, by two worker processes.
    task_seconds
        As `Rates` has it.
    """
    partitions = _of(many, "primary_partitions") - _of(few, "primary_partitions")
    per_byte = _difference(large, few) / (_of(large, "bytes_read") - _of(few, "bytes_read"))
    per_row = _difference(wide, few, per_byte) / (_of(wide, "rows") - _of(few, "rows"))
    per_eight = _difference(many, few, per_byte, per_row) / partitions
    both = sum(_of(done, "primary_partitions") for done in columns) / 2
    per_column = max(_difference(*columns, per_byte, per_row) / both / (34 - 8), 0.0)
    memory_bytes = many.cost.peak_tree_bytes - few.cost.peak_tree_bytes
    # The start of processes is outside of the stages.
    alone, both_seconds = (
        done.stage_seconds("mapping") + done.stage_seconds("reducing") for done in (many, twice)
    )
    return Rates(
        start_seconds=start.processor_seconds,
        partition_seconds=max(per_eight - 8 * per_column, 0.0),
        column_seconds=per_column,
        byte_seconds=per_byte,
        margin_row_seconds=per_row,
        driver_seconds=(_driver_seconds(many) - _driver_seconds(few)) / partitions,
        driver_column_bytes=memory_bytes / partitions / 8,
        base_bytes=few.cost.peak_tree_bytes,
        worker_seconds=max(twice.processor_seconds - many.processor_seconds, 0.0) / 2,
        task_seconds=task_seconds,
        # What is outside these tells of a machine that was busy.
        together=min(max(2 * (both_seconds - _of(twice, "tasks") * task_seconds) / alone, 1.0), 2.0),
    )


def estimates(rates: Rates) -> list[Figures]:
    """The rates as a table, and what they come to for the surveys."""
    told = [
        ["start-up", f"{rates.start_seconds:.2f} s"],
        ["a partition", f"{rates.partition_seconds * 1e6:.0f} us"],
        ["a column of a partition", f"{rates.column_seconds * 1e6:.1f} us"],
        ["a megabyte that is read", f"{rates.byte_seconds * 1e12:.0f} us"],
        ["a row of a margin, 8 columns", f"{rates.margin_row_seconds * 1e6:.1f} us"],
        ["of it the driver alone, a partition", f"{rates.driver_seconds * 1e6:.0f} us"],
        ["memory of the driver, a partition of 8 columns", f"{rates.driver_column_bytes * 8:,.0f} bytes"],
        ["a worker process besides its tasks", f"{rates.worker_seconds:.2f} s"],
        ["of the driver, a task on Dask", f"{rates.task_seconds * 1e3:.2f} ms"],
        ["the same work where two processes share the machine", f"{rates.together:.2f} times as long"],
    ]
    heads = [
        "survey",
        "margin rows",
        "bytes read",
        *(f"hours, {cores} cores" for cores in _CORES),
        "memory of the driver",
    ]
    rows = [_estimated(survey, rates) for survey in SURVEYS]
    return [
        Figures("Rates, of one core's time where nothing else is said:", ["of", "is"], told),
        Figures(
            f"On paper, not measured: margins of {THRESHOLD_ARCSEC:g} arcseconds of whole surveys.",
            heads,
            rows,
        ),
    ]


def margin_share(partitions: int) -> float:
    """Rows in margins, by the rows of the catalog: the area within the threshold of square pixels, by theirs."""
    side_arcsec = math.sqrt(_SKY_DEG2 / partitions) * 3600
    return 4 * THRESHOLD_ARCSEC / side_arcsec


def _estimated(survey: Survey, rates: Rates) -> list[str]:
    rows = survey.rows * margin_share(survey.partitions)
    read_bytes = survey.rows * survey.row_bytes
    shared = (
        survey.partitions * (rates.partition_seconds + survey.columns * rates.column_seconds)
        + read_bytes * rates.byte_seconds
        + rows * rates.margin_row_seconds * survey.columns / 8
    )
    hours = [_seconds(survey, rates, shared, cores) / 3600 for cores in _CORES]
    memory_bytes = rates.base_bytes + survey.partitions * survey.columns * rates.driver_column_bytes
    return [
        survey.name,
        f"{rows / 1e6:,.1f} million",
        f"{read_bytes / 1e12:.1f} TB",
        *(f"{value:.2g}" for value in hours),
        f"{memory_bytes / 1e9:.2f} GB",
    ]


def _seconds(survey: Survey, rates: Rates, shared: float, cores: int) -> float:
    """Wall time on so many cores, each with a worker process; one core needs none."""
    alone = rates.start_seconds + survey.partitions * rates.driver_seconds
    if cores == 1:
        return alone + shared
    # Mapping and reducing.
    tasks = 2 * min(cores * BatchLimits().tasks_per_thread, survey.partitions)
    return alone + rates.worker_seconds + tasks * rates.task_seconds + shared * rates.together / cores


def _difference(more: Build, less: Build, byte_seconds: float = 0.0, row_seconds: float = 0.0) -> float:
    """How much more processor time a build took, without that of bytes and of rows of margins."""
    seconds = more.processor_seconds - less.processor_seconds
    seconds -= byte_seconds * (_of(more, "bytes_read") - _of(less, "bytes_read"))
    return seconds - row_seconds * (_of(more, "rows") - _of(less, "rows"))


def _driver_seconds(done: Build) -> float:
    return done.stage_seconds("planning") + done.stage_seconds("finishing")


def _of(done: Build, what: str) -> float:
    return float(done.report[what])
