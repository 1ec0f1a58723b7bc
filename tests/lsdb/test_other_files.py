"""Margins of stored catalogs whose files are not what their schema says, or hold rows without positions.

Where LSDB reads such a catalog, it has the margin that its rows make.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from skymargin.errors import PartitionReadError, PositionError
from tests.lsdb.conftest import lsdb
from tests.lsdb.frames import assert_same_margin, by_pixel, compute, quietly
from tests.support.catalogs import (
    MIXED_PARTITIONS,
    Layout,
    files_of,
    make_margin,
    rows_in_file,
    rows_of,
    sky_near_edges,
    with_values,
    write_catalog,
)

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")

THRESHOLD_ARCSEC = 60.0
# Whole base cells and pixels of order 1.
SKY = sky_near_edges(MIXED_PARTITIONS[:18], 1_500, 30.0, seed=11)
MARGINS = SKY.margins(THRESHOLD_ARCSEC)


def opened_with_margin(path: Path, **options: Any) -> Any:
    """The catalog with our margin, of which the scan reads what it can."""
    from skymargin.lsdb import with_margin

    catalog = quietly(lambda: with_margin(lsdb.open_catalog(path, **options), THRESHOLD_ARCSEC))
    assert type(catalog.margin._operation._source).__name__ == "StoredPartitions"
    return catalog


def computed_margin(path: Path, **options: Any) -> Any:
    """Our margin of the partitions as LSDB loads them."""
    from skymargin.lsdb import with_margin

    changed = quietly(lambda: lsdb.open_catalog(path, **options).map_partitions(lambda frame: frame))
    return with_margin(changed, THRESHOLD_ARCSEC).margin


def ids_of(margin: Any) -> dict[tuple[int, int], list[int]]:
    return {pixel: sorted(frame["id"].tolist()) for pixel, frame in by_pixel(margin).items()}


def expected_ids(without: Sequence[int] = ()) -> dict[tuple[int, int], list[int]]:
    """The ids of each margin by brute force, if some rows are left out."""
    left = {pixel: sorted(set(rows) - set(without)) for pixel, rows in MARGINS.items()}
    return {pixel: rows for pixel, rows in left.items() if rows}


def rewrite(path: Path, change: Callable[[pa.Table], pa.Table]) -> list[Path]:
    """Change every second file of a catalog, and nothing that describes it."""
    files = [file for _, file in sorted(files_of(path).items())][::2]
    for file in files:
        pq.write_table(change(rows_in_file(file)), file)
    return files


@pytest.mark.parametrize("wrong", [np.nan, -999.0])
@pytest.mark.parametrize("columns", [None, ["id"]])
def test_rows_without_a_position_that_filters_leave_out(
    wrong: float, columns: list[str] | None, tmp_path: Path
) -> None:
    bad = sorted({rows[0] for rows in MARGINS.values() if rows})[::3]
    assert len(bad) > 3
    table = rows_of(SKY, Layout())
    is_bad = np.isin(table["id"].to_numpy(), bad)
    for name in ("ra", "dec"):
        table = with_values(table, name, np.where(is_bad, wrong, table[name].to_numpy()))
    table = table.append_column("good", pa.array(~is_bad))
    write_catalog(tmp_path / "stars", SKY, Layout(), table)

    options = {"filters": [("good", "==", True)], "columns": columns}
    ours = opened_with_margin(tmp_path / "stars", **options)
    assert ids_of(ours.margin) == expected_ids(without=bad)
    assert_same_margin(ours.margin, computed_margin(tmp_path / "stars", **options))
    # Where they are loaded, nothing is known about them.
    for filters in (None, [("id", ">=", 0)]):
        with pytest.raises(PositionError, match=r"the partition of order \d, pixel \d+ of stars: .*ra"):
            compute(opened_with_margin(tmp_path / "stars", filters=filters).margin)


@pytest.mark.parametrize(
    "options",
    [{}, {"columns": ["mag", "id"]}, {"filters": [("mag", "<", 0.5)]}],
    ids=["all columns", "some columns", "a filter"],
)
@pytest.mark.parametrize("kind", ["none", "counted", "numbers", "named"])
def test_the_index_of_frames(kind: str, options: dict[str, Any], tmp_path: Path) -> None:
    """Without a spatial index, frames have the index that pandas stored."""
    layout = Layout(index_column=None)
    table = rows_of(SKY, layout).select(["id", "ra", "dec", "mag"]).replace_schema_metadata()
    numbers = 10_000 - np.arange(len(SKY))
    index = {"numbers": pd.Index(numbers), "named": pd.Index(numbers, name="number")}.get(kind)
    if kind != "none":
        table = pa.Table.from_pandas(
            table.to_pandas().set_axis(pd.RangeIndex(len(SKY)) if index is None else index)
        )
    write_catalog(tmp_path / "stars", SKY, layout, table)
    make_margin(tmp_path / "stars", tmp_path, THRESHOLD_ARCSEC)
    stored = quietly(
        lambda: lsdb.open_catalog(tmp_path / "stars", margin_cache=tmp_path / "margin", **options)
    )
    ours = opened_with_margin(tmp_path / "stars", **options).margin
    assert assert_same_margin(ours, computed_margin(tmp_path / "stars", **options)) > 100
    assert assert_same_margin(ours, stored.margin) > 100


@pytest.mark.parametrize("kind", [pa.float64(), pa.string()], ids=str)
def test_an_index_column_that_is_not_of_integers(kind: pa.DataType, tmp_path: Path) -> None:
    table = rows_of(SKY, Layout())
    place = table.schema.get_field_index("_healpix_29")
    column = table["_healpix_29"].cast(kind, safe=False)
    write_catalog(tmp_path / "stars", SKY, Layout(), table.set_column(place, "_healpix_29", column))
    ours = opened_with_margin(tmp_path / "stars").margin
    assert ids_of(ours) == expected_ids()
    assert_same_margin(ours, computed_margin(tmp_path / "stars"))
    # The order is that of the integers, which the stored column has lost.
    write_catalog(tmp_path / "right", SKY)
    right = by_pixel(opened_with_margin(tmp_path / "right").margin)
    for pixel, frame in by_pixel(ours).items():
        assert frame["id"].tolist() == right[pixel]["id"].tolist()


@pytest.mark.parametrize("columns", [None, ["id", "mag"]])
def test_files_that_lack_a_column(columns: list[str] | None, tmp_path: Path) -> None:
    write_catalog(tmp_path / "stars", SKY)
    write_catalog(tmp_path / "whole", SKY)
    changed = rewrite(tmp_path / "stars", lambda table: table.drop_columns(["mag", "name"]))
    lacking = {number for file in changed for number in rows_in_file(file)["id"].to_pylist()}
    assert 100 < len(lacking) < len(SKY) - 100

    ours = opened_with_margin(tmp_path / "stars", columns=columns).margin
    assert ids_of(ours) == expected_ids()
    assert_same_margin(ours, computed_margin(tmp_path / "stars", columns=columns))
    whole = by_pixel(opened_with_margin(tmp_path / "whole", columns=columns).margin)
    for pixel, frame in by_pixel(ours).items():
        expected = whole[pixel].copy()
        assert frame["id"].tolist() == expected["id"].tolist()
        missing = expected["mag"].isna() | expected["id"].isin(lacking)
        assert frame["mag"].isna().tolist() == missing.tolist()


def test_files_that_lack_the_index(tmp_path: Path) -> None:
    write_catalog(tmp_path / "stars", SKY)
    rewrite(tmp_path / "stars", lambda table: table.drop_columns(["_healpix_29"]))
    ours = opened_with_margin(tmp_path / "stars").margin
    assert ids_of(ours) == expected_ids()
    assert_same_margin(ours, computed_margin(tmp_path / "stars"))


def test_files_with_another_type(tmp_path: Path) -> None:
    """LSDB reads numbers that were stored as text."""
    write_catalog(tmp_path / "stars", SKY)
    write_catalog(tmp_path / "whole", SKY)

    def as_text(table: pa.Table) -> pa.Table:
        place = table.schema.get_field_index("id")
        return table.set_column(place, "id", table["id"].cast(pa.string()))

    rewrite(tmp_path / "stars", as_text)
    ours = opened_with_margin(tmp_path / "stars").margin
    assert_same_margin(ours, opened_with_margin(tmp_path / "whole").margin)


def test_a_file_that_lsdb_does_not_read_either(tmp_path: Path) -> None:
    """The error is that of the scan, which names the file."""
    write_catalog(tmp_path / "stars", SKY)

    def as_words(table: pa.Table) -> pa.Table:
        place = table.schema.get_field_index("mag")
        return table.set_column(place, "mag", table["name"])

    changed = rewrite(tmp_path / "stars", as_words)
    names = "|".join(str(file.relative_to(tmp_path)) for file in changed)
    with pytest.raises(PartitionReadError, match=f"({names}).*column 'mag'"):
        compute(opened_with_margin(tmp_path / "stars").margin)
