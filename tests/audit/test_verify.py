"""An audit finds each planted fault, and nothing where nothing is wrong; an independent brute force counts along."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from upath import UPath

from skymargin import VerifyReport, verify
from skymargin.arrow.transport import transport_type
from skymargin.errors import (
    ArgumentError,
    CatalogError,
    CatalogNotFoundError,
    PartitionReadError,
    PositionError,
)
from tests.build.test_exact import CORNER, LAYOUTS
from tests.build.test_types import TYPES, column_of
from tests.support.brute_force import separations_arcsec
from tests.support.catalogs import (
    MIXED_PARTITIONS,
    Layout,
    Pixel,
    Sky,
    files_of,
    ids_of,
    make_margin,
    rows_of,
    sky_near_edges,
    state_rows,
    write_catalog,
)

THRESHOLD_ARCSEC = 60.0
SKY = sky_near_edges(MIXED_PARTITIONS, rows=600, reach_arcsec=THRESHOLD_ARCSEC, seed=21)
# A third of the sky is empty here, with margins of empty pixels.
HALF = sky_near_edges(MIXED_PARTITIONS[:24], rows=400, reach_arcsec=THRESHOLD_ARCSEC, seed=22)


def told(report: VerifyReport) -> tuple[int, dict[Pixel, int]]:
    """Rows that belong to margins by a report: in all, and in each that has any."""
    pixels = {(one.order, one.pixel): one.expected for one in report.per_pixel if one.expected}
    return report.rows_expected, pixels


_known: dict[tuple[int, float], dict[Pixel, list[int]]] = {}


def margins_of(sky: Sky, threshold_arcsec: float) -> dict[Pixel, list[int]]:
    """Ids of the rows of each margin, by the brute force of the tests; computed once."""
    key = (id(sky), threshold_arcsec)
    if key not in _known or not (sky is SKY or sky is HALF):
        _known[key] = sky.margins(threshold_arcsec)
    return _known[key]


def expected(sky: Sky, threshold_arcsec: float) -> tuple[int, dict[Pixel, int]]:
    """The same, by the brute force of the tests."""
    margins = {pixel: len(rows) for pixel, rows in margins_of(sky, threshold_arcsec).items()}
    return sum(margins.values()), margins


def balance(margin: Path, sky: Sky, threshold_arcsec: float = THRESHOLD_ARCSEC) -> tuple[int, int]:
    """Rows that a margin on disk lacks and that it has too many, by the ids in it and the brute force of the tests."""
    right, found = margins_of(sky, threshold_arcsec), ids_of(margin)
    lacking = over = 0
    for pixel in {*right, *found}:
        should, has = Counter(right.get(pixel, [])), Counter(found.get(pixel, []))
        lacking += (should - has).total()
        over += (has - should).total()
    return lacking, over


CLEAN = {
    "an arcsecond": (MIXED_PARTITIONS, 1.0),
    "a minute": (MIXED_PARTITIONS, 60.0),
    "a degree": (MIXED_PARTITIONS, 3_600.0),
    "wider than partitions": (MIXED_PARTITIONS, 60_000.0),
    "a quarter of the sky": (MIXED_PARTITIONS[:3], 324_000.0),
    "one partition, the rest empty": (((2, 15),), 600.0),
    "deep partitions at a corner of base cells": (CORNER, 45.0),
    "partitions in half of the sky": (MIXED_PARTITIONS[:24], 60.0),
}


@pytest.mark.parametrize("name", CLEAN)
def test_nothing_is_wrong_with_an_exact_margin(name: str, tmp_path: Path) -> None:
    partitions, threshold_arcsec = CLEAN[name]
    sky = sky_near_edges(partitions, rows=300, reach_arcsec=min(threshold_arcsec, 3_600), seed=len(name))
    write_catalog(tmp_path / "catalog", sky)
    make_margin(tmp_path / "catalog", tmp_path, threshold_arcsec)
    report = verify(tmp_path / "margin")
    assert report.right, report.summary()
    assert told(report) == expected(sky, threshold_arcsec)
    assert report.rows_found == report.rows_expected > 20
    assert report.primary_rows == len(sky)


@pytest.mark.parametrize("name", LAYOUTS)
def test_nothing_is_wrong_whatever_the_layout_of_the_primary(name: str, tmp_path: Path) -> None:
    write_catalog(tmp_path / "catalog", SKY, LAYOUTS[name])
    make_margin(tmp_path / "catalog", tmp_path, THRESHOLD_ARCSEC)
    report = verify(tmp_path / "margin")
    assert report.right, report.summary()
    assert told(report) == expected(SKY, THRESHOLD_ARCSEC)


def test_nothing_is_wrong_with_an_empty_margin(tmp_path: Path) -> None:
    # No row lies within a thousandth of what separates it from the next pixel.
    sky = sky_near_edges(MIXED_PARTITIONS, rows=60, reach_arcsec=1.0, seed=4)
    write_catalog(tmp_path / "catalog", sky)
    make_margin(tmp_path / "catalog", tmp_path, 1e-7)
    assert sky.margins(1e-6) == {}
    report = verify(tmp_path / "margin")
    assert report.right, report.summary()
    assert (report.rows_expected, report.rows_found) == (0, 0)


def test_float32_coordinates_are_measured_as_they_are_kept(tmp_path: Path) -> None:
    sky = sky_near_edges(MIXED_PARTITIONS, rows=500, reach_arcsec=0.3, seed=8, coordinates=pa.float32())
    write_catalog(tmp_path / "catalog", sky, Layout(coordinates=pa.float32()))
    make_margin(tmp_path / "catalog", tmp_path, 0.3)
    report = verify(tmp_path / "margin")
    assert report.right, report.summary()
    assert told(report) == expected(sky, 0.3)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a catalog, half of the sky empty, and its margin, which the brute force of the tests approves."""
    folder = tmp_path_factory.mktemp("whole")
    write_catalog(folder / "catalog", HALF)
    make_margin(folder / "catalog", folder, THRESHOLD_ARCSEC)
    assert ids_of(folder / "margin") == margins_of(HALF, THRESHOLD_ARCSEC)
    return folder


