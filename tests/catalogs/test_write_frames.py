"""Catalogs written from tables of every kind: the same catalog, with the types that the table has."""

from __future__ import annotations

import errno
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.table import MaskedColumn, QTable, Table
from hats import read_hats
from hats.io.validation import is_valid_catalog

import skymargin
from skymargin import write_catalog
from skymargin.errors import StorageError
from tests.support.catalogs import file_bytes, files_of
from tests.support.samples import Capsule, scattered_stars

STARS = scattered_stars(400, seed=11).append_column("name", pa.array([f"star {n}" for n in range(400)]))


def rows_of(catalog: Path) -> pa.Table:
    tables = [pq.ParquetFile(file).read() for file in files_of(catalog).values()]
    return pa.concat_tables(tables).drop_columns(["_healpix_29"])


def astropy_table(table: pa.Table) -> Table:
    return Table({name: table[name].to_numpy() for name in table.column_names})


def swapped(column: pa.ChunkedArray) -> np.ndarray:
    """The values with their bytes in the other order, as FITS has them."""
    values: np.ndarray = column.to_numpy()
    return values.astype(values.dtype.newbyteorder())


@pytest.mark.parametrize(
    "convert",
    [
        lambda table: table.to_batches()[0],
        Capsule,
        pl.DataFrame,
        lambda table: pl.DataFrame(table).lazy(),
        lambda table: table.to_pandas(),
        lambda table: table.to_pandas().set_index("id"),
        lambda table: table.to_pandas().iloc[::-1].iloc[::-1],
        astropy_table,
        lambda table: table.to_pydict(),
        lambda table: {name: table[name].to_numpy() for name in table.column_names},
        lambda table: {name: pd.Series(table[name].to_numpy()) for name in table.column_names},
        lambda table: {name: table[name] for name in table.column_names},
        lambda table: pd.DataFrame({name: swapped(table[name]) for name in table.column_names}),
        lambda table: {name: pd.Series(swapped(table[name])) for name in table.column_names},
        lambda table: {name: swapped(table[name]) for name in table.column_names},
    ],
    ids=[
        "batch", "capsule", "polars", "lazy", "pandas", "pandas index", "pandas shuffled", "astropy", "lists", "arrays",
        "series", "columns", "swapped pandas", "swapped series", "swapped arrays",
    ],
)  # fmt: skip
def test_tables_of_every_kind(convert: Callable[[pa.Table], Any], tmp_path: Path) -> None:
    assert skymargin.write_catalog is write_catalog
    partitions = write_catalog(STARS, tmp_path / "expected", rows_per_partition=50)
    assert write_catalog(convert(STARS), tmp_path / "catalog", rows_per_partition=50) == partitions
    assert len(partitions) > 8
    expected, made = (rows_of(tmp_path / name) for name in ("expected", "catalog"))
    assert sorted(made.column_names) == sorted(expected.column_names)
    assert made.select(expected.column_names).to_pylist() == expected.to_pylist()
    assert is_valid_catalog(tmp_path / "catalog", strict=True)
    assert not any(b"pandas" in file for file in file_bytes(tmp_path / "catalog").values())


def test_columns_of_astropy_keep_units_masks_and_shapes(tmp_path: Path) -> None:
    table = QTable(
        {
            "RA": [3.0, 4.0, 5.0] * u.hourangle,
            "DE": MaskedColumn([60.0, 120.0, -60.0], unit=u.arcmin),
            "mag": MaskedColumn(np.array([1.5, 2.5, 3.5], ">f4"), mask=[False, True, False], unit=u.mag),
            "name": MaskedColumn(["a", "b", "c"], mask=[True, False, False]),
            "code": np.array([b"x", b"yy", b"z"]),
            "spectrum": np.arange(12, dtype=">i2").reshape(3, 2, 2),
            "flag": [True, False, True],
            "speed": [1.0, 2.0, 3.0] * u.km / u.s,
        }
    )
    write_catalog(table, tmp_path / "c", ra_column="RA", dec_column="DE")
    rows = rows_of(tmp_path / "c").sort_by("RA")
    assert rows["RA"].to_pylist() == pytest.approx([45.0, 60.0, 75.0])
    assert rows["DE"].to_pylist() == pytest.approx([1.0, 2.0, -1.0])
    assert rows["mag"].to_pylist() == [1.5, None, 3.5]
    assert rows["name"].to_pylist() == [None, "b", "c"]
    assert rows["code"].to_pylist() == ["x", "yy", "z"]
    assert rows["spectrum"].to_pylist() == [[[0, 1], [2, 3]], [[4, 5], [6, 7]], [[8, 9], [10, 11]]]
    assert rows["flag"].to_pylist() == [True, False, True]
    assert rows.schema.field("mag").type == pa.float32()
    units = {field.name: (field.metadata or {}).get(b"unit") for field in rows.schema}
    assert units == {
        "RA": b"deg", "DE": b"deg", "mag": b"mag", "name": None, "code": None, "spectrum": None, "flag": None,
        "speed": b"km / s",
    }  # fmt: skip
    assert read_hats(tmp_path / "c").catalog_info.ra_column == "RA"


