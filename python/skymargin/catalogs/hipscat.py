"""Reading HiPSCat 0.3 catalogs and writing HiPSCat margin catalogs, as hipscat-import 0.3.5 writes them.

The `hipscat` library is an extra, and takes seconds to import. What a catalog says of itself is read and written
through it; partitions are listed as for HATS, since the library would read the whole map of the sky with them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skymargin.arrow.columns import to_arrow, to_numpy
from skymargin.catalogs.catalog import Catalog, MarginContents, SpatialColumns, require_number_column
from skymargin.catalogs.partition_list import (
    files_of_partitions,
    list_partitions,
    partition_arrays,
    read_schema,
    schema_source,
    sizes_unlisted,
    total_bytes,
    write_parquet_metadata,
)
from skymargin.catalogs.row_counts import check_stated, rows_in_metadata, stated_rows
from skymargin.errors import CatalogError, MissingExtraError
from skymargin.storage.paths import AnyPath, can_list, exists, list_files, read_text

if TYPE_CHECKING:
    import pyarrow as pa

_CATALOG_INFO = "catalog_info.json"
_MARKS = (_CATALOG_INFO, "provenance_info.json")
_MARKS_OF_HATS = ("hats.properties", "properties", "collection.properties", "dataset")
# The index is a pixel of order 19 with a counter of the rows in it below: 22 bits that are no position.
_INDEX_COLUMN = "_hipscat_index"
_INDEX_ORDER = 19
_INDEX_SHIFT = 22
_COMPUTED_INDEX_ORDER = 29
_SUFFIX = ".parquet"
# The columns that name a row's partition, in a margin the pixel of the margin; there the partition has the others.
_PIXEL_COLUMNS = ("Norder", "Dir", "Npix")
_SOURCE_COLUMNS = {"margin_Norder": "uint8", "margin_Dir": "uint64", "margin_Npix": "uint64"}


def is_catalog(path: AnyPath) -> bool:
    """Whether the folder holds a HiPSCat catalog, whole or not."""
    if any(exists(path / mark) for mark in _MARKS_OF_HATS):
        return False
    if any(exists(path / mark) for mark in _MARKS):
        return True
    # What a run that was cut off may have left.
    return isinstance(path, Path) and path.is_dir() and any(path.glob("Norder=*"))


def open_catalog(path: AnyPath) -> Catalog:
    """Open a HiPSCat catalog.

    Raises
    ------
    CatalogError
        When a file of it is missing or invalid, or names a column that is not there.
    MissingExtraError
        When the `hipscat` library is not installed.
    """
    info = _read_catalog_info(path)
    sizes: dict[str, int] | None = None
    if can_list(path):
        sizes = {
            name: size
            for name, size in list_files(path).items()
            if name.startswith("Norder=") or name == "_metadata"
        }
    listed_in, partitions = list_partitions(path, path, sizes)
    stated = stated_rows(path / _CATALOG_INFO, "total_rows", info.total_rows)
    stated += rows_in_metadata(path, sizes)
    check_stated(stated)
    if sizes is None:
        sizes = sizes_unlisted(path, path, partitions, _SUFFIX)
    files = files_of_partitions(path, partitions, sizes, _SUFFIX, listed_in)
    schema = read_schema(path, path, files)
    arrays = partition_arrays(partitions, listed_in)
    _check_pixel_columns(schema, schema_source(path, files) or path, int(max(arrays["orders"], default=0)))
    return Catalog(
        path=path,
        format="hipscat",
        columns=_spatial_columns(info, schema, path / _CATALOG_INFO),
        schema=schema,
        **arrays,
        files=files,
        size_bytes=total_bytes(files, sizes),
        listed_in=listed_in,
        stated_rows=stated,
    )


def margin_file(order: int, pixel: int) -> str:
    """Path of a margin partition inside its catalog."""
    return f"Norder={order}/Dir={_directory(pixel)}/Npix={pixel}{_SUFFIX}"


def margin_schema(schema: pa.Schema) -> pa.Schema:
    """The columns of a margin: those of its primary catalog, and the partition each row comes from."""
    import pyarrow as pa

    fields = [pa.field(name, pa.type_for_alias(kind)) for name, kind in _SOURCE_COLUMNS.items()]
    return pa.schema([*schema, *fields], metadata=_margin_metadata(schema.metadata))


def margin_columns(rows: pa.Table, origin: pa.Table, order: int, pixel: int) -> pa.Table:
    """The rows with the margin's pixel in place of that of their partition, which goes to columns of its own."""
    import pyarrow as pa

    for name, value in zip(_PIXEL_COLUMNS, (order, _directory(pixel), pixel), strict=True):
        place = rows.schema.get_field_index(name)
        field = rows.schema.field(place)
        rows = rows.set_column(place, field, pa.repeat(pa.scalar(value, field.type), rows.num_rows))
    source_order, source_pixel = (origin.column(name) for name in ("source_order", "source_pixel"))
    source = (source_order, to_arrow(_directory(to_numpy(source_pixel))), source_pixel)
    for name, column in zip(_SOURCE_COLUMNS, source, strict=True):
        rows = rows.append_column(name, column)
    return rows


