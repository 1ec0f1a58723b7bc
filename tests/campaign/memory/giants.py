"""Catalogs with column chunks of more than 2 GiB and with rows of 100 MB, made of a little noise, and their margins.

A value is a stretch of the noise that its row number decides: what is right is known without reading the catalog.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tests.support.catalogs import Layout, Pixel, Sky, files_of, rows_of, sky_near_edges, write_catalog

PARTITIONS: tuple[Pixel, ...] = ((0, 8), (0, 9))
_COLUMNS = ("id", "ra", "dec", "_healpix_29")
_STRIDE = 7_919


@dataclass
class Giants:
    """A catalog of two partitions whose rows have large values.

    Attributes
    ----------
    sky
        Its rows, most of them near a border.
    value_bytes
        Size of the values of each row in the columns `first` and `second`.
    noise
        What they are stretches of.
    """

    sky: Sky
    value_bytes: np.ndarray
    noise: np.ndarray = field(repr=False)

    @classmethod
    def of(cls, rows: int, seed: int, noise_bytes: int) -> Giants:
        """Rows of no size yet; no value may be larger than the noise."""
        sky = sky_near_edges(PARTITIONS, rows, 60.0, seed)
        noise = np.random.default_rng(seed).integers(0, 256, noise_bytes, dtype=np.uint8)
        return cls(sky, np.zeros(len(sky), dtype=np.int64), noise)

    def value(self, row: int, column: int) -> tuple[int, int]:
        """First byte of a value in the noise, and the byte after its last."""
        size = int(self.value_bytes[row])
        start = (2 * row + column) * _STRIDE % (len(self.noise) - size + 1)
        return start, start + size

    def write(self, folder: Path) -> None:
        """Write the catalog, each partition in one row group, its large columns neither compressed nor copied."""
        layout = Layout()
        table = rows_of(self.sky, layout).select(_COLUMNS)
        empty = pa.array([b""] * len(table), pa.large_binary())
        small = table
        for name in ("first", "second"):
            small = small.append_column(pa.field(name, pa.large_binary()), empty)
        small = small.append_column("last", pa.array(np.zeros(len(table))))
        write_catalog(folder, self.sky, layout, table=small)
        (folder / "dataset" / "_metadata").unlink()
        for file in files_of(folder).values():
            mine = pq.ParquetFile(file).read(list(_COLUMNS))
            numbers = mine.column("id").to_pylist()
            for column, name in enumerate(("first", "second")):
                values = [self._array(row, column) for row in numbers]
                mine = mine.append_column(name, pa.chunked_array(values, pa.large_binary()))
            mine = mine.append_column("last", pa.array(np.array(numbers) / 3))
            pq.write_table(
                mine,
                file,
                row_group_size=len(mine),
                # pyarrow looks at the size of a page only after so many values.
                write_batch_size=1,
                use_dictionary=False,
                compression="none",
            )

    def wrong_rows(self, margin: Path, threshold_arcsec: float) -> tuple[list[str], int]:
        """Compare a margin catalog with brute force and each value with what it must be.

        Returns
        -------
        (list of str, int)
            What is wrong, and how many rows were compared.
        """
        expected = self.sky.margins(threshold_arcsec)
        files = files_of(margin)
        wrong = [
            f"margin {pixel}: {pixel in files} that it is there" for pixel in files.keys() ^ expected.keys()
        ]
        compared = 0
        for pixel, file in files.items():
            rows: list[int] = []
            for batch in pq.ParquetFile(file).iter_batches(batch_size=1):
                row = batch.column("id")[0].as_py()
                rows.append(row)
                compared += 1
                wrong += [f"margin {pixel}, row {row}: {what}" for what in self._wrong(row, batch)]
            if sorted(rows) != expected.get(pixel):
                wrong.append(
                    f"margin {pixel} has {len(rows)} rows, not the {len(expected.get(pixel, []))} it has to have"
                )
        return wrong, compared

    def _wrong(self, row: int, batch: pa.RecordBatch) -> list[str]:
        wrong = []
        for column, name in enumerate(("first", "second")):
            start, stop = self.value(row, column)
            if _digest(batch.column(name)[0].as_buffer()) != _digest(self.noise[start:stop].data):
                wrong.append(f"another value in column {name}")
        if batch.column("last")[0].as_py() != row / 3:
            wrong.append("another value in column last")
        return wrong

    def _array(self, row: int, column: int) -> pa.Array:
        """A value as an array of its own, which is not copied."""
        offsets = pa.py_buffer(np.array(self.value(row, column), dtype=np.int64))
        return pa.LargeBinaryArray.from_buffers(
            pa.large_binary(), 1, [None, offsets, pa.py_buffer(self.noise)]
        )


def _digest(content: object) -> bytes:
    return hashlib.blake2b(content, digest_size=16).digest()  # type: ignore[arg-type]
