"""Lists of partitions and their files, and parts of a catalog."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from skymargin.catalogs.catalog import open_catalog
from skymargin.catalogs.layout import partition_path, partition_suffix
from skymargin.catalogs.partition_list import partition_files, read_partition_info, write_partition_info
from skymargin.errors import ArgumentError, CatalogError
from tests.support.catalogs import MIXED_PARTITIONS, sky_near_edges, write_catalog


@pytest.mark.parametrize("suffix", [".parquet", ".parq", ".snappy.parquet", ".pq", "/"])
def test_files_are_sorted_into_partitions(suffix: str) -> None:
    ends = ["/b.parquet", "/a.parq"] if suffix == "/" else [suffix]
    right = [f"{partition_path(order, pixel)}{end}" for order, pixel in ((0, 4), (7, 19_999)) for end in ends]
    strays = [
        f"Norder=7/Dir=0/Npix=19999{ends[0]}",
        f"Norder=0/Dir=0/Npix=12{ends[0]}",
        f"Norder=30/Dir=0/Npix=0{ends[0]}",
        f"copy/Norder=0/Dir=0/Npix=4{ends[0]}",
        f"Norder=0/Dir=0/Npix=5{'.parquet' if suffix == '/' else '/part.parquet'}",
    ]
    others = ["_metadata", "_common_metadata", "Norder=0/Dir=0/Npix=4.csv", "Norder=0/Dir=0/.Npix=5.parquet"]
    files, rest = partition_files([*strays, *reversed(right), *others], suffix)
    assert files == {
        (0, 4): tuple(sorted(right[: len(ends)])),
        (7, 19_999): tuple(sorted(right[len(ends) :])),
    }
    assert rest == sorted(strays)


def test_suffixes_of_partitions() -> None:
    for stated, expected in ((None, ".parquet"), ("", ".parquet"), (".pq", ".pq"), ("/", "/"), ("\\", "/")):
        assert partition_suffix({} if stated is None else {"hats_npix_suffix": stated}) == expected


def test_a_list_of_partitions_is_read_as_it_was_written(tmp_path: Path) -> None:
    columns = {
        "Norder": np.array([0, 29], np.uint8),
        "Npix": np.array([4, 3 << 60], np.uint64),
        "Dir": [0, 1],
    }
    write_partition_info(tmp_path, columns)
    listing = tmp_path / "partition_info.csv"
    assert listing.read_text() == "Norder,Npix,Dir\n0,4,0\n29,3458764513820540928,1\n"
    assert read_partition_info(listing) == [(0, 4), (29, 3 << 60)]
    listing.write_bytes(b"Npix,other,Norder\r\n7,x,2\r\n")
    assert read_partition_info(listing) == [(2, 7)]
    # As pandas and spreadsheets write it.
    for content in (
        b"\xef\xbb\xbfNorder,Npix\n4.0,1000.0\n4.0,994.0\n",
        b'"Norder", "Npix", "rows"\r\n4, 1000, \r\n"4"," 994",7.5\r\n',
    ):
        listing.write_bytes(content)
        assert read_partition_info(listing) == [(4, 1000), (4, 994)]
    write_partition_info(tmp_path, {"Norder": [], "Npix": []})
    assert read_partition_info(listing) == []


@pytest.mark.parametrize(
    "text",
    ["", "order,pixel\n1,2\n", "Norder,Npix\n1\n", "Norder,Npix\n1,x\n", "Norder,Npix\n1,2.5\n", "\xff"],
)
def test_what_is_not_a_list_of_partitions_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "partition_info.csv").write_text(text, encoding="latin-1")
    with pytest.raises(CatalogError, match=r"partition_info\.csv (has no columns|cannot be read)"):
        read_partition_info(tmp_path / "partition_info.csv")


def test_parts_of_a_catalog(tmp_path: Path) -> None:
    write_catalog(tmp_path / "stars", sky_near_edges(MIXED_PARTITIONS, rows=300, reach_arcsec=60.0, seed=6))
    catalog = open_catalog(tmp_path / "stars")
    assert catalog.stated_rows
    part = catalog.with_partitions([3, 1])
    for name in ("orders", "pixels", "size_bytes"):
        assert getattr(part, name).tolist() == getattr(catalog, name)[[3, 1]].tolist()
    assert part.files == [catalog.files[3], catalog.files[1]]
    assert part.stated_rows == []
    assert catalog.overlapping([]) is catalog
    for pixels, kept in (
        ([(0, 1)], {(0, 1)}),
        ([(29, (1 << 58) + 5)], {(0, 1)}),
        ([(0, 0), (29, 12 * 4**29 - 1)], {p for p in MIXED_PARTITIONS if p[1] >> 2 * p[0] == 0} | {(0, 11)}),
    ):
        part = catalog.overlapping(pixels)
        assert set(zip(part.orders.tolist(), part.pixels.tolist(), strict=True)) == kept
    with pytest.raises(ArgumentError, match=r"debug_filter_pixel_list \[\(5, 3072\)\] overlaps no partition"):
        catalog.with_partitions([0]).overlapping([(5, 3072)])
