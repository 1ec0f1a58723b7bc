"""Runs that are cut off and started again: what is kept, what counts, what is done again and what is thrown away."""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Callable
from concurrent.futures import CancelledError
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from upath import UPath

from skymargin.build.checkpoint.state import RunState
from skymargin.build.stages import map as map_stage
from skymargin.build.stages import reduce as reduce_stage
from skymargin.cli.main import main
from skymargin.errors import CatalogError, OutputExistsError, PartitionReadError, StorageError
from tests.support.catalogs import (
    Layout,
    contents,
    files_of,
    make_margin,
    nothing_left,
    sky_near_edges,
    state_rows,
    write_catalog,
)

THRESHOLD_ARCSEC = 600.0
PARTITIONS = ((1, 0), (1, 1), (1, 2), (2, 12), (2, 13), (2, 14), (2, 15), (1, 17), (0, 5), (0, 7))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("whole") / "stars"
    sky = sky_near_edges(PARTITIONS, rows=400, reach_arcsec=THRESHOLD_ARCSEC, seed=22)
    write_catalog(path, sky, Layout(row_group_rows=40))
    return path


@pytest.fixture
def catalog(whole: Path, tmp_path: Path) -> Path:
    """Copy a catalog, to be changed; times of files come with it."""
    return shutil.copytree(whole, tmp_path / "stars")


@pytest.fixture(autouse=True)
def _small_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("skymargin.build.stages.plan._SMALLEST_TASK_BYTES", 1)


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "out"


def cut_off(
    catalog: Path,
    output: Path,
    done: int,
    stage: str = "add_mapped",
    error: type[BaseException] = KeyboardInterrupt,
    **arguments: object,
) -> list[Any]:
    """Run until some batches of a stage are recorded and an error ends it; returns what these batches came to."""
    original = getattr(RunState, stage)
    calls: list[Any] = []

    def add(self: RunState, result: object) -> None:
        if len(calls) == done:
            raise error
        calls.append(result)
        original(self, result)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(RunState, stage, add)
        with pytest.raises(error) as caught:
            make_margin(catalog, output, THRESHOLD_ARCSEC, **arguments)
    assert not (output / "margin").exists()
    assert any("the same call goes on from there" in note for note in caught.value.__notes__)
    return calls


def anew(catalog: Path, tmp_path: Path, threshold_arcsec: float, **arguments: object) -> dict[str, bytes]:
    """Return the bytes of a margin that nothing disturbed."""
    make_margin(catalog, tmp_path / "anew", threshold_arcsec, **arguments)
    return contents(tmp_path / "anew" / "margin", least=5)


def counted(monkeypatch: pytest.MonkeyPatch, module: object, name: str) -> list[tuple[object, ...]]:
    """Have the calls of a function of a module noted."""
    calls: list[tuple[object, ...]] = []
    original: Callable[..., object] = getattr(module, name)

    def noted(*args: object) -> object:
        calls.append(args)
        return original(*args)

    monkeypatch.setattr(module, name, noted)
    return calls


