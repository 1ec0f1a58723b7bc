"""What lies in a catalog's folder, whatever it claims to be: for audits and for a look, which trust little.

Where `open_catalog` refuses what a margin cannot be made of, a survey takes margins, indexes and damaged catalogs, of
HATS and of HiPSCat, and tells what is there.
"""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skymargin.catalogs.properties import read_properties
from skymargin.errors import CatalogError, CatalogNotFoundError
from skymargin.storage.paths import AnyPath, as_path, list_files, open_input

if TYPE_CHECKING:
    import pyarrow as pa

HATS_PROPERTIES = ("hats.properties", "properties")
COLLECTION_PROPERTIES = "collection.properties"
HIPSCAT_PROPERTIES = "catalog_info.json"
# The metadata of a HiPSCat catalog under the names that HATS has for it.
_HATS_NAMES = {
    "catalog_name": "obs_collection",
    "catalog_type": "dataproduct_type",
    "total_rows": "hats_nrows",
    "ra_column": "hats_col_ra",
    "dec_column": "hats_col_dec",
    "primary_catalog": "hats_primary_table_url",
    "margin_threshold": "hats_margin_threshold",
}
_PIXEL = re.compile(r"^Norder=(\d+)/Dir=\d+/Npix=(\d+)")
_PARQUET = re.compile(r"\.(parquet|parq)$")
_LARGEST_ORDER = 29
# Its index has an order 19 pixel in the upper bits and a counter in the lower ones.
_HIPSCAT_INDEX_ORDER = 19

Pixel = tuple[int, int]


@dataclass(frozen=True)
class CatalogFolder:
    """A catalog's properties and files, as found.

    Attributes
    ----------
    path : Path or UPath
        Its folder.
    format : str
        ``HATS`` or ``HiPSCat``.
    properties : dict
        What its properties say, under the names of HATS.
    properties_file : Path or UPath
        The file they came from.
    data : Path or UPath
        The folder that holds its partitions.
    files : dict
        Order and pixel to the files where readers look for that partition, relative to `data`.
    strays : list of str
        Parquet files where no reader looks, relative to `data`.
    sizes : dict
        Every file below `data`, relative to it, to its size in bytes.
    listed : list of (int, int) or None
        The partitions that ``partition_info.csv`` lists; None without such a file.
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

    @property
    def kind(self) -> str:
        """The type that its properties state: object, source, margin, index and others."""
        return self.properties.get("dataproduct_type", "")

    @property
    def index(self) -> tuple[str | None, int]:
        """Column of the spatial index, if any is stated or customary, and its order."""
        if self.format == "HiPSCat":
            return "_hipscat_index", _HIPSCAT_INDEX_ORDER
        order = self.properties.get("hats_col_healpix_order", "")
        known = order.isdecimal() and int(order) <= _LARGEST_ORDER
        return self.properties.get("hats_col_healpix") or None, int(order) if known else _LARGEST_ORDER

    def partition_path(self, pixel: Pixel) -> str:
        """Where readers look for a partition, relative to `data`."""
        return _partition_path(*pixel) + _suffix(self.properties)

    def file_paths(self, pixel: Pixel) -> list[AnyPath]:
        """The files of a partition."""
        return [self.data / name for name in self.files.get(pixel, ())]

    def schema(self) -> pa.Schema:
        """Columns of the catalog: of ``_common_metadata``, else of ``_metadata``, else of the first file that has any.

        Raises
        ------
        CatalogError
            When no file tells.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        partitions = [name for names in self.files.values() for name in names]
        known = [name for name in ("_common_metadata", "_metadata") if name in self.sizes]
        reason = "it has no partitions and no _common_metadata"
        for name in [*known, *partitions]:
            try:
                with open_input(self.data / name) as source:
                    return pq.read_schema(source)
            except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
                reason = f"{self.data / name} cannot be read as Parquet: {' '.join(str(error).split())}"
        raise CatalogError(f"{self.path}: nothing says which columns it has: {reason}")


