"""What `clean` and `info` find and remove on an object store."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fsspec.implementations.memory import MemoryFileSystem
from upath import UPath

from skymargin.build.checkpoint.leftovers import find_leftovers, remove_leftover
from skymargin.build.checkpoint.lock import locked
from skymargin.build.run import Run
from skymargin.build.run_paths import RunPaths
from skymargin.errors import OutputInUseError, StorageError
from skymargin.storage.listing import files_with_times, subfolders
from tests.storage.conftest import THRESHOLD_ARCSEC, Local, Store
from tests.support.catalogs import make_margin, on_disk
from tests.support.catalogs import same_margin as same
from tests.support.processes import run
from tests.support.servers import KEY, SECRET

pytestmark = pytest.mark.usefixtures("quiet_servers")

Patch = pytest.MonkeyPatch


def interrupt(monkeypatch: Patch, bucket: Store, output: str, local: Local) -> None:
    """Put on the store what a run that ended when its margins were written has left on a disk."""
    folder = local.folder / output
    with ended_early(monkeypatch), pytest.raises(KeyboardInterrupt):
        make_margin(local.folder / "collection" / "stars", folder, THRESHOLD_ARCSEC)
    bucket.write(
        {
            f"{output}/{name}": content
            for name, content in on_disk(folder).items()
            if ".skymargin-progress-" not in name
        }
    )


@contextmanager
def ended_early(monkeypatch: Patch) -> Iterator[None]:
    """Have Ctrl-C end runs when their margins are written."""

    def end(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Run, "finish", end)
        yield


def skymargin(bucket: Store, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a command that finds the server and its credentials in the environment."""
    environment = {
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_ENDPOINT_URL": bucket.server.url,
    }
    return run([sys.executable, "-W", "error", "-m", "skymargin", *words], environment=environment)


def make_old(bucket: Store, prefix: str, age: timedelta) -> None:
    """Give the objects below a prefix an age, in the memory of the server."""
    from moto.backends import get_backend

    backend: Any = get_backend("s3")["123456789012"]["aws"]
    keys = backend.buckets[bucket.name].keys
    for name in list(keys):
        if name.startswith(prefix):
            keys[name].last_modified = datetime.now(UTC).replace(tzinfo=None) - age


def test_what_is_left_on_a_store_is_named_and_removed(
    bucket: Store, local: Local, monkeypatch: Patch
) -> None:
    interrupt(monkeypatch, bucket, "left", local)
    url = f"{bucket.url}/left"
    before = bucket.contents("left")
    assert {name.split("-")[1] for name in before} == {"partial", "shards"}
    assert "kept, it is younger than 1 day\n" in skymargin(bucket, "clean", url, "--yes").stdout
    make_old(bucket, "left/", timedelta(days=3))
    told = skymargin(bucket, "info", url).stdout.splitlines()
    assert told[0] == f"Left by interrupted runs; `skymargin clean {url}` removes it:"
    for line, purpose in zip(told[1:], ("partial", "shards"), strict=True):
        assert line.startswith(f"{url}/margin.skymargin-{purpose}-")
        sizes = [len(content) for name, content in before.items() if f"-{purpose}-" in name]
        assert line.endswith(f" kB in {len(sizes)} file{'s' * (len(sizes) > 1)}, 3 days old")
        assert f": {sum(sizes) / 1_000:.1f} kB in " in line
    bucket.write({"left/thesis.tex": b"mine", "left/other/notes.txt": b"mine"})
    assert "\nRemoved 2 folders, " in skymargin(bucket, "clean", url, "--yes").stdout
    assert bucket.contents("left") == {"thesis.tex": b"mine", "other/notes.txt": b"mine"}


def test_a_younger_folder_of_the_output_keeps_the_others(
    bucket: Store, local: Local, monkeypatch: Patch
) -> None:
    interrupt(monkeypatch, bucket, "working", local)
    make_old(bucket, "working/margin.skymargin-shards-", timedelta(days=3))
    folder = UPath(f"{bucket.url}/working", **bucket.options)
    found = find_leftovers(folder)
    assert len(found) == 2
    assert not [leftover for leftover in found if leftover.is_older_than(3_600)]
    make_old(bucket, "working/", timedelta(days=2))
    assert [leftover for leftover in find_leftovers(folder) if leftover.is_older_than(86_400)] == [
        *find_leftovers(folder)
    ]


