"""HiPSCat catalogs that no margin can be made of: one clear error, and nothing is left behind."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from skymargin.errors import (
    CatalogError,
    CatalogNotFoundError,
    MissingPartitionError,
    PositionError,
)
from tests.support.catalogs import MIXED_PARTITIONS, sky_near_edges, with_value
from tests.support.hipscat_catalogs import INDEX, table_of, write_hipscat_catalog
from tests.support.workspace import Workspace

THRESHOLD_ARCSEC = 60.0
SKY = sky_near_edges(MIXED_PARTITIONS, rows=1_200, reach_arcsec=THRESHOLD_ARCSEC, seed=21)


@pytest.fixture(scope="module")
def primary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("primary") / "stars"
    write_hipscat_catalog(path, SKY, row_group_rows=50)
    return path


def written(folder: Path, table: pa.Table) -> Workspace:
    """Write SKY with this table."""
    write_hipscat_catalog(folder / "stars", SKY, table)
    return Workspace(folder / "stars", folder / "out", THRESHOLD_ARCSEC)


@pytest.mark.parametrize("all_files", [False, True])
def test_no_catalog_info(all_files: bool, work: Workspace) -> None:
    """Also partitions alone are a damaged HiPSCat catalog."""
    for file in [entry for entry in work.catalog.iterdir() if entry.is_file()]:
        if all_files or file.name == "catalog_info.json":
            file.unlink()
    work.fails(CatalogError, str(work.catalog), "catalog_info.json")


def test_an_empty_folder_is_no_catalog(tmp_path: Path) -> None:
    (tmp_path / "stars").mkdir()
    work = Workspace(tmp_path / "stars", tmp_path / "out", THRESHOLD_ARCSEC)
    work.fails(CatalogNotFoundError, "not a catalog", "hats.properties", "catalog_info.json")


def test_missing_partitions_and_lists(work: Workspace) -> None:
    file = work.file_of[3, 61]
    file.unlink()
    work.fails(MissingPartitionError, str(file), "partition_info.csv")
    listing = work.catalog / "partition_info.csv"
    listing.write_text("order,pixel\n0,4\n")
    work.fails(CatalogError, str(listing), "Norder and Npix")


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        (b"", ("cannot be read as JSON",)),
        (b'{"catalog_type": "obj', ("cannot be read as JSON",)),
        (b"\xff\xfe\x00", ("cannot be read as JSON",)),
        (b'["object"]', ("list ['object']", "object of keys and values")),
        (b"{}", ("catalog_type=None", "object or source")),
        (b'{"catalog_type": "object", "ra_column": null}', ("ra_column",)),
        (b'{"catalog_type": "object", "ra_column": "RA"}', ("'RA'", "ra", "mag")),
        (b'{"catalog_type": "object", "dec_column": "name"}', ("'name'", "string", "not a number")),
        (b'{"catalog_type": "object", "dec_column": 3}', ("3",)),
        *(
            (json.dumps({"catalog_type": kind}).encode(), (f"catalog_type={kind}", "object or source"))
            for kind in ("margin", "association", "index", "map")
        ),
    ],
)
def test_a_wrong_catalog_info(text: bytes, parts: tuple[str, ...], work: Workspace) -> None:
    (work.catalog / "catalog_info.json").write_bytes(text)
    work.fails(CatalogError, str(work.catalog / "catalog_info.json"), *parts)


Change = Callable[[pa.Table], pa.Table]
CHANGES: dict[str, tuple[Change, tuple[str, ...]]] = {
    **{
        f"no {name}": (
            lambda table, name=name: table.drop_columns([name]),  # type: ignore[misc]
            (f"'{name}'", "stars/_common_metadata has no column"),
        )
        for name in ("Norder", "Dir", "Npix")
    },
    "no ra": (lambda table: table.drop_columns(["ra"]), ("'ra'", "does not have")),
    "Npix is text": (
        lambda table: table.set_column(7, "Npix", table.column("Npix").cast(pa.string())),
        ("'Npix'", "string", "not integer"),
    ),
    "Npix is too narrow": (
        lambda table: table.set_column(
            7, "Npix", pc.subtract(table.column("Npix"), 0).cast(pa.int8(), safe=False)
        ),
        ("'Npix'", "int8", "767"),
    ),
    "index is signed": (
        lambda table: table.set_column(8, INDEX, table.column(INDEX).cast(pa.int64(), safe=False)),
        (INDEX, "int64", "uint64"),
    ),
    "a column of the margin": (
        lambda table: table.append_column("margin_Npix", table.column("Npix")),
        ("'margin_Npix'", "already"),
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_columns_that_are_not_as_they_must_be(name: str, tmp_path: Path) -> None:
    change, parts = CHANGES[name]
    written(tmp_path, change(table_of(SKY, None))).fails(CatalogError, str(tmp_path / "stars"), *parts)


def with_index_value(value: int | None) -> pa.Table:
    """The rows with another index value of one that belongs to a margin."""
    table = table_of(SKY, None)
    member = np.isin(table.column("id").to_numpy(), SKY.margins(THRESHOLD_ARCSEC)[3, 61])
    return with_value(table, INDEX, int(np.flatnonzero(member)[0]), value)


def test_a_row_whose_index_is_not_its_own(tmp_path: Path) -> None:
    words = (str(tmp_path / "stars"), ".parquet", "pixel of their index value", "index 0")
    written(tmp_path, with_index_value(0)).fails(PositionError, *words)


def test_a_row_without_an_index_value_is_found_by_its_coordinates(tmp_path: Path) -> None:
    work = written(tmp_path, with_index_value(None))
    work.make()
    assert work.ids == SKY.margins(THRESHOLD_ARCSEC)
