"""Reading HATS catalogs and writing HATS margin catalogs.

The `hats` library takes 1.8 s to import, and nothing here needs it.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skymargin.catalogs.catalog import (
    Catalog,
    MarginContents,
    SpatialColumns,
    require_numbers,
)
from skymargin.catalogs.collection import collection_primary, is_own_collection
from skymargin.catalogs.hats_extras import write_descriptions, write_samples
from skymargin.catalogs.hats_margin import encodings, write_margin_properties
from skymargin.catalogs.layout import (
    COLLECTION,
    DATASET,
    HATS_PROPERTIES,
    INDEX_COLUMN,
    INDEX_ORDER,
    METADATA,
    ORDER_COLUMN,
    PARTITION_INFO,
    PIXEL_COLUMN,
    SUFFIX,
    partition_path,
    partition_suffix,
)
from skymargin.catalogs.metadata_file import write_parquet_metadata
from skymargin.catalogs.partition_list import read_partitions, write_partition_info
from skymargin.catalogs.properties import read_hats_properties, whole_number
from skymargin.catalogs.row_counts import stated_rows
from skymargin.errors import CatalogError
from skymargin.storage.paths import AnyPath, exists, is_among

if TYPE_CHECKING:
    import pyarrow as pa

    from skymargin.catalogs.leaf_paths import PartitionPaths


def is_catalog(path: AnyPath, names: frozenset[str] | None) -> bool:
    """Whether the folder holds a HATS catalog or collection, complete or not."""
    marks = (*HATS_PROPERTIES, COLLECTION, PARTITION_INFO, DATASET)
    return any(is_among(mark, path, names) for mark in marks)


def open_catalog(path: AnyPath, names: frozenset[str] | None, paths: PartitionPaths | None) -> Catalog:
    """Open a HATS catalog, or the primary catalog of a HATS collection; `names` is what `names_in` returned for it.

    `paths` gives the paths of its partitions, where the format does not.

    Raises
    ------
    CatalogError
        When a file of it is missing or invalid, or names a column that is not there.
    """
    properties_file = next((path / name for name in HATS_PROPERTIES if is_among(name, path, names)), None)
    if properties_file is None:
        return _open_primary(path, names, paths)
    properties = read_hats_properties(properties_file)
    kind = properties.get("dataproduct_type")
    if kind not in ("object", "source"):
        raise CatalogError(
            f"{properties_file} says dataproduct_type={kind}: margins are made of catalogs of type object or source"
        )
    stated = stated_rows(properties_file, "hats_nrows", properties.get("hats_nrows"))
    suffix = partition_suffix(properties)
    contents = read_partitions(path, path / DATASET, suffix, stated, names, paths)
    columns = _spatial_columns(properties, contents["schema"], properties_file)
    return Catalog(path=path, format="hats", columns=columns, **contents)


def margin_file(order: int, pixel: int) -> str:
    """Path of a margin partition inside its catalog: one `.parquet` file, unless the options have another suffix."""
    return f"{DATASET}/{partition_path(order, pixel)}{SUFFIX}"


def margin_schema(schema: pa.Schema) -> pa.Schema:
    """The columns of a margin: those of its primary catalog."""
    return schema


def pixel_columns(schema: pa.Schema) -> None:
    """HATS has no column that names the margin of a row."""


def write_options(schema: pa.Schema, overrides: Mapping[str, Any]) -> dict[str, Any]:
    """The encodings with which the `hats` library writes catalogs, replaced by `overrides` where given."""
    return encodings(schema, overrides)


def finish_margin(folder: AnyPath, catalog: Catalog, contents: MarginContents) -> None:
    """Write the metadata files of a margin catalog, and its properties last."""
    options = contents.options
    data = folder / DATASET
    # The hats library takes its descriptions of columns from _metadata.
    is_described = options.create_summary_html or options.create_summary_md
    if contents.rows:
        write_samples(folder, options)
    write_parquet_metadata(
        data, catalog.schema, contents.row_groups, create_metadata=options.create_metadata or is_described
    )
    write_partition_info(folder, {ORDER_COLUMN: contents.orders, PIXEL_COLUMN: contents.pixels})
    write_margin_properties(folder, catalog, contents)
    write_descriptions(folder, contents.name, len(contents.orders), options)
    if is_described and not options.create_metadata and exists(data / METADATA):
        (data / METADATA).unlink()


def _open_primary(path: AnyPath, names: frozenset[str] | None, paths: PartitionPaths | None) -> Catalog:
    collection_file = path / COLLECTION
    if not is_among(COLLECTION, path, names):
        raise CatalogError(f"{path} has no {', '.join(HATS_PROPERTIES)} or {COLLECTION}")
    primary, names = collection_primary(path)
    if _is_elsewhere(path, primary) and not is_own_collection(path):
        warnings.warn(
            f"{collection_file} names a primary catalog outside its folder, which is used: {primary}",
            stacklevel=2,
        )
    return open_catalog(primary, names, paths)


def _is_elsewhere(collection: AnyPath, primary: AnyPath) -> bool:
    """Whether a local primary catalog is outside its collection."""
    if not isinstance(collection, Path) or not isinstance(primary, Path):
        return False
    outer, inner = (Path(os.path.normpath(path.absolute())) for path in (collection, primary))
    return outer not in inner.parents and collection.resolve() not in primary.resolve().parents


def _spatial_columns(properties: dict[str, str], schema: pa.Schema, where: AnyPath) -> SpatialColumns:
    names = {}
    for role in ("ra", "dec"):
        names[role] = properties.get(f"hats_col_{role}", "")
        if not names[role]:
            raise CatalogError(f"{where} has no hats_col_{role}: it does not say which column is {role}")
        require_numbers(schema, names[role], role, where)
    index = properties.get("hats_col_healpix")
    if not index and INDEX_COLUMN not in schema.names:
        return SpatialColumns(names["ra"], names["dec"], index=None, index_order=INDEX_ORDER)
    index = index or INDEX_COLUMN
    require_numbers(schema, index, "HEALPix index", where, integer=True)
    text = properties.get("hats_col_healpix_order") or str(INDEX_ORDER)
    order = whole_number(text)
    if order is None or order > INDEX_ORDER:
        raise CatalogError(f"{where} has hats_col_healpix_order={text:.40}: allowed are 0 to {INDEX_ORDER}")
    return SpatialColumns(names["ra"], names["dec"], index=index, index_order=order)
