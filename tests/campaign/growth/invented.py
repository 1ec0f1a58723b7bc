"""A catalog whose reader invents its rows: no disk holds it, however many rows and partitions it has.

``invented://ORDER-PARTITIONS-ROWS-SEED`` is a HATS catalog of the first PARTITIONS pixels of ORDER, each with ROWS rows
spread evenly over it. A file is written in memory when it is asked for, from the seed and its pixel alone. No column
has nulls, a dictionary or compression, so all files are of one size.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from fsspec import AbstractFileSystem, register_implementation

from benchmarks.generate import relative_path
from benchmarks.healpix_plane import Floats, Integers, cell_points, coordinates_deg

PROTOCOL = "invented"
_MAGNITUDES = ("g_mag", "bp_mag", "rp_mag", "parallax")
_TYPES = {"_healpix_29": pa.int64(), "source_id": pa.int64(), "ra": pa.float64(), "dec": pa.float64()}
_SCHEMA = pa.schema(
    pa.field(name, kind, nullable=False)
    for name, kind in (_TYPES | dict.fromkeys(_MAGNITUDES, pa.float32())).items()
)
_DEEPEST = 29


@dataclass(frozen=True)
class InventedSky:
    """What an invented catalog is: its partitions, the rows of each, and the seed."""

    order: int
    partitions: int
    rows: int
    seed: int

    @classmethod
    def of(cls, partitions: int, rows: int, seed: int) -> InventedSky:
        """So many partitions, of the lowest order that has as many, with `rows` rows in all."""
        order = next(order for order in range(_DEEPEST) if 12 * 4**order >= partitions)
        return cls(order, partitions, rows // partitions, seed)

    @property
    def url(self) -> str:
        """Where the catalog is found, once this module is imported."""
        return f"{PROTOCOL}://{self.order}-{self.partitions}-{self.rows}-{self.seed}"

    def positions(self, pixel: int) -> tuple[Integers, Floats, Floats]:
        """Index at order 29, right ascension and declination in degrees of the rows of a partition."""
        random = np.random.default_rng([self.seed, self.order, pixel])
        inside = 2 * (_DEEPEST - self.order)
        index = np.sort(random.integers(0, 1 << inside, self.rows)) + (pixel << inside)
        within = (index & ((1 << 2 * _DEEPEST) - 1)).astype(np.uint64)
        # The middle of a pixel of order 29 lies a ten-thousandth of an arcsecond inside it.
        u, v = ((_every_second_bit(within >> np.uint64(bit)) + 0.5) / 2.0**_DEEPEST for bit in (0, 1))
        return index, *coordinates_deg(cell_points(index >> 2 * _DEEPEST, u, v))

    def write(self, folder: Path) -> None:
        """Write the catalog to disk; what it would be if it were not invented."""
        for pixel in range(self.partitions):
            file = folder / "dataset" / _name(self, pixel)
            if pixel % 10_000 == 0:
                file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(self.file(pixel))
        for name, content in _about(self).items():
            (folder / name).write_bytes(content)

    def file(self, pixel: int) -> bytes:
        """The Parquet file of a partition."""
        index, ra_deg, dec_deg = self.positions(pixel)
        number = np.arange(pixel * self.rows, (pixel + 1) * self.rows)
        columns = [index, number, ra_deg, dec_deg, *_magnitudes(self.rows)]
        sink = pa.BufferOutputStream()
        pq.write_table(
            pa.table(columns, schema=_SCHEMA),
            sink,
            row_group_size=100_000,
            write_statistics=["_healpix_29"],
            compression="none",
            use_dictionary=False,
            data_page_size=128 << 10,
        )
        return sink.getvalue().to_pybytes()

    @property
    def file_bytes(self) -> int:
        """Size of each file."""
        return _size(self.rows)


def _every_second_bit(values: np.ndarray) -> np.ndarray:
    """Bits 0, 2, 4 and so on of each value, moved together."""
    values = values & np.uint64(0x5555555555555555)
    for shift, mask in (
        (1, 0x3333333333333333),
        (2, 0x0F0F0F0F0F0F0F0F),
        (4, 0x00FF00FF00FF00FF),
        (8, 0x0000FFFF0000FFFF),
        (16, 0x00000000FFFFFFFF),
    ):
        values = (values | (values >> np.uint64(shift))) & np.uint64(mask)
    return values


@lru_cache(maxsize=8)
def _magnitudes(rows: int) -> list[np.ndarray]:
    random = np.random.default_rng(rows)
    return [random.normal(18.0, 2.0, rows).astype(np.float32) for _ in _MAGNITUDES]


@lru_cache(maxsize=8)
def _size(rows: int) -> int:
    return len(InventedSky(0, 1, rows, seed=0).file(0))


@lru_cache(maxsize=4)
def _file(sky: InventedSky, pixel: int) -> bytes:
    begun = time.thread_time()
    file = sky.file(pixel)
    with InventedFileSystem.counting:
        InventedFileSystem.inventing_seconds += time.thread_time() - begun
    return file


class InventedFileSystem(AbstractFileSystem):  # type: ignore[misc]
    """The files of invented catalogs, to be read.

    Attributes
    ----------
    inventing_seconds : float
        Processor time that went into making files up, in this process.
    """

    protocol = PROTOCOL
    inventing_seconds = 0.0
    counting = threading.Lock()

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        """Size of a file, or that there is a folder."""
        sky, inside = _parsed(self._strip_protocol(path))
        name = f"{sky.url.removeprefix(f'{PROTOCOL}://')}/{inside}".rstrip("/")
        if inside in ("", "dataset"):
            return {"name": name, "size": 0, "type": "directory"}
        about = _about(sky)
        if inside in about:
            return {"name": name, "size": len(about[inside]), "type": "file"}
        pixel = _pixel(sky, inside)
        if pixel is None:
            raise FileNotFoundError(path)
        return {"name": name, "size": sky.file_bytes, "type": "file"}

    def find(self, path: str, detail: bool = False, **_: Any) -> Any:
        """Every file of a catalog, or below its dataset folder."""
        root = self._strip_protocol(path)
        sky, inside = _parsed(root)
        if inside not in ("", "dataset"):
            raise FileNotFoundError(path)
        catalog = root.partition("/")[0]
        size = sky.file_bytes
        names = (f"{catalog}/dataset/{_name(sky, pixel)}" for pixel in range(sky.partitions))
        files = {name: {"name": name, "size": size, "type": "file"} for name in names}
        small = (f"{catalog}/{name}" for name in _about(sky) if name.startswith(inside))
        files |= {name: self.info(name) for name in small}
        return files if detail else list(files)

    def ls(self, path: str, detail: bool = True, **_: Any) -> Any:
        """Only whole catalogs are listed."""
        return list(self.find(path, detail=True).values()) if detail else self.find(path)

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **_: Any) -> bytes:
        """Bytes of a file."""
        sky, inside = _parsed(self._strip_protocol(path))
        about = _about(sky)
        if inside in about:
            return about[inside][start:end]
        pixel = _pixel(sky, inside)
        if pixel is None:
            raise FileNotFoundError(path)
        return _file(sky, pixel)[start:end]


def _parsed(path: str) -> tuple[InventedSky, str]:
    name, _, inside = path.strip("/").partition("/")
    try:
        return InventedSky(*map(int, name.split("-"))), inside
    except (TypeError, ValueError):
        raise FileNotFoundError(path) from None


def _name(sky: InventedSky, pixel: int) -> str:
    return relative_path(sky.order, pixel).relative_to("dataset").as_posix()


def _pixel(sky: InventedSky, inside: str) -> int | None:
    text = inside.rpartition("Npix=")[2].removesuffix(".parquet")
    is_there = (
        text.isdecimal() and int(text) < sky.partitions and inside == f"dataset/{_name(sky, int(text))}"
    )
    return int(text) if is_there else None


@lru_cache(maxsize=8)
def _about(sky: InventedSky) -> dict[str, bytes]:
    """The small files of a catalog."""
    sink = pa.BufferOutputStream()
    pq.write_metadata(_SCHEMA, sink)
    properties = {
        "obs_collection": "invented",
        "dataproduct_type": "object",
        "hats_nrows": sky.partitions * sky.rows,
        "hats_col_ra": "ra",
        "hats_col_dec": "dec",
        "hats_col_healpix": "_healpix_29",
        "hats_col_healpix_order": 29,
        "hats_npix_suffix": ".parquet",
    }
    lines = "".join(f"{sky.order},{pixel}\n" for pixel in range(sky.partitions))
    return {
        "hats.properties": "".join(f"{key}={value}\n" for key, value in properties.items()).encode(),
        "partition_info.csv": f"Norder,Npix\n{lines}".encode(),
        "dataset/_common_metadata": sink.getvalue().to_pybytes(),
    }


register_implementation(PROTOCOL, InventedFileSystem, clobber=True)