def test_rows_of_one_index_are_sorted_by_columns(tmp_path: Path) -> None:
    random = np.random.default_rng(5)
    observed = pa.table(
        {
            "time": random.permutation(600),
            "band": random.choice(["g", "r"], 600),
            "ra": np.repeat(np.arange(6) * 60.0, 100),
            "dec": np.zeros(600),
        }
    )
    write_catalog(observed, tmp_path / "plain", catalog_type="source")
    plain, given = (table.to_pandas() for table in (rows_of(tmp_path / "plain"), observed))
    for ra_deg, source in plain.groupby("ra"):
        assert source["time"].tolist() == given[given["ra"] == ra_deg]["time"].tolist()
    write_catalog(observed, tmp_path / "c", sort_columns=["band", "time"], catalog_type="source")
    rows = rows_of(tmp_path / "c").to_pandas()
    for _, source in rows.groupby("ra"):
        assert len(source) == 100
        pd.testing.assert_frame_equal(source, source.sort_values(["band", "time"]))
    assert read_hats(tmp_path / "c").catalog_info.catalog_type == "source"


def test_further_properties(tmp_path: Path) -> None:
    properties = {"hats_cols_default": "id ra dec", "creator_did": "ivo://x/y"}
    write_catalog(STARS, tmp_path / "c", properties=properties, rows_per_partition=np.int64(100))
    text = (tmp_path / "c" / "hats.properties").read_text()
    assert "hats_cols_default=id ra dec" in text
    assert "creator_did=ivo://x/y" in text
    assert "hats_max_rows=100" in text


@pytest.mark.parametrize(
    "convert", [lambda table: table, pl.DataFrame, lambda t: t.to_pandas(), astropy_table]
)
@pytest.mark.parametrize(
    ("ra", "dec", "message"),
    [
        (
            [1.0, 2.0, 400.0],
            [0.0, 0.0, 0.0],
            r"row 2: RAJ2000 400.*RAJ2000 must be -360 to 360 degrees and DEJ2000",
        ),
        ([1.0, 2.0, 3.0], [0.0, 95.0, 0.0], r"row 1: RAJ2000 2, DEJ2000 95 is not a position"),
        (
            ["a", "b", "c"],
            [0.0, 0.0, 0.0],
            r"ra_column 'RAJ2000' is of type (large_)?string(_view)?: it must have num",
        ),
    ],
)
def test_errors_have_the_names_of_the_columns(
    ra: list[Any], dec: list[Any], message: str, convert: Callable[[pa.Table], Any], tmp_path: Path
) -> None:
    table = convert(pa.table({"RAJ2000": ra, "DEJ2000": dec}))
    with pytest.raises(ValueError, match=message):
        write_catalog(table, tmp_path / "c", ra_column="RAJ2000", dec_column="DEJ2000")
    assert not (tmp_path / "c").exists()


def test_a_null_is_no_position(tmp_path: Path) -> None:
    table = pl.DataFrame({"lon": [1.0, None, None], "lat": [1.0, 2.0, 3.0]})
    with pytest.raises(
        skymargin.CoordinateError, match="2 of 3 rows have a null for lon, the first is row 1"
    ):
        write_catalog(table, tmp_path / "c", ra_column="lon", dec_column="lat")


