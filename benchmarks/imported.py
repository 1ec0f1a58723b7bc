"""Catalogs that hats-import writes itself, in its own environment, from Parquet files that are made here."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from benchmarks.columns import MAKERS, Rows
from benchmarks.environments import make_peer
from benchmarks.generate import SEED, TINY_SHARE, spatial_index
from benchmarks.sky import galactic_positions

ROWS_OF_A_FILE = 500_000
# Thicker than in the other catalogs: thresholds of 200,000 and 12,000 rows make 123 and 1,824 partitions.
_DISK_HEIGHT = 0.5
# Fine enough that no pixel of it has as many rows as a partition may have.
_HIGHEST_ORDER = 7
_COLUMNS = "measurements"


@dataclass(frozen=True)
class ImportedSpec:
    """A catalog imported by hats-import: at most `pixel_threshold` rows in a partition.

    The files are laid out as hats-import 0.11.0 and earlier versions write them: dictionaries, no page index, one row
    group a file. Later versions have another default, and are asked for this layout.
    """

    pixel_threshold: int
    rows: int = 10_000_000
    seed: int = SEED

    @property
    def name(self) -> str:
        """The catalog's name, and its folder's."""
        return f"imported_{self.rows}_rows_at_most_{self.pixel_threshold}_{self.seed}"

    def write(self, path: Path, threads: int) -> None:
        """Import the catalog."""
        python = make_peer("hats-import")
        begun = time.monotonic()
        scratch = path.with_name(path.name + ".unfinished")
        for folder in (scratch, path):
            shutil.rmtree(folder, ignore_errors=True)
        (scratch / "tmp").mkdir(parents=True)
        arguments = {
            "input_file_list": [str(file) for file in self._write_input(scratch / "input", threads)],
            "output_path": str(scratch),
            "output_artifact_name": path.name,
            "ra_column": "ra",
            "dec_column": "dec",
            "pixel_threshold": self.pixel_threshold,
            "highest_healpix_order": _HIGHEST_ORDER,
            "write_table_kwargs": _earlier_layout(),
            "tmp_dir": str(scratch / "tmp"),
            "dask_tmp": str(scratch / "tmp"),
            "dask_n_workers": threads,
            "dask_threads_per_worker": 1,
            "progress_bar": False,
        }
        script = Path(__file__).parent / "peers" / "import_catalog.py"
        subprocess.run([str(python), str(script), json.dumps(arguments)], check=True)
        check_layout(next((scratch / path.name / "dataset").rglob("Npix=*.parquet")))
        (scratch / path.name).rename(path)
        shutil.rmtree(scratch)
        print(f"  imported in {time.monotonic() - begun:.0f} s", flush=True)

    def tiny(self) -> ImportedSpec:
        """The same with few rows, in as many partitions."""
        return replace(
            self, rows=self.rows // TINY_SHARE, pixel_threshold=max(self.pixel_threshold // TINY_SHARE, 1_000)
        )

    def _write_input(self, folder: Path, threads: int) -> list[Path]:
        """The rows as Parquet files, in the order of the sky: hats-import then splits a file into few pixels."""
        folder.mkdir()
        ra_deg, dec_deg = galactic_positions(self.rows, self.seed, _DISK_HEIGHT)
        index = spatial_index(ra_deg, dec_deg)
        order = np.argsort(index, kind="stable")

        def write(start: int) -> Path:
            chosen = order[start : start + ROWS_OF_A_FILE]
            numbers = np.arange(start, start + len(chosen))
            rows = Rows(numbers, index[chosen], ra_deg[chosen], dec_deg[chosen])
            file = folder / f"rows_{start:09}.parquet"
            table = MAKERS[_COLUMNS](rows, np.random.default_rng([self.seed, start]))
            pq.write_table(table, file, compression="none", use_dictionary=False)
            return file

        with ThreadPoolExecutor(threads) as pool:
            return list(pool.map(write, range(0, self.rows, ROWS_OF_A_FILE)))


def _earlier_layout() -> dict[str, object]:
    """What hats-import 0.11.0 gives to pyarrow: ZSTD at level 15, else pyarrow's own defaults."""
    empty = np.arange(0)
    floats = empty.astype(np.float64)
    columns = MAKERS[_COLUMNS](Rows(empty, empty, floats, floats), np.random.default_rng(0)).column_names
    return {
        "compression": "ZSTD",
        "compression_level": 15,
        # A column that is named here loses the encoding that later versions have for it.
        "use_dictionary": ["_healpix_29", *columns],
        "write_page_index": False,
        "data_page_size": 1 << 20,
        "dictionary_pagesize_limit": 1 << 20,
    }


def check_layout(file: Path) -> None:
    """Check that a file has dictionaries, no page index and one row group.

    Raises
    ------
    ValueError
        When it has another layout: what is measured on it would not be what the page says.
    """
    metadata = pq.read_metadata(file)
    columns = [metadata.row_group(0).column(number) for number in range(metadata.num_columns)]
    if (
        metadata.num_row_groups != 1
        or any(column.has_offset_index or column.has_column_index for column in columns)
        or not all(column.has_dictionary_page for column in columns)
    ):
        raise ValueError(f"{file}: one row group with dictionaries and without a page index is needed")
