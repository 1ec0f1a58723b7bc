"""One list of types: what the build knows, the audit, polars and pictures know, for every type that Arrow has."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from matplotlib.figure import Figure
from pyarrow.types import TypesEnum

import skymargin.polars as smp
from skymargin import verify
from skymargin.arrow.kinds import KINDS, NUMBERS, Kind, kind_of
from skymargin.audit.digest import digests
from skymargin.audit.schemas import is_lossless
from skymargin.catalogs.catalog import require_numbers
from skymargin.catalogs.partition_reader import as_float64
from skymargin.errors import CatalogError
from skymargin.plot.figures import most_telling_pixel, plot_partition
from skymargin.polars.catalogs import is_known
from skymargin.polars.frames import rows_of as table_rows
from tests.build.test_types import SKY, THRESHOLD_ARCSEC, read
from tests.support.catalogs import Layout, files_of, ids_of, make_margin, rows_in, rows_of, write_catalog
from tests.support.column_types import TYPES, column_of

NOT_IN_PARQUET = {
    "INTERVAL_MONTH_DAY_NANO": pa.array([(1, 2, 3)], pa.month_day_nano_interval()),
    "RUN_END_ENCODED": pa.RunEndEncodedArray.from_arrays(pa.array([1], pa.int32()), pa.array([7])),
    "SPARSE_UNION": pa.UnionArray.from_sparse(pa.array([0], pa.int8()), [pa.array([1])]),
    "DENSE_UNION": pa.UnionArray.from_dense(
        pa.array([0], pa.int8()), pa.array([0], pa.int32()), [pa.array([1])]
    ),
}
# pyarrow cannot make these.
NOT_IN_PYARROW = {"INTERVAL_MONTHS", "INTERVAL_DAY_TIME"}


def types_in(data_type: pa.DataType) -> Iterator[pa.DataType]:
    if isinstance(data_type, pa.BaseExtensionType):
        data_type = data_type.storage_type
    yield data_type
    if pa.types.is_dictionary(data_type):
        yield from types_in(data_type.value_type)
    for number in range(data_type.num_fields):
        yield from types_in(data_type.field(number).type)


def test_the_list_has_all_types_of_arrow_and_each_is_tried() -> None:
    names = {member.value: name for name, member in TypesEnum.__members__.items()}
    assert set(names.values()) == set(KINDS)
    tried = {names[kind.id] for data_type, _ in TYPES.values() for kind in types_in(data_type)}
    assert tried == {name for name, kind in KINDS.items() if kind is not Kind.NOT_IN_PARQUET}
    assert NOT_IN_PYARROW | NOT_IN_PARQUET.keys() == set(KINDS) - tried


@pytest.mark.parametrize("name", NOT_IN_PARQUET)
def test_types_that_parquet_does_not_have_are_refused_by_all(name: str, tmp_path: Path) -> None:
    array = NOT_IN_PARQUET[name]
    assert kind_of(array.type) is Kind.NOT_IN_PARQUET
    with pytest.raises(pa.ArrowException):
        pq.write_table(pa.table({"column": array}), tmp_path / "file")
    with pytest.raises(TypeError, match="Parquet has no such type"):
        digests(array)


@dataclass(frozen=True)
class Work:
    catalog: Path
    margin: Path


def write_types(folder: Path, names: Iterable[str]) -> Work:
    """Write a catalog with a column of each of some types, and its margin."""
    table = rows_of(SKY, Layout())
    for name in names:
        table = table.append_column(f"of {name}", column_of(*TYPES[name], len(SKY)))
    write_catalog(folder / "stars", SKY, table=table)
    # No embedded schema of these contradicts its columns.
    assert make_margin(folder / "stars", folder, THRESHOLD_ARCSEC).hints_ignored == 0
    return Work(folder / "stars", folder / "margin")


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Work:
    """A catalog with a column of every type, and its margin."""
    return write_types(tmp_path_factory.mktemp("types"), TYPES)


def test_the_build_knows_every_type(work: Work) -> None:
    assert ids_of(work.margin) == SKY.margins(THRESHOLD_ARCSEC)
    primary = {row["id"]: repr(row) for file in files_of(work.catalog).values() for row in read(file)}
    for file in files_of(work.margin).values():
        assert all(repr(row) == primary[row["id"]] for row in read(file))


def test_the_audit_knows_every_type(work: Work) -> None:
    report = verify(work.margin, work.catalog)
    assert report.right, report.summary()
    # A value of any type that differs is found, by the name of its column.
    file = max(files_of(work.margin).values(), key=lambda file: pq.read_metadata(file).num_rows)
    rows = pq.ParquetFile(file).read()
    written = file.read_bytes()
    changed = pa.Table.from_arrays(
        [
            column.take(pa.array(np.roll(np.arange(len(rows)), 1))) if is_changed(name) else column
            for name, column in zip(rows.column_names, rows.columns, strict=True)
        ],
        schema=rows.schema,
    )
    try:
        pq.write_table(changed, file)
        report = verify(work.margin, work.catalog)
        found = {name for fault in report.faults for name in fault.note.removeprefix("in ").split(", ")}
        assert found >= {name for name in rows.column_names if is_changed(name)}
    finally:
        file.write_bytes(written)


def is_changed(name: str) -> bool:
    """Whether the test of the audit changes a column: pyarrow takes no rows of views."""
    return name.startswith("of ") and not any(part in name for part in ("view", "null", "float"))


# Types without a counterpart in polars, and what is said of them.
NOT_IN_POLARS = {
    "decimal256": r"column 'of decimal256' is of type decimal256\(40, 1\), which polars does not know",
    "list_view": r"column 'of list_view' is of type list_view<.*, which polars does not know",
    "large_list_view": r"column 'of large_list_view' is of type large_list_view<",
    "nested_list_view": r"column 'of nested_list_view' is of type struct<",
}


def test_polars_reads_what_pyarrow_reads(tmp_path: Path) -> None:
    known = write_types(tmp_path, [name for name in TYPES if name not in NOT_IN_POLARS])
    frame = smp.read_margin(known.margin)
    rows = rows_in(known.margin)
    assert sorted(frame["id"].to_list()) == sorted(rows.column("id").to_pylist())
    for name in TYPES.keys() - NOT_IN_POLARS:
        assert frame[f"of {name}"].null_count() == rows.column(f"of {name}").null_count, name


@pytest.mark.parametrize("name", NOT_IN_POLARS)
def test_what_polars_does_not_know_is_refused(name: str, tmp_path: Path) -> None:
    unknown = write_types(tmp_path, [name])
    with pytest.raises(CatalogError, match=NOT_IN_POLARS[name]):
        smp.scan_margin(unknown.margin)


def test_polars_has_every_type_of_the_list() -> None:
    known = {name for name, (kind, _) in TYPES.items() if is_known(kind)}
    assert known == TYPES.keys() - NOT_IN_POLARS
    assert not any(is_known(array.type) for array in NOT_IN_PARQUET.values())
    wide = pa.decimal256(40, 1)
    nested = [pa.dictionary(pa.int8(), wide), pa.map_(pa.string(), wide), pa.list_(wide, 2)]
    assert not any(
        map(is_known, [*nested, pa.struct([("x", pa.large_list(wide))]), pa.opaque(wide, "a", "b")])
    )


@pytest.mark.parametrize("name", TYPES)
def test_rows_of_tables_in_memory_are_taken(name: str) -> None:
    kind, value = TYPES[name]
    table = pa.table({"column": column_of(kind, value, 40)})
    taken = table_rows(table).take(pa.array([3, 0, 39])).frame
    assert taken.schema == table.schema
    assert repr(taken.column(0).to_pylist()) == repr([table.column(0)[row].as_py() for row in (3, 0, 39)])


def test_pictures_know_every_type(work: Work) -> None:
    pixel = most_telling_pixel(work.margin, primary=work.catalog)
    assert isinstance(plot_partition(work.margin, pixel, primary=work.catalog), Figure)


@pytest.mark.parametrize("name", TYPES)
def test_coordinates_are_of_the_types_that_become_floats(name: str, tmp_path: Path) -> None:
    kind, value = TYPES[name]
    schema = pa.schema([("ra", kind)])
    is_read = kind_of(kind) in NUMBERS and not pa.types.is_decimal256(kind)
    if not is_read:
        with pytest.raises(CatalogError, match="'ra' as the ra column, which is of type"):
            require_numbers(schema, "ra", "ra", tmp_path)
        return
    require_numbers(schema, "ra", "ra", tmp_path)
    values = [None, *(value(number) for number in range(1, 30)), None]
    if name in ("int64", "uint64"):
        values = [None if number is None else number % 2**52 for number in values]
    table = pa.table({"ra": pa.chunked_array([pa.array(values, kind).slice(1), pa.array(values, kind)])})
    expected = [float("nan") if number is None else float(number) for number in [*values[1:], *values]]
    np.testing.assert_array_equal(as_float64(table, "ra"), expected)


def test_decimals_are_the_nearest_floats() -> None:
    random = np.random.default_rng(5)
    units = random.integers(-(10**17), 10**17, 2000).tolist()
    for scale in (0, 3, 15, 22):
        values = [Decimal(unit).scaleb(-scale) for unit in units]
        table = pa.table({"dec": pa.array(values, pa.decimal128(38, scale))})
        np.testing.assert_array_equal(as_float64(table, "dec"), [float(value) for value in values])


def test_decimals_with_more_places_are_no_coordinates(tmp_path: Path) -> None:
    schema = pa.schema([("ra", pa.decimal128(38, 23))])
    with pytest.raises(CatalogError, match="not a decimal of at most 128 bits and 0 to 22 places"):
        require_numbers(schema, "ra", "ra", tmp_path)


def test_types_without_loss() -> None:
    for name, (kind, _) in TYPES.items():
        assert is_lossless(kind, kind), name
    assert is_lossless(pa.list_view(pa.int8()), pa.large_list(pa.int16()))
    assert not is_lossless(pa.string(), pa.binary())
    assert not is_lossless(pa.timestamp("ns"), pa.timestamp("us"))
    assert not is_lossless(pa.float32(), pa.int64())
