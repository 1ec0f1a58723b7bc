"""Summary of a catalog from its properties, the names of its files and their footers."""

from __future__ import annotations

import dataclasses
import math
import os
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from skymargin.audit.footers import inspect_footers
from skymargin.catalogs.collection import listed_names
from skymargin.catalogs.folder import CatalogFolder, collection_properties, inspect_catalog
from skymargin.catalogs.layout import COLLECTION, PARTITION_INFO
from skymargin.catalogs.properties import whole_number
from skymargin.errors import CatalogNotFoundError
from skymargin.formatting import arcsec_text, counted, readable_bytes, wrapped
from skymargin.shown import Shown, Table
from skymargin.storage.paths import AnyPath, as_path, list_files, translate_errors

if TYPE_CHECKING:
    from upath import UPath

_HEAD = 12


@dataclass(frozen=True)
class CatalogInfo(Shown):
    """What a catalog is.

    Attributes
    ----------
    path : str
        Its folder.
    format : str
        ``HATS`` or ``HiPSCat``.
    kind : str
        Its type in its properties (object, source, margin, index, ...), or ``collection``.
    name : str
        Its name.
    margin_threshold_arcsec : float or None
        Of a margin: the threshold in its properties, arcseconds.
    primary : str or None
        Of a margin, index or collection: its primary catalog.
    part : str
        Of a margin of a part of its catalog (a cone, some pixels): which part; empty for a whole one.
    rows_stated, rows : int or None
        Number of rows in its properties, and in the footers of its files; None when not all could be read.
    columns : int or None
        Number of columns.
    partitions : int
        Number of partitions.
    partitions_per_order : dict
        HEALPix order to the number of partitions.
    data_bytes, other_bytes : int
        Sizes of the files of its partitions and of all other files.
    ra, dec : str or None
        Columns of the coordinates.
    index, index_order : str or None, int or None
        Column of the spatial index, and its HEALPix order.
    sorted_by_index : bool or None
        Whether rows are sorted by the index; None when that is not known.
    sorted_from : str
        How that is known.
    builder, created : str or None
        The tool that made it, and when.
    members : dict
        Of a collection: its catalogs by their role in it.
    warnings : list of str
        What is inconsistent, or could not be read.
    """

    path: str
    format: str
    kind: str
    name: str
    margin_threshold_arcsec: float | None = None
    primary: str | None = None
    part: str = ""
    rows_stated: int | None = None
    rows: int | None = None
    columns: int | None = None
    partitions: int = 0
    partitions_per_order: dict[int, int] = field(default_factory=dict)
    data_bytes: int = 0
    other_bytes: int = 0
    ra: str | None = None
    dec: str | None = None
    index: str | None = None
    index_order: int | None = None
    sorted_by_index: bool | None = None
    sorted_from: str = ""
    builder: str | None = None
    created: str | None = None
    members: dict[str, list[str]] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    def summary(self) -> str:
        """A table for people, at most 100 columns wide where the catalog's names allow it."""
        printed: list[str] = []
        for head, text in self._lines():
            if text:
                printed += wrapped(str(text), f"{head:<{_HEAD}}", _HEAD)
        return "\n".join(printed)

    def _table(self) -> Table:
        return Table(self.name, self._lines())

    def _lines(self) -> list[tuple[str, object]]:
        return [
            ("catalog", self.path),
            ("what", f"{self.format} {self.kind}, {self.name}"),
            ("threshold", self.margin_threshold_arcsec and arcsec_text(self.margin_threshold_arcsec)),
            ("primary", self.primary),
            ("part", self.part),
            *((part, ", ".join(names)) for part, names in self.members.items()),
            ("rows", self._rows()),
            ("partitions", self._partitions()),
            ("on disk", self._on_disk()),
            ("columns", self.columns and f"{self.columns:,}"),
            ("positions", self.ra and f"{self.ra}, {self.dec}"),
            ("index", self.index and f"{self.index}, order {self.index_order}"),
            ("sorted", self._sorted()),
            ("built by", self.builder),
            ("created", self.created),
            *(("WARNING", warning) for warning in self.warnings),
        ]

    def to_dict(self) -> dict[str, Any]:
        """The summary as plain values, for JSON."""
        return dataclasses.asdict(self)

    def _rows(self) -> str:
        if self.rows is not None:
            return f"{self.rows:,}"
        return f"{self.rows_stated:,} (from its properties)" if self.rows_stated is not None else ""

    def _partitions(self) -> str:
        if self.kind == "collection":
            return ""
        orders = ", ".join(
            f"{count:,} of order {order}" for order, count in self.partitions_per_order.items()
        )
        return f"{self.partitions:,}: {orders}" if len(self.partitions_per_order) > 1 else orders or "none"

    def _on_disk(self) -> str:
        if self.kind == "collection":
            return ""
        return f"{readable_bytes(self.data_bytes)} of data, {readable_bytes(self.other_bytes)} of other files"

    def _sorted(self) -> str:
        if self.index is None:
            return ""
        answer = {True: "yes", False: "NO", None: "not known"}[self.sorted_by_index]
        return f"{answer}: {self.sorted_from}" if self.sorted_from else answer


