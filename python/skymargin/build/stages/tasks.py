"""What a task is told: the job, which is the same for all, and the batch, which is its own."""

from __future__ import annotations

import pickle
import threading
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from skymargin.build.memory import MemoryShares
from skymargin.catalogs.catalog import SpatialColumns
from skymargin.catalogs.output_options import OutputOptions
from skymargin.errors import StorageError
from skymargin.storage.paths import AnyPath, atomic_write

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from skymargin._core import Margins, Scanner

Pixel: TypeAlias = tuple[int, int]

_DEEPEST_ORDER = 29
_loading = threading.Lock()


@dataclass(frozen=True)
class RunSpec:
    """What every task of a run needs to know; kept in a file, so that a task carries only its path.

    Attributes
    ----------
    catalog_path : Path or UPath
        The primary catalog.
    columns : SpatialColumns
        The columns that say where a row is.
    schema : pyarrow.Schema
        Its schema.
    orders, pixels : numpy.ndarray
        All its partitions.
    margin_threshold_arcsec : float
        The threshold rows are selected by, the largest when several margins are made.
    margin_order : int
        Order of the pixels of covers, or of the selection itself when `fine_filtering` is off; -1: chosen.
    fine_filtering : bool
        Whether rows are selected by their exact separation.
    memory : MemoryShares
        What each thread of a worker may hold.
    margins : frozenset of (int, int), or None
        The margins that are made, by order and pixel; None for all.
    narrower_arcsec : tuple of float
        The other thresholds of a run that makes several margins.
    check_index : bool
        Whether the position of every row is held against the index.
    """

    catalog_path: AnyPath
    columns: SpatialColumns
    schema: pa.Schema
    orders: np.ndarray
    pixels: np.ndarray
    margin_threshold_arcsec: float
    margin_order: int
    fine_filtering: bool
    memory: MemoryShares = field(default_factory=MemoryShares)
    margins: frozenset[Pixel] | None = None
    narrower_arcsec: tuple[float, ...] = ()
    check_index: bool = False

    def save(self, file: Path) -> None:
        """Write the job where tasks find it."""
        with atomic_write(file) as aside:
            # The options of a remote file system may hold credentials.
            aside.touch(mode=0o600)
            aside.write_bytes(pickle.dumps(self))


class WorkerContext(NamedTuple):
    """A job and what the tasks of a process share for it: the geometry of its margins, the reader of its catalog.

    `reducing` lets so many threads write row groups at the same time.
    """

    job: RunSpec
    margins: Margins
    scanner: Scanner
    reducing: threading.Semaphore


@dataclass(frozen=True)
class MapTask:
    """Partitions that one task maps.

    Attributes
    ----------
    number : int
        Number of the batch, and of the shard it writes.
    orders, pixels : numpy.ndarray
        The partitions, in nested order.
    files : list of tuple of str
        Files of each, relative to the catalog.
    """

    number: int
    orders: np.ndarray
    pixels: np.ndarray
    files: list[tuple[str, ...]]


@dataclass(frozen=True)
class ReduceTask:
    """Margins that one task writes.

    Attributes
    ----------
    number : int
        Number of the batch.
    shard : numpy.ndarray of int64
        The shard that each slice is in.
    slices : numpy.ndarray
        Where the rows of the margins are, those of one margin together; of type
        `skymargin.build.stages.shards.group_type`.
    """

    number: int
    shard: np.ndarray
    slices: np.ndarray


@dataclass(frozen=True)
class MarginWriterSpec:
    """Where and how margins are written.

    Attributes
    ----------
    folder : Path or UPath
        The margin catalog under construction.
    format : str
        Its format.
    options : dict
        Keyword arguments of `pyarrow.parquet.write_table`.
    group_rows : int
        Most rows of a row group. Depends on catalog and arguments alone, so that the files do, too.
    gathered_rows : int
        Rows, of one or several margins, that are put in order at once.
    compressed_rows : int
        Margins of fewer rows are not compressed.
    wanted : OutputOptions
        What is wanted of the files: their names, and which rows share a row group.
    margin : int
        Number of the margin catalog among those of the run.
    within_arcsec : float or None
        Of the rows in the shards, those with a separation up to this are written; None for all.
    """

    folder: AnyPath
    format: str
    options: dict[str, Any]
    group_rows: int
    gathered_rows: int
    compressed_rows: int = 0
    wanted: OutputOptions = field(default_factory=OutputOptions)
    margin: int = 0
    within_arcsec: float | None = None


def shard_file(folder: Path, number: int) -> Path:
    """The shard that one batch of partitions writes."""
    return folder / f"shard-{number:06d}.arrow"


def nested_position(orders: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """Where pixels start along the sky in nested order, as uint64; distinct for disjoint pixels."""
    import numpy as np

    return pixels.astype(np.uint64) << (2 * (_DEEPEST_ORDER - orders.astype(np.uint64)))


def worker_context(file: Path) -> WorkerContext:
    """The job of a run, loaded once in each process.

    Raises
    ------
    StorageError
        When the job's file is gone: the run was given up.
    """
    if not file.exists():
        raise StorageError(f"the run was given up, or this worker does not see tmp_dir: there is no {file}")
    # Threads of one worker ask at the same moment; the boundaries of pixels are to be shared between them.
    with _loading:
        return _worker_context(file)


@lru_cache(maxsize=2)
def _worker_context(file: Path) -> WorkerContext:
    import skymargin._core as _core
    from skymargin.build.stages.partition_scan import make_scanner

    job: RunSpec = pickle.loads(file.read_bytes())
    tiling = _core.Tiling(job.orders, job.pixels)
    margins = _core.Margins(tiling, job.margin_threshold_arcsec, job.margin_order, job.fine_filtering)
    scanner = make_scanner(job.schema, job.columns, job.memory.scan_bytes, job.check_index)
    return WorkerContext(job, margins, scanner, threading.Semaphore(job.memory.reducing))
