"""Interrupted runs: what the next run keeps, what it does again, and what it throws away."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from upath import UPath

from skymargin.build.checkpoint.state import PendingMargin, RunState
from skymargin.cli.main import main
from skymargin.errors import CatalogError, OutputExistsError, PartitionReadError, StorageError
from tests.build.catalog_changes import CHANGES
from tests.support.catalogs import (
    Layout,
    Pixel,
    contents,
    count_rows,
    files_of,
    nothing_left,
    rows_in_file,
    sky_near_edges,
)
from tests.support.limits import limits
from tests.support.workspace import Workspace

THRESHOLD_ARCSEC = 600.0
PARTITIONS = ((1, 0), (1, 1), (1, 2), (2, 12), (2, 13), (2, 14), (2, 15), (1, 17), (0, 5), (0, 7))
SKY = sky_near_edges(PARTITIONS, rows=400, reach_arcsec=THRESHOLD_ARCSEC, seed=22)
LAYOUT = Layout(row_group_rows=40)
Warnings = Callable[[], list[str]]
Patch = pytest.MonkeyPatch

pytestmark = pytest.mark.usefixtures("small_tasks")


@contextmanager
def stopped(
    done: int, stage: str = "add_mapped", error: type[BaseException] = KeyboardInterrupt
) -> Iterator[list[Any]]:
    """Have an error end runs when some tasks of a stage are recorded; yield the results of these tasks."""
    owner = RunState if hasattr(RunState, stage) else PendingMargin
    original = getattr(owner, stage)
    results: list[Any] = []

    def add(self: object, *task_and_result: object) -> None:
        if len(results) == done:
            raise error
        results.extend(task_and_result[1:])
        original(self, *task_and_result)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(owner, stage, add)
        yield results


def cut_off(
    work: Workspace,
    done: int,
    stage: str = "add_mapped",
    error: type[BaseException] = KeyboardInterrupt,
    **arguments: object,
) -> list[Any]:
    """Run until some batches of a stage are recorded and an error ends it; return the results of these batches."""
    with stopped(done, stage, error) as results, pytest.raises(error) as caught:
        work.make(**arguments)
    assert not (work.margin / "hats.properties").exists()
    assert any("the same call goes on from there" in note for note in caught.value.__notes__)
    return results


def folder_of(work: Workspace, kind: str) -> Path:
    """The only folder of a kind that an interrupted run left beside its margin."""
    (folder,) = work.output.glob(f"margin.skymargin-{kind}-*")
    return folder


def times_of(files: dict[Any, Path]) -> dict[Any, int]:
    return {key: file.stat().st_mtime_ns for key, file in files.items()}


def test_what_is_mapped_is_not_mapped_again(
    work: Workspace, mapped: list[Pixel], tmp_path: Path, warnings_logged: Warnings
) -> None:
    def shards() -> dict[str, Path]:
        return {file.name: file for file in folder_of(work, "shards").glob("shard-*.arrow")}

    cut_off(work, done=6)
    before = times_of(shards())
    assert len(before) >= 6
    mapped.clear()
    report = work.make(delete_intermediate_parquet_files=False)
    assert len(mapped) == len(PARTITIONS) - 6
    after = times_of(shards())
    assert sum(after[name] == time for name, time in before.items()) >= 6
    # A shard that was complete when the run ended, but not recorded, stays until the end.
    assert len({name.split("-")[1] for name in after}) == len(PARTITIONS)
    assert work.contents() == work.anew(tmp_path)
    # The report is of both runs together.
    assert report.primary_rows == count_rows(work.catalog)
    assert warnings_logged() == []


@pytest.mark.parametrize("error", [CancelledError, MemoryError, OSError, RuntimeError])
def test_what_is_done_is_kept_when_the_catalog_is_not_at_fault(
    error: type[BaseException], work: Workspace, mapped: list[Pixel], tmp_path: Path
) -> None:
    cut_off(work, done=6, error=error)
    mapped.clear()
    work.make()
    assert len(mapped) == len(PARTITIONS) - 6
    assert work.contents() == work.anew(tmp_path)


def test_what_is_reduced_is_not_reduced_again(
    work: Workspace, mapped: list[Pixel], written: list[str], tmp_path: Path
) -> None:
    results = cut_off(work, done=7, stage="add_reduced", dask_threads_per_worker=2)
    done = {pixel for result in results for pixel in zip(result.orders, result.pixels, strict=True)}
    before = times_of(files_of(folder_of(work, "partial")))
    mapped.clear()
    written.clear()
    work.make()
    after = times_of(work.files)
    assert mapped == []
    assert 0 < len(written) == len(after) - len(done)
    assert all(after[pixel] == before[pixel] for pixel in done)
    assert work.contents() == work.anew(tmp_path)


def test_files_that_are_not_as_recorded_are_made_again(
    work: Workspace, mapped: list[Pixel], tmp_path: Path
) -> None:
    cut_off(work, done=7, stage="add_reduced")
    records, partial = folder_of(work, "progress"), folder_of(work, "partial")
    shard, other = sorted(folder_of(work, "shards").glob("shard-*"))[:2]
    shard.write_bytes(shard.read_bytes()[:-1])
    other.unlink()
    (records / "mapped-000003").write_bytes(b"no pickle")
    (records / "mapped-000004").write_bytes(b"")
    (records / "reduced-000001").write_bytes(b"no pickle")
    margin = min(files_of(partial).items())[1]
    margin.write_bytes(margin.read_bytes()[:-1])
    # A task of the killed run may have left these.
    (partial / "dataset" / "Norder=0").mkdir(exist_ok=True)
    (partial / "dataset" / "Norder=0" / "Npix=3.parquet.0123abcd.part").touch()
    (partial / "properties").touch()
    mapped.clear()
    work.make()
    assert len(mapped) == 4
    assert work.contents() == work.anew(tmp_path)


@pytest.mark.parametrize("reason", CHANGES)
def test_what_decides_the_result_is_not_mixed(
    reason: str, work: Workspace, mapped: list[Pixel], tmp_path: Path, warnings_logged: Warnings
) -> None:
    cut_off(work, done=5)
    change = CHANGES[reason]
    arguments: dict[str, Any] = {}
    if callable(change):
        change(work.catalog)
    else:
        arguments = dict(change)
    mapped.clear()
    work.make(**arguments)
    (line,) = warnings_logged()
    assert line.startswith(f"{work.margin}: what an earlier run did for it is thrown away, because ")
    assert "\n" not in line
    # What changes the names or the order of pixels changes more than one thing; the first is named.
    assert reason in line or (reason.startswith("fine") and "margin_threshold changed" in line)
    if reason == "because resume=False":
        assert len(mapped) == len(PARTITIONS)
    assert work.contents(least=5) == work.anew(tmp_path, **arguments)
    assert work.names == ["margin"]


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("_core.VERSION", "99", "the version of skymargin changed from '0."),
        ("FORMAT_VERSION", 99, "the format of intermediate files changed from 5 to 99"),
    ],
)
def test_work_of_another_version_is_not_used(
    name: str, value: object, reason: str, work: Workspace, warnings_logged: Warnings, monkeypatch: Patch
) -> None:
    cut_off(work, done=5)
    monkeypatch.setattr(f"skymargin.build.checkpoint.fingerprint.{name}", value)
    work.make()
    assert [reason in line for line in warnings_logged()] == [True]


def test_work_in_tasks_of_another_size_is_not_used(work: Workspace, warnings_logged: Warnings) -> None:
    cut_off(work, done=5)
    with limits(smallest_task_bytes=4 << 20):
        work.make()
    (line,) = warnings_logged()
    assert line.endswith("because its tasks had other sizes")
    assert work.names == ["margin"]


def test_another_catalog_at_another_path(
    primary: Path, work: Workspace, tmp_path: Path, warnings_logged: Warnings
) -> None:
    cut_off(replace(work, catalog=primary), done=5)
    work.make()
    (line,) = warnings_logged()
    assert "because input_catalog_path changed" in line
    assert work.contents() == work.anew(tmp_path)


def test_folders_elsewhere(
    work: Workspace, mapped: list[Pixel], tmp_path: Path, warnings_logged: Warnings
) -> None:
    folders = {"tmp_dir": tmp_path / "shards", "resume_tmp": tmp_path / "records"}
    cut_off(work, done=5, **folders)
    (records,) = (tmp_path / "records").iterdir()
    assert records.name.startswith("margin.skymargin-progress-")
    (shards,) = (tmp_path / "shards").iterdir()
    assert len(list(records.iterdir())) == 6
    assert all(file.stat().st_size < 10_000 for file in records.iterdir())
    mapped.clear()
    cut_off(work, done=2, stage="add_reduced", **folders)
    assert len(mapped) == len(PARTITIONS) - 5
    # The records say where the shards are; those of another tmp_dir are not used, nor are they left.
    work.make(**(folders | {"tmp_dir": tmp_path / "other"}))
    (line,) = warnings_logged()
    assert "because tmp_dir changed" in line
    assert not shards.exists()
    assert all(nothing_left(tmp_path / name) for name in ("shards", "records", "other"))


@pytest.mark.parametrize(
    ("damaged", "words"),
    [(False, ("there are no records of its progress in",)), (True, ("records in", "are damaged"))],
)
def test_shards_without_good_records_are_not_used(
    damaged: bool, words: tuple[str, ...], work: Workspace, tmp_path: Path, warnings_logged: Warnings
) -> None:
    cut_off(work, done=5, resume_tmp=work.output if damaged else tmp_path / "records")
    if damaged:
        (folder_of(work, "progress") / "run.json").write_text(json.dumps({"token": "0"}))
    work.make()
    (line,) = warnings_logged()
    assert all(word in line for word in words)
    assert work.contents() == work.anew(tmp_path)
    assert work.names == ["margin"]


@pytest.mark.parametrize("kept", ["delete_intermediate_parquet_files", "delete_resume_log_files"])
def test_what_is_kept_is_no_progress_of_the_next_run(
    kept: str, work: Workspace, mapped: list[Pixel], warnings_logged: Warnings
) -> None:
    work.make(**{kept: False})
    left = [name.rsplit("-", 2 if "parquet" in kept else 1)[0] for name in work.names]
    assert left == ["margin", f"margin.skymargin-{'shards' if 'parquet' in kept else 'progress'}"]
    with pytest.raises(OutputExistsError):
        work.make()
    mapped.clear()
    work.make(overwrite=True)
    assert len(mapped) == len(PARTITIONS)
    assert warnings_logged() == []
    assert work.names == ["margin"]


def test_folders_of_other_runs_stay(work: Workspace) -> None:
    cut_off(work, done=5)
    _, _, key, token = folder_of(work, "shards").name.rsplit("-", 3)
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
        (work.output / name).mkdir()
    work.make(resume=False)
    assert work.names == sorted([*others, "margin"])


def test_nothing_is_kept_when_the_catalog_is_at_fault(work: Workspace) -> None:
    # The last partition along the sky, so that the others are mapped before.
    file = work.file_of[0, 7]
    good = file.read_bytes()
    file.write_bytes(good[: len(good) // 2])
    work.fails(PartitionReadError, "Npix=7")
    pq.write_table(rows_in_file(work.file_of[0, 5]), file)
    work.fails(CatalogError, "Npix=7")


def test_a_margin_file_that_disappears_is_found_out(work: Workspace, monkeypatch: Patch) -> None:
    keep_only_margins = RunState.keep_only_margins

    def lose_one(self: RunState) -> None:
        assert isinstance(self.margins[0].partial, Path)
        min(files_of(self.margins[0].partial).values()).unlink()
        keep_only_margins(self)

    monkeypatch.setattr(RunState, "keep_only_margins", lose_one)
    with pytest.raises(RuntimeError, match=r"was written with \d+ bytes and is missing now"):
        work.make()
    assert work.names == []


def test_a_margin_that_is_lost_before_it_is_published_is_made_anew(
    work: Workspace, monkeypatch: Patch, tmp_path: Path
) -> None:
    publish = PendingMargin.publish

    def lose(self: PendingMargin) -> Any:
        for name in ("properties", "hats.properties"):
            (self.partial / name).unlink()
        return publish(self)

    with monkeypatch.context() as patched:
        patched.setattr(PendingMargin, "publish", lose)
        with pytest.raises(
            StorageError, match=rf"^the margin .* is neither at .*-partial-.* nor at {work.margin}:"
        ):
            work.make()
    assert not work.margin.exists()
    work.make()
    assert work.contents() == work.anew(tmp_path)
    assert work.names == ["margin"]


def test_a_margin_made_by_others_in_the_meantime_is_not_replaced(
    work: Workspace, mapped: list[Pixel], tmp_path: Path
) -> None:
    with stopped(0, "publish"), pytest.raises(KeyboardInterrupt):
        work.make()
    elsewhere = replace(work, output=tmp_path / "elsewhere")
    elsewhere.make(margin_threshold=2 * THRESHOLD_ARCSEC)
    shutil.copytree(elsewhere.margin, work.margin)
    theirs = work.contents()
    with pytest.raises(OutputExistsError):
        work.make()
    assert work.contents() == theirs
    mapped.clear()
    work.make(overwrite=True)
    assert mapped == []
    assert work.contents() == work.anew(tmp_path)


def test_a_margin_at_a_remote_place(
    work: Workspace, mapped: list[Pixel], written: list[str], tmp_path: Path
) -> None:
    remote = UPath("memory://test-a-margin-at-a-remote-place")
    far = replace(work, output=remote)
    cut_off(far, done=4, stage="add_reduced", tmp_dir=tmp_path / "tmp")
    mapped.clear()
    written.clear()
    far.make(tmp_dir=tmp_path / "tmp")
    assert mapped == []
    remote.fs.get(f"{remote.path}/margin", str(tmp_path / "far" / "margin"), recursive=True)
    assert len(written) == len(files_of(tmp_path / "far" / "margin")) - 4
    assert contents(tmp_path / "far" / "margin") == work.anew(tmp_path)
    assert far.names == ["margin"]
    assert nothing_left(tmp_path / "tmp")


def on_server(work: Workspace, name: str) -> Workspace:
    """The same with the catalog on a server."""
    remote = UPath(f"memory://test-resume-{name}/stars")
    remote.fs.put(str(work.catalog), remote.path, recursive=True)
    return replace(work, catalog=remote)


def test_a_catalog_on_a_server_that_is_not_reached_for_a_while(
    work: Workspace, mapped: list[Pixel], tmp_path: Path
) -> None:
    remote = on_server(work, "not-reached")
    cut_off(remote, done=4, error=PartitionReadError)
    mapped.clear()
    remote.make()
    assert len(mapped) == len(PARTITIONS) - 4
    assert remote.contents() == remote.anew(tmp_path)


def test_a_file_on_a_server_that_was_written_again(work: Workspace, warnings_logged: Warnings) -> None:
    remote = on_server(work, "written-again")
    cut_off(remote, done=4)
    file = remote.catalog / "dataset/Norder=1/Dir=0/Npix=2.parquet"
    file.write_bytes(file.read_bytes())
    remote.make()
    (line,) = warnings_logged()
    assert line.endswith("because the file dataset/Norder=1/Dir=0/Npix=2.parquet of the catalog changed")


def test_the_command_line_resumes_or_begins_anew(
    work: Workspace, tmp_path: Path, capsys: pytest.CaptureFixture[str], warnings_logged: Warnings
) -> None:
    command = ["build", str(work.catalog), "-t", "600", "-o", str(work.output), "--name", "margin"]
    command += ["--no-progress"]
    with stopped(5):
        assert main([*command, "--threads", "1"]) == 130
    said = f"skymargin: interrupted. What is done is kept in {work.output}/margin.skymargin-shards-"
    assert capsys.readouterr().err.strip().splitlines()[-1].startswith(said)
    assert main([*command, "--threads", "2"]) == 0
    assert work.names == ["margin"]
    records = tmp_path / "records"
    command += ["--resume-tmp", str(records), "--overwrite"]
    with stopped(5):
        assert main([*command, "--threads", "1"]) == 130
    (progress,) = records.iterdir()
    assert progress.name.startswith("margin.skymargin-progress-")
    assert main([*command, "--no-resume"]) == 0
    (line,) = warnings_logged()
    assert line.endswith("is thrown away, because resume=False")
    assert work.names == ["margin"]
    assert not any(records.iterdir())


def test_records_of_another_user_are_not_read(work: Workspace, tmp_path: Path, monkeypatch: Patch) -> None:
    everybodys = tmp_path / "everybodys"
    cut_off(work, done=4, resume_tmp=everybodys)
    (records,) = everybodys.iterdir()
    monkeypatch.setattr("skymargin.build.checkpoint.records.os.geteuid", lambda: os.getuid() + 1)
    everybodys.chmod(0o1777)
    with pytest.raises(
        StorageError, match=f"{records}, where a run keeps its progress, belongs to another user"
    ):
        work.make(resume_tmp=everybodys)
    # Where nobody else may make folders, it does not matter whose they are: file servers may tell other numbers.
    everybodys.chmod(0o755)
    work.make(resume_tmp=everybodys)
    assert work.names == ["margin"]