def inspect_catalog(path: AnyPath) -> CatalogFolder:
    """Look at a catalog: its properties and its files, no rows.

    Raises
    ------
    CatalogNotFoundError
        When there is nothing at `path`, or no catalog.
    CatalogError
        When it is a collection, or its properties cannot be read.
    """
    if not path.exists():
        raise CatalogNotFoundError(f"there is nothing at {path}")
    for name in HATS_PROPERTIES:
        if (path / name).exists():
            return _surveyed(path, "HATS", read_properties(path / name), path / name, path / "dataset")
    if (path / HIPSCAT_PROPERTIES).exists():
        return _surveyed(path, "HiPSCat", _hipscat_properties(path), path / HIPSCAT_PROPERTIES, path)
    if (path / COLLECTION_PROPERTIES).exists():
        raise CatalogError(f"{path} is a collection: name one of the catalogs in it")
    raise CatalogNotFoundError(
        f"{path} is not a catalog: it has no {', '.join((*HATS_PROPERTIES, COLLECTION_PROPERTIES))} "
        f"or {HIPSCAT_PROPERTIES}"
    )


def collection_properties(path: AnyPath) -> dict[str, str] | None:
    """What a HATS collection says of itself; None when `path` is no collection."""
    file = path / COLLECTION_PROPERTIES
    return read_properties(file) if file.exists() else None


def primary_of(margin: CatalogFolder) -> AnyPath:
    """The catalog that a margin says it is of.

    A relative name is looked for as it is, beside the margin, and by its last part beside the margin.

    Raises
    ------
    CatalogNotFoundError
        When it names none, or none is found.
    """
    name = margin.properties.get("hats_primary_table_url", "").strip().rstrip("/")
    if not name:
        raise CatalogNotFoundError(
            f"{margin.properties_file} names no primary catalog: name it by primary (--primary)"
        )
    beside = margin.path.parent if margin.path.name else margin.path / ".."
    last = name.rpartition("/")[2]
    places: list[AnyPath] = [as_path(name)]
    if "://" not in name and not name.startswith("/"):
        places = [beside / name, beside.parent / name, as_path(name)]
    places.append(beside / last)
    for place in places:
        if place.exists() and is_any_catalog(place):
            return place
    tried = ", ".join(dict.fromkeys(str(place) for place in places))
    raise CatalogNotFoundError(
        f"{margin.properties_file} names the primary catalog {name}, which is not there (tried {tried}): "
        "name it by primary (--primary)"
    )


def is_any_catalog(path: AnyPath) -> bool:
    """Whether the folder has the properties of a catalog or a collection."""
    marks = (*HATS_PROPERTIES, COLLECTION_PROPERTIES, HIPSCAT_PROPERTIES)
    return any((path / mark).exists() for mark in marks)


def inspect_primary(path: AnyPath) -> CatalogFolder:
    """Look at a catalog, or at the primary catalog of a collection.

    Raises
    ------
    CatalogNotFoundError, CatalogError
        As `survey`.
    """
    collection = collection_properties(path) if path.exists() else None
    if collection is None or any((path / name).exists() for name in HATS_PROPERTIES):
        return inspect_catalog(path)
    inside = collection.get("hats_primary_table_url")
    if not inside:
        raise CatalogError(f"{path / COLLECTION_PROPERTIES} does not say which catalog the collection is of")
    return inspect_catalog(as_path(inside) if "://" in inside else path / inside)


def _surveyed(
    path: AnyPath, format_name: str, properties: dict[str, str], file: AnyPath, data: AnyPath
) -> CatalogFolder:
    sizes = list_files(data)
    suffix = _suffix(properties)
    files: dict[Pixel, tuple[str, ...]] = {}
    strays = []
    for name in sorted(sizes):
        if not _PARQUET.search(name) and not (suffix != "/" and name.endswith(suffix)):
            continue
        if name.rpartition("/")[2].startswith(("_", ".")):
            continue
        match = _PIXEL.match(name)
        pixel = (int(match[1]), int(match[2])) if match else None
        if pixel is not None and _is_at_home(name, pixel, suffix):
            files[pixel] = (*files.get(pixel, ()), name)
        elif format_name == "HATS" or match:
            strays.append(name)
    return CatalogFolder(path, format_name, properties, file, data, files, strays, sizes, _listed(path))


def _is_at_home(name: str, pixel: Pixel, suffix: str) -> bool:
    order, number = pixel
    if order > _LARGEST_ORDER or number >= 12 << (2 * order):
        return False
    stem = _partition_path(order, number)
    return name.rpartition("/")[0] == stem if suffix == "/" else name == stem + suffix


def _partition_path(order: int, pixel: int) -> str:
    return f"Norder={order}/Dir={pixel // 10_000 * 10_000}/Npix={pixel}"


def _suffix(properties: dict[str, str]) -> str:
    suffix = properties.get("hats_npix_suffix") or ".parquet"
    return suffix if suffix.strip("/\\") else "/"


