"""New margins on an object store, written to their place at once: no catalog is there before the whole one is."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from upath import UPath

from skymargin.build.checkpoint import pending
from skymargin.build.checkpoint.state import RunState
from skymargin.catalogs import place_mark
from skymargin.catalogs.layout import MARKS_ASIDE, PARTITION_INFO, RECORD, VALID_BY
from skymargin.errors import ArgumentError, OutputExistsError, StorageError
from skymargin.storage.output_folder import RemoteFile, RemoteFolder
from tests.build.margin_store import FORMATS, Killed, Store, killed, opened_store
from tests.build.overwriting import THRESHOLD_ARCSEC
from tests.campaign.readers import accepting
from tests.support.catalogs import Pixel, same_margin

Patch = pytest.MonkeyPatch


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with opened_store(tmp_path_factory.mktemp("made")) as store:
        yield store


@pytest.fixture(autouse=True)
def _without_grace(monkeypatch: Patch) -> None:
    """Wait for no other run: there is none."""
    monkeypatch.setattr(place_mark, "GRACE_SECONDS", 0.0)


@pytest.fixture(autouse=True)
def system(tmp_path: Path, monkeypatch: Patch) -> Path:
    """The temporary folder of the system."""
    folder = tmp_path / "system"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


class Requests:
    """Counts the files that are written to the store, and ends the run when there were so many."""

    def __init__(self, monkeypatch: Patch) -> None:
        self.written = 0
        self.most = 1_000
        create, mark = RemoteFolder.create, place_mark._create

        def counted(folder: RemoteFolder, name: str) -> RemoteFile:
            self._count()
            return create(folder, name)

        def marked(file: UPath, content: bytes) -> None:
            self._count()
            mark(file, content)

        monkeypatch.setattr(RemoteFolder, "create", counted)
        monkeypatch.setattr(place_mark, "_create", marked)

    def _count(self) -> None:
        if self.written >= self.most:
            raise Killed
        self.written += 1

    def allow(self, most: int = 1_000) -> None:
        self.written, self.most = 0, most


@pytest.fixture
def requests(monkeypatch: Patch) -> Requests:
    return Requests(monkeypatch)


@pytest.mark.parametrize("catalog", FORMATS)
def test_whatever_file_is_the_last_a_reader_finds_no_catalog_or_a_whole_one(
    catalog: str, store: Store, requests: Requests, system: Path
) -> None:
    requests.allow()
    store.make(f"all-{catalog}", catalog)
    whole, count = store.bucket.contents(f"all-{catalog}/margin"), requests.written
    margins = sum("Npix=" in name for name in whole)
    # The record is there from the first moment, and gets its content at the end.
    assert count == len(whole) + 1
    assert margins >= 4
    seen = set()
    assert accepting(store.path(f"all-{catalog}/margin"), FORMATS[catalog]) == ["the library", "verify"]
    for most in (0, 2, *range(margins + 1, count)):
        requests.allow(most)
        output = f"last-{catalog}-{most}"
        # The core reports what ends a task as an error of the file.
        with pytest.raises((Killed, StorageError)):
            store.make(output, catalog)
        assert requests.written == most
        found = store.bucket.contents(output)
        assert all(name.startswith("margin/") for name in found), "nothing is beside it"
        has_marks = any(f"margin/{name}" in found for name in VALID_BY)
        assert bool(accepting(store.path(f"{output}/margin"), FORMATS[catalog])) == has_marks
        assert not has_marks or {f"margin/{name}" for name in whole} - found.keys() == {"margin/properties"}
        seen.add(has_marks)
        # Nor is there one among what waits on this machine.
        aside = [file for mark in VALID_BY for file in system.rglob(mark)]
        assert {file.parent.name for file in aside} <= {MARKS_ASIDE}
        for folder in {folder for file in aside for folder in (file.parent, file.parent.parent)}:
            assert accepting(folder, FORMATS[catalog]) == []
        requests.allow()
        store.make(output, catalog)
        assert same_margin(*(bare(files) for files in (store.bucket.contents(f"{output}/margin"), whole)))
        assert store.bucket.contents(output).keys() == {f"margin/{name}" for name in whole}
        assert list(system.iterdir()) == []
    # Of HiPSCat, the last file is the only one that makes it a catalog.
    assert seen == ({False, True} if catalog == "stars" else {False})


def bare(files: dict[str, bytes]) -> dict[str, bytes]:
    """Files without the time of day that HiPSCat writes into two of them."""
    return {name: content for name, content in files.items() if name != "provenance_info.json"}


def test_a_finished_part_is_not_made_again(store: Store, requests: Requests, mapped: list[Pixel]) -> None:
    requests.allow(3)
    with pytest.raises((Killed, StorageError)) as caught:
        store.make("resumed")
    notes = " ".join(getattr(caught.value, "__notes__", ()))
    assert f"and in {store.bucket.url}/resumed/margin; the same call goes on from there" in notes
    mapped.clear()
    requests.allow()
    store.make("resumed")
    assert not mapped


@pytest.mark.parametrize("published", [False, True])
def test_a_run_with_other_arguments_makes_the_margin_anew(
    published: bool, store: Store, requests: Requests
) -> None:
    output = f"other-{published}"
    store.make(f"{output}-expected", threshold_arcsec=5.0)
    expected = store.bucket.contents(f"{output}-expected/margin")
    requests.allow()
    store.make(f"{output}-count")
    # All but the second of the properties, or one margin.
    requests.allow(requests.written - 1 if published else 2)
    with pytest.raises((Killed, StorageError)):
        store.make(output)
    requests.allow()
    if published:
        # It is a catalog.
        with pytest.raises(OutputExistsError, match="overwrite=True replaces it"):
            store.make(output, threshold_arcsec=5.0)
    store.make(output, threshold_arcsec=5.0, overwrite=published)
    assert same_margin(store.bucket.contents(f"{output}/margin"), expected)
    assert all(name.startswith("margin/") for name in store.bucket.contents(output))


def test_another_machine_needs_overwrite(
    store: Store, requests: Requests, tmp_path: Path, monkeypatch: Patch
) -> None:
    requests.allow(3)
    with pytest.raises((Killed, StorageError)):
        store.make("elsewhere")
    requests.allow()
    (tmp_path / "other").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "other"))
    with pytest.raises(OutputExistsError, match=r"overwrite=True replaces it .*interrupted run"):
        store.make("elsewhere")
    store.make("elsewhere", overwrite=True)
    store.make("elsewhere-expected")
    assert same_margin(
        store.bucket.contents("elsewhere/margin"), store.bucket.contents("elsewhere-expected/margin")
    )


def test_several_margins_of_which_one_is_published(store: Store, monkeypatch: Patch) -> None:
    thresholds_arcsec = (THRESHOLD_ARCSEC, 5.0)
    store.make_several("several-expected", thresholds_arcsec)
    expected = store.bucket.contents("several-expected")
    complete = pending.complete
    for follows in ("the same", "one alone"):
        output = f"several-{follows.split()[0]}"
        published: list[Any] = []

        def once(*arguments: Any, published: list[Any] = published) -> None:
            if published:
                raise Killed
            published.append(arguments)
            complete(*arguments)

        with monkeypatch.context() as patch:
            patch.setattr(pending, "complete", once)
            with pytest.raises(Killed):
                store.make_several(output, thresholds_arcsec)
        found = store.bucket.contents(output)
        assert "margin_30/hats.properties" in found
        assert f"margin_5/{RECORD}" in found
        assert "margin_5/hats.properties" not in found
        if follows == "one alone":
            store.make(output, name="margin_5", threshold_arcsec=5.0)
        else:
            store.make_several(output, thresholds_arcsec)
        assert same_margin(store.bucket.contents(output), expected)


def test_margins_that_were_changed_are_not_published(store: Store, requests: Requests) -> None:
    store.make("changed-count")
    count = requests.written
    requests.allow(count - 2)
    with pytest.raises(Killed):
        store.make("changed")
    name = next(name for name in store.bucket.contents("changed") if "Npix=" in name)
    store.bucket.write({f"changed/{name}": b"theirs"})
    requests.allow()
    # The next run starts over.
    store.make("changed")
    assert same_margin(store.bucket.contents("changed/margin"), store.bucket.contents("changed-count/margin"))


@pytest.mark.parametrize("change", ["removed", "cut"])
def test_what_waits_on_this_machine_is_made_again_when_it_is_not_whole(
    change: str, store: Store, system: Path, monkeypatch: Patch
) -> None:
    output = f"waiting-{change}"
    with monkeypatch.context() as patch:
        patch.setattr(pending, "complete", killed)
        with pytest.raises(Killed):
            store.make(output)
    (file,) = system.rglob(PARTITION_INFO)
    if change == "removed":
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[:-1])
    store.make(output)
    store.make(f"{output}-expected")
    assert same_margin(
        store.bucket.contents(f"{output}/margin"), store.bucket.contents(f"{output}-expected/margin")
    )


def test_the_first_error_is_raised_when_nothing_can_be_removed(store: Store, monkeypatch: Patch) -> None:
    def broken(*_: Any) -> Any:
        raise ArgumentError("the format does not allow it")

    def refused(*_: Any, **__: Any) -> None:
        raise StorageError("the store is gone")

    monkeypatch.setattr("skymargin.build.run.finish", broken)
    monkeypatch.setattr(RunState, "throw_away", refused)
    with pytest.raises(ArgumentError, match="the format does not allow it") as caught:
        store.make("hidden")
    assert caught.value.__notes__ == ["What was done cannot be removed: the store is gone"]


def test_a_file_that_comes_to_an_unfinished_margin_stays(store: Store, requests: Requests) -> None:
    requests.allow(3)
    with pytest.raises((Killed, StorageError)):
        store.make("shared")
    requests.allow()
    left = store.bucket.contents("shared/margin")
    theirs = {"thesis.tex": b"mine", "dataset/Norder=9/Dir=0/Npix=7.parquet": b"theirs"}
    for name, content in theirs.items():
        store.bucket.write({f"shared/margin/{name}": content})
        # With the same arguments, and with others; one of the names is one that a margin may have.
        for asked in ({}, {"threshold_arcsec": 5.0}):
            with pytest.raises(OutputExistsError):
                store.make("shared", **asked)
            assert store.bucket.contents("shared/margin") == left | {name: content}
        store.bucket.remove(f"shared/margin/{name}")
    store.make("shared")
    store.make("shared-expected")
    assert same_margin(store.bucket.contents("shared"), store.bucket.contents("shared-expected"))