def write_options(schema: pa.Schema, wanted: Mapping[str, Any]) -> dict[str, Any]:  # noqa: ARG001
    """The encodings of pandas, with which hipscat-import writes catalogs, unless others are wanted."""
    return {"compression": "snappy", "row_group_size": 1 << 20, **wanted}


def finish_margin(folder: AnyPath, catalog: Catalog, contents: MarginContents) -> None:
    """Write the metadata files of a margin catalog, and `catalog_info.json` last.

    Parameters
    ----------
    folder
        The margin catalog, whose partitions are written.
    catalog
        Its primary catalog.
    contents
        What was written.
    """
    write_parquet_metadata(folder, margin_schema(catalog.schema), contents.row_groups)
    rows = (
        f"{order},{pixel},{_directory(pixel)}\n"
        for order, pixel in zip(contents.orders.tolist(), contents.pixels.tolist(), strict=True)
    )
    (folder / "partition_info.csv").write_text("Norder,Npix,Dir\n" + "".join(rows), encoding="utf-8")
    _write_catalog_info(folder, catalog, contents)


def _write_catalog_info(folder: AnyPath, catalog: Catalog, contents: MarginContents) -> None:
    from importlib.metadata import version

    from hipscat.catalog.margin_cache import MarginCacheCatalogInfo
    from hipscat.io.write_metadata import write_catalog_info, write_provenance_info

    info = MarginCacheCatalogInfo(
        catalog_name=contents.name,
        catalog_type="margin",
        total_rows=contents.rows,
        epoch=_read_catalog_info(catalog.path).epoch,
        ra_column=catalog.columns.ra,
        dec_column=catalog.columns.dec,
        primary_catalog=str(catalog.path),
        margin_threshold=contents.margin_threshold_arcsec,
    )
    # A part of a margin must not pass for a whole one.
    part = {} if contents.wanted.cone is None else {"cone_deg": list(contents.wanted.cone)}
    tool = {
        "tool_name": "skymargin",
        "version": version("skymargin"),
        "runtime_args": {
            "catalog_name": contents.name,
            "output_artifact_name": contents.name,
            "input_catalog_path": str(catalog.path),
            "margin_threshold": contents.margin_threshold_arcsec,
            **part,
        },
    }
    options = dict(getattr(folder, "storage_options", {}))
    write_provenance_info(str(folder), info, tool, storage_options=options)
    write_catalog_info(str(folder), info, storage_options=options)


