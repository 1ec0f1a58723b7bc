"""The reading door: only what is needed is read, in bounded memory, from local files and by ranges."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from upath import UPath

from skymargin._core import Margins, Tiling
from skymargin.build.stages.partition_scan import PartitionScan, Selection, make_scanner
from skymargin.catalogs.catalog import SpatialColumns, open_catalog
from skymargin.errors import PartitionReadError
from skymargin.storage.paths import AnyPath
from skymargin.storage.range_reader import RangeReader
from tests.support.catalogs import (
    MIXED_PARTITIONS,
    Layout,
    files_of,
    plain,
    rows_in_file,
    rows_of,
    sky_near_edges,
)
from tests.support.processes import run_python

THRESHOLD_ARCSEC = 60.0
PARTITION = (0, 9)
COLUMNS = SpatialColumns("ra", "dec", "_healpix_29", 29)
MEMORY_BYTES = 32 << 20
SKY = sky_near_edges(MIXED_PARTITIONS, rows=2_000, reach_arcsec=THRESHOLD_ARCSEC, seed=15)
LAYOUT = Layout(row_group_rows=5)


@pytest.fixture(scope="module")
def file(primary: Path) -> Path:
    return files_of(primary)[PARTITION]


@pytest.fixture(scope="module")
def margins() -> Margins:
    return Margins(
        Tiling(*(np.array(column) for column in zip(*MIXED_PARTITIONS, strict=True))), THRESHOLD_ARCSEC
    )


def scanned(
    margins: Margins, schema: pa.Schema, *files: AnyPath, memory_bytes: int = MEMORY_BYTES
) -> tuple[PartitionScan, list[Selection]]:
    opened = PartitionScan(make_scanner(schema, COLUMNS, memory_bytes), files)
    return opened, list(opened.select(margins.cover(*PARTITION, rows=opened.rows)))


def members(selections: list[Selection]) -> list[object]:
    names = ["row", "index", "margin_order", "margin_pixel", "separation_arcsec"]
    return pa.concat_batches([selection.memberships.select(names) for selection in selections]).to_pylist()


def numbers_of(selections: list[Selection]) -> set[int]:
    """The numbers of the selected rows in their file."""
    return {int(row) for selection in selections for row in selection.memberships.column("row").to_numpy()}


def all_rows(selections: list[Selection]) -> pa.Table:
    return plain(pa.Table.from_batches([selection.rows for selection in selections]))


def test_selected_rows_and_their_memberships_belong_together(
    primary: Path, file: Path, margins: Margins
) -> None:
    opened, selections = scanned(margins, open_catalog(primary).schema, file)
    rows_of_file = plain(rows_in_file(file))
    assert opened.rows == len(rows_of_file)
    total = 0
    for selection in selections:
        memberships = selection.memberships
        assert {field.name: field.type for field in memberships.schema} == {
            "position": pa.int64(),
            "row": pa.uint64(),
            "index": pa.uint64(),
            "margin_order": pa.uint8(),
            "margin_pixel": pa.uint64(),
            "separation_arcsec": pa.float64(),
        }
        # Every row that came is used, and is the row of the file that it says it is.
        positions, rows = (memberships.column(name).to_numpy() for name in ("position", "row"))
        assert set(positions) == set(range(selection.rows.num_rows))
        expected = rows_of_file.take(pa.array(rows))
        came = plain(pa.Table.from_batches([selection.rows]))
        assert came.take(pa.array(positions)).equals(expected)
        index = expected.column("_healpix_29").to_numpy()
        np.testing.assert_array_equal(memberships.column("index").to_numpy(), index.astype(np.uint64))
        assert (memberships.column("separation_arcsec").to_numpy() <= THRESHOLD_ARCSEC).all()
        total += memberships.num_rows
    assert total > 20


def test_batches_change_nothing(file: Path, margins: Margins, tmp_path: Path) -> None:
    rows = rows_in_file(file)
    wide = pa.array([bytes([number % 251]) * 200_000 for number in range(len(rows))])
    table = rows.append_column("wide", wide)
    pq.write_table(table, tmp_path / "file.parquet", row_group_size=50)
    _, whole = scanned(margins, table.schema, tmp_path / "file.parquet", memory_bytes=1 << 30)
    _, split = scanned(margins, table.schema, tmp_path / "file.parquet", memory_bytes=1 << 20)
    assert len(whole) == 1
    assert len(split) > 5
    assert members(whole) == members(split)
    # As plain values: a batch has the dictionary of its own rows.
    together = all_rows(split)
    assert together.equals(all_rows(whole))
    assert together.column("wide").to_pylist() == [
        bytes([row % 251]) * 200_000 for row in sorted(numbers_of(whole))
    ]


def test_row_groups_without_candidates_are_not_read(file: Path, margins: Margins, tmp_path: Path) -> None:
    rows = rows_in_file(file)
    candidates = margins.cover(*PARTITION, rows=len(rows)).candidates(rows.column("_healpix_29").to_numpy())
    (spared, *_) = sorted(set(range(len(rows))) - set(candidates.to_pylist()))
    # A row far from all edges, many times, in row groups of its own before and after the others.
    far = rows.take(pa.array([spared] * 2_000))
    noise = pa.array(np.random.default_rng(3).bytes(100) for _ in range(2_000))
    far, rows = (table.append_column("noise", noise.slice(0, len(table))) for table in (far, rows))
    with pq.ParquetWriter(tmp_path / "file.parquet", rows.schema) as writer:
        for part in (far, rows, far):
            writer.write_table(part)
    footer = pq.read_metadata(tmp_path / "file.parquet")
    group = footer.row_group(1)
    size = sum(group.column(i).total_compressed_size for i in range(group.num_columns))
    opened, selections = scanned(margins, rows.schema, tmp_path / "file.parquet")
    _, expected = scanned(margins, pq.read_schema(file), file)
    assert {row - len(far) for row in numbers_of(selections)} == numbers_of(expected)
    # Of the row group all columns, index and coordinates perhaps once more for the selected rows; the page headers;
    # the end of the file, read before it is known how long the footer is.
    searched = sum(
        group.column(i).total_compressed_size
        for i in range(group.num_columns)
        if group.column(i).path_in_schema in ("_healpix_29", "ra", "dec")
    )
    assert opened.bytes_read <= (64 << 10) + size + searched + 256 * group.num_columns
    assert 0 < opened.pages_decoded <= 2 * (group.num_columns + 3)


def test_only_pages_with_selected_rows_are_decoded(margins: Margins, tmp_path: Path) -> None:
    sky = sky_near_edges((PARTITION,), rows=4_000, reach_arcsec=THRESHOLD_ARCSEC, seed=17)
    table = rows_of(sky, Layout())
    (spared, *_) = set(range(len(table))) - set(
        margins.cover(*PARTITION, rows=len(table)).candidates(table.column("_healpix_29")).to_pylist()
    )
    noise = np.random.default_rng(18).integers(0, 256, (20_000, 2_000), dtype=np.uint8)
    # One selected row among many that are far from all edges; every page of `noise` holds a hundred rows.
    (near, *_) = (
        margins.cover(*PARTITION, rows=len(table))
        .select(
            np.arange(len(table), dtype=np.uint64),
            table.column("_healpix_29"),
            table.column("ra"),
            table.column("dec"),
        )
        .column("row")
        .to_pylist()
    )
    table = table.take(pa.array([spared] * 10_000 + [near] + [spared] * 9_999))
    table = table.append_column("noise", pa.array([row.tobytes() for row in noise], pa.binary(2_000)))
    for page_index in (True, False):
        target = tmp_path / f"{page_index}.parquet"
        pq.write_table(
            table,
            target,
            data_page_size=200_000,
            write_batch_size=100,
            use_dictionary=False,
            write_page_index=page_index,
        )
        opened, (selection,) = scanned(margins, table.schema, target)
        assert selection.rows.column("noise").to_pylist() == [noise[10_000].tobytes()]
        assert opened.bytes_read < target.stat().st_size / 10


def remote_copy(file: Path) -> UPath:
    remote = UPath(f"memory://scan/{file.name}")
    remote.parent.mkdir(parents=True, exist_ok=True)
    remote.write_bytes(file.read_bytes())
    return remote


@pytest.mark.parametrize("page_index", [True, False])
def test_remote_files_are_read_in_few_large_requests(
    file: Path, margins: Margins, page_index: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = rows_in_file(file)
    pq.write_table(rows, tmp_path / "file.parquet", row_group_size=100, write_page_index=page_index)
    remote = remote_copy(tmp_path / "file.parquet")
    calls: list[int] = []
    read_ranges = RangeReader.read_ranges

    def counted(self: RangeReader, starts: list[int], stops: list[int]) -> list[bytes]:
        calls.append(len(starts))
        return read_ranges(self, starts, stops)

    monkeypatch.setattr(RangeReader, "read_ranges", counted)
    opened, selections = scanned(margins, rows.schema, remote)
    _, local = scanned(margins, rows.schema, tmp_path / "file.parquet")
    assert members(selections) == members(local)
    assert all_rows(selections).equals(all_rows(local))
    # Footer (twice where it is longer than guessed), page index, index column, coordinates, the other columns.
    assert len(calls) <= 6
    assert opened.bytes_read <= 3 * remote.stat().st_size


def fail(*_: object) -> list[bytes]:
    raise ConnectionResetError("connection reset by peer")


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (fail, "{}.*connection reset by peer"),
        (lambda parts: [part[:-1] for part in parts], "fewer bytes than asked for"),
    ],
)
def test_a_remote_file_that_fails_or_gives_too_little_is_refused(
    answer: Callable[[list[bytes]], list[bytes]],
    message: str,
    file: Path,
    margins: Margins,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    remote = remote_copy(file)
    read_ranges = RangeReader.read_ranges
    monkeypatch.setattr(RangeReader, "read_ranges", lambda *asked: answer(read_ranges(*asked)))
    with pytest.raises(PartitionReadError, match=message.format(re.escape(str(remote)))):
        scanned(margins, pq.read_schema(file), remote)


_MEASURE = """
import sys
from collections.abc import Callable
from pathlib import Path
import pyarrow.parquet as pq
from skymargin._core import Margins, Tiling
from skymargin.catalogs.catalog import SpatialColumns
from skymargin.build.stages.partition_scan import PartitionScan, make_scanner

