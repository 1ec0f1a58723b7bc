"""The number of rows at the head of a footer, against what pyarrow reads there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from skymargin.catalogs.row_counts import check_stated, rows_in_metadata, stated_rows
from skymargin.errors import CatalogError


@pytest.mark.parametrize("columns", [1, 14, 15, 16, 300, 5_000])
def test_rows_of_footers_of_any_width(tmp_path: Path, columns: int) -> None:
    file = tmp_path / "_metadata"
    fields = {f"a_rather_long_name_{number}": pa.array(np.arange(77)) for number in range(columns)}
    pq.write_table(pa.table(fields), file)
    (statement,) = rows_in_metadata(tmp_path, {"_metadata": file.stat().st_size})
    assert (statement.file, statement.rows) == (file, pq.read_metadata(file).num_rows)
    assert statement.rows == 77


def test_every_flip_of_a_head_is_a_number_or_an_error(tmp_path: Path) -> None:
    file = tmp_path / "_metadata"
    pq.write_metadata(pa.schema([("ra", pa.float64()), ("name", pa.list_(pa.string()))]), file)
    whole = file.read_bytes()
    refused = 0
    for at in range(len(whole)):
        for mask in (0x01, 0x10, 0x80, 0xFF):
            file.write_bytes(whole[:at] + bytes([whole[at] ^ mask]) + whole[at + 1 :])
            try:
                rows_in_metadata(tmp_path, {"_metadata": len(whole)})
            except CatalogError:
                refused += 1
    assert refused > 50


def test_a_catalog_may_be_without(tmp_path: Path) -> None:
    assert rows_in_metadata(tmp_path, {}) == []
    assert rows_in_metadata(tmp_path, None) == []
    assert stated_rows(tmp_path / "properties", "hats_nrows", None) == []
    (stated,) = stated_rows(tmp_path / "properties", "hats_nrows", "120.0")
    assert stated.rows == 120
    with pytest.raises(CatalogError, match=r"hats_nrows=120\.5: allowed are whole numbers"):
        stated_rows(tmp_path / "properties", "hats_nrows", "120.5")


def test_statements_that_differ(tmp_path: Path) -> None:
    (stated,) = stated_rows(tmp_path / "hats.properties", "hats_nrows", " 12 ")
    (contradicting,) = stated_rows(tmp_path / "catalog_info.json", "total_rows", 13)
    check_stated([])
    check_stated([stated, stated])
    with pytest.raises(CatalogError, match=r"hats_nrows=12, but .*total_rows=13"):
        check_stated([stated, contradicting])