def _read_catalog_info(path: AnyPath) -> Any:
    """What the catalog says of itself, as the library's `CatalogInfo`."""
    file = path / _CATALOG_INFO
    if not exists(file):
        raise CatalogError(f"{path} has no {_CATALOG_INFO}, which a HiPSCat catalog must have")
    try:
        keywords = json.loads(read_text(file))
    # What json raises is a ValueError, and so is what is no UTF-8; brackets in brackets are too deep for it.
    except (ValueError, RecursionError) as error:
        raise CatalogError(f"{file} cannot be read as JSON: {error}") from error
    if not isinstance(keywords, dict):
        raise CatalogError(
            f"{file} holds {type(keywords).__name__} {keywords!r:.60}, not an object of keys and values"
        )
    kind = keywords.get("catalog_type")
    if kind not in ("object", "source"):
        raise CatalogError(
            f"{file} says catalog_type={kind}: margins are made of catalogs of type object or source"
        )
    try:
        from hipscat.catalog.dataset.catalog_info_factory import create_catalog_info
    except ImportError as error:
        raise MissingExtraError(
            f"{path} is a HiPSCat catalog, for which the hipscat library is needed: "
            f"pip install 'skymargin[hipscat]' ({error})"
        ) from error
    try:
        return create_catalog_info(keywords)
    except (ValueError, TypeError) as error:
        raise CatalogError(f"{file} does not describe a catalog: {error}") from error


def _spatial_columns(info: Any, schema: pa.Schema, where: AnyPath) -> SpatialColumns:
    import pyarrow as pa

    ra, dec = info.ra_column, info.dec_column
    require_number_column(schema, ra, "ra", where)
    require_number_column(schema, dec, "dec", where)
    if _INDEX_COLUMN not in schema.names:
        return SpatialColumns(ra, dec, index=None, index_order=_COMPUTED_INDEX_ORDER)
    kind = schema.field(_INDEX_COLUMN).type
    if kind != pa.uint64():
        raise CatalogError(f"{where.parent} has {_INDEX_COLUMN!r} of type {kind}; HiPSCat has it as uint64")
    return SpatialColumns(ra, dec, _INDEX_COLUMN, _INDEX_ORDER, _INDEX_SHIFT)


def _check_pixel_columns(schema: pa.Schema, path: AnyPath, highest_order: int) -> None:
    """The columns of the pixel are there and wide enough, and those of a margin are still free.

    `path` is that of the file that the schema is of.
    """
    import pyarrow as pa

    largest_pixel = (12 << 2 * highest_order) - 1
    for name, largest in zip(
        _PIXEL_COLUMNS, (highest_order, _directory(largest_pixel), largest_pixel), strict=True
    ):
        if name not in schema.names:
            raise CatalogError(
                f"{path} has no column {name!r}, which partitions of HiPSCat have; its columns are "
                f"{', '.join(schema.names)}"
            )
        kind = schema.field(name).type
        if not pa.types.is_integer(kind):
            raise CatalogError(f"{path} has the pixel column {name!r} of type {kind}, not integer")
        try:
            pa.scalar(largest, kind)
        except (pa.ArrowInvalid, OverflowError) as error:
            raise CatalogError(
                f"{path} has the pixel column {name!r} of type {kind}, which cannot hold {largest}: "
                f"it has partitions of order {highest_order}"
            ) from error
    taken = [name for name in _SOURCE_COLUMNS if name in schema.names]
    if taken:
        raise CatalogError(f"{path} has a column {taken[0]!r} already, which its margin is to have")


def _margin_metadata(metadata: dict[bytes, bytes] | None) -> dict[bytes, bytes] | None:
    """Metadata of the primary's schema, with the columns of a margin added to what pandas reads there."""
    try:
        pandas = json.loads((metadata or {}).get(b"pandas", b""))
        pandas["columns"] += [
            {"name": name, "field_name": name, "pandas_type": kind, "numpy_type": kind, "metadata": None}
            for name, kind in _SOURCE_COLUMNS.items()
        ]
    except (ValueError, TypeError, KeyError):
        # There is none, or it is not what pandas writes; then pandas does without.
        return metadata
    return {**(metadata or {}), b"pandas": json.dumps(pandas).encode()}


def _directory(pixel: Any) -> Any:
    """The number in the name of the folder that a pixel's file is in."""
    return pixel // 10_000 * 10_000
