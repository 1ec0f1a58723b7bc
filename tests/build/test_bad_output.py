"""Outputs that cannot be written or may not be replaced: what was there stays, and a full disk is named."""

from __future__ import annotations

import errno
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

import skymargin._core as _core
from skymargin.errors import OutputExistsError, PartitionReadError, StorageError
from tests.support.catalogs import MIXED_PARTITIONS, Layout, fullest, nothing_left, on_disk, sky_near_edges
from tests.support.workspace import Workspace

THRESHOLD_ARCSEC = 60.0
SKY = sky_near_edges(MIXED_PARTITIONS, rows=900, reach_arcsec=THRESHOLD_ARCSEC, seed=4)
LAYOUT = Layout(row_group_rows=10)


def test_output_that_exists_is_kept(work: Workspace) -> None:
    work.make()
    before = on_disk(work.output)
    with pytest.raises(OutputExistsError, match="overwrite=True"):
        work.make()
    assert on_disk(work.output) == before
    # Also when the run that would replace it fails.
    fullest(work.catalog).write_bytes(b"no Parquet at all")
    with pytest.raises(PartitionReadError):
        work.make(overwrite=True)
    assert on_disk(work.output) == before


def test_overwrite_removes_no_folder_that_is_not_a_catalog(work: Workspace) -> None:
    precious = work.margin / "thesis.tex"
    precious.parent.mkdir(parents=True)
    precious.touch()
    with pytest.raises(OutputExistsError, match="is a folder that is no margin"):
        work.make(overwrite=True)
    assert precious.exists()


@pytest.mark.parametrize("place", ["itself", "inside", "around"])
def test_output_never_replaces_its_input(place: str, work: Workspace) -> None:
    catalog = work.catalog
    output, name = {
        "itself": (catalog.parent, catalog.name),
        "inside": (catalog, "margin"),
        "around": (catalog.parent.parent, catalog.parent.name),
    }[place]
    (catalog.parent / "partition_info.csv").touch()
    with pytest.raises(OutputExistsError, match="overlap"):
        replace(work, output=output).make(name, overwrite=True)
    assert work.file_of
    assert not (catalog / "margin").exists()


def test_a_folder_that_cannot_be_written(work: Workspace, tmp_path: Path) -> None:
    (tmp_path / "blocked").touch()
    with pytest.raises(StorageError, match="blocked"):
        work.make(tmp_dir=tmp_path / "blocked" / "inside")
    assert work.names == []


@pytest.mark.parametrize(
    ("function", "error", "message"),
    [
        (
            "reduce_batch",
            _core.MarginWriteError(2, 88, "No space left on device (os error 28)"),
            r"margin of order 2, pixel 88 .*/out/margin\.skymargin-partial",
        ),
        ("map_batch", _core.ShardError("No space left on device (os error 28)"), "No space left on device"),
    ],
)
def test_a_full_disk(function: str, error: OSError, message: str, work: Workspace) -> None:
    """`tests/campaign/refused_writes` fills a disk."""

    def full(*_: object) -> None:
        raise error

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(_core, function, full)
        with pytest.raises(StorageError, match=message) as caught:
            work.make()
    assert "No space left on device" in str(caught.value)
    assert not work.margin.exists()
    # With shards written there is something to resume once there is room; before that there is not.
    has_shards = "reduce" in function
    assert nothing_left(work.output) == (not has_shards)
    notes = getattr(caught.value, "__notes__", [])
    assert [f"{work.output}/margin.skymargin-shards" in note for note in notes] == [True] * has_shards
    work.make()
    assert work.names == ["margin"]


def fill_disk(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the disk be full, as the system says it, whenever a file of this name is written."""

    def full(original: Callable[..., int]) -> Callable[..., int]:
        def write(self: Path, *content: object, **named: object) -> int:
            if name not in self.name:
                return original(self, *content, **named)
            self.touch()
            raise OSError(errno.ENOSPC, "No space left on device")

        return write

    monkeypatch.setattr(Path, "write_text", full(Path.write_text))
    monkeypatch.setattr(Path, "write_bytes", full(Path.write_bytes))


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("mapped-", "margin.skymargin-progress"),
        ("placing.json", "margin.skymargin-progress"),
        ("_metadata.skymargin.json", "_metadata.skymargin.json"),
        ("partition_info.csv", "margin.skymargin-partial"),
        ("hats.properties", "margin.skymargin-partial"),
        ("properties", "margin.skymargin-partial"),
    ],
)
def test_a_full_disk_is_told_with_the_file_or_folder(name: str, told: str, work: Workspace) -> None:
    with pytest.MonkeyPatch.context() as patched:
        fill_disk(name, patched)
        with pytest.raises(StorageError, match="No space left on device") as caught:
            work.make()
    assert str(work.output) in str(caught.value)
    assert told in str(caught.value)
    if "properties" in name:
        # Nothing that would make a catalog valid is left.
        assert not list(work.output.rglob("*properties*"))
    work.make()
    assert work.names == ["margin"]
