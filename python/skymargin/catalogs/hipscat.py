"""Reading HiPSCat 0.3 catalogs and writing HiPSCat margin catalogs, as hipscat-import 0.3.5 writes them.

The `hipscat` library is not needed: it takes seconds to import, and would read the whole map of the sky. Its rules for
the metadata of a catalog are repeated here; a test compares them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import skymargin._core as _core
from skymargin.catalogs.catalog import Catalog, MarginContents, SpatialColumns, require_numbers
from skymargin.catalogs.catalog_schema import schema_source
from skymargin.catalogs.layout import (
    COLLECTION,
    DATASET,
    DIRECTORY_COLUMN,
    HATS_PROPERTIES,
    HIPSCAT_INDEX_COLUMN,
    HIPSCAT_INDEX_ORDER,
    HIPSCAT_INDEX_SHIFT,
    HIPSCAT_INFO,
    INDEX_ORDER,
    ORDER_COLUMN,
    PARTITION_FOLDERS,
    PIXEL_COLUMN,
    PIXEL_COLUMNS,
    PROVENANCE,
    SOURCE_COLUMNS,
    SUFFIX,
    directory,
    partition_path,
)
from skymargin.catalogs.metadata_file import write_parquet_metadata
from skymargin.catalogs.partition_list import read_partitions, write_partition_info
from skymargin.catalogs.properties import read_json, write_json
from skymargin.catalogs.row_counts import stated_rows
from skymargin.errors import CatalogError
from skymargin.storage.paths import AnyPath, absolute, exists, is_among

if TYPE_CHECKING:
    import pyarrow as pa

    from skymargin.catalogs.leaf_paths import PartitionPaths

# The version of the hipscat library that these files are like, the last one. Provenance names it.
_HIPSCAT_VERSION = "0.3.9"


class _CatalogInfo(NamedTuple):
    """What `catalog_info.json` says, with the defaults of the library."""

    total_rows: Any = None
    epoch: str = "J2000"
    ra_column: Any = "ra"
    dec_column: Any = "dec"


def is_catalog(path: AnyPath, names: frozenset[str] | None) -> bool:
    """Whether the folder holds a HiPSCat catalog, complete or not."""
    if any(is_among(mark, path, names) for mark in (*HATS_PROPERTIES, COLLECTION, DATASET)):
        return False
    if any(is_among(mark, path, names) for mark in (HIPSCAT_INFO, PROVENANCE)):
        return True
    # An interrupted import may have left partitions alone.
    return isinstance(path, Path) and path.is_dir() and any(path.glob(PARTITION_FOLDERS))


def open_catalog(path: AnyPath, names: frozenset[str] | None, paths: PartitionPaths | None) -> Catalog:
    """Open a HiPSCat catalog; `names` is what `names_in` returned for it.

    `paths` gives the paths of its partitions, where the format does not.

    Raises
    ------
    CatalogError
        When a file of it is missing or invalid, or names a column that is not there.
    """
    info = _read_catalog_info(path)
    stated = stated_rows(path / HIPSCAT_INFO, "total_rows", info.total_rows)
    contents = read_partitions(path, path, SUFFIX, stated, names, paths)
    schema = contents["schema"]
    highest_order = int(max(contents["orders"], default=0))
    files = [] if contents["elsewhere"] else contents["files"]
    _check_pixel_columns(schema, schema_source(path, files, names) or path, highest_order)
    columns = _spatial_columns(info, schema, path / HIPSCAT_INFO)
    return Catalog(path=path, format="hipscat", columns=columns, **contents)


def margin_file(order: int, pixel: int) -> str:
    """Path of a margin partition inside its catalog."""
    return partition_path(order, pixel) + SUFFIX


def margin_schema(schema: pa.Schema) -> pa.Schema:
    """Columns of a margin: those of its primary catalog, and the partition that each row comes from."""
    import pyarrow as pa

    fields = [pa.field(name, pa.type_for_alias(kind)) for name, kind in SOURCE_COLUMNS.items()]
    return pa.schema([*schema, *fields], metadata=_margin_metadata(schema.metadata))


def pixel_columns(schema: pa.Schema) -> tuple[int, int, int]:
    """Positions of the columns of order, directory and pixel, which in a margin name the margin's own pixel."""
    order, folder, pixel = (schema.get_field_index(name) for name in PIXEL_COLUMNS)
    return order, folder, pixel


def write_options(schema: pa.Schema, overrides: Mapping[str, Any]) -> dict[str, Any]:  # noqa: ARG001
    """The writer options of pandas, with which hipscat-import writes catalogs, replaced by `overrides` where given."""
    return {"compression": "snappy", "row_group_size": 1 << 20, **overrides}


def finish_margin(folder: AnyPath, catalog: Catalog, contents: MarginContents) -> None:
    """Write the metadata files of a margin catalog, and its properties last."""
    write_parquet_metadata(
        folder,
        margin_schema(catalog.schema),
        contents.row_groups,
        create_metadata=contents.options.create_metadata,
    )
    orders, pixels = contents.orders, contents.pixels
    write_partition_info(
        folder, {ORDER_COLUMN: orders, PIXEL_COLUMN: pixels, DIRECTORY_COLUMN: directory(pixels)}
    )
    _write_catalog_info(folder, catalog, contents)


