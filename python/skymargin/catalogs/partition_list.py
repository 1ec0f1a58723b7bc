"""The partitions of a catalog: what lists them, and where their files are; the same for both formats."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

from skymargin.catalogs.catalog_schema import catalog_schema
from skymargin.catalogs.layout import (
    COMMON_METADATA,
    METADATA,
    ORDER_COLUMN,
    PARTITION_INFO,
    PIXEL_COLUMN,
    Pixel,
    is_data_file,
    is_partition_path,
    partition_path,
    partition_pixel,
)
from skymargin.catalogs.leaf_files import LeafFiles, named_files
from skymargin.catalogs.leaf_paths import PartitionPaths, generated_files
from skymargin.catalogs.metadata_file import read_footer
from skymargin.catalogs.properties import whole_number, without_byte_order_mark
from skymargin.catalogs.row_counts import check_stated, rows_in_metadata
from skymargin.errors import CatalogError, MissingPartitionError
from skymargin.formatting import listed
from skymargin.geometry.pixels import pixel_exists
from skymargin.storage.paths import (
    AnyPath,
    can_list,
    exists,
    file_sizes,
    is_among,
    is_local,
    list_versions,
    read_text,
)

if TYPE_CHECKING:
    from skymargin.catalogs.catalog import StatedRows

# The magic number at both ends of a Parquet file, and the length of its footer.
_SMALLEST_PARQUET_BYTES = 12


def read_partitions(
    path: AnyPath,
    data: AnyPath,
    suffix: str,
    stated: list[StatedRows],
    names: frozenset[str] | None,
    paths: PartitionPaths | None = None,
) -> dict[str, Any]:
    """Partitions, files, schema and stated rows of a catalog, under their names in `Catalog`.

    Parameters
    ----------
    path
        The catalog.
    data
        The folder that holds its partitions: `path` itself, or a folder in it.
    suffix
        What follows the path of each partition; `/` for a folder of files each.
    stated
        The numbers of rows that its properties state.
    names
        What `names_in` returned for `path`.
    paths
        What gives the paths of partitions; None where the format does.

    Raises
    ------
    CatalogError
        When the list of partitions, a file or the schema is missing or cannot be read, or numbers of rows differ.
    """
    import numpy as np

    listed: dict[str, int] | None = None
    marks: dict[str, str] = {}
    if can_list(path):
        listed, marks = list_versions(data)
    if listed is not None and data == path:
        # The folder of the catalog may hold other things.
        kept = (METADATA, COMMON_METADATA)
        listed = {name: size for name, size in listed.items() if is_partition_path(name) or name in kept}
    listed_in, partitions = list_partitions(path, data, listed, names)
    if paths is not None and listed_in == data:
        raise CatalogError(
            f"{path} has neither {PARTITION_INFO} nor {METADATA} with its partitions: one of them must list the "
            f"partitions that path_generator {paths.described} gives paths for"
        )
    for order, pixel in partitions:
        if not pixel_exists(order, pixel):
            raise CatalogError(f"{listed_in} lists a pixel that does not exist: order {order}, pixel {pixel}")
    stated = stated + rows_in_metadata(data, listed)
    check_stated(stated)
    elsewhere = None if paths is None else generated_files(paths, path, partitions, suffix, listed_in)
    if elsewhere is None:
        sizes = _sizes_unlisted(path, data, partitions, suffix) if listed is None else listed
        found, _ = partition_files(sizes, suffix)
        lost = [pixel for pixel in partitions if pixel not in found]
        if lost and listed is not None and METADATA in listed:
            elsewhere = files_in_metadata(data, partitions, found, suffix, listed_in)
        if lost and elsewhere is None:
            raise _missing(data, lost, suffix, listed_in, are_all=len(lost) == len(partitions))
    first: tuple[AnyPath, int | None] | None = None
    if elsewhere is not None:
        root, files = elsewhere.root, elsewhere.files
        sizes = {name: status.size_bytes for name, status in elsewhere.statuses.items()}
        marks = {name: status.version for name, status in elsewhere.statuses.items() if status.version}
        if files:
            first = (root / files[0][0], sizes[files[0][0]])
    else:
        root, inside = path, "" if data == path else f"{data.name}/"
        files = [tuple(f"{inside}{name}" for name in found[pixel]) for pixel in partitions]
        sizes = {f"{inside}{name}": size for name, size in sizes.items()}
        marks = {f"{inside}{name}": mark for name, mark in marks.items()}
        if files:
            first = (root / files[0][0], None if listed is None else sizes[files[0][0]])
    _check_sizes(root, files, sizes)
    return {
        "schema": catalog_schema(path, data, first, listed),
        "orders": np.array([order for order, _ in partitions], dtype=np.uint8),
        "pixels": np.array([pixel for _, pixel in partitions], dtype=np.uint64),
        "files": files,
        "size_bytes": np.array([sum(sizes[name] for name in names) for names in files], dtype=np.int64),
        "file_sizes": [] if is_local(root) else [tuple(sizes[name] for name in names) for names in files],
        "file_marks": {name: marks[name] for names in files for name in names if name in marks},
        "listed_in": listed_in,
        "stated_rows": stated,
        "elsewhere": None if elsewhere is None else root,
    }


def list_partitions(
    path: AnyPath, data: AnyPath, sizes: dict[str, int] | None, names: frozenset[str] | None
) -> tuple[AnyPath, list[Pixel]]:
    """What lists the partitions of a catalog, and the partitions.

    They are listed by partition_info.csv, else by _metadata, else by the files themselves.

    Parameters
    ----------
    path
        The catalog.
    data
        The folder that holds its partitions.
    sizes
        Every file below `data`; None where files cannot be listed.
    names
        What `names_in` returned for `path`.

    Raises
    ------
    CatalogError
        When the list cannot be read, or there is none.
    """
    listing = path / PARTITION_INFO
    if is_among(PARTITION_INFO, path, names):
        return listing, read_partition_info(listing)
    listing = data / METADATA
    if exists(listing) if sizes is None else METADATA in sizes:
        footer = read_footer(listing, None if sizes is None else sizes[METADATA])
        paths = [footer.row_group(i).column(0).file_path for i in range(footer.num_row_groups)]
        return listing, _partitions_in(paths)
    if sizes is None:
        raise CatalogError(
            f"{path} has neither {PARTITION_INFO} nor {data.name}/{METADATA}, and over HTTP its files cannot be "
            "listed: nothing says which partitions it has"
        )
    return data, _partitions_in(sorted(sizes))


def read_partition_info(listing: AnyPath) -> list[Pixel]:
    """The partitions that a `partition_info.csv` lists.

    Raises
    ------
    CatalogError
        When it cannot be read, or lacks a column.
    """
    try:
        with io.StringIO(without_byte_order_mark(read_text(listing)), newline="") as lines:
            reader = csv.DictReader(lines, skipinitialspace=True)
            reader.fieldnames = [name.strip() for name in reader.fieldnames or ()]
            if not {ORDER_COLUMN, PIXEL_COLUMN} <= set(reader.fieldnames or ()):
                raise CatalogError(
                    f"{listing} has no columns {ORDER_COLUMN} and {PIXEL_COLUMN}; it has {reader.fieldnames}"
                )
            return [(_number(row, ORDER_COLUMN), _number(row, PIXEL_COLUMN)) for row in reader]
    except CatalogError:
        raise
    except (OSError, ValueError, TypeError, csv.Error) as error:
        raise CatalogError(f"{listing} cannot be read as a list of partitions: {error}") from error


def _number(row: Mapping[str, str | None], column: str) -> int:
    text = row[column]
    number = None if text is None else whole_number(text)
    if number is None:
        raise ValueError(f"{column}={text!r:.60} is not a whole number, 0 or more")
    return number


def write_partition_info(folder: AnyPath, columns: Mapping[str, Iterable[int]]) -> None:
    """Write the `partition_info.csv` of a catalog, with the numbers of each partition by the name of their column."""
    lines = (",".join(map(str, line)) for line in zip(*columns.values(), strict=True))
    content = "".join(f"{line}\n" for line in (",".join(columns), *lines))
    (folder / PARTITION_INFO).write_text(content, encoding="utf-8")


def partition_files(names: Iterable[str], suffix: str) -> tuple[dict[Pixel, tuple[str, ...]], list[str]]:
    """Sort files into partitions.

    Parameters
    ----------
    names
        Paths relative to the folder of the data.
    suffix
        What follows the path of each partition; `/` for a folder of files each.

    Returns
    -------
    dict, list
        Order and pixel of each partition to the files where readers look for its rows, sorted; and the other files of
        rows, which no reader looks for.
    """
    files: dict[Pixel, tuple[str, ...]] = {}
    strays = []
    for name in sorted(names):
        if is_data_file(name, suffix):
            pixel = partition_pixel(name)
            if pixel is not None and _is_in_place(name, pixel, suffix):
                files[pixel] = (*files.get(pixel, ()), name)
            else:
                strays.append(name)
    return files, strays


def _partitions_in(names: list[str]) -> list[Pixel]:
    return list(dict.fromkeys(pixel for pixel in map(partition_pixel, names) if pixel is not None))


def _is_in_place(name: str, pixel: Pixel, suffix: str) -> bool:
    """Whether readers look for a partition's rows in a file."""
    stem = partition_path(*pixel)
    return pixel_exists(*pixel) and (
        name.rpartition("/")[0] == stem if suffix == "/" else name == stem + suffix
    )