@pytest.mark.parametrize(
    ("table", "options", "message"),
    [
        ({"ra": [1.0]}, {}, "dec_column: the table has no column 'dec'; it has ra"),
        ({"ra": [1.0], "dec": [1.0, 2.0]}, {}, "different numbers of rows: ra has 1, dec has 2"),
        ({"ra": "text", "dec": [1.0]}, {}, "column 'ra' is text, not a list or an array"),
        ({"ra": [1.0], "dec": [object()]}, {}, "column 'dec' cannot be an Arrow column"),
        ({1: [1.0]}, {}, "names of columns must be text, not 1"),
        (
            Table({"ra": [1.0], "dec": [1.0], "at": SkyCoord([1], [2], unit="deg")}),
            {},
            "'at' is of type SkyCoord",
        ),
        (
            pd.DataFrame({"ra": [1.0, 2.0], "dec": [1.0, 2.0], "mixed": [1, "x"]}, dtype=object),
            {},
            "cannot be an Arrow table: .*column mixed",
        ),
        (pd.Series([1.0]), {}, "the table must be a polars, pandas, pyarrow or astropy table, a dict of"),
        ([1.0], {}, "the table must be .*, not <class 'list'>"),
        (STARS, {"sort_columns": ["time"]}, "sort_columns: the table has no column 'time'"),
        (STARS, {"sort_columns": "id"}, "sort_columns 'id' is not allowed: it must be a list of columns"),
        (
            STARS.append_column("light", pa.array([[1]] * 400)),
            {"sort_columns": ["light"]},
            "rows cannot be sorted by sort_columns, light of type list",
        ),
        (STARS, {"rows_per_partition": 0}, "rows_per_partition 0 is not allowed"),
        (
            STARS,
            {"rows_per_partition": 1.5},
            "rows_per_partition 1.5 is not allowed: it must be a whole number",
        ),
        ({"ra": [], "dec": []}, {}, "the table has no rows: a catalog needs at least one"),
        (STARS, {"properties": "x"}, "properties must be a dict, not 'x'"),
        (
            STARS,
            {"catalog_type": "margin"},
            "catalog_type 'margin' is not allowed: it must be object or source",
        ),
        (STARS, {"properties": {"hats_nrows": 7}}, "properties must not contain 'hats_nrows'"),
        (STARS, {"properties": {"two words": 7}}, "'two words' is not the name of a property"),
    ],
)
def test_what_is_refused_is_named(table: Any, options: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        write_catalog(table, tmp_path / "c", **options)
    assert not (tmp_path / "c").exists()


def test_catalogs_are_written_to_this_machine() -> None:
    with pytest.raises(ValueError, match="memory://c is not allowed: a catalog is written to a local folder"):
        write_catalog(STARS, "memory://c")


def test_a_write_that_fails_names_the_catalog(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_arguments: object, **_options: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(pq, "write_table", full)
    catalog = tmp_path / "c"
    message = rf"^the catalog {re.escape(str(catalog))} cannot be written: \[Errno 28\] No space left"
    with pytest.raises(StorageError, match=message):
        write_catalog(STARS, catalog)


def test_a_file_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "c").write_text("mine")
    with pytest.raises(FileExistsError, match=f"{re.escape(str(tmp_path / 'c'))} is a file: "):
        write_catalog(STARS, tmp_path / "c")
    assert (tmp_path / "c").read_text() == "mine"


def test_a_relative_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sky").mkdir()
    monkeypatch.chdir(tmp_path / "sky")
    write_catalog(STARS, ".")
    assert read_hats(tmp_path / "sky").catalog_name == "sky"


def test_other_libraries_are_not_imported_for_it() -> None:
    code = """
import sys
import pyarrow as pa
from skymargin.catalogs.tables import arrow_table
arrow_table(pa.table({"ra": [1.0]}))
arrow_table({"ra": [1.0]})
print(sorted({"astropy", "pandas", "polars"} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    # pyarrow itself imports pandas when it converts objects of Python.
    assert done.stdout in ("[]\n", "['pandas']\n")
