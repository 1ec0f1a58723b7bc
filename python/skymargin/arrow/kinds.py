"""The one list of Arrow's types: what each is to everything in the package that treats types differently.

A type that Arrow adds is of no kind: it is refused by name until it is put into this list. The core has its own, which
does not compile without a new type.
"""

from __future__ import annotations

from enum import Enum, auto
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa


class Kind(Enum):
    """What values of a type are."""

    NULL = auto()
    BOOLEAN = auto()
    SIGNED = auto()
    UNSIGNED = auto()
    FLOAT = auto()
    DECIMAL = auto()
    TEMPORAL = auto()
    """A time, a date or a duration: a number of units."""
    FIXED_BYTES = auto()
    BYTES = auto()
    """Text or binary of any length, as a view or with offsets."""
    LIST = auto()
    """A list of any length, as a view or with offsets."""
    FIXED_LIST = auto()
    STRUCT = auto()
    MAP = auto()
    DICTIONARY = auto()
    NOT_IN_PARQUET = auto()


# By the names in `pyarrow.types.TypesEnum`. An extension type is of the kind of its storage.
KINDS = {
    "NA": Kind.NULL,
    "BOOL": Kind.BOOLEAN,
    **dict.fromkeys(("INT8", "INT16", "INT32", "INT64"), Kind.SIGNED),
    **dict.fromkeys(("UINT8", "UINT16", "UINT32", "UINT64"), Kind.UNSIGNED),
    **dict.fromkeys(("HALF_FLOAT", "FLOAT", "DOUBLE"), Kind.FLOAT),
    **dict.fromkeys(("DECIMAL32", "DECIMAL64", "DECIMAL128", "DECIMAL256"), Kind.DECIMAL),
    **dict.fromkeys(("DATE32", "DATE64", "TIMESTAMP", "TIME32", "TIME64", "DURATION"), Kind.TEMPORAL),
    "FIXED_SIZE_BINARY": Kind.FIXED_BYTES,
    **dict.fromkeys(("BINARY", "STRING", "LARGE_BINARY", "LARGE_STRING"), Kind.BYTES),
    **dict.fromkeys(("BINARY_VIEW", "STRING_VIEW"), Kind.BYTES),
    **dict.fromkeys(("LIST", "LARGE_LIST", "LIST_VIEW", "LARGE_LIST_VIEW"), Kind.LIST),
    "FIXED_SIZE_LIST": Kind.FIXED_LIST,
    "STRUCT": Kind.STRUCT,
    "MAP": Kind.MAP,
    "DICTIONARY": Kind.DICTIONARY,
    **dict.fromkeys(("INTERVAL_MONTHS", "INTERVAL_DAY_TIME", "INTERVAL_MONTH_DAY_NANO"), Kind.NOT_IN_PARQUET),
    **dict.fromkeys(("SPARSE_UNION", "DENSE_UNION", "RUN_END_ENCODED"), Kind.NOT_IN_PARQUET),
}
NUMBERS = frozenset({Kind.SIGNED, Kind.UNSIGNED, Kind.FLOAT, Kind.DECIMAL})
INTEGERS = frozenset({Kind.SIGNED, Kind.UNSIGNED})


def kind_of(data_type: pa.DataType) -> Kind:
    """What values of a type are.

    Raises
    ------
    TypeError
        When Arrow has the type and this package does not know it.
    """
    import pyarrow as pa

    if isinstance(data_type, pa.BaseExtensionType):
        return kind_of(data_type.storage_type)
    kind = _kinds().get(data_type.id)
    if kind is None:
        raise TypeError(f"columns of type {data_type} are not known")
    return kind


@cache
def _kinds() -> dict[int, Kind]:
    from pyarrow.types import TypesEnum

    # An older pyarrow lacks some of the types.
    return {TypesEnum[name].value: kind for name, kind in KINDS.items() if name in TypesEnum.__members__}
