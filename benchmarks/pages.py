"""Which pages of a Parquet file hold given rows: by the offset index, or without it by the page headers."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from benchmarks.healpix_plane import Integers
from benchmarks.thrift import CompactReader

_DICTIONARY_PAGE = 2


@dataclass(frozen=True)
class Page:
    """Where a page's compressed bytes are, its codec and its size when decompressed."""

    offset: int
    compressed_bytes: int
    decompressed_bytes: int
    codec: str


@dataclass(frozen=True)
class _WalkedPage:
    page: Page
    kind: int
    values: int


def _walk(data: bytes, base: int, codec: str) -> list[_WalkedPage]:
    """All pages of a column chunk, by their headers."""
    pages = []
    position = 0
    while position < len(data):
        reader = CompactReader(data, position)
        header = reader.struct()
        kind, decompressed, compressed = header[1], header[2], header[3]
        values = header.get(5, header.get(8, {})).get(1, 0)
        page = Page(base + reader.position, compressed, decompressed, codec)
        pages.append(_WalkedPage(page, kind, values))
        position = reader.position + compressed
    return pages


def touched_pages(path: Path, rows: Integers, skip_columns: set[str]) -> list[Page]:
    """The pages of all columns but `skip_columns` that hold any of the sorted `rows`, dictionaries included.

    A nested column without an offset index does not tell the rows of its pages before they are decompressed:
    all of its pages count as touched.
    """
    metadata = pq.read_metadata(path)
    first_rows = _first_rows_by_offset_index(path)
    touched: list[Page] = []
    group_start = 0
    file = os.open(path, os.O_RDONLY)
    try:
        for group_number in range(metadata.num_row_groups):
            group = metadata.row_group(group_number)
            inside = rows[(rows >= group_start) & (rows < group_start + group.num_rows)] - group_start
            group_start += group.num_rows
            if not inside.size:
                continue
            for number in range(group.num_columns):
                chunk = group.column(number)
                if chunk.path_in_schema in skip_columns:
                    continue
                start = chunk.dictionary_page_offset or chunk.data_page_offset
                data = os.pread(file, chunk.total_compressed_size, start)
                walked = _walk(data, start, chunk.compression)
                data_pages = [page for page in walked if page.kind != _DICTIONARY_PAGE]
                firsts = first_rows.get((group_number, number))
                if firsts is None and chunk.num_values == group.num_rows:
                    firsts = np.cumsum([0] + [page.values for page in data_pages])[:-1]
                if firsts is None:
                    wanted = set(range(len(data_pages)))
                else:
                    wanted = set((np.searchsorted(firsts, inside, side="right") - 1).tolist())
                touched += [page.page for page in walked if page.kind == _DICTIONARY_PAGE]
                touched += [page.page for at, page in enumerate(data_pages) if at in wanted]
    finally:
        os.close(file)
    return touched


def _first_rows_by_offset_index(path: Path) -> dict[tuple[int, int], Integers]:
    """First rows of the pages of each (row group, column) that has an offset index."""
    data = path.read_bytes()
    footer_bytes = int.from_bytes(data[-8:-4], "little")
    footer = CompactReader(data[-8 - footer_bytes : -8]).struct()
    first_rows = {}
    for group_number, group in enumerate(footer[4]):
        for number, chunk in enumerate(group[1]):
            if 4 in chunk:  # ColumnChunk.offset_index_offset
                index = CompactReader(data, chunk[4]).struct()
                first_rows[group_number, number] = np.array([location[3] for location in index[1]])
    return first_rows
