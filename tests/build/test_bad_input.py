"""Input that no margin can be made of: one clear error, and nothing is left behind."""

from __future__ import annotations

import errno
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from skymargin import SkymarginError
from skymargin.build.stages.shards import ShardReader
from skymargin.catalogs import hats
from skymargin.errors import (
    ArgumentError,
    CatalogError,
    CatalogNotFoundError,
    IncompleteMarginError,
    MissingPartitionError,
    OutputExistsError,
    PartitionReadError,
    PositionError,
    StorageError,
)
from tests.support.catalogs import (
    MIXED_PARTITIONS,
    Layout,
    files_of,
    make_margin,
    nothing_left,
    sky_near_edges,
    write_catalog,
)

THRESHOLD_ARCSEC = 60.0


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("whole") / "catalog"
    sky = sky_near_edges(MIXED_PARTITIONS, rows=900, reach_arcsec=THRESHOLD_ARCSEC, seed=4)
    write_catalog(path, sky, Layout(row_group_rows=10))
    return path


@pytest.fixture
def catalog(whole: Path, tmp_path: Path) -> Path:
    """Copy a catalog, to be damaged."""
    return shutil.copytree(whole, tmp_path / "catalog")


def fails(catalog: Path, kind: type[SkymarginError], *words: str, **arguments: object) -> str:
    """Run the pipeline, which must fail with these words and leave nothing."""
    output = catalog.parent / "out"
    with pytest.raises(kind) as caught:
        make_margin(catalog, output, THRESHOLD_ARCSEC, **arguments)
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message
    assert nothing_left(output)
    return message


def rewrite(file: Path, change: Callable[[pa.Table], pa.Table]) -> None:
    table = pq.ParquetFile(file).read()
    pq.write_table(change(table), file, row_group_size=10)


def set_value(column: str, row: int, value: object) -> Callable[[pa.Table], pa.Table]:
    def change(table: pa.Table) -> pa.Table:
        values = table.column(column).to_pylist()
        values[row] = value
        at = table.schema.get_field_index(column)
        return table.set_column(at, table.schema.field(at), pa.array(values, table.schema.field(at).type))

    return change


def fullest(catalog: Path) -> Path:
    return max(files_of(catalog).values(), key=lambda file: pq.read_metadata(file).num_rows)


