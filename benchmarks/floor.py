"""The floor: the least reading a margin needs, and how long it takes here.

Two parts, each with as many processes as the tools have workers:

- index, ra and dec of every file, decoded by pyarrow (footers included);
- the pages of all other columns that hold a row of the margin, read and decompressed, not even decoded. Which
  pages these are is worked out beforehand and not timed.

Run as ``python -m benchmarks.floor CATALOG MARGIN WORKERS``: prints JSON.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.content import pixel_files, row_keys
from benchmarks.pages import Page, touched_pages

POSITION_COLUMNS = ["_healpix_29", "ra", "dec"]
REPETITIONS = 5


@dataclass(frozen=True)
class Floor:
    """Median seconds of the two parts, and what the pages amount to."""

    positions_seconds: float
    pages_seconds: float
    pages: int
    pages_bytes: int
    files_touched: int

    @property
    def seconds(self) -> float:
        """Both parts together."""
        return self.positions_seconds + self.pages_seconds


def _read_positions(paths: list[str]) -> int:
    return sum(
        pq.ParquetFile(path).read(columns=POSITION_COLUMNS, use_threads=False).num_rows for path in paths
    )


def _read_pages(work: list[tuple[str, list[Page]]]) -> int:
    total = 0
    codecs = {"SNAPPY": pa.Codec("snappy"), "ZSTD": pa.Codec("zstd")}
    for path, pages in work:
        file = os.open(path, os.O_RDONLY)
        for page in pages:
            data = os.pread(file, page.compressed_bytes, page.offset)
            if page.codec != "UNCOMPRESSED":
                data = codecs[page.codec].decompress(data, page.decompressed_bytes)
            total += len(data)
        os.close(file)
    return total


def _pages_of_file(path: Path, keys_of_margin: np.ndarray[tuple[int], np.dtype[np.int64]]) -> list[Page]:
    keys = pq.ParquetFile(path).read(columns=["source_id"])["source_id"].to_numpy()
    rows = np.nonzero(np.isin(keys, keys_of_margin))[0]
    return touched_pages(path, rows, set(POSITION_COLUMNS)) if rows.size else []


def measure_floor(catalog: Path, margin: Path, workers: int) -> Floor:
    """Measure the floor of a catalog for the rows that a finished margin holds."""
    paths = [path for files in pixel_files(catalog).values() for path in files]
    selected = [*row_keys(margin).values(), np.arange(0)]
    keys = np.unique(np.concatenate(selected))
    work = [(str(path), pages) for path in paths if (pages := _pages_of_file(path, keys))]
    # Largest first, dealt out in turn: every process gets an equal share.
    work.sort(key=lambda item: -sum(page.compressed_bytes for page in item[1]))
    paths.sort(key=lambda path: -path.stat().st_size)
    position_seconds, page_seconds = [], []
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("fork")) as pool:
        list(pool.map(_read_positions, [[str(paths[0])]] * workers * 2))
        for _ in range(REPETITIONS):
            start = time.perf_counter()
            list(
                pool.map(
                    _read_positions, [[str(path) for path in paths[part::workers]] for part in range(workers)]
                )
            )
            position_seconds.append(time.perf_counter() - start)
            start = time.perf_counter()
            list(pool.map(_read_pages, [work[part::workers] for part in range(workers)]))
            page_seconds.append(time.perf_counter() - start)
    return Floor(
        positions_seconds=float(np.median(position_seconds)),
        pages_seconds=float(np.median(page_seconds)),
        pages=sum(len(pages) for _, pages in work),
        pages_bytes=sum(page.compressed_bytes for _, pages in work for page in pages),
        files_touched=len(work),
    )


def main() -> None:
    """Entry point: CATALOG MARGIN WORKERS."""
    catalog, margin, workers = sys.argv[1:]
    print(json.dumps(asdict(measure_floor(Path(catalog), Path(margin), int(workers)))))


if __name__ == "__main__":
    main()
