"""The short form of the campaign's growth, and that its checks see what is wrong."""

from __future__ import annotations

import dataclasses
import io
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from benchmarks.generate import spatial_index
from benchmarks.meter import Measurement
from tests.campaign.builds import Build, build_recorded
from tests.campaign.conftest import RunShort
from tests.campaign.growth.check import check_margins
from tests.campaign.growth.estimate import Rates, estimates, rates
from tests.campaign.growth.invented import InventedSky
from tests.campaign.growth.judge import judge
from tests.support.catalogs import files_of


def test_growth_in_short(run_short: RunShort) -> None:
    outcome = run_short("growth")
    assert [tally.survived > 50 for tally in outcome.tallies] == [True, True]
    assert [len(figures.rows) for figures in outcome.figures] == [3 + 2, 3 + 2]


@pytest.mark.parametrize("rows", [1, 50, 40_000, 150_000])
def test_an_invented_file_is_parquet_with_the_rows_of_its_pixel(rows: int) -> None:
    sky = InventedSky(order=3, partitions=700, rows=rows, seed=5)
    for pixel in (0, 699):
        file = pq.ParquetFile(io.BytesIO(sky.file(pixel)))
        index, ra_deg, dec_deg = sky.positions(pixel)
        table = file.read()
        assert table.column("_healpix_29").to_pylist() == index.tolist()
        assert table.column("ra").to_pylist() == ra_deg.tolist()
        assert table.column("dec").to_pylist() == dec_deg.tolist()
        assert table.column("source_id").to_pylist() == list(range(pixel * rows, (pixel + 1) * rows))
        assert (spatial_index(ra_deg, dec_deg) == index).all()
        assert (index >> 2 * (29 - 3) == pixel).all()
        groups = [file.metadata.row_group(group).column(0).statistics for group in range(file.num_row_groups)]
        starts = range(0, rows, 100_000)
        assert [(statistics.min, statistics.max) for statistics in groups] == [
            (int(index[start]), int(index[min(start + 100_000, rows) - 1])) for start in starts
        ]


def test_a_margin_with_a_row_less_is_found(tmp_path: Path) -> None:
    sky = InventedSky.of(50, 20_000, 3)
    sky.write(tmp_path / "catalog")
    done = build_recorded(tmp_path / "catalog", tmp_path / "out", 300.0, 1)
    margin = tmp_path / "out" / "margin"
    assert check_margins(sky, margin, done.report, 300.0) == ([], 29)
    for file in files_of(margin).values():
        pq.write_table(pq.ParquetFile(file).read().slice(1), file)
    failures, _ = check_margins(sky, margin, done.report, 300.0)
    assert len(failures) == 28
    assert all("1 rows missing, 0 too many" in failure for failure in failures)
    file.unlink()
    failures, _ = check_margins(sky, margin, done.report, 300.0)
    assert failures[0] == f"{done.report['partitions'] - 1} files, expected {done.report['partitions']}"


def _build_of(seconds: float, tasks: int = 10) -> Build:
    stages = dict.fromkeys(("planning", "mapping", "reducing", "finishing"), seconds / 4)
    report = {
        "seconds": stages,
        "inventing_seconds": 0.0,
        "bytes_read": 1_000,
        "rows": 10,
        "partitions": 5,
        "primary_partitions": 100,
        "tasks": tasks,
    }
    return Build(Measurement(seconds, 0, 10**8, 10**8, 1_000, seconds), report)


def test_what_grows_too_fast_is_found() -> None:
    sizes = [100, 1_000, 10_000]
    start_up = _build_of(0.5)
    linear = [_build_of(0.5 + size / 100) for size in sizes]
    assert judge("rows", sizes, linear, start_up)[1] == []
    steep = [_build_of(0.5 + (size / 100) ** 1.1) for size in sizes]
    failures = judge("rows", sizes, steep, start_up)[1]
    assert "rows: seconds grow with a slope of 1.10, more than 1.05" in failures
    assert len(failures) == 6
    assert judge("rows", sizes, steep, None)[1] == []
    tasks = [_build_of(0.5 + size / 100, tasks=size**2) for size in sizes]
    assert judge("rows", sizes, tasks, None)[1] == ["rows: tasks grow with a slope of 2.00, more than 1.05"]


def test_wall_time_in_which_rows_were_invented_is_left_out() -> None:
    sizes = [100, 1_000, 10_000]
    builds = [_build_of(seconds) for seconds in (0.5, *(0.5 + size / 100 for size in sizes))]
    invented = [Build(done.cost, {**done.report, "inventing_seconds": 0.4}) for done in builds]
    figures, failures = judge("rows", sizes, invented[1:], invented[0])
    assert failures == []
    told = dict(zip(figures.heads, figures.rows[2], strict=True))
    assert (told["seconds"], told["mapping"]) == ("", "")
    assert (told["processor seconds"], told["reducing"]) == ("10.1", "2.62")
    assert figures.rows[-2][:3] == ["slope", "", "1.00"]


def test_rates_are_found_again() -> None:
    known = Rates(0.5, 200e-6, 10e-6, 2e-9, 30e-6, 20e-6, 150.0, 1e8, 0.7, 2e-3, 1.1)

    def made(partitions: int, columns: int, read_bytes: float, rows: int, workers: int = 1) -> Build:
        work = (
            partitions * (known.partition_seconds + columns * known.column_seconds)
            + read_bytes * known.byte_seconds
            + rows * known.margin_row_seconds
        )
        driver = partitions * known.driver_seconds
        done = _build_of(0.5 + work + (2 * known.worker_seconds if workers == 2 else 0))
        tasks = 100
        shared = work - driver
        if workers == 2:
            shared = shared * known.together / 2 + tasks * known.task_seconds
        wall = 0.5 + driver + shared
        report = {
            **done.report,
            "primary_partitions": partitions,
            "bytes_read": read_bytes,
            "rows": rows,
            "tasks": tasks,
            "seconds": {
                "planning": driver,
                "mapping": wall - driver - 0.5,
                "reducing": 0.0,
                "finishing": 0.0,
            },
        }
        peak_bytes = int(1e8 + partitions * 8 * 150)
        return Build(dataclasses.replace(done.cost, seconds=wall, peak_tree_bytes=peak_bytes), report)

    measured = rates(
        made(0, 8, 0, 0),
        made(300, 8, 10e6, 2_000),
        made(20_000, 8, 40e6, 9_000),
        (made(3_000, 34, 90e6, 5_000), made(3_000, 8, 20e6, 5_000)),
        made(300, 8, 100e6, 2_000),
        made(300, 8, 11e6, 90_000),
        made(20_000, 8, 40e6, 9_000, workers=2),
        known.task_seconds,
    )
    values = dataclasses.asdict(measured)
    expected = dataclasses.asdict(known) | {"base_bytes": 1e8 + 300 * 8 * 150}
    assert values == pytest.approx(expected, rel=1e-6)
    assert [len(figures.rows) for figures in estimates(measured)] == [10, 3]
