"""What a task gets: the spec of the run, the same for all tasks, and its own share of the work."""

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
from skymargin.geometry.limits import LARGEST_ORDER
from skymargin.storage.paths import AnyPath, atomic_write

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from skymargin._core import Margins, Scanner, Tiling

Pixel: TypeAlias = tuple[int, int]

_loading = threading.Lock()


@dataclass(frozen=True)
class SelectionRule:
    """Which rows belong to the margins of a run.

    Attributes
    ----------
    thresholds_arcsec : tuple of float
        The distinct thresholds of its margin catalogs, the widest first: mapping selects rows by that one.
    margin_order : int or None
        Order of the pixels of covers, or of the selection itself when `fine_filtering` is off; None: chosen.
    fine_filtering : bool
        Whether rows are selected by their exact separation.
    """

    thresholds_arcsec: tuple[float, ...]
    margin_order: int | None
    fine_filtering: bool

    @property
    def widest_arcsec(self) -> float:
        """The widest threshold."""
        return self.thresholds_arcsec[0]

    def margins(self, tiling: Tiling) -> Margins:
        """The margins of the tiles at the widest threshold."""
        import skymargin._core as _core

        margin_order = -1 if self.margin_order is None else self.margin_order
        return _core.Margins(tiling, self.widest_arcsec, margin_order, self.fine_filtering)


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
    rule : SelectionRule
        Which rows are selected.
    check_index : bool
        Whether every row's coordinates are checked against its index value.
    margins : frozenset of (int, int), or None
        The pixels whose margins are made; None for all.
    """

    catalog_path: AnyPath
    columns: SpatialColumns
    schema: pa.Schema
    orders: np.ndarray
    pixels: np.ndarray
    rule: SelectionRule
    check_index: bool
    margins: frozenset[Pixel] | None

    def save(self, file: Path, memory: MemoryShares) -> None:
        """Write the spec for the tasks, with what each thread of a worker may hold."""
        with atomic_write(file) as aside:
            # The options of a remote file system may hold credentials.
            aside.touch(mode=0o600)
            aside.write_bytes(pickle.dumps((self, memory)))


class WorkerContext(NamedTuple):
    """The spec of a run, and what the tasks of one process share for it.

    Attributes
    ----------
    spec : RunSpec
        The spec.
    memory : MemoryShares
        What each thread may hold.
    margins : Margins
        The geometry of the margins.
    scanner : Scanner
        The reader of the catalog.
    reducing : threading.Semaphore
        Limits how many threads write row groups at the same time.
    """

    spec: RunSpec
    memory: MemoryShares
    margins: Margins
    scanner: Scanner
    reducing: threading.Semaphore


@dataclass(frozen=True)
class MapTask:
    """Partitions that one task maps.

    Attributes
    ----------
    number : int
        Number of the task, and of the shard it writes.
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
class MarginWriterSpec:
    """Where and how the files of a margin catalog are written.

    Attributes
    ----------
    folder : Path or UPath
        The margin catalog under construction.
    format : str
        Its format.
    parquet_options : dict
        Keyword arguments of `pyarrow.parquet.write_table`.
    group_rows : int
        Most rows of a row group. Depends on catalog and arguments alone, so that the files do, too.
    gathered_rows : int
        Rows, of one or several margins, that are put in order at once.
    compressed_rows : int
        Margins of fewer rows are not compressed.
    output : OutputOptions
        Names of the files, and which rows share a row group.
    threshold_index : int
        Which of the run's thresholds is its own.
    """

    folder: AnyPath
    format: str
    parquet_options: dict[str, Any]
    group_rows: int
    gathered_rows: int
    compressed_rows: int = 0
    output: OutputOptions = field(default_factory=OutputOptions)
    threshold_index: int = 0


@dataclass(frozen=True)
class ReduceTask:
    """Margins that one task writes.

    Attributes
    ----------
    number : int
        Number of the task in the run.
    margin : int
        Number of the margin catalog in the run.
    writer : MarginWriterSpec
        Where and how they are written.
    destinations : int
        How many margins.
    shard : numpy.ndarray of int64
        The shard that each slice is in.
    slices : numpy.ndarray
        Where the rows of the margins are, those of one margin together; of type
        `skymargin.build.stages.shards.group_type`.
    """

    number: int
    margin: int
    writer: MarginWriterSpec
    destinations: int
    shard: np.ndarray
    slices: np.ndarray


def shard_file(folder: Path, number: int) -> Path:
    """The shard that one map task writes."""
    return folder / f"shard-{number:06d}.arrow"


def nested_position(orders: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """Where pixels start along the sky in nested order, as uint64; distinct for disjoint pixels."""
    import numpy as np

    return pixels.astype(np.uint64) << (2 * (LARGEST_ORDER - orders.astype(np.uint64)))


def worker_context(file: Path) -> WorkerContext:
    """The spec of a run with what tasks share, loaded once in each process.

    Raises
    ------
    StorageError
        When the spec's file is gone: the run was given up.
    """
    if not file.exists():
        raise StorageError(f"the run was given up, or this worker does not see tmp_dir: there is no {file}")
    # Threads of one worker ask at the same moment; they are to share the boundaries of pixels.
    with _loading:
        return _worker_context(file)


@lru_cache(maxsize=2)
def _worker_context(file: Path) -> WorkerContext:
    import skymargin._core as _core
    from skymargin.build.stages.partition_scan import make_scanner

    spec: RunSpec
    memory: MemoryShares
    spec, memory = pickle.loads(file.read_bytes())
    return WorkerContext(
        spec=spec,
        memory=memory,
        margins=spec.rule.margins(_core.Tiling(spec.orders, spec.pixels)),
        scanner=make_scanner(spec.schema, spec.columns, memory.scan_bytes, spec.check_index),
        reducing=threading.Semaphore(memory.reducing),
    )
