"""HiPSCat catalogs in, HiPSCat margins out: the rows by brute force, the files as the `hipscat` library reads them."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import hipscat
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hipscat.catalog import Catalog as TheirCatalog
from hipscat.catalog import MarginCatalog
from hipscat.io.validation import is_valid_catalog

from skymargin import MarginReport
from skymargin.catalogs.catalog import Catalog, open_catalog
from skymargin.errors import (
    CatalogError,
    CatalogNotFoundError,
    MissingExtraError,
    MissingPartitionError,
    OutputExistsError,
    PositionError,
)
from tests.support import brute_force
from tests.support.catalogs import (
    MIXED_PARTITIONS,
    Pixel,
    Sky,
    make_margin,
    nothing_left,
    sky_near_edges,
    write_catalog,
)
from tests.support.hipscat_catalogs import (
    INDEX,
    frame_of,
    hipscat_files,
    hipscat_ids,
    hipscat_index,
    write_hipscat_catalog,
)

THRESHOLD_ARCSEC = 60.0
SHARED = Path(os.environ.get("SKYMARGIN_SHARED", Path(__file__).parents[3] / "shared")) / "data"
needs_shared = pytest.mark.skipif(
    not (SHARED / "hipscat").is_dir(),
    reason="no shared catalogs: set SKYMARGIN_SHARED to what holds data/hipscat",
)

CORNER: tuple[Pixel, ...] = ((1, 3), (8, 87381), (8, 87380), (8, 87378), (9, 349516), (10, 1398079))
# Finer than the index, which ends at order 19: four side by side, and one coarser beside them.
FINE: tuple[Pixel, ...] = (*((21, (5 << 42) + pixel) for pixel in range(4)), (20, (5 << 40) + 1))
CASES: dict[str, tuple[tuple[Pixel, ...], float, int]] = {
    "mixed orders, 10 arcsec": (MIXED_PARTITIONS, 10.0, 1_500),
    "mixed orders, one degree": (MIXED_PARTITIONS, 3_600.0, 1_500),
    "threshold wider than partitions": (MIXED_PARTITIONS, 60_000.0, 300),
    "one partition, the rest empty": (((2, 15),), 600.0, 800),
    "deep partitions at a corner of base cells": (CORNER, 45.0, 1_000),
    "partitions finer than the index": (FINE, 0.05, 1_000),
}


@pytest.mark.parametrize("check_index", [False, True])
@pytest.mark.parametrize("name", CASES)
def test_margins_equal_brute_force(name: str, check_index: bool, tmp_path: Path) -> None:
    partitions, threshold_arcsec, rows = CASES[name]
    sky = sky_near_edges(partitions, rows, threshold_arcsec, seed=len(name))
    write_hipscat_catalog(tmp_path / "stars", sky)
    report = make_margin(tmp_path / "stars", tmp_path / "out", threshold_arcsec, check_index=check_index)
    expected = sky.margins(threshold_arcsec)
    assert sum(map(len, expected.values())) > 50
    assert hipscat_ids(tmp_path / "out" / "margin") == expected
    assert (report.rows, report.partitions) == (sum(map(len, expected.values())), len(expected))


def test_pixels_where_the_catalog_is_empty_have_margins(tmp_path: Path) -> None:
    sky = sky_near_edges(((2, 15),), 800, 600.0, seed=4)
    write_hipscat_catalog(tmp_path / "stars", sky)
    make_margin(tmp_path / "stars", tmp_path / "out", 600.0)
    pixels = set(hipscat_files(tmp_path / "out" / "margin"))
    assert len(pixels) > 3
    assert pixels <= set(brute_force.empty_pixels([(2, 15)]))


@pytest.fixture(scope="module")
def sky() -> Sky:
    return sky_near_edges(MIXED_PARTITIONS, rows=1_200, reach_arcsec=THRESHOLD_ARCSEC, seed=21)


@pytest.fixture(scope="module")
def primary(sky: Sky, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("primary") / "stars"
    write_hipscat_catalog(path, sky, row_group_rows=50)
    return path


@pytest.fixture
def catalog(primary: Path, tmp_path: Path) -> Path:
    """A copy to damage."""
    return Path(shutil.copytree(primary, tmp_path / "stars"))


@pytest.fixture(scope="module")
def made(primary: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, MarginReport]:
    output = tmp_path_factory.mktemp("output")
    return output / "margin", make_margin(primary, output, THRESHOLD_ARCSEC)


def test_the_library_reads_it_as_a_margin(made: tuple[Path, MarginReport], primary: Path) -> None:
    path, report = made
    assert is_valid_catalog(str(path), strict=True, fail_fast=True, verbose=False)
    catalog = hipscat.read_from_hipscat(str(path))
    assert isinstance(catalog, MarginCatalog)
    about = catalog.catalog_info
    assert about.catalog_name == "margin"
    assert about.total_rows == report.rows > 100
    assert about.epoch == "J2015.5"
    assert (about.ra_column, about.dec_column) == ("ra", "dec")
    assert about.primary_catalog == str(primary)
    assert about.margin_threshold == THRESHOLD_ARCSEC
    pixels = [(pixel.order, pixel.pixel) for pixel in catalog.get_healpix_pixels()]
    assert len(pixels) == len(set(pixels)) == report.partitions
    assert set(pixels) == set(hipscat_files(path))
    assert catalog.schema.names == pq.read_schema(path / "_metadata").names


def test_the_folder_holds_what_hipscat_import_writes(made: tuple[Path, MarginReport]) -> None:
    path, _ = made
    assert {entry.name for entry in path.iterdir()} == {
        *("catalog_info.json", "provenance_info.json", "partition_info.csv", "_metadata", "_common_metadata"),
        "_metadata.skymargin.json",
        *(f"Norder={order}" for order, _ in hipscat_files(path)),
    }
    assert [entry.name for entry in path.parent.iterdir()] == ["margin"]


def test_columns_and_their_types(made: tuple[Path, MarginReport], primary: Path) -> None:
    path, _ = made
    own = pq.read_schema(primary / "_common_metadata")
    added = {"margin_Norder": pa.uint8(), "margin_Dir": pa.uint64(), "margin_Npix": pa.uint64()}
    for file in (path / "_common_metadata", path / "_metadata", *hipscat_files(path).values()):
        schema = pq.read_schema(file)
        assert schema.names == [*own.names, *added]
        assert {field.name: field.type for field in schema} == {
            field.name: field.type for field in own
        } | added
        assert (schema.field("Norder").type, schema.field("Npix").type) == (pa.uint8(), pa.uint64())
        assert schema.equals(pq.read_schema(path / "_common_metadata"), check_metadata=True)


def test_rows_are_those_of_the_primary_but_for_the_pixel(
    made: tuple[Path, MarginReport], sky: Sky, primary: Path
) -> None:
    path, report = made
    rows = pa.concat_tables([pq.ParquetFile(file).read() for file in hipscat_files(primary).values()])
    place = np.argsort(rows.column("id").to_numpy())
    kept = [name for name in rows.column_names if name not in ("Norder", "Dir", "Npix")]
    compared = 0
    for (order, pixel), file in hipscat_files(path).items():
        margin = pq.ParquetFile(file).read()
        ids = margin.column("id").to_numpy()
        expected = rows.take(pa.array(place[ids]))
        assert margin.select(kept).equals(expected.select(kept).combine_chunks())
        assert set(
            zip(*(margin.column(name).to_pylist() for name in ("Norder", "Dir", "Npix")), strict=True)
        ) == {(order, pixel // 10_000 * 10_000, pixel)}
        assert margin.column("margin_Norder").to_pylist() == sky.own_order[ids].tolist()
        assert margin.column("margin_Npix").to_pylist() == sky.own_pixel[ids].tolist()
        assert margin.column("margin_Dir").to_pylist() == (sky.own_pixel[ids] // 10_000 * 10_000).tolist()
        compared += len(margin)
    assert compared == report.rows


def test_pandas_finds_the_index(made: tuple[Path, MarginReport]) -> None:
    path, report = made
    rows = 0
    for file in hipscat_files(path).values():
        frame = pq.ParquetFile(file).read().to_pandas()
        assert (frame.index.name, frame.index.dtype) == (INDEX, np.uint64)
        assert frame.index.is_monotonic_increasing
        assert INDEX not in frame.columns
        assert frame.dtypes[["margin_Norder", "margin_Dir", "margin_Npix"]].tolist() == [
            "uint8",
            "uint64",
            "uint64",
        ]
        rows += len(frame)
    assert rows == report.rows
    about = json.loads(pq.read_schema(path / "_common_metadata").metadata[b"pandas"])
    assert about["index_columns"] == [INDEX]
    assert [column["name"] for column in about["columns"]][-3:] == [
        "margin_Norder",
        "margin_Dir",
        "margin_Npix",
    ]


def test_metadata_files(made: tuple[Path, MarginReport], primary: Path) -> None:
    path, report = made
    files = hipscat_files(path)
    lines = (path / "partition_info.csv").read_text().splitlines()
    assert lines[0] == "Norder,Npix,Dir"
    listed = [tuple(map(int, line.split(","))) for line in lines[1:]]
    assert [row[:2] for row in listed] == sorted(files, key=lambda one: one[1] << (2 * (29 - one[0])))
    assert all(directory == pixel // 10_000 * 10_000 for _, pixel, directory in listed)
    metadata = pq.read_metadata(path / "_metadata")
    assert metadata.num_rows == report.rows
    named = {metadata.row_group(group).column(0).file_path for group in range(metadata.num_row_groups)}
    assert named == {str(file.relative_to(path)) for file in files.values()}
    about = json.loads((path / "catalog_info.json").read_text())
    assert list(about) == [
        *("catalog_name", "catalog_type", "total_rows", "epoch", "ra_column", "dec_column"),
        *("primary_catalog", "margin_threshold"),
    ]
    provenance = json.loads((path / "provenance_info.json").read_text())
    assert {key: provenance[key] for key in about} == about
    assert provenance["version"] == version("hipscat")
    assert provenance["tool_args"]["tool_name"] == "skymargin"
    assert provenance["tool_args"]["runtime_args"]["input_catalog_path"] == str(primary)
    assert provenance["tool_args"]["runtime_args"]["margin_threshold"] == THRESHOLD_ARCSEC


def test_output_does_not_depend_on_threads(
    made: tuple[Path, MarginReport], primary: Path, tmp_path: Path
) -> None:
    path, _ = made
    make_margin(primary, tmp_path, THRESHOLD_ARCSEC, dask_threads_per_worker=3)
    names = ["_metadata", "_common_metadata", "partition_info.csv", "catalog_info.json"]
    names += [str(file.relative_to(path)) for file in hipscat_files(path).values()]
    assert len(names) > 20
    for name in names:
        assert (tmp_path / "margin" / name).read_bytes() == (path / name).read_bytes(), name


def crowded_sky() -> Sky:
    """Twelve rows in one pixel of order 19 and twelve in another, both within 2 arcsec of the same partition."""
    partitions = ((0, 4), (0, 5))
    sky = sky_near_edges(partitions, 300, 1.0, seed=31)
    within_arcsec = brute_force.separations_arcsec(sky.ra_deg, sky.dec_deg, 0, 5)
    near = np.flatnonzero((sky.own_pixel == 4) & (within_arcsec < 2))[:2]
    chosen = np.concatenate([np.arange(len(sky)), np.repeat(near, 11)])
    return replace(
        sky,
        ra_deg=sky.ra_deg[chosen],
        dec_deg=sky.dec_deg[chosen],
        own_order=sky.own_order[chosen],
        own_pixel=sky.own_pixel[chosen],
    )


def test_rows_of_one_pixel_are_in_the_order_of_their_counters(tmp_path: Path) -> None:
    sky = crowded_sky()
    table = pa.Table.from_pandas(frame_of(sky))
    shuffled = table.take(pa.array(np.random.default_rng(2).permutation(len(table))))
    write_hipscat_catalog(tmp_path / "stars", sky, shuffled, row_group_rows=5)
    make_margin(tmp_path / "stars", tmp_path / "out", 2.0)
    assert hipscat_ids(tmp_path / "out" / "margin") == sky.margins(2.0)
    index = pq.ParquetFile(hipscat_files(tmp_path / "out" / "margin")[0, 5]).read().column(INDEX).to_numpy()
    _, rows_of_pixel = np.unique(index >> np.uint64(22), return_counts=True)
    assert sorted(rows_of_pixel)[-2:] == [12, 12]
    assert (index[1:] > index[:-1]).all()


def test_the_index_is_that_of_the_library() -> None:
    from hipscat.pixel_math.hipscat_id import compute_hipscat_id

    sky = crowded_sky()
    assert (
        compute_hipscat_id(sky.ra_deg, sky.dec_deg).tolist()
        == hipscat_index(sky.ra_deg, sky.dec_deg).tolist()
    )


def test_the_index_saves_reading(tmp_path: Path) -> None:
    # Few rows near edges among many that are not: the row groups that hold them are the only ones looked into.
    all_rows = sky_near_edges(tuple((0, pixel) for pixel in range(12)), 30_000, 1.0, seed=3)
    kept = np.r_[:40, len(all_rows) - 7_000 : len(all_rows)]
    sky = Sky(
        all_rows.partitions,
        *(getattr(all_rows, name)[kept] for name in ("ra_deg", "dec_deg", "own_order", "own_pixel")),
    )
    table = pa.Table.from_pandas(frame_of(sky))
    write_hipscat_catalog(tmp_path / "indexed", sky, table, row_group_rows=10)
    bare = table.drop_columns([INDEX]).replace_schema_metadata(None)
    write_hipscat_catalog(tmp_path / "bare", sky, bare, row_group_rows=10)
    assert open_catalog(tmp_path / "indexed").columns.index == INDEX
    assert open_catalog(tmp_path / "bare").columns.index is None
    with_index = make_margin(tmp_path / "indexed", tmp_path / "one", 2.0)
    without = make_margin(tmp_path / "bare", tmp_path / "two", 2.0)
    expected = sky.margins(2.0)
    assert sum(map(len, expected.values())) > 20
    assert hipscat_ids(tmp_path / "one" / "margin") == hipscat_ids(tmp_path / "two" / "margin") == expected

    # Though the index itself is read, too.
    assert 0 < with_index.pages_decoded < without.pages_decoded


@pytest.mark.parametrize(
    "without",
    [
        ("_metadata",),
        ("_common_metadata",),
        ("_metadata", "_common_metadata"),
        ("partition_info.csv",),
        ("partition_info.csv", "_metadata", "_common_metadata"),
        ("provenance_info.json",),
    ],
)
def test_files_that_are_not_needed(without: tuple[str, ...], sky: Sky, tmp_path: Path) -> None:
    write_hipscat_catalog(tmp_path / "stars", sky, without=without)
    make_margin(tmp_path / "stars", tmp_path / "out", 20.0)
    assert hipscat_ids(tmp_path / "out" / "margin") == sky.margins(20.0)


def test_leftovers_of_hipscat_import_are_no_partitions(catalog: Path, sky: Sky) -> None:
    (catalog / "partition_info.csv").unlink()
    (catalog / "_metadata").unlink()
    file = next(iter(hipscat_files(catalog).values()))
    leftover = catalog / "intermediate" / "order_5" / "Norder=5" / "Dir=0" / "Npix=77.parquet"
    leftover.parent.mkdir(parents=True)
    shutil.copy(file, leftover)
    opened = open_catalog(catalog)
    assert set(zip(opened.orders.tolist(), opened.pixels.tolist(), strict=True)) == set(sky.partitions)


def test_what_is_opened_is_what_the_library_opens(catalog: Path) -> None:
    theirs = TheirCatalog.read_from_hipscat(str(catalog))
    ours: Catalog = open_catalog(catalog)
    assert ours.format == "hipscat"
    assert ours.schema.equals(theirs.schema, check_metadata=True)
    assert list(zip(ours.orders.tolist(), ours.pixels.tolist(), strict=True)) == [
        (pixel.order, pixel.pixel) for pixel in theirs.get_healpix_pixels()
    ]
    assert (ours.columns.ra, ours.columns.dec) == (
        theirs.catalog_info.ra_column,
        theirs.catalog_info.dec_column,
    )
    assert all((catalog / name).exists() for names in ours.files for name in names)


def test_ra_and_dec_have_the_names_of_the_library_by_default(catalog: Path) -> None:
    (catalog / "catalog_info.json").write_text('{"catalog_type": "source"}')
    opened = open_catalog(catalog)
    assert (opened.columns.ra, opened.columns.dec) == ("ra", "dec")


def test_a_margin_without_rows_is_valid(tmp_path: Path) -> None:
    middle = Sky(
        ((0, 4),), np.array([0.0]), np.array([0.5]), np.array([0], np.uint8), np.array([4], np.uint64)
    )
    write_hipscat_catalog(tmp_path / "stars", middle)
    report = make_margin(tmp_path / "stars", tmp_path / "out", 5.0)
    path = tmp_path / "out" / "margin"
    assert (report.rows, report.partitions) == (0, 0)
    assert report.empty_reason
    assert not hipscat_files(path)
    assert (path / "partition_info.csv").read_text() == "Norder,Npix,Dir\n"
    read = hipscat.read_from_hipscat(str(path))
    assert isinstance(read, MarginCatalog)
    assert (read.get_healpix_pixels(), read.catalog_info.total_rows) == ([], 0)
    assert read.schema.names[-3:] == ["margin_Norder", "margin_Dir", "margin_Npix"]


def test_a_margin_is_replaced_only_on_demand(primary: Path, sky: Sky, tmp_path: Path) -> None:
    make_margin(primary, tmp_path, 60.0)
    with pytest.raises(OutputExistsError, match="overwrite"):
        make_margin(primary, tmp_path, 20.0)
    assert hipscat_ids(tmp_path / "margin") == sky.margins(60.0)
    make_margin(primary, tmp_path, 20.0, overwrite=True)
    assert hipscat_ids(tmp_path / "margin") == sky.margins(20.0)
    assert json.loads((tmp_path / "margin" / "catalog_info.json").read_text())["margin_threshold"] == 20.0


def test_hats_properties_make_it_hats(catalog: Path, sky: Sky, tmp_path: Path) -> None:
    write_catalog(tmp_path / "new", sky)
    shutil.copy(catalog / "catalog_info.json", tmp_path / "new")
    assert open_catalog(tmp_path / "new").format == "hats"


def fails(catalog: Path, error: type[Exception], *parts: str) -> None:
    """Assert that no margin is made of a catalog, and that the message has all parts and is one line."""
    output = catalog.parent / "out"
    with pytest.raises(error) as raised:
        make_margin(catalog, output, THRESHOLD_ARCSEC)
    message = str(raised.value)
    assert not [part for part in parts if part not in message], message
    assert "\n" not in message
    assert nothing_left(output)


def test_without_the_library_the_error_names_the_extra(
    catalog: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "hipscat"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "hipscat", None)
    fails(catalog, MissingExtraError, str(catalog), "HiPSCat", "pip install 'skymargin[hipscat]'")


def test_no_catalog_info(catalog: Path) -> None:
    (catalog / "catalog_info.json").unlink()
    fails(catalog, CatalogError, str(catalog), "catalog_info.json")


def test_partitions_alone_are_a_damaged_hipscat_catalog(catalog: Path) -> None:
    for file in [entry for entry in catalog.iterdir() if entry.is_file()]:
        file.unlink()
    fails(catalog, CatalogError, str(catalog), "catalog_info.json")


def test_an_empty_folder_is_no_catalog(tmp_path: Path) -> None:
    (tmp_path / "stars").mkdir()
    fails(tmp_path / "stars", CatalogNotFoundError, "not a catalog", "hats.properties", "catalog_info.json")


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
    ],
)
def test_a_damaged_catalog_info(text: bytes, parts: tuple[str, ...], catalog: Path) -> None:
    (catalog / "catalog_info.json").write_bytes(text)
    fails(catalog, CatalogError, str(catalog / "catalog_info.json"), *parts)


@pytest.mark.parametrize("kind", ["margin", "association", "index", "map"])
def test_types_that_have_no_margin(kind: str, catalog: Path) -> None:
    (catalog / "catalog_info.json").write_text(json.dumps({"catalog_type": kind}))
    fails(
        catalog, CatalogError, str(catalog / "catalog_info.json"), f"catalog_type={kind}", "object or source"
    )


Change = Callable[[pa.Table], pa.Table]
CHANGES: dict[str, tuple[Change, tuple[str, ...]]] = {
    "no Norder": (
        lambda table: table.drop_columns(["Norder"]),
        ("'Norder'", "stars/_common_metadata has no column"),
    ),
    "no Dir": (lambda table: table.drop_columns(["Dir"]), ("'Dir'", "stars/_common_metadata has no column")),
    "no Npix": (
        lambda table: table.drop_columns(["Npix"]),
        ("'Npix'", "stars/_common_metadata has no column"),
    ),
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
def test_columns_that_are_not_as_they_must_be(name: str, sky: Sky, tmp_path: Path) -> None:
    change, parts = CHANGES[name]
    table = pa.Table.from_pandas(frame_of(sky)).replace_schema_metadata(None)
    write_hipscat_catalog(tmp_path / "stars", sky, change(table))
    fails(tmp_path / "stars", CatalogError, str(tmp_path / "stars"), *parts)


def with_index_value(sky: Sky, value: int | None) -> pa.Table:
    """Return the rows with another index value of one that belongs to a margin."""
    table = pa.Table.from_pandas(frame_of(sky)).replace_schema_metadata(None)
    index = table.column(INDEX).to_pylist()
    row = int(np.flatnonzero(np.isin(table.column("id").to_numpy(), sky.margins(THRESHOLD_ARCSEC)[3, 61]))[0])
    index[row] = value
    return table.set_column(8, INDEX, pa.array(index, pa.uint64()))


def test_a_row_whose_index_is_not_its_own(sky: Sky, tmp_path: Path) -> None:
    write_hipscat_catalog(tmp_path / "stars", sky, with_index_value(sky, 0))
    words = ("pixel of their index value", "index 0")
    fails(tmp_path / "stars", PositionError, str(tmp_path / "stars"), ".parquet", *words)


def test_a_row_without_an_index_value_is_found_by_its_coordinates(sky: Sky, tmp_path: Path) -> None:
    write_hipscat_catalog(tmp_path / "stars", sky, with_index_value(sky, None))
    make_margin(tmp_path / "stars", tmp_path / "out", THRESHOLD_ARCSEC)
    assert hipscat_ids(tmp_path / "out" / "margin") == sky.margins(THRESHOLD_ARCSEC)


@pytest.mark.parametrize("metadata", [None, {b"pandas": b"{"}, {b"pandas": b"[]"}, {b"made": b"elsewhere"}])
def test_metadata_that_pandas_did_not_write_is_kept(
    metadata: dict[bytes, bytes] | None, sky: Sky, tmp_path: Path
) -> None:
    table = pa.Table.from_pandas(frame_of(sky)).replace_schema_metadata(metadata)
    write_hipscat_catalog(tmp_path / "stars", sky, table)
    make_margin(tmp_path / "stars", tmp_path / "out", 20.0)
    assert hipscat_ids(tmp_path / "out" / "margin") == sky.margins(20.0)
    assert pq.read_schema(tmp_path / "out" / "margin" / "_common_metadata").metadata == metadata


def test_overwrite_removes_no_folder_of_parquet_files(primary: Path, tmp_path: Path) -> None:
    (tmp_path / "margin").mkdir()
    shutil.copy(primary / "_metadata", tmp_path / "margin")
    with pytest.raises(OutputExistsError, match="is a folder that is no margin"):
        make_margin(primary, tmp_path, 20.0, overwrite=True)
    assert [entry.name for entry in (tmp_path / "margin").iterdir()] == ["_metadata"]


def test_pixel_columns_keep_the_types_of_the_catalog(sky: Sky, tmp_path: Path) -> None:
    table = pa.Table.from_pandas(frame_of(sky)).replace_schema_metadata(None)
    table = table.set_column(5, "Norder", table.column("Norder").cast(pa.int32()))
    table = table.set_column(7, "Npix", table.column("Npix").cast(pa.int64()))
    write_hipscat_catalog(tmp_path / "stars", sky, table)
    make_margin(tmp_path / "stars", tmp_path / "out", 20.0)
    schema = pq.read_schema(next(iter(hipscat_files(tmp_path / "out" / "margin").values())))
    assert [schema.field(name).type for name in ("Norder", "Npix", "margin_Norder", "margin_Npix")] == [
        *(pa.int32(), pa.int64(), pa.uint8(), pa.uint64())
    ]
    assert hipscat_ids(tmp_path / "out" / "margin") == sky.margins(20.0)


def test_a_partition_without_its_file(catalog: Path) -> None:
    file = hipscat_files(catalog)[3, 61]
    file.unlink()
    fails(catalog, MissingPartitionError, str(file), "partition_info.csv")


def test_a_list_of_partitions_without_its_columns(catalog: Path) -> None:
    (catalog / "partition_info.csv").write_text("order,pixel\n0,4\n")
    fails(catalog, CatalogError, str(catalog / "partition_info.csv"), "Norder and Npix")


@needs_shared
def test_small_sky_source_has_its_401_rows(tmp_path: Path) -> None:
    expected = pd.read_csv(SHARED / "exact_small_sky_source_180arcs.csv")
    make_margin(SHARED / "hipscat" / "small_sky_source", tmp_path, 180.0)
    found = hipscat_ids(tmp_path / "margin", "source_id")
    assert {pixel: len(ids) for pixel, ids in found.items()} == {
        (row.order, row.pixel): row.rows for row in expected.itertuples()
    }
    assert sum(map(len, found.values())) == 401
    assert is_valid_catalog(str(tmp_path / "margin"), strict=True, fail_fast=True, verbose=False)


@needs_shared
def test_small_sky_order1_has_the_schema_and_pixels_of_its_own_margin(tmp_path: Path) -> None:
    primary, theirs = (SHARED / "hipscat" / name for name in ("small_sky_order1", "small_sky_order1_margin"))
    make_margin(primary, tmp_path, 7_200.0)
    ours = tmp_path / "margin"
    rows = pa.concat_tables([pq.ParquetFile(file).read() for file in hipscat_files(primary).values()])
    ra_deg, dec_deg, ids, own_order, own_pixel = (
        rows.column(name).to_numpy() for name in ("ra", "dec", "id", "Norder", "Npix")
    )
    partitions = list(hipscat_files(primary))
    expected = brute_force.margins(ra_deg, dec_deg, own_order, own_pixel, partitions, 7_200.0)
    assert hipscat_ids(ours) == {pixel: sorted(ids[places].tolist()) for pixel, places in expected.items()}
    assert set(hipscat_files(ours)) == set(hipscat_files(theirs))
    for name in ("_metadata", "_common_metadata"):
        assert pq.read_schema(ours / name).equals(pq.read_schema(theirs / name))
    assert [path.name for path in sorted(ours.iterdir()) if path.name != "_metadata.skymargin.json"] == [
        path.name for path in sorted(theirs.iterdir()) if path.name != "README.md"
    ]
