"""The reading door: the rows of one partition that belong to margins, and as little else as may be read.

Three steps in each row group: the index column says which rows are candidates, ra and dec of the candidates decide
which of them are in which margin, and the other columns are read only where a row was selected.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import repeat
from typing import TYPE_CHECKING, Any, NamedTuple

from skymargin.carried import carry, is_lossless, restore
from skymargin.errors import PartitionReadError, PositionError
from skymargin.storage import AnyPath, is_local, open_input

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    from skymargin._core import Cover
    from skymargin.formats import SpatialColumns

# Rows whose index or coordinates are in memory together, and decoded bytes of whole rows likewise.
_SEARCH_ROWS = 1 << 20
_DECODED_BYTES = 16 << 20
_MOST_ROWS = 1 << 16
# A column chunk is read through a buffer, so that it is never in memory as a whole.
_LOCAL_BUFFER_BYTES = 1 << 20
_REMOTE_BUFFER_BYTES = 8 << 20


@dataclass(frozen=True)
class Selection:
    """Rows that belong to margins, and which margins each belongs to.

    Attributes
    ----------
    rows : pyarrow.Table
        The selected rows, each once, in the catalog's schema.
    memberships : pyarrow.RecordBatch
        One row per selected row and margin: `position` in `rows` (int64), `row` in the partition (uint64), its `index`
        (int64), `margin_order` (uint8), `margin_pixel` (uint64), `separation_arcsec` (float64, null if not measured).
    """

    rows: pa.Table
    memberships: pa.RecordBatch


class _RowGroup(NamedTuple):
    file: pq.ParquetFile
    path: AnyPath
    number: int
    first_row: int


class PartitionScan:
    """Reads one partition; use it as a context manager.

    Parameters
    ----------
    files
        The partition's files, in the order in which their rows are numbered through.
    schema
        Schema of the catalog, in which rows are returned.
    columns
        The columns that say where a row is.

    Attributes
    ----------
    rows : int
        Rows of the partition.
    bytes_read : int
        Bytes of the files needed so far: footers and column chunks, compressed.
    memory_bytes : int
        Size of the partition's columns before compression, as its footers state it.

    Raises
    ------
    PartitionReadError
        When a file cannot be read or lacks a column. Names the file.
    """

    def __init__(self, files: Sequence[AnyPath], schema: pa.Schema, columns: SpatialColumns) -> None:
        self._paths = files
        self._schema = schema
        self._columns = columns
        self._open = ExitStack()
        self._files: list[pq.ParquetFile] = []
        self.rows = 0
        self.bytes_read = 0
        self.memory_bytes = 0

    def __enter__(self) -> PartitionScan:
        import pyarrow.parquet as pq

        with ExitStack() as opening:
            for path in self._paths:
                with _reading(path):
                    buffer_bytes = _LOCAL_BUFFER_BYTES if is_local(path) else _REMOTE_BUFFER_BYTES
                    source = opening.enter_context(open_input(path))
                    file = pq.ParquetFile(source, buffer_size=buffer_bytes, pre_buffer=False)
                    self._check_columns(file.schema_arrow, path)
                self._files.append(file)
                footer = file.metadata
                self.rows += footer.num_rows
                self.bytes_read += footer.serialized_size
                self.memory_bytes += sum(
                    footer.row_group(i).total_byte_size for i in range(footer.num_row_groups)
                )
            self._open = opening.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def select(self, cover: Cover) -> Iterator[Selection]:
        """Read the partition and yield what belongs to margins.

        Parameters
        ----------
        cover
            Where in this partition rows of margins can lie.

        Yields
        ------
        Selection
            In the order of the partition's rows.

        Raises
        ------
        PositionError
            When coordinates are NaN, null or out of range, or a row lies outside its partition.
        PartitionReadError
            When a file cannot be read, or a column cannot be brought to the catalog's type without loss.
        """
        first_row = 0
        for file, path in zip(self._files, self._paths, strict=True):
            with _reading(path):
                held = self._may_hold(file.metadata, cover)
                for number in range(file.metadata.num_row_groups):
                    group = _RowGroup(file, path, number, first_row)
                    if held[number]:
                        members = self._choose(group, cover)
                        if members is not None:
                            yield from self._read_rows(group, members)
                    first_row += file.metadata.row_group(number).num_rows

    def _may_hold(self, footer: pq.FileMetaData, cover: Cover) -> list[bool]:
        """For each row group, whether by its statistics it may hold a candidate."""
        import pyarrow as pa

        if self._columns.index is None:
            return [True] * int(footer.num_row_groups)
        leaf = _leaves(footer, [self._columns.index])[0]
        minima, maxima = [], []
        for number in range(footer.num_row_groups):
            statistics = footer.row_group(number).column(leaf).statistics
            known = statistics is not None and statistics.has_min_max
            minima.append(statistics.min >> self._columns.index_shift if known else None)
            maxima.append(statistics.max >> self._columns.index_shift if known else None)
        held: list[bool] = cover.may_hold(
            pa.array(minima, pa.int64()), pa.array(maxima, pa.int64())
        ).to_pylist()
        return held

    def _choose(self, group: _RowGroup, cover: Cover) -> pa.RecordBatch | None:
        """Memberships of a row group's rows, ordered by row; None when there are none."""
        import numpy as np

        candidates = []
        for first_row, index in self._index_batches(group):
            at = np.asarray(cover.candidates(self._pixels(index)))
            candidates.append((first_row, at, index[at]))
        if not any(len(at) for _, at, _ in candidates):
            return None
        chosen = []
        coordinates = self._coordinates(group) if cover.needs_coordinates else repeat(None, len(candidates))
        for (first_row, at, index), position in zip(candidates, coordinates, strict=True):
            rows = at.astype(np.uint64) + np.uint64(first_row)
            ra_deg, dec_deg = (None, None) if position is None else (values[at] for values in position)
            with _explained(group.path):
                members = cover.select(rows, self._pixels(index), ra_deg, dec_deg)
            if members.num_rows:
                chosen.append(_with_index(members, rows, index))
        return _concatenated(chosen) if chosen else None

    def _index_batches(self, group: _RowGroup) -> Iterator[tuple[int, np.ndarray]]:
        """Index values of a row group with the number of their first row; computed where there are none."""
        if self._columns.index is not None:
            for first_row, batch in self._batches(group, [self._columns.index]):
                yield first_row, _as_integers(batch.column(0), self._columns.index, group.path, first_row)
            return
        import numpy as np

        from skymargin import _core

        first_row = group.first_row
        for ra_deg, dec_deg in self._coordinates(group):
            yield first_row, np.asarray(_core.spatial_index(ra_deg, dec_deg, self._columns.index_order))
            first_row += len(ra_deg)

    def _pixels(self, index: np.ndarray) -> np.ndarray:
        """The pixels of the index's order that index values lie in, as int64."""
        import numpy as np

        pixels: np.ndarray = index >> index.dtype.type(self._columns.index_shift)
        return pixels.astype(np.int64, copy=False)

    def _coordinates(self, group: _RowGroup) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Right ascension and declination in degrees of each batch of a row group, all of them positions."""
        for _, batch in self._batches(group, [self._columns.ra, self._columns.dec]):
            ra_deg, dec_deg = _as_float64(batch.column(0)), _as_float64(batch.column(1))
            if _no_position(ra_deg, dec_deg).any():
                raise PositionError(self._explanation(group))
            yield ra_deg, dec_deg

    def _batches(self, group: _RowGroup, names: list[str]) -> Iterator[tuple[int, pa.RecordBatch]]:
        """Some columns of a row group, in the order named, with the number of each batch's first row."""
        self._count(group, names)
        first_row = group.first_row
        for batch in group.file.iter_batches(_SEARCH_ROWS, [group.number], names, use_threads=False):
            yield first_row, batch.select(names)
            first_row += batch.num_rows

    def _read_rows(self, group: _RowGroup, members: pa.RecordBatch) -> Iterator[Selection]:
        """All columns of the selected rows of a row group."""
        import numpy as np
        import pyarrow as pa

        names = self._schema.names
        self._count(group, names)
        about = group.file.metadata.row_group(group.number)
        batch_rows = max(1, min(_MOST_ROWS, _DECODED_BYTES * about.num_rows // max(about.total_byte_size, 1)))
        member_rows = members.column("row").to_numpy()
        first_row = group.first_row
        for batch in group.file.iter_batches(batch_rows, [group.number], names, use_threads=False):
            start, stop = np.searchsorted(member_rows, (first_row, first_row + batch.num_rows))
            if start < stop:
                rows, positions = np.unique(member_rows[start:stop], return_inverse=True)
                whole = carry(pa.Table.from_batches([batch.select(names)]))
                carried = whole.take(pa.array(rows - np.uint64(first_row)))
                here = members.slice(start, stop - start)
                yield Selection(
                    self._in_catalog_types(carried, group.path),
                    here.append_column("position", pa.array(positions, pa.int64())),
                )
            first_row += batch.num_rows

    def _check_columns(self, schema: pa.Schema, path: AnyPath) -> None:
        missing = [name for name in self._schema.names if name not in schema.names]
        if missing:
            raise PartitionReadError(
                f"{path} lacks the column {missing[0]!r}, which the catalog's schema has"
            )
        for field in self._schema:
            kind = schema.field(field.name).type
            if not is_lossless(kind, field.type):
                raise PartitionReadError(
                    f"{path} has column {field.name!r} of type {kind}, "
                    f"which cannot become the {field.type} of the catalog's schema without loss"
                )

    def _in_catalog_types(self, carried: pa.Table, path: AnyPath) -> pa.Table:
        import pyarrow as pa

        try:
            return restore(carried, self._schema)
        except (pa.ArrowException, ValueError) as error:
            raise PartitionReadError(
                f"{path} has values that do not fit the catalog's schema: {error}"
            ) from error

    def _count(self, group: _RowGroup, names: Sequence[str]) -> None:
        footer = group.file.metadata
        about = footer.row_group(group.number)
        self.bytes_read += sum(about.column(leaf).total_compressed_size for leaf in _leaves(footer, names))

    def _explanation(self, group: _RowGroup) -> str:
        """Words for coordinates that are none: the file, how many of its rows have such, and which is the first."""
        import numpy as np

        ra, dec = self._columns.ra, self._columns.dec
        count, first, rows_before = 0, "", 0
        for batch in group.file.iter_batches(_SEARCH_ROWS, columns=[ra, dec], use_threads=False):
            ra_deg, dec_deg = (_as_float64(batch.column(name)) for name in (ra, dec))
            bad = np.flatnonzero(_no_position(ra_deg, dec_deg))
            if len(bad) and not first:
                first = f"row {rows_before + bad[0]} ({ra}={ra_deg[bad[0]]}, {dec}={dec_deg[bad[0]]})"
            count += len(bad)
            rows_before += batch.num_rows
        rows = "1 row has" if count == 1 else f"{count} rows have"
        return (
            f"{group.path}: {rows} no usable coordinates, the first is {first}; "
            "allowed are ra from -360 to 360 degrees and dec from -90 to 90 degrees"
        )


@contextmanager
def _explained(path: AnyPath) -> Iterator[None]:
    """Name the file in the core's complaints about rows that do not lie where their partition is."""
    from skymargin import _core

    try:
        yield
    except _core.CoordinateError as error:
        raise PositionError(f"{path}: {error}") from error


@contextmanager
def _reading(path: AnyPath) -> Iterator[None]:
    """Name the file in errors of reading it."""
    import pyarrow as pa

    try:
        yield
    except PartitionReadError:
        raise
    except (OSError, pa.ArrowException) as error:
        reason = " ".join(str(error).split())
        raise PartitionReadError(f"{path} cannot be read as Parquet: {reason}") from error


def _leaves(footer: pq.FileMetaData, names: Sequence[str]) -> list[int]:
    """Numbers of the Parquet columns that make up some columns of the table."""
    wanted = set(names)
    schema = footer.schema
    paths = (schema.column(leaf).path for leaf in range(footer.num_columns))
    return [leaf for leaf, path in enumerate(paths) if path in wanted or path.split(".", 1)[0] in wanted]


def _no_position(ra_deg: np.ndarray, dec_deg: np.ndarray) -> np.ndarray:
    """Which coordinates are no positions on the sky."""
    # Written so that a NaN is none.
    return ~((abs(ra_deg) <= 360) & (abs(dec_deg) <= 90))


def _as_float64(column: pa.Array) -> np.ndarray:
    """Coordinates as float64; a null becomes NaN."""
    import pyarrow as pa

    values: np.ndarray = column.cast(pa.float64()).to_numpy(zero_copy_only=False)
    return values


def _as_integers(column: pa.Array, name: str, path: AnyPath, first_row: int) -> np.ndarray:
    """Index values as int64, or as uint64 where the file has them so."""
    import numpy as np
    import pyarrow as pa

    if column.null_count:
        row = first_row + int(np.flatnonzero(column.is_null().to_numpy(zero_copy_only=False))[0])
        raise PositionError(f"{path}: {column.null_count} rows have no {name}, the first is row {row}")
    if column.type != pa.uint64():
        column = column.cast(pa.int64())
    values: np.ndarray = column.to_numpy()
    return values


def _with_index(members: pa.RecordBatch, rows: np.ndarray, index: np.ndarray) -> pa.RecordBatch:
    import numpy as np
    import pyarrow as pa

    at = np.searchsorted(rows, members.column("row").to_numpy())
    return members.append_column("index", pa.array(index[at].astype(np.uint64)))


def _concatenated(batches: list[pa.RecordBatch]) -> Any:
    """One batch of memberships, ordered by row."""
    import pyarrow as pa

    return pa.concat_batches(batches).sort_by("row")
