"""Damage to which files a catalog has, and to the files that say what it has."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.parquet_file import ParquetFile
from tests.campaign.damage.bytes import Copy, replace
from tests.campaign.damage.catalogs import Case


def partitions(copy: Copy, number: int) -> Case:
    """Partitions swapped, in each other's place, lost, or there more than once."""
    pixel = copy.pixel()
    other = copy.one_of([candidate for candidate in sorted(copy.files) if candidate != pixel])
    first, second = copy.files[pixel], copy.files[other]
    first_bytes, second_bytes = first.read_bytes(), second.read_bytes()
    listing = copy.catalog / "partition_info.csv"
    match number % 6:
        case 0:
            replace(first, second_bytes)
            replace(second, first_bytes)
            return copy.case(f"{pixel} and {other} swapped", first, second)
        case 1:
            replace(second, first_bytes)
            return copy.case(f"the rows of {pixel} in {other}, too", second)
        case 2:
            first.unlink()
            return copy.case(f"{pixel} is missing", first)
        case 3:
            # A pixel that is empty; the list says that it is not.
            extra = first.parent.parent / "Dir=0" / "Npix=30.parquet"
            replace(extra, first_bytes)
            lines = listing.read_text()
            order = re.search(r"Norder=(\d+)", str(extra))
            assert order is not None
            replace(listing, f"{lines}{order[1]},30{',0' * copy.base.is_hipscat}\n".encode())
            return copy.case(f"the rows of {pixel} in {extra}, too", extra, listing)
        case 4:
            extra = first.parent.parent / "Dir=0" / "Npix=31.parquet"
            replace(extra, first_bytes)
            return copy.case(f"{extra} is not listed", extra)
        case _:
            table = pq.ParquetFile(first).read()
            _write(first, pa.concat_tables([table, table.slice(0, 5)]))
            return copy.case(f"five rows twice in {pixel}", first, *_statements(copy))


def metadata(copy: Copy, number: int) -> Case:
    """A `_metadata` that is damaged, or not of this catalog as it is."""
    file = _dataset(copy) / "_metadata"
    content = file.read_bytes()
    listed = copy.catalog / "partition_info.csv"
    if alone := number % 14 >= 7:
        # Then `_metadata` lists the partitions.
        listed.unlink()
    match number % 7:
        case 0:
            replace(file, content[: int(copy.random.integers(0, len(content)))])
            what = "cut off"
        case 1:
            replace(file, content + copy.random.bytes(50))
            what = "garbage after its end"
        case 2:
            what = copy.flip(file, ParquetFile(file).footer)
        case 3:
            _write_metadata(file, copy, sorted(copy.files)[1:])
            what = "an entry is missing"
        case 4:
            lost = copy.pixel()
            again = [*sorted(copy.files), lost]
            _write_metadata(file, copy, again)
            what = f"an entry more, of {lost}"
        case 5:
            pq.write_metadata(pa.schema([("flux", pa.float32())]), replaced(file))
            what = "of another catalog"
        case _:
            pixel = copy.pixel()
            table = pq.ParquetFile(copy.files[pixel]).read()
            _write(copy.files[pixel], table.slice(0, len(table) - 1))
            what = f"stale: {pixel} has lost its last row"
    what += ", without partition_info.csv" * alone
    return copy.case(f"_metadata {what}", file, _dataset(copy), *_statements(copy))


