"""Columns of every type, nested and not, with awkward values: what files in tests hold."""

from __future__ import annotations

from functools import cache

import numpy as np
import pyarrow as pa

from tests.support.column_types import ALL_TYPES, array_of

# As many rows as a catalog of these tests has at most.
ROWS = 3_000
NULLS = ("every fifth", "none", "many", "runs", "all")
# Random bits: NaNs of all kinds, infinities, zeros of both signs, subnormal numbers.
BITS: dict[str, tuple[pa.DataType, str]] = {
    "bits of half": (pa.float16(), "u2"),
    "bits of float": (pa.float32(), "u4"),
    "bits of double": (pa.float64(), "u8"),
    "bits of integer": (pa.int64(), "u8"),
}
# These alone make large files.
LARGE = ("long text", "long fixed binary")
NAMES = (*BITS, *(name for name in ALL_TYPES if name not in LARGE))
# Their values go up to the year 10000.
FAR_TIMES = frozenset(name for name in NAMES if name.startswith("timestamp s"))
NANOSECONDS = frozenset(name for name in NAMES if name == "timestamp" or name.startswith("timestamp ns"))


def type_of_column(name: str) -> pa.DataType:
    """The Arrow type of a column."""
    return BITS[name][0] if name in BITS else ALL_TYPES[name][0]


def kind_of_column(name: str) -> pa.DataType:
    """The Arrow type of a column; of an extension type, what it is stored as."""
    kind = type_of_column(name)
    return kind.storage_type if isinstance(kind, pa.BaseExtensionType) else kind


@cache
def column(name: str, nulls: str) -> pa.Array:
    """A column of a type, `ROWS` long."""
    is_null = _nulls(nulls)
    if name in BITS:
        kind, unsigned = BITS[name]
        random = np.random.default_rng(len(name))
        bits = random.integers(0, 2 ** (8 * int(unsigned[1])), ROWS, dtype=unsigned)
        awkward = np.array([0, 1, np.iinfo(unsigned).max, 1 << (8 * int(unsigned[1]) - 1)], dtype=unsigned)
        bits[::7] = np.resize(awkward, len(bits[::7]))
        return pa.array(bits.view(kind.to_pandas_dtype()), kind, mask=is_null)
    kind, value = ALL_TYPES[name]
    values = [None if null else value(number) for number, null in enumerate(is_null)]
    return array_of(kind, values)


def nulls_of(name: str) -> tuple[str, ...]:
    """The nulls that columns of a type may have."""
    # A dictionary of nothing in a struct ends the process in pyarrow's writer, or panics in polars.
    return tuple(nulls for nulls in NULLS if (name, nulls) != ("struct of dictionary", "all"))


def _nulls(nulls: str) -> np.ndarray:
    rows = np.arange(ROWS)
    if nulls == "many":
        return np.asarray(np.random.default_rng(5).random(ROWS) < 0.9)
    by_pattern = {
        "every fifth": rows % 5 == 0,
        "none": rows < 0,
        "runs": rows // 37 % 2 == 0,
        "all": rows >= 0,
    }
    return np.asarray(by_pattern[nulls])
