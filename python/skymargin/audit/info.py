"""What a catalog is, at a glance: from its properties, its files' names and their footers."""

from __future__ import annotations

import dataclasses
import os
import textwrap
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from skymargin.audit.footers import inspect_footers
from skymargin.catalogs.folder import HATS_PROPERTIES, CatalogFolder, collection_properties, inspect_catalog
from skymargin.errors import CatalogNotFoundError
from skymargin.formatting import readable_bytes
from skymargin.storage.paths import AnyPath, as_path, list_files

if TYPE_CHECKING:
    from upath import UPath

_WIDTH = 100
_HEAD = 12


@dataclass(frozen=True)
class CatalogInfo:
    """What a catalog is.

    Attributes
    ----------
    path : str
        Its folder.
    format : str
        ``HATS`` or ``HiPSCat``.
    kind : str
        Its type as its properties state it (object, source, margin, index, ...), or ``collection``.
    name : str
        Its name.
    margin_threshold_arcsec : str or None
        Of a margin: its threshold, arcseconds, as its properties state it.
    primary : str or None
        Of a margin, index or collection: the catalog it is of.
    rows_stated : int or None
        Rows as the properties state them.
    rows : int or None
        Rows as the files' footers state them; None when not all could be read.
    columns : int or None
        How many columns it has.
    partitions : dict
        HEALPix order to the number of partitions.
    data_bytes, other_bytes : int
        Sizes of its partitions' files and of everything else.
    ra, dec : str or None
        Columns of the coordinates.
    index : str or None
        Column of the spatial index, and `index_order` its order.
    index_order : int or None
        HEALPix order of the index.
    sorted_by_index : bool or None
        Whether rows are sorted by the index; None when it is not known.
    sorted_from : str
        What that was learned from.
    builder, created : str or None
        What made it, and when.
    members : dict
        Of a collection: its catalogs by their part in it.
    warnings : list of str
        What does not fit together, or could not be read.
    """

    path: str
    format: str
    kind: str
    name: str
    margin_threshold_arcsec: str | None = None
    primary: str | None = None
    rows_stated: int | None = None
    rows: int | None = None
    columns: int | None = None
    partitions: dict[int, int] = field(default_factory=dict)
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
        lines = [
            ("catalog", self.path),
            ("what", f"{self.format} {self.kind}, {self.name}"),
            ("threshold", self.margin_threshold_arcsec and f"{self.margin_threshold_arcsec} arcsec"),
            ("primary", self.primary),
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
        printed: list[str] = []
        for head, text in lines:
            if text:
                printed += textwrap.wrap(
                    str(text),
                    _WIDTH,
                    initial_indent=f"{head:<{_HEAD}}",
                    subsequent_indent=" " * _HEAD,
                    break_long_words=False,
                    break_on_hyphens=False,
                )
        return "\n".join(printed)

    def to_dict(self) -> dict[str, Any]:
        """The same as plain values, for JSON."""
        return dataclasses.asdict(self)

    def _rows(self) -> str:
        if self.rows is not None:
            return f"{self.rows:,}"
        return f"{self.rows_stated:,} (as its properties say)" if self.rows_stated is not None else ""

    def _partitions(self) -> str:
        if self.kind == "collection":
            return ""
        orders = ", ".join(f"{count:,} of order {order}" for order, count in self.partitions.items())
        if len(self.partitions) < 2:
            return orders or "none"
        return f"{sum(self.partitions.values()):,}: {orders}"

    def _on_disk(self) -> str:
        if self.kind == "collection":
            return ""
        return f"{readable_bytes(self.data_bytes)} of data, {readable_bytes(self.other_bytes)} beside"

    def _sorted(self) -> str:
        if self.index is None:
            return ""
        answer = {True: "yes", False: "NO", None: "not known"}[self.sorted_by_index]
        return f"{answer}: {self.sorted_from}" if self.sorted_from else answer


def info(catalog: str | os.PathLike[str] | UPath) -> CatalogInfo:
    """Say what a catalog is, without reading its rows.

    Parameters
    ----------
    catalog
        A HATS catalog, margin or collection, or a HiPSCat catalog.

    Returns
    -------
    CatalogInfo
        What it is. Of its rows only a small index column (64 MB) is read, to see whether they are sorted.

    Raises
    ------
    CatalogNotFoundError
        When there is nothing there, or no catalog.
    CatalogError
        When its properties cannot be read.
    """
    path = as_path(catalog)
    if not path.exists():
        raise CatalogNotFoundError(f"there is nothing at {path}")
    about = None if any((path / name).exists() for name in HATS_PROPERTIES) else collection_properties(path)
    return _collection(path, about) if about is not None else _catalog(inspect_catalog(path))


def _collection(path: AnyPath, about: dict[str, str]) -> CatalogInfo:
    defaults = {about.get("default_margin"), about.get("default_index")} - {None}
    members = {
        part: [f"{name} (default)" if name in defaults else name for name in about[key].split()]
        for part, key in (("margins", "all_margins"), ("indexes", "all_indexes"))
        if about.get(key)
    }
    primary = about.get("hats_primary_table_url")
    names = [primary or "", *about.get("all_margins", "").split()]
    warnings = [
        f"{name} is not there" for name in names if name and "://" not in name and not (path / name).exists()
    ]
    if not primary:
        warnings.append("collection.properties names no primary catalog")
    return CatalogInfo(
        path=str(path),
        format="HATS",
        kind="collection",
        name=about.get("obs_collection", path.name),
        primary=primary,
        builder=about.get("hats_builder"),
        created=about.get("hats_creation_date"),
        members=members,
        warnings=warnings,
    )


def _catalog(one: CatalogFolder) -> CatalogInfo:
    said = one.properties.get
    paths = [name for names in one.files.values() for name in names]
    has_partitions = one.kind in ("object", "source", "margin", "")
    if not has_partitions:
        paths += one.strays
    seen = inspect_footers(one, paths)
    warnings = [*seen.complaints]
    stated = said("hats_nrows", "")
    rows_stated = int(stated) if stated.isdecimal() else None
    if None not in (seen.rows, rows_stated) and seen.rows != rows_stated:
        warnings.append(f"its properties say {rows_stated:,} rows, its files hold {seen.rows:,}")
    if one.listed is not None and has_partitions and set(one.listed) != set(one.files):
        warnings.append(
            f"partition_info.csv lists {len(set(one.listed)):,} partitions, {len(one.files):,} have files; "
            f"{len(set(one.listed) & set(one.files)):,} are in both"
        )
    if one.strays and has_partitions:
        warnings.append(f"{len(one.strays):,} files where no reader looks, the first is {one.strays[0]}")
    everything = one.sizes if one.data == one.path else list_files(one.path)
    data_bytes = sum(one.sizes[name] for name in paths)
    return CatalogInfo(
        path=str(one.path),
        format=one.format,
        kind=one.kind or "catalog of no stated type",
        name=said("obs_collection", one.path.name),
        margin_threshold_arcsec=said("hats_margin_threshold"),
        primary=said("hats_primary_table_url"),
        rows_stated=rows_stated,
        rows=seen.rows,
        columns=seen.columns,
        partitions=dict(sorted(Counter(order for order, _ in one.files).items())),
        data_bytes=data_bytes,
        other_bytes=sum(everything.values()) - data_bytes,
        ra=said("hats_col_ra"),
        dec=said("hats_col_dec"),
        index=seen.index,
        index_order=one.index[1] if seen.index else None,
        sorted_by_index=seen.is_sorted,
        sorted_from=seen.learned_from,
        builder=said("hats_builder"),
        created=said("hats_creation_date"),
        warnings=warnings,
    )
