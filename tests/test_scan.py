"""The reading door: only what is needed is read, in bounded memory, whatever the batches."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from skymargin import scan
from skymargin._core import Margins, Tiling
from skymargin.formats import SpatialColumns, open_catalog
from skymargin.scan import PartitionScan, Selection
from tests.catalogs import MIXED_PARTITIONS, Layout, plain, rows_of, sky_near_edges, write_catalog

THRESHOLD_ARCSEC = 60.0
PARTITION = (0, 9)
COLUMNS = SpatialColumns("ra", "dec", "_healpix_29", 29)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("scan") / "catalog"
    sky = sky_near_edges(MIXED_PARTITIONS, rows=2_000, reach_arcsec=THRESHOLD_ARCSEC, seed=15)
    write_catalog(path, sky, Layout(row_group_rows=5))
    return path


@pytest.fixture(scope="module")
def margins() -> Margins:
    return Margins(
        Tiling(*(np.array(column) for column in zip(*MIXED_PARTITIONS, strict=True))), THRESHOLD_ARCSEC
    )


def scanned(path: Path, margins: Margins) -> tuple[PartitionScan, list[Selection]]:
    catalog = open_catalog(path)
    file = path / "dataset" / "Norder=0" / "Dir=0" / "Npix=9.parquet"
    with PartitionScan([file], catalog.schema, catalog.columns) as opened:
        cover = margins.cover(*PARTITION, rows=opened.rows)
        return opened, list(opened.select(cover))


def test_selected_rows_and_their_memberships_belong_together(path: Path, margins: Margins) -> None:
    opened, selections = scanned(path, margins)
    primary = plain(pq.ParquetFile(path / "dataset" / "Norder=0" / "Dir=0" / "Npix=9.parquet").read())
    assert opened.rows == len(primary)
    found = 0
    for selection in selections:
        members = selection.memberships
        assert {field.name: field.type for field in members.schema} == {
            "row": pa.uint64(),
            "margin_order": pa.uint8(),
            "margin_pixel": pa.uint64(),
            "separation_arcsec": pa.float64(),
            "index": pa.uint64(),
            "position": pa.int64(),
        }
        # Every row that came is used, and is the row of the file that it says it is.
        positions, rows = (members.column(name).to_numpy() for name in ("position", "row"))
        assert set(positions) == set(range(selection.rows.num_rows))
        expected = primary.take(pa.array(rows))
        assert plain(selection.rows.take(pa.array(positions))).equals(expected)
        assert members.column("index").to_pylist() == expected.column("_healpix_29").to_pylist()
        assert (members.column("separation_arcsec").to_numpy() <= THRESHOLD_ARCSEC).all()
        found += members.num_rows
    assert found > 20


@pytest.mark.parametrize("limit", ["_SEARCH_ROWS", "_DECODED_BYTES", "_MOST_ROWS"])
def test_batches_change_nothing(
    limit: str, path: Path, margins: Margins, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, before = scanned(path, margins)
    monkeypatch.setattr(scan, limit, 2)
    _, after = scanned(path, margins)

    def members(selections: list[Selection]) -> list[object]:
        names = ("row", "margin_order", "margin_pixel", "separation_arcsec")
        return pa.concat_batches([one.memberships.select(names) for one in selections]).to_pylist()

    assert members(after) == members(before)
    assert sum(one.rows.num_rows for one in after) == sum(one.rows.num_rows for one in before)


def test_row_groups_without_candidates_are_not_read(path: Path, margins: Margins, tmp_path: Path) -> None:
    catalog = open_catalog(path)
    file = path / "dataset" / "Norder=0" / "Dir=0" / "Npix=9.parquet"
    rows = pq.ParquetFile(file).read()
    candidates = margins.cover(*PARTITION, rows=len(rows)).candidates(rows.column("_healpix_29").to_numpy())
    (spared, *_) = sorted(set(range(len(rows))) - set(candidates.to_pylist()))
    # A row far from all edges, many times, in row groups of its own before and after the others.
    far = rows.take(pa.array([spared] * 2_000))
    with pq.ParquetWriter(tmp_path / "file.parquet", rows.schema) as writer:
        for part in (far, rows, far):
            writer.write_table(part)
    group = pq.read_metadata(tmp_path / "file.parquet").row_group(1)
    size = {
        group.column(i).path_in_schema: group.column(i).total_compressed_size
        for i in range(group.num_columns)
    }
    with PartitionScan([tmp_path / "file.parquet"], catalog.schema, COLUMNS) as opened:
        footer = opened.bytes_read
        selections = list(opened.select(margins.cover(*PARTITION, rows=opened.rows)))
    _, expected = scanned(path, margins)
    assert sum(one.memberships.num_rows for one in selections) == sum(
        one.memberships.num_rows for one in expected
    )
    assert {
        int(row) - len(far) for one in selections for row in one.memberships.column("row").to_numpy()
    } == {int(row) for one in expected for row in one.memberships.column("row").to_numpy()}
    searched = sum(size[name] for name in ("_healpix_29", "ra", "dec"))
    assert opened.bytes_read == footer + searched + sum(size.values())


def test_a_wide_partition_is_never_in_memory_as_a_whole(tmp_path: Path, margins: Margins) -> None:
    sky = sky_near_edges((PARTITION,), rows=5_000, reach_arcsec=THRESHOLD_ARCSEC, seed=16)
    table = rows_of(sky, Layout())
    wide = np.random.default_rng(1).normal(size=len(sky) * 10_000)
    offsets = pa.array(np.arange(len(sky) + 1) * 10_000, pa.int32())
    table = table.append_column("wide", pa.ListArray.from_arrays(offsets, pa.array(wide)))
    pq.write_table(table, tmp_path / "file.parquet")
    schema = pq.read_schema(tmp_path / "file.parquet")
    decoded_bytes = table.nbytes
    del table, wide, offsets
    pool = pa.proxy_memory_pool(pa.default_memory_pool())
    before = pa.default_memory_pool()
    pa.set_memory_pool(pool)
    try:
        with PartitionScan([tmp_path / "file.parquet"], schema, COLUMNS) as opened:
            selected = sum(
                one.rows.num_rows for one in opened.select(margins.cover(*PARTITION, rows=opened.rows))
            )
    finally:
        pa.set_memory_pool(before)
    assert selected > 100
    assert decoded_bytes > 100 << 20
    # A batch and the next as decoded, and almost all rows of both taken; the buffers of all columns.
    assert pool.max_memory() < 5 * scan._DECODED_BYTES
