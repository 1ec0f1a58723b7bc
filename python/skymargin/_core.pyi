"""The Rust core: HEALPix geometry, exact separations, and the selection of margin rows.

Arguments are numpy arrays or arrays with the Arrow PyCapsule interface; results are pyarrow arrays. The GIL is released
in every call that takes time.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from os import PathLike
from typing import Any, Final, Protocol, TypeAlias, final

import pyarrow as pa

__all__ = [
    "DEBUG_ASSERTIONS",
    "VERSION",
    "CoordinateError",
    "Cover",
    "GivenUpError",
    "MapSpec",
    "MarginWriteError",
    "Margins",
    "ParquetFormat",
    "ReduceSpec",
    "Scan",
    "ScanFile",
    "Scanner",
    "ShardError",
    "TableMargins",
    "Tiling",
    "encrypted_column",
    "group_rows",
    "is_within",
    "map_batch",
    "neighbours",
    "reduce_batch",
    "row_groups",
    "separation_arcsec",
    "spatial_index",
    "transport_schema",
]

_Array: TypeAlias = Any
"""Any object with `__arrow_c_array__` or `__arrow_c_stream__`, or a numpy array."""

DEBUG_ASSERTIONS: Final[bool]
"""Whether it was built with debug assertions and overflow checks, as for tests."""

VERSION: Final[str]
"""The version of the package."""

class CoordinateError(ValueError):
    """Coordinates are NaN, null or out of range, or a row lies outside its partition."""

class ShardError(OSError):
    """A shard cannot be written or read."""

class MarginWriteError(Exception):
    """The file of a margin cannot be written; its arguments are order, pixel and reason."""

class GivenUpError(RuntimeError):
    """The run was given up while a task worked for it."""

@final
class Tiling:
    """The partitions of a catalog and the empty pixels between them: disjoint, covering the sky."""

    def __new__(cls, orders: _Array, pixels: _Array) -> Tiling: ...
    def __len__(self) -> int: ...
    def partitions(self) -> pa.RecordBatch: ...
    def empty_pixels(self) -> pa.RecordBatch: ...
    def near(self, order: int, pixel: int, radius_arcsec: float) -> pa.RecordBatch: ...
    def near_each(
        self, orders: _Array, pixels: _Array, threshold_arcsec: float, slack_arcsec: float = ...
    ) -> pa.RecordBatch: ...

@final
class Margins:
    """The margins of a tiling at one threshold."""

    def __new__(
        cls,
        tiling: Tiling,
        margin_threshold_arcsec: float,
        margin_order: int = ...,
        fine_filtering: bool = True,
    ) -> Margins: ...
    def cover(
        self, order: int, pixel: int, *, rows: int, index_order: int = 29, index_slack_arcsec: float = ...
    ) -> Cover: ...

@final
class Cover:
    """Where rows of margins can lie in one partition."""

    @property
    def margin_order(self) -> int: ...
    @property
    def needs_coordinates(self) -> bool: ...
    def destinations(self) -> pa.RecordBatch: ...
    def ranges(self) -> pa.RecordBatch: ...
    def may_hold(self, minima: _Array, maxima: _Array) -> pa.BooleanArray: ...
    def candidates(self, index: _Array) -> pa.UInt64Array: ...
    def select(
        self, rows: _Array, index: _Array, ra_deg: _Array | None, dec_deg: _Array | None
    ) -> pa.RecordBatch: ...

class _RangeReader(Protocol):
    @property
    def size_bytes(self) -> int: ...
    def read_ranges(self, starts: list[int], stops: list[int]) -> list[bytes]: ...

class _OutputFile(Protocol):
    def write(self, content: bytes) -> object: ...
    def finish(self) -> object: ...
    def abandon(self) -> object: ...

class _Output(Protocol):
    def create(self, name: str) -> _OutputFile: ...

class _Shards(Protocol):
    @property
    def ahead_bytes(self) -> int: ...
    def read_ranges(self, numbers: list[int], starts: list[int], stops: list[int]) -> list[bytes]: ...

_RowGroups: TypeAlias = tuple[bytes, int, int, bytes, bytes]
"""A footer up to its number of rows, its rows, the number of its row groups, these, and the rest."""

@final
class Scanner:
    """What the files of a catalog have in common: schema, columns, and the memory limit of a scan."""

    def __new__(
        cls,
        schema: pa.Schema,
        *,
        ra_column: str,
        dec_column: str,
        index_column: str | None,
        index_order: int = 29,
        index_shift: int = 0,
        memory_bytes: int = ...,
        check_index: bool = False,
        other_columns: bool = False,
    ) -> Scanner: ...
    def open_local(self, path: str) -> ScanFile: ...
    def open_reader(self, name: str, reader: _RangeReader) -> ScanFile: ...

@final
class ScanFile:
    """An open file of a partition, with its footer."""

    @property
    def rows(self) -> int: ...
    @property
    def uncompressed_bytes(self) -> int: ...
    def scan(self, cover: Cover, first_row: int = 0) -> Scan: ...

@final
class Scan:
    """Batches of the rows of a file that a cover selects, each with the margins of its rows."""

    def __iter__(self) -> Iterator[tuple[pa.RecordBatch, pa.RecordBatch]]: ...
    def __next__(self) -> tuple[pa.RecordBatch, pa.RecordBatch]: ...
    @property
    def bytes_fetched(self) -> int: ...
    @property
    def pages_decoded(self) -> int: ...
    @property
    def requests(self) -> int: ...

_ParquetColumn: TypeAlias = tuple[str, int, str, bool, bool, tuple[int, float] | None]
"""Codec, level, encoding, dictionary, statistics; distinct values and false positives of the Bloom filter."""

@final
class ParquetFormat:
    """The schema, metadata and options of the Parquet files of a margin."""

    def __new__(
        cls,
        template: bytes,
        schema: pa.Schema,
        *,
        columns: Sequence[_ParquetColumn],
        data_page_bytes: int,
        dictionary_page_bytes: int,
        write_batch_size: int,
        max_rows_per_page: int,
        data_page_v2: bool,
        page_index: bool,
        page_checksum: bool,
        sorting_columns: Sequence[tuple[int, bool, bool]],
        allow_truncated_timestamps: bool,
        plain_dictionary: bool,
    ) -> ParquetFormat: ...
    def encode(self, batches: Sequence[pa.RecordBatch], path: str = "") -> tuple[bytes, _RowGroups]: ...

def transport_schema(schema: pa.Schema) -> pa.Schema: ...

@final
class MapSpec:
    """What the map tasks of a run have in common."""

    def __new__(
        cls,
        scanner: Scanner,
        margins: Margins,
        *,
        thresholds_arcsec: Sequence[float],
        gathered_bytes: int,
        wanted: Sequence[tuple[int, int]] | None = None,
    ) -> MapSpec: ...

def map_batch(
    spec: MapSpec,
    parts: Sequence[tuple[int, int, list[str], int, int]],
    output: str | PathLike[str] | _Output,
    name: str,
    given_up: Callable[[], bool],
    open_reader: Callable[[str], _RangeReader] | None = None,
) -> tuple[list[tuple[int, int, int, int]], bytes, bytes, list[int], int, int, int, int]: ...

@final
class ReduceSpec:
    """What the reduce tasks of a margin catalog have in common."""

    def __new__(
        cls,
        parquet: ParquetFormat,
        transport: pa.Schema,
        *,
        group_rows: int,
        threshold_arcsec: float | None = None,
        subtile: tuple[int, int, int] | None = None,
        pixel_columns: tuple[int, int, int] | None = None,
    ) -> ReduceSpec: ...

def reduce_batch(
    spec: ReduceSpec,
    slices: bytes,
    numbers: Sequence[int],
    names: Sequence[str],
    shards: Mapping[int, str | PathLike[str]] | _Shards,
    output: str | PathLike[str] | _Output,
    given_up: Callable[[], bool],
) -> tuple[list[tuple[int, int]], list[_RowGroups]]: ...
def encrypted_column(footer: bytes) -> str | None: ...
def row_groups(tail: bytes, path: str) -> _RowGroups: ...

@final
class TableMargins:
    """The margins of a tiling, for tables in memory: many partitions at once, on several threads."""

    def __new__(cls, tiling: Tiling, margin_threshold_arcsec: float) -> TableMargins: ...
    def rows(
        self, ra_deg: _Array, dec_deg: _Array, *, threads: int = 0, one_of_many: bool = False
    ) -> pa.RecordBatch: ...

def group_rows(
    tiling: Tiling, ra_deg: _Array, dec_deg: _Array, *, threads: int = 0
) -> tuple[pa.UInt32Array, pa.UInt64Array]: ...
def spatial_index(ra_deg: _Array, dec_deg: _Array, order: int = 29) -> pa.Int64Array: ...
def separation_arcsec(ra_deg: _Array, dec_deg: _Array, order: int, pixel: int) -> pa.DoubleArray: ...
def is_within(
    ra_deg: _Array, dec_deg: _Array, order: int, pixel: int, threshold_arcsec: float
) -> pa.BooleanArray: ...
def neighbours(order: int, pixel: int, at_order: int, radius_arcsec: float) -> pa.UInt64Array: ...