def edit(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def edit_properties(catalog: Path, old: str, new: str) -> None:
    edit(catalog / "hats.properties", old, new)
    edit(catalog / "properties", old, new)


def test_the_undamaged_catalog_makes_a_margin(catalog: Path) -> None:
    assert make_margin(catalog, catalog.parent / "out", THRESHOLD_ARCSEC).rows > 50


def test_no_catalog_there(tmp_path: Path) -> None:
    fails(tmp_path / "nowhere", CatalogNotFoundError, "input_catalog_path", str(tmp_path / "nowhere"))


def test_a_folder_that_is_no_catalog(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    fails(tmp_path / "folder", CatalogNotFoundError, str(tmp_path / "folder"), "not a catalog")


def test_a_file_instead_of_a_catalog(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    fails(tmp_path / "file", CatalogNotFoundError, str(tmp_path / "file"), "not a catalog")


def test_no_properties(catalog: Path) -> None:
    (catalog / "properties").unlink()
    (catalog / "hats.properties").unlink()
    fails(catalog, CatalogError, str(catalog), "hats.properties")


def test_properties_that_are_no_text(catalog: Path) -> None:
    (catalog / "hats.properties").write_bytes(b"\xff\xfe\x00")
    fails(catalog, CatalogError, str(catalog / "hats.properties"), "cannot be read")


@pytest.mark.parametrize("kind", ["margin", "index", "association", "map"])
def test_a_catalog_of_another_type(catalog: Path, kind: str) -> None:
    edit_properties(catalog, "dataproduct_type=object", f"dataproduct_type={kind}")
    fails(catalog, CatalogError, "hats.properties", f"dataproduct_type={kind}", "object or source")


def test_properties_without_ra(catalog: Path) -> None:
    edit_properties(catalog, "hats_col_ra=ra\n", "")
    fails(catalog, CatalogError, "hats.properties", "hats_col_ra")


@pytest.mark.parametrize(("column", "key"), [("ra", "ra"), ("dec", "dec"), ("_healpix_29", "healpix")])
def test_columns_that_are_not_there(catalog: Path, column: str, key: str) -> None:
    edit_properties(catalog, f"hats_col_{key}={column}\n", f"hats_col_{key}=nonesuch\n")
    fails(catalog, CatalogError, "hats.properties", "'nonesuch'", "id, ra, dec")


@pytest.mark.parametrize(("key", "column"), [("ra", "ra"), ("healpix", "_healpix_29")])
def test_columns_of_a_type_that_cannot_be(catalog: Path, key: str, column: str) -> None:
    edit_properties(catalog, f"hats_col_{key}={column}\n", f"hats_col_{key}=name\n")
    fails(catalog, CatalogError, "'name'", "string")


def test_two_columns_of_one_name(catalog: Path) -> None:
    file = catalog / "dataset" / "_common_metadata"
    schema = pq.read_schema(file)
    pq.write_metadata(schema.append(pa.field("mag", pa.int8())), file)
    fails(catalog, CatalogError, str(file), "'mag'")


def far_from_every_edge(table: pa.Table) -> tuple[pa.Table, int]:
    """Have the first row, which lies near an edge, say that it is in the middle of partition 9 of order 0."""
    values = table.column("_healpix_29").to_pylist()
    values[0] = (9 << 58) + (3 << 56)
    at = table.schema.get_field_index("_healpix_29")
    lying = table.set_column(at, table.schema.field(at), pa.array(values, table.schema.field(at).type))
    row = sorted(values).index(values[0])
    return lying.sort_by("_healpix_29"), row


@pytest.mark.parametrize("coarse", [{}, {"fine_filtering": False, "margin_order": 8}])
def test_an_index_that_lies_far_from_every_edge_is_found_by_check_index(
    coarse: dict[str, object], catalog: Path
) -> None:
    file = catalog / "dataset/Norder=0/Dir=0/Npix=9.parquet"
    table, row = far_from_every_edge(pq.ParquetFile(file).read())
    pq.write_table(table, file, row_group_size=10)
    words = (str(file), f"0.2 arcsec from the pixel of their index value; the first is row {row}: ")
    fails(catalog, PositionError, *words, check_index=True, **coarse)


def test_a_position_that_is_none_far_from_every_edge_is_found_by_check_index(catalog: Path) -> None:
    file = catalog / "dataset/Norder=0/Dir=0/Npix=9.parquet"
    table, row = far_from_every_edge(pq.ParquetFile(file).read())
    pq.write_table(set_value("dec", row, float("nan"))(table), file, row_group_size=10)
    fails(catalog, PositionError, str(file), "no valid position", f"first is row {row}: ", check_index=True)


def test_an_index_order_that_cannot_be(catalog: Path) -> None:
    edit_properties(catalog, "hats_col_healpix_order=29", "hats_col_healpix_order=30")
    fails(catalog, CatalogError, "hats_col_healpix_order=30", "0 to 29")


def test_a_list_of_partitions_without_columns(catalog: Path) -> None:
    (catalog / "partition_info.csv").write_text("order,pixel\n1,2\n")
    fails(catalog, CatalogError, str(catalog / "partition_info.csv"), "Norder and Npix")


@pytest.mark.parametrize("line", ["1,two", "1", "-1,3", "2,999999999999999999999999"])
def test_a_list_of_partitions_with_nonsense(catalog: Path, line: str) -> None:
    (catalog / "partition_info.csv").write_text(f"Norder,Npix\n{line}\n")
    fails(catalog, CatalogError, str(catalog / "partition_info.csv"))


@pytest.mark.parametrize(
    ("partition", "words"),
    [((3, 768), ("768",)), ((30, 0), ("30",)), ((0, 0), ("overlap",)), ((3, 60), ("twice",))],
)
def test_partitions_that_cannot_be(catalog: Path, partition: tuple[int, int], words: tuple[str, ...]) -> None:
    order, pixel = partition
    with (catalog / "partition_info.csv").open("a") as lines:
        lines.write(f"{order},{pixel}\n")
    file = catalog / f"dataset/Norder={order}/Dir=0/Npix={pixel}.parquet"
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(fullest(catalog), file)
    fails(catalog, CatalogError, str(catalog / "partition_info.csv"), *words)


def test_a_partition_that_is_missing(catalog: Path) -> None:
    gone = files_of(catalog)[3, 61]
    gone.unlink()
    fails(catalog, MissingPartitionError, str(gone), "partition_info.csv", "no such file")


def test_a_partition_that_is_a_link_to_nowhere(catalog: Path) -> None:
    file = files_of(catalog)[3, 61]
    file.unlink()
    file.symlink_to(catalog / "nowhere")
    fails(catalog, MissingPartitionError, str(file), "no such file")


def test_a_catalog_that_cannot_be_listed(catalog: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(hats, "list_files", refuse)
    fails(catalog, CatalogError, str(catalog), "Permission denied")


def test_several_partitions_that_are_missing(catalog: Path) -> None:
    shutil.rmtree(catalog / "dataset" / "Norder=2")
    fails(catalog, MissingPartitionError, "Norder=2/Dir=0/Npix=12.parquet", "9 more")


def test_a_folder_of_files_that_is_missing(tmp_path: Path) -> None:
    sky = sky_near_edges(((1, 4), (1, 5)), rows=50, reach_arcsec=60.0, seed=4)
    write_catalog(tmp_path / "catalog", sky, Layout(suffix="/", files_per_partition=2))
    for file in (tmp_path / "catalog" / "dataset").rglob("Npix=5/*.parquet"):
        file.unlink()
    fails(tmp_path / "catalog", MissingPartitionError, "Norder=1/Dir=0/Npix=5/", "folder of Parquet files")


@pytest.mark.parametrize("damage", ["emptied", "cut", "other"])
def test_a_partition_that_cannot_be_read(catalog: Path, damage: str) -> None:
    file = fullest(catalog)
    file.write_bytes(
        {"emptied": b"", "cut": file.read_bytes()[:-40], "other": b"no Parquet at all " * 9}[damage]
    )
    fails(catalog, SkymarginError, str(file), "Parquet")


def test_a_partition_with_a_damaged_page(catalog: Path) -> None:
    file = fullest(catalog)
    about = pq.read_metadata(file)
    data = bytearray(file.read_bytes())
    for number in range(about.num_row_groups):
        column = about.row_group(number).column(about.schema.names.index("_healpix_29"))
        start = column.dictionary_page_offset or column.data_page_offset
        data[start : start + column.total_compressed_size] = b"\xff" * column.total_compressed_size
    file.write_bytes(data)
    fails(catalog, PartitionReadError, str(file))


@pytest.mark.parametrize("rows", ["1000000", "7"])
def test_rows_that_properties_and_metadata_state_otherwise(catalog: Path, rows: str) -> None:
    stated = re.search(r"hats_nrows=(\d+)", (catalog / "hats.properties").read_text())
    assert stated is not None
    edit_properties(catalog, stated[0], f"hats_nrows={rows}")
    metadata = str(catalog / "dataset" / "_metadata")
    fails(catalog, CatalogError, "hats.properties", f"hats_nrows={rows}", metadata, stated[1])


@pytest.mark.parametrize("rows", ["1000000", "7"])
def test_rows_that_properties_state_and_files_do_not_have(catalog: Path, rows: str) -> None:
    (catalog / "dataset" / "_metadata").unlink()
    stated = re.search(r"hats_nrows=(\d+)", (catalog / "hats.properties").read_text())
    assert stated is not None
    edit_properties(catalog, stated[0], f"hats_nrows={rows}")
    fails(
        catalog,
        CatalogError,
        "hats.properties",
        f"hats_nrows={rows}",
        f"hold {stated[1]}",
        "correct hats_nrows",
    )


@pytest.mark.parametrize("rows", ["many", "-1", "1e3", "\u0663"])
def test_a_number_of_rows_that_is_none(catalog: Path, rows: str) -> None:
    text = (catalog / "hats.properties").read_text(encoding="utf-8")
    changed = re.sub(r"hats_nrows=\d+", f"hats_nrows={rows}", text)
    (catalog / "hats.properties").write_text(changed, encoding="utf-8")
    fails(catalog, CatalogError, "hats.properties", f"hats_nrows={rows}", "whole numbers")


def test_properties_without_a_number_of_rows(catalog: Path) -> None:
    edit_properties(catalog, "hats_nrows=", "rows=")
    assert make_margin(catalog, catalog.parent / "out", THRESHOLD_ARCSEC).rows > 50


def test_a_list_of_partitions_that_lost_a_line(catalog: Path) -> None:
    edit(catalog / "partition_info.csv", "3,61\n", "")
    message = fails(
        catalog, CatalogError, "hats_nrows=", str(catalog / "partition_info.csv"), "a file was lost"
    )
    rows = pq.read_metadata(files_of(catalog)[3, 61]).num_rows
    stated, found = (int(number) for number in re.findall(r"(?:hats_nrows=|hold )(\d+)", message))
    assert stated - found == rows > 0


def test_a_partition_that_lost_a_row_since_metadata_was_written(catalog: Path) -> None:
    edit_properties(catalog, "hats_nrows=", "rows=")
    file = fullest(catalog)
    rows = pq.read_metadata(file).num_rows
    rewrite(file, lambda table: table.slice(1))
    metadata = str(catalog / "dataset" / "_metadata")
    fails(catalog, CatalogError, metadata, f"{file}: {rows - 1}, not {rows}", "remove it")


def test_metadata_of_a_partition_that_is_not_listed(catalog: Path) -> None:
    edit_properties(catalog, "hats_nrows=", "rows=")
    edit(catalog / "partition_info.csv", "3,61\n", "")
    fails(catalog, CatalogError, str(catalog / "dataset" / "_metadata"), "Npix=61.parquet is not among them")


@pytest.mark.parametrize("damage", ["emptied", "cut", "other"])
def test_metadata_whose_rows_cannot_be_read(catalog: Path, damage: str) -> None:
    file = catalog / "dataset" / "_metadata"
    whole = file.read_bytes()
    # Its beginning is lost: what its end says of its length is more than there is.
    file.write_bytes({"emptied": b"", "cut": whole[len(whole) // 2 :], "other": b"no Parquet at all"}[damage])
    fails(catalog, CatalogError, str(file), "Parquet", "remove it")


def test_a_part_of_a_catalog_has_less_rows_than_it_states(catalog: Path) -> None:
    report = make_margin(
        catalog, catalog.parent / "out", THRESHOLD_ARCSEC, debug_filter_pixel_list=[(3, 60), (3, 61)]
    )
    assert report.primary_partitions == 2


def test_an_error_of_thrift_is_one_line(catalog: Path) -> None:
    file = catalog / "dataset" / "_common_metadata"
    damaged = bytearray(file.read_bytes())
    # The kind of the second field of the footer.
    damaged[-8 - int.from_bytes(damaged[-8:-4], "little") + 2] ^= 0x0F
    file.write_bytes(damaged)
    fails(catalog, CatalogError, str(file), "cannot be read as Parquet")


def test_a_name_of_a_column_that_is_no_text(catalog: Path) -> None:
    """It raised UnicodeDecodeError in pyarrow."""
    file = catalog / "dataset" / "_common_metadata"
    # Without the copy of the schema in which pyarrow would look first.
    pq.write_metadata(pq.read_schema(file), file, store_schema=False)
    content = file.read_bytes()
    assert content.count(b"mag") == 1
    file.write_bytes(content.replace(b"mag", b"m\xeeg"))
    fails(catalog, CatalogError, str(file), "cannot be read as Parquet", "utf-8")


def test_metadata_of_a_schema_that_are_no_text(catalog: Path) -> None:
    """They raised TypeError on their way to the core."""
    file = catalog / "dataset" / "_common_metadata"
    pq.write_metadata(pq.read_schema(file).with_metadata({b"made": b"for \xffests"}), file)
    fails(catalog, CatalogError, str(file), "not UTF-8")


@pytest.mark.parametrize("name", ["_common_metadata", "_metadata"])
def test_a_metadata_file_that_cannot_be_read(catalog: Path, name: str) -> None:
    (catalog / "dataset" / "_common_metadata").unlink()
    (catalog / "dataset" / name).write_bytes(b"no Parquet at all")
    fails(catalog, CatalogError, str(catalog / "dataset" / name))


def test_a_partition_without_a_column(catalog: Path) -> None:
    file = fullest(catalog)
    rewrite(file, lambda table: table.drop_columns(["mag"]))
    fails(catalog, PartitionReadError, str(file), "'mag'")


def test_a_partition_with_a_column_of_another_type(catalog: Path) -> None:
    file = fullest(catalog)
    rewrite(file, lambda table: table.set_column(0, "id", table.column("id").cast(pa.string())))
    fails(catalog, PartitionReadError, str(file), "'id'", "Utf8", "Int64")


@pytest.mark.parametrize("index_column", ["_healpix_29", None])
@pytest.mark.parametrize(
    ("column", "value"),
    [("ra", float("nan")), ("dec", None), ("dec", 90.5), ("ra", -361.0), ("ra", float("inf"))],
)
def test_coordinates_that_are_no_positions(
    column: str, value: float | None, index_column: str | None, tmp_path: Path
) -> None:
    sky = sky_near_edges(((1, 4), (1, 5), (1, 6)), rows=150, reach_arcsec=60.0, seed=4)
    catalog = tmp_path / "catalog"
    write_catalog(catalog, sky, Layout(index_column=index_column))
    file = fullest(catalog)
    for row in (22, 7, 13):
        rewrite(file, set_value(column, row, value))
    message = fails(catalog, PositionError, str(file), "3 of", "no valid position", "first is row 7: ")
    assert "-90 to 90" in message


def test_a_row_that_lies_far_from_its_partition(catalog: Path) -> None:
    file = files_of(catalog)[3, 61]
    rewrite(file, set_value("ra", 0, 200.0))
    rewrite(file, set_value("_healpix_29", 0, 0))
    fails(catalog, PositionError, str(file), "1 of", "row 0: ra 200")


def test_output_that_exists(catalog: Path) -> None:
    output = catalog.parent / "out"
    make_margin(catalog, output, THRESHOLD_ARCSEC)
    before = {file: file.read_bytes() for file in output.rglob("*") if file.is_file()}
    with pytest.raises(OutputExistsError, match="overwrite=True"):
        make_margin(catalog, output, THRESHOLD_ARCSEC)
    assert {file: file.read_bytes() for file in output.rglob("*") if file.is_file()} == before


def test_a_failed_overwrite_keeps_what_was_there(catalog: Path) -> None:
    output = catalog.parent / "out"
    make_margin(catalog, output, THRESHOLD_ARCSEC)
    before = {file: file.read_bytes() for file in output.rglob("*") if file.is_file()}
    fullest(catalog).write_bytes(b"no Parquet at all")
    with pytest.raises(PartitionReadError):
        make_margin(catalog, output, THRESHOLD_ARCSEC, overwrite=True)
    assert {file: file.read_bytes() for file in output.rglob("*") if file.is_file()} == before


def test_overwrite_removes_no_folder_that_is_not_a_catalog(catalog: Path) -> None:
    precious = catalog.parent / "out" / "margin" / "thesis.tex"
    precious.parent.mkdir(parents=True)
    precious.touch()
    with pytest.raises(OutputExistsError, match=r"no margin: .*thesis\.tex"):
        make_margin(catalog, catalog.parent / "out", THRESHOLD_ARCSEC, overwrite=True)
    assert precious.exists()


@pytest.mark.parametrize("place", ["itself", "inside", "around"])
def test_output_never_replaces_its_input(catalog: Path, place: str) -> None:
    output, name = {
        "itself": (catalog.parent, catalog.name),
        "inside": (catalog, "margin"),
        "around": (catalog.parent.parent, catalog.parent.name),
    }[place]
    (catalog.parent / "partition_info.csv").touch()
    with pytest.raises(OutputExistsError, match="overlap"):
        make_margin(catalog, output, THRESHOLD_ARCSEC, name, overwrite=True)
    assert files_of(catalog)
    assert not (catalog / "margin").exists()


def test_an_output_folder_that_cannot_be_written(catalog: Path) -> None:
    blocked = catalog.parent / "blocked"
    blocked.touch()
    with pytest.raises(StorageError, match="blocked"):
        make_margin(catalog, catalog.parent / "out", THRESHOLD_ARCSEC, tmp_dir=blocked / "inside")
    assert nothing_left(catalog.parent / "out")


@pytest.mark.parametrize(
    "door", ["skymargin.build.stages.reduce.output_file", "skymargin.build.stages.shards.atomic_write"]
)
def test_a_full_disk(door: str, catalog: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    output = catalog.parent / "out"
    with monkeypatch.context() as patched:
        patched.setattr(door, full)
        with pytest.raises(StorageError, match="No space left on device") as caught:
            make_margin(catalog, output, THRESHOLD_ARCSEC)
    assert not (output / "margin").exists()
    # With shards written there is something to go on with once there is room; before that there is not.
    kept = "reducing" in door
    assert nothing_left(output) == (not kept)
    assert [
        f"{output}/margin.skymargin-shards" in note for note in getattr(caught.value, "__notes__", [])
    ] == ([True] * kept)
    make_margin(catalog, output, THRESHOLD_ARCSEC)
    assert [entry.name for entry in output.iterdir()] == ["margin"]


def full_file(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the disk be full, as the system says it, whenever a file of this name is written."""
    write_text, write_bytes = Path.write_text, Path.write_bytes

    def full(original: Callable[..., int]) -> Callable[..., int]:
        def write(self: Path, *content: object, **named: object) -> int:
            if name not in self.name:
                return original(self, *content, **named)
            self.touch()
            raise OSError(errno.ENOSPC, "No space left on device")

        return write

    monkeypatch.setattr(Path, "write_text", full(write_text))
    monkeypatch.setattr(Path, "write_bytes", full(write_bytes))


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("job-", "margin.skymargin-shards"),
        ("mapped-", "margin.skymargin-progress"),
        ("placing.json", "margin.skymargin-progress"),
        ("_metadata.skymargin.json", "_metadata.skymargin.json"),
        ("partition_info.csv", "margin.skymargin-partial"),
        ("hats.properties", "margin.skymargin-partial"),
    ],
)
def test_a_full_disk_is_told_with_the_file_or_folder(
    name: str, told: str, catalog: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = catalog.parent / "out"
    with monkeypatch.context() as patched:
        full_file(name, patched)
        with pytest.raises(StorageError, match="No space left on device") as caught:
            make_margin(catalog, output, THRESHOLD_ARCSEC)
    assert str(output) in str(caught.value)
    assert told in str(caught.value)
    make_margin(catalog, output, THRESHOLD_ARCSEC)
    assert [entry.name for entry in output.iterdir()] == ["margin"]


def test_a_full_disk_is_told_with_the_folder_of_the_margin(
    catalog: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("skymargin.build.stages.reduce.output_file", full)
    with pytest.raises(
        StorageError, match=r"margin of order \d+, pixel \d+ .*/out/margin\.skymargin-partial"
    ):
        make_margin(catalog, catalog.parent / "out", THRESHOLD_ARCSEC)


@pytest.mark.parametrize("name", ["hats.properties", "properties"])
def test_nothing_that_makes_a_catalog_valid_is_left_when_the_disk_is_full_as_it_is_written(
    name: str, catalog: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = catalog.parent / "out"
    full_file(name, monkeypatch)
    with pytest.raises(StorageError, match="No space left on device"):
        make_margin(catalog, output, THRESHOLD_ARCSEC)
    assert not list(output.rglob("*properties*"))


def test_a_margin_that_lacks_rows_is_not_kept(catalog: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read_groups = ShardReader.read_groups
    monkeypatch.setattr(
        ShardReader, "read_groups", lambda *asked: [(a[1:], b[1:]) for a, b in read_groups(*asked)]
    )
    fails(catalog, IncompleteMarginError, "rows were found", "were written")


def test_a_collection_without_primary(tmp_path: Path) -> None:
    collection = tmp_path / "collection"
    collection.mkdir()
    (collection / "collection.properties").write_text("obs_collection=collection\n")
    fails(collection, CatalogError, "collection.properties", "hats_primary_table_url")


def test_a_collection_whose_primary_is_missing(tmp_path: Path) -> None:
    collection = tmp_path / "collection"
    collection.mkdir()
    (collection / "collection.properties").write_text("hats_primary_table_url=stars\n")
    fails(collection, CatalogError, "collection.properties", "stars")


def test_a_coarse_margin_needs_pixels_below_all_partitions(catalog: Path) -> None:
    fails(catalog, ArgumentError, "margin_order 3", "highest order", fine_filtering=False, margin_order=3)
