"""How a catalog lies on disk: names of files and columns, patterns of paths. Nothing here reads or writes a file.

No other file of the package has these names; `ownership` says with them what a folder holds and what may be replaced.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, TypeAlias

from skymargin.geometry.limits import LARGEST_ORDER

Pixel: TypeAlias = tuple[int, int]

HATS_PROPERTIES = ("hats.properties", "properties")
COLLECTION = "collection.properties"
HIPSCAT_INFO = "catalog_info.json"
# Readers do not take a folder without one of these for a catalog. In the order in which they are written.
VALID_BY = (HIPSCAT_INFO, *reversed(HATS_PROPERTIES))
# Folder for these while the margins of a catalog are being written to its place on an object store: the other files
# wait beside it, and nobody takes either folder for a catalog.
MARKS_ASIDE = "marks"
# What a path may have to be a catalog or a collection, in words.
CATALOG_FILES = f"{', '.join((*HATS_PROPERTIES, COLLECTION))} or {HIPSCAT_INFO}"

# The folder of the partitions in a HATS catalog; in a HiPSCat catalog they are in the catalog's folder itself.
DATASET = "dataset"
PARTITION_INFO = "partition_info.csv"
METADATA = "_metadata"
COMMON_METADATA = "_common_metadata"
PROVENANCE = "provenance_info.json"
# What a margin of skymargin was made from. The hipscat library takes every file for data whose name does not begin
# like one of those it knows.
RECORD = "_metadata.skymargin.json"

# What the hats library writes beside the data when it is asked to, and in `dataset` in older versions.
_THUMBNAIL = "data_thumbnail.parquet"
_SUMMARIES = ("partition_info.png", "per_partition_statistics.parquet", "index.html", "README.md")
_SKY_MAPS = ("point_map.fits", "skymap.png")
_SKY_MAP_OF_ORDER = re.compile(r"skymap(\.\d+)?\.fits")
_FILES = frozenset(
    {
        *(*VALID_BY, RECORD, PROVENANCE, PARTITION_INFO, *_SUMMARIES, *_SKY_MAPS),
        *(
            f"{folder}{name}"
            for folder in ("", f"{DATASET}/")
            for name in (METADATA, COMMON_METADATA, _THUMBNAIL)
        ),
    }
)

# The spatial index of a HATS catalog.
INDEX_COLUMN = "_healpix_29"
INDEX_ORDER = LARGEST_ORDER
# That of a HiPSCat catalog: a pixel of order 19 above a counter of the rows in it, 22 bits that are no position.
HIPSCAT_INDEX_COLUMN = "_hipscat_index"
HIPSCAT_INDEX_ORDER = 19
HIPSCAT_INDEX_SHIFT = 22
# The columns of partition_info.csv, and of the rows of a HiPSCat catalog.
ORDER_COLUMN, DIRECTORY_COLUMN, PIXEL_COLUMN = PIXEL_COLUMNS = ("Norder", "Dir", "Npix")
# The columns of a HiPSCat margin for the partition each row comes from, with their types; its other pixel columns name
# the margin's own pixel.
SOURCE_COLUMNS = {"margin_Norder": "uint8", "margin_Dir": "uint64", "margin_Npix": "uint64"}

SUFFIX = ".parquet"
PARQUET_SUFFIXES = (SUFFIX, ".parq")
# A partition's path as it should be, and the loosest form in which one is recognised.
_PARTITION_PATH = rf"({DATASET}/)?Norder=\d+/Dir=\d+/Npix=\d+"
_LEVEL = re.compile(r"(Norder|Dir|Npix)=\d+")
_PARTITION_NUMBERS = re.compile(r"Norder=(\d+)/.*Npix=(\d+)")
_PARTITION_FILE = re.compile(r"Norder=\d+/.*")
# Partitions in a folder, as a glob.
PARTITION_FOLDERS = "Norder=*"
# Order and pixel in the path of a file, by the name of the column, as expressions without groups but the number.
NUMBERS_IN_PATH = {ORDER_COLUMN: r"Norder=(\d+)/Dir=", PIXEL_COLUMN: r"/Npix=(\d+)[^=]*$"}
_ANY_SUFFIX = r"\.[A-Za-z0-9][A-Za-z0-9._-]*"
_FILE_IN_FOLDER = r"/[A-Za-z0-9][A-Za-z0-9._=-]*\.(parquet|parq)"


def directory(pixel: Any) -> Any:
    """The number in the name of the folder that a pixel's file is in, for a pixel or an array of pixels."""
    return pixel // 10_000 * 10_000


def partition_path(order: int, pixel: int) -> str:
    """Path of a partition in the folder of the data, without the suffix of its file."""
    return f"Norder={order}/Dir={directory(pixel)}/Npix={pixel}"


def partition_suffix(properties: Mapping[str, str]) -> str:
    """What follows the path of each partition, by the properties of a catalog: `/` where it is a folder of files."""
    suffix = properties.get("hats_npix_suffix") or SUFFIX
    return suffix if suffix.strip("/\\") else "/"


def partition_pixel(path: str) -> Pixel | None:
    """Order and pixel in a path, if it is that of a partition or of a file of one."""
    match = _PARTITION_NUMBERS.search(path)
    return (int(match[1]), int(match[2])) if match else None


def from_partition_path(path: str) -> str:
    """A path from the name of the partition on, whatever comes before it."""
    match = _PARTITION_FILE.search(path)
    return match[0] if match else path


def is_partition_path(path: str) -> bool:
    """Whether a path begins with the folder of a partition."""
    return path.startswith("Norder=")


def is_data_folder(name: str) -> bool:
    """Whether a folder lies in a catalog and holds partitions, by its name."""
    return name == DATASET or _LEVEL.fullmatch(name) is not None


def is_data_file(name: str, suffix: str) -> bool:
    """Whether a file holds rows, by its name, in a catalog whose partitions have a suffix: no metadata, not hidden."""
    return name.endswith((*PARQUET_SUFFIXES, suffix)) and not name.rpartition("/")[2].startswith(("_", "."))


def below_dataset(name: str) -> str:
    """The path of a file relative to the folder of the data, from that in the catalog."""
    return name.removeprefix(f"{DATASET}/")


def foreign_files(names: list[str], suffix: str | None = None) -> list[str]:
    """The files that neither skymargin nor hats, hats-import, LSDB, hipscat or hipscat-import writes into a catalog.

    Parameters
    ----------
    names
        Files relative to the folder of the catalog.
    suffix
        What follows the paths of its partitions, `/` for a folder of files each; None when that is not known.
    """
    endings = {None: f"({_ANY_SUFFIX}|{_FILE_IN_FOLDER})", "/": _FILE_IN_FOLDER}
    partition = re.compile(_PARTITION_PATH + endings.get(suffix, re.escape(suffix or "")))
    return [
        name
        for name in names
        if not (name in _FILES or partition.fullmatch(name) or _SKY_MAP_OF_ORDER.fullmatch(name))
    ]
