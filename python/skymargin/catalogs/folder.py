"""Catalogs inspected leniently, for `verify`, `info` and pictures: what is there, instead of a refusal.

`open_catalog` refuses what a margin cannot be made of. `inspect_catalog` also takes margins, indexes and damaged
catalogs, of HATS and of HiPSCat.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skymargin.catalogs.catalog import require_column
from skymargin.catalogs.collection import collection_primary, listed_names
from skymargin.catalogs.layout import (
    COLLECTION,
    COMMON_METADATA,
    DATASET,
    HATS_PROPERTIES,
    HIPSCAT_INDEX_COLUMN,
    HIPSCAT_INDEX_ORDER,
    HIPSCAT_INFO,
    INDEX_COLUMN,
    INDEX_ORDER,
    METADATA,
    PARTITION_INFO,
    PROVENANCE,
    Pixel,
    is_partition_path,
    partition_path,
    partition_suffix,
)
from skymargin.catalogs.leaf_paths import (
    PartitionPaths,
    PathGenerator,
    generated_files,
    partition_paths,
)
from skymargin.catalogs.metadata_file import read_schema
from skymargin.catalogs.partition_list import (
    files_in_metadata,
    list_partitions,
    partition_files,
    read_partition_info,
)
from skymargin.catalogs.properties import (
    BUILDER_NAME,
    CONE,
    FILTER_PIXELS,
    read_hats_properties,
    read_json,
    read_properties,
    whole_number,
    with_hats_names,
)
from skymargin.catalogs.suggestions import no_catalog
from skymargin.errors import ArgumentError, CatalogError, CatalogNotFoundError
from skymargin.geometry.limits import LARGEST_THRESHOLD_ARCSEC
from skymargin.storage.paths import (
    AnyPath,
    absolute,
    as_path,
    exists,
    is_local,
    list_files,
    recorded_path,
    resolve_reference,
    translate_errors,
    with_options,
)
from skymargin.storage.storage_options import check_storage_options

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    import pyarrow as pa
    from upath import UPath

    PathLike = str | os.PathLike[str] | UPath


@dataclass(frozen=True)
class CatalogFolder:
    """Properties and files of a catalog.

    Attributes
    ----------
    path : Path or UPath
        Its folder.
    format : str
        ``HATS`` or ``HiPSCat``.
    properties : dict
        Its properties, under the names that HATS has for them.
    properties_file : Path or UPath
        The file that has them.
    data : Path or UPath
        The folder that holds its partitions.
    files : dict
        Order and pixel to the files where readers look for that partition, relative to `data`.
    strays : list of str
        Parquet files where no reader looks, relative to `data`.
    sizes : dict
        Every file below `data`, relative to it, to its size in bytes.
    listed : list of (int, int) or None
        The partitions in ``partition_info.csv``; None without such a file.
    elsewhere : Path or UPath, or None
        The folder that `files` are relative to, where these are not in `data`.
    """

    path: AnyPath
    format: str
    properties: dict[str, str]
    properties_file: AnyPath
    data: AnyPath
    files: dict[Pixel, tuple[str, ...]] = field(repr=False)
    strays: list[str] = field(repr=False)
    sizes: dict[str, int] = field(repr=False)
    listed: list[Pixel] | None = field(repr=False)
    elsewhere: AnyPath | None = None

    @property
    def kind(self) -> str:
        """The type in its properties: object, source, margin, index and others; empty without one."""
        return self.properties.get("dataproduct_type", "")

    @property
    def part(self) -> str:
        """Of a margin of a part of its catalog: which part; empty for a whole one."""
        if cone := self.properties.get(CONE):
            return f"only the margins that intersect the cone {','.join(cone.split())}"
        if pixels := self.properties.get(FILTER_PIXELS):
            return f"made of the partitions that overlap {pixels} alone"
        return ""

    @property
    def index(self) -> tuple[str | None, int]:
        """Column of the spatial index, None where none is stated, and its order."""
        if self.format == "HiPSCat":
            return HIPSCAT_INDEX_COLUMN, HIPSCAT_INDEX_ORDER
        order = whole_number(self.properties.get("hats_col_healpix_order", ""))
        if order is None or order > INDEX_ORDER:
            order = INDEX_ORDER
        return self.properties.get("hats_col_healpix") or None, order

    def partition_path(self, pixel: Pixel) -> str:
        """Where readers look for a partition, relative to `data`."""
        return partition_path(*pixel) + partition_suffix(self.properties)

    def file_paths(self, pixel: Pixel) -> list[AnyPath]:
        """The files of a partition."""
        root = self.data if self.elsewhere is None else self.elsewhere
        return [root / name for name in self.files.get(pixel, ())]

    def schema(self) -> pa.Schema:
        """Schema of the catalog: of ``_common_metadata``, else of ``_metadata``, else of the first readable partition.

        Raises
        ------
        CatalogError
            When no file can be read.
        """
        partitions = [path for pixel in self.files for path in self.file_paths(pixel)]
        known = [self.data / name for name in (COMMON_METADATA, METADATA) if name in self.sizes]
        reason = f"it has no partitions and no {COMMON_METADATA}"
        for path in [*known, *partitions]:
            try:
                return read_schema(path)
            except CatalogError as error:
                reason = str(error)
        raise CatalogError(f"{self.path}: nothing says which columns it has: {reason}")


@dataclass(frozen=True)
class Columns:
    """Names of the columns of position; `index` is None without an index column."""

    ra: str
    dec: str
    index: str | None


@dataclass(frozen=True)
class MarginAndPrimary:
    """A margin catalog with its primary catalog.

    Attributes
    ----------
    margin, primary : CatalogFolder
        The two catalogs.
    threshold_arcsec : float
        The threshold in the margin's properties, arcseconds.
    schema : pyarrow.Schema
        Columns of the primary catalog.
    columns : Columns
        Those of its positions.
    """

    margin: CatalogFolder
    primary: CatalogFolder
    threshold_arcsec: float
    schema: pa.Schema
    columns: Columns


def inspect_catalog(path: AnyPath) -> CatalogFolder:
    """Inspect a catalog: its properties and its files, no rows.

    Raises
    ------
    CatalogNotFoundError
        When there is nothing at `path`, or no catalog.
    CatalogError
        When it is a collection, or its properties or its list of partitions cannot be read.
    """
    with translate_errors(path):
        is_there = path.exists()
    if not is_there:
        raise CatalogNotFoundError(f"there is nothing at {path}")
    for name in HATS_PROPERTIES:
        if (path / name).exists():
            return _inspected(path, "HATS", read_hats_properties(path / name), path / name, path / DATASET)
    if (path / HIPSCAT_INFO).exists():
        return _inspected(path, "HiPSCat", _hipscat_properties(path), path / HIPSCAT_INFO, path)
    if (path / COLLECTION).exists():
        raise CatalogError(f"{path} is a collection: give one of the catalogs in it{_members(path)}")
    raise no_catalog(path)


def _members(collection: AnyPath) -> str:
    """The margins of a collection, in words."""
    names = listed_names(read_properties(collection / COLLECTION), "all_margins")
    margins = ", ".join(name if "://" in name else str(collection / name) for name in names)
    return f"; its margins are {margins}" if names else "; it has no margins"


def collection_properties(path: AnyPath) -> dict[str, str] | None:
    """Properties of a HATS collection; None when `path` is not a collection."""
    is_catalog = any((path / name).exists() for name in HATS_PROPERTIES)
    return None if is_catalog or not (path / COLLECTION).exists() else read_properties(path / COLLECTION)


def inspect_margin(
    margin: PathLike,
    primary: PathLike | None = None,
    path_generator: PathGenerator | None = None,
    primary_storage_options: Mapping[str, Any] | None = None,
) -> MarginAndPrimary:
    """Inspect a margin catalog and its primary catalog.

    Parameters
    ----------
    margin
        The margin catalog.
    primary
        Its primary catalog, or the collection of that; default: the catalog that the margin's properties name.
    path_generator
        Where the partitions of the primary lie, if not where its format has them.
    primary_storage_options
        Options of the file system of the primary; of a local primary, those of the files that `path_generator` names.

    Raises
    ------
    ArgumentError
        When an argument is not allowed.
    CatalogNotFoundError
        When there is no margin, or no primary catalog.
    CatalogError
        When the margin does not state an allowed threshold, or the primary is incomplete or not a primary catalog.
    """
    check_storage_options("primary_storage_options", primary_storage_options)
    catalog = inspect_catalog(as_path(margin, "margin"))
    threshold_arcsec = _threshold_arcsec(catalog)
    if primary is None:
        path = _primary_of(catalog, primary_storage_options)
    else:
        path = with_options(primary, primary_storage_options, "primary")
    if primary_storage_options and not path_generator and is_local(path):
        raise ArgumentError(
            f"primary_storage_options are for remote file systems, but the primary catalog {path} is local"
        )
    reference = _with_files_elsewhere(
        _inspect_primary(path), partition_paths(path_generator, primary_storage_options)
    )
    _check_primary(reference)
    schema = reference.schema()
    return MarginAndPrimary(
        catalog, reference, threshold_arcsec, schema, _coordinate_columns(reference, schema)
    )


def _primary_of(margin: CatalogFolder, storage_options: Mapping[str, Any] | None) -> AnyPath:
    """The primary catalog that a margin names.

    Margins of some tools, and older ones of this package, have a name relative to the folder in which they were made:
    it is looked for in the margin, beside it, in the folder above, and from the current folder. Any name is also looked
    for by its last part beside the margin, which finds a catalog that was moved with its margin. A URL on the server of
    the margin is asked with the options of the margin; those that are given override them.
    """
    name = margin.properties.get("hats_primary_table_url", "").strip().rstrip("/")
    if not name:
        raise CatalogNotFoundError(
            f"{margin.properties_file} names no primary catalog: name it by primary (--primary)"
        )
    folder = absolute(margin.path)
    beside = folder.parent
    last = name.rpartition("/")[2]
    candidates: list[AnyPath] = [resolve_reference(folder, name) if "://" in name else recorded_path(name)]
    if "://" not in name and not Path(name).is_absolute():
        candidates = [beside / name, beside.parent / name, folder / name, recorded_path(name)]
    candidates.append(beside / last)
    candidates = [path if is_local(path) else with_options(path, storage_options) for path in candidates]
    marks = (*HATS_PROPERTIES, COLLECTION, HIPSCAT_INFO)
    unreached: OSError | None = None
    for candidate in candidates:
        try:
            if any(exists(candidate / mark) for mark in marks):
                return candidate
        except OSError as error:
            # It may lie beside the margin.
            unreached = unreached or error
    if unreached is not None:
        raise unreached
    tried = ", ".join(dict.fromkeys(map(str, candidates)))
    raise CatalogNotFoundError(
        f"{margin.properties_file} names the primary catalog {name}, which is not there (tried {tried}): "
        "name it by primary (--primary)"
    )


def _inspect_primary(path: AnyPath) -> CatalogFolder:
    """Inspect a catalog, or the primary catalog of a collection."""
    return inspect_catalog(path if collection_properties(path) is None else collection_primary(path)[0])


def _with_files_elsewhere(catalog: CatalogFolder, paths: PartitionPaths | None) -> CatalogFolder:
    """The catalog with its files at other paths: those that are given, or for lost files those in `_metadata`."""
    lost = [pixel for pixel in catalog.listed or () if pixel not in catalog.files]
    if paths is None and (METADATA not in catalog.sizes or not (lost or not catalog.files)):
        return catalog
    listed_in, partitions = list_partitions(catalog.path, catalog.data, catalog.sizes, None)
    suffix = partition_suffix(catalog.properties)
    if paths is None:
        elsewhere = files_in_metadata(catalog.data, partitions, catalog.files, suffix, listed_in)
    else:
        elsewhere = generated_files(paths, catalog.path, partitions, suffix, listed_in)
    if elsewhere is None:
        return catalog
    files = dict(zip(partitions, elsewhere.files, strict=True))
    return replace(catalog, files=files, elsewhere=elsewhere.root)


def _threshold_arcsec(margin: CatalogFolder) -> float:
    """The threshold in the properties of a margin, in arcseconds."""
    text = margin.properties.get("hats_margin_threshold")
    if text is None:
        raise CatalogError(
            f"{margin.path} is not a margin: {margin.properties_file} has dataproduct_type={margin.kind or 'nothing'} "
            "and no hats_margin_threshold"
        )
    try:
        threshold_arcsec = float(text)
    except ValueError:
        threshold_arcsec = math.nan
    # The comparison is false for NaN.
    if not 0 < threshold_arcsec <= LARGEST_THRESHOLD_ARCSEC:
        raise CatalogError(
            f"{margin.properties_file} has the margin threshold {text!r}: allowed are numbers of arcseconds above 0 "
            f"and at most {LARGEST_THRESHOLD_ARCSEC:.0f} (90 degrees)"
        )
    return threshold_arcsec


def _check_primary(primary: CatalogFolder) -> None:
    """Check that a catalog is a complete primary catalog."""
    if primary.kind not in ("object", "source"):
        raise CatalogError(
            f"{primary.path} cannot be the primary catalog: {primary.properties_file} has "
            f"dataproduct_type={primary.kind or 'nothing'}; allowed are object and source"
        )
    missing = sorted(set(primary.listed or ()) - set(primary.files))
    if missing:
        raise CatalogError(
            f"{primary.data / primary.partition_path(missing[0])} is not there, but listed in {PARTITION_INFO}: "
            "the primary catalog is not complete, or its files lie elsewhere, where path_generator can say"
        )
    if not primary.files:
        raise CatalogError(f"{primary.path} has no partitions: there is nothing to check a margin against")


def _coordinate_columns(primary: CatalogFolder, schema: pa.Schema) -> Columns:
    """The columns of position of a primary catalog with this schema."""
    ra, dec = (
        require_column(
            schema, primary.properties.get(f"hats_col_{role}", ""), role, primary.properties_file
        ).name
        for role in ("ra", "dec")
    )
    index = primary.index[0] or INDEX_COLUMN
    return Columns(ra, dec, index if index in schema.names else None)


def _inspected(
    path: AnyPath, format_name: str, properties: dict[str, str], file: AnyPath, data: AnyPath
) -> CatalogFolder:
    sizes = list_files(data)
    # The folder of a HiPSCat catalog may hold other things than its partitions.
    names = [name for name in sizes if format_name == "HATS" or is_partition_path(name)]
    files, strays = partition_files(names, partition_suffix(properties))
    listing = path / PARTITION_INFO
    listed = read_partition_info(listing) if listing.exists() else None
    return CatalogFolder(path, format_name, properties, file, data, files, strays, sizes, listed)


def _hipscat_properties(path: AnyPath) -> dict[str, str]:
    info = read_json(path / HIPSCAT_INFO)
    properties = with_hats_names({key: str(value) for key, value in info.items() if value is not None})
    provenance = path / PROVENANCE
    tool = read_json(provenance).get("tool_args") if provenance.exists() else None
    if isinstance(tool, dict):
        properties["hats_builder"] = f"{tool.get('tool_name')} v{tool.get('version')}"
        given = tool.get("runtime_args")
        if properties["hats_builder"].startswith(BUILDER_NAME) and isinstance(given, dict):
            properties |= _part(given)
    return properties


def _part(given: dict[str, Any]) -> dict[str, str]:
    """The part of a catalog that a HiPSCat margin of this package is of, as HATS has it."""
    properties = {}
    cone, pixels = given.get("cone_deg"), given.get("debug_filter_pixel_list")
    if cone and isinstance(cone, list):
        properties[CONE] = " ".join(map(str, cone))
    if pixels and isinstance(pixels, list) and all(isinstance(pixel, list) for pixel in pixels):
        properties[FILTER_PIXELS] = " ".join("/".join(map(str, pixel)) for pixel in pixels)
    return properties
