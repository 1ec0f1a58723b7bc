"""After a change of the catalog only the margins it touches are made anew; the result is that of a run of all."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from skymargin.build.checkpoint.state import RunState
from skymargin.build.stages import plan
from skymargin.build.subset.provenance import RECORD
from skymargin.catalogs.properties import read_properties
from skymargin.cli.main import main
from skymargin.errors import ArgumentError, StorageError
from tests.support.catalogs import Pixel, files_of, make_margin, sky_near_edges, state_rows, write_catalog
from tests.support.hipscat_catalogs import hipscat_files, write_hipscat_catalog
from tests.support.killing import Moment, run_killed_at

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

Change = Callable[[Path], object]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a catalog and its margin; return the folder of both."""
    folder = tmp_path_factory.mktemp("made")
    write_catalog(folder / "stars", sky_near_edges(PARTITIONS, 8_000, THRESHOLD_ARCSEC, seed=5))
    make_margin(folder / "stars", folder, THRESHOLD_ARCSEC)
    return folder


@pytest.fixture
def here(made: Path, tmp_path: Path) -> Path:
    """Return a copy of both to work with; files keep their times."""
    shutil.copytree(made, tmp_path / "here")
    return tmp_path / "here"


def partition(catalog: Path, pixel: Pixel) -> Path:
    order, number = pixel
    return (
        catalog
        / "dataset"
        / f"Norder={order}"
        / f"Dir={number // 10_000 * 10_000}"
        / f"Npix={number}.parquet"
    )


def put(catalog: Path, pixel: Pixel, rows: pa.Table) -> None:
    """Write a partition as a tool that replaces one would, with all that lists it."""
    file = partition(catalog, pixel)
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(rows, file)
    _list_again(catalog)


def _list_again(catalog: Path) -> None:
    found = sorted(files_of(catalog))
    lines = "".join(f"{order},{pixel}\n" for order, pixel in found)
    (catalog / "partition_info.csv").write_text(f"Norder,Npix\n{lines}")
    state_rows(catalog)


def change_one_row(catalog: Path) -> None:
    rows = pq.read_table(partition(catalog, CHANGED), partitioning=None)
    # Values of the same width: the file keeps its size, perhaps.
    ids = rows["id"].to_numpy().copy()
    ids[:] = ids + 1_000_000
    put(catalog, CHANGED, rows.set_column(0, rows.schema.field("id"), pa.array(ids)))


def add_rows(catalog: Path) -> None:
    rows = pq.read_table(partition(catalog, CHANGED), partitioning=None)
    put(catalog, CHANGED, pa.concat_tables([rows, rows.slice(0, 40)]).sort_by("_healpix_29"))


def remove_rows(catalog: Path) -> None:
    put(catalog, CHANGED, pq.read_table(partition(catalog, CHANGED), partitioning=None).slice(0, 0))


def add_a_partition(catalog: Path) -> None:
    """Base cell 7, until now an empty pixel as a whole, gets one partition of order 2."""
    sky = sky_near_edges(((2, 7 << 4),), 300, THRESHOLD_ARCSEC, seed=8)
    other = catalog.parent / "other"
    write_catalog(other, sky)
    put(catalog, (2, 7 << 4), pq.read_table(partition(other, (2, 7 << 4)), partitioning=None))


def remove_a_partition(catalog: Path) -> None:
    partition(catalog, CHANGED).unlink()
    _list_again(catalog)


def remove_a_lonely_partition(catalog: Path) -> None:
    """Without its one partition a base cell is one empty pixel."""
    partition(catalog, (0, 11)).unlink()
    _list_again(catalog)


def split_a_partition(catalog: Path) -> None:
    rows = pq.read_table(partition(catalog, CHANGED), partitioning=None)
    order, pixel = CHANGED
    inside = rows["_healpix_29"].to_numpy() >> (2 * (29 - order - 1))
    partition(catalog, CHANGED).unlink()
    for child in range(4 * pixel, 4 * pixel + 4):
        put(catalog, (order + 1, child), rows.filter(pa.array(inside == child)))


