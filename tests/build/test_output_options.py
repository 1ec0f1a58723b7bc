"""What a user may want of a margin's files: each option changes what it says, and the rows of no margin."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hats import read_hats
from hats.catalog import TableProperties
from hats.io.validation import is_valid_catalog

from skymargin.catalogs.output_options import OutputOptions
from skymargin.catalogs.properties import read_properties
from skymargin.errors import ArgumentError
from tests.support.catalogs import (
    MIXED_PARTITIONS,
    Layout,
    Sky,
    files_of,
    ids_of,
    make_margin,
    nothing_left,
    sky_near_edges,
    write_catalog,
)

THRESHOLD_ARCSEC = 900.0


@pytest.fixture(scope="module")
def sky() -> Sky:
    return sky_near_edges(MIXED_PARTITIONS, rows=2_000, reach_arcsec=THRESHOLD_ARCSEC, seed=8)


@pytest.fixture(scope="module")
def primary(sky: Sky, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("primary") / "stars"
    write_catalog(path, sky)
    return path


@pytest.fixture(scope="module")
def plain(primary: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The margin with no option at all."""
    output = tmp_path_factory.mktemp("plain")
    make_margin(primary, output, THRESHOLD_ARCSEC)
    return output / "margin"


def files_at(margin: Path, pattern: str) -> list[Path]:
    return sorted((margin / "dataset").glob(f"Norder=*/Dir=*/{pattern}"))


def rows_in(files: list[Path]) -> list[int]:
    return sorted(row for file in files for row in pq.ParquetFile(file).read(["id"])["id"].to_pylist())


def group_sizes(file: Path) -> list[int]:
    footer = pq.read_metadata(file)
    return [footer.row_group(number).num_rows for number in range(footer.num_row_groups)]


def test_another_suffix(primary: Path, plain: Path, tmp_path: Path) -> None:
    make_margin(primary, tmp_path, THRESHOLD_ARCSEC, npix_suffix=".parq")
    found = files_at(tmp_path / "margin", "Npix=*.parq")
    assert [file.with_suffix("").name for file in found] == [
        file.with_suffix("").name for file in files_at(plain, "Npix=*.parquet")
    ]
    assert rows_in(found) == rows_in(files_at(plain, "Npix=*.parquet"))
    margin = read_hats(tmp_path / "margin")
    assert margin.catalog_info.npix_suffix == ".parq"
    pixel = margin.get_healpix_pixels()[0]
    expected = pq.ParquetFile(files_of(plain)[pixel.order, pixel.pixel]).read(["id"])["id"].to_pylist()
    assert margin.read_pixel_to_pandas(pixel)["id"].tolist() == expected


@pytest.mark.parametrize("name", [None, "data.parquet"])
def test_a_folder_for_each_partition(name: str | None, primary: Path, plain: Path, tmp_path: Path) -> None:
    make_margin(primary, tmp_path, THRESHOLD_ARCSEC, npix_suffix="/", npix_parquet_name=name)
    found = files_at(tmp_path / "margin", "Npix=*/*")
    assert {file.name for file in found} == (
        {name} if name else {file.name for file in files_at(plain, "Npix=*.parquet")}
    )
    assert rows_in(found) == rows_in(files_at(plain, "Npix=*.parquet"))
    # The footers in _metadata name the files as they are.
    footer = pq.read_metadata(tmp_path / "margin" / "dataset" / "_metadata")
    named = {footer.row_group(number).column(0).file_path for number in range(footer.num_row_groups)}
    assert named == {file.relative_to(tmp_path / "margin" / "dataset").as_posix() for file in found}
    assert is_valid_catalog(tmp_path / "margin", strict=True)
    margin = read_hats(tmp_path / "margin")
    pixel = margin.get_healpix_pixels()[-1]
    expected = pq.ParquetFile(files_of(plain)[pixel.order, pixel.pixel]).read(["id"])["id"].to_pylist()
    assert margin.read_pixel_to_pandas(pixel)["id"].tolist() == expected


