"""Columns and rows of one partition, by row number, read with pyarrow alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from itertools import repeat
from typing import TYPE_CHECKING

import numpy as np

from skymargin.arrow.columns import to_arrow, values_of
from skymargin.arrow.kinds import Kind, kind_of
from skymargin.arrow.transport import to_transport
from skymargin.catalogs.int96 import int96_columns, out_of_range, unit_of
from skymargin.catalogs.parquet_errors import reading_parquet, refuse_encrypted
from skymargin.errors import PartitionReadError
from skymargin.storage.paths import AnyPath, open_input

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq
    from numpy.typing import NDArray

# Rows of a few columns in memory at a time, and decoded bytes of complete rows in memory at a time.
_MOST_ROWS = 1 << 20
_DECODED_BYTES = 16 << 20


class PartitionRows:
    """The rows of a partition, numbered through its files; use it as a context manager.

    Parameters
    ----------
    files
        Its files, in the order in which their rows are numbered.
    schema
        The schema of the catalog, which says the unit of timestamps that are stored as INT96.

    Attributes
    ----------
    rows : int
        Rows of the partition.
    schemas : list of pyarrow.Schema
        The columns of each file.

    Raises
    ------
    PartitionReadError
        When a file cannot be read or lacks a column. Names the file.
    """

    def __init__(self, files: Sequence[AnyPath], schema: pa.Schema | None = None) -> None:
        self._paths = files
        self._schema = schema
        self._open = ExitStack()
        self._files: list[pq.ParquetFile] = []
        # For each file with timestamps that are stored as INT96, their columns, and the file with them in seconds.
        self._int96: dict[int, tuple[list[str], pq.ParquetFile]] = {}
        self.rows = 0
        self.schemas: list[pa.Schema] = []

    def __enter__(self) -> PartitionRows:
        import pyarrow.parquet as pq

        with ExitStack() as opening:
            for path in self._paths:
                with reading_parquet(path, PartitionReadError):
                    source = opening.enter_context(open_input(path))
                    refuse_encrypted(source)
                    file = pq.ParquetFile(source, buffer_size=1 << 20, pre_buffer=False)
                    if columns := int96_columns(file):
                        in_seconds, file = (
                            pq.ParquetFile(
                                source,
                                metadata=file.metadata,
                                buffer_size=1 << 20,
                                pre_buffer=False,
                                coerce_int96_timestamp_unit=unit,
                            )
                            for unit in ("s", unit_of(columns, self._schema))
                        )
                        self._int96[len(self._files)] = columns, in_seconds
                    self.schemas.append(file.schema_arrow)
                self._files.append(file)
                self.rows += file.metadata.num_rows
            self._open = opening.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def batches(self, columns: Sequence[str]) -> Iterator[tuple[int, pa.Table]]:
        """Some columns of all rows, in types of `arrow.transport`, with the number of each batch's first row."""
        for first_row, batch, _ in self._read(columns, None):
            yield first_row, batch

    def take(
        self, rows: NDArray[np.int64], columns: Sequence[str]
    ) -> Iterator[tuple[NDArray[np.int64], pa.Table]]:
        """Some columns of some rows; only row groups that hold such rows are read.

        Parameters
        ----------
        rows
            Numbers of the rows, sorted and distinct.
        columns
            Names of the columns.

        Yields
        ------
        numpy.ndarray, pyarrow.Table
            Positions in `rows`, and the columns of these rows in types of `arrow.transport`.
        """
        for first_row, batch, (start, stop) in self._read(columns, rows):
            yield np.arange(start, stop), batch.take(to_arrow(rows[start:stop] - first_row))

    def _read(
        self, columns: Sequence[str], rows: NDArray[np.int64] | None
    ) -> Iterator[tuple[int, pa.Table, tuple[int, int]]]:
        import pyarrow as pa

        first_row = 0
        for place, (file, path, schema) in enumerate(
            zip(self._files, self._paths, self.schemas, strict=True)
        ):
            known = set(schema.names)
            missing = [name for name in columns if name not in known]
            if missing:
                raise PartitionReadError(
                    f"{path} has no column {missing[0]!r}; it has {', '.join(schema.names)}"
                )
            for number in range(file.metadata.num_row_groups):
                group = file.metadata.row_group(number)
                end = first_row + group.num_rows
                if rows is not None and not np.subtract(*np.searchsorted(rows, (end, first_row))):
                    first_row = end
                    continue
                row_bytes = group.total_byte_size // max(group.num_rows, 1)
                most = _MOST_ROWS if rows is None else min(_MOST_ROWS, _DECODED_BYTES // max(row_bytes, 1))
                with reading_parquet(path, PartitionReadError):
                    batches = file.iter_batches(max(most, 1), [number], list(columns), use_threads=False)
                    in_seconds = self._in_seconds(place, number, columns, most)
                    for batch, seconds in zip(batches, in_seconds, strict=False):
                        start, stop = (
                            (0, batch.num_rows)
                            if rows is None
                            else np.searchsorted(rows, (first_row, first_row + batch.num_rows)).tolist()
                        )
                        if start < stop:
                            if seconds is not None:
                                read = None if rows is None else to_arrow(rows[start:stop] - first_row)
                                _check_int96(path, batch, seconds, read)
                            # Key-value metadata may be no text, which the core does not take.
                            plain = batch.select(list(columns)).replace_schema_metadata(None)
                            table = pa.Table.from_batches([plain])
                            yield first_row, to_transport(table), (start, stop)
                        first_row += batch.num_rows
                if first_row != end:
                    raise PartitionReadError(
                        f"{path}: row group {number} does not hold the number of rows it states"
                    )

    def _in_seconds(
        self, place: int, group: int, columns: Sequence[str], most: int
    ) -> Iterator[pa.RecordBatch | None]:
        """The timestamps of a row group that are stored as INT96, in seconds, in batches of `most` rows."""
        names, file = self._int96.get(place, ([], None))
        names = [name for name in names if name in columns]
        if file is None or not names:
            return repeat(None)
        batches: Iterator[pa.RecordBatch] = file.iter_batches(max(most, 1), [group], names, use_threads=False)
        return batches


def as_float64(table: pa.Table, column: str) -> NDArray[np.float64]:
    """A column of numbers as float64, as the core has them; a null becomes NaN."""
    import pyarrow as pa

    values = table.column(column)
    match kind_of(values.type):
        case Kind.DECIMAL:
            return np.concatenate([np.empty(0), *map(_decimals_as_float64, values.chunks)])
        case Kind.FLOAT:
            # pyarrow has no cast of every float.
            return np.asarray(values_of(values), dtype=np.float64)
        case _:
            return np.asarray(values_of(values.cast(pa.float64())), dtype=np.float64)


def _decimals_as_float64(values: pa.Array) -> NDArray[np.float64]:
    """The nearest float64 of each: pyarrow's cast multiplies by a power of ten that is not exact."""
    import pyarrow as pa

    if len(values) == 0:
        return np.empty(0)
    scale = values.type.scale
    wide = values.cast(pa.decimal128(38, scale))
    words = np.frombuffer(wide.buffers()[1], "<i8").reshape(-1, 2)[wide.offset : wide.offset + len(wide)]
    units, high = words[:, 0], words[:, 1]
    # Both numbers are exact as float64, and the division rounds once.
    floats: NDArray[np.float64] = units / 10.0**scale
    for row in np.flatnonzero((high != units >> 63) | (np.abs(units) > 1 << 53)).tolist():
        value = wide[row].as_py()
        floats[row] = np.nan if value is None else float(value)
    floats[values_of(wide.is_null())] = np.nan
    return floats


def _check_int96(
    path: AnyPath, batch: pa.RecordBatch, seconds: pa.RecordBatch, rows: pa.Array | None
) -> None:
    """Check that the timestamps of some rows are in the range of their unit."""
    for name in seconds.schema.names:
        columns = [records.column(name) for records in (batch, seconds)]
        problem = out_of_range(*(column if rows is None else column.take(rows) for column in columns))
        if problem:
            raise PartitionReadError(f"{path}: column '{name}': {problem}")
