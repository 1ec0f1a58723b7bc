"""After a change of the catalog only the margins it touches are made anew; the result is that of a whole run."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from skymargin.build.checkpoint.state import RunState
from skymargin.build.subset.provenance import RECORD
from skymargin.catalogs.properties import read_properties
from skymargin.cli.main import main
from skymargin.errors import ArgumentError, StorageError
from tests.support.catalogs import (
    Pixel,
    file_bytes,
    files_of,
    rows_in_file,
    sky_near_edges,
    state_rows,
    with_values,
    write_catalog,
)
from tests.support.hipscat_catalogs import write_hipscat_catalog
from tests.support.killing import Moment, run_killed_at
from tests.support.workspace import Workspace

THRESHOLD_ARCSEC = 60.0
# Sixteen of order 2 in a base cell, four of order 1 in the next, and two base cells far from both.
PARTITIONS: tuple[Pixel, ...] = (
    *((2, pixel) for pixel in range(64, 80)),
    *((1, pixel) for pixel in range(20, 24)),
    (0, 2),
    (0, 11),
)
# No base cell but its own is near it.
CHANGED: Pixel = (2, 67)
SKY = sky_near_edges(PARTITIONS, 8_000, THRESHOLD_ARCSEC, seed=5)

Change = Callable[[Path], object]


@pytest.fixture
def work(made: Workspace, tmp_path: Path) -> Workspace:
    """Copy a catalog and its margin, beside each other; files keep their times."""
    folder = tmp_path / "here"
    shutil.copytree(made.output, folder)
    shutil.copytree(made.catalog, folder / "stars")
    return Workspace(folder / "stars", folder, THRESHOLD_ARCSEC)


def file_at(catalog: Path, pixel: Pixel) -> Path:
    order, number = pixel
    return catalog / f"dataset/Norder={order}/Dir={number // 10_000 * 10_000}/Npix={number}.parquet"


def rows_at(catalog: Path, pixel: Pixel = CHANGED) -> pa.Table:
    return rows_in_file(file_at(catalog, pixel))


def put(catalog: Path, pixel: Pixel, rows: pa.Table) -> None:
    """Write a partition as a tool that replaces one would, with all that lists it."""
    file = file_at(catalog, pixel)
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(rows, file)
    list_again(catalog)


def remove(catalog: Path, *pixels: Pixel) -> None:
    for pixel in pixels:
        file_at(catalog, pixel).unlink()
    list_again(catalog)


def list_again(catalog: Path) -> None:
    lines = "".join(f"{order},{pixel}\n" for order, pixel in sorted(files_of(catalog)))
    (catalog / "partition_info.csv").write_text(f"Norder,Npix\n{lines}")
    state_rows(catalog)


def change_one_row(catalog: Path) -> None:
    # Values of the same width: the file keeps its size, perhaps.
    rows = rows_at(catalog)
    put(catalog, CHANGED, with_values(rows, "id", rows["id"].to_numpy() + 1_000_000))


def add_rows(catalog: Path) -> None:
    rows = rows_at(catalog)
    put(catalog, CHANGED, pa.concat_tables([rows, rows.slice(0, 40)]).sort_by("_healpix_29"))


def remove_rows(catalog: Path) -> None:
    put(catalog, CHANGED, rows_at(catalog).slice(0, 0))


def add_a_partition(catalog: Path) -> None:
    """Base cell 7, until now an empty pixel as a whole, gets one partition of order 2."""
    new = (2, 7 << 4)
    write_catalog(catalog.parent / "other", sky_near_edges((new,), 300, THRESHOLD_ARCSEC, seed=8))
    put(catalog, new, rows_at(catalog.parent / "other", new))


def remove_a_partition(catalog: Path) -> None:
    remove(catalog, CHANGED)


def remove_a_lonely_partition(catalog: Path) -> None:
    """Without its one partition a base cell is one empty pixel."""
    remove(catalog, (0, 11))


def split_a_partition(catalog: Path) -> None:
    rows, (order, pixel) = rows_at(catalog), CHANGED
    child_of_row = rows["_healpix_29"].to_numpy() >> (2 * (29 - order - 1))
    file_at(catalog, CHANGED).unlink()
    for child in range(4 * pixel, 4 * pixel + 4):
        put(catalog, (order + 1, child), rows.filter(pa.array(child_of_row == child)))


def merge_partitions(catalog: Path) -> None:
    children = [(2, pixel) for pixel in range(64, 68)]
    rows = pa.concat_tables([rows_at(catalog, child) for child in children])
    remove(catalog, *children)
    put(catalog, (1, 16), rows)


def widen_rows(catalog: Path) -> None:
    """So many long texts that the average row is of another size, and margins far away are compressed."""
    rows = rows_at(catalog)
    put(catalog, CHANGED, with_values(rows, "name", [f"{number:05d}" * 2_000 for number in range(len(rows))]))


CHANGES: list[Change] = [
    change_one_row,
    add_rows,
    remove_rows,
    add_a_partition,
    remove_a_partition,
    remove_a_lonely_partition,
    split_a_partition,
    merge_partitions,
    widen_rows,
]


def nameless(work: Workspace, name: str) -> dict[str, bytes]:
    """The contents of a margin, but for its name."""
    return {
        file: re.sub(rb"(?m)^obs_collection=.*$", b"", content) if "properties" in file else content
        for file, content in work.contents(name).items()
    }


def assert_as_a_whole_run(work: Workspace) -> Any:
    """Assert that the margin is what a run of all makes, with nothing left beside it; return the report of that."""
    report = work.make("whole")
    assert nameless(work, "margin") == nameless(work, "whole")
    assert not [name for name in work.names if ".skymargin-" in name]
    return report


@pytest.mark.parametrize("change", CHANGES)
def test_the_result_is_that_of_a_whole_run(change: Change, work: Workspace) -> None:
    change(work.catalog)
    report = work.make(only_changed=True)
    whole = assert_as_a_whole_run(work)
    assert (report.rows, report.partitions) == (whole.rows, whole.partitions)
    assert (report.primary_rows, report.primary_partitions) == (whole.primary_rows, whole.primary_partitions)
    if change is not widen_rows:
        assert 0 < report.bytes_read < whole.bytes_read * 0.9


@pytest.mark.parametrize("change", [change for change in CHANGES if change is not widen_rows])
def test_unaffected_partitions_are_not_read(change: Change, work: Workspace) -> None:
    """A change in one corner leaves partitions alone that are far from it: they may be damaged, and nobody notices."""
    change(work.catalog)
    far = (1, 23) if change in (add_a_partition, remove_a_lonely_partition) else (0, 2)
    file = file_at(work.catalog, far)
    about = file.stat()
    file.write_bytes(b"?" * about.st_size)
    os.utime(file, ns=(about.st_atime_ns, about.st_mtime_ns))
    before = {pixel: margin.stat().st_ino for pixel, margin in work.files.items()}
    work.make(only_changed=True)
    after = {pixel: margin.stat().st_ino for pixel, margin in work.files.items()}
    assert sum(after[pixel] == before.get(pixel) for pixel in after) >= 5
    # A whole run does notice.
    with pytest.raises(OSError, match=r"Npix=\d+\.parquet"):
        work.make("whole")


def test_without_a_change_nothing_is_read(work: Workspace) -> None:
    work.make(overwrite=True)
    before = work.contents()
    assert work.make(only_changed=True).bytes_read == 0
    assert work.contents() == before
    # A change of time alone is a change.
    os.utime(file_at(work.catalog, CHANGED))
    assert work.make(only_changed=True).bytes_read > 0


def test_one_change_after_the_other(work: Workspace) -> None:
    """What a run of changes writes down is good for the next one."""
    for change in (add_rows, split_a_partition, add_a_partition):
        change(work.catalog)
        work.make(only_changed=True)
    assert_as_a_whole_run(work)


@pytest.mark.usefixtures("small_tasks")
@pytest.mark.parametrize(
    "moment",
    [
        Moment("skymargin.build.checkpoint.state:RunState.add_reduced", 2),
        Moment("skymargin.build.run:take_over", after=True),
        Moment("skymargin.build.checkpoint.state:RunState.record_made", after=True),
        *(Moment("pathlib:Path.rename", call) for call in (1, 2, 3)),
    ],
    ids=str,
)
@pytest.mark.parametrize("changes_again", [False, True])
def test_a_run_that_is_killed_is_resumed(moment: Moment, changes_again: bool, work: Workspace) -> None:
    add_rows(work.catalog)
    run_killed_at(moment, work.catalog, work.output, THRESHOLD_ARCSEC, only_changed=True)
    if changes_again:
        add_a_partition(work.catalog)
    work.make(only_changed=True)
    assert_as_a_whole_run(work)


def test_margins_of_another_run_are_not_mixed_in(work: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """A margin that was replaced after it was looked at may be of a catalog that changed since."""
    add_rows(work.catalog)
    keep = RunState.keep_only_margins

    def and_replace(state: RunState) -> None:
        keep(state)
        (work.margin / RECORD).write_text("that of another run")

    monkeypatch.setattr(RunState, "keep_only_margins", and_replace)
    with pytest.raises(StorageError, match="was replaced by another run while this one began"):
        work.make(only_changed=True)


def test_hipscat_catalogs(tmp_path: Path) -> None:
    pytest.importorskip("hipscat")
    work = Workspace(tmp_path / "stars", tmp_path, THRESHOLD_ARCSEC)
    write_hipscat_catalog(tmp_path / "stars", sky_near_edges(PARTITIONS, 6_000, THRESHOLD_ARCSEC, seed=5))
    work.make()
    file = work.file_of[CHANGED]
    rows = rows_in_file(file)
    pq.write_table(rows.slice(0, len(rows) // 2), file)
    state_rows(tmp_path / "stars")
    report, whole = work.make(only_changed=True), work.make("whole")
    assert file_bytes(work.margin) == file_bytes(tmp_path / "whole")
    for name in ("_metadata", "partition_info.csv", RECORD):
        assert (work.margin / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert report.bytes_read < whole.bytes_read


def test_catalogs_in_memory(primary: Path) -> None:
    """What identifies an object of a store is what its listing says of it."""
    fs = fsspec.filesystem("memory")
    fs.put(str(primary), "/changed-stars", recursive=True)
    work = Workspace("memory://changed-stars", "memory://changed-out", THRESHOLD_ARCSEC)
    work.make()
    name = f"/changed-stars/dataset/Norder=2/Dir=0/Npix={CHANGED[1]}.parquet"
    with fs.open(name) as source:
        rows = pq.read_table(source, partitioning=None)
    with fs.open(name, "wb") as sink:
        pq.write_table(rows.slice(0, len(rows) // 2), sink)
    for stale in ("hats.properties", "dataset/_metadata"):
        fs.rm(f"/changed-stars/{stale}")
    about = (primary / "properties").read_text()
    fs.pipe("/changed-stars/properties", re.sub(r"hats_nrows=.*\n", "", about).encode())
    report, whole = work.make(only_changed=True), work.make("whole")
    ours, expected = (
        {
            file.partition(f"/{name}/")[2]: fs.cat_file(file)
            for file in fs.find(f"/changed-out/{name}/dataset")
        }
        for name in ("margin", "whole")
    )
    assert len(ours) > 10
    assert ours == expected
    assert 0 < report.bytes_read < whole.bytes_read


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"margin_threshold": 70.0}, r"margin_threshold was 60.0 when .*margin was made, and is 70.0 now"),
        ({"write_table_kwargs": {"compression": "gzip"}}, r"write_table_kwargs was \{\} when"),
        ({"fine_filtering": False}, "cannot be combined with fine_filtering=False"),
        ({"cone": (0.0, 0.0, 1.0)}, "cone and only_changed cannot be combined"),
        ({"name": "other"}, r"there is no margin at .*other; make a whole one first"),
    ],
)
def test_other_arguments_are_refused(arguments: dict[str, Any], message: str, work: Workspace) -> None:
    before = work.contents()
    with pytest.raises(ArgumentError, match=message):
        work.make(only_changed=True, **arguments)
    assert work.contents() == before


def test_a_margin_without_a_record_is_refused(work: Workspace) -> None:
    record = work.margin / RECORD
    text = record.read_text()
    for content, message in (
        (text.replace('"format":2', '"format":1'), r"skymargin\.json is of format 1, not 2"),
        (text[:100], r"skymargin\.json cannot be read"),
        (None, r"there is no .*skymargin\.json.*overwrite=True makes the margin anew"),
    ):
        record.unlink() if content is None else record.write_text(content)
        with pytest.raises(ArgumentError, match=message):
            work.make(only_changed=True)
    work.make(overwrite=True)
    assert record.read_text() == text


def test_a_damaged_margin_is_not_taken_over(work: Workspace) -> None:
    work.files[0, 3].write_bytes(b"damaged")
    with pytest.raises(ArgumentError, match=r"Npix=3\.parquet cannot be read, so it cannot be taken over"):
        work.make(only_changed=True)


def test_the_record_is_small(made: Workspace) -> None:
    """Some 50 bytes a partition, so 5 MB for 100,000."""
    text = (made.margin / RECORD).read_text()
    assert len(text[text.index('"partitions"') :]) < 70 * len(PARTITIONS)


def test_the_command_takes_over_what_did_not_change(work: Workspace) -> None:
    add_rows(work.catalog)
    command = [
        "build",
        str(work.catalog),
        "-t",
        "60",
        "-o",
        str(work.output),
        "--no-progress",
        "--threads",
        "1",
    ]
    assert main([*command, "--name", "margin", "--only-changed"]) == 0
    assert_as_a_whole_run(work)
    assert read_properties(work.margin / "hats.properties")["hats_nrows"] != "0"
    assert np.all([file.stat().st_size for file in work.files.values()])
