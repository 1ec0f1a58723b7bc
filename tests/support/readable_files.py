"""What the page of readable files says: files of every library, with every type, codec, version of pages and encoding.

``python -m tests.support.readable_files`` tries them and writes the tables of the page; a test tries them and compares.
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pyarrow as pa

from benchmarks.parquet_file import ParquetFile
from benchmarks.tables import table, write_between
from benchmarks.thrift import read_struct
from tests.support.catalogs import files_of
from tests.support.parquet_types import kind_of_column, type_of_column
from tests.support.parquet_writers import WRITERS
from tests.support.varied_catalogs import Case, check, column_name, schema_of, table_of, write

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "files.md"
_SKY = "one order"
# Of parquet.thrift.
_ENCODINGS = {
    0: "PLAIN",
    2: "PLAIN_DICTIONARY",
    3: "RLE",
    4: "BIT_PACKED",
    5: "DELTA_BINARY_PACKED",
    6: "DELTA_LENGTH_BYTE_ARRAY",
    7: "DELTA_BYTE_ARRAY",
    8: "RLE_DICTIONARY",
    9: "BYTE_STREAM_SPLIT",
}
_CODECS = ("none", "Snappy", "GZIP", "LZO", "Brotli", "LZ4", "Zstandard", "LZ4_RAW")
_YES, _NO = "yes", "no"


@dataclass
class Seen:
    """What was in the files of one library, all of which were read.

    Attributes
    ----------
    types
        Of each name of a type, the type that pyarrow reads.
    encodings, codecs, pages
        Those of the columns in the files, as the files say.
    files
        The number of files.
    """

    types: dict[str, pa.DataType] = field(default_factory=dict)
    encodings: set[str] = field(default_factory=set)
    codecs: set[str] = field(default_factory=set)
    pages: set[str] = field(default_factory=set)
    files: int = 0


def try_writer(name: str, folder: Path) -> Seen:
    """Write files of a library, build their margin, and compare it with pyarrow's reading."""
    library = WRITERS[name]
    seen = Seen()
    for plain in (False, True):
        types = [each for each in library.types(folder) if (each in library.plain_only) is plain]
        case = Case(name, _SKY, [(each, "every fifth", 0) for each in types], {}, ({},))
        if not plain:
            case = replace(case, own=library.ways(library.leaves(table_of(case), folder, {})))
        if types:
            catalog = folder / f"seen-{plain}"
            write(case, catalog)
            _look_at(catalog, types, seen)
            seen.files += check(case, folder)
    return seen


def _look_at(catalog: Path, types: Sequence[str], seen: Seen) -> None:
    schema = schema_of(catalog)
    for number, name in enumerate(types):
        seen.types[name] = schema.field(column_name(number, name)).type
    for file in files_of(catalog).values():
        parts = ParquetFile(file)
        groups = read_struct(parts.data, parts.footer.start)[4].content
        seen.codecs |= {_CODECS[chunk[3][4].content] for group in groups for chunk in group[1].content}
        for chunk in parts.chunks:
            for page in parts.pages(chunk):
                header = read_struct(parts.data, page.header.start)
                detail = next(header[number] for number in (5, 7, 8) if number in header)
                seen.encodings.add(_ENCODINGS[detail[4 if 8 in header else 2].content])
                if page.kind != "dictionary page":
                    seen.pages.add(page.kind.removeprefix("data page "))
        seen.pages |= {"page index"} if any(chunk.offset_index for chunk in parts.chunks) else set()


def tables(seen: Mapping[str, Seen]) -> dict[str, str]:
    """The tables of the page, by their marks."""
    encodings = [
        name for name in _ENCODINGS.values() if any(name in each.encodings for each in seen.values())
    ]
    codecs = [name for name in _CODECS if any(name in each.codecs for each in seen.values())]
    pages = {"version 1": "v1", "version 2": "v2", "with a page index": "page index"}
    return {
        "writers": table(
            ["library", "version", "files"],
            [[name, WRITERS[name].version, str(each.files)] for name, each in seen.items()],
        ),
        "types": table(["Arrow type", *seen], _type_rows(seen)),
        "encodings": table(
            ["encoding", *seen],
            [
                [f"`{name}`", *(_YES if name in each.encodings else _NO for each in seen.values())]
                for name in encodings
            ],
        ),
        "codecs": table(
            ["codec", *seen],
            [[name, *(_YES if name in each.codecs else _NO for each in seen.values())] for name in codecs],
        ),
        "pages": table(
            ["data pages", *seen],
            [
                [name, *(_YES if key in each.pages else _NO for each in seen.values())]
                for name, key in pages.items()
            ],
        ),
    }


def _type_rows(seen: Mapping[str, Seen]) -> list[list[str]]:
    """A row for each Arrow type, in the order of how much is in it."""
    rows: dict[str, list[str]] = {}
    names = dict.fromkeys(name for each in seen.values() for name in each.types)
    for name in sorted(
        names, key=lambda name: (pa.types.is_nested(kind_of_column(name)), str(type_of_column(name)))
    ):
        kind = type_of_column(name)
        cells = [_cell(kind, each.types.get(name)) for each in seen.values()]
        # Several names may be of one type.
        row = rows.setdefault(f"`{kind}`", cells)
        rows[f"`{kind}`"] = [cell if cell != _NO else old for old, cell in zip(row, cells, strict=True)]
    return [[kind, *cells] for kind, cells in rows.items()]


def _cell(kind: pa.DataType, found: pa.DataType | None) -> str:
    if found is None:
        return _NO
    # Maps tell the name of their column.
    written = re.sub(r" \('[^']*'\)", "", str(found))
    return _YES if found == kind or written == str(kind) else f"as `{written}`"


def try_all() -> dict[str, Seen]:
    """Try all libraries, in a folder of its own for each."""
    seen = {}
    for name in WRITERS:
        with tempfile.TemporaryDirectory(prefix="readable-files-") as folder:
            seen[name] = try_writer(name, Path(folder))
    return seen


def main() -> int:
    """Write the tables of the page."""
    for mark, text in tables(try_all()).items():
        write_between(PAGE, mark, text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
