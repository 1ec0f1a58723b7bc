"""HATS catalogs of made-up rows, written from scratch; and what is in a margin on disk."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.generate import finish_catalog, relative_path
from skymargin import MarginCacheArguments, MarginReport, pipeline
from skymargin.arrow.transport import from_transport, to_transport
from skymargin.build.subset.provenance import RECORD
from skymargin.storage.paths import AnyPath, list_files
from tests.support import brute_force

Pixel = tuple[int, int]

# Whole sky in four orders; the two partitions at the north pole, and one that touches |z| = 2/3, are small.
MIXED_PARTITIONS: tuple[Pixel, ...] = (
    *((0, pixel) for pixel in (1, 2, 5, 6, 7, 8, 9, 10, 11)),
    *((1, pixel) for pixel in (0, 1, 2, 12, 14, 15, 16, 17, 19)),
    *((2, pixel) for pixel in (12, 13, 14, 52, 53, 54, 55, 72, 73, 75)),
    *((3, pixel) for pixel in (60, 61, 62, 63, 296, 297, 299)),
)

PARTITION_PATH = re.compile(r"Norder=(\d+)/Dir=(\d+)/Npix=(\d+)")

# Lines that are of one run, or say where the primary catalog is and how much room folders take on a disk.
OWN_LINES = re.compile(
    rb"^(#.*|hats_creation_date=.*|hats_primary_table_url=.*|hats_estsize=.*)\n", re.MULTILINE
)


@dataclass(frozen=True)
class Sky:
    """Rows of a catalog, and the partition each of them lies in."""

    partitions: tuple[Pixel, ...]
    ra_deg: np.ndarray
    dec_deg: np.ndarray
    own_order: np.ndarray
    own_pixel: np.ndarray
    # Brute force takes half a second, and the tests of a module ask for the same margins again and again.
    _margins: dict[float, dict[Pixel, np.ndarray]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        # What is known of the rows holds for as long as they are these.
        for values in (self.ra_deg, self.dec_deg, self.own_order, self.own_pixel):
            values.setflags(write=False)

    def __len__(self) -> int:
        return len(self.ra_deg)

    def margins(self, threshold_arcsec: float) -> dict[Pixel, list[int]]:
        """Ids of the rows of each margin, by brute force."""
        if threshold_arcsec not in self._margins:
            self._margins[threshold_arcsec] = brute_force.margins(
                self.ra_deg, self.dec_deg, self.own_order, self.own_pixel, self.partitions, threshold_arcsec
            )
        return {pixel: rows.tolist() for pixel, rows in self._margins[threshold_arcsec].items()}

    def take(self, rows: np.ndarray) -> Sky:
        """Some of the rows, which get new ids."""
        return Sky(
            self.partitions,
            self.ra_deg[rows],
            self.dec_deg[rows],
            self.own_order[rows],
            self.own_pixel[rows],
        )

    def lies_in(self, order: int, pixel: int) -> np.ndarray:
        """Whether each row lies in a partition."""
        return (self.own_order == order) & (self.own_pixel == pixel)


@dataclass(frozen=True)
class Layout:
    """How a catalog is kept on disk."""

    row_group_rows: int = 1_000
    files_per_partition: int = 0
    suffix: str = ".parquet"
    index_column: str | None = "_healpix_29"
    index_order: int = 29
    index_sorted: bool = True
    coordinates: pa.DataType = field(default_factory=pa.float64)
    statistics: bool = True
    without: tuple[str, ...] = ()
    options: Mapping[str, object] = field(default_factory=dict)


@cache
def sky_near_edges(
    partitions: tuple[Pixel, ...],
    rows: int,
    reach_arcsec: float,
    seed: int,
    coordinates: pa.DataType | None = None,
) -> Sky:
    """Rows of which most lie near an edge or a corner of a partition, at distances up to a few times `reach_arcsec`.

    Rows outside all partitions are left out; so there are a few less than `rows` where the sky is not covered. Who asks
    for the same sky again gets the same one, with the margins that are known of it.
    """
    random = np.random.default_rng(seed)
    scattered = rows // 4
    chosen = random.integers(0, len(partitions), rows - scattered)
    along = np.where(
        random.random(len(chosen)) < 0.3, random.integers(0, 2, len(chosen)), random.random(len(chosen))
    )
    edge = np.array([random.integers(0, 4) for _ in chosen])
    on_edge = np.empty((len(chosen), 3))
    for number, pixel in enumerate(partitions):
        mine = chosen == number
        on_edge[mine] = brute_force.edge_points(*pixel, edge[mine], along[mine])
    distance = (
        reach_arcsec * brute_force.ARCSEC_RAD * np.exp(random.uniform(np.log(1e-3), np.log(4), len(chosen)))
    )
    direction = random.normal(size=on_edge.shape)
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    points = on_edge + direction * distance[:, None]
    points = np.concatenate([points, random.normal(size=(scattered, 3))])
    ra_deg = np.mod(np.degrees(np.arctan2(points[:, 1], points[:, 0])), 360)
    dec_deg = np.degrees(np.arctan2(points[:, 2], np.hypot(points[:, 0], points[:, 1])))
    return sky_at(partitions, ra_deg, dec_deg, coordinates)


def sky_at(
    partitions: tuple[Pixel, ...],
    ra_deg: np.ndarray,
    dec_deg: np.ndarray,
    coordinates: pa.DataType | None = None,
) -> Sky:
    """Rows at positions that are given; those outside all partitions are left out."""
    own_order = np.full(len(ra_deg), 255, dtype=np.uint8)
    own_pixel = np.zeros(len(ra_deg), dtype=np.uint64)
    for order in sorted({order for order, _ in partitions}):
        at = brute_force.pixels_of(ra_deg, dec_deg, order)
        inside = np.isin(at, np.array([pixel for k, pixel in partitions if k == order], dtype=np.uint64))
        own_order[inside], own_pixel[inside] = order, at[inside]
    covered = own_order != 255
    # The rows are where the coordinates that are kept say, whatever their precision.
    ra_deg, dec_deg = (
        pa.array(values[covered]).cast(coordinates or pa.float64(), safe=False).cast(pa.float64()).to_numpy()
        for values in (ra_deg, dec_deg)
    )
    return Sky(partitions, ra_deg, dec_deg, own_order[covered], own_pixel[covered])


def write_catalog(
    path: Path, sky: Sky, layout: Layout | None = None, table: pa.Table | None = None, **properties: str
) -> None:
    """Write the rows as a HATS catalog; `table`, with the columns of `rows_of` and more, stands in for it."""
    layout = layout or Layout()
    table = rows_of(sky, layout) if table is None else table
    dataset = path / "dataset"
    dataset.mkdir(parents=True)
    footers: list[pq.FileMetaData] = []
    for order, pixel in sky.partitions:
        own = sky.lies_in(order, pixel)
        # pyarrow cannot filter views.
        mine = from_transport(
            to_transport(table).filter(pa.array(own[table.column("id").to_numpy()])), table.schema
        )
        stem = relative_path(order, pixel).relative_to("dataset").with_suffix("").as_posix()
        names = [stem + layout.suffix]
        if layout.suffix == "/":
            names = [f"{stem}/part{number}.parquet" for number in range(layout.files_per_partition or 1)]
        for number, name in enumerate(names):
            first, last = (len(mine) * step // len(names) for step in (number, number + 1))
            part = mine.slice(first, last - first)
            (dataset / name).parent.mkdir(parents=True, exist_ok=True)
            pq.write_table(
                part,
                dataset / name,
                row_group_size=layout.row_group_rows,
                write_statistics=layout.statistics,
                metadata_collector=footers,
                **layout.options,
            )
            footers[-1].set_file_path(name)
    about = {
        "obs_collection": path.name,
        "hats_nrows": str(len(sky)),
        "hats_npix_suffix": layout.suffix,
    }
    if layout.index_column:
        about |= {"hats_col_healpix": layout.index_column, "hats_col_healpix_order": str(layout.index_order)}
    finish_catalog(path, table.schema, footers, sky.partitions, about | properties, layout.without)


def rows_of(sky: Sky, layout: Layout) -> pa.Table:
    """The rows of a sky with columns of many types, sorted by position."""
    count = len(sky)
    number = np.arange(count)
    index = brute_force.pixels_of(sky.ra_deg, sky.dec_deg, layout.index_order).astype(np.int64)
    columns: dict[str, pa.Array] = {
        "id": pa.array(number),
        "ra": pa.array(sky.ra_deg).cast(layout.coordinates),
        "dec": pa.array(sky.dec_deg).cast(layout.coordinates),
        "mag": pa.array(np.sin(number), pa.float32(), mask=number % 7 == 0),
        "name": pa.array([f"star {n}" * (n % 3) for n in number]),
        "band": pa.array([f"band {n % 5}" for n in number]).dictionary_encode(),
        "curve": pa.array(
            [{"mjd": [float(n)] * (n % 4), "flag": None} for n in number],
            pa.struct([("mjd", pa.list_(pa.float64())), ("flag", pa.bool_())]),
        ),
        "seen": pa.array(number * 1_000, pa.timestamp("us", "UTC")),
        "note": pa.nulls(count),
    }
    if layout.index_column:
        columns[layout.index_column] = pa.array(index)
    fields = [
        pa.field(name, column.type, metadata={"unit": f"of {name}"}) for name, column in columns.items()
    ]
    table = pa.table(list(columns.values()), schema=pa.schema(fields, metadata={"made": "for tests"}))
    order = (
        np.argsort(index, kind="stable")
        if layout.index_sorted
        else np.random.default_rng(3).permutation(count)
    )
    return table.take(pa.array(order)).combine_chunks()


def arguments_of(
    catalog: AnyPath, output: AnyPath, threshold_arcsec: float, name: str = "margin", **others: Any
) -> MarginCacheArguments:
    """Arguments of a run without progress bars."""
    return MarginCacheArguments(
        **{
            "input_catalog_path": catalog,
            "output_path": output,
            "output_artifact_name": name,
            "margin_threshold": threshold_arcsec,
            "progress_bar": False,
            **others,
        }
    )


def make_margin(
    catalog: AnyPath, output: AnyPath, threshold_arcsec: float, name: str = "margin", **others: Any
) -> MarginReport:
    """Run the pipeline without progress bars."""
    return pipeline(arguments_of(catalog, output, threshold_arcsec, name, **others))


def make_margins(
    catalog: AnyPath, output: AnyPath, thresholds_arcsec: Sequence[float], **others: Any
) -> list[MarginReport]:
    """Make several margins in one run, each named by its threshold, without progress bars."""
    return pipeline(
        [
            arguments_of(catalog, output, threshold_arcsec, f"margin_{threshold_arcsec:g}", **others)
            for threshold_arcsec in thresholds_arcsec
        ]
    )


def files_of(catalog: Path) -> dict[Pixel, Path]:
    """The file of each partition of a HATS or HiPSCat catalog."""
    root = catalog / "dataset" if (catalog / "dataset").exists() else catalog
    files = {}
    for file in root.rglob("*.parquet"):
        match = PARTITION_PATH.match(file.relative_to(root).as_posix())
        assert match, f"{file} is not a partition"
        assert int(match[2]) == int(match[3]) // 10_000 * 10_000, file
        files[int(match[1]), int(match[3])] = file
    return files


def rows_in_file(file: Path) -> pa.Table:
    """All rows of a Parquet file."""
    return pq.ParquetFile(file).read()


def rows_in(catalog: Path) -> pa.Table:
    """All rows of a catalog."""
    return pa.concat_tables([rows_in_file(file) for file in files_of(catalog).values()])


def count_rows(catalog: Path) -> int:
    """How many rows the footers of a catalog state."""
    return sum(pq.read_metadata(file).num_rows for file in files_of(catalog).values())


def file_bytes(catalog: Path) -> dict[Pixel, bytes]:
    """The content of the file of each partition."""
    return {pixel: file.read_bytes() for pixel, file in files_of(catalog).items()}


def with_values(table: pa.Table, column: str, values: Sequence[object]) -> pa.Table:
    """The table with other values in a column, whose type and metadata stay."""
    place = table.schema.get_field_index(column)
    kind = table.schema.field(place)
    if pa.types.is_dictionary(kind.type):
        array = pa.array(values, kind.type.value_type).dictionary_encode().cast(kind.type)
    else:
        array = pa.array(values, kind.type)
    return table.set_column(place, kind, array)


def with_value(table: pa.Table, column: str, row: int, value: object) -> pa.Table:
    """The table with another value in one row of a column."""
    values = table.column(column).to_pylist()
    values[row] = value
    return with_values(table, column, values)


def fullest(catalog: Path) -> Path:
    """The file with the most rows."""
    return max(files_of(catalog).values(), key=lambda file: pq.read_metadata(file).num_rows)


def edit(file: Path, old: str, new: str) -> None:
    """Replace a part of a text file, which must be there."""
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def edit_properties(catalog: Path, old: str, new: str) -> None:
    """Replace a part of both properties files of a catalog."""
    for name in ("hats.properties", "properties"):
        edit(catalog / name, old, new)


def state_rows(catalog: Path) -> None:
    """Have a catalog whose files were changed say how many rows it has, as a tool that changes it would."""
    lines = (catalog / "partition_info.csv").read_text().splitlines()[1:]
    pixels = {(int(order), int(pixel)) for order, pixel, *_ in (line.split(",") for line in lines)}
    rows = sum(
        pq.read_metadata(file).num_rows for pixel, file in files_of(catalog).items() if pixel in pixels
    )
    for name in ("hats.properties", "properties", "catalog_info.json"):
        if (catalog / name).exists():
            text = (catalog / name).read_text()
            text = re.sub(r"(?m)^hats_nrows=.*$", f"hats_nrows={rows}", text)
            (catalog / name).write_text(re.sub(r'"total_rows": \d+', f'"total_rows": {rows}', text))
    for folder in (catalog, catalog / "dataset"):
        (folder / "_metadata").unlink(missing_ok=True)


def state_properties(margin: Path, **properties: object) -> None:
    """Change what the properties of a margin say; in any case its number of rows, to what it holds."""
    for name in ("hats.properties", "properties"):
        lines = (margin / name).read_text().splitlines()
        for key, value in {"hats_nrows": count_rows(margin), **properties}.items():
            lines = [f"{key}={value}" if line.startswith(f"{key}=") else line for line in lines]
        (margin / name).write_text("\n".join(lines) + "\n")


def ids_of(margin: Path, column: str = "id") -> dict[Pixel, list[int]]:
    """Sorted ids of the rows of each margin on disk."""
    return {
        pixel: sorted(pq.ParquetFile(file).read([column]).column(column).to_pylist())
        for pixel, file in files_of(margin).items()
    }


def contents(catalog: Path, least: int = 20) -> dict[str, bytes]:
    """Every file of a catalog; of the properties, all but the time of day."""
    files = {}
    for file in catalog.rglob("*"):
        if file.is_file():
            lines = file.read_bytes()
            if file.name.endswith("properties"):
                lines = b"\n".join(
                    line for line in lines.splitlines() if not line.startswith(b"hats_creation_date")
                )
            files[file.relative_to(catalog).as_posix()] = lines
    assert len(files) >= least
    return files


def same_margin(got: dict[str, bytes], expected: dict[str, bytes]) -> bool:
    """Whether margins are the same, but for the lines of their properties that cannot be.

    Parameters
    ----------
    got, expected
        The contents of each file, from stores of two kinds or from two runs.
    """

    def bare(files: dict[str, bytes]) -> dict[str, bytes]:
        return {
            name: OWN_LINES.sub(b"", content) if name.endswith("properties") else content
            for name, content in files.items()
            # Its digests are of times and tags, which each store has its own of.
            if not name.endswith(RECORD)
        }

    assert any(name.endswith(RECORD) for name in got)
    return bare(got) == bare(expected)


def on_disk(folder: Path) -> dict[str, bytes]:
    """Contents of every file of a folder."""
    return {name: (folder / name).read_bytes() for name in list_files(folder)}


def plain(table: pa.Table) -> pa.Table:
    """Return a table in one chunk, with dictionaries as their values: equal rows are then equal tables."""
    for number, kept in enumerate(table.schema):
        if pa.types.is_dictionary(kept.type):
            values = table.column(number).cast(kept.type.value_type)
            table = table.set_column(number, kept.with_type(kept.type.value_type), values)
    return table.combine_chunks()


def nothing_left(output: Path) -> bool:
    """Whether a folder holds nothing at all, or is not there."""
    return not output.exists() or not any(output.iterdir())
