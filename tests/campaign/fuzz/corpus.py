"""The inputs that a fuzzer begins with: files of several libraries, and their footers, columns and pages.

The forms of inputs are those of ``rust/fuzz/src/targets.rs``.
"""

from __future__ import annotations

import datetime
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks.parquet_file import TRAILER_BYTES, ParquetFile
from benchmarks.thrift import Value, read_struct
from tests.support.parquet_writers import WRITERS

TARGETS = ("footer", "page_header", "page_body", "scan")
# Larger inputs are slow to change; the pages of one are in others as well.
_MOST_BYTES = 8_000
_FILES_PER_LIBRARY = 25
_ROWS = 60
# Numbers of encodings by their place in `ENCODINGS` of the targets.
_ENCODINGS = (0, 2, 3, 4, 5, 6, 7, 8, 9)


def write_corpus(folder: Path, seed: int) -> None:
    """Write the inputs of each target into a folder of its own."""
    (folder / "files").mkdir(parents=True)
    inputs: dict[str, set[bytes]] = {target: set() for target in TARGETS}
    for file in _files(folder / "files", random.Random(seed)):
        parts = ParquetFile(file)
        if len(parts.data) <= _MOST_BYTES:
            inputs["scan"].add(parts.data)
        inputs["footer"].add(parts.data[parts.footer.start : -TRAILER_BYTES])
        for column in _flat_columns(parts):
            inputs["page_header"].add(column.whole)
            inputs["page_body"].update(column.bodies)
    for target, contents in inputs.items():
        (folder / target).mkdir()
        for number, content in enumerate(sorted(contents)):
            if len(content) <= _MOST_BYTES:
                (folder / target / f"{number}").write_bytes(content)


def _files(folder: Path, generator: random.Random) -> Iterator[Path]:
    """Files of all libraries with options of their own; lists only where a library has them."""
    flat, nested = _rows()
    for name, library in WRITERS.items():
        for number in range(_FILES_PER_LIBRARY):
            table = flat if name == "fastparquet" or number % 2 else nested
            leaves = library.leaves(table, folder, {})
            file = folder / f"{name}-{number}.parquet"
            library.write(table, file, {}, library.own_options(generator.choice, leaves))
            yield file


def _rows() -> tuple[pa.Table, pa.Table]:
    """The columns that the target `scan` knows, without nested ones and with them."""

    def some(values: list[Any]) -> list[Any]:
        return [None if row % 7 == 0 else value for row, value in enumerate(values)]

    rows = range(_ROWS)
    flat = pa.table(
        {
            "index": pa.array([row << 40 for row in rows]),
            "ra": pa.array(np.linspace(0, 300, _ROWS)),
            "dec": pa.array(np.linspace(-60, 60, _ROWS)),
            "flag": pa.array(some([row % 3 == 0 for row in rows])),
            "number": pa.array(some([row * row for row in rows]), pa.int32()),
            "name": pa.array(some([f"star {row % 9}" for row in rows])),
            "when": pa.array(
                some([datetime.datetime(2020, 1, 1) + datetime.timedelta(days=row) for row in rows]),
                pa.timestamp("us"),
            ),
            "blob": pa.array(some([bytes(row % 5) for row in rows]), pa.binary()),
        }
    )
    light = pa.array(
        some([{"mjd": [float(row)] * (row % 4), "band": ["g", None][: row % 3]} for row in rows]),
        pa.struct([("mjd", pa.list_(pa.float64())), ("band", pa.list_(pa.string()))]),
    )
    lists = pa.array(
        some([[[row, None], [], None][: row % 4] for row in rows]), pa.list_(pa.list_(pa.int32()))
    )
    return flat, flat.append_column("light", light).append_column("lists", lists)


class _Column:
    """A column chunk that is not nested, as inputs of the targets of pages."""

    def __init__(self, parts: ParquetFile, about: Value, schema: Value, pages: range) -> None:
        self._parts = parts
        self._start = bytes([about[1].content, about[4].content, schema[3].content if 3 in schema else 0])
        self._pages = pages
        self._values = about[5].content

    @property
    def whole(self) -> bytes:
        return self._start + bytes([self._values]) + self._parts.data[self._pages.start : self._pages.stop]

    @property
    def bodies(self) -> Iterator[bytes]:
        """Each data page, with the dictionary before it if it needs one."""
        dictionary, dictionary_values = b"", 0
        position = self._pages.start
        while position < self._pages.stop:
            header = read_struct(self._parts.data, position)
            body = self._parts.data[header.span.stop : header.span.stop + header[3].content]
            position = header.span.stop + header[3].content
            if 7 in header:
                dictionary, dictionary_values = body, header[7][1].content
                continue
            yield self._body(header, body, dictionary, dictionary_values)

    def _body(self, header: Value, body: bytes, dictionary: bytes, dictionary_values: int) -> bytes:
        is_v2 = 8 in header
        detail = header[8 if is_v2 else 5]
        encoding = _ENCODINGS.index(detail[4 if is_v2 else 2].content)
        flags = is_v2 | 2 * (is_v2 and 7 in detail and not detail[7].content)
        first, second = (detail[5].content, detail[6].content) if is_v2 else (0, 0)
        if dictionary:
            # It is cut to a multiple of 16 bytes, or made longer by zeros.
            length = -(-len(dictionary) // 16)
            flags, first, second = flags | 4, dictionary_values, length
            body = dictionary.ljust(16 * length, b"\0") + body
        size = header[2].content.to_bytes(4, "little")[:2]
        about = [detail[1].content, encoding, flags, *size, first, second]
        return self._start + bytes(number & 255 for number in about) + body


def _flat_columns(parts: ParquetFile) -> Iterator[_Column]:
    footer = read_struct(parts.data, parts.footer.start)
    schema = {element[4].content: element for element in footer[2].content}
    groups = footer[4].content
    chunks = [chunk[3] for group in groups for chunk in group[1].content]
    for about, chunk in zip(chunks, parts.chunks, strict=True):
        path = [part.content for part in about[3].content]
        if len(path) == 1 and about[5].content < 256:
            yield _Column(parts, about, schema[path[0]], chunk.pages)