@pytest.fixture
def margin(whole: Path, tmp_path: Path) -> Path:
    """Copy the margin, to be damaged."""
    return shutil.copytree(whole / "margin", tmp_path / "margin")


@pytest.fixture
def audit(whole: Path, margin: Path) -> Callable[..., VerifyReport]:
    """Audit the damaged margin; rows missing and too many must be those of the brute force of the tests."""

    def run(readable: bool = True, **options: bool) -> VerifyReport:
        report = verify(margin, whole / "catalog", **options)
        assert not report.right
        assert told(report) == expected(HALF, THRESHOLD_ARCSEC)
        if readable:
            count = report.counts
            astray = ("too_many", "own_partition", "wrong_pixel", "duplicate", "unknown")
            assert (count["missing"], sum(count[kind] for kind in astray)) == balance(margin, HALF)
        return report

    return run


def some_file(margin: Path, at_least: int = 3) -> tuple[Pixel, Path]:
    return next(
        (pixel, file)
        for pixel, file in sorted(files_of(margin).items())
        if pq.ParquetFile(file).metadata.num_rows >= at_least
    )


def read(file: Path) -> pa.Table:
    return pq.ParquetFile(file).read()


def rewrite(file: Path, rows: pa.Table) -> None:
    pq.write_table(rows, file)


def state(margin: Path, **properties: object) -> None:
    """Change what the properties of a margin say; without any, only its number of rows, to what it holds."""
    rows = sum(pq.ParquetFile(file).metadata.num_rows for file in files_of(margin).values())
    for name in ("hats.properties", "properties"):
        lines = (margin / name).read_text().splitlines()
        for key, value in {"hats_nrows": rows, **properties}.items():
            lines = [f"{key}={value}" if line.startswith(f"{key}=") else line for line in lines]
        (margin / name).write_text("\n".join(lines) + "\n")


def test_a_row_removed_is_missing(margin: Path, audit: Callable[..., VerifyReport]) -> None:
    pixel, file = some_file(margin)
    rows = read(file)
    rewrite(file, rows.slice(1))
    state(margin)
    report = audit()
    assert report.wrong == {"missing": 1}
    (fault,) = report.faults
    assert (fault.pixel, fault.row_id) == (pixel, f"id={rows['id'][0]}")
    assert (fault.ra_deg, fault.dec_deg) == (rows["ra"][0].as_py(), rows["dec"][0].as_py())
    held = pq.ParquetFile(fault.file).read(["id"])["id"]
    assert held[fault.row] == rows["id"][0]


