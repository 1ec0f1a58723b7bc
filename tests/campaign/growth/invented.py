"""A catalog whose reader invents its rows: no disk holds it, however many rows and partitions it has.

``invented://ORDER-PARTITIONS-ROWS-SEED`` is a HATS catalog of the first PARTITIONS pixels of ORDER, each with ROWS rows
spread evenly over it. A file comes to be when it is asked for, from the seed and its pixel alone: a Parquet file that
was written once serves as the mould of all, into which the positions are put. All files are therefore of one size.
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

from benchmarks.healpix_plane import Floats, Integers, cell_to_lon_lat

PROTOCOL = "invented"
COLUMNS = ("_healpix_29", "source_id", "ra", "dec")
_MAGNITUDES = ("g_mag", "bp_mag", "rp_mag", "parallax")
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
        longitude, latitude = cell_to_lon_lat(index >> 2 * _DEEPEST, u, v)
        return index, np.degrees(longitude), np.degrees(latitude)

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
        return _mould(self.rows).cast(dict(zip(COLUMNS, (index, number, ra_deg, dec_deg), strict=True)))


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


class _Mould:
    """A Parquet file of so many rows, and where in it each value of the first four columns lies."""

    def __init__(self, rows: int) -> None:
        random = np.random.default_rng(rows)
        # Values that occur nowhere else in the file: where they lie, others will.
        marks = {name: np.sort(random.integers(1 << 60, 1 << 61, rows)) for name in COLUMNS}
        columns: dict[str, np.ndarray] = {
            name: mark if name in COLUMNS[:2] else mark.view(np.float64) for name, mark in marks.items()
        }
        for name in _MAGNITUDES:
            columns[name] = random.normal(18.0, 2.0, rows).astype(np.float32)
        fields = [
            pa.field(name, pa.from_numpy_dtype(one.dtype), nullable=False) for name, one in columns.items()
        ]
        self.schema = pa.schema(fields)
        sink = pa.BufferOutputStream()
        table = pa.table(list(columns.values()), schema=self.schema)
        options: dict[str, Any] = {
            "compression": "none",
            "use_dictionary": False,
            "data_page_size": 128 << 10,
        }
        pq.write_table(table, sink, row_group_size=100_000, write_statistics=["_healpix_29"], **options)
        self._bytes = sink.getvalue().to_pybytes()
        self.size = len(self._bytes)
        self._runs = {name: _runs(self._bytes, mark) for name, mark in marks.items()}
        index = marks["_healpix_29"]
        ends = {row for first, stop, _ in self._runs["_healpix_29"] for row in (first, stop - 1)}
        ends |= {row for first in range(0, rows, 100_000) for row in (first, min(first + 100_000, rows) - 1)}
        self._statistics = [
            (row, place) for row in ends for place in _places(self._bytes, index[row].tobytes())
        ]

    def cast(self, columns: dict[str, np.ndarray]) -> bytes:
        """The file with other values in its first four columns."""
        file = bytearray(self._bytes)
        for name, values in columns.items():
            for first, stop, place in self._runs[name]:
                file[place : place + 8 * (stop - first)] = values[first:stop].tobytes()
        for row, place in self._statistics:
            file[place : place + 8] = columns["_healpix_29"][row].tobytes()
        return bytes(file)


def _runs(file: bytes, values: np.ndarray) -> list[tuple[int, int, int]]:
    """Where stretches of the values lie one after the other: first row, row after the last, and byte."""
    runs = []
    first = place = 0
    while first < len(values):
        wanted = values[first : first + 2].tobytes()
        place = file.find(wanted, place)
        if place < 0:
            raise ValueError(f"row {first} is not found in the mould")
        there = np.frombuffer(file, values.dtype, min(len(values) - first, (len(file) - place) // 8), place)
        is_other = there != values[first : first + len(there)]
        stop = first + (int(is_other.argmax()) if is_other.any() else len(there))
        runs.append((first, stop, place))
        place += 8 * (stop - first)
        first = stop
    return runs


def _places(file: bytes, wanted: bytes) -> list[int]:
    places = []
    place = file.find(wanted)
    while place >= 0:
        places.append(place)
        place = file.find(wanted, place + 1)
    return places


@lru_cache(maxsize=8)
def _mould(rows: int) -> _Mould:
    return _Mould(rows)


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
        return {"name": name, "size": _mould(sky.rows).size, "type": "file"}

    def find(self, path: str, detail: bool = False, **_: Any) -> Any:
        """Every file of a catalog, or below its dataset folder."""
        root = self._strip_protocol(path)
        sky, inside = _parsed(root)
        if inside not in ("", "dataset"):
            raise FileNotFoundError(path)
        catalog = root.partition("/")[0]
        size = _mould(sky.rows).size
        names = (f"{catalog}/dataset/{_name(sky, pixel)}" for pixel in range(sky.partitions))
        found = {name: {"name": name, "size": size, "type": "file"} for name in names}
        small = (f"{catalog}/{name}" for name in _about(sky) if name.startswith(inside))
        found |= {name: self.info(name) for name in small}
        return found if detail else list(found)

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
    return f"Norder={sky.order}/Dir={pixel // 10_000 * 10_000}/Npix={pixel}.parquet"


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
    pq.write_metadata(_mould(sky.rows).schema, sink)
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
