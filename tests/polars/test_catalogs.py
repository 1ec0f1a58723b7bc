"""Margin catalogs as frames: what the pipeline wrote, HiPSCat margins, and which files are opened."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import skymargin.polars as smp
from skymargin.errors import ArgumentError, CatalogError, CatalogNotFoundError, MissingPartitionError
from tests.support.catalogs import (
    MIXED_PARTITIONS,
    Layout,
    files_of,
    make_margin,
    rows_in_file,
    rows_of,
    sky_near_edges,
)
from tests.support.shared import SHARED, needs_shared
from tests.support.workspace import Workspace, made_in

# Several of these are left out, so that there are margins of empty pixels.
PARTITIONS = MIXED_PARTITIONS[4:]
THRESHOLD_ARCSEC = 3_600.0
SKY = sky_near_edges(PARTITIONS, 900, THRESHOLD_ARCSEC, seed=30)


def copy_of(margin: Path, folder: Path) -> Path:
    return Path(shutil.copytree(margin, folder / "copy"))


def test_the_pipeline_and_frames_in_memory_find_the_same_margins(made: Workspace) -> None:
    on_disk = smp.read_margin(made.margin)
    table = rows_of(SKY, Layout())
    in_memory = smp.margins(pl.DataFrame(table.drop_columns(["note"])), PARTITIONS, THRESHOLD_ARCSEC)
    key = ["margin_Norder", "margin_Npix", "_healpix_29", "id"]
    columns = ["id", "ra", "dec", "mag", "name", "seen", *key[:3]]
    assert on_disk.select(columns).sort(key).equals(in_memory.select(columns).sort(key))
    brute = SKY.margins(THRESHOLD_ARCSEC)
    groups = on_disk.group_by("margin_Norder", "margin_Npix").agg(pl.col("id").sort())
    assert {(order, pixel): ids for order, pixel, ids in groups.iter_rows()} == brute
    assert set(brute) - set(PARTITIONS)
    parts = smp.partition_and_margin(pl.DataFrame(table.drop_columns(["note"])), PARTITIONS, THRESHOLD_ARCSEC)
    assert {part.pixel: sorted(part.margin["id"]) for part in parts if len(part.margin)} == brute


def test_a_margin_is_scanned_with_its_pixels(made: Workspace) -> None:
    scanned = smp.scan_margin(made.margin)
    assert isinstance(scanned, pl.LazyFrame)
    schema = scanned.collect_schema()
    assert schema["margin_Norder"] == pl.UInt8
    assert schema["margin_Npix"] == pl.UInt64
    assert "Norder" not in schema
    frame = scanned.collect(engine="streaming")
    assert frame.equals(smp.read_margin(made.margin))
    assert frame.columns[:-2] == pq.read_schema(next(iter(made.files.values()))).names
    for (order, pixel), file in made.files.items():
        mine = frame.filter(margin_Norder=order, margin_Npix=pixel)
        assert mine["id"].to_list() == rows_in_file(file)["id"].to_pylist()
    assert frame.equals(frame.sort("margin_Norder", "margin_Npix", maintain_order=True))


def test_only_files_of_the_pixels_asked_for_are_opened(made: Workspace, tmp_path: Path) -> None:
    margin = copy_of(made.margin, tmp_path)
    whole = smp.read_margin(margin)
    pixel, *others = sorted(files_of(margin))
    for other in others:
        files_of(margin)[other].write_bytes(b"this is no Parquet file")
    assert smp.read_margin(margin, pixels=[pixel]).equals(
        whole.filter(margin_Norder=pixel[0], margin_Npix=pixel[1])
    )
    with pytest.raises(pl.exceptions.PolarsError):
        smp.read_margin(margin, pixels=[pixel, others[0]])


@pytest.mark.parametrize("pixels", [[], [(7, 3)]])
def test_pixels_without_margin_give_no_rows(made: Workspace, pixels: list[tuple[int, int]]) -> None:
    nothing = smp.read_margin(made.margin, pixels=pixels)
    assert nothing.height == 0
    whole = smp.read_margin(made.margin)
    assert nothing.columns == whole.columns
    assert (
        nothing.select("id", "ra", "margin_Norder", "margin_Npix").schema
        == whole.select("id", "ra", "margin_Norder", "margin_Npix").schema
    )


def test_a_margin_without_rows_is_a_frame_without_rows(tmp_path: Path) -> None:
    sky = sky_near_edges(PARTITIONS, 40, 300_000.0, seed=3)
    work = made_in(tmp_path, sky, 1e-6)
    assert not work.files
    frame = smp.read_margin(work.margin)
    assert frame.height == 0
    assert frame.columns[-2:] == ["margin_Norder", "margin_Npix"]


def hipscat_margin(folder: Path) -> Path:
    """Write a HiPSCat margin of two files with the columns that hipscat-import gives them."""
    for order, pixel, own in ((0, 4, 45), (1, 44, 46)):
        file = folder / f"Norder={order}/Dir=0/Npix={pixel}.parquet"
        file.parent.mkdir(parents=True)
        columns = {"id": pa.array([order * 10, order * 10 + 1])}
        for name, values in (("", (order, 0, pixel)), ("margin_", (1, 0, own))):
            for column, kind, value in zip(
                ("Norder", "Dir", "Npix"), ("uint8", "uint64", "uint64"), values, strict=True
            ):
                columns[name + column] = pa.array([value] * 2, kind)
        pq.write_table(pa.table(columns), file)
    (folder / "partition_info.csv").write_text("Norder,Dir,Npix,num_rows\n0,0,4,2\n1,0,44,2\n")
    (folder / "catalog_info.json").write_text(json.dumps({"catalog_name": "m", "catalog_type": "margin"}))
    return folder


def test_hipscat_margins_read_the_same(tmp_path: Path) -> None:
    frame = smp.read_margin(hipscat_margin(tmp_path / "margin"))
    columns = ["id", "margin_Norder", "margin_Npix", "Norder", "Npix"]
    assert frame.select(columns).rows() == [
        (0, 0, 4, 1, 45),
        (1, 0, 4, 1, 45),
        (10, 1, 44, 1, 46),
        (11, 1, 44, 1, 46),
    ]
    assert smp.read_margin(tmp_path / "margin", pixels=[(1, 44)])["id"].to_list() == [10, 11]


@needs_shared
def test_the_hipscat_margin_of_the_hipscat_library() -> None:
    frame = smp.read_margin(SHARED / "hipscat" / "small_sky_order1_margin")
    assert frame.height == 28
    own = frame.select("Norder", "Npix", index=smp.spatial_index(order=1))
    assert (
        own.filter((pl.col("Norder") != 1) | (pl.col("index") != pl.col("Npix").cast(pl.Int64))).height == 0
    )
    assert frame.filter(pl.col("margin_Npix") == pl.col("Npix"), pl.col("margin_Norder") == 1).height == 0


def test_folders_of_files_are_read(tmp_path: Path, made: Workspace) -> None:
    make_margin(made.catalog, tmp_path, THRESHOLD_ARCSEC, npix_suffix="/")
    margin, expected = tmp_path / "margin", smp.read_margin(made.margin)
    assert smp.read_margin(margin).equals(expected)
    file = next(file for file in margin.rglob("Npix=*.parquet") if pq.read_metadata(file).num_rows > 1)
    rows = rows_in_file(file)
    file.unlink()
    pq.write_table(rows.slice(0, 1), file.with_name("part0.parquet"))
    pq.write_table(rows.slice(1), file.with_name("part1.parquet"))
    assert smp.read_margin(margin).equals(expected)
    order, pixel = (int(part.partition("=")[2]) for part in (file.parts[-4], file.parts[-2]))
    assert smp.read_margin(margin, pixels=[(order, pixel)]).height == rows.num_rows


def test_what_is_no_margin_is_refused_by_name(tmp_path: Path, made: Workspace) -> None:
    with pytest.raises(CatalogNotFoundError, match="there is nothing at"):
        smp.scan_margin(tmp_path / "absent")
    with pytest.raises(CatalogNotFoundError, match=r"is not a catalog: it has no hats\.properties"):
        smp.scan_margin(tmp_path)
    with pytest.raises(CatalogError, match="says that this is a catalog of type object"):
        smp.scan_margin(made.catalog)
    with pytest.raises(ArgumentError, match=r"path s3://bucket/margin is not allowed: .* a local folder"):
        smp.scan_margin("s3://bucket/margin")
    with pytest.raises(TypeError, match="pixels must be pairs"):
        smp.scan_margin(made.margin, pixels=[3])
    margin = copy_of(made.margin, tmp_path)
    (order, pixel), file = next(iter(files_of(margin).items()))
    file.unlink()
    with pytest.raises(
        MissingPartitionError, match=f"no file for the margin of order {order}, pixel {pixel}"
    ):
        smp.scan_margin(margin)
    (margin / "partition_info.csv").write_text("a,b\n1,2\n")
    with pytest.raises(CatalogError, match=r"partition_info\.csv has no columns Norder and Npix"):
        smp.scan_margin(margin)
    hipscat = hipscat_margin(tmp_path / "hipscat")
    (hipscat / "catalog_info.json").write_text("{")
    with pytest.raises(CatalogError, match=r"catalog_info\.json cannot be read as JSON"):
        smp.scan_margin(hipscat)


def test_a_column_in_the_way_is_refused(tmp_path: Path, made: Workspace) -> None:
    margin = copy_of(made.margin, tmp_path)
    for file in files_of(margin).values():
        rows = rows_in_file(file)
        pq.write_table(rows.append_column("margin_Npix", pa.array([1] * rows.num_rows)), file)
    with pytest.raises(CatalogError, match="has a column 'margin_Npix', which is added here"):
        smp.scan_margin(margin)
