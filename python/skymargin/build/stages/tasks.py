"""What a task gets: the job, the same for all tasks of a run, and its own share of the work."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from skymargin.build.memory import MemoryShares
from skymargin.catalogs.catalog import SpatialColumns
from skymargin.catalogs.output_options import OutputOptions
from skymargin.errors import StorageError
from skymargin.storage.paths import AnyPath

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from skymargin._core import MapSpec, Margins, ReduceSpec, Tiling
    from skymargin.catalogs.layout import Pixel
    from skymargin.catalogs.parquet_format import ParquetFormat
    from skymargin.catalogs.place_mark import PlaceMark

_loading = threading.Lock()
# The last jobs of this process, by their tokens.
_contexts: dict[str, WorkerContext] = {}
_KEPT_CONTEXTS = 2


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
    """What every task of a run needs to know of the catalog, and of what is made.

    Attributes
    ----------
    catalog_path : Path or UPath
        The primary catalog.
    files_root : Path or UPath
        The folder that the files of its partitions are relative to.
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
    files_root: AnyPath
    columns: SpatialColumns
    schema: pa.Schema
    orders: np.ndarray
    pixels: np.ndarray
    rule: SelectionRule
    check_index: bool
    margins: frozenset[Pixel] | None


@dataclass(frozen=True)
class Job:
    """What all tasks of a run get. It travels with them: workers need no file of it.

    Attributes
    ----------
    token : str
        Identifies it.
    spec : RunSpec
        What is read and made.
    memory : MemoryShares
        What each thread of a worker may hold.
    shards : Path or UPath
        Folder of the shards.
    """

    token: str
    spec: RunSpec
    memory: MemoryShares
    shards: AnyPath


class WorkerContext(NamedTuple):
    """The spec of a run, and what the tasks of one process share for it.

    Attributes
    ----------
    spec : RunSpec
        The spec.
    transport : pyarrow.Schema
        The schema in which rows travel.
    map_spec : MapSpec
        What the core keeps for mapping.
    reduce_specs : dict of int to ReduceSpec
        What it keeps for reducing, by the number of the margin catalog.
    mapping, reducing : threading.Semaphore
        Limit how many threads map, and how many write row groups, at the same time.
    """

    spec: RunSpec
    transport: pa.Schema
    map_spec: MapSpec
    reduce_specs: dict[int, ReduceSpec]
    mapping: threading.Semaphore
    reducing: threading.Semaphore


@dataclass(frozen=True)
class MapTask:
    """Partitions, or parts of large ones, that one task maps.

    Attributes
    ----------
    number : int
        Number of the task, and of the shard it writes.
    orders, pixels : numpy.ndarray
        The partitions, in nested order.
    part, parts : numpy.ndarray
        Which part of each is meant, and of how many. A part has some of the row groups.
    files : list of tuple of str
        Files of each, relative to the `files_root` of the run.
    cost : int
        About how much work it is, in bytes.
    file_sizes : list of tuple of int
        The sizes of these files as the catalog was listed; empty when they are on a disk.
    """

    number: int
    orders: np.ndarray
    pixels: np.ndarray
    part: np.ndarray
    parts: np.ndarray
    files: list[tuple[str, ...]]
    cost: int
    file_sizes: list[tuple[int, ...]] = field(default_factory=list)


@dataclass(frozen=True)
class MarginWriterSpec:
    """Where and how the files of a margin catalog are written.

    Attributes
    ----------
    folder : Path or UPath
        The margin catalog under construction.
    format : str
        Its format.
    parquet : ParquetFormat
        How its files are written.
    group_rows : int
        Most rows of a row group. Depends on catalog and arguments alone, so that the files do, too.
    output : OutputOptions
        Names of the files, and which rows share a row group.
    threshold_index : int
        Which of the run's thresholds is its own.
    place : PlaceMark or None
        Says whose the folder is, where it is the final path; such a run has threads of one process.
    """

    folder: AnyPath
    format: str
    parquet: ParquetFormat
    group_rows: int
    output: OutputOptions = field(default_factory=OutputOptions)
    threshold_index: int = 0
    place: PlaceMark | None = None


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
    orders, pixels : numpy.ndarray
        The margins, in nested order.
    shard : numpy.ndarray of int64
        The shard that each slice is in.
    shards : dict of int to (str, int)
        The name of each of these shards, and its size in bytes.
    slices : numpy.ndarray
        Where the rows of the margins are, those of one margin together; of type
        `skymargin.build.stages.slices.slice_type`.
    cost : int
        About how much work it is, in bytes.
    """

    number: int
    margin: int
    writer: MarginWriterSpec
    orders: np.ndarray
    pixels: np.ndarray
    shard: np.ndarray
    shards: dict[int, tuple[str, int]]
    slices: np.ndarray
    cost: int


def shard_name(number: int, token: str) -> str:
    """The name of the shard that one map task writes; `token` tells apart those of a task that ran twice."""
    return f"shard-{number:06d}-{token}.arrow"


def given_up() -> StorageError:
    """The error of a task whose run was given up."""
    return StorageError("the run was given up")


def worker_context(job: Job) -> WorkerContext:
    """What tasks of a process share for a job; made once."""
    # Threads of one worker ask at the same moment; they are to share the boundaries of pixels.
    with _loading:
        context = _contexts.get(job.token)
        if context is None:
            while len(_contexts) >= _KEPT_CONTEXTS:
                del _contexts[next(iter(_contexts))]
            context = _contexts[job.token] = _context_of(job)
        return context


def _context_of(job: Job) -> WorkerContext:
    import skymargin._core as _core
    from skymargin.build.stages.partition_scan import make_scanner

    spec, memory = job.spec, job.memory
    transport = _core.transport_schema(spec.schema)
    map_spec = _core.MapSpec(
        make_scanner(transport, spec.columns, memory.scan_bytes, spec.check_index),
        spec.rule.margins(_core.Tiling(spec.orders, spec.pixels)),
        thresholds_arcsec=list(spec.rule.thresholds_arcsec),
        gathered_bytes=memory.gathered_bytes,
        wanted=None if spec.margins is None else sorted(spec.margins),
    )
    mapping, reducing = threading.Semaphore(memory.mapping), threading.Semaphore(memory.reducing)
    return WorkerContext(spec, transport, map_spec, {}, mapping, reducing)
