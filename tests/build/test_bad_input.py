"""Input that no margin can be made of: one clear error, and nothing is left behind."""

from __future__ import annotations

import errno
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import skymargin._core as _core
from skymargin import SkymarginError
from skymargin.build.stages.slices import slice_type
from skymargin.catalogs import partition_list
from skymargin.errors import (
    ArgumentError,
    CatalogError,
    CatalogNotFoundError,
    IncompleteMarginError,
    MissingPartitionError,
    PartitionReadError,
    PositionError,
)
from tests.support.catalogs import (
    MIXED_PARTITIONS,
    Layout,
    Pixel,
    edit,
    edit_properties,
    fullest,
    rows_in_file,
    sky_near_edges,
    with_value,
    write_catalog,
)
from tests.support.workspace import Workspace

THRESHOLD_ARCSEC = 60.0
SKY = sky_near_edges(MIXED_PARTITIONS, rows=900, reach_arcsec=THRESHOLD_ARCSEC, seed=4)
LAYOUT = Layout(row_group_rows=10)
# What stands for the path of a file in the words of an error.
COMMON, METADATA, LISTING = "dataset/_common_metadata", "dataset/_metadata", "partition_info.csv"


def rewrite(file: Path, change: Callable[[pa.Table], pa.Table]) -> None:
    pq.write_table(change(rows_in_file(file)), file, row_group_size=10)


def test_the_undamaged_catalog_makes_a_margin(work: Workspace) -> None:
    assert work.make().rows > 50
    edit_properties(work.catalog, "hats_nrows=", "rows=")
    assert work.make("without_a_number_of_rows").rows > 50
    report = work.make("part", debug_filter_pixel_list=[(3, 60), (3, 61)])
    assert report.primary_partitions == 2


