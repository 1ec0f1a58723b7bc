"""Every type of column goes from the catalog to its margin bit for bit, and partitions may drift a little."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from skymargin.arrow.transport import from_transport, to_transport, transport_type
from skymargin.errors import PartitionReadError
from tests.support.catalogs import (
    MIXED_PARTITIONS,
    Layout,
    files_of,
    fullest,
    make_margin,
    rows_in_file,
    rows_of,
    sky_near_edges,
    write_catalog,
)
from tests.support.workspace import made_in

THRESHOLD_ARCSEC = 60.0
SKY = sky_near_edges(MIXED_PARTITIONS, rows=300, reach_arcsec=THRESHOLD_ARCSEC, seed=12)

# Value number n of each type; every fifth is null.
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


def column_of(kind: pa.DataType, value: Callable[[int], Any], count: int) -> pa.Array:
    values = [None if number % 5 == 0 else value(number) for number in range(count)]
    if isinstance(kind, pa.BaseExtensionType):
        return pa.ExtensionArray.from_storage(kind, pa.array(values, kind.storage_type))
    try:
        return pa.array(values, kind)
    except pa.ArrowNotImplementedError:
        return pa.array(values, transport_type(kind)).cast(kind)


def read(file: Path) -> list[dict[str, Any]]:
    """Rows of a file; floats as their bits, since a NaN is not equal to itself."""
    table = rows_in_file(file)
    at = table.schema.get_field_index("float")
    if at >= 0:
        table = table.set_column(at, "float", table.column(at).combine_chunks().view(pa.int32()))
    return table.to_pylist()


def test_every_type_arrives_bit_for_bit(tmp_path: Path) -> None:
    table = rows_of(SKY, Layout())
    for name, (kind, value) in TYPES.items():
        column = column_of(kind, value, len(SKY))
        table = table.append_column(pa.field(name, column.type, metadata={"of": name}), column)
    # One row group a file: pyarrow cannot cut views inside structs.
    work = made_in(tmp_path, SKY, THRESHOLD_ARCSEC, table=table)
    assert work.ids == SKY.margins(THRESHOLD_ARCSEC)
    primary = {row["id"]: row for file in work.file_of.values() for row in read(file)}
    schema = pq.read_schema(work.catalog / "dataset" / "_common_metadata")
    for file in work.files.values():
        assert pq.read_schema(file).equals(schema, check_metadata=True)
        for row in read(file):
            assert row == primary[row["id"]]


def test_a_column_that_may_not_be_null_stays_so(tmp_path: Path) -> None:
    table = rows_of(SKY, Layout())
    fields = [
        field.with_nullable(field.name in ("mag", "name", "note", "curve", "band")) for field in table.schema
    ]
    schema = pa.schema(fields, metadata=table.schema.metadata)
    work = made_in(tmp_path, SKY, THRESHOLD_ARCSEC, table=table.cast(schema))
    kept = pq.read_schema(work.catalog / "dataset" / "_common_metadata")
    assert not kept.field("id").nullable
    for file in work.files.values():
        assert pq.read_schema(file).equals(kept, check_metadata=True)


@pytest.mark.parametrize(
    "name", ["index", "position", "row", "source_order", "margin_order", "a.b", "Norder", "Npix", "Dir", ""]
)
def test_a_catalog_may_have_columns_of_any_name(name: str, tmp_path: Path) -> None:
    table = rows_of(SKY, Layout()).append_column(name, pa.array(np.arange(len(SKY)) * 3))
    work = made_in(tmp_path, SKY, THRESHOLD_ARCSEC, table=table)
    place = {number: at for at, number in enumerate(table.column("id").to_pylist())}
    rows = 0
    for file in work.files.values():
        margin = rows_in_file(file)
        assert margin.column_names == table.column_names
        assert margin.column(name).to_pylist() == [
            3 * place[number] for number in margin.column("id").to_pylist()
        ]
        rows += len(margin)
    assert rows > 50


DRIFTS = {
    "null to text": ("name", pa.null()),
    "narrow to wide integer": ("id", pa.int16()),
    "narrow to wide float": ("ra", pa.float32()),
    "dictionary to text": ("name", pa.dictionary(pa.int32(), pa.string())),
    "text to dictionary": ("band", pa.string()),
    "text to large text": ("name", pa.large_string()),
}


@pytest.mark.parametrize("name", DRIFTS)
def test_a_partition_that_drifts_without_loss_is_cast(name: str, tmp_path: Path) -> None:
    column, kind = DRIFTS[name]
    write_catalog(tmp_path / "catalog", SKY)
    schema = pq.read_schema(tmp_path / "catalog" / "dataset" / "_common_metadata")
    for file in sorted(files_of(tmp_path / "catalog").values())[::2]:
        rows = rows_in_file(file)
        at = rows.schema.get_field_index(column)
        changed = pa.nulls(len(rows)) if pa.types.is_null(kind) else rows.column(at).cast(kind, safe=False)
        # The column may also be in another place.
        pq.write_table(rows.remove_column(at).append_column(column, changed), file)
    make_margin(tmp_path / "catalog", tmp_path, THRESHOLD_ARCSEC)
    for file in files_of(tmp_path / "margin").values():
        assert pq.read_schema(file).equals(schema, check_metadata=True)


@pytest.mark.parametrize(
    ("column", "kind"),
    [
        ("id", pa.float64()),
        ("id", pa.uint64()),
        ("mag", pa.float64()),
        ("seen", pa.int64()),
        ("seen", pa.timestamp("us")),
        ("curve", pa.string()),
        ("curve", pa.list_(pa.int64())),
        ("curve", pa.struct([("other", pa.float64())])),
    ],
)
def test_a_partition_that_drifts_with_loss_is_refused(column: str, kind: pa.DataType, tmp_path: Path) -> None:
    write_catalog(tmp_path / "catalog", SKY)
    file = fullest(tmp_path / "catalog")
    rows = rows_in_file(file)
    at = rows.schema.get_field_index(column)
    pq.write_table(rows.set_column(at, column, pa.array([None] * len(rows), kind)), file)
    with pytest.raises(PartitionReadError, match=f"'{column}'") as caught:
        make_margin(tmp_path / "catalog", tmp_path, THRESHOLD_ARCSEC)
    assert str(file) in str(caught.value)


@pytest.mark.parametrize("name", TYPES)
def test_carried_rows_come_back_as_they_were(name: str) -> None:
    kind, value = TYPES[name]
    column = column_of(kind, value, 50)
    field = pa.field("column", column.type, nullable=True, metadata={"unit": "none"})
    table = pa.Table.from_arrays([column], schema=pa.schema([field], metadata={"key": "value"}))
    sent = to_transport(table)
    assert sent.num_rows == sent.take(pa.array(range(50))).num_rows
    back = from_transport(sent, table.schema)
    assert back.schema.equals(table.schema, check_metadata=True)
    assert back.column(0).combine_chunks().equals(column) or name == "float"
