"""What `overwrite` replaces on an object store: margin catalogs and what skymargin left unfinished, nothing else."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest

from skymargin.build import run
from skymargin.build.checkpoint import pending, publish, state
from skymargin.catalogs import place_mark
from skymargin.catalogs.layout import RECORD
from skymargin.errors import ArgumentError, OutputExistsError, OutputInUseError, StorageError
from skymargin.storage import remote_output
from tests.build.overwriting import (
    KEPT,
    THRESHOLD_ARCSEC,
    files_in,
    make_examples,
)
from tests.support.catalogs import Pixel, contents, make_margin
from tests.support.servers import s3_server


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_examples(tmp_path_factory.mktemp("made"))


class Bucket:
    """An S3 server with a primary catalog in a bucket."""

    def __init__(self, url: str, made: Path) -> None:
        self.options = {"key": "key", "secret": "secret", "endpoint_url": url}
        self.fs = fsspec.filesystem("s3", **self.options)
        # The server of an earlier test in this process may have left its buckets.
        self.fs.makedirs("bucket", exist_ok=True)
        self.fs.put(str(made / "stars"), "bucket/stars", recursive=True)

    def contents(self, prefix: str) -> dict[str, bytes]:
        self.fs.invalidate_cache()
        return {name[len(prefix) + 1 :]: self.fs.cat_file(name) for name in self.fs.find(prefix)}

    def make(self, output: str, **arguments: Any) -> Any:
        return make_margin(
            "s3://bucket/stars",  # type: ignore[arg-type]
            f"s3://bucket/{output}",  # type: ignore[arg-type]
            **(
                {"threshold_arcsec": THRESHOLD_ARCSEC}
                | dict.fromkeys(("input_storage_options", "output_storage_options"), self.options)
                | arguments
            ),
        )


@pytest.fixture(scope="module")
def bucket(made: Path) -> Iterator[Bucket]:
    with s3_server() as server:
        bucket = Bucket(server.url, made)
        yield bucket
        bucket.fs.rm("bucket", recursive=True)


@pytest.fixture(autouse=True)
def _own_temporary_folder(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path_factory.mktemp("temporary")))


@pytest.fixture(autouse=True)
def _without_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for no other run: there is none."""
    monkeypatch.setattr(place_mark, "GRACE_SECONDS", 0.0)


@pytest.mark.parametrize("kind", [kind for kind in KEPT if "link" not in kind and "elsewhere" not in kind])
def test_what_is_no_margin_is_kept_on_s3(kind: str, bucket: Bucket, made: Path, tmp_path: Path) -> None:
    arrange, message = KEPT[kind]
    (tmp_path / "out").mkdir()
    arrange(made, tmp_path / "out" / "margin")
    prefix = kind.replace(" ", "-")
    for name, content in files_in(tmp_path / "out").items():
        bucket.fs.pipe_file(f"bucket/{prefix}/{name}", content)
    before = bucket.contents(f"bucket/{prefix}")
    for asked in ({"overwrite": True}, {"only_changed": True}, {}):
        with pytest.raises(OutputExistsError, match=message):
            bucket.make(prefix, **asked)
    assert bucket.contents(f"bucket/{prefix}") == before != {}


class Killed(BaseException):
    """The end of a process, as far as another one can see it."""


def cut_off(
    bucket: Bucket, output: str, files: int, monkeypatch: pytest.MonkeyPatch, **arguments: Any
) -> None:
    """Make a margin, and end when some files were copied to its place, or sent there beside the margins."""
    copy_original, send_original = remote_output._copy, publish.send_files
    left = [files]

    def count() -> None:
        left[0] -= 1
        if left[0] < 0:
            raise Killed

    def copy(source: Any, target: Any, names: list[str]) -> None:
        for name in names:
            count()
            copy_original(source, target, [name])

    def send(files: dict[str, Path], folder: Any) -> None:
        for name, file in files.items():
            count()
            send_original({name: file}, folder)

    with monkeypatch.context() as patch:
        patch.setattr(remote_output, "_copy", copy)
        patch.setattr(publish, "send_files", send)
        with pytest.raises(Killed):
            bucket.make(output, **arguments)


