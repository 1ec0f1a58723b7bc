"""Catalogs of LSDB with an exact margin."""

from __future__ import annotations

from copy import copy
from typing import Any

from lsdb.catalog import Catalog, MarginCatalog
from pandas.api.types import is_bool_dtype, is_numeric_dtype

from skymargin.catalogs.layout import INDEX_COLUMN
from skymargin.catalogs.library_catalog import hats_margin
from skymargin.errors import ArgumentError, CatalogError
from skymargin.formatting import threshold_name
from skymargin.geometry.angles import allowed_arcsec
from skymargin.lsdb.edges import MarginColumns
from skymargin.lsdb.operation import ComputedPartitions, EdgeSource, MarginOperation, StoredPartitions
from skymargin.lsdb.stored_catalog import CatalogReader, stored_catalog
from skymargin.lsdb.tiles import Tiles


def with_margin(catalog: Catalog, threshold_arcsec: float) -> Catalog:
    """Give a catalog of LSDB an exact margin, which is computed when it is used.

    Parameters
    ----------
    catalog : lsdb.Catalog
        Any catalog with its coordinates: opened from a disk or a store, made from a frame, the result of a query, a
        search, a crossmatch, a join. If it has a margin, that is replaced.
    threshold_arcsec : float or astropy Quantity
        How far around its partitions the margin reaches: arcseconds, above 0 and at most 324,000 (90 degrees). It may
        be larger than partitions.

    Returns
    -------
    lsdb.Catalog
        The same catalog with the margin as its `margin`. What LSDB applies to a catalog afterwards, it applies to the
        margin, too. Its `write_catalog` stores both.

    Raises
    ------
    ArgumentError
        When `catalog` is no catalog of LSDB, or itself a margin, or the threshold is not allowed.
    CatalogError
        When the catalog has no coordinate columns, or its partitions overlap.

    Notes
    -----
    The margin of a partition has the rows of all other partitions that are within the threshold of its pixel, decided
    as exactly as in a margin catalog, and so do empty pixels beside partitions: its rows, their order and their types
    are those of a margin catalog built from the same rows.

    Nothing is computed here. Of a catalog as it was opened, with columns and filters perhaps, a task reads the pages
    that hold rows of margins. Of any other catalog the partitions are computed, each once for the margin and for what
    else uses it. Only partitions near those that are asked for are read or computed.

    The margin has the rows of `catalog` as it is: give the margin before selecting partitions or a region, so that
    margins reach beyond it.

    Examples
    --------
    >>> import lsdb
    >>> from skymargin.lsdb import with_margin
    >>> stars = lsdb.open_catalog("gaia")  # doctest: +SKIP
    >>> wide = with_margin(stars.query("parallax > 1"), 60)  # doctest: +SKIP
    >>> matched = others.crossmatch(wide, radius_arcsec=45)  # doctest: +SKIP
    """
    require_catalog("catalog", catalog)
    threshold_arcsec = allowed_arcsec("threshold_arcsec", threshold_arcsec)
    operation: Any = catalog._operation
    columns = _columns(catalog, threshold_arcsec)
    pixels = operation.healpix_pixels
    tiles = Tiles(
        [int(pixel.order) for pixel in pixels], [int(pixel.pixel) for pixel in pixels], threshold_arcsec
    )
    stored = stored_catalog(catalog)
    source: EdgeSource = (
        ComputedPartitions(columns, operation)
        if stored is None
        else StoredPartitions(CatalogReader(columns, stored))
    )
    margin = MarginOperation(operation, tiles, source)
    name = threshold_name(catalog.name, threshold_arcsec)
    structure = hats_margin(catalog.hc_structure, margin.healpix_pixels, name, threshold_arcsec)
    result = copy(catalog)
    result.margin = MarginCatalog(margin, structure)
    return result


def require_catalog(argument: str, catalog: object) -> None:
    """Check that an argument is a catalog of LSDB that can have a margin.

    Raises
    ------
    ArgumentError
        When it is not.
    """
    if isinstance(catalog, MarginCatalog):
        raise ArgumentError(
            f"{argument} {catalog.name!r} is a margin, and a margin has no margin: give the catalog it belongs to"
        )
    if not isinstance(catalog, Catalog):
        hint = ""
        if isinstance(catalog, str) or hasattr(catalog, "__fspath__") or hasattr(catalog, "protocol"):
            hint = ": open it with lsdb.open_catalog"
        elif hasattr(catalog, "columns"):
            hint = ": make one with lsdb.from_dataframe"
        raise ArgumentError(f"{argument} must be a catalog of LSDB, not {type(catalog).__name__}{hint}")


def _columns(catalog: Catalog, threshold_arcsec: float) -> MarginColumns:
    """What decides the rows of the margins of a catalog, checked."""
    info, meta = catalog.hc_structure.catalog_info, catalog.meta
    names = []
    for role, name in (("ra", info.ra_column), ("dec", info.dec_column)):
        if not name:
            raise CatalogError(
                f"catalog {catalog.name!r} does not say which column is {role}: it cannot have a margin"
            )
        if name not in meta.columns:
            raise CatalogError(
                f"catalog {catalog.name!r} has no column {name!r} any more, which is its {role} and decides the rows "
                f"of its margin; it has {', '.join(map(str, meta.columns)) or 'none'}. Keep it, or give the margin "
                "before dropping it"
            )
        if not is_numeric_dtype(meta[name].dtype) or is_bool_dtype(meta[name].dtype):
            raise CatalogError(
                f"column {name!r} of catalog {catalog.name!r}, its {role}, has type {meta[name].dtype}: "
                "coordinates are numbers, in degrees"
            )
        names.append(name)
    index = tuple(dict.fromkeys(name for name in (info.healpix_column, INDEX_COLUMN) if name))
    ra, dec = names
    return MarginColumns(catalog.name, threshold_arcsec, ra, dec, index, meta)
