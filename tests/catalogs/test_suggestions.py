"""Paths at which there is no catalog: what is there is said, and what to do."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from hats import read_hats
from upath import UPath

import skymargin
from skymargin import MarginCacheArguments, info, pipeline, verify
from skymargin.errors import CatalogNotFoundError


def build(path: Any) -> None:
    pipeline(
        MarginCacheArguments(
            output_path="out", output_artifact_name="margin", input_catalog_path=path, progress_bar=False
        )
    )


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "current").mkdir()
    monkeypatch.chdir(tmp_path / "current")


def refusal(use: Callable[[Any], object], path: Any) -> str:
    with pytest.raises(CatalogNotFoundError) as caught:
        use(path)
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    return message


@pytest.mark.parametrize("use", [build, info, verify])
def test_a_folder_of_catalogs(use: Callable[[Any], object], small_catalog: Path, tmp_path: Path) -> None:
    folder = tmp_path / "surveys"
    for name in ("gaia", "ztf"):
        shutil.copytree(small_catalog, folder / name)
    (folder / "notes").mkdir()
    (folder / "collection").mkdir()
    (folder / "collection" / "collection.properties").write_text("obs_collection=x\n")
    assert refusal(use, folder).endswith("; catalogs in it: collection, gaia, ztf")
    for number in range(12):
        (folder / f"x{number:02}").mkdir()
        (folder / f"x{number:02}" / "hats.properties").touch()
    assert refusal(use, folder).endswith(", x06, x07 and 5 more")


def test_a_remote_folder_of_catalogs() -> None:
    for name in ("b", "a"):
        (UPath("memory://shelf") / name).mkdir(parents=True)
        (UPath("memory://shelf") / name / "properties").write_text("dataproduct_type=object\n")
    assert refusal(info, "memory://shelf").endswith("; catalogs in it: a, b")


@pytest.mark.parametrize("use", [build, info, verify])
def test_a_folder_of_a_catalog(use: Callable[[Any], object], small_catalog: Path) -> None:
    data = small_catalog / "dataset"
    for folder in (data, next(data.glob("Norder=*")), next(data.glob("Norder=*/Dir=*"))):
        assert refusal(use, folder).endswith(
            f"{folder} is a folder of the catalog {small_catalog}: give {small_catalog} instead"
        )


def test_a_folder_of_a_hipscat_catalog(tmp_path: Path) -> None:
    (tmp_path / "catalog" / "Norder=1" / "Dir=0").mkdir(parents=True)
    (tmp_path / "catalog" / "catalog_info.json").write_text("{}")
    message = refusal(info, tmp_path / "catalog" / "Norder=1")
    assert message.endswith(f"give {tmp_path / 'catalog'} instead")


def test_a_catalog_named_like_its_folder_of_partitions(small_catalog: Path, tmp_path: Path) -> None:
    shutil.copytree(small_catalog, tmp_path / "outer" / "dataset")
    (tmp_path / "outer" / "hats.properties").touch()
    assert info(tmp_path / "outer" / "dataset").rows


def test_two_lines_make_a_catalog_of_tables(tmp_path: Path) -> None:
    """They are run as they stand in the message."""
    table = pa.table({"ra": [1.0, 2.0, 3.0], "dec": [4.0, 5.0, 6.0]})
    places = {}
    for kind, write in (("csv", pyarrow.csv.write_csv), ("parquet", pq.write_table)):
        for folder, files in ((f"one_{kind}", ("a",)), (f"many_{kind}", ("a", "b"))):
            (tmp_path / folder).mkdir()
            for file in files:
                write(table, tmp_path / folder / f"{file}.{kind}")
            places[f"{folder}_catalog"] = tmp_path / folder, 3 * len(files)
    places["a"] = tmp_path / "one_csv" / "a.csv", 3
    for name, (path, rows) in places.items():
        lines = refusal(info, path).partition("make a catalog: ")[2]
        exec(lines, {"pyarrow": __import__("pyarrow.dataset"), "skymargin": skymargin})
        assert read_hats(name).catalog_info.total_rows == rows
        assert refusal(build, path).endswith(lines)


def test_a_table_in_the_current_folder(tmp_path: Path) -> None:
    (tmp_path / "current" / "stars.csv").touch()
    assert refusal(info, ".").endswith(
        "table = pyarrow.csv.read_csv('stars.csv'); "
        "skymargin.write_catalog(table, 'current_catalog', ra_column='ra', dec_column='dec')"
    )


def test_a_fits_file(tmp_path: Path) -> None:
    (tmp_path / "sky.FITS").touch()
    assert "table = astropy.table.Table.read('" in refusal(info, tmp_path)
