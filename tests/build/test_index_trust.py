"""An index that contradicts the coordinates far from every margin: what statistics show of it is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from skymargin import pipeline
from skymargin.errors import PositionError
from tests.support.catalogs import Layout, Sky, arguments_of, rows_of, sky_at, write_catalog
from tests.support.hipscat_catalogs import INDEX, table_of, write_hipscat_catalog

THRESHOLD_ARCSEC = 60.0
PARTITIONS = ((0, 5), (0, 6))
ROWS = 2_000
PAGES = {"write_page_index": True, "data_page_size": 256, "write_batch_size": 50, "use_dictionary": False}


def middle_of_a_partition() -> Sky:
    """Rows in the middle of base cell 5, none of them near its edges."""
    random = np.random.default_rng(15)
    return sky_at(PARTITIONS, random.uniform(75.0, 105.0, ROWS), random.uniform(-15.0, 15.0, ROWS))


SKY = middle_of_a_partition()


def swapped(table: pa.Table, one: int, other: int) -> pa.Table:
    """Give two rows each other's position, and leave their index values."""
    order = np.arange(len(table))
    order[[one, other]] = order[[other, one]]
    for name in ("ra", "dec"):
        place = table.schema.get_field_index(name)
        values = table.column(name).combine_chunks().take(pa.array(order))
        table = table.set_column(place, table.schema.field(place), values)
    return table


def written(folder: Path, layout: Layout, *rows: int) -> Path:
    table = rows_of(SKY, layout)
    write_catalog(folder / "stars", SKY, layout, swapped(table, *rows) if rows else table)
    return folder / "stars"


def make(catalog: Any, folder: Path, **arguments: Any) -> Any:
    return pipeline(arguments_of(catalog, folder / "out", THRESHOLD_ARCSEC, **arguments))


# Where the statistics are that show it: of pages, or of row groups.
SHOWN = {
    "pages": Layout(options=PAGES, row_group_rows=ROWS),
    "row groups": Layout(row_group_rows=50),
    "float32": Layout(options=PAGES, row_group_rows=ROWS, coordinates=pa.float32()),
    "index of order 13": Layout(options=PAGES, index_column="healpix13", index_order=13),
    "unsorted, in one partition": Layout(row_group_rows=50, index_sorted=False),
}


@pytest.mark.parametrize("name", SHOWN)
def test_right_statistics_are_not_doubted(name: str, tmp_path: Path) -> None:
    report = make(written(tmp_path, SHOWN[name]), tmp_path)
    assert (report.rows, report.hints_ignored) == (0, 0)


@pytest.mark.parametrize("name", [name for name in SHOWN if not name.startswith("unsorted")])
@pytest.mark.parametrize("is_remote", [False, True], ids=["disk", "store"])
def test_rows_that_lie_elsewhere_in_their_partition(name: str, is_remote: bool, tmp_path: Path) -> None:
    catalog: Any = written(tmp_path, SHOWN[name], 300, 1_700)
    if is_remote:
        fsspec.filesystem("memory").put(str(catalog), f"/trust-{tmp_path.name}", recursive=True)
        catalog = f"memory://trust-{tmp_path.name}"
    with pytest.raises(PositionError) as caught:
        make(catalog, tmp_path)
    message = str(caught.value)
    assert message.startswith(f"{catalog}/dataset/Norder=0/Dir=0/Npix=5.parquet: ")
    assert "lie more than 0.2 arcsec from the pixel of their index value; the first is row " in message
    assert " row 300: " in message or " row 1700: " in message
    assert not (tmp_path / "out/margin").exists()


def test_rows_of_hipscat_catalogs(tmp_path: Path) -> None:
    pytest.importorskip("hipscat")
    table = table_of(SKY)
    assert table.column_names[-1] == INDEX
    write_hipscat_catalog(tmp_path / "right", SKY, row_group_rows=50)
    assert make(tmp_path / "right", tmp_path, name="right").hints_ignored == 0
    write_hipscat_catalog(tmp_path / "wrong", SKY, swapped(table, 300, 1_700), row_group_rows=50)
    with pytest.raises(PositionError, match=r"Npix=5\.parquet: .* of their index value; the first is row "):
        make(tmp_path / "wrong", tmp_path)


HIDDEN = {
    "no statistics": Layout(row_group_rows=50, statistics=False),
    # Within the bounds of all rows.
    "one row group without page index": Layout(row_group_rows=ROWS),
}


@pytest.mark.parametrize("name", HIDDEN)
def test_what_no_statistics_show_takes_check_index(name: str, tmp_path: Path) -> None:
    catalog = written(tmp_path, HIDDEN[name], 300, 1_700)
    make(catalog, tmp_path)
    with pytest.raises(PositionError, match="row 300: "):
        make(catalog, tmp_path, name="checked", check_index=True)


def test_an_index_is_what_a_coarse_margin_goes_by(tmp_path: Path) -> None:
    catalog = written(tmp_path, SHOWN["pages"], 300, 1_700)
    make(catalog, tmp_path, fine_filtering=False, margin_order=8)


def test_rows_outside_their_partition_are_found_by_the_footer(tmp_path: Path) -> None:
    table = rows_of(SKY, Layout())
    away = table.column("dec").to_numpy().copy()
    away[900] = 80.0
    table = table.set_column(2, table.schema.field(2), pa.array(away))
    write_catalog(tmp_path / "stars", SKY, Layout(row_group_rows=ROWS), table)
    file = tmp_path / "stars/dataset/Norder=0/Dir=0/Npix=5.parquet"
    assert pq.read_metadata(file).row_group(0).column(2).statistics.max == 80.0
    with pytest.raises(PositionError, match=r"1 of .* row 900: ra .*, dec 80, "):
        make(tmp_path / "stars", tmp_path)