def info(catalog: str | os.PathLike[str] | UPath) -> CatalogInfo:
    """Summarise a catalog without reading its rows.

    Parameters
    ----------
    catalog
        A HATS catalog, margin or collection, or a HiPSCat catalog.

    Returns
    -------
    CatalogInfo
        Its summary. Only an index column of up to 64 MB is read, to check whether the rows are sorted.

    Raises
    ------
    CatalogNotFoundError
        When there is no catalog.
    CatalogError
        When its properties cannot be read.
    """
    path = as_path(catalog, "catalog")
    with translate_errors(path):
        is_there = path.exists()
    if not is_there:
        raise CatalogNotFoundError(f"there is nothing at {path}")
    properties = collection_properties(path)
    return _catalog(inspect_catalog(path)) if properties is None else _collection(path, properties)


def _collection(path: AnyPath, properties: dict[str, str]) -> CatalogInfo:
    defaults = {properties.get("default_margin"), properties.get("default_index")} - {None}
    members = {
        part: [f"{name} (default)" if name in defaults else name for name in names]
        for part, key in (("margins", "all_margins"), ("indexes", "all_indexes"))
        if (names := listed_names(properties, key))
    }
    primary = properties.get("hats_primary_table_url")
    names = [primary or "", *listed_names(properties, "all_margins")]
    warnings = [
        f"{name} is not there" for name in names if name and "://" not in name and not (path / name).exists()
    ]
    if not primary:
        warnings.append(f"{COLLECTION} names no primary catalog")
    return CatalogInfo(
        path=str(path),
        format="HATS",
        kind="collection",
        name=properties.get("obs_collection", path.name),
        primary=primary,
        builder=properties.get("hats_builder"),
        created=properties.get("hats_creation_date"),
        members=members,
        warnings=warnings,
    )


def _number(text: str) -> float | None:
    """A finite number, which JSON can hold; None for other text."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _catalog(catalog: CatalogFolder) -> CatalogInfo:
    stated = catalog.properties.get
    paths = [name for names in catalog.files.values() for name in names]
    has_partitions = catalog.kind in ("object", "source", "margin", "")
    if not has_partitions:
        paths += catalog.strays
    footers = inspect_footers(catalog, paths)
    warnings = [*footers.problems]
    rows_stated = whole_number(stated("hats_nrows", ""))
    if footers.rows is not None and rows_stated is not None and footers.rows != rows_stated:
        warnings.append(f"its properties say {counted(rows_stated, 'row')}, its files have {footers.rows:,}")
    if catalog.listed is not None and has_partitions and set(catalog.listed) != set(catalog.files):
        warnings.append(
            f"{PARTITION_INFO} lists {counted(len(set(catalog.listed)), 'partition')}; with files: "
            f"{len(catalog.files):,}, in both: {len(set(catalog.listed) & set(catalog.files)):,}"
        )
    if catalog.strays and has_partitions:
        strays = counted(len(catalog.strays), "file")
        warnings.append(f"{strays} where no reader looks, first {catalog.strays[0]}")
    threshold_arcsec = None
    if (text := stated("hats_margin_threshold")) is not None:
        threshold_arcsec = _number(text)
        if threshold_arcsec is None:
            warnings.append(f"its properties have the margin threshold {text!r}, which is not a number")
    sizes = catalog.sizes if catalog.data == catalog.path else list_files(catalog.path)
    data_bytes = sum(catalog.sizes[name] for name in paths)
    return CatalogInfo(
        path=str(catalog.path),
        format=catalog.format,
        kind=catalog.kind or "catalog of no stated type",
        name=stated("obs_collection", catalog.path.name),
        margin_threshold_arcsec=threshold_arcsec,
        primary=stated("hats_primary_table_url"),
        part=catalog.part,
        rows_stated=rows_stated,
        rows=footers.rows,
        columns=footers.columns,
        partitions=len(catalog.files),
        partitions_per_order=dict(sorted(Counter(order for order, _ in catalog.files).items())),
        data_bytes=data_bytes,
        other_bytes=sum(sizes.values()) - data_bytes,
        ra=stated("hats_col_ra"),
        dec=stated("hats_col_dec"),
        index=footers.index,
        index_order=catalog.index[1] if footers.index else None,
        sorted_by_index=footers.is_sorted,
        sorted_from=footers.sorted_from,
        builder=stated("hats_builder"),
        created=stated("hats_creation_date"),
        warnings=warnings,
    )
