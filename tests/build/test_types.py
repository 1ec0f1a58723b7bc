"""Every type of column goes from the catalog to its margin bit for bit, and partitions may drift a little."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from skymargin import verify
from skymargin.arrow.transport import from_transport, to_transport
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
from tests.support.column_types import TYPES, column_of
from tests.support.workspace import Workspace, made_in

THRESHOLD_ARCSEC = 60.0
SKY = sky_near_edges(MIXED_PARTITIONS, rows=300, reach_arcsec=THRESHOLD_ARCSEC, seed=12)


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


def test_what_is_never_null_may_be_in_structs_that_are(tmp_path: Path) -> None:
    """The struct between, which is not null itself, has nulls where the one around it is null."""
    inner = pa.struct([pa.field("x", pa.int32(), nullable=False), pa.field("text", pa.string())])
    outer = pa.struct([pa.field("inner", inner, nullable=False)])
    whole = {"inner": {"x": 7, "text": "a"}}
    seen = pa.struct([pa.field("at", pa.timestamp("ns"), nullable=False)])
    columns = {
        "plain": (outer, whole),
        "listed": (pa.list_(outer), [whole, None, {"inner": {"x": -1, "text": None}}]),
        "large": (pa.large_list(outer), [None, whole]),
        "fixed": (pa.list_(outer, 2), [None, whole]),
        "mapped": (pa.map_(pa.string(), outer), [("a", None), ("b", whole)]),
        "deep": (
            pa.list_(pa.struct([pa.field("listed", pa.list_(outer))])),
            [{"listed": [None, whole]}, None],
        ),
        "times": (seen, {"at": 1_000}),
    }
    table = rows_of(SKY, Layout()).drop_columns(["seen"])
    for name, (kind, value) in columns.items():
        values = [None if number % 4 == 0 else value for number in range(len(SKY))]
        table = table.append_column(name, pa.array(values, kind))
    layout = Layout(options={"use_deprecated_int96_timestamps": True}, without=("_metadata",))
    work = made_in(tmp_path, SKY, THRESHOLD_ARCSEC, layout, table=table)
    primary = {row["id"]: row for file in work.file_of.values() for row in read(file)}
    for file in work.files.values():
        for row in read(file):
            assert row == primary[row["id"]]


@pytest.mark.parametrize("has_schema", [True, False])
def test_logical_types_of_files_without_an_arrow_schema(has_schema: bool, tmp_path: Path) -> None:
    """They are extension types, as in the rows that pyarrow reads."""
    table = rows_of(SKY, Layout())
    table = table.append_column("code", pa.array([n.to_bytes(16, "big") for n in range(len(SKY))], pa.uuid()))
    table = table.append_column("about", pa.array([f'{{"n": {n}}}' for n in range(len(SKY))], pa.json_()))
    options = {"store_schema": False}
    layout = Layout(options=options, without=() if has_schema else ("_common_metadata", "_metadata"))
    work = made_in(tmp_path, SKY, THRESHOLD_ARCSEC, layout, table=table)
    rows = {row["id"]: row for file in work.file_of.values() for row in read(file)}
    for file in work.files.values():
        schema = pq.ParquetFile(file).schema_arrow
        assert (schema.field("code").type, schema.field("about").type) == (pa.uuid(), pa.json_())
        for row in read(file):
            assert row == rows[row["id"]]


@pytest.mark.parametrize("storage", [pa.string_view(), pa.large_string()])
@pytest.mark.parametrize("store_schema", [True, False])
def test_an_extension_type_may_be_stored_in_any_type(
    storage: pa.DataType, store_schema: bool, tmp_path: Path
) -> None:
    values = pa.array([f'{{"n": {n}}}' if n % 3 else None for n in range(len(SKY))], pa.string())
    stored = pa.ExtensionArray.from_storage(pa.json_(storage), values.cast(storage))
    table = rows_of(SKY, Layout()).append_column("about", stored)
    layout = Layout(options={"store_schema": store_schema}, without=("_metadata",))
    work = made_in(tmp_path, SKY, THRESHOLD_ARCSEC, layout, table=table)
    assert work.ids == SKY.margins(THRESHOLD_ARCSEC)
    report = verify(work.margin, work.catalog, progress_bar=False)
    assert report.right, report.summary()


@pytest.mark.parametrize("name", ["ra", "dec", "_healpix_29"])
def test_positions_may_be_dictionaries_of_arrow(name: str, tmp_path: Path) -> None:
    """Of numbers, pyarrow reads them as their values."""
    write_catalog(tmp_path / "stars", SKY, Layout(without=("_metadata",)))
    work = Workspace(tmp_path / "stars", tmp_path / "out", THRESHOLD_ARCSEC)
    for file in work.file_of.values():
        table = rows_in_file(file)
        packed = table.column(name).combine_chunks().dictionary_encode()
        pq.write_table(table.set_column(table.column_names.index(name), name, packed), file)
    work.make()
    assert work.ids == SKY.margins(THRESHOLD_ARCSEC)
    assert verify(work.margin, work.catalog, progress_bar=False).right


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