def test_a_row_added_from_farther_away_is_too_many(
    whole: Path, margin: Path, audit: Callable[..., VerifyReport]
) -> None:
    pixel, file = some_file(margin)
    right = set(margins_of(HALF, THRESHOLD_ARCSEC)[pixel])
    separation = separations_arcsec(HALF.ra_deg, HALF.dec_deg, *pixel)
    separation[(HALF.own_order == pixel[0]) & (HALF.own_pixel == pixel[1])] = np.inf
    separation[list(right)] = np.inf
    number = int(np.argmin(separation))
    rows = pa.concat_tables([read(path) for path in files_of(whole / "catalog").values()])
    more = rows.filter(pc.equal(rows["id"], number))
    rewrite(file, pa.concat_tables([read(file), more]).sort_by("_healpix_29"))
    state(margin)
    report = audit()
    assert report.wrong == {"too_many": 1}
    assert report.faults[0].row_id == f"id={number}"
    assert report.faults[0].separation_arcsec == pytest.approx(separation[number], abs=1e-9)
    assert report.largest_excess_arcsec == pytest.approx(separation[number] - THRESHOLD_ARCSEC, abs=1e-9)
    allowed = verify(margin, whole / "catalog", coarse=True)
    assert allowed.right
    assert allowed.counts["too_many"] == 1


def test_a_row_that_the_primary_does_not_have_is_unknown(
    margin: Path, audit: Callable[..., VerifyReport]
) -> None:
    _, file = some_file(margin)
    rows = read(file)
    made_up = rows.slice(0, 1)
    for name, value in (
        ("id", 1_000_000),
        ("name", "nobody"),
        ("mag", 1.5),
        ("dec", rows["dec"][0].as_py() + 1e-9),
    ):
        at = rows.schema.get_field_index(name)
        made_up = made_up.set_column(at, rows.schema.field(at), pa.array([value], rows.schema.field(at).type))
    rewrite(file, pa.concat_tables([made_up, rows]))
    state(margin)
    report = audit()
    assert report.wrong == {"unknown": 1}
    assert report.faults[0].row_id == "id=1000000"


@pytest.mark.parametrize("column", ["mag", "name", "band", "curve", "seen", "note", "id", "ra"])
def test_a_value_changed_is_told_with_its_column(
    column: str, margin: Path, audit: Callable[..., VerifyReport]
) -> None:
    other = {
        "mag": 99.0,
        "name": "renamed",
        "band": "another",
        "curve": {"mjd": [1.0, 2.0], "flag": True},
        "seen": 1,
        "note": None,
        "id": -1,
        "ra": 0.125,
    }
    _, file = some_file(margin)
    rows = read(file)
    at = rows.schema.get_field_index(column)
    kind = rows.schema.field(at)
    values = rows.column(at).to_pylist()
    if column == "note":
        # A column of nulls gets a value.
        kind = kind.with_type(pa.string())
        values[1] = "something"
    else:
        values[1] = other[column]
    if column == "band":
        changed = pa.array(values, kind.type.value_type).dictionary_encode().cast(kind.type)
    else:
        changed = pa.array(values, kind.type)
    rewrite(file, rows.set_column(at, kind, changed))
    report = audit(readable=column != "id")
    kinds = {"changed": 1, "schema": 1} if column == "note" else {"changed": 1}
    assert report.wrong == kinds
    fault = next(fault for fault in report.faults if fault.kind == "changed")
    assert fault.note == f"in {column}"
    assert fault.row == 1


