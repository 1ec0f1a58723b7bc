"""HiPSCat catalogs in, HiPSCat margins out, as the `hipscat` library reads them."""

from __future__ import annotations

import json
import re
import shutil
from importlib.metadata import version
from pathlib import Path

import hipscat
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hipscat.catalog import Catalog as TheirCatalog
from hipscat.catalog import MarginCatalog
from hipscat.catalog.dataset.catalog_info_factory import create_catalog_info
from hipscat.catalog.margin_cache import MarginCacheCatalogInfo
from hipscat.io.validation import is_valid_catalog
from hipscat.io.write_metadata import write_catalog_info, write_provenance_info

from skymargin import info
from skymargin.catalogs.catalog import open_catalog
from skymargin.catalogs.hipscat import _read_catalog_info
from skymargin.errors import CatalogError, OutputExistsError
from tests.support import brute_force
from tests.support.catalogs import (
    MIXED_PARTITIONS,
    Sky,
    file_bytes,
    files_of,
    ids_of,
    make_margin,
    rows_in,
    rows_in_file,
    sky_at,
    sky_near_edges,
    write_catalog,
)
from tests.support.hipscat_catalogs import INDEX, hipscat_index, table_of, write_hipscat_catalog
from tests.support.shared import SHARED, needs_shared
from tests.support.workspace import Workspace

THRESHOLD_ARCSEC = 60.0
SKY = sky_near_edges(MIXED_PARTITIONS, rows=1_200, reach_arcsec=THRESHOLD_ARCSEC, seed=21)


@pytest.fixture(scope="module")
def primary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("primary") / "stars"
    write_hipscat_catalog(path, SKY, row_group_rows=50)
    return path


def made_of(folder: Path, table: pa.Table | None = None, **form: object) -> Path:
    """Write SKY in this form, make its margin, and return it; its rows must be right."""
    write_hipscat_catalog(folder / "stars", SKY, table, **form)  # type: ignore[arg-type]
    make_margin(folder / "stars", folder / "out", 20.0)
    assert ids_of(folder / "out" / "margin") == SKY.margins(20.0)
    return folder / "out" / "margin"


def test_the_library_reads_it_as_a_margin(made: Workspace, primary: Path) -> None:
    path, report = made.margin, made.report
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
    assert set(pixels) == set(files_of(path))
    assert catalog.schema.names == pq.read_schema(path / "_metadata").names


def test_the_folder_holds_what_hipscat_import_writes(made: Workspace) -> None:
    path = made.margin
    assert {entry.name for entry in path.iterdir()} == {
        *("catalog_info.json", "provenance_info.json", "partition_info.csv", "_metadata", "_common_metadata"),
        "_metadata.skymargin.json",
        *(f"Norder={order}" for order, _ in files_of(path)),
    }
    assert [entry.name for entry in path.parent.iterdir()] == ["margin"]


def test_columns_and_their_types(made: Workspace, primary: Path) -> None:
    path = made.margin
    own = pq.read_schema(primary / "_common_metadata")
    added = {"margin_Norder": pa.uint8(), "margin_Dir": pa.uint64(), "margin_Npix": pa.uint64()}
    for file in (path / "_common_metadata", path / "_metadata", *files_of(path).values()):
        schema = pq.read_schema(file)
        assert schema.names == [*own.names, *added]
        assert {field.name: field.type for field in schema} == {
            field.name: field.type for field in own
        } | added
        assert (schema.field("Norder").type, schema.field("Npix").type) == (pa.uint8(), pa.uint64())
        assert schema.equals(pq.read_schema(path / "_common_metadata"), check_metadata=True)