@pytest.mark.parametrize("copies", [1, 3])
@pytest.mark.parametrize("same_machine", [True, False])
@pytest.mark.parametrize("replaces", [True, False])
def test_what_a_killed_run_left_on_s3_is_replaced_and_nothing_else(
    replaces: bool,
    same_machine: bool,
    copies: int,
    bucket: Bucket,
    made: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    output = f"killed-{copies}-{same_machine}-{replaces}"
    final = f"bucket/{output}/margin"
    if replaces:
        # One of hats-import, which has no record of ours.
        for name, content in files_in(made / "margin").items():
            if name != RECORD:
                bucket.fs.pipe_file(f"{final}/{name}", content)
    cut_off(bucket, output, copies, monkeypatch, overwrite=replaces)
    left = bucket.contents(final)
    assert RECORD in left
    assert not [name for name in left if name.endswith("properties")]
    other = {} if same_machine else {"tmp_dir": tmp_path / "elsewhere"}
    if replaces or not same_machine:
        with pytest.raises(OutputExistsError, match=r"overwrite=True replaces it .*interrupted run"):
            bucket.make(output, threshold_arcsec=5.0, **other)
    with pytest.raises(ArgumentError, match="overwrite=True"):
        bucket.make(output, threshold_arcsec=5.0, only_changed=True, **other)
    bucket.fs.pipe_file(f"{final}/thesis.tex", b"my thesis")
    for asked in ({"overwrite": True}, {"threshold_arcsec": 5.0, "overwrite": True}):
        with pytest.raises(OutputExistsError, match=r"thesis\.tex"):
            bucket.make(output, **asked, **other)
    assert bucket.contents(final) == left | {"thesis.tex": b"my thesis"}
    bucket.fs.rm_file(f"{final}/thesis.tex")
    bucket.make(output, threshold_arcsec=5.0, overwrite=True, **other)
    assert b"hats_margin_threshold=5.0" in bucket.contents(final)["hats.properties"]
    assert set(bucket.contents(f"bucket/{output}")) == {f"margin/{name}" for name in bucket.contents(final)}


def test_a_killed_copy_on_s3_goes_on_with_the_same_arguments(
    bucket: Bucket, made: Path, monkeypatch: pytest.MonkeyPatch, mapped: list[Pixel]
) -> None:
    cut_off(bucket, "again", 3, monkeypatch)
    left = bucket.contents("bucket/again/margin")
    bucket.fs.pipe_file("bucket/again/margin/thesis.tex", b"my thesis")
    with pytest.raises(OutputExistsError, match=r"thesis\.tex"):
        bucket.make("again")
    assert bucket.contents("bucket/again/margin") == left | {"thesis.tex": b"my thesis"}
    bucket.fs.rm_file("bucket/again/margin/thesis.tex")
    mapped.clear()
    bucket.make("again")
    assert not mapped
    found = bucket.contents("bucket/again")
    assert set(found) == {f"margin/{name}" for name in contents(made / "margin", least=5)}


@pytest.mark.parametrize("replaces", [True, False])
def test_only_files_of_the_copy_are_taken_for_an_interrupted_copy(
    replaces: bool, bucket: Bucket, made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = f"begun-{replaces}"
    final = f"bucket/{output}/margin"
    if replaces:
        for name, content in files_in(made / "margin").items():
            if name != RECORD:
                bucket.fs.pipe_file(f"{final}/{name}", content)
    # The properties of the old one are removed, or the margins are written, and nothing is copied.
    cut_off(bucket, output, 0, monkeypatch, overwrite=replaces)
    left = bucket.contents(final)
    assert not {"properties", "hats.properties"} & set(left)
    # Where there was nothing, a mark says whose the margins are.
    assert (RECORD in left) == (not replaces)
    assert left
    if not replaces:
        with pytest.raises(OutputExistsError, match=r"overwrite=True replaces it .*interrupted run"):
            bucket.make(output, threshold_arcsec=5.0, tmp_dir=tmp_path / "elsewhere")
        bucket.make(output, threshold_arcsec=5.0)
        bucket.make(f"{output}-at-once", threshold_arcsec=5.0)
        at_once = bucket.contents(f"bucket/{output}-at-once/margin")
        assert bucket.contents(final).keys() == at_once.keys()
        return
    theirs = f"{final}/dataset/Norder=4/Dir=0/Npix=999.parquet"
    bucket.fs.pipe_file(theirs, b"theirs")
    for asked in ({}, {"threshold_arcsec": 5.0}):
        with pytest.raises(OutputExistsError, match="is a folder that is no margin"):
            bucket.make(output, overwrite=True, **asked)
    assert bucket.contents(final) == left | {theirs.removeprefix(f"{final}/"): b"theirs"}
    bucket.fs.rm_file(theirs)
    bucket.make(output, threshold_arcsec=5.0, overwrite=True)
    assert b"hats_margin_threshold=5.0" in bucket.contents(final)["hats.properties"]


def test_margins_are_written_once_where_there_is_nothing(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied: list[str] = []
    sent: list[str] = []
    copy_original, send_original = remote_output._copy, publish.send_files

    def copy(source: Any, target: Any, names: list[str]) -> None:
        copied.extend(names)
        copy_original(source, target, names)

    def send(files: dict[str, Path], folder: Any) -> None:
        sent.extend(files)
        send_original(files, folder)

    monkeypatch.setattr(remote_output, "_copy", copy)
    monkeypatch.setattr(publish, "send_files", send)
    bucket.make("once")
    names = bucket.contents("bucket/once/margin").keys()
    margins = {name for name in names if "Npix=" in name}
    assert margins
    assert sorted(sent) == sorted(names - margins)
    assert copied == []
    bucket.make("once", overwrite=True)
    assert sorted(copied) == sorted(names)
    assert sorted(sent) == sorted(names - margins)


def test_margins_in_place_that_were_removed_are_made_again(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut_off(bucket, "emptied", 0, monkeypatch)
    bucket.fs.rm("bucket/emptied/margin", recursive=True)
    bucket.make("emptied")
    bucket.make("emptied-at-once")
    found = bucket.contents("bucket/emptied/margin")
    assert found.keys() == bucket.contents("bucket/emptied-at-once/margin").keys()


def test_what_comes_to_the_place_before_the_first_margin_is_kept(
    bucket: Bucket, made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be a catalog with files of the same names, under properties of its own."""
    planned = run.reduce_tasks
    theirs = dict.fromkeys(files_in(made / "margin"), b"theirs")

    def late(*args: Any, **named: Any) -> Any:
        for name, content in theirs.items():
            bucket.fs.pipe_file(f"bucket/first/margin/{name}", content)
        return planned(*args, **named)

    with monkeypatch.context() as patch:
        patch.setattr(run, "reduce_tasks", late)
        with pytest.raises(OutputExistsError, match="which this run did not write"):
            bucket.make("first", overwrite=True)
    assert bucket.contents("bucket/first/margin") == theirs
    with pytest.raises(OutputExistsError):
        bucket.make("first")
    assert bucket.contents("bucket/first/margin") == theirs


def test_a_published_margin_stays_when_the_next_run_fails(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> Any:
        raise StorageError("the store is gone")

    def killed(*_: Any) -> Any:
        raise Killed

    with monkeypatch.context() as patch:
        # Published, and not cleaned up.
        patch.setattr(state.RunState, "clean_up", killed)
        with pytest.raises(Killed):
            bucket.make("stays")
    before = bucket.contents("bucket/stays/margin")
    assert "hats.properties" in before
    with monkeypatch.context() as patch:
        patch.setattr("skymargin.build.run.finish", broken)
        with pytest.raises(StorageError, match="the store is gone"):
            bucket.make("stays", threshold_arcsec=5.0, overwrite=True)
    assert bucket.contents("bucket/stays/margin") == before


def test_a_run_that_cannot_be_resumed_leaves_nothing_at_its_place(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> Any:
        raise ArgumentError("the format does not allow it")

    with monkeypatch.context() as patch:
        patch.setattr("skymargin.build.run.finish", broken)
        with pytest.raises(ArgumentError, match="does not allow it"):
            bucket.make("broken")
    assert bucket.contents("bucket/broken") == {}


def test_empty_objects_that_stand_for_folders_are_no_files_of_others(bucket: Bucket, made: Path) -> None:
    for name, content in files_in(made / "margin").items():
        bucket.fs.pipe_file(f"bucket/marked/margin/{name}", content)
    for name in ("", "dataset/", "dataset/Norder=4/"):
        bucket.fs.pipe_file(f"bucket/marked/margin/{name}", b"")
    bucket.make("marked", threshold_arcsec=5.0, overwrite=True)
    assert b"hats_margin_threshold=5.0" in bucket.contents("bucket/marked/margin")["hats.properties"]


def test_what_comes_to_the_place_on_s3_while_the_margin_is_made_is_kept(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another program's catalog in the making looks like a copy of ours that was cut off, but no copy has begun."""
    placed = pending.PendingMargin.publish
    names = ("dataset/Norder=4/Dir=0/Npix=100.parquet", "dataset/_metadata")

    def late(self: pending.PendingMargin) -> Any:
        for name in names:
            bucket.fs.pipe_file(f"bucket/late/margin/{name}", b"theirs")
        return placed(self)

    monkeypatch.setattr(pending.PendingMargin, "publish", late)
    with pytest.raises(OutputExistsError, match=r"also holds dataset/.*which this run did not write"):
        bucket.make("late", overwrite=True)
    left = bucket.contents("bucket/late/margin")
    assert {name for name, content in left.items() if content == b"theirs"} == set(names)
    # The margins that were made are beside them, without what makes a catalog of them.
    assert all("Npix=" in name or name == RECORD for name in left.keys() - set(names))
    for name in names:
        bucket.fs.rm_file(f"bucket/late/margin/{name}")
    monkeypatch.undo()
    bucket.make("late", overwrite=True)
    assert "hats.properties" in bucket.contents("bucket/late/margin")


def test_what_comes_to_the_place_on_s3_while_it_is_copied_is_kept(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket.make("copied")
    copy_original = remote_output._copy

    def late(source: Any, target: Any, names: list[str]) -> None:
        copy_original(source, target, names)
        if len(names) > 3:
            bucket.fs.pipe_file("bucket/copied/margin/thesis.tex", b"my thesis")

    again = {"threshold_arcsec": 5.0, "overwrite": True}
    with monkeypatch.context() as patch:
        patch.setattr(remote_output, "_copy", late)
        with pytest.raises(
            OutputExistsError, match=r"stays there.* also holds thesis\.tex, which this run did"
        ):
            bucket.make("copied", **again)
    left = bucket.contents("bucket/copied/margin")
    assert left["thesis.tex"] == b"my thesis"
    assert "hats.properties" not in left
    with pytest.raises(OutputExistsError, match=r"thesis\.tex"):
        bucket.make("copied", **again)
    assert bucket.contents("bucket/copied/margin") == left
    bucket.fs.rm_file("bucket/copied/margin/thesis.tex")
    bucket.make("copied", **again)
    assert b"hats_margin_threshold=5.0" in bucket.contents("bucket/copied/margin")["hats.properties"]


def test_properties_are_not_copied_over_the_files_of_another_run(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket.make("between")
    copy_original = remote_output._copy

    def late(source: Any, target: Any, names: list[str]) -> None:
        copy_original(source, target, names)
        if len(names) > 3:
            # As large as its own, as any other file of the other run might be.
            size = bucket.fs.size(f"bucket/between/margin/{RECORD}")
            bucket.fs.pipe_file(f"bucket/between/margin/{RECORD}", b"x" * size)

    with monkeypatch.context() as patch:
        patch.setattr(remote_output, "_copy", late)
        with pytest.raises(OutputInUseError, match="another run writes to s3://bucket/between/margin"):
            bucket.make("between", threshold_arcsec=5.0, overwrite=True)
    assert "hats.properties" not in bucket.contents("bucket/between/margin")


def test_a_folder_that_cannot_be_listed_is_not_replaced(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(made / "margin", tmp_path / "margin")
    before = files_in(tmp_path / "margin")
    scandir = os.scandir

    def refused(path: Any) -> Any:
        if str(path).endswith("Dir=0"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    with monkeypatch.context() as patch:
        patch.setattr("skymargin.catalogs.ownership.os.scandir", refused)
        with pytest.raises(StorageError, match=r"margin cannot be listed: .*Permission denied"):
            make_margin(made / "stars", tmp_path, THRESHOLD_ARCSEC, overwrite=True)
    assert files_in(tmp_path / "margin") == before