def test_options_of_the_parquet_writer(primary: Path, plain: Path, tmp_path: Path) -> None:
    options = {
        "compression": "gzip",
        "row_group_size": 7,
        "write_statistics": False,
        "use_dictionary": ["band"],
        "column_encoding": {"ra": "PLAIN"},
    }
    make_margin(primary, tmp_path, THRESHOLD_ARCSEC, write_table_kwargs=options)
    assert ids_of(tmp_path / "margin") == ids_of(plain)
    for pixel, file in files_of(tmp_path / "margin").items():
        before, column = (
            pq.read_metadata(one).row_group(0).column(1) for one in (files_of(plain)[pixel], file)
        )
        assert column.path_in_schema == "ra"
        assert (before.compression, column.compression) == ("UNCOMPRESSED", "GZIP")
        assert (before.statistics is None, column.statistics is None) == (False, True)
        assert "BYTE_STREAM_SPLIT" in before.encodings
        assert "BYTE_STREAM_SPLIT" not in column.encodings
        sizes = group_sizes(file)
        assert set(sizes[:-1]) <= {7}
        assert sizes[-1] <= 7


@pytest.mark.parametrize(
    "options",
    [{"compression": "brotly"}, {"column_encoding": {"nowhere": "PLAIN"}}, {"compression_level": "high"}],
)
def test_options_that_the_parquet_writer_refuses(
    options: dict[str, object], primary: Path, tmp_path: Path
) -> None:
    with pytest.raises(ArgumentError, match=r"write_table_kwargs.* cannot be used"):
        make_margin(primary, tmp_path, THRESHOLD_ARCSEC, write_table_kwargs=options)
    assert nothing_left(tmp_path)


def test_row_groups_of_so_many_rows(primary: Path, plain: Path, tmp_path: Path) -> None:
    make_margin(primary, tmp_path, THRESHOLD_ARCSEC, row_group_kwargs={"num_rows": 5})
    assert ids_of(tmp_path / "margin") == ids_of(plain)
    several = 0
    for file in files_of(tmp_path / "margin").values():
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
def test_row_groups_of_one_subtile(delta: int, layout: Layout, sky: Sky, tmp_path: Path) -> None:
    from tests.support.brute_force import pixels_of

    write_catalog(tmp_path / "stars", sky, layout)
    make_margin(
        tmp_path / "stars", tmp_path, THRESHOLD_ARCSEC, row_group_kwargs={"subtile_order_delta": delta}
    )
    assert ids_of(tmp_path / "margin") == sky.margins(THRESHOLD_ARCSEC)
    several = 0
    for (order, _), file in files_of(tmp_path / "margin").items():
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


def test_subtiles_finer_than_the_index_are_refused(sky: Sky, tmp_path: Path) -> None:
    write_catalog(tmp_path / "stars", sky, Layout(index_column="healpix13", index_order=13))
    with pytest.raises(ArgumentError, match=r"subtile_order_delta'\] 11 .* order 3 and an index of order 13"):
        make_margin(
            tmp_path / "stars",
            tmp_path / "out",
            THRESHOLD_ARCSEC,
            row_group_kwargs={"subtile_order_delta": 11},
        )
    assert nothing_left(tmp_path / "out")


def test_further_properties(primary: Path, tmp_path: Path) -> None:
    further = {"hats_cols_default": "id ra dec", "creator_did": "ivo://CDS/P/2MASS/J"}
    make_margin(primary, tmp_path, THRESHOLD_ARCSEC, addl_hats_properties=further)
    written = read_properties(tmp_path / "margin" / "hats.properties")
    assert further.items() <= written.items()
    assert written["hats_margin_threshold"] == str(THRESHOLD_ARCSEC)
    assert TableProperties.read_from_dir(tmp_path / "margin").default_columns == ["id", "ra", "dec"]


def test_properties_that_the_library_refuses(primary: Path, tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match=r"addl_hats_properties .* cannot be used"):
        make_margin(primary, tmp_path, THRESHOLD_ARCSEC, addl_hats_properties={"skymap_order": "many"})
    assert nothing_left(tmp_path)


