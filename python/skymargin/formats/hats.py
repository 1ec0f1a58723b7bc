"""Reading HATS catalogs and writing HATS margin catalogs.

The `hats` library takes 1.8 s to import; nothing here needs it.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skymargin.errors import CatalogError, MissingPartitionError
from skymargin.formats import Catalog, MarginContents, SpatialColumns, require_column
from skymargin.formats.hats_extras import write_descriptions, write_samples
from skymargin.formats.hats_output import encodings, write_margin_properties
from skymargin.formats.properties import read_properties
from skymargin.ranged_reads import read_tail
from skymargin.storage import (
    AnyPath,
    can_list,
    exists,
    file_sizes,
    linked,
    list_files,
    open_input,
    read_text,
)

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

_PROPERTIES = ("hats.properties", "properties")
_COLLECTION = "collection.properties"
_PARTITION_PATH = re.compile(r"Norder=(\d+)/.*Npix=(\d+)")
_DEFAULT_INDEX_COLUMN = "_healpix_29"
_DEFAULT_INDEX_ORDER = 29
_PARQUET_SUFFIXES = (".parquet", ".parq")
# The magic number at both ends of a Parquet file, and the length of its footer.
_SMALLEST_PARQUET_BYTES = 12


def is_catalog(path: AnyPath) -> bool:
    """Whether the folder holds a HATS catalog or collection, whole or not."""
    marks = (*_PROPERTIES, _COLLECTION, "partition_info.csv", "dataset")
    return any(exists(path / mark) for mark in marks)


def open_catalog(path: AnyPath) -> Catalog:
    """Open a HATS catalog, or the primary catalog of a HATS collection.

    Raises
    ------
    CatalogError
        When a file of it is missing or invalid, or names a column that is not there.
    """
    properties_file = next((path / name for name in _PROPERTIES if exists(path / name)), None)
    if properties_file is None:
        return _open_primary(path)
    properties = read_properties(properties_file)
    kind = properties.get("dataproduct_type")
    if kind not in ("object", "source"):
        raise CatalogError(
            f"{properties_file} says dataproduct_type={kind}: margins are made of catalogs of type object or source"
        )
    sizes = list_files(path / "dataset") if can_list(path) else None
    listed_in, partitions = _list_partitions(path, sizes)
    suffix = properties.get("hats_npix_suffix", ".parquet")
    if sizes is None:
        sizes = _sizes_unlisted(path, partitions, suffix)
    files = _partition_files(path, partitions, sizes, suffix, listed_in)
    schema = _read_schema(path, files)
    return Catalog(
        path=path,
        format="hats",
        columns=_spatial_columns(properties, schema, properties_file),
        schema=schema,
        **_partition_arrays(partitions, listed_in),
        files=[tuple(f"dataset/{name}" for name in names) for names in files],
        size_bytes=_total_bytes(files, sizes),
        listed_in=listed_in,
    )


def margin_file(order: int, pixel: int) -> str:
    """Path of a margin partition inside its catalog: one `.parquet` file, unless another suffix is wanted."""
    return f"dataset/Norder={order}/Dir={pixel // 10_000 * 10_000}/Npix={pixel}.parquet"


def write_options(schema: pa.Schema, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """The encodings with which the `hats` library writes catalogs, unless others are wanted."""
    return encodings(schema, wanted)


def finish_margin(folder: AnyPath, catalog: Catalog, contents: MarginContents) -> None:
    """Write the metadata files of a margin catalog, and its properties last.

    Parameters
    ----------
    folder
        The margin catalog, whose partitions are written.
    catalog
        Its primary catalog.
    contents
        What was written.
    """
    import pyarrow.parquet as pq

    dataset = folder / "dataset"
    dataset.mkdir(parents=True, exist_ok=True)
    if contents.footers:
        write_samples(folder, contents.wanted)
    with (dataset / "_common_metadata").open("wb") as sink:
        pq.write_metadata(catalog.schema, sink)
    wanted = contents.wanted
    described = wanted.create_summary_html or wanted.create_summary_md
    if wanted.create_metadata or described:
        with (dataset / "_metadata").open("wb") as sink:
            if contents.footers:
                _merged(contents.footers).write_metadata_file(sink)
            else:
                pq.write_metadata(catalog.schema, sink)
    rows = (f"{order},{pixel}\n" for order, pixel in zip(contents.orders, contents.pixels, strict=True))
    (folder / "partition_info.csv").write_text("Norder,Npix\n" + "".join(rows), encoding="utf-8")
    write_margin_properties(folder, catalog, contents)
    write_descriptions(folder, contents.name, len(contents.orders), wanted)
    if described and not wanted.create_metadata:
        # The library describes columns by what it finds there.
        (dataset / "_metadata").unlink()


def _merged(footers: list[pq.FileMetaData]) -> pq.FileMetaData:
    merged, *others = footers
    for footer in others:
        merged.append_row_groups(footer)
    return merged


def _open_primary(path: AnyPath) -> Catalog:
    collection_file = path / _COLLECTION
    if not exists(collection_file):
        raise CatalogError(f"{path} has no hats.properties, properties or collection.properties")
    inside = read_properties(collection_file).get("hats_primary_table_url")
    if not inside:
        raise CatalogError(
            f"{collection_file} has no hats_primary_table_url: it does not say which catalog it is of"
        )
    primary = linked(path, inside)
    if not any(exists(primary / name) for name in _PROPERTIES):
        raise CatalogError(
            f"{collection_file} names {inside} as its primary catalog, but {primary} is not a catalog"
        )
    return open_catalog(primary)


def _list_partitions(path: AnyPath, sizes: dict[str, int] | None) -> tuple[AnyPath, list[tuple[int, int]]]:
    """Partitions as (order, pixel), and what lists them: partition_info.csv, else _metadata, else the files."""
    listing = path / "partition_info.csv"
    if exists(listing):
        return listing, _read_partition_info(listing)
    listing = path / "dataset" / "_metadata"
    if exists(listing) if sizes is None else "_metadata" in sizes:
        footer = _read_footer(listing)
        names = [footer.row_group(i).column(0).file_path for i in range(footer.num_row_groups)]
        return listing, _partitions_in(names)
    if sizes is None:
        raise CatalogError(
            f"{path} has neither partition_info.csv nor dataset/_metadata, and over HTTP its files cannot be listed: "
            "nothing says which partitions it has"
        )
    return path / "dataset", _partitions_in(sorted(sizes))


def _sizes_unlisted(path: AnyPath, partitions: list[tuple[int, int]], suffix: str) -> dict[str, int]:
    """Sizes of the partitions' files where they cannot be listed; their names say what to ask for."""
    if not suffix.strip("/\\"):
        raise CatalogError(
            f"{path} has a folder for each partition (hats_npix_suffix=/), and over HTTP the files in it cannot be "
            "listed; copy the catalog to a disk or an object store"
        )
    return file_sizes(path / "dataset", [stem + suffix for stem in _stems(partitions)])