def common_metadata(copy: Copy, number: int) -> Case:
    """A `_common_metadata` that is damaged, or not of this catalog."""
    file = _dataset(copy) / "_common_metadata"
    content, schema = file.read_bytes(), pq.read_schema(file)
    at = schema.get_field_index("mag")
    names = [file, *copy.files.values(), copy.catalog / _properties(copy)]
    match number % 7:
        case 0:
            replace(file, content[: int(copy.random.integers(0, len(content)))])
            return copy.case("_common_metadata cut off", file)
        case 1:
            return copy.case(f"_common_metadata: {copy.flip(file, range(4, len(content)))}", *names)
        case 2:
            pq.write_metadata(schema.remove(at), replaced(file))
            return copy.case("_common_metadata lacks a column", *names)
        case 3:
            pq.write_metadata(schema.append(pa.field("flux", pa.float32())), replaced(file))
            return copy.case("_common_metadata has a column more", *names)
        case 4:
            pq.write_metadata(schema.set(at, pa.field("mag", pa.int16())), replaced(file))
            return copy.case("_common_metadata has another type", *names)
        case 5:
            pq.write_metadata(
                pa.schema([schema.field(name) for name in reversed(schema.names)]), replaced(file)
            )
            return copy.case("_common_metadata has another order", *names)
        case _:
            pq.write_metadata(pa.schema([("flux", pa.float32())]), replaced(file))
            return copy.case("_common_metadata of another catalog", *names)


# Key and value; None takes the key away. Those of which nothing depends are there, too.
_PROPERTIES: list[tuple[str, str | None]] = [
    ("hats_nrows", "1000000"),
    ("hats_nrows", "7"),
    ("hats_nrows", "-1"),
    ("hats_nrows", "many"),
    ("hats_nrows", "1e3"),
    ("hats_nrows", None),
    ("hats_col_ra", "dec"),
    ("hats_col_ra", "mag"),
    ("hats_col_ra", "nonesuch"),
    ("hats_col_ra", ""),
    ("hats_col_ra", None),
    ("hats_col_dec", "ra"),
    ("hats_col_dec", "name"),
    ("hats_col_healpix", "nonesuch"),
    ("hats_col_healpix", "name"),
    ("hats_col_healpix", "id"),
    ("hats_col_healpix", None),
    ("hats_col_healpix_order", "28"),
    ("hats_col_healpix_order", "10"),
    ("hats_col_healpix_order", "30"),
    ("hats_col_healpix_order", "-1"),
    ("hats_col_healpix_order", "fine"),
    ("hats_col_healpix_order", None),
    ("hats_npix_suffix", ".parq"),
    ("hats_npix_suffix", "/"),
    ("hats_npix_suffix", "../../x"),
    ("hats_npix_suffix", None),
    ("dataproduct_type", "margin"),
    ("dataproduct_type", "star"),
    ("dataproduct_type", None),
]
_INFO: list[tuple[str, str]] = [
    (r'"total_rows": \d+', '"total_rows": 3'),
    (r'"total_rows": \d+', '"total_rows": -3'),
    (r'"total_rows": \d+', '"total_rows": "many"'),
    ('"ra_column": "ra"', '"ra_column": "dec"'),
    ('"ra_column": "ra"', '"ra_column": 7'),
    ('"dec_column": "dec"', '"dec_column": "nonesuch"'),
    ('"catalog_type": "object"', '"catalog_type": "margin"'),
    (r"\{", "["),
]