@pytest.mark.parametrize("kind", ["nothing", "folder", "file"])
def test_what_is_not_a_catalog(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "stars"
    if kind != "nothing":
        path.mkdir() if kind == "folder" else path.touch()
    word = "input_catalog_path" if kind == "nothing" else "not a catalog"
    Workspace(path, tmp_path / "out", 60.0).fails(CatalogNotFoundError, word, str(path))


@pytest.mark.parametrize("primary", ["", "hats_primary_table_url=stars\n"])
def test_a_collection_without_its_primary(primary: str, tmp_path: Path) -> None:
    (tmp_path / "sky").mkdir()
    (tmp_path / "sky" / "collection.properties").write_text(f"obs_collection=sky\n{primary}")
    word = "stars" if primary else "hats_primary_table_url"
    Workspace(tmp_path / "sky", tmp_path / "out", 60.0).fails(CatalogError, "collection.properties", word)


# Old text in both properties files, new text, and words of the error.
PROPERTIES: list[tuple[str, str, tuple[str, ...]]] = [
    *(
        ("type=object", f"type={kind}", ("hats.properties", f"dataproduct_type={kind}", "object or source"))
        for kind in ("margin", "index", "association", "map")
    ),
    ("hats_col_ra=ra\n", "", ("hats.properties", "hats_col_ra")),
    *(
        (
            f"hats_col_{key}={column}\n",
            f"hats_col_{key}=nonesuch\n",
            ("hats.properties", "'nonesuch'", "id, ra, dec"),
        )
        for key, column in (("ra", "ra"), ("dec", "dec"), ("healpix", "_healpix_29"))
    ),
    *(
        (f"hats_col_{key}={column}\n", f"hats_col_{key}=name\n", ("'name'", "string"))
        for key, column in (("ra", "ra"), ("healpix", "_healpix_29"))
    ),
    ("hats_col_healpix_order=29", "hats_col_healpix_order=30", ("hats_col_healpix_order=30", "0 to 29")),
]


@pytest.mark.parametrize(("old", "new", "words"), PROPERTIES)
def test_wrong_properties(old: str, new: str, words: tuple[str, ...], work: Workspace) -> None:
    edit_properties(work.catalog, old, new)
    work.fails(CatalogError, *words)


def no_properties(catalog: Path) -> None:
    (catalog / "properties").unlink()
    (catalog / "hats.properties").unlink()


def append_mag_again(catalog: Path) -> None:
    schema = pq.read_schema(catalog / COMMON)
    pq.write_metadata(schema.append(pa.field("mag", pa.int8())), catalog / COMMON)


def break_thrift(catalog: Path) -> None:
    """Change the kind of the second field of the footer."""
    damaged = bytearray((catalog / COMMON).read_bytes())
    damaged[-8 - int.from_bytes(damaged[-8:-4], "little") + 2] ^= 0x0F
    (catalog / COMMON).write_bytes(damaged)


def name_not_utf8(catalog: Path) -> None:
    """Without the copy of the schema in which pyarrow would look first."""
    pq.write_metadata(pq.read_schema(catalog / COMMON), catalog / COMMON, store_schema=False)
    content = (catalog / COMMON).read_bytes()
    assert content.count(b"mag") == 1
    (catalog / COMMON).write_bytes(content.replace(b"mag", b"m\xeeg"))


def metadata_not_utf8(catalog: Path) -> None:
    schema = pq.read_schema(catalog / COMMON).with_metadata({b"made": b"for \xffests"})
    pq.write_metadata(schema, catalog / COMMON)


def only_metadata_damaged(catalog: Path) -> None:
    (catalog / COMMON).unlink()
    (catalog / METADATA).write_bytes(b"no Parquet at all")


def written(name: str, content: bytes) -> Callable[[Path], object]:
    return lambda catalog: (catalog / name).write_bytes(content)


def unlisted(catalog: Path) -> None:
    edit_properties(catalog, "hats_nrows=", "rows=")
    edit(catalog / LISTING, "3,61\n", "")


# What is damaged, and the words of the error; {} is the path of the catalog.
DAMAGES: dict[str, tuple[Callable[[Path], object], tuple[str, ...]]] = {
    "no properties": (no_properties, ("{}", "hats.properties")),
    "properties not text": (
        written("hats.properties", b"\xff\xfe\x00"),
        ("{}/hats.properties", "cannot be read"),
    ),
    "two columns of one name": (append_mag_again, (f"{{}}/{COMMON}", "'mag'")),
    "list without columns": (written(LISTING, b"order,pixel\n1,2\n"), (f"{{}}/{LISTING}", "Norder and Npix")),
    **{
        f"list with {line}": (written(LISTING, f"Norder,Npix\n{line}\n".encode()), (f"{{}}/{LISTING}",))
        for line in ("1,two", "1", "-1,3", "2,999999999999999999999999")
    },
    "Thrift": (break_thrift, (f"{{}}/{COMMON}", "cannot be read as Parquet")),
    # It raised UnicodeDecodeError in pyarrow.
    "name of a column not UTF-8": (name_not_utf8, (f"{{}}/{COMMON}", "cannot be read as Parquet", "utf-8")),
    # It raised TypeError on its way to the core.
    "metadata of the schema not UTF-8": (metadata_not_utf8, (f"{{}}/{COMMON}", "not UTF-8")),
    "_common_metadata not Parquet": (written(COMMON, b"no Parquet at all"), (f"{{}}/{COMMON}",)),
    "_metadata alone, not Parquet": (only_metadata_damaged, (f"{{}}/{METADATA}",)),
    "_metadata emptied": (written(METADATA, b""), (f"{{}}/{METADATA}", "Parquet", "remove it")),
    "_metadata other": (
        written(METADATA, b"no Parquet at all"),
        (f"{{}}/{METADATA}", "Parquet", "remove it"),
    ),
    # What its end says of its length is more than there is.
    "_metadata without its beginning": (
        lambda catalog: (catalog / METADATA).write_bytes(
            (catalog / METADATA).read_bytes()[(catalog / METADATA).stat().st_size // 2 :]
        ),
        (f"{{}}/{METADATA}", "Parquet", "remove it"),
    ),
    "_metadata of a partition not listed": (
        unlisted,
        (f"{{}}/{METADATA}", "Npix=61.parquet is not among them"),
    ),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_catalog(name: str, work: Workspace) -> None:
    damage, words = DAMAGES[name]
    damage(work.catalog)
    work.fails(CatalogError, *(word.format(work.catalog) for word in words))


def far_from_every_edge(file: Path, **values: object) -> int:
    """Have a row, which lies near an edge, say that it is in the middle of base cell 9; return its number."""
    table = rows_in_file(file)
    table = with_value(table, "_healpix_29", 0, (9 << 58) + (3 << 56)).sort_by("_healpix_29")
    row = table.column("_healpix_29").to_pylist().index((9 << 58) + (3 << 56))
    for column, value in values.items():
        table = with_value(table, column, row, value)
    pq.write_table(table, file, row_group_size=10)
    return row


@pytest.mark.parametrize("coarse", [{}, {"fine_filtering": False, "margin_order": 8}])
def test_an_index_that_lies_far_from_every_edge_is_found_by_check_index(
    coarse: dict[str, object], work: Workspace
) -> None:
    file = work.file_of[0, 9]
    row = far_from_every_edge(file)
    words = (str(file), f"0.2 arcsec from the pixel of their index value; the first is row {row}: ")
    work.fails(PositionError, *words, check_index=True, **coarse)


def test_a_position_that_is_none_far_from_every_edge_is_found_by_check_index(work: Workspace) -> None:
    file = work.file_of[0, 9]
    row = far_from_every_edge(file, dec=float("nan"))
    words = (str(file), "no valid position", f"first is row {row}: ")
    work.fails(PositionError, *words, check_index=True)


@pytest.mark.parametrize(
    ("partition", "word"), [((3, 768), "768"), ((30, 0), "30"), ((0, 0), "overlap"), ((3, 60), "twice")]
)
def test_partitions_that_cannot_be(partition: Pixel, word: str, work: Workspace) -> None:
    order, pixel = partition
    with (work.catalog / LISTING).open("a") as lines:
        lines.write(f"{order},{pixel}\n")
    file = work.catalog / f"dataset/Norder={order}/Dir=0/Npix={pixel}.parquet"
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(fullest(work.catalog), file)
    work.fails(CatalogError, str(work.catalog / LISTING), word)


@pytest.mark.parametrize("link", [False, True])
def test_a_partition_that_is_missing(link: bool, work: Workspace) -> None:
    file = work.file_of[3, 61]
    file.unlink()
    if link:
        file.symlink_to(work.catalog / "nowhere")
    words = () if link else ("partition_info.csv",)
    work.fails(MissingPartitionError, str(file), "no such file", *words)


def test_a_catalog_that_cannot_be_listed(work: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(partition_list, "list_versions", refuse)
    work.fails(CatalogError, str(work.catalog), "Permission denied")


def test_several_partitions_that_are_missing(work: Workspace) -> None:
    shutil.rmtree(work.catalog / "dataset" / "Norder=2")
    work.fails(MissingPartitionError, "Norder=2/Dir=0/Npix=12.parquet", "9 more")


def test_a_folder_of_files_that_is_missing(tmp_path: Path) -> None:
    sky = sky_near_edges(((1, 4), (1, 5)), rows=50, reach_arcsec=60.0, seed=4)
    write_catalog(tmp_path / "stars", sky, Layout(suffix="/", files_per_partition=2))
    for file in (tmp_path / "stars" / "dataset").rglob("Npix=5/*.parquet"):
        file.unlink()
    words = ("Norder=1/Dir=0/Npix=5/", "folder of Parquet files")
    Workspace(tmp_path / "stars", tmp_path / "out", 60.0).fails(MissingPartitionError, *words)


@pytest.mark.parametrize("damage", ["emptied", "cut", "other"])
def test_a_partition_that_cannot_be_read(damage: str, work: Workspace) -> None:
    file = fullest(work.catalog)
    content = {"emptied": b"", "cut": file.read_bytes()[:-40], "other": b"no Parquet at all " * 9}[damage]
    file.write_bytes(content)
    work.fails(SkymarginError, str(file), "Parquet")


def test_a_partition_with_a_damaged_page(work: Workspace) -> None:
    file = fullest(work.catalog)
    about = pq.read_metadata(file)
    data = bytearray(file.read_bytes())
    for number in range(about.num_row_groups):
        column = about.row_group(number).column(about.schema.names.index("_healpix_29"))
        start = column.dictionary_page_offset or column.data_page_offset
        data[start : start + column.total_compressed_size] = b"\xff" * column.total_compressed_size
    file.write_bytes(data)
    work.fails(PartitionReadError, str(file))


@pytest.mark.parametrize("rows", ["1000000", "7"])
@pytest.mark.parametrize("metadata", [True, False])
def test_rows_that_are_not_as_stated(metadata: bool, rows: str, work: Workspace) -> None:
    words = [str(work.catalog / METADATA), str(len(SKY))]
    if not metadata:
        (work.catalog / METADATA).unlink()
        words = [f"hold {len(SKY)}", "correct hats_nrows"]
    edit_properties(work.catalog, f"hats_nrows={len(SKY)}", f"hats_nrows={rows}")
    work.fails(CatalogError, "hats.properties", f"hats_nrows={rows}", *words)


@pytest.mark.parametrize("rows", ["many", "-1", "1e3", "\u0663"])
def test_a_number_of_rows_that_is_none(rows: str, work: Workspace) -> None:
    text = (work.catalog / "hats.properties").read_text(encoding="utf-8")
    changed = re.sub(r"hats_nrows=\d+", f"hats_nrows={rows}", text)
    (work.catalog / "hats.properties").write_text(changed, encoding="utf-8")
    work.fails(CatalogError, "hats.properties", f"hats_nrows={rows}", "whole numbers")


def test_a_list_of_partitions_that_lost_a_line(work: Workspace) -> None:
    edit(work.catalog / LISTING, "3,61\n", "")
    message = work.fails(CatalogError, "hats_nrows=", str(work.catalog / LISTING), "a file was lost")
    stated, counted = (int(number) for number in re.findall(r"(?:hats_nrows=|hold )(\d+)", message))
    assert stated - counted == pq.read_metadata(work.file_of[3, 61]).num_rows > 0


def test_a_partition_that_lost_a_row_since_metadata_was_written(work: Workspace) -> None:
    edit_properties(work.catalog, "hats_nrows=", "rows=")
    file = fullest(work.catalog)
    rows = pq.read_metadata(file).num_rows
    rewrite(file, lambda table: table.slice(1))
    words = (str(work.catalog / METADATA), f"{file}: {rows - 1}, not {rows}", "remove it")
    work.fails(CatalogError, *words)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda table: table.drop_columns(["mag"]), ("'mag'",)),
        (
            lambda table: table.set_column(0, "id", table.column("id").cast(pa.string())),
            ("'id'", "Utf8", "Int64"),
        ),
    ],
)
def test_a_partition_with_other_columns(
    change: Callable[[pa.Table], pa.Table], words: tuple[str, ...], work: Workspace
) -> None:
    file = fullest(work.catalog)
    rewrite(file, change)
    work.fails(PartitionReadError, str(file), *words)


@pytest.mark.parametrize("index_column", ["_healpix_29", None])
@pytest.mark.parametrize(
    ("column", "value"),
    [("ra", float("nan")), ("dec", None), ("dec", 90.5), ("ra", -361.0), ("ra", float("inf"))],
)
def test_coordinates_that_are_no_positions(
    column: str, value: float | None, index_column: str | None, work: Workspace, tmp_path: Path
) -> None:
    work = replace(work, catalog=tmp_path / "catalog")
    sky = sky_near_edges(((1, 4), (1, 5), (1, 6)), rows=150, reach_arcsec=60.0, seed=4)
    write_catalog(work.catalog, sky, Layout(index_column=index_column))
    file = fullest(work.catalog)
    for row in (22, 7, 13):
        rewrite(file, lambda table, row=row: with_value(table, column, row, value))
    work.fails(PositionError, str(file), "3 of", "no valid position", "first is row 7: ", "-90 to 90")


def test_a_row_that_lies_far_from_its_partition(work: Workspace) -> None:
    file = work.file_of[3, 61]
    rewrite(file, lambda table: with_value(with_value(table, "ra", 0, 200.0), "_healpix_29", 0, 0))
    work.fails(PositionError, str(file), "1 of", "row 0: ra 200")


def test_a_margin_that_lacks_rows_is_not_kept(work: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    reduce_batch = _core.reduce_batch

    def one_row_less(spec: object, slices: bytes, *more: object) -> object:
        table = np.frombuffer(slices, dtype=slice_type()).copy()
        table["rows"][np.argmax(table["rows"])] -= 1
        return reduce_batch(spec, table.tobytes(), *more)  # type: ignore[arg-type]

    monkeypatch.setattr(_core, "reduce_batch", one_row_less)
    work.fails(IncompleteMarginError, "rows were selected", "were written")


def test_a_coarse_margin_needs_pixels_below_all_partitions(work: Workspace) -> None:
    work.fails(ArgumentError, "margin_order 3", "highest order", fine_filtering=False, margin_order=3)
