"""The writer of HATS catalogs, against what the `hats` library reads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hats import read_hats
from hats.io.validation import is_valid_catalog
from hats.pixel_math import spatial_index

from skymargin.catalogs.write_catalog import write_catalog
from tests.support.catalogs import files_of
from tests.support.samples import scattered_stars


def test_hats_accepts_the_catalog(small_catalog: Path) -> None:
    assert is_valid_catalog(small_catalog, strict=True)
    catalog = read_hats(small_catalog)
    files = files_of(small_catalog)
    assert {(pixel.order, pixel.pixel) for pixel in catalog.get_healpix_pixels()} == set(files)
    assert len({order for order, _ in files}) > 2
    assert catalog.catalog_info.total_rows == sum(
        pq.ParquetFile(file).metadata.num_rows for file in files.values()
    )


def test_every_row_is_in_the_pixel_of_its_position_and_files_are_sorted(small_catalog: Path) -> None:
    for (order, pixel), file in files_of(small_catalog).items():
        rows = pq.ParquetFile(file).read()
        index = rows["_healpix_29"].to_numpy()
        expected = spatial_index.compute_spatial_index(rows["ra"].to_numpy(), rows["dec"].to_numpy())
        np.testing.assert_array_equal(index, expected)
        assert set(index >> (2 * (29 - order))) == {pixel}
        assert (np.diff(index) >= 0).all()


def test_partitions_are_as_large_as_the_limit_allows(tmp_path: Path) -> None:
    table = scattered_stars(2_000, seed=3)
    write_catalog(table, tmp_path / "c", rows_per_partition=100)
    index = spatial_index.compute_spatial_index(table["ra"].to_numpy(), table["dec"].to_numpy())
    files = files_of(tmp_path / "c")
    assert len(files) > 12
    for (order, pixel), file in files.items():
        assert pq.ParquetFile(file).metadata.num_rows <= 100
        if order > 0:
            assert (index >> (2 * (30 - order)) == pixel // 4).sum() > 100


def test_rows_and_their_types_survive(tmp_path: Path) -> None:
    table = scattered_stars(50, seed=5).append_column("name", pa.array([f"star {i}" for i in range(50)]))
    table = table.append_column("light", pa.array([[float(i)] * (i % 4) for i in range(50)]))
    write_catalog(table, tmp_path / "c")
    back = pa.concat_tables(pq.ParquetFile(file).read() for file in files_of(tmp_path / "c").values())
    assert back.drop_columns(["_healpix_29"]).sort_by("id").equals(table)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"id": [1], "ra": [1.0]}, "no column 'dec'"),
        ({"ra": [1.0], "dec": [1.0], "_healpix_29": [1]}, "already has a column '_healpix_29'"),
        ({"ra": pa.array([], pa.float64()), "dec": pa.array([], pa.float64())}, "no rows"),
        ({"ra": [1.0, 2.0], "dec": [1.0, float("nan")]}, "nan"),
        ({"ra": [1.0, 2.0], "dec": [91.0, 0.0]}, "91"),
    ],
)
def test_refuses_what_is_no_catalog(tmp_path: Path, columns: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=f"(?i){message}"):
        write_catalog(pa.table(columns), tmp_path / "c")
    assert not (tmp_path / "c").exists()


def test_refuses_rows_that_no_order_separates(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="3 rows share pixels of order 29"):
        write_catalog(pa.table({"ra": [1.0] * 3, "dec": [2.0] * 3}), tmp_path / "c", rows_per_partition=2)


def test_refuses_a_folder_with_files(tmp_path: Path) -> None:
    (tmp_path / "precious.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="holds files"):
        write_catalog(scattered_stars(10, seed=1), tmp_path)
    assert (tmp_path / "precious.txt").read_text() == "mine"