def properties(copy: Copy, number: int) -> Case:
    """Properties that are wrong, broken or missing."""
    files = [copy.catalog / name for name in ("hats.properties", "properties")]
    if copy.base.is_hipscat:
        return _catalog_info(copy, number)
    names = [*files[:1], *copy.files.values(), _dataset(copy)]
    content = files[0].read_bytes()
    if number % 8 == 7:
        broken = [
            b"\xff\xfe" + content,
            b"",
            content[: int(copy.random.integers(1, len(content)))],
            None,
        ][number // 8 % 4]
        for file in files:
            file.unlink(missing_ok=True)
            if broken is not None:
                file.write_bytes(broken)
        return copy.case(f"properties {broken!r:.30}", files[0], copy.catalog)
    key, value = _PROPERTIES[(number - number // 8) % len(_PROPERTIES)]
    line = b"" if value is None else f"{key}={value}\n".encode()
    for file in files:
        replace(file, re.sub(rf"(?m)^{key}=.*\n".encode(), line.replace(b"\\", rb"\\"), content))
    return copy.case(f"{key}={value}", *names)


def _catalog_info(copy: Copy, number: int) -> Case:
    file = copy.catalog / "catalog_info.json"
    old, new = _INFO[number % len(_INFO)]
    text, count = re.subn(old, new, file.read_text())
    assert count
    replace(file, text.encode())
    return copy.case(f"catalog_info.json: {new}", file, *copy.files.values())


def partition_info(copy: Copy, number: int) -> Case:
    """A list of partitions that is damaged, or not of this catalog."""
    file = copy.catalog / "partition_info.csv"
    head, *lines = file.read_text().splitlines()
    which = int(copy.random.integers(len(lines)))
    order, pixel, *_ = (int(part) for part in lines[which].split(","))
    more = ",0" * copy.base.is_hipscat

    def added(*line: object) -> Callable[[], list[str]]:
        return lambda: [*lines, ",".join(map(str, line)) + more]

    what, change = [
        ("a line is missing", lambda: [*lines[:which], *lines[which + 1 :]]),
        ("a line is there twice", lambda: [*lines, lines[which]]),
        ("a child of a partition", added(order + 1, 4 * pixel)),
        ("the parent of a partition", added(max(order - 1, 0), pixel // 4)),
        ("a pixel too large", added(order, 12 << (2 * order))),
        ("a negative pixel", added(order, -1)),
        ("a negative order", added(-1, pixel)),
        ("order 30", added(30, 5)),
        ("no numbers", added("one", "two")),
        ("a partition that is not there", added(2, 190)),
        ("half a line", lambda: [*lines, "2"]),
        ("empty", list),
        (
            "another order of a pixel",
            lambda: [*lines[:which], f"{order},{(pixel + 4) % 12}{more}", *lines[which + 1 :]],
        ),
        ("a huge number", added(order, 10**30)),
        ("fractions", added(order, f"{pixel}.5")),
        ("no head", lambda: lines),
        ("a flip", None),
        ("cut off", None),
    ][number % 18]
    if change is not None:
        kept = change()
        replace(
            file, "".join(f"{line}\n" for line in (kept if what == "no head" else [head, *kept])).encode()
        )
    elif what == "a flip":
        what = copy.flip(file, range(len(file.read_bytes())))
    else:
        content = file.read_bytes()
        replace(file, content[: int(copy.random.integers(0, len(content)))])
    # Where a child of a partition has a file, too, only the list itself is at fault.
    children = [_dataset(copy) / f"Norder={order + 1}" / "Dir=0" / f"Npix={4 * pixel}.parquet"]
    for child in children:
        if what == "a child of a partition" and not child.exists():
            child.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(copy.files[order, pixel], child)
    return copy.case(f"partition_info.csv: {what}", file, _dataset(copy), copy.catalog)


def replaced(file: Path) -> Path:
    """The path of a file, whose link is gone."""
    file.unlink()
    return file


def _dataset(copy: Copy) -> Path:
    return copy.catalog if copy.base.is_hipscat else copy.catalog / "dataset"


def _properties(copy: Copy) -> str:
    return "catalog_info.json" if copy.base.is_hipscat else "hats.properties"


def _statements(copy: Copy) -> list[Path]:
    """The files that say how many rows there are."""
    return [copy.catalog / _properties(copy), _dataset(copy) / "_metadata"]


def _write(file: Path, table: pa.Table) -> None:
    pq.write_table(table, replaced(file), row_group_size=40)


def _write_metadata(file: Path, copy: Copy, pixels: list[tuple[int, int]]) -> None:
    footers = []
    for pixel in pixels:
        name = copy.files[pixel].relative_to(_dataset(copy)).as_posix()
        footers.append(pq.read_metadata(copy.files[pixel]))
        footers[-1].set_file_path(name)
    pq.write_metadata(pq.read_schema(file), replaced(file), metadata_collector=footers)