def merge_partitions(catalog: Path) -> None:
    files = [partition(catalog, (2, pixel)) for pixel in range(64, 68)]
    rows = pa.concat_tables([pq.read_table(file, partitioning=None) for file in files])
    for file in files:
        file.unlink()
    put(catalog, (1, 16), rows)


def widen_rows(catalog: Path) -> None:
    """So many long texts that the average row is of another size, and margins far away are compressed."""
    rows = pq.read_table(partition(catalog, CHANGED), partitioning=None)
    place = rows.schema.get_field_index("name")
    texts = pa.array([f"{number:05d}" * 2_000 for number in range(len(rows))])
    put(catalog, CHANGED, rows.set_column(place, rows.schema.field("name"), texts))


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


def contents(margin: Path) -> dict[str, bytes]:
    """Every file of a margin by its name, but for the time at which it was made."""
    found = {}
    for file in sorted(margin.rglob("*")):
        if file.is_file():
            raw = file.read_bytes()
            if file.suffix == ".properties" or file.name == "properties":
                lines = [line for line in raw.splitlines() if b"creation_date" not in line]
                raw = b"\n".join(line for line in lines if b"obs_collection" not in line)
            found[file.relative_to(margin).as_posix()] = raw
    return found


@pytest.mark.parametrize("change", CHANGES)
def test_the_result_is_that_of_a_whole_run(change: Change, here: Path) -> None:
    change(here / "stars")
    report = make_margin(here / "stars", here, THRESHOLD_ARCSEC, only_changed=True)
    whole = make_margin(here / "stars", here, THRESHOLD_ARCSEC, name="whole")
    assert contents(here / "margin") == contents(here / "whole")
    assert (report.rows, report.partitions) == (whole.rows, whole.partitions)
    assert (report.primary_rows, report.primary_partitions) == (whole.primary_rows, whole.primary_partitions)
    if change is not widen_rows:
        assert 0 < report.bytes_read < whole.bytes_read * 0.9
    # Nothing is left beside what was there.
    assert not [left for left in here.iterdir() if ".skymargin-" in left.name]


@pytest.mark.parametrize("change", [one for one in CHANGES if one is not widen_rows])
def test_unaffected_partitions_are_not_read(change: Change, here: Path) -> None:
    """A change in one corner leaves partitions alone that are far from it: they may be damaged, and nobody notices."""
    change(here / "stars")
    far = (1, 23) if change in (add_a_partition, remove_a_lonely_partition) else (0, 2)
    file = partition(here / "stars", far)
    about = file.stat()
    file.write_bytes(b"?" * about.st_size)
    os.utime(file, ns=(about.st_atime_ns, about.st_mtime_ns))
    before = {pixel: one.stat().st_ino for pixel, one in files_of(here / "margin").items()}
    make_margin(here / "stars", here, THRESHOLD_ARCSEC, only_changed=True)
    after = {pixel: one.stat().st_ino for pixel, one in files_of(here / "margin").items()}
    same = [pixel for pixel in after if after[pixel] == before.get(pixel)]
    assert len(same) >= 5
    # A whole run does notice.
    with pytest.raises(OSError, match=r"Npix=\d+\.parquet"):
        make_margin(here / "stars", here, THRESHOLD_ARCSEC, name="whole")


def test_without_a_change_nothing_is_read(here: Path) -> None:
    shutil.rmtree(here / "margin")
    make_margin(here / "stars", here, THRESHOLD_ARCSEC)
    before = contents(here / "margin")
    report = make_margin(here / "stars", here, THRESHOLD_ARCSEC, only_changed=True)
    assert report.bytes_read == 0
    assert contents(here / "margin") == before


def test_one_change_after_the_other(here: Path) -> None:
    """What a run of changes writes down is good for the next one."""
    for change in (add_rows, split_a_partition, add_a_partition):
        change(here / "stars")
        make_margin(here / "stars", here, THRESHOLD_ARCSEC, only_changed=True)
    make_margin(here / "stars", here, THRESHOLD_ARCSEC, name="whole")
    assert contents(here / "margin") == contents(here / "whole")


