"""An audit finds each planted fault, and names the row, the file and the pixel."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from skymargin import VerifyReport, verify
from skymargin.arrow.transport import from_transport, in_transport
from skymargin.errors import CatalogError
from tests.audit.expectation import HALF, THRESHOLD_ARCSEC, balance, expected, margins_of, told
from tests.support.brute_force import separations_arcsec
from tests.support.catalogs import (
    Layout,
    Pixel,
    files_of,
    make_margin,
    rows_in,
    rows_in_file,
    rows_of,
    sky_near_edges,
    state_properties,
    with_value,
    write_catalog,
)
from tests.support.column_types import TYPES, column_of

Audit = Callable[..., VerifyReport]
Change = Callable[[pa.Table], pa.Table]


def some_file(margin: Path) -> tuple[Pixel, Path]:
    """A margin with at least three rows."""
    return next(item for item in sorted(files_of(margin).items()) if len(rows_in_file(item[1])) >= 3)


def change(margin: Path, change: Change, file: Path | None = None) -> pa.Table:
    """Change the rows of a file, and the number of rows in the properties; return the rows before."""
    file = file or some_file(margin)[1]
    rows = rows_in_file(file)
    pq.write_table(change(rows), file)
    state_properties(margin)
    return rows


def added(more: pa.Table) -> Change:
    """Rows with others, in order."""
    return lambda rows: pa.concat_tables([rows, more]).sort_by("_healpix_29")


def row_with_id(catalog: Path, number: int) -> pa.Table:
    rows = rows_in(catalog)
    return rows.filter(pc.equal(rows["id"], number))


def test_a_row_removed_is_missing(margin: Path, audit: Audit) -> None:
    pixel, _ = some_file(margin)
    rows = change(margin, lambda rows: rows.slice(1))
    report = audit()
    assert report.wrong == {"missing": 1}
    (fault,) = report.faults
    assert (fault.pixel, fault.row_id) == (pixel, f"id={rows['id'][0]}")
    assert (fault.ra_deg, fault.dec_deg) == (rows["ra"][0].as_py(), rows["dec"][0].as_py())
    assert pq.ParquetFile(fault.file).read(["id"])["id"][fault.row] == rows["id"][0]


def test_a_row_added_from_farther_away_is_too_many(whole: Path, margin: Path, audit: Audit) -> None:
    pixel, _ = some_file(margin)
    separation = separations_arcsec(HALF.ra_deg, HALF.dec_deg, *pixel)
    separation[HALF.lies_in(*pixel)] = np.inf
    separation[margins_of(HALF, THRESHOLD_ARCSEC)[pixel]] = np.inf
    number = int(np.argmin(separation))
    change(margin, added(row_with_id(whole / "catalog", number)))
    report = audit()
    assert report.wrong == {"too_many": 1}
    assert report.faults[0].row_id == f"id={number}"
    assert report.faults[0].separation_arcsec == pytest.approx(separation[number], abs=1e-9)
    assert report.largest_excess_arcsec == pytest.approx(separation[number] - THRESHOLD_ARCSEC, abs=1e-9)
    allowed = verify(margin, whole / "catalog", coarse=True)
    assert allowed.right
    assert allowed.counts["too_many"] == 1


def test_a_row_that_the_primary_does_not_have_is_unknown(margin: Path, audit: Audit) -> None:
    def add_made_up(rows: pa.Table) -> pa.Table:
        made_up = rows.slice(0, 1)
        values = {"id": 1_000_000, "name": "nobody", "mag": 1.5, "dec": rows["dec"][0].as_py() + 1e-9}
        for name, value in values.items():
            made_up = with_value(made_up, name, 0, value)
        return pa.concat_tables([made_up, rows])

    change(margin, add_made_up)
    report = audit()
    assert report.wrong == {"unknown": 1}
    assert report.faults[0].row_id == "id=1000000"


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("mag", 99.0),
        ("name", "renamed"),
        ("band", "another"),
        ("curve", {"mjd": [1.0, 2.0], "flag": True}),
        ("seen", 1),
        ("note", "something"),
        ("id", -1),
        ("ra", 0.125),
    ],
)
def test_a_value_changed_is_told_with_its_column(
    column: str, value: object, margin: Path, audit: Audit
) -> None:
    def with_other(rows: pa.Table) -> pa.Table:
        if column == "note":
            # A column of nulls gets a value.
            return rows.set_column(
                rows.schema.get_field_index("note"),
                "note",
                pa.array([None, value, *[None] * (len(rows) - 2)], pa.string()),
            )
        return with_value(rows, column, 1, value)

    change(margin, with_other)
    report = audit(readable=column != "id")
    assert report.wrong == ({"changed": 1, "schema": 1} if column == "note" else {"changed": 1})
    fault = next(fault for fault in report.faults if fault.kind == "changed")
    assert (fault.note, fault.row) == (f"in {column}", 1)


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
    file = max(files_of(margin).values(), key=lambda file: file.stat().st_size)
    rows = rows_in_file(file)
    field = rows.schema.field(column)
    kept = in_transport(rows.column(column).combine_chunks())
    row = next(number for number, value in enumerate(kept) if value.is_valid)
    parts = [kept.slice(0, row), pa.nulls(1, kept.type), kept.slice(row + 1)]
    changed = from_transport(pa.table([pa.concat_arrays(parts)], [column]), pa.schema([field])).column(0)
    pq.write_table(rows.set_column(rows.schema.get_field_index(column), field, changed), file)
    report = verify(margin, of_all_types / "catalog")
    assert report.wrong == {"changed": 1}
    assert (report.faults[0].note, report.faults[0].row) == (f"in {column}", row)


@pytest.mark.parametrize("of_empty_pixel", [False, True])
def test_a_file_removed_is_missing_with_all_its_rows(
    of_empty_pixel: bool, whole: Path, margin: Path, audit: Audit
) -> None:
    pixel, file = some_file(margin)
    if of_empty_pixel:
        pixel = min(set(files_of(margin)) - set(files_of(whole / "catalog")))
        file = files_of(margin)[pixel]
    count = len(rows_in_file(file))
    file.unlink()
    state_properties(margin)
    report = audit()
    assert report.wrong == {"missing_file": 1, "missing": count}
    assert {fault.pixel for fault in report.faults} == {pixel}
    assert report.faults[0].file == str(file)


def test_a_stale_file_is_left_over(whole: Path, margin: Path, audit: Audit) -> None:
    """A file of a pixel that the catalog cuts otherwise, as from an earlier partitioning."""
    order, pixel = next(pixel for pixel in files_of(margin) if pixel in files_of(whole / "catalog"))
    stale = margin / f"dataset/Norder={order + 1}/Dir=0/Npix={4 * pixel}.parquet"
    stale.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(files_of(margin)[order, pixel], stale)
    assert_left_over(audit, stale)


def assert_left_over(audit: Audit, file: Path) -> None:
    report = audit(readable=False)
    assert report.wrong == {"left_over_file": 1}
    assert report.faults[0].file == str(file)


def test_a_file_where_no_reader_looks_is_left_over(margin: Path, audit: Audit) -> None:
    _, file = some_file(margin)
    other = file.parent.parent / "Dir=10000" / file.name
    other.parent.mkdir()
    shutil.copy(file, other)
    assert_left_over(audit, other)


def test_a_file_without_rows_is_left_over(margin: Path, audit: Audit) -> None:
    _, file = some_file(margin)
    stray = margin / "dataset" / "Norder=9" / "Dir=3140000" / "Npix=3145727.parquet"
    stray.parent.mkdir(parents=True)
    pq.write_table(rows_in_file(file).slice(0, 0), stray)
    with (margin / "partition_info.csv").open("a") as listing:
        listing.write("9,3145727\n")
    assert_left_over(audit, stray)


def test_a_file_that_is_not_listed_is_told(margin: Path, audit: Audit) -> None:
    (order, pixel), file = some_file(margin)
    listing = margin / "partition_info.csv"
    listing.write_text(listing.read_text().replace(f"\n{order},{pixel}\n", "\n"))
    report = audit()
    assert report.wrong == {"unlisted_file": 1}
    assert report.faults[0].file == str(file)


@pytest.mark.parametrize("stated", [2 * THRESHOLD_ARCSEC, THRESHOLD_ARCSEC / 2])
def test_a_wrong_threshold_in_the_properties_is_found(stated: float, whole: Path, margin: Path) -> None:
    state_properties(margin, hats_margin_threshold=stated)
    report = verify(margin, whole / "catalog")
    assert (report.counts["missing"], report.counts["too_many"]) == balance(margin, HALF, stated)
    assert told(report) == expected(HALF, stated)
    assert set(report.wrong) - {"missing_file"} == {"missing" if stated > THRESHOLD_ARCSEC else "too_many"}
    words = "like a margin of a smaller threshold" if stated > THRESHOLD_ARCSEC else "--coarse allows them"
    assert words in report.hint


@pytest.mark.parametrize("stated", ["0", "-5", "nan", "ten", "324001"])
def test_a_threshold_that_cannot_be_is_an_error(stated: str, whole: Path, margin: Path) -> None:
    state_properties(margin, hats_margin_threshold=stated)
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
def test_a_wrong_property_is_named(key: str, value: str, margin: Path, audit: Audit) -> None:
    state_properties(margin, **{key: value})
    report = audit()
    assert report.wrong == {"properties": 1}
    assert report.faults[0].note.startswith(f"{key} is {value or 'not stated'}: ")


def test_an_unsorted_file_is_told_with_the_row(margin: Path, audit: Audit) -> None:
    change(margin, lambda rows: rows.take(pa.array([0, 2, 1, *range(3, len(rows))])))
    report = audit()
    assert report.wrong == {"unsorted_file": 1}
    assert report.faults[0].note == "row 2 is the first that is not in the order of _healpix_29"
    # Those who make coarse margins do not sort them, and a crossmatch loses nothing by it.
    assert verify(margin, report.primary_path, coarse=True).allowed == {"unsorted_file": 1}


def test_a_file_unsorted_where_row_groups_meet_is_told(margin: Path, audit: Audit) -> None:
    _, file = some_file(margin)
    rows = rows_in_file(file)
    pq.write_table(pa.concat_tables([rows.slice(1), rows.slice(0, 1)]), file, row_group_size=len(rows) - 1)
    assert audit().wrong == {"unsorted_file": 1}


def test_a_duplicate_row_is_told(margin: Path, audit: Audit) -> None:
    pixel, _ = some_file(margin)
    rows = change(margin, lambda rows: pa.concat_tables([rows.slice(0, 1), rows]))
    report = audit()
    assert report.wrong == {"duplicate": 1}
    assert (report.faults[0].pixel, report.faults[0].row_id) == (pixel, f"id={rows['id'][0]}")


def test_a_row_of_the_own_partition_is_told(whole: Path, margin: Path, audit: Audit) -> None:
    pixel = next(pixel for pixel in files_of(margin) if pixel in files_of(whole / "catalog"))
    own = rows_in_file(files_of(whole / "catalog")[pixel]).slice(0, 1)
    change(margin, added(own), files_of(margin)[pixel])
    report = audit()
    assert report.wrong == {"own_partition": 1}
    assert (report.faults[0].pixel, report.faults[0].row_id) == (pixel, f"id={own['id'][0]}")
    assert not verify(margin, whole / "catalog", coarse=True).right


def test_a_row_in_a_wrong_pixel_is_missing_there_and_told_here(margin: Path, audit: Audit) -> None:
    margins = margins_of(HALF, THRESHOLD_ARCSEC)
    pixel, _ = some_file(margin)
    rows = change(margin, lambda rows: rows.slice(1))
    number = rows["id"][0].as_py()
    own = (int(HALF.own_order[number]), int(HALF.own_pixel[number]))
    other = next(key for key in margins if key not in (pixel, own) and number not in margins[key])
    change(margin, added(rows.slice(0, 1)), files_of(margin)[other])
    report = audit()
    assert report.wrong == {"missing": 1, "wrong_pixel": 1}
    assert {fault.kind: fault.pixel for fault in report.faults} == {"missing": pixel, "wrong_pixel": other}
    assert not verify(margin, report.primary_path, coarse=True).right


def test_files_of_two_pixels_exchanged_are_rows_in_wrong_pixels(margin: Path, audit: Audit) -> None:
    first, second = (file for _, file in sorted(files_of(margin).items())[:2])
    rows = len(rows_in_file(first)) + len(rows_in_file(second))
    content = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(content)
    report = audit()
    assert set(report.wrong) - {"own_partition"} == {"missing", "wrong_pixel"}
    assert report.counts["missing"] <= rows
    assert report.counts["wrong_pixel"] > 0


SCHEMAS: dict[str, tuple[Change, str]] = {
    "type": (
        lambda rows: rows.set_column(
            rows.schema.get_field_index("mag"), "mag", rows["mag"].cast(pa.float64())
        ),
        "column mag is of type double, in the primary float",
    ),
    "missing": (lambda rows: rows.drop_columns(["mag"]), "it lacks the column mag"),
    "more": (
        lambda rows: rows.append_column("more", pa.array(range(len(rows)))),
        "it has the column more, which the primary lacks",
    ),
    "order": (
        lambda rows: rows.select(["dec", "id", "ra", *rows.schema.names[3:]]),
        "its columns are in another order, from dec on",
    ),
}


@pytest.mark.parametrize("name", SCHEMAS)
def test_another_schema_is_told(name: str, margin: Path, audit: Audit) -> None:
    other, words = SCHEMAS[name]
    change(margin, other)
    report = audit()
    assert report.wrong == {"schema": 1}
    assert (report.faults[0].note, report.faults[0].file) == (words, str(some_file(margin)[1]))


@pytest.mark.parametrize("cut", ["half", "the last byte", "everything", "a page"])
def test_a_truncated_file_is_unreadable_and_its_rows_are_missing(
    cut: str, margin: Path, audit: Audit
) -> None:
    pixel, file = some_file(margin)
    count, content = len(rows_in_file(file)), bytearray(file.read_bytes())
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


def test_rows_without_a_position_are_unknown_or_changed(margin: Path, audit: Audit) -> None:
    change(margin, lambda rows: with_value(rows, "dec", 0, float("nan")))
    report = audit()
    assert report.wrong == {"changed": 1}
    assert json.loads(json.dumps(report.to_dict()))["right"] is False


def test_many_faults_are_counted_all_and_named_in_part(margin: Path, audit: Audit) -> None:
    files = files_of(margin).values()
    for file in files:
        change(margin, lambda rows: pa.concat_tables([rows.slice(0, 1), rows]), file)
    report = audit()
    assert report.wrong == {"duplicate": len(files)}
    assert len(report.faults) == min(20, len(files)) == 20
    text = report.summary()
    assert f"and {len(files) - 5} more" in text
    assert max(map(len, text.splitlines())) <= 100 or str(margin) in text


@pytest.mark.parametrize("instead", ["nothing", "texts"])
def test_a_file_without_coordinates_lacks_all_its_rows(instead: str, margin: Path, audit: Audit) -> None:
    def without(rows: pa.Table) -> pa.Table:
        rest, place = rows.drop_columns(["ra"]), rows.schema.get_field_index("ra")
        return rest if instead == "nothing" else rest.add_column(place, "ra", pa.array(["east"] * len(rows)))

    rows = change(margin, without)
    assert audit(readable=False).wrong == {"schema": 1, "missing": len(rows)}


def test_a_row_from_the_other_side_of_the_sky_is_found_in_a_sample_too(whole: Path, margin: Path) -> None:
    pixel, _ = some_file(margin)
    separation = separations_arcsec(HALF.ra_deg, HALF.dec_deg, *pixel)
    number = int(np.argmax(separation))
    change(margin, added(row_with_id(whole / "catalog", number)))
    for seed in range(100):
        report = verify(margin, whole / "catalog", sample=4, seed=seed)
        if pixel in {(line.order, line.pixel) for line in report.per_pixel}:
            break
    assert report.wrong == {"too_many": 1}
    assert report.primary_rows < len(HALF)
    assert report.faults[0].separation_arcsec == pytest.approx(separation[number], abs=1e-6)
