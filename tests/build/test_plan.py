"""Batches of partitions and of margins, and the coarse margins of hats-import."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hats.pixel_math import healpix_shim
from hypothesis import given
from hypothesis import strategies as st

from skymargin.build.stages import plan
from skymargin.build.stages.map import MapResult
from skymargin.build.stages.slices import slice_type
from skymargin.build.stages.tasks import MarginWriterSpec
from skymargin.catalogs.catalog import Catalog, SpatialColumns
from skymargin.catalogs.output_options import OutputOptions
from skymargin.catalogs.parquet_format import parquet_format
from skymargin.errors import ArgumentError
from tests.support.catalogs import (
    MIXED_PARTITIONS,
    Layout,
    files_of,
    ids_of,
    make_margin,
    plain,
    sky_near_edges,
    write_catalog,
)
from tests.support.limits import limits


def catalog_of(orders: np.ndarray, pixels: np.ndarray, size_bytes: np.ndarray) -> Catalog:
    return Catalog(
        path=Path("nowhere"),
        format="hats",
        columns=SpatialColumns("ra", "dec", None, 29),
        schema=pa.schema([]),
        orders=orders.astype(np.uint8),
        pixels=pixels.astype(np.uint64),
        files=[(f"{order}/{pixel}",) for order, pixel in zip(orders, pixels, strict=True)],
        size_bytes=size_bytes.astype(np.int64),
        listed_in=Path("nowhere"),
    )


@given(
    sizes=st.lists(st.integers(0, 1 << 33) | st.integers(0, 1 << 20), max_size=80),
    threads=st.integers(1, 200),
    seed=st.integers(0, 99),
)
def test_batches_hold_every_partition_once_along_the_sky(sizes: list[int], threads: int, seed: int) -> None:
    pixels = np.random.default_rng(seed).permutation(768)[: len(sizes)]
    catalog = catalog_of(np.full(len(sizes), 3), pixels, np.array(sizes))
    batches = plan.map_tasks(catalog, threads)
    assert [batch.number for batch in batches] == list(range(len(batches)))
    # Each part of a partition once.
    together = [
        (int(pixel), int(part))
        for batch in batches
        for pixel, part in zip(batch.pixels, batch.part, strict=True)
    ]
    assert together == sorted(set(together))
    counted = dict.fromkeys(pixels.tolist(), 0)
    for batch in batches:
        assert batch.files == [(f"3/{pixel}",) for pixel in batch.pixels]
        for pixel, part, parts in zip(batch.pixels.tolist(), batch.part, batch.parts, strict=True):
            assert 0 <= part < parts
            counted[pixel] += 1 / parts
    assert list(counted.values()) == pytest.approx([1] * len(sizes))
    if threads == 1:
        # Only what is too large to be lost is cut.
        large = {pixel for pixel, size in zip(pixels.tolist(), sizes, strict=True) if size > 2_000_000_000}
        assert all(set(batch.pixels[batch.parts > 1].tolist()) <= large for batch in batches)


@pytest.mark.parametrize("threads", [1, 2, 64])
def test_a_partition_of_200_gigabytes_is_cut_into_tasks_that_can_be_lost(threads: int) -> None:
    size_bytes = np.array([1 << 20, 200 << 30, 1 << 20])
    tasks = plan.map_tasks(catalog_of(np.full(3, 3), np.arange(3), size_bytes), threads)
    assert sum(1 in task.pixels for task in tasks) >= 100
    assert max(task.cost for task in tasks) < 2.1 * (1 << 30)


def test_a_partition_of_half_the_rows_is_cut_into_parts_for_all_threads() -> None:
    size_bytes = np.full(41, 10 << 20)
    size_bytes[7] = 400 << 20
    tasks = plan.map_tasks(catalog_of(np.full(41, 3), np.arange(41), size_bytes), threads=2)
    with_part = [task for task in tasks if 7 in task.pixels]
    assert sum(int((task.pixels == 7).sum()) for task in with_part) == 4
    assert len(with_part) == 4
    costs = [task.cost for task in plan.largest_first(tasks)]
    assert costs[0] >= max(costs) / 2
    assert costs[-1] <= 2 * min(costs)


def test_sizes_travel_with_the_files_of_a_catalog_on_a_server() -> None:
    size_bytes = np.full(41, 10 << 20)
    size_bytes[7] = 400 << 20
    local = catalog_of(np.full(41, 3), np.random.default_rng(3).permutation(41), size_bytes)
    sizes = [(int(size),) for size in size_bytes]
    tasks = plan.map_tasks(replace(local, file_sizes=sizes), threads=32)
    by_file = dict(zip(local.files, sizes, strict=True))
    for task in tasks:
        assert task.file_sizes == [by_file[names] for names in task.files]
    assert all(not task.file_sizes for task in plan.map_tasks(local, threads=32))
    # For each part, the end of the file is read again: partitions are cut into fewer.
    (parts,) = {int(task.parts.max()) for task in tasks if task.parts.max() > 1}
    assert parts == 7
    chosen = replace(local, file_sizes=sizes).with_partitions([7, 2])
    assert [chosen.sizes_of(number) for number in (0, 1)] == [sizes[7], sizes[2]]
    assert local.sizes_of(7) == (None,)


def test_batches_are_even_and_eight_per_thread() -> None:
    count = 20_000
    catalog = catalog_of(np.full(count, 7), np.arange(count), np.full(count, 1 << 20))
    batches = plan.map_tasks(catalog, threads=2)
    sizes = [len(batch.pixels) for batch in batches]
    assert len(batches) == 16
    assert max(sizes) - min(sizes) <= 1
    assert len(plan.map_tasks(catalog_of(np.full(3, 7), np.arange(3), np.full(3, 1_000)), 8)) == 1


@pytest.mark.parametrize(("threads", "tasks"), [(1, 4), (2, 4), (16, 16), (32, 25)])
def test_few_partitions_are_work_for_all_threads(threads: int, tasks: int) -> None:
    catalog = catalog_of(np.full(99, 3), np.arange(99), np.full(99, 1_000))
    sizes = [len(task.pixels) for task in plan.map_tasks(catalog, threads)]
    assert len(sizes) == tasks
    assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize(("threads", "tasks"), [(1, 4), (16, 16), (32, 25)])
def test_few_margins_are_work_for_all_threads(threads: int, tasks: int) -> None:
    count = 99
    table = np.zeros(count, dtype=slice_type())
    table["order"], table["pixel"], table["rows"] = 3, np.arange(count), 5
    result = MapResult(slices=table.tobytes(), rows_within=np.full(count, 5, dtype="<i8").tobytes())
    writer = MarginWriterSpec(
        Path("nowhere"), "hats", parquet_format(pa.schema([("a", pa.int8())]), {}, {}), 100
    )
    made = plan.reduce_tasks({0: result}, 0, writer, 100, threads, first=0)
    assert len(made) == tasks
    assert np.concatenate([task.pixels for task in made]).tolist() == list(range(count))


def test_a_batch_is_never_much_larger_than_two_gigabytes() -> None:
    catalog = catalog_of(np.full(3_000, 6), np.arange(3_000), np.full(3_000, 1 << 30))
    assert max(len(batch.pixels) for batch in plan.map_tasks(catalog, threads=1)) <= 3


@given(st.floats(1e-4, 324_000))
def test_coarse_margin_order_is_that_of_hats(threshold_arcsec: float) -> None:
    assert plan.coarse_margin_order(threshold_arcsec) == healpix_shim.margin2order(threshold_arcsec / 60)


@pytest.mark.parametrize("order", range(30))
def test_coarse_threshold_is_that_of_hats(order: int) -> None:
    assert plan.coarse_threshold_arcsec(order) == pytest.approx(
        healpix_shim.order2mindist(order) * 60, rel=1e-14
    )


def test_a_coarse_margin_has_the_threshold_of_its_order() -> None:
    catalog = catalog_of(np.array([2, 3]), np.array([0, 100]), np.array([1, 1]))

    def chosen(margin_order: int, fine_filtering: bool) -> tuple[tuple[float, ...], int | None]:
        rule = plan.selection_rule([10.0], margin_order, fine_filtering, catalog)
        return rule.thresholds_arcsec, rule.margin_order

    assert chosen(-1, True) == ((10.0,), None)
    assert chosen(7, True) == ((10.0,), 7)
    assert chosen(7, False) == ((plan.coarse_threshold_arcsec(7),), 7)
    assert chosen(-1, False) == ((10.0,), plan.coarse_margin_order(10.0))
    with pytest.raises(ArgumentError, match=r"margin_order 3 .* highest order"):
        plan.selection_rule([10.0], 3, False, catalog)
    with pytest.raises(ArgumentError, match="highest order"):
        plan.selection_rule([40_000.0], -1, False, catalog)


def test_row_groups_hold_fewer_rows_where_rows_are_wide() -> None:
    catalog, given = catalog_of(np.array([1]), np.array([1]), np.array([1])), OutputOptions()
    assert plan.group_rows(catalog, 100, given) == 100_000
    assert plan.group_rows(catalog, 40_000, given) == 419
    assert plan.group_rows(catalog, 1 << 40, given) == 1
    assert plan.group_rows(catalog, 0, given) == 100_000
    assert plan.group_rows(catalog, 40_000, OutputOptions(row_group_kwargs={"num_rows": 7_000})) == 7_000


def test_wide_rows_are_written_in_smaller_row_groups(tmp_path: Path) -> None:
    sky = sky_near_edges(MIXED_PARTITIONS, rows=400, reach_arcsec=900.0, seed=7)
    write_catalog(tmp_path / "catalog", sky)
    make_margin(tmp_path / "catalog", tmp_path, 900.0, "usual")
    with limits(row_group_bytes=1_000):
        make_margin(tmp_path / "catalog", tmp_path, 900.0, "small")
    assert ids_of(tmp_path / "small") == ids_of(tmp_path / "usual") == sky.margins(900.0)
    for pixel, file in files_of(tmp_path / "small").items():
        usual = pq.ParquetFile(files_of(tmp_path / "usual")[pixel]).read()
        assert plain(pq.ParquetFile(file).read()).equals(plain(usual))
    assert max(pq.read_metadata(file).num_row_groups for file in files_of(tmp_path / "small").values()) > 2


@pytest.mark.parametrize(
    "layout",
    [
        Layout(row_group_rows=20, index_column="healpix13", index_order=13),
        Layout(row_group_rows=20, index_column="coarse", index_order=5),
        Layout(index_column=None),
    ],
)
def test_coarse_margins_do_not_depend_on_the_index(layout: Layout, tmp_path: Path) -> None:
    sky = sky_near_edges(MIXED_PARTITIONS, rows=600, reach_arcsec=400.0, seed=10)
    write_catalog(tmp_path / "usual", sky)
    write_catalog(tmp_path / "other", sky, layout)
    for name in ("usual", "other"):
        make_margin(tmp_path / name, tmp_path / "out", 400.0, name, fine_filtering=False, margin_order=8)
    coarse = ids_of(tmp_path / "out" / "usual")
    assert ids_of(tmp_path / "out" / "other") == coarse
    # A ring of pixels of order 8 is at least 515 arcsec wide, so it holds the exact margin and more.
    exact = sky.margins(400.0)
    assert all(set(ids) <= set(coarse[pixel]) for pixel, ids in exact.items())
    assert sum(map(len, coarse.values())) > sum(map(len, exact.values()))
