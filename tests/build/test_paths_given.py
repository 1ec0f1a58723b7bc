"""Paths that users write: `~`, environment variables and relative paths, wherever a path goes in."""

from __future__ import annotations

import shutil
from pathlib import Path

import pyarrow as pa
import pytest

import skymargin.polars as smp
from skymargin import MarginCacheArguments, info, pipeline, verify
from skymargin.catalogs.write_catalog import write_catalog
from skymargin.cli.main import main
from skymargin.compat.hats_arguments import HatsImportArguments
from skymargin.compat.hipscat_arguments import HipscatImportArguments
from skymargin.errors import ArgumentError
from skymargin.plot import plot_partition
from tests.support.catalogs import make_margin, state_properties


@pytest.fixture
def home(small_catalog: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home folder, with a catalog in it; the current folder is another one, which must stay empty."""
    home = tmp_path / "home"
    shutil.copytree(small_catalog, home / "sky" / "small")
    (tmp_path / "current").mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("SKY", "sky")
    monkeypatch.chdir(tmp_path / "current")
    return home


def test_the_home_folder_wherever_a_path_goes_in(home: Path) -> None:
    folders = {name: f"~/{name}" for name in ("tmp_dir", "dask_tmp", "resume_tmp")}
    args = MarginCacheArguments(
        "~/out", "margin", input_catalog_path=Path("~/$SKY/small"), margin_threshold=3600,
        progress_bar=False, **folders,
    )  # fmt: skip
    assert args.catalog_path == home / "out" / "margin"
    assert (args.tmp_dir, args.dask_tmp, args.resume_tmp) == tuple(home / name for name in folders)
    report = pipeline(args)
    assert report.catalog_path == str(home / "out" / "margin")
    assert verify("~/out/margin", "$HOME/sky/small").right
    assert info("~/${SKY}/small").name == "small"
    assert smp.read_margin("~/out/margin").height == report.rows
    plot_partition("~/out/margin", view="whole", picture="~/picture.png")
    assert (home / "picture.png").is_file()
    write_catalog(pa.table({"ra": [1.0], "dec": [2.0]}), "~/written")
    assert (home / "written" / "hats.properties").is_file()
    assert not any(Path().iterdir())


def test_the_home_folder_on_the_command_line(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With `--output=~/x` the shell replaces nothing."""
    command = ["build", "~/sky/small", "-t3600", "--output=~/out", "--tmp-dir=$HOME/tmp", "--no-progress"]
    assert main(command) == 0
    assert main(["verify", "~/out/small_3600arcs", "--primary=~/sky/small", "--no-progress"]) == 0
    assert main(["info", "~/out/small_3600arcs"]) == 0
    assert main(["plot", "~/out/small_3600arcs", "-o", "~/picture.png", "--view", "whole"]) == 0
    assert str(home / "picture.png") in capsys.readouterr().out
    assert not any(Path().iterdir())


def test_the_home_folder_in_scripts_of_other_packages(home: Path) -> None:
    for kind in (HatsImportArguments, HipscatImportArguments):
        args = kind(output_path="~/out", output_artifact_name="m", input_catalog_path="~/sky/small")
        assert Path(args.catalog_path) == home / "out" / "m"
        assert args.primary_path == home / "sky" / "small"


def test_no_folder_gets_the_name_of_a_variable_that_is_not_set(home: Path) -> None:
    def made(**paths: object) -> MarginCacheArguments:
        return MarginCacheArguments(
            **({"output_path": "out", "input_catalog_path": "~/sky/small"} | paths),  # type: ignore[arg-type]
            output_artifact_name="margin",
        )

    for name in ("output_path", "tmp_dir", "dask_tmp", "resume_tmp"):
        with pytest.raises(ArgumentError, match=f"{name} .*the environment variable NO_SUCH is not set"):
            made(**{name: "$NO_SUCH/x"})
    # Where there is such a folder, this is its name.
    (home / "$NO_SUCH").mkdir()
    assert made(output_path="~/$NO_SUCH/x").catalog_path == home / "$NO_SUCH" / "x" / "margin"
    assert not any(Path().iterdir())


def test_the_primary_of_a_relative_path_is_found_from_everywhere(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(home)
    make_margin(Path("sky/small"), Path("out"), 3600.0)
    assert info("out/margin").primary == str(home / "sky" / "small")
    for folder, margin in ((home, "out/margin"), (home / "out", "margin"), (tmp_path, "home/out/margin")):
        monkeypatch.chdir(folder)
        report = verify(margin)
        assert report.right
        assert report.primary_path == str(home / "sky" / "small")


def test_relative_names_of_older_margins_are_found(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the folder of the run, from that of the margin, and from the margin itself."""
    make_margin(home / "sky" / "small", home / "out", 3600.0)
    for name, folder, margin in (
        ("sky/small", home, "out/margin"),
        ("sky/small", home / "out", "margin"),
        ("../sky/small", home / "out" / "margin", "."),
        ("../../sky/small", home / "sky", "../out/margin"),
        ("sky/small", home / "sky", "../out/margin"),
    ):
        state_properties(home / "out" / "margin", hats_primary_table_url=name)
        monkeypatch.chdir(folder)
        report = verify(margin)
        assert report.right
        assert Path(report.primary_path).resolve() == home / "sky" / "small"
    # What a file names is never expanded.
    state_properties(home / "out" / "margin", hats_primary_table_url="~/sky/small")
    monkeypatch.chdir(home / "sky")
    with pytest.raises(FileNotFoundError, match="names the primary catalog ~/sky/small"):
        verify("../out/margin")
