"""The row groups of many footers in one `_metadata`: byte for byte what pyarrow makes of them."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from skymargin.catalogs.metadata_file import RowGroups, metadata_file

_TABLE = pa.table(
    {
        "id": pa.array(range(40), pa.uint64()),
        "dec": pa.array([None if n % 7 == 0 else n / 3 for n in range(40)]),
        "name": pa.array([f"star {n}" for n in range(40)]).dictionary_encode(),
        "seen": pa.array([n % 2 == 0 for n in range(40)]),
        "curve": pa.array([{"mjd": [float(n)] * (n % 4), "flag": b"x"} for n in range(40)]),
        "when": pa.array(range(40), pa.timestamp("us", "UTC")),
    }
)


def footer_of(
    name: str, rows: int = 40, group_rows: int = 40, table: pa.Table = _TABLE, **options: object
) -> pq.FileMetaData:
    footers: list[pq.FileMetaData] = []
    sink = pa.BufferOutputStream()
    pq.write_table(
        table.slice(0, rows), sink, metadata_collector=footers, row_group_size=group_rows, **options
    )
    footers[0].set_file_path(name)
    return footers[0]


def by_pyarrow(footers: list[pq.FileMetaData]) -> bytes:
    first, *others = (pq.read_metadata(pa.BufferReader(_file(footer))) for footer in footers)
    for other in others:
        first.append_row_groups(other)
    return _file(first)


def _file(footer: pq.FileMetaData) -> bytes:
    sink = pa.BufferOutputStream()
    footer.write_metadata_file(sink)
    return sink.getvalue().to_pybytes()


@pytest.mark.parametrize("files", [1, 2, 14, 15, 16, 200])
@pytest.mark.parametrize(
    "options", [{}, {"write_page_index": True, "compression": "zstd"}, {"version": "1.0"}]
)
def test_many_footers_in_one(files: int, options: dict[str, object]) -> None:
    footers = [
        footer_of(f"Npix={number}.parquet", 1 + number % 40, 1 + number % 17, **options)
        for number in range(files)
    ]
    assert b"".join(metadata_file([RowGroups.of(footer) for footer in footers])) == by_pyarrow(footers)


def test_what_is_known_of_one_is_used_for_the_next() -> None:
    footers = [footer_of(f"Npix={number}.parquet", 5, 2) for number in range(3)]
    parts = [RowGroups.of(footers[0])]
    for footer in footers[1:]:
        parts.append(RowGroups.of(footer, like=parts[-1]))
    assert parts == [RowGroups.of(footer) for footer in footers]
    assert [part.rows for part in parts] == [5, 5, 5]
    assert [part.count for part in parts] == [3, 3, 3]


def test_footers_that_end_in_another_way_are_told_apart() -> None:
    other = footer_of("Npix=2.parquet", table=_TABLE.replace_schema_metadata({"made": "later"}))
    like = RowGroups.of(footer_of("Npix=1.parquet"))
    part = RowGroups.of(other, like=like)
    assert part == RowGroups.of(other)
    assert part.after != like.after
    footers = [footer_of("Npix=1.parquet"), other]
    assert b"".join(metadata_file([like, part])) == by_pyarrow(footers)


def test_a_schema_that_is_told_in_another_way_is_left_to_pyarrow() -> None:
    # The same columns under another name of the root.
    footers = [footer_of("Npix=1.parquet"), footer_of("Npix=2.parquet")]
    parts = [RowGroups.of(footer) for footer in footers]
    assert parts[1].before.count(b"schema") == 1
    parts[1] = RowGroups(
        parts[1].before.replace(b"\x06schema", b"\x04root"),
        parts[1].rows,
        1,
        parts[1].content,
        parts[1].after,
    )
    assert b"".join(metadata_file(parts)) == by_pyarrow(footers)


def test_other_columns_are_an_error() -> None:
    footers = [footer_of("Npix=1.parquet"), footer_of("Npix=2.parquet", table=_TABLE.select(["id", "dec"]))]
    with pytest.raises(RuntimeError, match="schema"):
        b"".join(metadata_file([RowGroups.of(footer) for footer in footers]))
