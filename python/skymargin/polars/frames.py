"""A common interface to tables of polars, pandas, pyarrow, astropy, and others with the Arrow PyCapsule interface.

Only coordinates are passed to the core; rows are taken by the library that owns them, so that their types are kept.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import polars as pl

from skymargin.catalogs.tables import astropy_column, is_astropy, is_swapped

if TYPE_CHECKING:
    import pyarrow as pa


class Rows:
    """A table whose rows can be taken: here a polars DataFrame, in subclasses other tables.

    Parameters
    ----------
    frame
        The table.
    """

    def __init__(self, frame: Any) -> None:
        self.frame = frame

    def names(self) -> list[str]:
        """Return the names of its columns."""
        return list(self.frame.columns)

    def column(self, name: str) -> Any:
        """Return a column, as something that the core reads."""
        return readable(self.frame.get_column(name))

    def take(self, rows: pa.Array, added: pa.RecordBatch | None = None) -> Rows:
        """Return some of its rows, with columns added."""
        taken = self.frame.select(pl.all().gather(pl.Series(rows)))
        if added is not None:
            taken = taken.with_columns(pl.Series(name, added.column(name)) for name in added.schema.names)
        return type(self)(taken)

    def slice(self, start: int, count: int) -> Any:
        """Return a run of its rows as a frame, without a copy where the library allows that."""
        return self.frame.slice(start, count)


class _PandasRows(Rows):
    def column(self, name: str) -> Any:
        column = self.frame[name]
        # Arrow does not take numbers whose bytes are in the other order, the core takes those of numpy.
        return column.to_numpy() if is_swapped(getattr(column, "dtype", None)) else column

    def take(self, rows: pa.Array, added: pa.RecordBatch | None = None) -> Rows:
        taken = self.frame.iloc[rows.to_numpy().astype("int64")]
        if added is not None:
            taken = taken.assign(**{name: added.column(name).to_numpy() for name in added.schema.names})
        return _PandasRows(taken)

    def slice(self, start: int, count: int) -> Any:
        return self.frame.iloc[start : start + count]


class _ArrowRows(Rows):
    def names(self) -> list[str]:
        return list(self.frame.column_names)

    def column(self, name: str) -> Any:
        return self.frame.column(name)

    def take(self, rows: pa.Array, added: pa.RecordBatch | None = None) -> Rows:
        import pyarrow as pa

        from skymargin.arrow.transport import from_transport, to_transport

        try:
            taken = self.frame.take(rows)
        except pa.ArrowNotImplementedError:
            # pyarrow cannot take rows of views.
            taken = from_transport(to_transport(self.frame).take(rows), self.frame.schema)
        if added is not None:
            for name in added.schema.names:
                taken = taken.append_column(name, added.column(name))
        return _ArrowRows(taken)


class _AstropyRows(Rows):
    def names(self) -> list[str]:
        return list(self.frame.colnames)

    def column(self, name: str) -> Any:
        return astropy_column(name, self.frame[name], degrees=True)

    def take(self, rows: pa.Array, added: pa.RecordBatch | None = None) -> Rows:
        taken = self.frame[rows.to_numpy().astype("int64")]
        if added is not None:
            for name in added.schema.names:
                taken[name] = added.column(name).to_numpy()
        return _AstropyRows(taken)

    def slice(self, start: int, count: int) -> Any:
        return self.frame[start : start + count]


def rows_of(frame: Any) -> Rows:
    """Return a frame with the common interface; `TypeError` when it is not a table."""
    if isinstance(frame, pl.DataFrame):
        return Rows(frame)
    pandas = sys.modules.get("pandas")
    if pandas is not None and isinstance(frame, pandas.DataFrame):
        return _PandasRows(frame)
    if is_astropy(frame):
        return _AstropyRows(frame)
    if hasattr(frame, "__arrow_c_stream__") or hasattr(frame, "__arrow_c_array__"):
        import pyarrow as pa

        # Up to its version 24, pyarrow crashes when it exports columns of the type string_view, so that its own tables
        # do not go through the interface.
        if isinstance(frame, pa.RecordBatch):
            frame = pa.Table.from_batches([frame])
        # A column has the interface too, and is refused.
        with suppress(pa.ArrowInvalid, TypeError, ValueError):
            return _ArrowRows(frame if isinstance(frame, pa.Table) else pa.table(frame))
    raise TypeError(
        "frame must be a polars, pandas, pyarrow or astropy table, or one with the Arrow PyCapsule interface, "
        f"not {type(frame)}"
    )


def require_columns(names: Sequence[str], needed: Sequence[str], table: str = "frame") -> None:
    """Raise `ValueError`, which names the existing columns, when a column is missing from what `table` names."""
    for name in needed:
        if name not in names:
            raise ValueError(
                f"the {table} has no column {name!r}; it has {', '.join(map(str, names)) or 'none'}"
            )


def readable(column: pl.Series) -> pl.Series:
    """Return a column as the core reads it: polars exports the type Null in a form that Arrow does not allow."""
    return column.cast(pl.Float64) if column.dtype == pl.Null else column


@contextmanager
def rows_of_a_batch() -> Iterator[None]:
    """Add to errors that name rows that these are counted from the start of a batch."""
    try:
        yield
    except ValueError as error:
        raise type(error)(
            f"{error} (rows are counted from the start of the batch that polars passed)"
        ) from error
