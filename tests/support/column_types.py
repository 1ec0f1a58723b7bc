"""Types of columns, nested and not, with the values that files in tests hold."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa

from skymargin.arrow.transport import transport_type

# Value number n of each type.
TYPES: dict[str, tuple[pa.DataType, Callable[[int], Any]]] = {
    "bool": (pa.bool_(), lambda n: n % 3 == 0),
    "uint64": (pa.uint64(), lambda n: 2**64 - 1 - n),
    "int8": (pa.int8(), lambda n: n % 100),
    "int16": (pa.int16(), lambda n: -n),
    "int32": (pa.int32(), lambda n: n - 2**31),
    "int64": (pa.int64(), lambda n: 2**63 - 1 - n),
    "uint8": (pa.uint8(), lambda n: 255 - n % 200),
    "uint16": (pa.uint16(), lambda n: 65_535 - n),
    "uint32": (pa.uint32(), lambda n: 2**32 - 1 - n),
    "float16": (pa.float16(), lambda n: np.float16(n)),
    "float": (pa.float32(), lambda n: float("nan") if n % 2 else -0.0),
    "double": (pa.float64(), lambda n: 1 / (n + 3)),
    "string": (pa.string(), lambda n: "ä" * (n % 40)),
    "large_string": (pa.large_string(), lambda n: f"{n}" * (n % 5)),
    "string_view": (pa.string_view(), lambda n: f"{n} " * (n % 9)),
    "binary": (pa.binary(), lambda n: bytes([n % 256, 0])),
    "large_binary": (pa.large_binary(), lambda n: bytes(n % 7)),
    "binary_view": (pa.binary_view(), lambda n: bytes([n % 256]) * (n % 30)),
    "fixed_binary": (pa.binary(3), lambda n: bytes([n % 256, 1, 2])),
    "decimal32": (pa.decimal32(9, 2), lambda n: Decimal(n) / 4),
    "decimal64": (pa.decimal64(18, 5), lambda n: Decimal(-n) / 32),
    "decimal": (pa.decimal128(20, 3), lambda n: Decimal(n) / 8),
    "decimal256": (pa.decimal256(40, 1), lambda n: Decimal(n) * 10**30),
    "date": (pa.date32(), lambda n: datetime.date(2020, 1, 1) + datetime.timedelta(n)),
    "date64": (pa.date64(), lambda n: datetime.date(1999, 1, 1) + datetime.timedelta(n)),
    "time32": (pa.time32("ms"), lambda n: datetime.time(n % 24, 1, 2, 3000)),
    "time": (pa.time64("us"), lambda n: datetime.time(n % 24, 1, 2, 3)),
    "timestamp": (pa.timestamp("ns"), lambda n: n * 10**15 + 1),
    "zoned": (pa.timestamp("ms", "America/Santiago"), lambda n: n * 10**9),
    "duration": (pa.duration("ms"), lambda n: n),
    "null": (pa.null(), lambda n: None),  # noqa: ARG005
    "dictionary": (pa.dictionary(pa.int8(), pa.string()), lambda n: "abc"[n % 3]),
    "ordered": (pa.dictionary(pa.int32(), pa.large_string(), ordered=True), lambda n: "zyx"[n % 3]),
    "list": (pa.list_(pa.float32()), lambda n: [float(n), None] * (n % 3)),
    "large_list": (pa.large_list(pa.large_string()), lambda n: ["one", None, ""][: n % 4]),
    "list_view": (pa.list_view(pa.int32()), lambda n: [n, None, 7][: n % 4]),
    "large_list_view": (pa.large_list_view(pa.string()), lambda n: ["one", None, ""][: n % 4]),
    "nested_list_view": (pa.struct([("seen", pa.list_view(pa.int64()))]), lambda n: {"seen": [n] * (n % 3)}),
    "fixed_list": (pa.list_(pa.int16(), 2), lambda n: [n, -n]),
    "map": (pa.map_(pa.string(), pa.int32()), lambda n: [("key", n), ("other", None)][: n % 3]),
    "struct": (
        pa.struct([("flag", pa.bool_()), ("inner", pa.struct([("text", pa.string())]))]),
        lambda n: {"flag": None, "inner": {"text": str(n)}},
    ),
    "light_curve": (
        pa.struct([("mjd", pa.list_(pa.float64())), ("band", pa.list_(pa.string()))]),
        lambda n: {"mjd": [n + 0.5] * (n % 6), "band": ["g"] * (n % 6)},
    ),
    "nested_dictionary": (pa.list_(pa.dictionary(pa.int32(), pa.string())), lambda n: ["a", "b"][: n % 3]),
    "nested_view": (pa.struct([("text", pa.string_view())]), lambda n: {"text": f"{n}" * 9}),
    "list_of_struct": (pa.list_(pa.struct([("x", pa.int64())])), lambda n: [{"x": n}] * (n % 3)),
    "uuid": (pa.uuid(), lambda n: uuid.UUID(int=n).bytes),
    "json": (pa.json_(), lambda n: f'{{"n": {n}}}'),
}

# The same of types that the tests of runs do not have.
MORE_TYPES: dict[str, tuple[pa.DataType, Callable[[int], Any]]] = {
    "int16": (pa.int16(), lambda n: -n),
    "int32": (pa.int32(), lambda n: -(2**31) + n),
    "int64": (pa.int64(), lambda n: 2**62 + n),
    "uint8": (pa.uint8(), lambda n: 255 - n % 256),
    "uint16": (pa.uint16(), lambda n: 2**16 - 1 - n),
    "uint32": (pa.uint32(), lambda n: 2**32 - 1 - n),
    **{
        f"decimal{bits}": (kind, lambda n: Decimal(n - 50) / 4)
        for bits, kind in (
            (32, pa.decimal32(7, 2)),
            (64, pa.decimal64(15, 2)),
            ("128 of 5 digits", pa.decimal128(5, 2)),
            ("128 of 12 digits", pa.decimal128(12, 2)),
            ("128 of 38 digits", pa.decimal128(38, 2)),
            ("256 of 5 digits", pa.decimal256(5, 2)),
            ("256 of 76 digits", pa.decimal256(76, 2)),
        )
    },
    **{
        f"timestamp {unit} {zone}": (pa.timestamp(unit, zone), lambda n: (n - 50) * 86_400_001)
        for unit in ("s", "ms", "us", "ns")
        for zone in (None, "UTC", "Asia/Kolkata")
    },
    **{f"duration {unit}": (pa.duration(unit), lambda n: 1 - n) for unit in ("s", "ms", "us", "ns")},
    "time s": (pa.time32("s"), lambda n: n * 800),
    "time ms": (pa.time32("ms"), lambda n: n * 800_001),
    "time ns": (pa.time64("ns"), lambda n: n * 800_001),
    "date64": (pa.date64(), lambda n: datetime.date(1960, 1, 1) + datetime.timedelta(200 * n)),
    "NaN and zeros": (pa.float64(), lambda n: (float("nan"), -0.0, 0.0, float("-inf"))[n % 4]),
    "half NaN": (pa.float16(), lambda n: np.float16((float("nan"), -0.0, 2.5)[n % 3])),
    "only NaN": (pa.float32(), lambda _: float("nan")),
    "only nulls": (pa.string(), lambda _: None),
    "empty text": (pa.string(), lambda _: ""),
    "long text": (pa.string(), lambda n: f"{n:05}" * (1000 if n % 7 else 1)),
    "long fixed binary": (pa.binary(5000), lambda n: bytes([n % 256]) * 5000),
    "nested list": (
        pa.list_(pa.list_(pa.large_list(pa.int8()))),
        lambda n: [[], None, [[n % 5, None], []]][: n % 4],
    ),
    "list of nulls": (pa.list_(pa.null()), lambda n: [None] * (n % 3)),
    "map of lists": (pa.map_(pa.int16(), pa.list_(pa.float64())), lambda n: [(n, [0.5, None])] * (n % 3)),
    "fixed list of structs": (
        pa.list_(pa.struct([("x", pa.float32()), ("y", pa.string())]), 3),
        lambda n: [{"x": n, "y": None}, None, {"x": None, "y": "b"}],
    ),
    "not null inside": (
        pa.struct(
            [pa.field("x", pa.int32(), nullable=False), pa.field("y", pa.list_(pa.field("z", pa.bool_())))]
        ),
        lambda n: {"x": n, "y": [True, None][: n % 3]},
    ),
    "dictionary of numbers": (pa.dictionary(pa.uint16(), pa.int64()), lambda n: n % 7),
    "struct of dictionary": (
        pa.struct([("d", pa.dictionary(pa.int8(), pa.string()))]),
        lambda n: {"d": "xyz"[n % 3]},
    ),
    "tensor": (pa.fixed_shape_tensor(pa.float32(), [2, 3]), lambda n: [float(n)] * 6),
    "bool8": (pa.bool8(), lambda n: n % 2),
    "opaque": (pa.opaque(pa.binary(), "kind", "maker"), lambda n: bytes([n % 256])),
}
ALL_TYPES = TYPES | MORE_TYPES


def array_of(kind: pa.DataType, values: Sequence[Any]) -> pa.Array:
    """Values as an array of a type, also of one that pyarrow makes no array of itself."""
    if isinstance(kind, pa.BaseExtensionType):
        return pa.ExtensionArray.from_storage(kind, pa.array(values, kind.storage_type))
    try:
        return pa.array(values, kind)
    except pa.ArrowNotImplementedError:
        return pa.array(values, transport_type(kind)).cast(kind)


def column_of(kind: pa.DataType, value: Callable[[int], Any], count: int) -> pa.Array:
    """A column of the values 0 to before `count`, of which every fifth is null."""
    return array_of(kind, [None if number % 5 == 0 else value(number) for number in range(count)])
