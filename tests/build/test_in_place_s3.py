"""New margins on an object store, written to their place at once: no catalog is there before the whole one is."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from upath import UPath

from skymargin.build.checkpoint import pending, resume
from skymargin.catalogs.layout import MARKS_ASIDE, RECORD, VALID_BY
from skymargin.errors import OutputExistsError, StorageError
from skymargin.storage.output_folder import RemoteFile, RemoteFolder
from tests.build.overwriting import THRESHOLD_ARCSEC, make_examples
from tests.campaign.readers import accepting
from tests.support.catalogs import Pixel, make_margin, make_margins, same_margin
from tests.support.servers import Bucket, Record, new_bucket, s3_server

FORMATS = {"stars": "hats", "hipscat_stars": "hipscat"}
Patch = pytest.MonkeyPatch


class Killed(BaseException):
    """The end of a process, as far as another one can see it."""


class Store:
    """A bucket with a primary catalog of each format."""

    def __init__(self, bucket: Bucket, record: Record) -> None:
        self.bucket, self.record = bucket, record
        self.options = dict.fromkeys(("input_storage_options", "output_storage_options"), bucket.options)

    def make(self, output: str, catalog: str = "stars", **arguments: Any) -> Any:
        values = {"threshold_arcsec": THRESHOLD_ARCSEC, **self.options, **arguments}
        return make_margin(f"{self.bucket.url}/{catalog}", f"{self.bucket.url}/{output}", **values)  # type: ignore[arg-type]

    def make_several(self, output: str, thresholds_arcsec: tuple[float, ...], **arguments: Any) -> Any:
        url = self.bucket.url
        return make_margins(f"{url}/stars", f"{url}/{output}", thresholds_arcsec, **self.options, **arguments)  # type: ignore[arg-type]

    def path(self, name: str) -> Any:
        return UPath(f"{self.bucket.url}/{name}", **self.bucket.options)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    made = make_examples(tmp_path_factory.mktemp("made"))
    with s3_server() as server:
        bucket = new_bucket(server)
        for catalog in FORMATS:
            bucket.put(made / catalog, catalog)
        yield Store(bucket, server.record)
        bucket.fs.rm(bucket.name, recursive=True)


@pytest.fixture(autouse=True)
def _in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """Write new margins to their place at once, as no run does yet."""
    monkeypatch.setattr(resume, "IN_PLACE", True)


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
        create = RemoteFolder.create

        def counted(folder: RemoteFolder, name: str) -> RemoteFile:
            if self.written >= self.most:
                raise Killed
            self.written += 1
            return create(folder, name)

        monkeypatch.setattr(RemoteFolder, "create", counted)

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
