"""The mark of a run at the place it writes to: one run has it, and the others are told."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fsspec.implementations.memory import MemoryFileSystem
from upath import UPath

from skymargin.catalogs import place_mark
from skymargin.catalogs.layout import RECORD
from skymargin.catalogs.place_mark import PlaceMark
from skymargin.errors import OutputInUseError, StorageError
from skymargin.storage.output_folder import RemoteFile, RemoteFolder

OWN, OTHER = "0" * 32, "1" * 32


@pytest.fixture
def folder() -> Iterator[UPath]:
    folder = UPath("memory://marked/margin")
    yield folder
    if folder.fs.exists("/marked"):
        folder.fs.rm("/marked", recursive=True)


@pytest.fixture(params=["exclusive", "not exclusive", "of an older fsspec"])
def _writes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    original = MemoryFileSystem.pipe_file

    def refused(self: MemoryFileSystem, path: str, value: bytes, mode: str = "overwrite") -> None:
        raise NotImplementedError(mode)

    def older(self: MemoryFileSystem, path: str, value: bytes, **kwargs: Any) -> None:
        assert kwargs == {}
        original(self, path, value)

    if request.param != "exclusive":
        monkeypatch.setattr(
            MemoryFileSystem, "pipe_file", refused if request.param == "not exclusive" else older
        )


def files_of(folder: UPath) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def write_one(folder: RemoteFolder) -> None:
    """Write one file as the core does."""
    with folder:
        file = folder.create("Npix=1.parquet")
        file.write(b"rows")
        file.finish()


@pytest.mark.usefixtures("_writes")
def test_one_run_has_a_place(folder: UPath, tmp_path: Path) -> None:
    own, other = PlaceMark(folder, OWN, tmp_path), PlaceMark(folder, OTHER, tmp_path)
    assert not own.is_own(())
    own.claim()
    # The answer to the request may have been lost, and the run was resumed.
    own.claim()
    with pytest.raises(OutputInUseError, match=r"^another run writes to memory://"):
        other.claim()
    assert own.is_own({RECORD})
    assert not own.is_own({"another file"})
    assert not other.is_own({RECORD})
    assert [mark.is_of_another({RECORD}) for mark in (own, other)] == [False, True]
    assert not other.is_of_another({"another file"})
    assert files_of(folder) == {RECORD: b'{"run": "00000000000000000000000000000000"}\n'}


@pytest.mark.usefixtures("_writes")
def test_a_place_with_files_of_another_run_is_not_claimed(folder: UPath, tmp_path: Path) -> None:
    own = PlaceMark(folder, OWN, tmp_path)
    (folder / "hats.properties").write_bytes(b"theirs")
    with pytest.raises(OutputInUseError, match="another run writes to"):
        own.claim()
    assert own.lost is not None
    assert files_of(folder) == {"hats.properties": b"theirs"}


def test_a_run_that_lost_its_place_is_told(
    folder: UPath, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    slept: list[float] = []
    monkeypatch.setattr(place_mark, "time", SimpleNamespace(monotonic=lambda: now[0], sleep=slept.append))
    own, other = PlaceMark(folder, OWN, tmp_path), PlaceMark(folder, OTHER, tmp_path)
    own.claim()
    own.seen()
    other.take()
    assert slept == [place_mark.GRACE_SECONDS]
    # It has looked a moment ago.
    now[0] += place_mark.SEEN_SECONDS / 2 - 0.1
    own.seen()
    now[0] += 0.1
    with own._lock:
        # Another thread is looking.
        own.seen()
    assert own.lost is None
    with pytest.raises(OutputInUseError, match="another run writes to") as caught:
        own.seen()
    assert own.lost is caught.value
    with pytest.raises(OutputInUseError):
        own.seen()
    other.check()
    # The other run waits longer than what the first may still send after it has looked.
    assert place_mark.GRACE_SECONDS >= 2 * place_mark.SEEN_SECONDS


def test_a_run_whose_mark_was_removed_is_told(folder: UPath, tmp_path: Path) -> None:
    own = PlaceMark(folder, OWN, tmp_path)
    own.claim()
    folder.fs.rm_file((folder / RECORD).path)
    with pytest.raises(OutputInUseError, match=rf"{RECORD}, by which .* was removed while"):
        own.check()


def test_another_run_that_takes_a_place_in_the_meantime_has_it(
    folder: UPath, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, other = PlaceMark(folder, OWN, tmp_path), PlaceMark(folder, OTHER, tmp_path)
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 1:
            other.take()

    monkeypatch.setattr(place_mark, "time", SimpleNamespace(monotonic=time.monotonic, sleep=sleep))
    with pytest.raises(OutputInUseError, match="another run writes to"):
        own.take()
    other.check()


def test_the_record_of_the_catalog_takes_the_place_of_the_mark(folder: UPath, tmp_path: Path) -> None:
    own = PlaceMark(folder, OWN, tmp_path)
    own.claim()
    (tmp_path / RECORD).write_bytes(b"what it was made from")
    own.check()
    (folder / RECORD).write_bytes(b"what it was made from")
    own.check()
    assert own.is_own({RECORD})
    assert not own.is_of_another({RECORD})
    (folder / RECORD).write_bytes(b"what another one was made from")
    # No run works there: it is the record of a catalog.
    assert not own.is_of_another({RECORD})
    with pytest.raises(OutputInUseError):
        own.check()


def test_a_store_that_fails_is_no_other_run(
    folder: UPath, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = PlaceMark(folder, OWN, tmp_path)
    own.claim()

    def refused(*_: Any, **__: Any) -> bytes:
        raise PermissionError(13, "not allowed")

    monkeypatch.setattr(MemoryFileSystem, "cat_file", refused)
    with pytest.raises(StorageError, match="not allowed"):
        own.check()
    assert own.lost is None


@pytest.mark.parametrize("in_place", [False, True])
def test_a_run_that_is_given_up_removes_no_file_that_may_be_of_another(
    in_place: bool, folder: UPath, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is given up while the file is sent."""
    given_up = [False]
    close = RemoteFile.close

    def closing(file: RemoteFile) -> None:
        close(file)
        given_up[0] = True

    monkeypatch.setattr(RemoteFile, "close", closing)
    output = RemoteFolder(folder, lambda: given_up[0], check_place=(lambda: None) if in_place else None)
    with pytest.raises(StorageError, match="given up"):
        write_one(output)
    assert folder.fs.exists((folder / "Npix=1.parquet").path) == in_place


def test_no_file_is_completed_at_the_place_of_another_run(folder: UPath, tmp_path: Path) -> None:
    own, other = PlaceMark(folder, OWN, tmp_path), PlaceMark(folder, OTHER, tmp_path)
    other.claim()
    with pytest.raises(OutputInUseError, match="another run writes to"):
        write_one(RemoteFolder(folder, check_place=own.seen))
    assert files_of(folder).keys() == {RECORD}
