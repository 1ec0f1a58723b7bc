"""Paths of either kind, and files that appear only when they are whole."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import fsspec
import pyarrow.parquet as pq
import pytest
from fsspec.registry import known_implementations
from upath import UPath

import skymargin
from skymargin.errors import ArgumentError, MissingExtraError, StorageError
from skymargin.plot import plot_partition, plot_sky
from skymargin.polars import read_margin
from skymargin.storage.output_folder import RemoteFolder
from skymargin.storage.paths import (
    as_path,
    atomic_write,
    is_empty_folder,
    is_local,
    list_files,
    open_input,
    remove_folder,
    resolve_reference,
    temporary_folder,
)
from tests.support.catalogs import MIXED_PARTITIONS, files_of, make_margin, sky_near_edges, write_catalog


@pytest.fixture
def remote(request: pytest.FixtureRequest) -> UPath:
    """Return a folder in a file system that is not on disk."""
    folder = UPath(f"memory://{re.sub('[^a-zA-Z]', '-', request.node.name)}")
    folder.mkdir(parents=True)
    return folder


@pytest.mark.parametrize("kind", ["local", "remote"])
def test_folders_of_either_kind(kind: str, tmp_path: Path, remote: UPath) -> None:
    folder = tmp_path if kind == "local" else remote
    assert is_local(folder) == (kind == "local")
    assert list_files(folder / "nowhere") == {}
    for name in ("one", "deep/down/two", "deep/three"):
        path = folder / name
        if isinstance(path, Path):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(name.encode())
        else:
            with RemoteFolder(folder) as output:
                file = output.create(name)
                file.write(name[:2].encode())
                file.write(name[2:].encode())
                file.finish()
    assert list_files(folder) == {"one": 3, "deep/down/two": 13, "deep/three": 10}
    with open_input(folder / "deep/three") as source:
        assert source.read() == b"deep/three"
    assert not is_empty_folder(folder)
    remove_folder(folder / "deep")
    remove_folder(folder / "deep")
    assert list_files(folder) == {"one": 3}


def test_a_file_that_is_there_is_complete(tmp_path: Path) -> None:
    def fail() -> None:
        with atomic_write(tmp_path / "file") as aside:
            aside.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert list_files(tmp_path) == {}
    with atomic_write(tmp_path / "file") as aside:
        aside.write_text("whole")
        assert not (tmp_path / "file").exists()
    assert list_files(tmp_path) == {"file": 5}


def test_a_temporary_folder_is_gone_afterwards(tmp_path: Path) -> None:
    with temporary_folder(tmp_path / "base", "name") as folder:
        (folder / "file").touch()
        with temporary_folder(tmp_path / "base", "name") as other:
            assert other != folder
    assert not any((tmp_path / "base").iterdir())
    (tmp_path / "file").touch()
    with (
        pytest.raises(StorageError, match="cannot be written to"),
        temporary_folder(tmp_path / "file", "name"),
    ):
        pass


def test_urls_of_this_machine_are_plain_paths(tmp_path: Path) -> None:
    for given in (
        str(tmp_path),
        tmp_path,
        UPath(tmp_path),
        UPath(f"file://{tmp_path}"),
        f"file://{tmp_path}",
    ):
        assert as_path(given) == tmp_path
        assert isinstance(as_path(given), Path)
    assert str(as_path("memory://folder/file")) == "memory://folder/file"


@pytest.mark.parametrize("kind", [str, Path, UPath])
def test_home_and_variables_in_paths(kind: type, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SKY", "stars")
    monkeypatch.setenv("HOMELY", "~/data")
    monkeypatch.delenv("NOTHING", raising=False)
    expected = {
        "~": tmp_path,
        "~/a b": tmp_path / "a b",
        "$HOME/$SKY": tmp_path / "stars",
        "/x/${SKY}_10/y": Path("/x/stars_10/y"),
        "$HOMELY/x": tmp_path / "data" / "x",
        "./~/x": Path.cwd() / "~/x",
        "a~b": Path("a~b"),
        "$NOTHING/x$": Path("$NOTHING/x$"),
        "~nobody-of-this-name/x": Path.cwd() / "~nobody-of-this-name/x",
    }
    for text, path in expected.items():
        if kind is str or not text.startswith("./"):
            assert as_path(kind(text)) == path
            assert isinstance(as_path(kind(text)), Path)
            assert as_path(as_path(kind(text))) == path


def test_nothing_is_replaced_in_urls_and_in_what_files_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SKY", "stars")
    monkeypatch.setenv("STORE", "memory://bucket")
    assert str(as_path("memory://$SKY/~/file")) == "memory://$SKY/~/file"
    assert str(as_path(UPath("memory://$SKY/file"))) == "memory://$SKY/file"
    assert as_path(f"file://{tmp_path}/$SKY") == tmp_path / "$SKY"
    assert str(as_path("$STORE/x")) == "memory://bucket/x"
    assert resolve_reference(tmp_path, "$SKY/~") == tmp_path / "$SKY" / "~"


def test_a_margin_of_a_remote_catalog_at_a_remote_place(tmp_path: Path, remote: UPath) -> None:
    sky = sky_near_edges(MIXED_PARTITIONS, rows=300, reach_arcsec=60.0, seed=13)
    write_catalog(tmp_path / "catalog", sky)
    fsspec.filesystem("memory").put(str(tmp_path / "catalog"), f"{remote.path}/catalog", recursive=True)
    make_margin(tmp_path / "catalog", tmp_path, 60.0, "local")
    make_margin(remote / "catalog", remote, 60.0, "far", tmp_dir=tmp_path / "tmp")  # type: ignore[arg-type]
    assert not any((tmp_path / "tmp").iterdir())
    assert {name.split("/")[0] for name in list_files(remote)} == {"catalog", "far"}
    for pixel, file in files_of(tmp_path / "local").items():
        far = remote / "far" / file.relative_to(tmp_path / "local").as_posix()
        assert far.read_bytes() == file.read_bytes(), pixel
    with open_input(remote / "far" / "dataset" / "_metadata") as source:
        assert pq.read_metadata(source).num_rows == sum(map(len, sky.margins(60.0).values()))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: skymargin.info(5), "catalog must be a path or URL, not 5"),
        (lambda: skymargin.info(b"a"), "catalog must be a path or URL, not b'a'"),
        (lambda: skymargin.info(list(range(100))), "catalog must be a path or URL, not list"),
        (lambda: skymargin.verify(None), "margin must be a path or URL, not None"),
        (lambda: skymargin.write_catalog({}, 5), "catalog_path must be a path or URL, not 5"),
        (lambda: skymargin.create_collection(5, 5), "folder must be a path or URL, not 5"),
        (lambda: skymargin.create_collection("a", 5), "catalog must be a path or URL, not 5"),
        (lambda: skymargin.inspect_collection(None), "collection must be a path or URL, not None"),
        (lambda: skymargin.remove_margin(3, "x"), "collection must be a path or URL, not 3"),
        (lambda: plot_sky(5), "margin must be a path or URL, not 5"),
        (lambda: plot_partition("a", picture=5), "picture must be a path or URL, not 5"),
        (lambda: read_margin(5), "path must be a path or URL, not 5"),
        (lambda: skymargin.plan_margin(5), "args must be MarginCacheArguments, not int"),
        (
            lambda: skymargin.pipeline(5),
            "args must be MarginCacheArguments, or a list of them, not int",
        ),
    ],
)
def test_what_is_no_path_is_refused_by_name(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ArgumentError, match=f"^{re.escape(message)}$"):
        call()


def test_a_url_of_an_unknown_file_system_is_refused_by_name() -> None:
    message = r"^foo://x: Unsupported filesystem: 'foo'; fsspec has s3, gs, abfs, http, https and others$"
    with pytest.raises(ArgumentError, match=message):
        as_path("foo://x")


def test_a_file_system_that_is_not_installed_is_named_with_the_url(monkeypatch: pytest.MonkeyPatch) -> None:
    about = {"class": "nowhere.NoFileSystem", "err": "Install nowhere"}
    monkeypatch.setitem(known_implementations, "adl", about)
    with pytest.raises(MissingExtraError, match=r"^adl://x/y: Install nowhere$"):
        as_path("adl://x/y")