def test_what_holds_other_files_stays_on_a_store(bucket: Store, local: Local, monkeypatch: Patch) -> None:
    interrupt(monkeypatch, bucket, "mixed", local)
    folder = UPath(f"{bucket.url}/mixed", **bucket.options)
    listed = find_leftovers(folder)
    for leftover in listed:
        bucket.write({f"mixed/{leftover.path.name}/thesis.tex": b"mine"})
    before = bucket.contents("mixed")
    for leftover in listed:
        with pytest.raises(StorageError, match="has changed since it was listed"):
            remove_leftover(leftover)
    said = skymargin(bucket, "clean", str(folder), "--older-than", "0", "--yes").stdout
    assert said.count(": kept, it holds thesis.tex, which skymargin did not write\n") == 2
    assert bucket.contents("mixed") == before


def test_the_same_call_makes_the_margin_when_what_it_left_is_removed(
    bucket: Store, local: Local, monkeypatch: Patch
) -> None:
    with ended_early(monkeypatch), pytest.raises(KeyboardInterrupt):
        bucket.make("collection/stars", "again")
    for leftover in find_leftovers(UPath(f"{bucket.url}/again", **bucket.options)):
        remove_leftover(leftover)
    bucket.make("collection/stars", "again")
    assert same(bucket.contents("again"), {f"margin/{k}": v for k, v in local.margin.items()})


def test_an_unfinished_margin_at_its_place_is_named_and_removed(
    bucket: Store, monkeypatch: Patch, tmp_path: Path
) -> None:
    bucket.make("collection/stars", "placed", name="whole")
    with ended_early(monkeypatch), pytest.raises(KeyboardInterrupt):
        bucket.make("collection/stars", "placed")
    url = f"{bucket.url}/placed"
    folder = UPath(url, **bucket.options)
    (leftover,) = find_leftovers(folder)
    assert (leftover.path, leftover.name.purpose, leftover.foreign) == (folder / "margin", "unfinished", "")
    with locked(RunPaths(folder / "margin", tmp_path, tmp_path).locks, "it"):
        assert leftover.holder.startswith("another run is making ")
        with pytest.raises(OutputInUseError):
            remove_leftover(leftover)
    assert "kept, it is younger than 1 day\n" in skymargin(bucket, "clean", url, "--yes").stdout
    make_old(bucket, "placed/", timedelta(days=3))
    told = skymargin(bucket, "info", url).stdout.splitlines()
    assert f"Left by interrupted runs; `skymargin clean {url}` removes it:" in told
    assert told[-1].startswith(f"{url}/margin: ")
    bucket.write({"placed/margin/thesis.tex": b"mine"})
    assert (
        "it holds thesis.tex, which" in skymargin(bucket, "clean", url, "--older-than", "0", "--yes").stdout
    )
    bucket.fs.rm_file(f"{bucket.name}/placed/margin/thesis.tex")
    assert "\nRemoved 1 folder, " in skymargin(bucket, "clean", url, "--yes").stdout
    assert {name.split("/")[0] for name in bucket.contents("placed")} == {"whole"}
    bucket.make("collection/stars", "placed")
    assert find_leftovers(folder) == []


def test_listings_with_times(bucket: Store, tmp_path: Path) -> None:
    bucket.write({"times/a": b"1", "times/b/c": b"22", "times/b/": b"", "times/d/e/f": b"333"})
    (tmp_path / "times" / "b").mkdir(parents=True)
    (tmp_path / "times" / "d" / "e").mkdir(parents=True)
    for name, content in (("a", "1"), ("b/c", "22"), ("d/e/f", "333")):
        (tmp_path / "times" / name).write_text(content)
        MemoryFileSystem().pipe_file(f"/times/{name}", content.encode())
    now = datetime.now(UTC).timestamp()
    for folder in (
        tmp_path / "times",
        UPath("memory://times"),
        UPath(f"{bucket.url}/times", **bucket.options),
    ):
        assert [entry.name for entry in subfolders(folder)] == ["b", "d"]
        assert subfolders(folder / "nothing") == []
        files = files_with_times(folder)
        assert {name: status.size_bytes for name, status in files.items()} == {"a": 1, "b/c": 2, "d/e/f": 3}
        assert all(abs((status.written_unix_seconds or 0) - now) < 3_600 for status in files.values())
        assert files_with_times(folder / "nothing") == {}
    MemoryFileSystem().rm("/times", recursive=True)