def _write_catalog_info(folder: AnyPath, catalog: Catalog, contents: MarginContents) -> None:
    primary = str(absolute(catalog.path))
    info = {
        "catalog_name": contents.name,
        "catalog_type": "margin",
        "total_rows": contents.rows,
        "epoch": _read_catalog_info(catalog.path).epoch,
        "ra_column": catalog.columns.ra,
        "dec_column": catalog.columns.dec,
        "primary_catalog": primary,
        "margin_threshold": contents.margin_threshold_arcsec,
    }
    # A margin of a part of the sky must not be taken for a complete one.
    part: dict[str, object] = {}
    if contents.options.debug_filter_pixel_list:
        part["debug_filter_pixel_list"] = [list(pixel) for pixel in contents.options.debug_filter_pixel_list]
    if contents.options.cone is not None:
        part["cone_deg"] = list(contents.options.cone)
    tool = {
        "tool_name": "skymargin",
        "version": _core.VERSION,
        "runtime_args": {
            "catalog_name": contents.name,
            "output_artifact_name": contents.name,
            "input_catalog_path": primary,
            "margin_threshold": contents.margin_threshold_arcsec,
            **part,
        },
    }
    made = {
        "version": _HIPSCAT_VERSION,
        # Local, as the library has it.
        "generation_date": datetime.now().strftime("%Y.%m.%d"),
        "tool_args": tool,
    }
    write_json(folder / PROVENANCE, info | made)
    marks_folder = folder if contents.marks_folder is None else contents.marks_folder
    write_json(marks_folder / HIPSCAT_INFO, info)


def _read_catalog_info(path: AnyPath) -> _CatalogInfo:
    """The metadata of a catalog."""
    file = path / HIPSCAT_INFO
    if not exists(file):
        raise CatalogError(f"{path} has no {HIPSCAT_INFO}, which a HiPSCat catalog must have")
    keywords = read_json(file)
    kind = keywords.get("catalog_type")
    if kind not in ("object", "source"):
        raise CatalogError(
            f"{file} says catalog_type={kind}: margins are made of catalogs of type object or source"
        )
    info = _CatalogInfo(**{name: keywords[name] for name in _CatalogInfo._fields if name in keywords})
    for name in ("epoch", "ra_column", "dec_column"):
        if getattr(info, name) is None:
            raise CatalogError(f"{file} does not describe a catalog: {name} is null, it must have a value")
    return info


def _spatial_columns(info: _CatalogInfo, schema: pa.Schema, where: AnyPath) -> SpatialColumns:
    import pyarrow as pa

    ra, dec = info.ra_column, info.dec_column
    for column, role in ((ra, "ra"), (dec, "dec")):
        require_numbers(schema, column, role, where)
    if HIPSCAT_INDEX_COLUMN not in schema.names:
        return SpatialColumns(ra, dec, index=None, index_order=INDEX_ORDER)
    kind = schema.field(HIPSCAT_INDEX_COLUMN).type
    if kind != pa.uint64():
        raise CatalogError(
            f"{where.parent} has {HIPSCAT_INDEX_COLUMN!r} of type {kind}; HiPSCat has it as uint64"
        )
    return SpatialColumns(ra, dec, HIPSCAT_INDEX_COLUMN, HIPSCAT_INDEX_ORDER, HIPSCAT_INDEX_SHIFT)


def _check_pixel_columns(schema: pa.Schema, path: AnyPath, highest_order: int) -> None:
    """Check that the pixel columns exist and are wide enough, and that those of a margin do not exist.

    `path` is the file that has the schema.
    """
    import pyarrow as pa

    largest_pixel = (12 << 2 * highest_order) - 1
    for name, largest in zip(
        PIXEL_COLUMNS, (highest_order, directory(largest_pixel), largest_pixel), strict=True
    ):
        if name not in schema.names:
            raise CatalogError(
                f"{path} has no column {name!r}, which partitions of HiPSCat have; its columns are "
                f"{', '.join(schema.names)}"
            )
        kind = schema.field(name).type
        if not pa.types.is_integer(kind):
            raise CatalogError(f"{path} has the pixel column {name!r} of type {kind}, not integer")
        # A scalar of pyarrow would say the same, and import pandas.
        if largest >> (kind.bit_width - pa.types.is_signed_integer(kind)):
            raise CatalogError(
                f"{path} has the pixel column {name!r} of type {kind}, which cannot hold {largest}: "
                f"it has partitions of order {highest_order}"
            )
    taken = [name for name in SOURCE_COLUMNS if name in schema.names]
    if taken:
        raise CatalogError(f"{path} already has a column {taken[0]!r}, which is added to its margin")


def _margin_metadata(metadata: dict[bytes, bytes] | None) -> dict[bytes, bytes] | None:
    """Metadata of the primary's schema, with the columns of a margin added to the part that pandas reads."""
    try:
        pandas = json.loads((metadata or {}).get(b"pandas", b""))
        pandas["columns"] += [
            {"name": name, "field_name": name, "pandas_type": kind, "numpy_type": kind, "metadata": None}
            for name, kind in SOURCE_COLUMNS.items()
        ]
    except (ValueError, TypeError, KeyError):
        # There is no such metadata, or pandas did not write it.
        return metadata
    return {**(metadata or {}), b"pandas": json.dumps(pandas).encode()}
