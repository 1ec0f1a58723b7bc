"""Parquet files of the core are those of pyarrow, as polars, DuckDB and the `hats` library read them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pyarrow as pa
import pytest
from hats.io.file_io import read_parquet_file_to_pandas

from tests.catalogs.parquet_pairs import MISCOUNTED, WAYS, both
from tests.support.column_types import ALL_TYPES, column_of

# polars panics at a file with list views.
NAMES = [name for name in ALL_TYPES if name not in MISCOUNTED and "list_view" not in name]
TABLE = pa.table([column_of(*ALL_TYPES[name], 300) for name in NAMES], names=NAMES)
# Version 1.0 and 2.4 refuse nanoseconds, and pyarrow cannot cut views inside structs into row groups.
READ_WAYS = [way for way in WAYS if not {"version", "row_group_size"} & WAYS[way].keys()]
# What does not depend on which library wrote the file.
CHUNK = (
    "row_group_id, row_group_num_rows, row_group_num_columns, column_id, num_values, path_in_schema, type, "
    "stats_min, stats_max, stats_null_count, stats_distinct_count, stats_min_value, stats_max_value, compression"
)
QUERIES = {
    "schema": "FROM parquet_schema('{}') SELECT * EXCLUDE (file_name)",
    "metadata": f"FROM parquet_metadata('{{}}') SELECT {CHUNK}",
    "keys": "FROM parquet_kv_metadata('{}') SELECT key, value",
}

Files = tuple[Path, Path]


@pytest.fixture(scope="module", params=READ_WAYS)
def files(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Files:
    folder = tmp_path_factory.mktemp("files")
    paths = folder / "before.parquet", folder / "after.parquet"
    for path, content in zip(paths, both(TABLE, WAYS[request.param]), strict=True):
        path.write_bytes(content)
    return paths


def outcome(read: Callable[[Path, str], Any], file: Path, name: str) -> Any:
    """What a reader makes of a column, or the name of its error."""
    try:
        return read(file, name)
    except (Exception, pl.exceptions.PanicException) as error:
        return type(error).__name__


def by_polars(file: Path, name: str) -> Any:
    frame = pl.read_parquet(file, columns=[name])
    return frame.schema, frame.rows().__repr__()


def by_duckdb(file: Path, name: str) -> Any:
    result = duckdb.sql(f"SELECT \"{name}\" FROM '{file}'")
    return [str(kind) for kind in result.types], repr(result.fetchall())


def by_hats(file: Path, name: str) -> Any:
    frame = read_parquet_file_to_pandas(str(file), columns=[name])
    return str(frame.dtypes), frame.to_string()


@pytest.mark.parametrize("read", [by_polars, by_duckdb, by_hats])
def test_readers_see_the_rows_of_pyarrows_file(read: Callable[[Path, str], Any], files: Files) -> None:
    known = 0
    for name in NAMES:
        before, after = (outcome(read, file, name) for file in files)
        assert after == before, name
        known += not isinstance(before, str)
    # A few types are unknown to each reader.
    assert known > 0.8 * len(NAMES)


@pytest.mark.parametrize("query", QUERIES)
def test_duckdb_sees_the_metadata_of_pyarrows_file(query: str, files: Files) -> None:
    before, after = (duckdb.sql(QUERIES[query].format(file)).fetchall() for file in files)
    assert after == before
    assert len(after) >= (1 if query == "keys" else len(NAMES))
