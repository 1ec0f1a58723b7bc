"""What `clean` finds of interrupted runs and removes: their temporary folders, and nothing else."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import pytest
from upath import UPath

from skymargin.build.checkpoint import leftovers
from skymargin.build.checkpoint.leftovers import Leftover, find_leftovers, remove_leftover
from skymargin.build.checkpoint.lock import locked
from skymargin.build.run import Run
from skymargin.build.run_paths import RunPaths, temporary_name
from skymargin.errors import OutputInUseError, StorageError
from skymargin.storage.paths import AnyPath, remove_folder
from tests.support.catalogs import sky_near_edges, write_catalog
from tests.support.workspace import Workspace

THRESHOLD_ARCSEC = 600.0
PARTITIONS = ((1, 0), (1, 1), (2, 12), (2, 13), (0, 5))
SKY = sky_near_edges(PARTITIONS, rows=300, reach_arcsec=THRESHOLD_ARCSEC, seed=9)
HOUR_SECONDS = 3_600.0
DAY_SECONDS = 24 * HOUR_SECONDS
Patch = pytest.MonkeyPatch


@pytest.fixture
def work(tmp_path: Path, monkeypatch: Patch) -> Workspace:
    (tmp_path / "system").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "system"))
    write_catalog(tmp_path / "stars", SKY)
    return Workspace(tmp_path / "stars", tmp_path / "out", THRESHOLD_ARCSEC)


@pytest.fixture
def interrupted(work: Workspace, monkeypatch: Patch) -> Workspace:
    """A run that ended when its shards were written."""

    def end(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Run, "reduce", end)
        with pytest.raises(KeyboardInterrupt):
            work.make()
    return work


def grow_old(folder: Path, age_seconds: float = 2 * DAY_SECONDS) -> None:
    """Give a folder and all that is in it an age."""
    then = time.time() - age_seconds
    for path in (*folder.rglob("*"), folder):
        os.utime(path, (then, then), follow_symlinks=False)


def by_purpose(folder: Path) -> dict[str, Leftover]:
    found = find_leftovers(folder)
    assert len({leftover.name.purpose for leftover in found}) == len(found)
    return {leftover.name.purpose: leftover for leftover in found}


@pytest.mark.parametrize(
    ("name", "output", "purpose"),
    [
        ("gaia_10arcs.skymargin-shards-0123abcd-4567cdef", "gaia_10arcs", "shards"),
        ("gaia.v3.skymargin-partial-0123abcd-4567cdef", "gaia.v3", "partial"),
        ("gaia.skymargin-removed-shards-0123abcd-4567cdef-89abcdef", "gaia", "removed"),
        ("gaia.skymargin-removed-old-0123abcd-89abcdef", "gaia", "removed"),
        ("gaia.skymargin-removed-progress-0123abcd-89abcdef", "gaia", "removed"),
        ("gaia.skymargin-old-0123abcd", None, None),
        ("gaia.skymargin-old-0123abcd-4567cdef", None, None),
        ("gaia.skymargin-progress-0123abcd", None, None),
        ("gaia.skymargin-shards-0123abcd", None, None),
        ("gaia.skymargin-shards-0123abcd-4567cdef.bak", None, None),
        ("gaia.skymargin-shards-0123ABCD-4567cdef", None, None),
        ("gaia.skymargin-lock-0123abcd", None, None),
        ("dask.skymargin-workers-0123abcd-4567cdef", None, None),
        ("dask.skymargin-removed-workers-0123abcd-4567cdef-89abcdef", None, None),
        (".skymargin-shards-0123abcd-4567cdef", None, None),
        ("gaia_10arcs", None, None),
    ],
)
def test_names_of_temporary_folders(name: str, output: str | None, purpose: str | None) -> None:
    told = temporary_name(name)
    assert (told and told.output, told and told.purpose) == (output, purpose)
    if told:
        assert told.key == "0123abcd"


def test_the_lock_is_that_of_a_run() -> None:
    paths = RunPaths(Path("/data/out/gaia"), Path("/data/out"), Path("/data/out"))
    told = temporary_name(paths.shards("4567cdef").name)
    assert told
    assert told.key == paths.key
    assert [told.lock] == [file.name for file in paths.locks]


def test_what_an_interrupted_run_left_is_found_and_removed(interrupted: Workspace) -> None:
    out = interrupted.output
    found = by_purpose(out)
    assert set(found) == {"shards", "partial"}
    shards = found["shards"]
    assert set(shards.files) == {file.name for file in Path(str(shards.path)).iterdir()}
    assert shards.size_bytes == sum(file.stat().st_size for file in Path(str(shards.path)).iterdir()) > 1_000
    assert not any(leftover.foreign or leftover.holder for leftover in found.values())
    for leftover in found.values():
        assert leftover.age_seconds is not None
        assert leftover.is_older_than(0)
        assert not leftover.is_older_than(HOUR_SECONDS)
        remove_leftover(leftover)
    assert [name.split("-")[1] for name in interrupted.names] == ["progress"]
    # Its records without its shards are of no use, and no obstacle.
    interrupted.make()
    assert interrupted.ids == SKY.margins(THRESHOLD_ARCSEC)
    assert interrupted.names == ["margin"]


def test_margins_and_other_folders_are_none(interrupted: Workspace, tmp_path: Path) -> None:
    out = interrupted.output
    interrupted.make()
    assert find_leftovers(out) == []
    for name in ("margin.skymargin-old-0123abcd", "thesis"):
        shutil.copytree(interrupted.margin, out / name)
    (out / "x.skymargin-shards-0123abcd-4567cdef").symlink_to(interrupted.margin)
    (out / "y.skymargin-shards-0123abcd-4567cdef").write_text("a file")
    assert find_leftovers(out) == find_leftovers(tmp_path / "nothing") == []


def test_the_age_is_that_of_the_newest_folder_of_the_output(interrupted: Workspace) -> None:
    out = interrupted.output
    shards = Path(str(by_purpose(out)["shards"].path))
    shutil.copytree(shards, out / "other.skymargin-shards-0123abcd-4567cdef")
    grow_old(out)
    assert all(leftover.is_older_than(2 * DAY_SECONDS) for leftover in find_leftovers(out))
    # A run that reduces no longer writes into its shards.
    (partial,) = out.glob("margin.skymargin-partial-*")
    (partial / "partition_info.csv").write_text("being written")
    old = {leftover.path.name for leftover in find_leftovers(out) if leftover.is_older_than(DAY_SECONDS)}
    assert old == {"other.skymargin-shards-0123abcd-4567cdef"}
    # Nor does one that writes a margin straight to its place.
    written = out / "other" / "dataset" / "Norder=1" / "Dir=0" / "Npix=0.parquet"
    written.parent.mkdir(parents=True)
    written.write_bytes(b"being written")
    assert not [leftover for leftover in find_leftovers(out) if leftover.is_older_than(DAY_SECONDS)]
    # A margin that is complete there is not of a run.
    (out / "other" / "hats.properties").write_text("dataproduct_type=margin\n")
    old = {leftover.path.name for leftover in find_leftovers(out) if leftover.is_older_than(DAY_SECONDS)}
    assert old == {"other.skymargin-shards-0123abcd-4567cdef"}


@pytest.mark.parametrize("purpose", ["shards", "partial"])
@pytest.mark.parametrize("file", ["thesis.tex", "dataset/notes.txt", "collection.properties"])
def test_a_folder_that_holds_anything_else_is_kept(purpose: str, file: str, interrupted: Workspace) -> None:
    before = by_purpose(interrupted.output)[purpose]
    theirs = Path(str(before.path)) / file
    theirs.parent.mkdir(exist_ok=True)
    theirs.write_text("mine")
    leftover = by_purpose(interrupted.output)[purpose]
    assert leftover.foreign == f"holds {file}, which skymargin did not write"
    for found in (before, leftover):
        with pytest.raises(StorageError, match="has changed since it was listed, and was not removed"):
            remove_leftover(found)
    assert theirs.read_text() == "mine"


def test_a_catalog_under_such_a_name_is_kept_and_an_unpublished_margin_is_not(work: Workspace) -> None:
    work.make()
    catalog = work.output / "stars.skymargin-partial-0123abcd-4567cdef"
    shutil.copytree(work.catalog, catalog)
    unpublished = work.margin.rename(work.output / "margin.skymargin-partial-0123abcd-4567cdef")
    kept, mine = sorted(find_leftovers(work.output), key=lambda leftover: bool(not leftover.foreign))
    assert kept.path == catalog
    assert kept.foreign == "is a primary catalog (dataproduct_type=object)"
    assert mine.path == unpublished
    remove_leftover(mine)
    assert work.names == [catalog.name]


def test_links_are_removed_and_not_followed(interrupted: Workspace, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "kept.parquet").write_bytes(b"mine")
    (shards,) = interrupted.output.glob("margin.skymargin-shards-*")
    (shards / "Norder=1" / "Dir=0").mkdir(parents=True)
    (shards / "Norder=1" / "Dir=0" / "Npix=0").symlink_to(tmp_path / "elsewhere")
    # The whole link is a name that no run writes.
    assert by_purpose(interrupted.output)["shards"].foreign.startswith("holds Norder=1/Dir=0/Npix=0, ")
    (shards / "Norder=1" / "Dir=0" / "Npix=0").rename(shards / "Norder=1" / "Dir=0" / "Npix=0.parquet")
    leftover = by_purpose(interrupted.output)["shards"]
    assert not leftover.foreign
    remove_leftover(leftover)
    assert (tmp_path / "elsewhere" / "kept.parquet").read_bytes() == b"mine"
    assert not shards.exists()


def test_what_a_working_run_has_is_kept(interrupted: Workspace) -> None:
    leftover = by_purpose(interrupted.output)["shards"]
    paths = interrupted.arguments().run_paths
    with locked(paths.locks, "it"):
        assert leftover.holder.startswith(
            f"another run is making {interrupted.margin} (process {os.getpid()} on "
        )
        with pytest.raises(OutputInUseError):
            remove_leftover(leftover)
    assert Path(str(leftover.path)).exists()
    assert not leftover.holder
    # Of a remote output, the lock is in the temporary folder of the system.
    with locked([leftover.locks[-1]], "it"), pytest.raises(OutputInUseError):
        remove_leftover(leftover)
    remove_leftover(leftover)
    assert not [file for file in leftover.locks if file.exists()]


def test_the_lock_of_a_run_is_seen_in_each_of_its_folders(tmp_path: Path, monkeypatch: Patch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "system"))
    out, shards, records = (tmp_path / name for name in ("out", "shards", "records"))
    remote = UPath("memory://apart/out")
    for paths in (
        RunPaths(out / "gaia", shards, records),
        RunPaths(remote / "gaia", shards, records),
        RunPaths(out / "gaia", remote, records),
    ):
        with locked(paths.locks, "it"):
            for folder in (paths.partial("4567cdef"), paths.shards("4567cdef")):
                name = temporary_name(folder.name)
                assert name
                assert Leftover(folder, name, {}, None, "").holder.startswith("another run is making ")
        assert not [file for file in paths.locks if file.exists()]


def test_a_run_with_its_records_elsewhere_keeps_its_shards(
    interrupted: Workspace, tmp_path: Path, monkeypatch: Patch
) -> None:
    shards = tmp_path / "shards"

    def clean(*_: object) -> None:
        (leftover,) = find_leftovers(shards)
        assert leftover.holder.startswith("another run is making ")
        with pytest.raises(OutputInUseError):
            remove_leftover(leftover)
        raise KeyboardInterrupt

    monkeypatch.setattr(Run, "finish", clean)
    with pytest.raises(KeyboardInterrupt):
        interrupted.make(tmp_dir=shards, resume_tmp=tmp_path / "records")
    assert len(find_leftovers(shards)) == 1


def test_folders_that_vanish_while_they_are_looked_at(interrupted: Workspace, monkeypatch: Patch) -> None:
    out = interrupted.output
    before = by_purpose(out)
    inspect = leftovers.files_with_times

    def vanishing(folder: AnyPath) -> object:
        files = inspect(folder)
        if "-shards-" in folder.name:
            # As its run does when it ends.
            remove_folder(folder)
        return files

    with monkeypatch.context() as patch:
        patch.setattr(leftovers, "files_with_times", vanishing)
        assert set(by_purpose(out)) == {"partial"}
    with pytest.raises(StorageError, match="has changed since it was listed, and was not removed"):
        remove_leftover(before["shards"])
    remove_folder(out)
    assert find_leftovers(out) == []


def test_an_interrupted_removal_is_completed(interrupted: Workspace, monkeypatch: Patch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", lambda *_, **__: None)
        for leftover in find_leftovers(interrupted.output):
            remove_folder(leftover.path)
    found = find_leftovers(interrupted.output)
    assert [leftover.name.purpose for leftover in found] == ["removed", "removed"]
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", lambda *_, **__: None)
        with pytest.raises(StorageError, match="was not removed completely"):
            remove_leftover(found[0])
    for leftover in found:
        remove_leftover(leftover)
    assert find_leftovers(interrupted.output) == []


def test_shards_without_their_records_are_removed_by_the_next_run(interrupted: Workspace) -> None:
    """Their names have a token, and were taken for files of others."""
    (records,) = interrupted.output.glob("margin.skymargin-progress-*")
    shutil.rmtree(records)
    interrupted.make()
    assert interrupted.ids == SKY.margins(THRESHOLD_ARCSEC)
    assert interrupted.names == ["margin"]