def test_rows_are_those_of_the_primary_but_for_the_pixel(made: Workspace, primary: Path) -> None:
    path, report = made.margin, made.report
    rows = rows_in(primary)
    place = np.argsort(rows.column("id").to_numpy())
    kept = [name for name in rows.column_names if name not in ("Norder", "Dir", "Npix")]
    compared = 0
    for (order, pixel), file in files_of(path).items():
        margin = rows_in_file(file)
        ids = margin.column("id").to_numpy()
        expected = rows.take(pa.array(place[ids]))
        assert margin.select(kept).equals(expected.select(kept).combine_chunks())
        assert set(
            zip(*(margin.column(name).to_pylist() for name in ("Norder", "Dir", "Npix")), strict=True)
        ) == {(order, pixel // 10_000 * 10_000, pixel)}
        assert margin.column("margin_Norder").to_pylist() == SKY.own_order[ids].tolist()
        assert margin.column("margin_Npix").to_pylist() == SKY.own_pixel[ids].tolist()
        assert margin.column("margin_Dir").to_pylist() == (SKY.own_pixel[ids] // 10_000 * 10_000).tolist()
        compared += len(margin)
    assert compared == report.rows


def test_pandas_finds_the_index(made: Workspace) -> None:
    path, report = made.margin, made.report
    rows = 0
    for file in files_of(path).values():
        frame = rows_in_file(file).to_pandas()
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


def test_metadata_files(made: Workspace, primary: Path) -> None:
    path, report = made.margin, made.report
    files = files_of(path)
    lines = (path / "partition_info.csv").read_text().splitlines()
    assert lines[0] == "Norder,Npix,Dir"
    listed = [tuple(map(int, line.split(","))) for line in lines[1:]]
    assert [row[:2] for row in listed] == sorted(files, key=lambda pixel: pixel[1] << (2 * (29 - pixel[0])))
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


def test_metadata_is_written_as_the_library_writes_it(made: Workspace, tmp_path: Path) -> None:
    about = json.loads((made.margin / "catalog_info.json").read_text())
    provenance = json.loads((made.margin / "provenance_info.json").read_text())
    info = MarginCacheCatalogInfo(**about)
    write_catalog_info(str(tmp_path), info)
    write_provenance_info(str(tmp_path), info, provenance["tool_args"])
    for name in ("catalog_info.json", "provenance_info.json"):
        ours, theirs = (
            # The day of the two may differ.
            re.sub(r"\d{4}\.\d\d\.\d\d", "DATE", (folder / name).read_text())
            for folder in (made.margin, tmp_path)
        )
        assert ours == theirs


@pytest.mark.parametrize(
    "keywords",
    [
        {"catalog_type": "object"},
        {"catalog_type": "source", "catalog_name": "stars", "mjd_column": "mjd", "of_another": [1]},
        {"catalog_type": "object", "ra_column": "ra2", "dec_column": "", "epoch": "J2016", "total_rows": 7},
        *({"catalog_type": "source", name: None} for name in ("epoch", "ra_column", "dec_column")),
    ],
)
def test_metadata_is_read_as_the_library_reads_it(keywords: dict[str, object], tmp_path: Path) -> None:
    (tmp_path / "catalog_info.json").write_text(json.dumps(keywords))
    try:
        theirs = create_catalog_info(dict(keywords))
    except ValueError:
        with pytest.raises(CatalogError, match=r"catalog_info.json .* is null"):
            _read_catalog_info(tmp_path)
        return
    ours = _read_catalog_info(tmp_path)
    assert ours._asdict() == {name: getattr(theirs, name) for name in ours._fields}


def test_output_does_not_depend_on_threads(made: Workspace, work: Workspace) -> None:
    work.make(dask_threads_per_worker=3)
    assert len(file_bytes(work.margin)) > 20
    assert file_bytes(work.margin) == file_bytes(made.margin)
    for name in ("_metadata", "_common_metadata", "partition_info.csv"):
        assert (work.margin / name).read_bytes() == (made.margin / name).read_bytes(), name


def crowded_sky() -> Sky:
    """Twelve rows in one pixel of order 19 and twelve in another, both within 2 arcsec of the same partition."""
    sky = sky_near_edges(((0, 4), (0, 5)), 300, 1.0, seed=31)
    separation = brute_force.separations_arcsec(sky.ra_deg, sky.dec_deg, 0, 5)
    near = np.flatnonzero((sky.own_pixel == 4) & (separation < 2))[:2]
    return sky.take(np.concatenate([np.arange(len(sky)), np.repeat(near, 11)]))


def test_rows_of_one_pixel_are_in_the_order_of_their_counters(tmp_path: Path) -> None:
    sky = crowded_sky()
    table = table_of(sky)
    shuffled = table.take(pa.array(np.random.default_rng(2).permutation(len(table))))
    write_hipscat_catalog(tmp_path / "stars", sky, shuffled, row_group_rows=5)
    make_margin(tmp_path / "stars", tmp_path / "out", 2.0)
    assert ids_of(tmp_path / "out" / "margin") == sky.margins(2.0)
    index = rows_in_file(files_of(tmp_path / "out" / "margin")[0, 5]).column(INDEX).to_numpy()
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
    sky = all_rows.take(kept)
    table = table_of(sky)
    write_hipscat_catalog(tmp_path / "indexed", sky, table, row_group_rows=10)
    bare = table.drop_columns([INDEX]).replace_schema_metadata(None)
    write_hipscat_catalog(tmp_path / "bare", sky, bare, row_group_rows=10)
    assert open_catalog(tmp_path / "indexed").columns.index == INDEX
    assert open_catalog(tmp_path / "bare").columns.index is None
    with_index = make_margin(tmp_path / "indexed", tmp_path / "one", 2.0)
    without = make_margin(tmp_path / "bare", tmp_path / "two", 2.0)
    expected = sky.margins(2.0)
    assert sum(map(len, expected.values())) > 20
    assert ids_of(tmp_path / "one" / "margin") == ids_of(tmp_path / "two" / "margin") == expected
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
def test_files_that_are_not_needed(without: tuple[str, ...], tmp_path: Path) -> None:
    made_of(tmp_path, without=without)


def test_leftovers_of_hipscat_import_are_no_partitions(work: Workspace) -> None:
    for name in ("partition_info.csv", "_metadata"):
        (work.catalog / name).unlink()
    leftover = work.catalog / "intermediate" / "order_5" / "Norder=5" / "Dir=0" / "Npix=77.parquet"
    leftover.parent.mkdir(parents=True)
    shutil.copy(work.catalog / "Norder=0/Dir=0/Npix=1.parquet", leftover)
    opened = open_catalog(work.catalog)
    assert set(zip(opened.orders.tolist(), opened.pixels.tolist(), strict=True)) == set(SKY.partitions)


def test_what_is_opened_is_what_the_library_opens(primary: Path) -> None:
    theirs = TheirCatalog.read_from_hipscat(str(primary))
    ours = open_catalog(primary)
    assert ours.format == "hipscat"
    assert ours.schema.equals(theirs.schema, check_metadata=True)
    assert list(zip(ours.orders.tolist(), ours.pixels.tolist(), strict=True)) == [
        (pixel.order, pixel.pixel) for pixel in theirs.get_healpix_pixels()
    ]
    about = theirs.catalog_info
    assert (ours.columns.ra, ours.columns.dec) == (about.ra_column, about.dec_column)
    assert all((primary / name).exists() for names in ours.files for name in names)


def test_what_decides_format_and_columns(work: Workspace, tmp_path: Path) -> None:
    """Properties of HATS make it a HATS catalog; ra and dec have the names of the library by default."""
    write_catalog(tmp_path / "new", SKY)
    shutil.copy(work.catalog / "catalog_info.json", tmp_path / "new")
    assert open_catalog(tmp_path / "new").format == "hats"
    (work.catalog / "catalog_info.json").write_text('{"catalog_type": "source"}')
    columns = open_catalog(work.catalog).columns
    assert (columns.ra, columns.dec) == ("ra", "dec")


def test_a_margin_without_rows_is_valid(tmp_path: Path) -> None:
    write_hipscat_catalog(tmp_path / "stars", sky_at(((0, 4),), np.array([0.0]), np.array([0.5])))
    report = make_margin(tmp_path / "stars", tmp_path / "out", 5.0)
    path = tmp_path / "out" / "margin"
    assert (report.rows, report.partitions) == (0, 0)
    assert report.empty_reason
    assert not files_of(path)
    assert (path / "partition_info.csv").read_text() == "Norder,Npix,Dir\n"
    read = hipscat.read_from_hipscat(str(path))
    assert isinstance(read, MarginCatalog)
    assert (read.get_healpix_pixels(), read.catalog_info.total_rows) == ([], 0)
    assert read.schema.names[-3:] == ["margin_Norder", "margin_Dir", "margin_Npix"]


def test_a_margin_is_replaced_only_on_demand(work: Workspace) -> None:
    work.make()
    with pytest.raises(OutputExistsError, match="overwrite"):
        work.make(margin_threshold=20.0)
    assert work.ids == SKY.margins(60.0)
    work.make(margin_threshold=20.0, overwrite=True)
    assert work.ids == SKY.margins(20.0)
    assert json.loads((work.margin / "catalog_info.json").read_text())["margin_threshold"] == 20.0


def test_a_margin_of_a_part_says_so(made: Workspace, work: Workspace) -> None:
    assert info(made.margin).part == ""
    work.make(cone=(45.0, 10.0, 1.0))
    assert info(work.margin).part == "only the margins that intersect the cone 45.0,10.0,1.0"
    (order, pixel), *_ = SKY.partitions
    work.make("other", debug_filter_pixel_list=[(order, pixel), (29, pixel << 2 * (29 - order))])
    assert info(work.output / "other").part == (
        f"made of the partitions that overlap {order}/{pixel} 29/{pixel << 2 * (29 - order)} alone"
    )


def test_overwrite_removes_no_folder_of_parquet_files(work: Workspace) -> None:
    work.margin.mkdir(parents=True)
    shutil.copy(work.catalog / "_metadata", work.margin)
    with pytest.raises(OutputExistsError, match="is a folder that is no margin"):
        work.make(overwrite=True)
    assert [entry.name for entry in work.margin.iterdir()] == ["_metadata"]


@pytest.mark.parametrize("metadata", [None, {b"pandas": b"{"}, {b"pandas": b"[]"}, {b"made": b"elsewhere"}])
def test_metadata_that_pandas_did_not_write_is_kept(
    metadata: dict[bytes, bytes] | None, tmp_path: Path
) -> None:
    margin = made_of(tmp_path, table_of(SKY, metadata))
    assert pq.read_schema(margin / "_common_metadata").metadata == metadata


def test_pixel_columns_keep_the_types_of_the_catalog(tmp_path: Path) -> None:
    table = table_of(SKY, None)
    table = table.set_column(5, "Norder", table.column("Norder").cast(pa.int32()))
    table = table.set_column(7, "Npix", table.column("Npix").cast(pa.int64()))
    schema = pq.read_schema(next(iter(files_of(made_of(tmp_path, table)).values())))
    assert [schema.field(name).type for name in ("Norder", "Npix", "margin_Norder", "margin_Npix")] == [
        *(pa.int32(), pa.int64(), pa.uint8(), pa.uint64())
    ]


@needs_shared
def test_small_sky_source_has_its_401_rows(tmp_path: Path) -> None:
    expected = pd.read_csv(SHARED / "exact_small_sky_source_180arcs.csv")
    make_margin(SHARED / "hipscat" / "small_sky_source", tmp_path, 180.0)
    ids = ids_of(tmp_path / "margin", "source_id")
    assert {pixel: len(rows) for pixel, rows in ids.items()} == {
        (row.order, row.pixel): row.rows for row in expected.itertuples()
    }
    assert sum(map(len, ids.values())) == 401
    assert is_valid_catalog(str(tmp_path / "margin"), strict=True, fail_fast=True, verbose=False)


@needs_shared
def test_small_sky_order1_has_the_schema_and_pixels_of_its_own_margin(tmp_path: Path) -> None:
    primary, theirs = (SHARED / "hipscat" / name for name in ("small_sky_order1", "small_sky_order1_margin"))
    make_margin(primary, tmp_path, 7_200.0)
    ours = tmp_path / "margin"
    rows = rows_in(primary)
    ra_deg, dec_deg, ids, own_order, own_pixel = (
        rows.column(name).to_numpy() for name in ("ra", "dec", "id", "Norder", "Npix")
    )
    partitions = list(files_of(primary))
    expected = brute_force.margins(ra_deg, dec_deg, own_order, own_pixel, partitions, 7_200.0)
    assert ids_of(ours) == {pixel: sorted(ids[places].tolist()) for pixel, places in expected.items()}
    assert set(files_of(ours)) == set(files_of(theirs))
    for name in ("_metadata", "_common_metadata"):
        assert pq.read_schema(ours / name).equals(pq.read_schema(theirs / name))
    assert [path.name for path in sorted(ours.iterdir()) if path.name != "_metadata.skymargin.json"] == [
        path.name for path in sorted(theirs.iterdir()) if path.name != "README.md"
    ]