def _sizes_unlisted(path: AnyPath, data: AnyPath, partitions: list[Pixel], suffix: str) -> dict[str, int]:
    """Sizes of the partitions' files where files cannot be listed: their names say what to ask for."""
    if suffix == "/":
        raise CatalogError(
            f"{path} has a folder for each partition (hats_npix_suffix=/), and over HTTP the files in it cannot be "
            "listed; copy the catalog to a disk or an object store"
        )
    return file_sizes(data, [partition_path(*pixel) + suffix for pixel in partitions])


def files_in_metadata(
    data: AnyPath,
    partitions: Sequence[Pixel],
    found: Mapping[Pixel, tuple[str, ...]],
    suffix: str,
    listed_in: AnyPath,
) -> LeafFiles | None:
    """The files of partitions: where `_metadata` says, for those that are not where the format has them.

    Parameters
    ----------
    data
        The folder of the data; there is a `_metadata` in it.
    partitions
        Order and pixel of each partition.
    found
        The files that are where the format has them, by partition.
    suffix
        What follows the path of each partition there.
    listed_in
        What lists the partitions.

    Returns
    -------
    LeafFiles or None
        None when `_metadata` does not name the files of a partition, or has them at the same place.

    Raises
    ------
    CatalogError
        When `_metadata` cannot be read, or a file that it names is not there.
    """
    named = _metadata_paths(data / METADATA)
    lost = [pixel for pixel in partitions if pixel not in found]
    if any(
        not named.get(pixel) or any(_is_in_place(name, pixel, suffix) for name in named[pixel])
        for pixel in lost
    ):
        return None
    files = [found[pixel] if pixel in found else named[pixel] for pixel in partitions]
    return named_files(data, files, partitions, listed_in, f"its file_path in {data / METADATA}")