def _stems(partitions: list[tuple[int, int]]) -> list[str]:
    return [f"Norder={order}/Dir={pixel // 10_000 * 10_000}/Npix={pixel}" for order, pixel in partitions]


def _partitions_in(names: list[str]) -> list[tuple[int, int]]:
    matches = (_PARTITION_PATH.search(name) for name in names)
    return list(dict.fromkeys((int(match[1]), int(match[2])) for match in matches if match))


def _read_partition_info(listing: AnyPath) -> list[tuple[int, int]]:
    try:
        with io.StringIO(read_text(listing), newline="") as lines:
            reader = csv.DictReader(lines)
            if not {"Norder", "Npix"} <= set(reader.fieldnames or ()):
                raise CatalogError(f"{listing} has no columns Norder and Npix; it has {reader.fieldnames}")
            return [(int(row["Norder"]), int(row["Npix"])) for row in reader]
    except (OSError, UnicodeDecodeError, ValueError, TypeError, csv.Error) as error:
        if isinstance(error, CatalogError):
            raise
        raise CatalogError(f"{listing} cannot be read as a list of partitions: {error}") from error


def _partition_files(
    path: AnyPath,
    partitions: list[tuple[int, int]],
    sizes: dict[str, int],
    suffix: str,
    listed_in: AnyPath,
) -> list[tuple[str, ...]]:
    """Files of each partition, relative to the dataset folder; every one of them exists."""
    stems = _stems(partitions)
    if suffix.strip("/\\"):
        found = {stem: (stem + suffix,) for stem in stems if stem + suffix in sizes}
    else:
        suffix, found = "/", {}
        for name in sorted(sizes):
            stem, _, inside = name.rpartition("/")
            if inside.endswith(_PARQUET_SUFFIXES) and not inside.startswith(("_", ".")):
                found[stem] = (*found.get(stem, ()), name)
    missing = [stem for stem in stems if stem not in found]
    if missing:
        others = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
        raise MissingPartitionError(
            f"{path / 'dataset'}/{missing[0]}{suffix}{others}: listed in {listed_in}, but there is no such "
            + ("folder of Parquet files" if suffix == "/" else "file")
        )
    for stem in stems:
        for name in found[stem]:
            if sizes[name] < _SMALLEST_PARQUET_BYTES:
                raise CatalogError(
                    f"{path / 'dataset' / name} is not a Parquet file: it has {sizes[name]} bytes"
                )
    return [found[stem] for stem in stems]