def warnings_in(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [
        record.getMessage()
        for record in caplog.records
        if record.name == "skymargin" and record.levelno >= logging.WARNING
    ]


def test_what_is_mapped_is_not_mapped_again(
    catalog: Path,
    output: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    cut_off(catalog, output, done=6)
    (shards,) = output.glob("margin.skymargin-shards-*")
    before = {file.name: file.stat().st_mtime_ns for file in shards.glob("shard-*.arrow")}
    assert len(before) >= 6
    mapped = counted(monkeypatch, map_stage, "_map_partition")
    report = make_margin(catalog, output, THRESHOLD_ARCSEC, delete_intermediate_parquet_files=False)
    assert len(mapped) == len(PARTITIONS) - 6
    after = {file.name: file.stat().st_mtime_ns for file in shards.glob("shard-*.arrow")}
    assert sum(after[name] == time for name, time in before.items()) >= 6
    assert len(after) == len(PARTITIONS)
    assert contents(output / "margin") == anew(catalog, tmp_path, THRESHOLD_ARCSEC)
    # The report is of both runs together.
    assert report.primary_rows == sum(pq.read_metadata(file).num_rows for file in files_of(catalog).values())
    assert warnings_in(caplog) == []


@pytest.mark.parametrize("error", [CancelledError, MemoryError, OSError, RuntimeError])
def test_what_is_done_is_kept_when_the_catalog_is_not_at_fault(
    error: type[BaseException], catalog: Path, output: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut_off(catalog, output, done=6, error=error)
    mapped = counted(monkeypatch, map_stage, "_map_partition")
    make_margin(catalog, output, THRESHOLD_ARCSEC)
    assert len(mapped) == len(PARTITIONS) - 6
    assert contents(output / "margin") == anew(catalog, tmp_path, THRESHOLD_ARCSEC)


def test_what_is_reduced_is_not_reduced_again(
    catalog: Path, output: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = cut_off(catalog, output, done=7, stage="add_reduced", dask_threads_per_worker=2)
    done = {pixel for result in results for pixel in zip(result.orders, result.pixels, strict=True)}
    (partial,) = output.glob("margin.skymargin-partial-*")
    before = {pixel: file.stat().st_mtime_ns for pixel, file in files_of(partial).items()}
    mapped = counted(monkeypatch, map_stage, "_map_partition")
    written = counted(monkeypatch, reduce_stage, "_write_margin")
    make_margin(catalog, output, THRESHOLD_ARCSEC)
    after = {pixel: file.stat().st_mtime_ns for pixel, file in files_of(output / "margin").items()}
    assert mapped == []
    assert 0 < len(written) == len(after) - len(done)
    assert all(after[pixel] == before[pixel] for pixel in done)
    assert contents(output / "margin") == anew(catalog, tmp_path, THRESHOLD_ARCSEC)


def test_files_that_are_not_as_recorded_are_made_again(
    catalog: Path, output: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut_off(catalog, output, done=7, stage="add_reduced")
    (shards,) = output.glob("margin.skymargin-shards-*")
    (records,) = output.glob("margin.skymargin-progress-*")
    (partial,) = output.glob("margin.skymargin-partial-*")
    shard, other = sorted(shards.glob("shard-*"))[:2]
    shard.write_bytes(shard.read_bytes()[:-1])
    other.unlink()
    (records / "mapped-000003").write_bytes(b"no pickle")
    (records / "mapped-000004").write_bytes(b"")
    (records / "reduced-000001").write_bytes(b"no pickle")
    done = set(files_of(partial))
    margin = files_of(partial)[min(done)]
    margin.write_bytes(margin.read_bytes()[:-1])
    # A task of the killed run may have left these.
    (partial / "dataset" / "Norder=0").mkdir(exist_ok=True)
    (partial / "dataset" / "Norder=0" / "Npix=3.parquet.0123abcd.part").touch()
    (partial / "properties").touch()
    mapped = counted(monkeypatch, map_stage, "_map_partition")
    make_margin(catalog, output, THRESHOLD_ARCSEC)
    assert len(mapped) == 4
    assert contents(output / "margin") == anew(catalog, tmp_path, THRESHOLD_ARCSEC)


def touch(catalog: Path) -> None:
    os.utime(files_of(catalog)[1, 1], ns=(1, 1_700_000_000_000_000_000))


def lose_a_row(catalog: Path) -> None:
    file = files_of(catalog)[1, 2]
    rows = pq.ParquetFile(file).read()
    pq.write_table(rows.slice(1), file)
    state_rows(catalog)


def lose_a_partition(catalog: Path) -> None:
    listing = catalog / "partition_info.csv"
    listing.write_text(listing.read_text().replace("2,14\n", ""))
    state_rows(catalog)


def change_metadata(catalog: Path) -> None:
    file = catalog / "dataset" / "_common_metadata"
    schema = pq.read_schema(file)
    pq.write_metadata(schema.with_metadata({"made": "otherwise"}), file)


def lose_the_index(catalog: Path) -> None:
    for name in ("properties", "hats.properties"):
        text = (catalog / name).read_text()
        (catalog / name).write_text(text.replace("hats_col_healpix_order=29", "hats_col_healpix_order=28"))


CHANGES = {
    "margin_threshold changed from 600.0 to 500.0": {"margin_threshold": 500.0},
    "margin_order changed from -1 to 9": {"margin_order": 9},
    "fine_filtering changed from True to False": {"fine_filtering": False, "margin_order": 6},
    "check_index changed from False to True": {"check_index": True},
    "npix_suffix changed from '.parquet' to '/'": {"npix_suffix": "/"},
    "write_table_kwargs changed from {} to {'compression': 'GZIP'}": {
        "write_table_kwargs": {"compression": "GZIP"}
    },
    "row_group_kwargs changed from {} to {'num_rows': 2}": {"row_group_kwargs": {"num_rows": 2}},
    "addl_hats_properties changed": {"addl_hats_properties": {"hats_cols_default": "id"}},
    "create_metadata changed from True to False": {"create_metadata": False},
    "debug_filter_pixel_list changed from [] to [(1, 1), (1, 2), (0, 5)]": {
        "debug_filter_pixel_list": [(1, 1), (1, 2), (0, 5)]
    },
    "Npix=1.parquet of the catalog changed": touch,
    "the sizes of the partitions of the catalog changed": lose_a_row,
    "the list of partitions of the catalog changed": lose_a_partition,
    "the schema of the catalog changed": change_metadata,
}


@pytest.mark.parametrize("reason", CHANGES)
def test_what_decides_the_result_is_not_mixed(
    reason: str, catalog: Path, output: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cut_off(catalog, output, done=5)
    change = CHANGES[reason]
    arguments = {} if callable(change) else dict(change)
    threshold = arguments.pop("margin_threshold", THRESHOLD_ARCSEC)
    if callable(change):
        change(catalog)
    make_margin(catalog, output, threshold, **arguments)
    (line,) = warnings_in(caplog)
    assert line.startswith(f"{output / 'margin'}: what an earlier run did for it is thrown away, because ")
    assert "\n" not in line
    # What changes the names or the order of pixels changes more than one thing; the first is named.
    assert reason in line or (reason.startswith("fine") and "margin_threshold changed" in line)
    assert contents(output / "margin", least=5) == anew(catalog, tmp_path, threshold, **arguments)
    assert [entry.name for entry in output.iterdir()] == ["margin"]


@pytest.mark.parametrize(
    ("door", "value", "reason"),
    [
        ("version", lambda name: f"{name} 99", "the version of skymargin changed from '0."),
        ("FORMAT_VERSION", 99, "the format of intermediate files changed from 2 to 99"),
    ],
)
def test_work_of_another_version_is_not_used(
    door: str, value: object, reason: str, catalog: Path, output: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cut_off(catalog, output, done=5)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(f"skymargin.build.checkpoint.fingerprint.{door}", value)
        make_margin(catalog, output, THRESHOLD_ARCSEC)
    (line,) = warnings_in(caplog)
    assert reason in line


def test_another_catalog_at_another_path(
    whole: Path, catalog: Path, output: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cut_off(whole, output, done=5)
    make_margin(catalog, output, THRESHOLD_ARCSEC)
    (line,) = warnings_in(caplog)
    assert "because input_catalog_path changed" in line
    assert contents(output / "margin") == anew(catalog, tmp_path, THRESHOLD_ARCSEC)


def test_resume_false_begins_anew(
    catalog: Path, output: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    cut_off(catalog, output, done=5)
    mapped = counted(monkeypatch, map_stage, "_map_partition")
    make_margin(catalog, output, THRESHOLD_ARCSEC, resume=False)
    assert len(mapped) == len(PARTITIONS)
    (line,) = warnings_in(caplog)
    assert line.endswith("because resume=False")


def test_folders_elsewhere(
    catalog: Path,
    output: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    here = {"tmp_dir": tmp_path / "shards", "resume_tmp": tmp_path / "records"}
    cut_off(catalog, output, done=5, **here)
    (records,) = (tmp_path / "records").iterdir()
    assert records.name.startswith("margin.skymargin-progress-")
    (shards,) = (tmp_path / "shards").iterdir()
    assert len(list(records.iterdir())) == 6
    assert all(file.stat().st_size < 10_000 for file in records.iterdir())
    with monkeypatch.context() as patched:
        mapped = counted(patched, map_stage, "_map_partition")
        cut_off(catalog, output, done=2, stage="add_reduced", **here)
    assert len(mapped) == len(PARTITIONS) - 5
    # The records say where the shards are; those of another tmp_dir are not used, nor are they left.
    make_margin(catalog, output, THRESHOLD_ARCSEC, **(here | {"tmp_dir": tmp_path / "other"}))
    (line,) = warnings_in(caplog)
    assert "because tmp_dir changed" in line
    assert not shards.exists()
    assert all(nothing_left(tmp_path / name) for name in ("shards", "records", "other"))


def test_shards_without_records_are_not_used(
    catalog: Path, output: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cut_off(catalog, output, done=5, resume_tmp=tmp_path / "records")
    make_margin(catalog, output, THRESHOLD_ARCSEC)
    (line,) = warnings_in(caplog)
    assert "there are no records of its progress in" in line
    assert contents(output / "margin") == anew(catalog, tmp_path, THRESHOLD_ARCSEC)
    assert [entry.name for entry in output.iterdir()] == ["margin"]


def test_damaged_records_are_not_used(catalog: Path, output: Path, caplog: pytest.LogCaptureFixture) -> None:
    cut_off(catalog, output, done=5)
    (run,) = output.glob("margin.skymargin-progress-*/run.json")
    run.write_text(json.dumps({"token": "0"}))
    make_margin(catalog, output, THRESHOLD_ARCSEC)
    (line,) = warnings_in(caplog)
    assert "records in" in line
    assert "are damaged" in line
    assert [entry.name for entry in output.iterdir()] == ["margin"]


@pytest.mark.parametrize("kept", ["delete_intermediate_parquet_files", "delete_resume_log_files"])
def test_what_is_kept_is_no_progress_of_the_next_run(
    kept: str,
    catalog: Path,
    output: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    make_margin(catalog, output, THRESHOLD_ARCSEC, **{kept: False})
    left = sorted(entry.name.rsplit("-", 2 if "parquet" in kept else 1)[0] for entry in output.iterdir())
    assert left == ["margin", f"margin.skymargin-{'shards' if 'parquet' in kept else 'progress'}"]
    with pytest.raises(OutputExistsError):
        make_margin(catalog, output, THRESHOLD_ARCSEC)
    mapped = counted(monkeypatch, map_stage, "_map_partition")
    make_margin(catalog, output, THRESHOLD_ARCSEC, overwrite=True)
    assert len(mapped) == len(PARTITIONS)
    assert warnings_in(caplog) == []
    assert [entry.name for entry in output.iterdir()] == ["margin"]


def test_folders_of_other_runs_stay(catalog: Path, output: Path) -> None:
    cut_off(catalog, output, done=5)
    (shards,) = output.glob("margin.skymargin-shards-*")
    _, _, key, token = shards.name.rsplit("-", 3)
    others = [
        f"other.skymargin-shards-{key}-{token}",
        f"margin.skymargin-shards-00000000-{token}",
        f"margin.skymargin-partial-00000000-{token}",
        f"submargin.skymargin-shards-{key}-{token}",
        f"margin.skymargin-workers-{key}",
        "margin.skymargin",
        "margin2",
    ]
    for name in others:
        (output / name).mkdir()
    make_margin(catalog, output, THRESHOLD_ARCSEC, resume=False)
    assert sorted(entry.name for entry in output.iterdir()) == sorted([*others, "margin"])


def test_nothing_is_kept_when_the_catalog_is_at_fault(catalog: Path, output: Path) -> None:
    # The last partition along the sky, so that the others are mapped before.
    file = files_of(catalog)[0, 7]
    good = file.read_bytes()
    file.write_bytes(good[: len(good) // 2])
    with pytest.raises(PartitionReadError, match="Npix=7"):
        make_margin(catalog, output, THRESHOLD_ARCSEC)
    assert nothing_left(output)
    rows = pq.ParquetFile(catalog / "dataset" / "Norder=0" / "Dir=0" / "Npix=5.parquet").read()
    pq.write_table(rows, file)
    with pytest.raises(CatalogError, match="Npix=7"):
        make_margin(catalog, output, THRESHOLD_ARCSEC)
    assert nothing_left(output)


def test_a_margin_file_that_disappears_is_found_out(
    catalog: Path, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep_only_margins = RunState.keep_only_margins

    def lose_one(self: RunState) -> None:
        assert isinstance(self.margins[0].partial, Path)
        min(files_of(self.margins[0].partial).values()).unlink()
        keep_only_margins(self)

    monkeypatch.setattr(RunState, "keep_only_margins", lose_one)
    with pytest.raises(RuntimeError, match="and now has gone"):
        make_margin(catalog, output, THRESHOLD_ARCSEC)
    assert nothing_left(output)


def test_a_margin_made_by_others_in_the_meantime_is_not_replaced(
    catalog: Path, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(_: RunState) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(RunState, "place", stop)
        with pytest.raises(KeyboardInterrupt):
            make_margin(catalog, output, THRESHOLD_ARCSEC)
    make_margin(catalog, output.parent / "elsewhere", 2 * THRESHOLD_ARCSEC)
    shutil.copytree(output.parent / "elsewhere" / "margin", output / "margin")
    theirs = contents(output / "margin")
    with pytest.raises(OutputExistsError):
        make_margin(catalog, output, THRESHOLD_ARCSEC)
    assert contents(output / "margin") == theirs
    mapped = counted(monkeypatch, map_stage, "_map_partition")
    make_margin(catalog, output, THRESHOLD_ARCSEC, overwrite=True)
    assert mapped == []
    assert contents(output / "margin") == anew(catalog, output.parent, THRESHOLD_ARCSEC)


def test_a_margin_at_a_remote_place(catalog: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    remote = UPath("memory://test-a-margin-at-a-remote-place")
    cut_off(catalog, remote, done=4, stage="add_reduced", tmp_dir=tmp_path / "tmp")  # type: ignore[arg-type]
    assert not (remote / "margin").exists()
    mapped = counted(monkeypatch, map_stage, "_map_partition")
    written = counted(monkeypatch, reduce_stage, "_write_margin")
    make_margin(catalog, remote, THRESHOLD_ARCSEC, tmp_dir=tmp_path / "tmp")  # type: ignore[arg-type]
    assert mapped == []
    remote.fs.get(f"{remote.path}/margin", str(tmp_path / "far" / "margin"), recursive=True)
    assert len(written) == len(files_of(tmp_path / "far" / "margin")) - 4
    assert contents(tmp_path / "far" / "margin") == anew(catalog, tmp_path, THRESHOLD_ARCSEC)
    assert [entry.name for entry in remote.iterdir()] == ["margin"]
    assert nothing_left(tmp_path / "tmp")


def test_a_catalog_on_a_server_that_is_not_reached_for_a_while(
    catalog: Path, output: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remote = UPath("memory://test-a-catalog-on-a-server/stars")
    remote.fs.put(str(catalog), remote.path, recursive=True)
    cut_off(remote, output, done=4, error=PartitionReadError)  # type: ignore[arg-type]
    mapped = counted(monkeypatch, map_stage, "_map_partition")
    make_margin(remote, output, THRESHOLD_ARCSEC)  # type: ignore[arg-type]
    assert len(mapped) == len(PARTITIONS) - 4
    assert contents(output / "margin") == anew(remote, tmp_path, THRESHOLD_ARCSEC)  # type: ignore[arg-type]


def test_a_file_on_a_server_that_was_written_again(
    catalog: Path, output: Path, caplog: pytest.LogCaptureFixture
) -> None:
    remote = UPath("memory://test-a-file-on-a-server/stars")
    remote.fs.put(str(catalog), remote.path, recursive=True)
    cut_off(remote, output, done=4)  # type: ignore[arg-type]
    file = remote / files_of(catalog)[1, 2].relative_to(catalog).as_posix()
    file.write_bytes(file.read_bytes())
    make_margin(remote, output, THRESHOLD_ARCSEC)  # type: ignore[arg-type]
    (line,) = warnings_in(caplog)
    assert line.endswith("because the file dataset/Norder=1/Dir=0/Npix=2.parquet of the catalog changed")


def interrupt(command: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Run a command, and press Ctrl-C when some batches are done."""
    add_mapped = RunState.add_mapped

    def add(self: RunState, result: map_stage.Mapped) -> None:
        if result.number == 5:
            raise KeyboardInterrupt
        add_mapped(self, result)

    with monkeypatch.context() as patched:
        patched.setattr(RunState, "add_mapped", add)
        assert main([*command, "--threads", "1"]) == 130


def test_the_command_line_says_where_the_progress_is(
    catalog: Path, output: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["build", str(catalog), "-t", "600", "-o", str(output), "--name", "margin", "--no-progress"]
    interrupt(command, monkeypatch)
    printed = capsys.readouterr().err.strip().splitlines()[-1]
    assert printed.startswith(
        f"skymargin: interrupted. What is done is kept in {output}/margin.skymargin-shards-"
    )
    assert main([*command, "--threads", "2"]) == 0
    assert [entry.name for entry in output.iterdir()] == ["margin"]


def test_the_command_line_goes_on_or_begins_anew(
    catalog: Path,
    output: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    records = tmp_path / "records"
    command = ["build", str(catalog), "-t", "600", "-o", str(output), "--name", "margin", "--no-progress"]
    command += ["--resume-tmp", str(records)]
    interrupt(command, monkeypatch)
    (progress,) = records.iterdir()
    assert progress.name.startswith("margin.skymargin-progress-")
    assert main([*command, "--no-resume"]) == 0
    (line,) = warnings_in(caplog)
    assert line.endswith("is thrown away, because resume=False")
    assert [entry.name for entry in output.iterdir()] == ["margin"]
    assert not any(records.iterdir())


def test_records_of_another_user_are_not_read(
    catalog: Path, output: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    everybodys = tmp_path / "everybodys"
    cut_off(catalog, output, done=4, resume_tmp=everybodys)
    (records,) = everybodys.iterdir()
    monkeypatch.setattr("skymargin.build.checkpoint.records.os.geteuid", lambda: os.getuid() + 1)
    everybodys.chmod(0o1777)
    with pytest.raises(
        StorageError, match=f"{records}, where a run keeps its progress, belongs to another user"
    ):
        make_margin(catalog, output, THRESHOLD_ARCSEC, resume_tmp=everybodys)
    # Where nobody else may make folders, it does not matter whose they are: file servers may tell other numbers.
    everybodys.chmod(0o755)
    make_margin(catalog, output, THRESHOLD_ARCSEC, resume_tmp=everybodys)
    assert [entry.name for entry in output.iterdir()] == ["margin"]
