"""Columns and rows of one partition, by row number, read with pyarrow alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import numpy as np

from skymargin.arrow.transport import to_transport
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

    def __init__(self, files: Sequence[AnyPath]) -> None:
        self._paths = files
        self._open = ExitStack()
        self._files: list[pq.ParquetFile] = []
        self.rows = 0
        self.schemas: list[pa.Schema] = []

    def __enter__(self) -> PartitionRows:
        import pyarrow.parquet as pq

        with ExitStack() as opening:
            for path in self._paths:
                with _reading(path):
                    source = opening.enter_context(open_input(path))
                    file = pq.ParquetFile(source, buffer_size=1 << 20, pre_buffer=False)
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
        import pyarrow as pa

        for first_row, batch, (start, stop) in self._read(columns, rows):
            yield np.arange(start, stop), batch.take(pa.array(rows[start:stop] - first_row))

    def _read(
        self, columns: Sequence[str], rows: NDArray[np.int64] | None
    ) -> Iterator[tuple[int, pa.Table, tuple[int, int]]]:
        import pyarrow as pa

        first_row = 0
        for file, path, schema in zip(self._files, self._paths, self.schemas, strict=True):
            missing = [name for name in columns if name not in schema.names]
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
                with _reading(path):
                    for batch in file.iter_batches(max(most, 1), [number], list(columns), use_threads=False):
                        start, stop = (
                            (0, batch.num_rows)
                            if rows is None
                            else np.searchsorted(rows, (first_row, first_row + batch.num_rows)).tolist()
                        )
                        if start < stop:
                            table = pa.Table.from_batches([batch.select(list(columns))])
                            yield first_row, to_transport(table), (start, stop)
                        first_row += batch.num_rows
                if first_row != end:
                    raise PartitionReadError(
                        f"{path}: row group {number} does not hold the number of rows it states"
                    )


def as_float64(table: pa.Table, column: str) -> NDArray[np.float64]:
    """A column of numbers as float64; a null becomes NaN."""
    import pyarrow as pa

    values = table.column(column).cast(pa.float64()).to_numpy(zero_copy_only=False)
    return np.asarray(values, dtype=np.float64)


@contextmanager
def _reading(path: AnyPath) -> Iterator[None]:
    """Name the file in errors of reading it."""
    import pyarrow as pa

    try:
        yield
    except PartitionReadError:
        raise
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise PartitionReadError(f"{path} cannot be read as Parquet: {reason}") from error