def _metadata_paths(file: AnyPath) -> dict[Pixel, tuple[str, ...]]:
    """The files of each partition by the paths in a `_metadata`, those relative to its folder.

    Only paths with order and pixel as the formats write them say which partition they belong to.
    """
    footer = read_footer(file)
    paths: dict[Pixel, tuple[str, ...]] = {}
    for number in range(footer.num_row_groups):
        name = footer.row_group(number).column(0).file_path
        # The hipscat library writes a slash before them.
        name = name.removeprefix("/") if is_partition_path(name.removeprefix("/")) else name
        pixel = partition_pixel(name)
        if pixel is None or "://" in name or name.startswith("/") or name in paths.get(pixel, ()):
            continue
        paths[pixel] = (*paths.get(pixel, ()), name)
    return paths


def _missing(
    data: AnyPath, missing: list[Pixel], suffix: str, listed_in: AnyPath, *, are_all: bool
) -> MissingPartitionError:
    paths = listed([f"{data}/{partition_path(*pixel)}{suffix}" for pixel in missing], 1)
    return MissingPartitionError(
        f"{paths}: listed in {listed_in}, but there is no such "
        + ("folder of Parquet files" if suffix == "/" else "file")
        + ("; if the files of all partitions lie elsewhere, path_generator says where" if are_all else "")
    )


def _check_sizes(root: AnyPath, files: list[tuple[str, ...]], sizes: Mapping[str, int]) -> None:
    for name in chain.from_iterable(files):
        if sizes[name] < _SMALLEST_PARQUET_BYTES:
            raise CatalogError(f"{root / name} is not a Parquet file: it has {sizes[name]} bytes")
