"""Options for the files of a margin: each changes what it says, and the rows of no margin."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hats import read_hats
from hats.catalog import TableProperties
from hats.io.validation import is_valid_catalog

from skymargin import info
from skymargin.catalogs.output_options import OutputOptions
from skymargin.catalogs.properties import read_properties
from skymargin.errors import ArgumentError
from tests.support.brute_force import pixels_of
from tests.support.catalogs import (
    MIXED_PARTITIONS,
    Layout,
    Pixel,
    Sky,
    count_rows,
    rows_in_file,
    sky_near_edges,
    write_catalog,
)
from tests.support.workspace import Workspace

THRESHOLD_ARCSEC = 900.0
SKY = sky_near_edges(MIXED_PARTITIONS, rows=2_000, reach_arcsec=THRESHOLD_ARCSEC, seed=8)


def files_at(again: Workspace, pattern: str) -> list[Path]:
    return sorted((again.margin / "dataset").glob(f"Norder=*/Dir=*/{pattern}"))


def assert_library_reads(again: Workspace, made: Workspace, partition: int) -> None:
    """Assert that the files have the rows of the margin without options, and the library reads one of them so."""
    margin = read_hats(again.margin)
    pixel = margin.get_healpix_pixels()[partition]
    expected = rows_in_file(made.files[pixel.order, pixel.pixel])["id"].to_pylist()
    assert margin.read_pixel_to_pandas(pixel)["id"].tolist() == expected


def rows_in_all(files: list[Path]) -> list[int]:
    return sorted(row for file in files for row in rows_in_file(file)["id"].to_pylist())


def group_sizes(file: Path) -> list[int]:
    footer = pq.read_metadata(file)
    return [footer.row_group(number).num_rows for number in range(footer.num_row_groups)]


def test_another_suffix(made: Workspace, again: Workspace) -> None:
    again.make(npix_suffix=".parq")
    files, plain = files_at(again, "Npix=*.parq"), files_at(made, "Npix=*.parquet")
    assert [file.stem for file in files] == [file.stem for file in plain]
    assert rows_in_all(files) == rows_in_all(plain)
    assert read_hats(again.margin).catalog_info.npix_suffix == ".parq"
    assert_library_reads(again, made, 0)


@pytest.mark.parametrize("name", [None, "data.parquet"])
def test_a_folder_for_each_partition(name: str | None, made: Workspace, again: Workspace) -> None:
    again.make(npix_suffix="/", npix_parquet_name=name)
    files, plain = files_at(again, "Npix=*/*"), files_at(made, "Npix=*.parquet")
    assert {file.name for file in files} == ({name} if name else {file.name for file in plain})
    assert rows_in_all(files) == rows_in_all(plain)
    # The footers in _metadata name the files as they are.
    footer = pq.read_metadata(again.margin / "dataset" / "_metadata")
    named = {footer.row_group(number).column(0).file_path for number in range(footer.num_row_groups)}
    assert named == {file.relative_to(again.margin / "dataset").as_posix() for file in files}
    assert is_valid_catalog(again.margin, strict=True)
    assert_library_reads(again, made, -1)


def test_options_of_the_parquet_writer(made: Workspace, again: Workspace) -> None:
    options = {
        "compression": "gzip",
        "row_group_size": 7,
        "write_statistics": False,
        "use_dictionary": ["band"],
        "column_encoding": {"ra": "PLAIN"},
    }
    again.make(write_table_kwargs=options)
    assert again.ids == made.ids
    for pixel, file in again.files.items():
        before, column = (pq.read_metadata(path).row_group(0).column(1) for path in (made.files[pixel], file))
        assert column.path_in_schema == "ra"
        assert (before.compression, column.compression) == ("ZSTD", "GZIP")
        assert (before.statistics is None, column.statistics is None) == (False, True)
        assert "BYTE_STREAM_SPLIT" in before.encodings
        assert "BYTE_STREAM_SPLIT" not in column.encodings
        sizes = group_sizes(file)
        assert set(sizes[:-1]) <= {7}
        assert sizes[-1] <= 7


@pytest.mark.parametrize(
    ("options", "message"),
    [
        *(
            ({"write_table_kwargs": options}, r"write_table_kwargs.* cannot be used")
            for options in (
                {"compression": "brotly"},
                {"column_encoding": {"nowhere": "PLAIN"}},
                {"compression_level": "high"},
            )
        ),
        ({"addl_hats_properties": {"skymap_order": "many"}}, r"addl_hats_properties .* cannot be used"),
        (
            {"debug_filter_pixel_list": [(3, 298)]},
            r"debug_filter_pixel_list \[\(3, 298\)\] overlaps no partition",
        ),
    ],
)
def test_options_that_are_refused(options: dict[str, Any], message: str, again: Workspace) -> None:
    with pytest.raises(ArgumentError, match=message):
        again.make(**options)
    assert again.names == []


def test_row_groups_of_so_many_rows(made: Workspace, again: Workspace) -> None:
    again.make(row_group_kwargs={"num_rows": 5})
    assert again.ids == made.ids
    several = 0
    for file in again.files.values():
        *full, last = group_sizes(file)
        assert set(full) <= {5}
        assert 1 <= last <= 5
        several += bool(full)
    assert several > 20


@pytest.mark.parametrize("delta", [0, 3])
@pytest.mark.parametrize(
    "layout",
    [Layout(), Layout(index_column=None), Layout(index_column="healpix13", index_order=13)],
    ids=["index", "no index", "coarse index"],
)
def test_row_groups_of_one_subtile(delta: int, layout: Layout, tmp_path: Path) -> None:
    again = Workspace(tmp_path / "stars", tmp_path, THRESHOLD_ARCSEC)
    write_catalog(tmp_path / "stars", SKY, layout)
    again.make(row_group_kwargs={"subtile_order_delta": delta})
    assert again.ids == SKY.margins(THRESHOLD_ARCSEC)
    several = 0
    for (order, _), file in again.files.items():
        parquet = pq.ParquetFile(file)
        subtiles = []
        for number in range(parquet.num_row_groups):
            rows = parquet.read_row_group(number, ["ra", "dec"])
            inside = set(pixels_of(rows["ra"].to_numpy(), rows["dec"].to_numpy(), order + delta).tolist())
            assert len(inside) == 1
            subtiles += inside
        # In order, and each subtile once.
        assert subtiles == sorted(set(subtiles))
        several += len(subtiles) > 1
    assert several > 20


def test_subtiles_finer_than_the_index_are_refused(tmp_path: Path) -> None:
    again = Workspace(tmp_path / "stars", tmp_path / "out", THRESHOLD_ARCSEC)
    write_catalog(tmp_path / "stars", SKY, Layout(index_column="healpix13", index_order=13))
    with pytest.raises(ArgumentError, match=r"subtile_order_delta'\] 11 .* order 3 and an index of order 13"):
        again.make(row_group_kwargs={"subtile_order_delta": 11})
    assert again.names == []


def test_further_properties(again: Workspace) -> None:
    further = {"hats_cols_default": "id ra dec", "creator_did": "ivo://CDS/P/2MASS/J"}
    again.make(addl_hats_properties=further)
    written = read_properties(again.margin / "hats.properties")
    assert further.items() <= written.items()
    assert written["hats_margin_threshold"] == str(THRESHOLD_ARCSEC)
    assert TableProperties.read_from_dir(again.margin).default_columns == ["id", "ra", "dec"]


def test_without_metadata(made: Workspace, again: Workspace) -> None:
    again.make(create_metadata=False)
    assert (made.margin / "dataset" / "_metadata").exists()
    assert not (again.margin / "dataset" / "_metadata").exists()
    assert again.ids == made.ids
    assert len(read_hats(again.margin).get_healpix_pixels()) == len(made.ids)


def test_a_thumbnail_has_one_row_of_each_partition(made: Workspace, again: Workspace) -> None:
    again.make(create_thumbnail=True)
    assert not (made.margin / "data_thumbnail.parquet").exists()
    rows = pq.read_table(again.margin / "data_thumbnail.parquet")
    assert rows.schema.names == pq.read_schema(made.margin / "dataset" / "_common_metadata").names
    firsts = [rows_in_file(file)["id"][0].as_py() for file in made.files.values()]
    assert sorted(rows["id"].to_pylist()) == sorted(firsts)
    # Our own, with the metadata of the schema, is not replaced by that which the library writes along.
    assert pq.read_schema(again.margin / "dataset" / "_common_metadata").equals(
        pq.read_schema(made.margin / "dataset" / "_common_metadata"), check_metadata=True
    )


def test_statistics_of_each_partition(made: Workspace, again: Workspace) -> None:
    again.make(create_per_partition_stats=True)
    assert not (made.margin / "per_partition_statistics.parquet").exists()
    table = pq.read_table(again.margin / "per_partition_statistics.parquet")
    said = {
        (order, pixel): (least, most)
        for order, pixel, least, most in zip(
            *(table[name].to_pylist() for name in ("Norder", "Npix", "ra::min_value", "ra::max_value")),
            strict=True,
        )
    }
    assert len(said) == len(table)
    expected = {}
    for pixel, file in made.files.items():
        ra_deg = rows_in_file(file)["ra"].to_numpy()
        expected[pixel] = (ra_deg.min(), ra_deg.max())
    assert said == expected


def test_a_picture_and_descriptions(made: Workspace, again: Workspace) -> None:
    from PIL import Image

    options = ("create_partition_info_png", "create_summary_html", "create_summary_md")
    again.make("wide", **dict.fromkeys(options, True))
    assert not {"partition_info.png", "index.html", "README.md"} & {
        file.name for file in made.margin.iterdir()
    }
    with Image.open(again.output / "wide" / "partition_info.png") as picture:
        assert np.asarray(picture.convert("L")).std() > 10
    for name in ("index.html", "README.md"):
        text = (again.output / "wide" / name).read_text(encoding="utf-8")
        assert f"{count_rows(made.margin):,}" in text
        assert "wide" in text
        # It was written in a folder that had another name then.
        assert ".skymargin-" not in text


@pytest.mark.parametrize("threshold_arcsec", [THRESHOLD_ARCSEC, 1e-9])
def test_a_description_without_metadata(threshold_arcsec: float, again: Workspace) -> None:
    """The library looks for column statistics in `_metadata`, and failed without it."""
    again.make(margin_threshold=threshold_arcsec, create_metadata=False, create_summary_md=True)
    assert "timestamp[us, tz=UTC]" in (again.margin / "README.md").read_text()
    assert not (again.margin / "dataset" / "_metadata").exists()


def test_an_empty_margin_has_nothing_to_draw_but_is_described(again: Workspace) -> None:
    options = [name for name in OutputOptions.__dataclass_fields__ if name.startswith("create_")]
    assert again.make(margin_threshold=1e-9, **dict.fromkeys(options, True)).rows == 0
    assert {file.name for file in again.margin.iterdir() if file.is_file()} == {
        *("README.md", "index.html", "hats.properties", "properties", "partition_info.csv"),
        "_metadata.skymargin.json",
    }


def test_what_the_library_cannot_describe_is_a_warning(
    made: Workspace, again: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_args: object, **_options: object) -> None:
        raise KeyError("odd column")

    monkeypatch.setattr("hats.io.summary_file.write_catalog_summary_file", broken)
    with pytest.warns(
        UserWarning, match="complete, but create_summary_md did not work: KeyError: 'odd column'"
    ):
        again.make(create_summary_md=True)
    assert again.ids == made.ids


def test_what_only_hats_has_is_refused_for_another_format() -> None:
    plain = OutputOptions(write_table_kwargs={"compression": "gzip"}, row_group_kwargs={"num_rows": 3})
    plain.check_format("hats")
    plain.check_format("another")
    for name, value in {
        "npix_suffix": "/",
        "addl_hats_properties": {"x": "y"},
        "create_metadata": False,
        "create_thumbnail": True,
    }.items():
        options = OutputOptions(**{name: value})
        options.check_format("hats")
        with pytest.raises(ArgumentError, match=f"{name}=.* is for margins in the HATS format"):
            options.check_format("another")


@pytest.mark.parametrize(
    "pixels",
    [
        [(1, 0), (1, 1)],
        # Finer than the partition it lies in, coarser than those in it, and one where there is nothing.
        [(5, 2 << 10), (0, 3), (29, (11 << 58) + 5)],
        [(0, 6)],
    ],
)
def test_a_part_of_a_catalog_is_a_catalog(pixels: list[Pixel], again: Workspace) -> None:
    """As hats-import has it: rows of the chosen partitions alone, and all else is empty sky."""
    report = again.make(debug_filter_pixel_list=pixels)

    def overlap(left: Pixel, right: Pixel) -> bool:
        (coarse, above), (fine, below) = sorted((left, right))
        return below >> 2 * (fine - coarse) == above

    chosen = tuple(own for own in SKY.partitions if any(overlap(own, pixel) for pixel in pixels))
    assert 0 < len(chosen) < len(SKY.partitions)
    # Rows keep their numbers, which are their ids.
    rows = np.flatnonzero(np.any([SKY.lies_in(*pixel) for pixel in chosen], axis=0))
    part = SKY.take(rows)
    part = Sky(chosen, part.ra_deg, part.dec_deg, part.own_order, part.own_pixel)
    margins = part.margins(THRESHOLD_ARCSEC)
    assert again.ids == {pixel: sorted(rows[members].tolist()) for pixel, members in margins.items()}
    assert report.primary_partitions == len(chosen)
    said = read_properties(again.margin / "hats.properties")["skymargin_debug_filter_pixel_list"]
    assert said == " ".join(f"{order}/{pixel}" for order, pixel in pixels)
    assert info(again.margin).part == f"made of the partitions that overlap {said} alone"


def test_types_stay_with_every_option(made: Workspace, again: Workspace) -> None:
    again.make(write_table_kwargs={"compression": "snappy"}, row_group_kwargs={"subtile_order_delta": 1})
    for pixel, file in again.files.items():
        before, after = rows_in_file(made.files[pixel]), rows_in_file(file)
        assert after.schema.equals(before.schema, check_metadata=True)
        assert after.to_pylist() == before.to_pylist()