def peak_bytes():
    lines = Path("/proc/self/status").read_text().splitlines()
    (peak,) = (line.split()[1] for line in lines if line.startswith("VmHWM:"))
    return int(peak) * 1024

scanner = make_scanner(pq.read_schema(sys.argv[1]), SpatialColumns("ra", "dec", "_healpix_29", 29), 32 << 20)
margins = Margins(Tiling([0, 0], [9, 8]), 60.0)
before = peak_bytes()
scan = PartitionScan(scanner, [Path(sys.argv[1])])
rows = sum(selection.rows.num_rows for selection in scan.select(margins.cover(0, 9, rows=scan.rows)))
print(rows, scan.memory_bytes, peak_bytes() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="counts the resident memory as Linux does")
def test_a_wide_partition_is_never_in_memory_as_a_whole(tmp_path: Path) -> None:
    sky = sky_near_edges((PARTITION, (0, 8)), rows=8_000, reach_arcsec=THRESHOLD_ARCSEC, seed=16)
    table = rows_of(sky, Layout())
    table = plain(table).filter(pa.array(sky.lies_in(*PARTITION)[table.column("id").to_numpy()]))
    wide = np.random.default_rng(1).normal(size=len(table) * 10_000)
    offsets = pa.array(np.arange(len(table) + 1) * 10_000, pa.int32())
    table = table.append_column("wide", pa.ListArray.from_arrays(offsets, pa.array(wide)))
    pq.write_table(table, tmp_path / "file.parquet")
    printed = run_python(_MEASURE, tmp_path / "file.parquet")
    selected, partition_bytes, grown_bytes = map(int, printed.split())
    assert selected > 100
    assert partition_bytes > 100 << 20
    # What a scan may hold, a page of the wide column, and what the allocator keeps.
    assert grown_bytes < 64 << 20


def test_the_files_of_a_partition_are_numbered_through(file: Path, margins: Margins, tmp_path: Path) -> None:
    rows = rows_in_file(file)
    cut = len(rows) // 3
    parts = []
    for number, part in enumerate((rows.slice(0, cut), rows.slice(cut))):
        parts.append(tmp_path / f"{number}.parquet")
        pq.write_table(part, parts[-1])
    opened, selections = scanned(margins, rows.schema, *parts)
    _, whole = scanned(margins, rows.schema, file)
    assert opened.rows == len(rows)
    assert members(selections) == members(whole)


def test_a_file_that_is_gone_is_named(file: Path, margins: Margins, tmp_path: Path) -> None:
    gone = shutil.copy(file, tmp_path / "gone.parquet")
    schema = pq.read_schema(gone)
    Path(gone).unlink()
    with pytest.raises(PartitionReadError, match=r"gone\.parquet.*No such file"):
        scanned(margins, schema, Path(gone))
