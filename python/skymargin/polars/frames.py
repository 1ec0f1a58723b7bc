"""Tables of several kinds behind one face: polars, pandas, pyarrow, and what else speaks the Arrow PyCapsule interface.

Only coordinates are handed to the core, where they lie; rows are taken by the library that owns them, so that their
types stay what they are.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

import polars as pl

if TYPE_CHECKING:
    import pyarrow as pa


class Rows(Protocol):
    """A table whose rows can be taken."""

    frame: Any

    def names(self) -> list[str]:
        """Return the names of its columns."""

    def column(self, name: str) -> Any:
        """Return a column, as something that the core reads."""

    def take(self, rows: pa.Array, added: pa.RecordBatch | None = None) -> Rows:
        """Return some of its rows, with columns added."""

    def slice(self, start: int, count: int) -> Any:
        """Return a run of its rows as a frame, without a copy where the library has such."""


class _PolarsRows:
    def __init__(self, frame: pl.DataFrame) -> None:
        self.frame = frame

    def names(self) -> list[str]:
        return self.frame.columns

    def column(self, name: str) -> pl.Series:
        return readable(self.frame.get_column(name))

    def take(self, rows: pa.Array, added: pa.RecordBatch | None = None) -> _PolarsRows:
        numbers = pl.Series(rows)
        taken = self.frame.select(pl.all().gather(numbers))
        if added is not None:
            taken = taken.with_columns(pl.Series(name, added.column(name)) for name in added.schema.names)
        return _PolarsRows(taken)

    def slice(self, start: int, count: int) -> pl.DataFrame:
        return self.frame.slice(start, count)


class _PandasRows:
    def __init__(self, frame: Any) -> None:
        self.frame = frame

    def names(self) -> list[str]:
        return list(self.frame.columns)

    def column(self, name: str) -> Any:
        return self.frame[name]

    def take(self, rows: pa.Array, added: pa.RecordBatch | None = None) -> _PandasRows:
        taken = self.frame.iloc[rows.to_numpy().astype("int64")]
        if added is not None:
            taken = taken.assign(**{name: added.column(name).to_numpy() for name in added.schema.names})
        return _PandasRows(taken)

    def slice(self, start: int, count: int) -> Any:
        return self.frame.iloc[start : start + count]


class _ArrowRows:
    def __init__(self, frame: pa.Table) -> None:
        self.frame = frame

    def names(self) -> list[str]:
        return list(self.frame.column_names)

    def column(self, name: str) -> pa.ChunkedArray:
        return self.frame.column(name)

    def take(self, rows: pa.Array, added: pa.RecordBatch | None = None) -> _ArrowRows:
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

    def slice(self, start: int, count: int) -> pa.Table:
        return self.frame.slice(start, count)


def rows_of(frame: Any) -> Rows:
    """Return a frame behind the common face.

    Raises
    ------
    TypeError
        When it is no table.
    """
    if isinstance(frame, pl.DataFrame):
        return _PolarsRows(frame)
    pandas = sys.modules.get("pandas")
    if pandas is not None and isinstance(frame, pandas.DataFrame):
        return _PandasRows(frame)
    if hasattr(frame, "__arrow_c_stream__") or hasattr(frame, "__arrow_c_array__"):
        import pyarrow as pa

        # A column speaks the interface too, and is refused there.
        return _ArrowRows(pa.table(frame))
    raise TypeError(
        f"frame must be a polars, pandas or pyarrow table, or one with the Arrow PyCapsule interface, not {type(frame)}"
    )


def require_columns(names: Sequence[str], needed: Sequence[str]) -> None:
    """Refuse a frame that lacks a column.

    Raises
    ------
    ValueError
        When it does; names the column and those there are.
    """
    for name in needed:
        if name not in names:
            raise ValueError(
                f"the frame has no column {name!r}; it has {', '.join(map(str, names)) or 'none'}"
            )


def readable(column: pl.Series) -> pl.Series:
    """Return a column as the core reads it: Arrow does not allow the form in which polars hands over the type Null."""
    return column.cast(pl.Float64) if column.dtype == pl.Null else column


@contextmanager
def rows_of_a_batch() -> Iterator[None]:
    """Say, in errors that name rows, that these are counted from the start of a batch."""
    try:
        yield
    except ValueError as error:
        raise type(error)(
            f"{error} (rows are counted from the start of the batch that polars handed over)"
        ) from error
