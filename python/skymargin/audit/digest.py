"""Values of any Arrow type as 64-bit digests, equal where values are: what a comparison of rows needs, and small.

A digest depends on the value alone, not on the type it is kept in: an integer is the same in 32 and in 64 bits, a text
in a dictionary and out of it. Floats are compared by their bits, but every NaN is the same. Two different values share
a digest by chance once in 1.8e19 pairs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from skymargin.arrow.transport import transport_type

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
        Values of any type that Parquet can keep, nested or not, with nulls or not.

    Returns
    -------
    numpy.ndarray of uint64
    """
    import pyarrow as pa

    if isinstance(array, pa.ChunkedArray):
        parts = [digests(chunk) for chunk in array.chunks]
        return np.concatenate(parts) if parts else np.empty(0, np.uint64)
    if len(array) == 0:
        return np.empty(0, np.uint64)
    if pa.types.is_dictionary(array.type):
        if len(array.dictionary) == 0:
            return np.full(len(array), _NULL)
        # Null indices are given a place, and a null digest below.
        places = array.indices.fill_null(0).to_numpy(zero_copy_only=False)
        found: Digests = digests(array.dictionary)[places]
    elif pa.types.is_null(array.type):
        return np.full(len(array), _NULL)
    else:
        kind = transport_type(array.type)
        found = _digests_of(array if kind == array.type else array.cast(kind))
    if array.null_count:
        found = np.where(array.is_null().to_numpy(zero_copy_only=False), _NULL, found)
    return found


def digests_of_numbers(values: NDArray[np.float64] | NDArray[np.uint64]) -> Digests:
    """Return the digests that `digests` has for an array of these numbers."""
    import pyarrow as pa

    return digests(pa.array(values))


def combined(columns: Digests) -> Digests:
    """Return one digest for each row of a matrix of digests, shape (rows, columns); the order of columns matters."""
    found = np.full(len(columns), _GOLDEN)
    for column in columns.T:
        found = _mixed(found * np.uint64(31) + column)
    return found


def _digests_of(array: pa.Array) -> Digests:
    """Digests of the values of an array that is no dictionary; what null ones get does not matter."""
    import pyarrow as pa
    from pyarrow import types

    kind = array.type
    if isinstance(array, pa.ExtensionArray):
        return digests(array.storage)
    if types.is_struct(kind):
        fields = [digests(array.field(number)) for number in range(kind.num_fields)]
        return combined(np.stack(fields, axis=1) if fields else np.zeros((len(array), 0), np.uint64))
    if types.is_fixed_size_list(kind):
        start, size = array.offset, kind.list_size
        bounds = np.arange(start, start + len(array) + 1) * size
        return _of_lists(digests(array.values), bounds)
    if types.is_map(kind) or types.is_list(kind) or types.is_large_list(kind):
        values = (
            pa.StructArray.from_arrays([array.keys, array.items], ["k", "v"]) if types.is_map(kind) else None
        )
        return _of_lists(digests(array.values if values is None else values), np.asarray(array.offsets))
    if (
        types.is_string(kind)
        or types.is_binary(kind)
        or types.is_large_string(kind)
        or types.is_large_binary(kind)
    ):
        wide = types.is_large_string(kind) or types.is_large_binary(kind)
        _, offsets, content = array.buffers()
        bounds = np.frombuffer(offsets, np.int64 if wide else np.int32)[array.offset :][: len(array) + 1]
        text = np.frombuffer(content, np.uint8) if content is not None else np.empty(0, np.uint8)
        return _of_lists(text.astype(np.uint64), bounds.astype(np.int64))
    if types.is_boolean(kind):
        return _mixed(array.fill_null(False).to_numpy(zero_copy_only=False).astype(np.uint64))
    return _of_numbers(array)


def _of_numbers(array: pa.Array) -> Digests:
    """Digests of values of a fixed width: numbers, times, decimals, fixed-size binaries."""
    from pyarrow import types

    kind, content = array.type, array.buffers()[1]
    if content is None:
        return np.full(len(array), _NULL)
    if types.is_floating(kind):
        code = f"<f{kind.bit_width // 8}"
        with np.errstate(invalid="ignore"):
            values = np.frombuffer(content, code)[array.offset :][: len(array)].astype(np.float64)
        values[np.isnan(values)] = np.nan
        return _mixed(values.view(np.uint64))
    width = kind.bit_width // 8
    if width not in (1, 2, 4, 8):
        octets = np.frombuffer(content, np.uint8)[array.offset * width :][: len(array) * width]
        return _of_lists(octets.astype(np.uint64), np.arange(len(array) + 1) * width)
    code = f"<u{width}" if types.is_unsigned_integer(kind) else f"<i{width}"
    whole = np.frombuffer(content, code)[array.offset :][: len(array)]
    return _mixed(whole.astype(np.int64 if code[1] == "i" else np.uint64).view(np.uint64))


def _of_lists(elements: Digests, bounds: NDArray[np.int64]) -> Digests:
    """Digests of runs of elements; `bounds` has one more than there are runs."""
    bounds = np.asarray(bounds, dtype=np.int64)
    lengths = np.diff(bounds)
    if len(lengths) == 0:
        return np.empty(0, np.uint64)
    first, last = int(bounds[0]), int(bounds[-1])
    place = np.arange(last - first, dtype=np.int64) - np.repeat(bounds[:-1] - first, lengths)
    placed = _mixed(elements[first:last] + _mixed(place.astype(np.uint64)))
    # Sums wrap around; the difference of two of them is still the sum between.
    sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(placed, dtype=np.uint64)])
    within = sums[bounds[1:] - first] - sums[bounds[:-1] - first]
    return _mixed(within + _mixed(lengths.astype(np.uint64) + _GOLDEN))


def _mixed(values: Digests) -> Digests:
    """Scatter values over all 64 bits, one to one (the finaliser of splitmix64)."""
    values = values + _GOLDEN
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
