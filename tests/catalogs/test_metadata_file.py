"""The row groups of many footers in one `_metadata`: what pyarrow makes of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from skymargin.catalogs.metadata_file import (
    RowGroups,
    estimate_metadata_bytes,
    metadata_file,
    write_parquet_metadata,
)
from tests.support.limits import metadata_limits

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


def file_of(rows: int = 40, group_rows: int = 40, table: pa.Table = _TABLE, **options: object) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(table.slice(0, rows), sink, row_group_size=group_rows, **options)
    return sink.getvalue().to_pybytes()


def by_pyarrow(files: dict[str, bytes]) -> pq.FileMetaData:
    """Return what pyarrow makes of the footers of files."""
    footers = []
    for name, content in files.items():
        footers.append(pq.read_metadata(pa.BufferReader(content)))
        footers[-1].set_file_path(name)
    for other in footers[1:]:
        footers[0].append_row_groups(other)
    return footers[0]


def joined(parts: list[RowGroups]) -> pq.FileMetaData:
    return pq.read_metadata(pa.BufferReader(b"".join(metadata_file(parts))))


@pytest.mark.parametrize("files", [1, 2, 14, 15, 16, 200])
@pytest.mark.parametrize(
    "options", [{}, {"write_page_index": True, "compression": "zstd"}, {"version": "1.0"}]
)
def test_many_footers_in_one(files: int, options: dict[str, object]) -> None:
    contents = {
        f"Npix={number}.parquet": file_of(1 + number % 40, 1 + number % 17, **options)
        for number in range(files)
    }
    parts = [RowGroups.of_file(content, name) for name, content in contents.items()]
    ours, theirs = joined(parts), by_pyarrow(contents)
    assert ours.equals(theirs)
    assert ours.metadata == theirs.metadata
    assert ours.schema.equals(theirs.schema)
    for group in range(theirs.num_row_groups):
        for column in range(theirs.num_columns):
            mine, other = (about.row_group(group).column(column) for about in (ours, theirs))
            assert mine.to_dict() == other.to_dict()
            assert mine.file_path == other.file_path != ""


def test_the_end_of_a_file_is_enough() -> None:
    content = file_of(5, 2)
    length = int.from_bytes(content[-8:-4], "little") + 8
    part = RowGroups.of_file(content[-length:], "Npix=1.parquet")
    assert part == RowGroups.of_file(content, "Npix=1.parquet")
    assert (part.rows, part.count) == (5, 3)
    with pytest.raises(ValueError, match="footer cannot be read"):
        RowGroups.of_file(content[1 - length :], "Npix=1.parquet")


def test_a_schema_that_is_told_in_another_way_is_left_to_pyarrow() -> None:
    contents = {f"Npix={number}.parquet": file_of() for number in (1, 2)}
    parts = [RowGroups.of_file(content, name) for name, content in contents.items()]
    assert parts[1].before.count(b"schema") == 1
    # The same columns under another name of the root.
    parts[1] = replace(parts[1], before=parts[1].before.replace(b"\x06schema", b"\x04root"))
    assert joined(parts).equals(by_pyarrow(contents))


def test_other_columns_are_an_error() -> None:
    contents = [file_of(), file_of(table=_TABLE.select(["id", "dec"]))]
    with pytest.raises(RuntimeError, match="schema"):
        joined([RowGroups.of_file(content, "Npix=1.parquet") for content in contents])


@pytest.mark.parametrize("options", [{}, {"write_page_index": True, "compression": "zstd"}])
def test_the_size_is_estimated(options: dict[str, object]) -> None:
    names = [f"Norder=5/Dir=0/Npix={number}.parquet" for number in range(1000, 1100)]
    parts = [RowGroups.of_file(file_of(40, 10, **options), name) for name in names]
    size = sum(map(len, metadata_file(parts)))
    estimate = estimate_metadata_bytes(file_of(0), 400, len(names[0]))
    assert 0.6 * size < estimate < 1.7 * size


def test_a_file_that_turns_out_too_large_is_left_out(tmp_path: Path) -> None:
    parts = [RowGroups.of_file(file_of(), f"Npix={number}.parquet") for number in range(20)]
    size = sum(len(part.content) for part in parts)
    with (
        metadata_limits(most_bytes=size - 1),
        pytest.warns(UserWarning, match=rf"{tmp_path}: _metadata is not written: it would take "),
    ):
        write_parquet_metadata(tmp_path, _TABLE.schema, parts)
    assert [file.name for file in tmp_path.iterdir()] == ["_common_metadata"]
    with metadata_limits(most_bytes=size):
        write_parquet_metadata(tmp_path, _TABLE.schema, parts)
    assert pq.read_metadata(tmp_path / "_metadata").num_rows == 800