def test_without_metadata(primary: Path, plain: Path, tmp_path: Path) -> None:
    make_margin(primary, tmp_path, THRESHOLD_ARCSEC, create_metadata=False)
    assert (plain / "dataset" / "_metadata").exists()
    assert not (tmp_path / "margin" / "dataset" / "_metadata").exists()
    assert ids_of(tmp_path / "margin") == ids_of(plain)
    assert len(read_hats(tmp_path / "margin").get_healpix_pixels()) == len(ids_of(plain))


def test_a_thumbnail_has_one_row_of_each_partition(primary: Path, plain: Path, tmp_path: Path) -> None:
    make_margin(primary, tmp_path, THRESHOLD_ARCSEC, create_thumbnail=True)
    assert not (plain / "data_thumbnail.parquet").exists()
    rows = pq.read_table(tmp_path / "margin" / "data_thumbnail.parquet")
    assert rows.schema.names == pq.read_schema(plain / "dataset" / "_common_metadata").names
    firsts = [pq.ParquetFile(file).read(["id"])["id"][0].as_py() for file in files_of(plain).values()]
    assert sorted(rows["id"].to_pylist()) == sorted(firsts)
    # Our own, with the metadata of the schema, is not replaced by that which the library writes along.
    assert pq.read_schema(tmp_path / "margin" / "dataset" / "_common_metadata").equals(
        pq.read_schema(plain / "dataset" / "_common_metadata"), check_metadata=True
    )


def test_statistics_of_each_partition(primary: Path, plain: Path, tmp_path: Path) -> None:
    make_margin(primary, tmp_path, THRESHOLD_ARCSEC, create_per_partition_stats=True)
    assert not (plain / "per_partition_statistics.parquet").exists()
    table = pq.read_table(tmp_path / "margin" / "per_partition_statistics.parquet")
    said = {
        (order, pixel): (least, most)
        for order, pixel, least, most in zip(
            *(table[name].to_pylist() for name in ("Norder", "Npix", "ra::min_value", "ra::max_value")),
            strict=True,
        )
    }
    assert len(said) == len(table)
    expected = {}
    for pixel, file in files_of(plain).items():
        ra_deg = pq.ParquetFile(file).read(["ra"])["ra"].to_numpy()
        expected[pixel] = (ra_deg.min(), ra_deg.max())
    assert said == expected


def test_a_picture_and_descriptions(primary: Path, plain: Path, tmp_path: Path) -> None:
    from PIL import Image

    wanted = ("create_partition_info_png", "create_summary_html", "create_summary_md")
    make_margin(primary, tmp_path, THRESHOLD_ARCSEC, "wide", **dict.fromkeys(wanted, True))
    names = {"partition_info.png", "index.html", "README.md"}
    assert not names & {file.name for file in plain.iterdir()}
    with Image.open(tmp_path / "wide" / "partition_info.png") as picture:
        assert np.asarray(picture.convert("L")).std() > 10
    rows = sum(map(len, ids_of(plain).values()))
    for name in ("index.html", "README.md"):
        text = (tmp_path / "wide" / name).read_text(encoding="utf-8")
        assert f"{rows:,}" in text
        assert "wide" in text
        # It was written in a folder that had another name then.
        assert ".skymargin-" not in text


@pytest.mark.parametrize("threshold_arcsec", [THRESHOLD_ARCSEC, 1e-9])
def test_a_description_without_metadata(threshold_arcsec: float, primary: Path, tmp_path: Path) -> None:
    """The library looks for column statistics in `_metadata`, and failed without it."""
    make_margin(primary, tmp_path, threshold_arcsec, create_metadata=False, create_summary_md=True)
    assert "timestamp[us, tz=UTC]" in (tmp_path / "margin" / "README.md").read_text()
    assert not (tmp_path / "margin" / "dataset" / "_metadata").exists()


