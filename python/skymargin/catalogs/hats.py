"""Reading HATS catalogs and writing HATS margin catalogs.

The `hats` library takes 1.8 s to import; nothing here needs it.
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skymargin.catalogs.catalog import (
    Catalog,
    MarginContents,
    SpatialColumns,
    require_column,
    require_number_column,
)
from skymargin.catalogs.hats_extras import write_descriptions, write_samples
from skymargin.catalogs.hats_margin import encodings, write_margin_properties
from skymargin.catalogs.partition_list import (
    files_of_partitions,
    list_partitions,
    partition_arrays,
    read_schema,
    sizes_unlisted,
    total_bytes,
    write_parquet_metadata,
)
from skymargin.catalogs.properties import read_properties
from skymargin.catalogs.row_counts import check_stated, rows_in_metadata, stated_rows
from skymargin.errors import CatalogError
from skymargin.storage.paths import AnyPath, can_list, exists, list_files, resolve_reference

if TYPE_CHECKING:
    import pyarrow as pa

_PROPERTIES = ("hats.properties", "properties")
_COLLECTION = "collection.properties"
_DEFAULT_INDEX_COLUMN = "_healpix_29"
_DEFAULT_INDEX_ORDER = 29


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
    dataset = path / "dataset"
    sizes = list_files(dataset) if can_list(path) else None
    listed_in, partitions = list_partitions(path, dataset, sizes)
    stated = stated_rows(properties_file, "hats_nrows", properties.get("hats_nrows"))
    stated += rows_in_metadata(dataset, sizes)
    check_stated(stated)
    suffix = properties.get("hats_npix_suffix", ".parquet")
    if sizes is None:
        sizes = sizes_unlisted(path, dataset, partitions, suffix)
    files = files_of_partitions(dataset, partitions, sizes, suffix, listed_in)
    schema = read_schema(path, dataset, files)
    return Catalog(
        path=path,
        format="hats",
        columns=_spatial_columns(properties, schema, properties_file),
        schema=schema,
        **partition_arrays(partitions, listed_in),
        files=[tuple(f"dataset/{name}" for name in names) for names in files],
        size_bytes=total_bytes(files, sizes),
        listed_in=listed_in,
        stated_rows=stated,
    )


def margin_file(order: int, pixel: int) -> str:
    """Path of a margin partition inside its catalog: one `.parquet` file, unless another suffix is wanted."""
    return f"dataset/Norder={order}/Dir={pixel // 10_000 * 10_000}/Npix={pixel}.parquet"


def margin_schema(schema: pa.Schema) -> pa.Schema:
    """The columns of a margin: those of its primary catalog."""
    return schema


def margin_columns(rows: pa.Table, origin: pa.Table, order: int, pixel: int) -> pa.Table:  # noqa: ARG001
    """The rows as they are: no column of HATS says which margin they are in."""
    return rows


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
    if contents.row_groups:
        write_samples(folder, contents.wanted)
    wanted = contents.wanted
    described = wanted.create_summary_html or wanted.create_summary_md
    dataset = folder / "dataset"
    write_parquet_metadata(
        dataset, catalog.schema, contents.row_groups, whole=wanted.create_metadata or described
    )
    rows = (f"{order},{pixel}\n" for order, pixel in zip(contents.orders, contents.pixels, strict=True))
    (folder / "partition_info.csv").write_text("Norder,Npix\n" + "".join(rows), encoding="utf-8")
    write_margin_properties(folder, catalog, contents)
    write_descriptions(folder, contents.name, len(contents.orders), wanted)
    if described and not wanted.create_metadata:
        # The library describes columns by what it finds there.
        (dataset / "_metadata").unlink()


def _open_primary(path: AnyPath) -> Catalog:
    collection_file = path / _COLLECTION
    if not exists(collection_file):
        raise CatalogError(f"{path} has no hats.properties, properties or collection.properties")
    inside = read_properties(collection_file).get("hats_primary_table_url")
    if not inside:
        raise CatalogError(
            f"{collection_file} has no hats_primary_table_url: it does not say which catalog it is of"
        )
    try:
        primary = resolve_reference(path, inside)
        is_there = any(exists(primary / name) for name in _PROPERTIES)
    except (OSError, ValueError, ImportError) as error:
        raise CatalogError(
            f"{collection_file} names {inside!r:.200} as its primary catalog, which cannot be opened: {error!s:.200}"
        ) from error
    if _is_elsewhere(path, primary):
        warnings.warn(
            f"{collection_file} names a primary catalog outside of its folder, which is used: {primary}",
            stacklevel=2,
        )
    if not is_there:
        raise CatalogError(
            f"{collection_file} names {inside} as its primary catalog, but {primary} is not a catalog"
        )
    return open_catalog(primary)


def _is_elsewhere(collection: AnyPath, primary: AnyPath) -> bool:
    """Whether a primary is not below its collection, as far as the paths tell."""
    if not isinstance(collection, Path) or not isinstance(primary, Path):
        return False
    outer, inner = (Path(os.path.normpath(path.absolute())) for path in (collection, primary))
    return outer not in inner.parents and collection.resolve() not in primary.resolve().parents


def _spatial_columns(properties: dict[str, str], schema: pa.Schema, where: AnyPath) -> SpatialColumns:
    from pyarrow import types

    names = {}
    for role in ("ra", "dec"):
        name = properties.get(f"hats_col_{role}")
        if not name:
            raise CatalogError(f"{where} has no hats_col_{role}: it does not say which column is {role}")
        require_number_column(schema, name, role, where)
        names[role] = name
    index = properties.get("hats_col_healpix")
    if not index:
        index = _DEFAULT_INDEX_COLUMN if _DEFAULT_INDEX_COLUMN in schema.names else None
    if index is None:
        return SpatialColumns(names["ra"], names["dec"], index=None, index_order=_DEFAULT_INDEX_ORDER)
    kind = require_column(schema, index, "HEALPix index", where).type
    if not types.is_integer(kind):
        raise CatalogError(
            f"{where} names {index!r} as the HEALPix index column, which is of type {kind}, not integer"
        )
    order = properties.get("hats_col_healpix_order") or str(_DEFAULT_INDEX_ORDER)
    if not re.fullmatch("[0-9]{1,2}", order) or int(order) > _DEFAULT_INDEX_ORDER:
        raise CatalogError(
            f"{where} has hats_col_healpix_order={order:.40}: allowed are 0 to {_DEFAULT_INDEX_ORDER}"
        )
    return SpatialColumns(names["ra"], names["dec"], index=index, index_order=int(order))