@pytest.mark.parametrize(
    "moment",
    [
        Moment("skymargin.build.checkpoint.state:Progress.add_reduced", 2),
        Moment("skymargin.build.pipeline:taken_over", after=True),
        Moment("skymargin.build.checkpoint.state:Progress.record_made", after=True),
        *(Moment("pathlib:Path.rename", call) for call in (1, 2, 3)),
    ],
    ids=str,
)
@pytest.mark.parametrize("changes_again", [False, True])
def test_a_run_that_is_killed_goes_on(
    moment: Moment, changes_again: bool, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As in the run that is killed: many tasks.
    monkeypatch.setattr(plan, "_SMALLEST_TASK_BYTES", 1)
    add_rows(here / "stars")
    run_killed_at(moment, here / "stars", here, THRESHOLD_ARCSEC, only_changed=True)
    if changes_again:
        add_a_partition(here / "stars")
    make_margin(here / "stars", here, THRESHOLD_ARCSEC, only_changed=True)
    make_margin(here / "stars", here, THRESHOLD_ARCSEC, name="whole")
    assert contents(here / "margin") == contents(here / "whole")
    assert not [left for left in here.iterdir() if ".skymargin-" in left.name]


def test_margins_of_another_run_are_not_mixed_in(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A margin that was replaced after it was looked at may be of a catalog that changed since."""
    add_rows(here / "stars")
    keep = RunState.keep_only_margins

    def and_replace(progress: RunState) -> None:
        keep(progress)
        (here / "margin" / RECORD).write_text("that of another run")

    monkeypatch.setattr(RunState, "keep_only_margins", and_replace)
    with pytest.raises(StorageError, match="was replaced by another run while this one began"):
        make_margin(here / "stars", here, THRESHOLD_ARCSEC, only_changed=True)


def test_hipscat_catalogs(tmp_path: Path) -> None:
    pytest.importorskip("hipscat")
    sky = sky_near_edges(PARTITIONS, 6_000, THRESHOLD_ARCSEC, seed=5)
    stars = tmp_path / "stars"
    write_hipscat_catalog(stars, sky)
    make_margin(stars, tmp_path, THRESHOLD_ARCSEC)
    file = hipscat_files(stars)[CHANGED]
    rows = pq.read_table(file, partitioning=None)
    pq.write_table(rows.slice(0, len(rows) // 2), file)
    state_rows(stars)
    report = make_margin(stars, tmp_path, THRESHOLD_ARCSEC, only_changed=True)
    whole = make_margin(stars, tmp_path, THRESHOLD_ARCSEC, name="whole")
    found, expected = hipscat_files(tmp_path / "margin"), hipscat_files(tmp_path / "whole")
    assert {pixel: one.read_bytes() for pixel, one in found.items()} == {
        pixel: one.read_bytes() for pixel, one in expected.items()
    }
    for name in ("_metadata", "partition_info.csv", RECORD):
        assert (tmp_path / "margin" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert report.bytes_read < whole.bytes_read


def test_catalogs_in_memory(made: Path) -> None:
    """Of an object store it is what its listing says of an object."""
    fs = fsspec.filesystem("memory")
    fs.put(str(made / "stars"), "/changed-stars", recursive=True)
    make_margin("memory://changed-stars", "memory://changed-out", THRESHOLD_ARCSEC)  # type: ignore[arg-type]
    name = next(
        one for one in fs.find("/changed-stars") if one.endswith(f"Norder=2/Dir=0/Npix={CHANGED[1]}.parquet")
    )
    with fs.open(name) as source:
        rows = pq.read_table(source, partitioning=None)
    with fs.open(name, "wb") as sink:
        pq.write_table(rows.slice(0, len(rows) // 2), sink)
    for stale in ("hats.properties", "dataset/_metadata"):
        fs.rm(f"/changed-stars/{stale}")
    about = (made / "stars" / "properties").read_text()
    fs.pipe("/changed-stars/properties", re.sub(r"hats_nrows=.*\n", "", about).encode())
    some, whole = (
        make_margin("memory://changed-stars", "memory://changed-out", THRESHOLD_ARCSEC, **more)  # type: ignore[arg-type]
        for more in ({"only_changed": True}, {"name": "whole"})
    )
    found, expected = (
        {
            one.partition(f"/{name}/")[2]: fs.cat_file(one)
            for one in fs.find(f"/changed-out/{name}")
            if "dataset" in one
        }
        for name in ("margin", "whole")
    )
    assert len(found) > 10
    assert found == expected
    assert 0 < some.bytes_read < whole.bytes_read


def test_a_change_of_time_alone_is_a_change(here: Path) -> None:
    os.utime(partition(here / "stars", CHANGED))
    report = make_margin(here / "stars", here, THRESHOLD_ARCSEC, only_changed=True)
    assert report.bytes_read > 0


def test_other_arguments_are_refused(here: Path) -> None:
    before = contents(here / "margin")
    with pytest.raises(
        ArgumentError, match=r"margin_threshold was 60.0 when .*margin was made, and is 70.0 now"
    ):
        make_margin(here / "stars", here, 70.0, only_changed=True)
    with pytest.raises(ArgumentError, match=r"write_table_kwargs was \{\} when"):
        make_margin(
            here / "stars",
            here,
            THRESHOLD_ARCSEC,
            only_changed=True,
            write_table_kwargs={"compression": "gzip"},
        )
    with pytest.raises(ArgumentError, match="not with fine_filtering=False"):
        make_margin(here / "stars", here, THRESHOLD_ARCSEC, only_changed=True, fine_filtering=False)
    with pytest.raises(ArgumentError, match="cone and only_changed are not for the same run"):
        make_margin(here / "stars", here, THRESHOLD_ARCSEC, only_changed=True, cone=(0.0, 0.0, 1.0))
    assert contents(here / "margin") == before


def test_a_margin_without_a_record_is_refused(here: Path) -> None:
    with pytest.raises(ArgumentError, match=r"there is no margin at .*other; make a whole one first"):
        make_margin(here / "stars", here, THRESHOLD_ARCSEC, name="other", only_changed=True)
    record = here / "margin" / RECORD
    text = record.read_text()
    record.write_text(text.replace('"format":1', '"format":0'))
    with pytest.raises(ArgumentError, match=r"skymargin\.json is of format 0, not 1"):
        make_margin(here / "stars", here, THRESHOLD_ARCSEC, only_changed=True)
    record.write_text(text[:100])
    with pytest.raises(ArgumentError, match=r"skymargin\.json cannot be read"):
        make_margin(here / "stars", here, THRESHOLD_ARCSEC, only_changed=True)
    record.unlink()
    with pytest.raises(
        ArgumentError, match=r"there is no .*skymargin\.json.*overwrite=True makes the margin anew"
    ):
        make_margin(here / "stars", here, THRESHOLD_ARCSEC, only_changed=True)
    make_margin(here / "stars", here, THRESHOLD_ARCSEC, overwrite=True)
    assert record.read_text() == text


def test_a_damaged_margin_is_not_taken_over(here: Path) -> None:
    file = files_of(here / "margin")[0, 3]
    file.write_bytes(b"damaged")
    with pytest.raises(ArgumentError, match=r"Npix=3\.parquet cannot be read, so it cannot be taken over"):
        make_margin(here / "stars", here, THRESHOLD_ARCSEC, only_changed=True)


def test_the_record_is_small(here: Path) -> None:
    """Some 50 bytes a partition, so 5 MB for 100,000."""
    text = (here / "margin" / RECORD).read_text()
    assert len(text[text.index('"partitions"') :]) < 70 * len(PARTITIONS)


def test_the_command_takes_over_what_did_not_change(here: Path) -> None:
    add_rows(here / "stars")
    command = ["build", str(here / "stars"), "-t", "60", "-o", str(here), "--no-progress", "--threads", "1"]
    assert main([*command, "--name", "margin", "--only-changed"]) == 0
    assert main([*command, "--name", "whole"]) == 0
    assert contents(here / "margin") == contents(here / "whole")
    assert read_properties(here / "margin" / "hats.properties")["hats_nrows"] != "0"
    assert np.all([file.stat().st_size for file in files_of(here / "margin").values()])
