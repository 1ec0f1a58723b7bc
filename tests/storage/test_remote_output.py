"""Files of others on a store stay: those whose paths fsspec would take for a match, and those that come meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from fsspec.implementations.memory import MemoryFileSystem
from upath import UPath

from skymargin.catalogs.ownership import listing_of
from skymargin.storage import remote_output
from skymargin.storage.paths import list_files, remove_files, remove_folder

OTHERS = (
    "run1/margin/hats.properties",
    "run1/margin/a.parquet",
    "run2/margin/a.parquet",
    "run/margin/a.parquet",
)


@pytest.fixture
def memory() -> Iterator[UPath]:
    root = UPath("memory://globs")
    for name in OTHERS:
        root.fs.pipe_file((root / name).path, b"of others")
    yield root
    root.fs.rm("/globs", recursive=True)


@pytest.mark.parametrize("name", ["run[12]", "run?", "run*"])
def test_brackets_and_stars_in_a_path_are_no_patterns(memory: UPath, name: str) -> None:
    folder = memory / name / "margin"
    for file in ("hats.properties", "a.parquet", "b.parquet"):
        folder.fs.pipe_file(f"{folder.path}/{file}", b"ours")
    remove_files(folder, ["b.parquet"])
    assert set(list_files(folder)) == {"hats.properties", "a.parquet"}
    remove_folder(folder)
    assert set(list_files(memory)) == set(OTHERS)


def test_a_margin_is_published_into_such_a_path(memory: UPath) -> None:
    final = memory / "run[12]" / "margin"
    partial = memory / "run[12]" / "margin.partial"
    for folder, content in ((final, b"old"), (partial, b"new")):
        for file in ("hats.properties", "a.parquet", "record.json"):
            folder.fs.pipe_file(f"{folder.path}/{file}", content)
    remote_output.publish(partial, final, marker="record.json")
    assert {name: (final / name).read_bytes() for name in list_files(final)} == dict.fromkeys(
        ("hats.properties", "a.parquet", "record.json"), b"new"
    )
    assert list_files(partial) == {}
    assert all((memory / name).read_bytes() == b"of others" for name in OTHERS)


def test_what_comes_while_a_folder_is_removed_stays(memory: UPath, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = memory / "run1" / "margin"
    original = MemoryFileSystem.invalidate_cache

    def late(self: MemoryFileSystem, path: str | None = None) -> None:
        original(self, path)
        if not self.store.keys() & {f"{folder.path}/a.parquet", f"{folder.path}/thesis.tex"}:
            self.pipe_file(f"{folder.path}/thesis.tex", b"mine")

    monkeypatch.setattr(MemoryFileSystem, "invalidate_cache", late)
    remove_folder(folder)
    assert (folder / "thesis.tex").read_bytes() == b"mine"


def test_only_the_files_that_are_named_are_removed(memory: UPath) -> None:
    folder = memory / "run1" / "margin"
    folder.fs.pipe_file(f"{folder.path}/thesis.tex", b"mine")
    remove_folder(folder, last="a.parquet", only={"a.parquet", "hats.properties", "b.parquet"})
    assert list_files(folder) == {"thesis.tex": 4}


def test_a_file_that_comes_while_an_output_is_listed_is_seen(
    memory: UPath, monkeypatch: pytest.MonkeyPatch
) -> None:
    """s3fs then says that there is a folder, and nothing of what is in it."""
    folder, find = memory / "run1" / "margin", MemoryFileSystem.find
    answers = [{folder.path: {"name": folder.path, "size": 0, "type": "directory"}}]

    def found(self: MemoryFileSystem, path: str, **options: Any) -> Any:
        return answers.pop() if answers else find(self, path, **options)

    monkeypatch.setattr(MemoryFileSystem, "find", found)
    there = listing_of(folder)
    assert there.files == {"hats.properties": 9, "a.parquet": 9}
    assert there.is_there
    assert not there.is_file
