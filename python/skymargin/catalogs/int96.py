"""Timestamps stored as INT96 by old writers: those out of range are found, which pyarrow silently reads as others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, assert_never

import numpy as np

from skymargin.arrow.kinds import Kind, kind_of

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}


def int96_columns(file: pq.ParquetFile) -> list[str]:
    """Names of the columns with timestamps that are stored as INT96."""
    columns = (file.schema.column(number) for number in range(len(file.schema)))
    paths = [column.path for column in columns if column.physical_type == "INT96"]
    return [
        name
        for name in file.schema_arrow.names
        if any(path == name or path.startswith(f"{name}.") for path in paths)
    ]


def unit_of(columns: Sequence[str], schema: pa.Schema | None) -> str:
    """The unit in which a schema has columns of INT96, where it is the same for all of them; otherwise nanoseconds."""
    from pyarrow import types

    known = [] if schema is None else [schema.field(name).type for name in columns if name in schema.names]
    units = {data_type.unit for data_type in known if types.is_timestamp(data_type)}
    return units.pop() if len(units) == 1 else "ns"


def out_of_range(values: pa.Array, seconds: pa.Array) -> str | None:
    """The first timestamp that the unit of its column does not hold, in words; None when there is none.

    Parameters
    ----------
    values
        The column as pyarrow reads it in a unit.
    seconds
        The same column in seconds, which hold every timestamp.
    """
    for leaf, exact in zip(_timestamps(values), _timestamps(seconds), strict=True):
        unit = leaf.type.unit
        if exact.type.unit != "s":
            # It is stored as INT64, beside one of INT96 in the same root column.
            continue
        numbers, whole = (_integers(array) for array in (leaf, exact))
        wrong = np.flatnonzero(numbers // _PER_SECOND[unit] != whole)
        if len(wrong):
            number, second = int(numbers[wrong[0]]), int(whole[wrong[0]])
            # 64 bits of the number are right.
            fraction = (number - second * _PER_SECOND[unit]) % 2**64 * (10**9 // _PER_SECOND[unit])
            text = f"{np.datetime64(second, 's')}" + (f".{fraction:09d}" if fraction else "")
            return f"the timestamp {text}, stored as INT96, is out of the range of timestamps in {unit}"
    return None


def _timestamps(array: pa.Array) -> Iterator[pa.Array]:
    """The arrays of timestamps that a nested array consists of, without values below nulls."""
    from pyarrow import types

    if types.is_timestamp(array.type):
        yield array
        return
    kind = kind_of(array.type)
    match kind:
        case Kind.STRUCT:
            for child in array.flatten():
                yield from _timestamps(child)
        case Kind.LIST if types.is_list(array.type) or types.is_large_list(array.type):
            # pyarrow cannot flatten lists with nulls of extension types. Null lists have no values in Parquet.
            offsets = array.offsets
            first, last = (offsets[0].as_py(), offsets[-1].as_py()) if len(array) else (0, 0)
            yield from _timestamps(array.values.slice(first, last - first))
        case Kind.LIST | Kind.FIXED_LIST:
            yield from _timestamps(array.flatten())
        case Kind.MAP:
            yield from _timestamps(array.keys)
            yield from _timestamps(array.items)
        case (
            Kind.NULL
            | Kind.BOOLEAN
            | Kind.SIGNED
            | Kind.UNSIGNED
            | Kind.FLOAT
            | Kind.DECIMAL
            | Kind.TEMPORAL
            | Kind.FIXED_BYTES
            | Kind.BYTES
            | Kind.DICTIONARY
            | Kind.NOT_IN_PARQUET
        ):
            return
        case _:
            assert_never(kind)


def _integers(array: pa.Array) -> np.ndarray:
    import pyarrow as pa

    integers: np.ndarray = array.cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False)
    return integers
