"""Properties files in the forms that other programs write, and what is not a properties file."""

from __future__ import annotations

from pathlib import Path

import pytest
from hats.catalog import TableProperties

from skymargin.catalogs.properties import (
    HATS_NAMES,
    edit_properties,
    parse_properties,
    read_hats_properties,
    read_json,
    read_properties,
    whole_number,
)
from skymargin.errors import CatalogError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("\ufeffa=1\nb=2\n", {"a": "1", "b": "2"}),
        ("\ufeff#HATS catalog\r\na=1\r\n", {"a": "1"}),
        ("a=1\r\n\r\nb=x\\\r\n   y\rc=3", {"a": "1", "b": "xy", "c": "3"}),
        ("path=C:\\users\\\\x\\u0041\\u12", {"path": "C:users\\xAu12"}),
        ("#:\n#: :\n!:: comment\na=1", {"a": "1"}),
        ("a=x\\\n#:y", {"a": "x#:y"}),
        ("=no key\n:\na=1=2", {"a": "1=2"}),
        ("a=\\ud83d\\ude00", {"a": "\U0001f600"}),
        ("a=1\na=2", {"a": "2"}),
        ("a=größe\u2028\x85\x0b", {"a": "größe\u2028\x85\x0b"}),
        ("", {}),
    ],
)
def test_every_form_is_read(text: str, expected: dict[str, str], tmp_path: Path) -> None:
    assert parse_properties(text) == expected
    (tmp_path / "file").write_bytes(text.encode())
    assert read_properties(tmp_path / "file") == expected


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"\xff\xfea=1", "utf-8"), (b"a=1\nb=\\ud83d and nothing", "line 2: High surrogate")],
)
def test_what_is_not_a_properties_file_is_refused(content: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(CatalogError, match=f"file cannot be read: .*{words}"):
        read_properties(tmp_path / "file")


@pytest.mark.parametrize("value", [" leading", "\ttab", "a\\b", "two\nlines", "a=b:c#d!e", ""])
def test_an_edited_value_is_read_back(value: str) -> None:
    before = "# comment\r\nfirst : 1\r\nkey=old\\\r\n  and more\r\nlast=2"
    text = edit_properties(before, "key", value)
    assert parse_properties(text) == {"first": "1", "key": value, "last": "2"}
    assert text.startswith("# comment\r\nfirst : 1\r\n")
    assert text.endswith("\nlast=2")


def test_the_library_reads_the_same(tmp_path: Path) -> None:
    lines = "catalog_name=x\ncatalog_type=object\ntotal_rows=1\nra_column=ra\ndec_column=dec\nodd\\ \\:key=a\\tb\\\\c\n"
    (tmp_path / "hats.properties").write_text(lines)
    theirs = TableProperties.read_from_dir(tmp_path).model_dump()
    assert read_properties(tmp_path / "hats.properties")["odd :key"] == theirs["odd :key"] == "a\tb\\c"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "cannot be read as JSON"),
        ("[" * 100_000, "cannot be read as JSON"),
        ("[1]", r"holds list \[1\]"),
    ],
)
def test_what_is_not_a_json_object_is_refused(content: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text(content)
    with pytest.raises(CatalogError, match=rf"file {words}"):
        read_json(tmp_path / "file")


def test_old_names_of_properties_are_those_of_the_library(tmp_path: Path) -> None:
    fields = {name: field.alias for name, field in TableProperties.model_fields.items()}
    assert {name: fields[name] for name in HATS_NAMES} == HATS_NAMES
    (tmp_path / "properties").write_text(
        "catalog_name=x\ncatalog_type=object\ntotal_rows=1\nra_column=a\nhats_col_ra=b\n"
    )
    assert read_hats_properties(tmp_path / "properties") == {
        "obs_collection": "x",
        "dataproduct_type": "object",
        "hats_nrows": "1",
        "hats_col_ra": "b",
    }


@pytest.mark.parametrize(
    ("text", "number"),
    [("120", 120), (" 120.0 ", 120), ("7.", 7), ("0.000", 0), ("3458764513820540928", 3 << 60)]
    + [(text, None) for text in ("", "1.5", "-1", "1e3", "nan", "1_000", "\u0663", "0x10", "1,2")],
)
def test_whole_numbers_may_be_written_as_floats(text: str, number: int | None) -> None:
    assert whole_number(text) == number


def test_a_byte_order_mark_is_no_part_of_json(tmp_path: Path) -> None:
    (tmp_path / "file.json").write_bytes(b'\xef\xbb\xbf{"a": 1}')
    assert read_json(tmp_path / "file.json") == {"a": 1}
