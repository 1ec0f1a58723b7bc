"""Catalogs as the libraries of their formats have them, for scripts that read them so."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from skymargin.catalogs.catalog import open_catalog
from skymargin.errors import CatalogError
from skymargin.storage.paths import exists, read_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from skymargin.storage.paths import AnyPath

_HIPSCAT_INFO = "catalog_info.json"


def library_catalog(path: AnyPath, pixels: Sequence[tuple[int, int]]) -> Any:
    """The catalog as the `hats` library reads it; of a HiPSCat catalog, an object that has its `catalog_info`.

    Parameters
    ----------
    path
        A catalog or collection.
    pixels
        Pixels, as (order, pixel), to which a HATS catalog is restricted; none for all of it.

    Raises
    ------
    CatalogError
        When it is no catalog.
    """
    if exists(path / _HIPSCAT_INFO):
        return SimpleNamespace(catalog_info=_hipscat_info(path / _HIPSCAT_INFO))
    from hats import read_hats
    from hats.pixel_math import HealpixPixel

    catalog = read_hats(open_catalog(path).path)
    return catalog.filter_from_pixel_list([HealpixPixel(*pixel) for pixel in pixels]) if pixels else catalog


def _hipscat_info(file: AnyPath) -> SimpleNamespace:
    try:
        return SimpleNamespace(**json.loads(read_text(file)))
    except (OSError, ValueError, TypeError) as error:
        raise CatalogError(f"{file} cannot be read: {error}") from error
