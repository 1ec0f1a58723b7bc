"""Which pages of a Parquet file hold given rows: by the offset index, or without it by the page headers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from benchmarks.healpix_plane import Integers
from benchmarks.parquet_file import ParquetFile


@dataclass(frozen=True)
class Page:
    """Where a page's compressed bytes are, its codec and its size when decompressed."""

    offset: int
    compressed_bytes: int
    decompressed_bytes: int
    codec: str


def touched_pages(path: Path, rows: Integers, skip_columns: set[str]) -> list[Page]:
    """The pages of all columns but `skip_columns` that hold any of the sorted `rows`, dictionaries included.

    A nested column without an offset index does not tell the rows of its pages before they are decompressed:
    all of its pages count as touched.
    """
    metadata, parts = pq.read_metadata(path), ParquetFile(path)
    counts = [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)]
    starts = np.cumsum([0, *counts])
    touched: list[Page] = []
    for number, chunk in enumerate(parts.chunks):
        column = metadata.row_group(chunk.group).column(number % metadata.num_columns)
        inside = rows[(rows >= starts[chunk.group]) & (rows < starts[chunk.group + 1])] - starts[chunk.group]
        if not inside.size or column.path_in_schema in skip_columns:
            continue
        pages = list(parts.pages(chunk))
        data_pages = [page for page in pages if page.kind != "dictionary page"]
        firsts = parts.first_rows(chunk)
        if firsts is None and column.num_values == counts[chunk.group]:
            firsts = np.cumsum([0] + [page.values for page in data_pages])[:-1].tolist()
        chosen = [page for page in pages if page.kind == "dictionary page"]
        if firsts is None:
            chosen += data_pages
        else:
            positions = np.unique(np.searchsorted(firsts, inside, side="right") - 1)
            chosen += [data_pages[position] for position in positions]
        touched += [
            Page(page.body.start, len(page.body), page.decompressed_bytes, column.compression)
            for page in chosen
        ]
    return touched