def _listed(path: AnyPath) -> list[Pixel] | None:
    listing = path / "partition_info.csv"
    if not listing.exists():
        return None
    try:
        rows: Sequence[dict[str, Any]] = list(csv.DictReader(listing.read_text("utf-8").splitlines()))
        return [(int(row["Norder"]), int(row["Npix"])) for row in rows]
    except (OSError, UnicodeDecodeError, ValueError, KeyError, TypeError, csv.Error) as error:
        raise CatalogError(f"{listing} cannot be read as a list of partitions: {error}") from error


def _hipscat_properties(path: AnyPath) -> dict[str, str]:
    about = _read_json(path / HIPSCAT_PROPERTIES)
    properties = {_HATS_NAMES.get(key, key): str(value) for key, value in about.items() if value is not None}
    provenance = path / "provenance_info.json"
    tool = _read_json(provenance).get("tool_args") if provenance.exists() else None
    if isinstance(tool, dict):
        properties["hats_builder"] = f"{tool.get('tool_name')} v{tool.get('version')}"
    return properties


def _read_json(file: AnyPath) -> dict[str, Any]:
    try:
        about = json.loads(file.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise CatalogError(f"{file} cannot be read: {error}") from error
    if not isinstance(about, dict):
        raise CatalogError(f"{file} holds no properties")
    return about


_NAME = re.compile(r"Norder=(\d+)/Dir=\d+/Npix=(\d+)\.parquet$")


def partition_files(catalog_path: str | Path) -> dict[tuple[int, int], Path]:
    """Return the files of a local HATS catalog by order and pixel.

    Parameters
    ----------
    catalog_path : str or Path
        A catalog with one ``.parquet`` file per partition. A margin without rows has none.

    Raises
    ------
    FileNotFoundError
        If there is no directory ``dataset``.
    """
    dataset = Path(catalog_path) / "dataset"
    if not dataset.is_dir():
        raise FileNotFoundError(f"{catalog_path} is not a HATS catalog: it has no directory 'dataset'")
    found = {}
    for path in sorted(dataset.glob("Norder=*/Dir=*/Npix=*.parquet")):
        name = _NAME.search(path.as_posix())
        if name:
            found[int(name[1]), int(name[2])] = path
    return found


_LARGEST_THRESHOLD_ARCSEC = 90 * 3600.0


_CUSTOMARY_INDEX = "_healpix_29"


@dataclass(frozen=True)
class Columns:
    """Names of the columns of position; without an index, None."""

    ra: str
    dec: str
    index: str | None


def stated_threshold_arcsec(margin: CatalogFolder) -> float:
    """The threshold of a margin, arcseconds.

    Raises
    ------
    CatalogError
        When the catalog is no margin, or its threshold is not allowed.
    """
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
    # Written so that a NaN fails.
    if not 0 < threshold_arcsec <= _LARGEST_THRESHOLD_ARCSEC:
        raise CatalogError(
            f"{margin.properties_file} has the margin threshold {text!r}: allowed are numbers of arcseconds above 0 "
            f"and at most {_LARGEST_THRESHOLD_ARCSEC:.0f} (90 degrees)"
        )
    return threshold_arcsec


def check_primary(primary: CatalogFolder) -> None:
    """Refuse what is no primary catalog, or not all there.

    Raises
    ------
    CatalogError
        Which says why.
    """
    if primary.kind not in ("object", "source"):
        raise CatalogError(
            f"{primary.path} cannot be the primary catalog: {primary.properties_file} has "
            f"dataproduct_type={primary.kind or 'nothing'}; allowed are object and source"
        )
    listed = set(primary.listed or ())
    lost = sorted(listed - set(primary.files))
    if lost:
        raise CatalogError(
            f"{primary.data / primary.partition_path(lost[0])} is not there, but listed in partition_info.csv: "
            "the primary catalog is not complete"
        )
    if not primary.files:
        raise CatalogError(f"{primary.path} has no partitions: there is nothing to check a margin against")


def coordinate_columns(primary: CatalogFolder, schema: pa.Schema) -> Columns:
    """The columns of position of a primary catalog with some schema.

    Raises
    ------
    CatalogError
        When its properties name a column that is not there.
    """
    names = []
    for role in ("ra", "dec"):
        name = primary.properties.get(f"hats_col_{role}", "")
        if name not in schema.names:
            raise CatalogError(
                f"{primary.properties_file} names {name!r} as the {role} column; "
                f"the columns are {', '.join(schema.names)}"
            )
        names.append(name)
    index = primary.index[0] or _CUSTOMARY_INDEX
    return Columns(names[0], names[1], index if index in schema.names else None)
