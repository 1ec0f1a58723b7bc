"""64-bit digests of values of any Arrow type, equal where the values are equal: a small stand-in for comparing rows.

A digest depends on the value alone, not on its type: an integer has the same digest in 32 and 64 bits, a text the same
inside a dictionary and outside. Floats are compared bit by bit, but every NaN is the same. Two different values share a
digest by chance once in 1.8e19 pairs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, assert_never

import numpy as np

from skymargin.arrow.columns import to_arrow, truth_values, values_of
from skymargin.arrow.kinds import Kind, kind_of
from skymargin.arrow.transport import in_transport

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    Digests = NDArray[np.uint64]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_NULL = np.uint64(0x6E756C6C_6E756C6C)


def digests(array: pa.Array | pa.ChunkedArray) -> Digests:
    """Return a digest of each value.

    Parameters
    ----------
    array : pyarrow.Array or pyarrow.ChunkedArray
        Values of any type that Parquet can store, nested or not, with or without nulls.

    Returns
    -------
    numpy.ndarray of uint64

    Raises
    ------
    TypeError
        When Parquet has no such type.
    """
    import pyarrow as pa

    if isinstance(array, pa.ChunkedArray):
        return np.concatenate([np.empty(0, np.uint64), *(digests(chunk) for chunk in array.chunks)])
    if len(array) == 0 or pa.types.is_null(array.type):
        return np.full(len(array), _NULL)
    if pa.types.is_dictionary(array.type):
        if len(array.dictionary) == 0:
            return np.full(len(array), _NULL)
        # Null indices point somewhere; their digest is replaced below.
        positions = values_of(array.indices.fill_null(0))
        result: Digests = digests(array.dictionary)[positions]
    else:
        result = _digests_of(in_transport(array))
    if array.null_count:
        result = np.where(values_of(array.is_null()), _NULL, result)
    return result


def digests_of_numbers(values: NDArray[np.float64] | NDArray[np.uint64]) -> Digests:
    """Return the digests that `digests` gives for an array of these numbers."""
    return digests(to_arrow(values))


def combined(columns: Digests) -> Digests:
    """Return one digest per row of a matrix of digests, shape (rows, columns); the order of columns matters."""
    result = np.full(len(columns), _GOLDEN)
    for column in columns.T:
        result = _mixed(result * np.uint64(31) + column)
    return result


def _digests_of(array: pa.Array) -> Digests:
    """Digests of the values of an array that is not a dictionary; those of nulls do not matter."""
    import pyarrow as pa
    from pyarrow import types

    if isinstance(array, pa.ExtensionArray):
        return digests(array.storage)
    kind = kind_of(array.type)
    match kind:
        case Kind.STRUCT:
            fields = [digests(array.field(number)) for number in range(array.type.num_fields)]
            return combined(np.stack(fields, axis=1) if fields else np.zeros((len(array), 0), np.uint64))
        case Kind.FIXED_LIST:
            bounds = (array.offset + np.arange(len(array) + 1)) * array.type.list_size
            return _of_lists(digests(array.values), bounds)
        case Kind.MAP:
            entries = pa.StructArray.from_arrays([array.keys, array.items], ["k", "v"])
            return _of_lists(digests(entries), values_of(array.offsets))
        case Kind.LIST:
            return _of_lists(digests(array.values), values_of(array.offsets))
        case Kind.BYTES:
            is_wide = types.is_large_string(array.type) or types.is_large_binary(array.type)
            _, offsets, content = array.buffers()
            text_bounds: Any = np.frombuffer(offsets, np.int64 if is_wide else np.int32)[array.offset :]
            octets = np.frombuffer(content, np.uint8) if content is not None else np.empty(0, np.uint8)
            return _of_lists(octets.astype(np.uint64), text_bounds[: len(array) + 1])
        case Kind.BOOLEAN:
            return _mixed(truth_values(array).astype(np.uint64))
        case Kind.SIGNED | Kind.UNSIGNED | Kind.FLOAT | Kind.DECIMAL | Kind.TEMPORAL | Kind.FIXED_BYTES:
            return _of_numbers(array)
        case Kind.NULL | Kind.DICTIONARY:
            return digests(array)
        case Kind.NOT_IN_PARQUET:
            raise TypeError(f"values of type {array.type} cannot be compared: Parquet has no such type")
        case _:
            assert_never(kind)


def _of_numbers(array: pa.Array) -> Digests:
    """Digests of values of a fixed width: numbers, times, decimals, fixed-size binaries."""
    from pyarrow import types

    kind, content = array.type, array.buffers()[1]
    if content is None:
        return np.full(len(array), _NULL)
    width = kind.bit_width // 8
    # Bytes of a fixed number have the digest of as many bytes of any number.
    if width not in (1, 2, 4, 8) or types.is_fixed_size_binary(kind):
        octets = np.frombuffer(content, np.uint8)[array.offset * width :][: len(array) * width]
        return _of_lists(octets.astype(np.uint64), np.arange(len(array) + 1) * width)
    code = "f" if types.is_floating(kind) else "u" if types.is_unsigned_integer(kind) else "i"
    values = np.frombuffer(content, f"<{code}{width}")[array.offset :][: len(array)]
    if code == "f":
        with np.errstate(invalid="ignore"):
            values = values.astype(np.float64)
        values[np.isnan(values)] = np.nan
    return _mixed(values.astype(f"<{code}8").view(np.uint64))


def _of_lists(elements: Digests, bounds: NDArray[np.int64]) -> Digests:
    """Digests of runs of elements; `bounds` has one entry more than there are runs."""
    bounds = np.asarray(bounds, dtype=np.int64)
    lengths = np.diff(bounds)
    if len(lengths) == 0:
        return np.empty(0, np.uint64)
    first, last = int(bounds[0]), int(bounds[-1])
    position = np.arange(last - first, dtype=np.int64) - np.repeat(bounds[:-1] - first, lengths)
    positioned = _mixed(elements[first:last] + _mixed(position.astype(np.uint64)))
    # Sums wrap around; their differences are still the sums of the runs.
    sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(positioned, dtype=np.uint64)])
    run_sums = sums[bounds[1:] - first] - sums[bounds[:-1] - first]
    return _mixed(run_sums + _mixed(lengths.astype(np.uint64) + _GOLDEN))


def _mixed(values: Digests) -> Digests:
    """Scatter values over all 64 bits, one to one (the finaliser of splitmix64)."""
    values = values + _GOLDEN
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