def _read_schema(path: AnyPath, files: list[tuple[str, ...]]) -> pa.Schema:
    """Schema of the catalog: of _common_metadata, else of _metadata, else of its first partition."""
    candidates = [path / "dataset" / name for name in ("_common_metadata", "_metadata")]
    source = next((file for file in candidates if exists(file)), None)
    if source is None and files:
        source = path / "dataset" / files[0][0]
    if source is None:
        raise CatalogError(
            f"{path} has no partitions and no _common_metadata: nothing says which columns it has"
        )
    schema = _read_footer(source).schema.to_arrow_schema()
    twice = sorted({name for name in schema.names if schema.names.count(name) > 1})
    if twice:
        raise CatalogError(f"{source} has more than one column named {twice[0]!r}")
    return schema


def _read_footer(file: AnyPath) -> pq.FileMetaData:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        # The offsets of a footer count from the start of the file, but it is read from the end.
        with open_input(file) if isinstance(file, Path) else pa.BufferReader(read_tail(file)) as source:
            return pq.read_metadata(source)
    except (OSError, pa.ArrowException) as error:
        raise CatalogError(f"{file} cannot be read as Parquet: {error}") from error


def _spatial_columns(properties: dict[str, str], schema: pa.Schema, where: AnyPath) -> SpatialColumns:
    from pyarrow import types

    names = {}
    for role in ("ra", "dec"):
        name = properties.get(f"hats_col_{role}")
        if not name:
            raise CatalogError(f"{where} has no hats_col_{role}: it does not say which column is {role}")
        kind = require_column(schema, name, role, where).type
        if not (types.is_floating(kind) or types.is_integer(kind)):
            raise CatalogError(
                f"{where} names {name!r} as the {role} column, which is of type {kind}, not a number"
            )
        names[role] = name
    index = properties.get("hats_col_healpix")
    if not index:
        index = _DEFAULT_INDEX_COLUMN if _DEFAULT_INDEX_COLUMN in schema.names else None
    if index is None:
        return SpatialColumns(**names, index=None, index_order=_DEFAULT_INDEX_ORDER)
    kind = require_column(schema, index, "HEALPix index", where).type
    if not types.is_integer(kind):
        raise CatalogError(
            f"{where} names {index!r} as the HEALPix index column, which is of type {kind}, not integer"
        )
    order = properties.get("hats_col_healpix_order") or str(_DEFAULT_INDEX_ORDER)
    if not order.isdecimal() or int(order) > _DEFAULT_INDEX_ORDER:
        raise CatalogError(
            f"{where} has hats_col_healpix_order={order}: allowed are 0 to {_DEFAULT_INDEX_ORDER}"
        )
    return SpatialColumns(**names, index=index, index_order=int(order))


def _partition_arrays(partitions: list[tuple[int, int]], listed_in: AnyPath) -> dict[str, Any]:
    import numpy as np

    try:
        return {
            "orders": np.array([order for order, _ in partitions], dtype=np.uint8),
            "pixels": np.array([pixel for _, pixel in partitions], dtype=np.uint64),
        }
    except OverflowError as error:
        raise CatalogError(f"{listed_in} lists a pixel that does not exist: {error}") from error


def _total_bytes(files: list[tuple[str, ...]], sizes: dict[str, int]) -> Any:
    import numpy as np

    return np.array([sum(sizes[name] for name in names) for names in files], dtype=np.int64)