def test_an_empty_margin_has_nothing_to_draw_but_is_described(primary: Path, tmp_path: Path) -> None:
    wanted = [name for name in OutputOptions.__dataclass_fields__ if name.startswith("create_")]
    report = make_margin(primary, tmp_path, 1e-9, **dict.fromkeys(wanted, True))
    assert report.rows == 0
    top = {file.name for file in (tmp_path / "margin").iterdir() if file.is_file()}
    assert top == {
        "README.md", "index.html", "hats.properties", "properties", "partition_info.csv", "_metadata.skymargin.json",
    }  # fmt: skip


def test_what_the_library_cannot_describe_is_a_warning(
    primary: Path, plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_args: object, **_options: object) -> None:
        raise KeyError("odd column")

    monkeypatch.setattr("hats.io.summary_file.write_catalog_summary_file", broken)
    with pytest.warns(
        UserWarning, match="complete, but create_summary_md did not work: KeyError: 'odd column'"
    ):
        make_margin(primary, tmp_path, THRESHOLD_ARCSEC, create_summary_md=True)
    assert ids_of(tmp_path / "margin") == ids_of(plain)


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
        wanted = OutputOptions(**{name: value})
        wanted.check_format("hats")
        with pytest.raises(ArgumentError, match=f"{name}=.* is for margins in the HATS format"):
            wanted.check_format("another")


@pytest.mark.parametrize(
    "pixels",
    [
        [(1, 0), (1, 1)],
        # Finer than the partition it lies in, coarser than those in it, and one where there is nothing.
        [(5, 2 << 10), (0, 3), (29, (11 << 58) + 5)],
        [(0, 6)],
    ],
)
def test_a_part_of_a_catalog_is_a_catalog(pixels: list[tuple[int, int]], sky: Sky, tmp_path: Path) -> None:
    """As hats-import has it: rows of the chosen partitions alone, and all else is empty sky."""
    write_catalog(tmp_path / "stars", sky)
    report = make_margin(tmp_path / "stars", tmp_path, THRESHOLD_ARCSEC, debug_filter_pixel_list=pixels)

    def overlap(one: tuple[int, int], other: tuple[int, int]) -> bool:
        (coarse, above), (fine, below) = sorted((one, other))
        return below >> 2 * (fine - coarse) == above

    chosen = tuple(own for own in sky.partitions if any(overlap(own, pixel) for pixel in pixels))
    assert 0 < len(chosen) < len(sky.partitions)
    kept = np.zeros(len(sky), dtype=bool)
    for order, pixel in chosen:
        kept |= (sky.own_order == order) & (sky.own_pixel == pixel)
    # Rows keep their numbers, which are their ids.
    rows = np.flatnonzero(kept)
    part = Sky(chosen, sky.ra_deg[kept], sky.dec_deg[kept], sky.own_order[kept], sky.own_pixel[kept])
    expected = {
        pixel: sorted(rows[inside].tolist()) for pixel, inside in part.margins(THRESHOLD_ARCSEC).items()
    }
    assert ids_of(tmp_path / "margin") == expected
    assert report.primary_partitions == len(chosen)
    said = read_properties(tmp_path / "margin" / "hats.properties")["skymargin_debug_filter_pixel_list"]
    assert said == " ".join(f"{order}/{pixel}" for order, pixel in pixels)


def test_a_part_that_is_empty_is_refused(primary: Path, tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match=r"debug_filter_pixel_list \[\(3, 298\)\] overlaps no partition"):
        make_margin(primary, tmp_path, THRESHOLD_ARCSEC, debug_filter_pixel_list=[(3, 298)])
    assert nothing_left(tmp_path)


def test_types_stay_with_every_option(primary: Path, plain: Path, tmp_path: Path) -> None:
    make_margin(
        primary, tmp_path, THRESHOLD_ARCSEC,
        write_table_kwargs={"compression": "snappy"}, row_group_kwargs={"subtile_order_delta": 1},
    )  # fmt: skip
    for pixel, file in files_of(tmp_path / "margin").items():
        before, after = (pq.ParquetFile(one).read() for one in (files_of(plain)[pixel], file))
        assert after.schema.equals(before.schema, check_metadata=True)
        assert isinstance(after, pa.Table)
        assert after.combine_chunks().to_pylist() == before.combine_chunks().to_pylist()
