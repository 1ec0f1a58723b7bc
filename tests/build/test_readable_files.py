"""The page of readable files is what trying them gives; and files of libraries that were once read wrongly."""

from __future__ import annotations

import re
from pathlib import Path

import fastparquet
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from skymargin import verify
from skymargin.errors import PartitionReadError
from tests.support.catalogs import files_of, make_margin
from tests.support.parquet_writers import WRITERS
from tests.support.readable_files import PAGE, Seen, tables, try_writer
from tests.support.varied_catalogs import THRESHOLD_ARCSEC, Case, check, write


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Seen]:
    return {name: try_writer(name, tmp_path_factory.mktemp(name)) for name in WRITERS}


def between(mark: str) -> str:
    found = re.search(
        rf"<!-- {mark} -->\n\n(.*?)\n\n<!-- /{mark} -->", PAGE.read_text(encoding="utf-8"), re.DOTALL
    )
    assert found, f"the page has no marks {mark}"
    return found[1]


@pytest.mark.parametrize("mark", ["writers", "types", "encodings", "codecs", "pages"])
def test_the_page_says_what_was_tried(mark: str, seen: dict[str, Seen]) -> None:
    written = tables(seen)[mark]
    assert between(mark) == written, "python -m tests.support.readable_files writes the page"


def test_every_type_codec_and_encoding_was_tried(seen: dict[str, Seen]) -> None:
    assert all(each.files >= 30 and len(each.types) > 50 for each in seen.values())
    encodings = set().union(*(each.encodings for each in seen.values()))
    assert encodings == {
        "PLAIN",
        "PLAIN_DICTIONARY",
        "RLE",
        "DELTA_BINARY_PACKED",
        "DELTA_LENGTH_BYTE_ARRAY",
        "DELTA_BYTE_ARRAY",
        "RLE_DICTIONARY",
        "BYTE_STREAM_SPLIT",
    }
    codecs = set().union(*(each.codecs for each in seen.values()))
    assert codecs == {"none", "Snappy", "GZIP", "Brotli", "LZ4", "Zstandard", "LZ4_RAW"}
    assert set().union(*(each.pages for each in seen.values())) == {"v1", "v2", "page index"}


def test_each_type_is_one_row(seen: dict[str, Seen]) -> None:
    rows = [line.split(" | ")[0] for line in tables(seen)["types"].splitlines()]
    assert len(rows) == len(set(rows)) > 50


@pytest.mark.parametrize(
    "options", [{}, {"data_page_size_limit": 1, "dictionary_size_limit": 1}], ids=["nulls", "single values"]
)
def test_delta_pages_shorter_than_the_widths_of_a_block(options: dict[str, int], tmp_path: Path) -> None:
    columns = [("uint64", "all", 0), ("string", "all", 0), ("int32", "none", 0), ("time ns", "many", 0)]
    assert check(Case("DuckDB", "few", columns, {}, [{"parquet_version": "V2", **options}]), tmp_path) == 4


def test_a_schema_that_does_not_say_what_may_be_null_is_refused(tmp_path: Path) -> None:
    write(Case("fastparquet", "few", [("double", "none", 0)], {}, [{}], has_schema=False), tmp_path / "stars")
    file = min(files_of(tmp_path / "stars").items())[1]
    frame = pq.ParquetFile(file).read().to_pandas().assign(name="a star")
    frame.loc[3, "name"] = None
    for other in files_of(tmp_path / "stars").values():
        fastparquet.write(str(other), frame, has_nulls="infer", write_index=False)
    # Neither pyarrow nor DuckDB finds a fault in it.
    texts = pq.ParquetFile(file).read().column("name").cast(pa.binary()).to_pylist()
    assert texts[:5] != [b"a star", b"a star", b"a star", None, b"a star"]
    with pytest.raises(PartitionReadError) as caught:
        make_margin(tmp_path / "stars", tmp_path, THRESHOLD_ARCSEC)
    assert "damaged footer: it does not say whether column 'id' may be null; fastparquet writes such" in str(
        caught.value
    )
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("writer", ["pyarrow", "DuckDB"])
@pytest.mark.parametrize("kind", ["uuid", "json"])
def test_extension_types_of_parquet_need_no_embedded_schema(writer: str, kind: str, tmp_path: Path) -> None:
    shared = {"store_schema": False} if writer == "pyarrow" else {}
    case = Case(writer, "few", [(kind, "every fifth", 0)], shared, [{}], has_schema=False)
    assert check(case, tmp_path) == 4
    write(case, tmp_path / "stars")
    make_margin(tmp_path / "stars", tmp_path, THRESHOLD_ARCSEC)
    for file in files_of(tmp_path / "margin").values():
        footer = pq.read_metadata(file)
        assert footer.schema.column(footer.num_columns - 1).logical_type.type == kind.upper()
    # A margin that has plain bytes or text instead is found.
    for file in files_of(tmp_path / "margin").values():
        rows = pq.ParquetFile(file).read()
        plain = rows.set_column(
            rows.num_columns - 1, rows.column_names[-1], rows.column(-1).combine_chunks().storage
        )
        pq.write_table(plain, file)
    report = verify(tmp_path / "margin", tmp_path / "stars")
    assert not report.right