@pytest.fixture(scope="module")
def of_all_types(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a catalog that has a column of every type, and its margin."""
    folder = tmp_path_factory.mktemp("types")
    sky = sky_near_edges(((0, 4), (0, 5)), rows=60, reach_arcsec=60.0, seed=2)
    table = rows_of(sky, Layout())
    for name, (kind, value) in TYPES.items():
        table = table.append_column(f"of {name}", column_of(kind, value, len(sky)))
    write_catalog(folder / "catalog", sky, table=table)
    make_margin(folder / "catalog", folder, 60.0)
    assert verify(folder / "margin").right
    return folder


@pytest.mark.parametrize("name", [name for name in TYPES if name != "null"])
def test_a_value_of_any_type_that_becomes_null_is_found(
    name: str, of_all_types: Path, tmp_path: Path
) -> None:
    margin, column = shutil.copytree(of_all_types / "margin", tmp_path / "margin"), f"of {name}"
    file = max(files_of(margin).values(), key=lambda one: one.stat().st_size)
    rows = read(file)
    field = rows.schema.field(column)
    kept = rows.column(column).combine_chunks().cast(transport_type(field.type))
    row = next(number for number, value in enumerate(kept) if value.is_valid)
    parts = [kept.slice(0, row), pa.nulls(1, kept.type), kept.slice(row + 1)]
    changed = pa.concat_arrays(parts).cast(field.type)
    rewrite(file, rows.set_column(rows.schema.get_field_index(column), field, changed))
    report = verify(margin, of_all_types / "catalog")
    assert report.wrong == {"changed": 1}
    assert (report.faults[0].note, report.faults[0].row) == (f"in {column}", row)


def test_a_file_removed_is_missing_with_all_its_rows(
    margin: Path, audit: Callable[..., VerifyReport]
) -> None:
    pixel, file = some_file(margin)
    count = len(read(file))
    file.unlink()
    state(margin)
    report = audit()
    assert report.wrong == {"missing_file": 1, "missing": count}
    assert {fault.pixel for fault in report.faults} == {pixel}
    assert report.faults[0].file == str(file)


def test_the_file_of_an_empty_pixel_removed_is_missing(
    whole: Path, margin: Path, audit: Callable[..., VerifyReport]
) -> None:
    empty = sorted(set(files_of(margin)) - set(files_of(whole / "catalog")))
    assert empty
    file = files_of(margin)[empty[0]]
    count = len(read(file))
    file.unlink()
    state(margin)
    report = audit()
    assert report.wrong == {"missing_file": 1, "missing": count}


def test_a_stale_file_is_left_over(whole: Path, margin: Path, audit: Callable[..., VerifyReport]) -> None:
    """A file of a pixel that the catalog cuts otherwise, as from an earlier partitioning."""
    order, pixel = next(one for one in files_of(margin) if one in files_of(whole / "catalog"))
    stale = margin / "dataset" / f"Norder={order + 1}" / "Dir=0" / f"Npix={4 * pixel}.parquet"
    stale.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(files_of(margin)[order, pixel], stale)
    report = audit(readable=False)
    assert report.wrong == {"left_over_file": 1}
    assert report.faults[0].file == str(stale)


def test_a_file_where_no_reader_looks_is_left_over(margin: Path, audit: Callable[..., VerifyReport]) -> None:
    _, file = some_file(margin)
    other = file.parent.parent / "Dir=10000" / file.name
    other.parent.mkdir()
    shutil.copy(file, other)
    report = audit(readable=False)
    assert report.wrong == {"left_over_file": 1}
    assert report.faults[0].file == str(other)


def test_a_file_that_is_not_listed_is_told(margin: Path, audit: Callable[..., VerifyReport]) -> None:
    (order, pixel), file = some_file(margin)
    listing = margin / "partition_info.csv"
    listing.write_text(listing.read_text().replace(f"\n{order},{pixel}\n", "\n"))
    report = audit()
    assert report.wrong == {"unlisted_file": 1}
    assert report.faults[0].file == str(file)


@pytest.mark.parametrize("stated", [2 * THRESHOLD_ARCSEC, THRESHOLD_ARCSEC / 2])
def test_a_wrong_threshold_in_the_properties_is_found(stated: float, whole: Path, margin: Path) -> None:
    state(margin, hats_margin_threshold=stated)
    report = verify(margin, whole / "catalog")
    assert (report.counts["missing"], report.counts["too_many"]) == balance(margin, HALF, stated)
    assert told(report) == expected(HALF, stated)
    assert set(report.wrong) - {"missing_file"} == {"missing" if stated > THRESHOLD_ARCSEC else "too_many"}
    words = (
        "looks like a margin of a smaller threshold" if stated > THRESHOLD_ARCSEC else "--coarse allows them"
    )
    assert words in report.hint


@pytest.mark.parametrize("stated", ["0", "-5", "nan", "ten", "324001"])
def test_a_threshold_that_cannot_be_is_an_error(stated: str, whole: Path, margin: Path) -> None:
    state(margin, hats_margin_threshold=stated)
    with pytest.raises(CatalogError, match=rf"properties has the margin threshold '{stated}': allowed are"):
        verify(margin, whole / "catalog")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("dataproduct_type", "object"),
        ("hats_nrows", "7"),
        ("hats_col_ra", "dec"),
        ("hats_col_dec", "declination"),
        ("hats_col_healpix", "_healpix_13"),
        ("hats_col_healpix_order", "13"),
        ("hats_primary_table_url", "another"),
        ("hats_primary_table_url", ""),
    ],
)
def test_a_wrong_property_is_named(
    key: str, value: str, margin: Path, audit: Callable[..., VerifyReport]
) -> None:
    state(margin, **{key: value})
    report = audit()
    assert report.wrong == {"properties": 1}
    assert report.faults[0].note.startswith(f"{key} is {value or 'not stated'}: ")


def test_an_unsorted_file_is_told_with_the_row(margin: Path, audit: Callable[..., VerifyReport]) -> None:
    _, file = some_file(margin)
    rows = read(file)
    order = np.arange(len(rows))
    order[[1, 2]] = [2, 1]
    rewrite(file, rows.take(pa.array(order)))
    report = audit()
    assert report.wrong == {"unsorted_file": 1}
    assert report.faults[0].note == "row 2 is the first that is not in the order of _healpix_29"
    # Those who make coarse margins do not sort them, and a crossmatch loses nothing by it.
    assert verify(margin, report.primary_path, coarse=True).allowed == {"unsorted_file": 1}


def test_a_file_unsorted_where_row_groups_meet_is_told(
    margin: Path, audit: Callable[..., VerifyReport]
) -> None:
    _, file = some_file(margin)
    rows = read(file)
    pq.write_table(pa.concat_tables([rows.slice(1), rows.slice(0, 1)]), file, row_group_size=len(rows) - 1)
    report = audit()
    assert report.wrong == {"unsorted_file": 1}


def test_a_duplicate_row_is_twice(margin: Path, audit: Callable[..., VerifyReport]) -> None:
    pixel, file = some_file(margin)
    rows = read(file)
    rewrite(file, pa.concat_tables([rows.slice(0, 1), rows]))
    state(margin)
    report = audit()
    assert report.wrong == {"duplicate": 1}
    assert (report.faults[0].pixel, report.faults[0].row_id) == (pixel, f"id={rows['id'][0]}")


def test_equal_rows_of_the_primary_are_no_duplicates(tmp_path: Path) -> None:
    sky = sky_near_edges(MIXED_PARTITIONS[:3], rows=80, reach_arcsec=60.0, seed=6)
    table = rows_of(sky, Layout())
    write_catalog(tmp_path / "catalog", sky, table=table)
    for file in files_of(tmp_path / "catalog").values():
        rows = read(file)
        rewrite(file, pa.concat_tables([rows, rows]).sort_by("_healpix_29"))
    state_rows(tmp_path / "catalog")
    make_margin(tmp_path / "catalog", tmp_path, 60.0)
    report = verify(tmp_path / "margin")
    assert report.right, report.summary()
    assert report.rows_found == 2 * expected(sky, 60.0)[0] > 0


def test_a_row_in_a_wrong_pixel_is_missing_there_and_told_here(
    margin: Path, audit: Callable[..., VerifyReport]
) -> None:
    margins = margins_of(HALF, THRESHOLD_ARCSEC)
    pixel, file = some_file(margin)
    rows = read(file)
    number = rows["id"][0].as_py()
    own = (int(HALF.own_order[number]), int(HALF.own_pixel[number]))
    other = next(one for one in margins if one not in (pixel, own) and number not in margins[one])
    target = files_of(margin)[other]
    rewrite(file, rows.slice(1))
    rewrite(target, pa.concat_tables([read(target), rows.slice(0, 1)]).sort_by("_healpix_29"))
    report = audit()
    assert report.wrong == {"missing": 1, "wrong_pixel": 1}
    assert {fault.kind: fault.pixel for fault in report.faults} == {"missing": pixel, "wrong_pixel": other}
    assert not verify(margin, report.primary_path, coarse=True).right


def test_files_of_two_pixels_exchanged_are_rows_in_wrong_pixels(
    margin: Path, audit: Callable[..., VerifyReport]
) -> None:
    (one, first), (other, second) = sorted(files_of(margin).items())[:2]
    rows = {one: read(first), other: read(second)}
    first.rename(first.with_suffix(".aside"))
    second.rename(first)
    first.with_suffix(".aside").rename(second)
    report = audit()
    assert set(report.wrong) == {"missing", "wrong_pixel"} or set(report.wrong) == {
        "missing",
        "wrong_pixel",
        "own_partition",
    }
    assert report.counts["missing"] <= sum(map(len, rows.values()))
    assert report.counts["wrong_pixel"] > 0


@pytest.mark.parametrize("change", ["type", "missing", "more", "order"])
def test_another_schema_is_told(change: str, margin: Path, audit: Callable[..., VerifyReport]) -> None:
    _, file = some_file(margin)
    rows = read(file)
    if change == "type":
        changed = rows.set_column(rows.schema.get_field_index("mag"), "mag", rows["mag"].cast(pa.float64()))
        words = "column mag is of type double, in the primary float"
    elif change == "missing":
        changed, words = rows.drop_columns(["mag"]), "it lacks the column mag"
    elif change == "more":
        changed = rows.append_column("more", pa.array(range(len(rows))))
        words = "it has the column more, which the primary lacks"
    else:
        changed = rows.select(["dec", "id", "ra", *rows.schema.names[3:]])
        words = "its columns are in another order, from dec on"
    rewrite(file, changed)
    report = audit()
    assert report.wrong == {"schema": 1}
    assert report.faults[0].note == words
    assert report.faults[0].file == str(file)


@pytest.mark.parametrize("cut", ["half", "the last byte", "everything", "a page"])
def test_a_truncated_file_is_unreadable_and_its_rows_are_missing(
    cut: str, margin: Path, audit: Callable[..., VerifyReport]
) -> None:
    pixel, file = some_file(margin)
    count, content = len(read(file)), bytearray(file.read_bytes())
    if cut == "a page":
        group = pq.ParquetFile(file).metadata.row_group(0)
        at = next(n for n in range(group.num_columns) if group.column(n).path_in_schema == "name")
        start = group.column(at).dictionary_page_offset or group.column(at).data_page_offset
        content[start : start + 8] = b"\xff" * 8
    else:
        content = content[: {"half": len(content) // 2, "the last byte": -1, "everything": 0}[cut]]
    file.write_bytes(content)
    report = audit(readable=False)
    assert report.wrong["unreadable_file"] == 1
    assert report.wrong["missing"] == count
    fault = report.faults[[fault.kind for fault in report.faults].index("unreadable_file")]
    assert (fault.pixel, fault.file) == (pixel, str(file))
    assert "cannot be read as Parquet" in fault.note


def test_a_row_of_the_own_partition_is_told(
    whole: Path, margin: Path, audit: Callable[..., VerifyReport]
) -> None:
    pixel = next(one for one in files_of(margin) if one in files_of(whole / "catalog"))
    own = read(files_of(whole / "catalog")[pixel]).slice(0, 1)
    file = files_of(margin)[pixel]
    rewrite(file, pa.concat_tables([read(file), own]).sort_by("_healpix_29"))
    state(margin)
    report = audit()
    assert report.wrong == {"own_partition": 1}
    assert (report.faults[0].pixel, report.faults[0].row_id) == (pixel, f"id={own['id'][0]}")
    assert not verify(margin, whole / "catalog", coarse=True).right


def test_rows_without_a_position_are_unknown_or_changed(
    margin: Path, audit: Callable[..., VerifyReport]
) -> None:
    _, file = some_file(margin)
    rows = read(file)
    at = rows.schema.get_field_index("dec")
    values = [float("nan"), *rows["dec"].to_pylist()[1:]]
    rewrite(file, rows.set_column(at, rows.schema.field(at), pa.array(values)))
    report = audit()
    assert report.wrong == {"changed": 1}
    assert json.loads(json.dumps(report.to_dict()))["right"] is False


def test_many_faults_are_counted_all_and_named_in_part(
    margin: Path, audit: Callable[..., VerifyReport]
) -> None:
    for file in files_of(margin).values():
        rewrite(file, pa.concat_tables([read(file).slice(0, 1), read(file)]))
    state(margin)
    report = audit()
    files = len(files_of(margin))
    assert report.wrong == {"duplicate": files}
    assert len(report.faults) == min(20, files) == 20
    text = report.summary()
    assert f"and {files - 5} more" in text
    assert max(map(len, text.splitlines())) <= 100 or str(margin) in text


def test_a_coarse_margin_has_rows_too_many_and_none_missing(tmp_path: Path) -> None:
    write_catalog(tmp_path / "catalog", SKY)
    made = make_margin(tmp_path / "catalog", tmp_path, THRESHOLD_ARCSEC, fine_filtering=False)
    report = verify(tmp_path / "margin")
    total, _ = expected(SKY, THRESHOLD_ARCSEC)
    assert report.wrong == {"too_many": made.rows - total}
    assert report.counts["missing"] == 0 < report.counts["too_many"]
    assert report.counts["too_many"] == balance(tmp_path / "margin", SKY)[1]
    assert report.largest_excess_arcsec > 0
    assert "--coarse" in report.hint
    allowed = verify(tmp_path / "margin", coarse=True)
    assert allowed.right
    assert allowed.counts == report.counts
    assert "coarse" in allowed.summary()


def test_a_sample_checks_some_pixels_and_can_be_repeated(margin: Path, whole: Path) -> None:
    for file in files_of(margin).values():
        rewrite(file, read(file).slice(1))
    everything = verify(margin, whole / "catalog")
    one = verify(margin, whole / "catalog", sample=8)
    again = verify(margin, whole / "catalog", sample=8, seed=one.seed)
    assert one.pixels_checked == 8 < one.pixels == everything.pixels
    assert one.seed is not None
    assert f"seed {one.seed}" in one.summary()
    assert one.per_pixel == again.per_pixel
    assert all(pixel in everything.per_pixel for pixel in one.per_pixel)
    more = verify(margin, whole / "catalog", sample=10_000)
    assert (more.seed, more.counts) == (None, everything.counts)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sample": 0}, "sample 0 is not allowed: it must be a whole number, 1 or more"),
        ({"sample": 1.5}, "sample 1.5 is not allowed"),
        ({"sample": True}, "sample True is not allowed"),
        ({"sample": 5, "seed": -1}, "seed -1 is not allowed"),
    ],
)
def test_numbers_that_cannot_be_are_refused(options: dict[str, int], message: str, whole: Path) -> None:
    with pytest.raises(ArgumentError, match=message):
        verify(whole / "margin", **options)


def test_what_is_no_margin_is_an_error(whole: Path, tmp_path: Path) -> None:
    with pytest.raises(CatalogNotFoundError, match="there is nothing at"):
        verify(tmp_path / "nowhere")
    with pytest.raises(CatalogNotFoundError, match=r"is not a catalog: it has no hats.properties"):
        verify(tmp_path)
    with pytest.raises(CatalogError, match=r"is not a margin: .* has dataproduct_type=object"):
        verify(whole / "catalog")
    with pytest.raises(CatalogError, match=r"cannot be the primary catalog: .*dataproduct_type=margin"):
        verify(whole / "margin", whole / "margin")
    with pytest.raises(CatalogNotFoundError, match="there is nothing at"):
        verify(whole / "margin", tmp_path / "nowhere")


def test_the_primary_is_found_beside_the_margin(whole: Path, tmp_path: Path) -> None:
    """Both were moved: the path that the margin names is of another place."""
    shutil.copytree(whole / "catalog", tmp_path / "moved" / "catalog")
    shutil.copytree(whole / "margin", tmp_path / "moved" / "margin")
    for place in ("/data/elsewhere/catalog", "catalog", "collection/catalog"):
        state(tmp_path / "moved" / "margin", hats_primary_table_url=place)
        report = verify(tmp_path / "moved" / "margin")
        assert report.right
        assert Path(report.primary_path) == tmp_path / "moved" / "catalog"
    state(tmp_path / "moved" / "margin", hats_primary_table_url="gone")
    with pytest.raises(CatalogNotFoundError, match="names the primary catalog gone, which is not there"):
        verify(tmp_path / "moved" / "margin")


def test_a_primary_that_cannot_be_read_is_an_error(whole: Path, tmp_path: Path) -> None:
    shutil.copytree(whole / "catalog", tmp_path / "catalog")
    _, file = some_file(tmp_path / "catalog")
    rows = read(file)
    rewrite(file, rows.set_column(1, "ra", pa.array([float("nan")] * len(rows))))
    with pytest.raises(
        PositionError, match=f"{file}: row 0 of the primary catalog has no usable coordinates"
    ):
        verify(whole / "margin", tmp_path / "catalog")
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(PartitionReadError, match=f"{file} cannot be read as Parquet"):
        verify(whole / "margin", tmp_path / "catalog")
    file.unlink()
    with pytest.raises(CatalogError, match=f"{file} is not there, but listed in partition_info.csv"):
        verify(whole / "margin", tmp_path / "catalog")


@pytest.mark.parametrize("instead", ["nothing", "texts"])
def test_a_file_without_coordinates_lacks_all_its_rows(
    instead: str, margin: Path, audit: Callable[..., VerifyReport]
) -> None:
    _, file = some_file(margin)
    rows = read(file)
    at = rows.schema.get_field_index("ra")
    texts = rows.set_column(at, "ra", pa.array(["east"] * len(rows)))
    rewrite(file, texts if instead == "texts" else rows.drop_columns(["ra"]))
    report = audit(readable=False)
    assert report.wrong == {"schema": 1, "missing": len(rows)}


def test_a_file_without_rows_is_left_over(margin: Path, audit: Callable[..., VerifyReport]) -> None:
    _, file = some_file(margin)
    stray = margin / "dataset" / "Norder=9" / "Dir=3140000" / "Npix=3145727.parquet"
    stray.parent.mkdir(parents=True)
    rewrite(stray, read(file).slice(0, 0))
    listing = margin / "partition_info.csv"
    listing.write_text(listing.read_text() + "9,3145727\n")
    assert audit(readable=False).wrong == {"left_over_file": 1}


def test_a_row_from_the_other_side_of_the_sky_is_found_in_a_sample_too(whole: Path, margin: Path) -> None:
    (order, pixel), file = some_file(margin)
    separation = separations_arcsec(HALF.ra_deg, HALF.dec_deg, order, pixel)
    number = int(np.argmax(separation))
    rows = pa.concat_tables([read(path) for path in files_of(whole / "catalog").values()])
    rewrite(
        file, pa.concat_tables([read(file), rows.filter(pc.equal(rows["id"], number))]).sort_by("_healpix_29")
    )
    for seed in range(100):
        report = verify(margin, whole / "catalog", sample=4, seed=seed)
        if (order, pixel) in {(one.order, one.pixel) for one in report.per_pixel}:
            break
    assert report.wrong == {"too_many": 1}
    assert report.primary_rows < len(HALF)
    assert report.faults[0].separation_arcsec == pytest.approx(separation[number], abs=1e-6)


def test_margins_elsewhere_than_on_this_machine_are_checked_too(whole: Path) -> None:
    memory = UPath("memory://verify")
    for file in whole.rglob("*"):
        if file.is_file():
            target = memory / file.relative_to(whole).as_posix()
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(file.read_bytes())
    report = verify("memory://verify/margin", "memory://verify/catalog")
    assert report.right, report.summary()
    assert told(report) == expected(HALF, THRESHOLD_ARCSEC)


def test_groups_of_margins_change_nothing(margin: Path, whole: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With memory for hardly a row at once."""
    _, file = some_file(margin)
    rewrite(file, read(file).slice(1))
    before = verify(margin, whole / "catalog")
    monkeypatch.setattr("skymargin.audit.rows._GROUP_BYTES", 1)
    monkeypatch.setattr("skymargin.catalogs.partition_reader._MOST_ROWS", 3)
    after = verify(margin, whole / "catalog")
    assert (after.counts, after.per_pixel, after.faults) == (before.counts, before.per_pixel, before.faults)
