"""What the formats share: the list of partitions, their files, the schema, and the metadata files of Parquet."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skymargin.catalogs.metadata_file import RowGroups, metadata_file
from skymargin.errors import CatalogError, MissingPartitionError
from skymargin.storage.paths import AnyPath, exists, file_sizes, open_input, read_text
from skymargin.storage.range_reader import read_tail

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

_PARTITION_PATH = re.compile(r"Norder=(\d+)/.*Npix=(\d+)")
_PARQUET_SUFFIXES = (".parquet", ".parq")
# The magic number at both ends of a Parquet file, and the length of its footer.
_SMALLEST_PARQUET_BYTES = 12


def list_partitions(
    path: AnyPath, dataset: AnyPath, sizes: dict[str, int] | None
) -> tuple[AnyPath, list[tuple[int, int]]]:
    """What lists the partitions of a catalog, and the partitions as (order, pixel).

    They are listed by partition_info.csv, else by _metadata, else by the files themselves.

    Parameters
    ----------
    path
        The catalog.
    dataset
        The folder in it that holds the files of the partitions.
    sizes
        Every file below `dataset`; None where files cannot be listed.

    Raises
    ------
    CatalogError
        When the list cannot be read, or there is none.
    """
    listing = path / "partition_info.csv"
    if exists(listing):
        return listing, _read_partition_info(listing)
    listing = dataset / "_metadata"
    if exists(listing) if sizes is None else "_metadata" in sizes:
        footer = read_footer(listing)
        names = [footer.row_group(i).column(0).file_path for i in range(footer.num_row_groups)]
        return listing, _partitions_in(names)
    if sizes is None:
        raise CatalogError(
            f"{path} has neither partition_info.csv nor {dataset.name}/_metadata, and over HTTP its files cannot be "
            "listed: nothing says which partitions it has"
        )
    return dataset, _partitions_in(sorted(sizes))


def sizes_unlisted(
    path: AnyPath, dataset: AnyPath, partitions: list[tuple[int, int]], suffix: str
) -> dict[str, int]:
    """Sizes of the partitions' files where they cannot be listed; their names say what to ask for.

    Raises
    ------
    CatalogError
        When a partition is a folder, whose files have any names.
    """
    if not suffix.strip("/\\"):
        raise CatalogError(
            f"{path} has a folder for each partition (hats_npix_suffix=/), and over HTTP the files in it cannot be "
            "listed; copy the catalog to a disk or an object store"
        )
    return file_sizes(dataset, [stem + suffix for stem in _stems(partitions)])


def files_of_partitions(
    dataset: AnyPath,
    partitions: list[tuple[int, int]],
    sizes: dict[str, int],
    suffix: str,
    listed_in: AnyPath,
) -> list[tuple[str, ...]]:
    """Files of each partition, relative to the dataset folder; every one of them exists.

    Raises
    ------
    MissingPartitionError
        When a partition has no file.
    CatalogError
        When a file is too short to be Parquet.
    """
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
            f"{dataset}/{missing[0]}{suffix}{others}: listed in {listed_in}, but there is no such "
            + ("folder of Parquet files" if suffix == "/" else "file")
        )
    for stem in stems:
        for name in found[stem]:
            if sizes[name] < _SMALLEST_PARQUET_BYTES:
                raise CatalogError(f"{dataset / name} is not a Parquet file: it has {sizes[name]} bytes")
    return [found[stem] for stem in stems]


def read_schema(path: AnyPath, dataset: AnyPath, files: list[tuple[str, ...]]) -> pa.Schema:
    """Schema of the catalog: of _common_metadata, else of _metadata, else of its first partition.

    Raises
    ------
    CatalogError
        When there is none of them, or it cannot be read.
    """
    source = schema_source(dataset, files)
    if source is None:
        raise CatalogError(
            f"{path} has no partitions and no _common_metadata: nothing says which columns it has"
        )
    schema = read_footer(source).schema.to_arrow_schema()
    if not _is_text(schema):
        raise CatalogError(f"{source} has names or metadata of columns that are not UTF-8: it is damaged")
    twice = sorted({name for name in schema.names if schema.names.count(name) > 1})
    if twice:
        raise CatalogError(f"{source} has more than one column named {twice[0]!r}")
    return schema


def schema_source(dataset: AnyPath, files: list[tuple[str, ...]]) -> AnyPath | None:
    """The file whose schema is that of the catalog, if there is one."""
    candidates = [dataset / name for name in ("_common_metadata", "_metadata")]
    first = dataset / files[0][0] if files else None
    return next((file for file in candidates if exists(file)), first)


def _is_text(schema: pa.Schema) -> bool:
    """Whether all names and metadata of a schema are UTF-8, as everything that reads them takes for granted."""
    told = dict(schema.metadata or {})
    fields = list(schema)
    try:
        while fields:
            field = fields.pop()
            told |= {field.name.encode(): b"", **(field.metadata or {})}
            fields += [field.type.field(number) for number in range(field.type.num_fields)]
        for text in (*told.keys(), *told.values()):
            text.decode()
    except UnicodeDecodeError:
        return False
    return True


def partition_arrays(partitions: list[tuple[int, int]], listed_in: AnyPath) -> dict[str, Any]:
    """Orders and pixels of partitions as arrays, under their names in `Catalog`."""
    import numpy as np

    try:
        return {
            "orders": np.array([order for order, _ in partitions], dtype=np.uint8),
            "pixels": np.array([pixel for _, pixel in partitions], dtype=np.uint64),
        }
    except OverflowError as error:
        raise CatalogError(f"{listed_in} lists a pixel that does not exist: {error}") from error


def total_bytes(files: list[tuple[str, ...]], sizes: dict[str, int]) -> Any:
    """The size of each partition's files together."""
    import numpy as np

    return np.array([sum(sizes[name] for name in names) for names in files], dtype=np.int64)


def write_parquet_metadata(
    dataset: AnyPath, schema: pa.Schema, row_groups: list[RowGroups], *, whole: bool = True
) -> None:
    """Write `_common_metadata`, and if it is to be `whole`, `_metadata` with the row groups of the partitions."""
    import pyarrow.parquet as pq

    dataset.mkdir(parents=True, exist_ok=True)
    with (dataset / "_common_metadata").open("wb") as sink:
        pq.write_metadata(schema, sink)
    if whole:
        with (dataset / "_metadata").open("wb") as sink:
            if row_groups:
                sink.writelines(metadata_file(row_groups))
            else:
                pq.write_metadata(schema, sink)


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


def read_footer(file: AnyPath) -> pq.FileMetaData:
    """The footer of a Parquet file.

    Raises
    ------
    CatalogError
        When it cannot be read.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        # The offsets of a footer count from the start of the file, but it is read from the end.
        with open_input(file) if isinstance(file, Path) else pa.BufferReader(read_tail(file)) as source:
            return pq.read_metadata(source)
    # A name that is not UTF-8 is not an error of Arrow's.
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
        # Messages of Thrift end with a line.
        raise CatalogError(f"{file} cannot be read as Parquet: {' '.join(str(error).split())}") from error
