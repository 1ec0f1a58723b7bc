"""Objects of the `hats` and `hipscat` libraries, for scripts that expect them: catalogs, descriptions of margins.

This is the only file that imports `hipscat`, which takes seconds: no margin needs it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from types import SimpleNamespace
from typing import Any

from skymargin.catalogs.catalog import open_catalog
from skymargin.catalogs.layout import HIPSCAT_INFO, SUFFIX, Pixel
from skymargin.catalogs.properties import BUILDER, read_json
from skymargin.errors import MissingExtraError
from skymargin.storage.paths import AnyPath, exists


@dataclass(frozen=True)
class HipscatCatalog:
    """What scripts read of a HiPSCat catalog most.

    Anything else is handed through to the library's own object, which is read when it is first asked for: it also reads
    the map of the whole sky.

    Attributes
    ----------
    catalog_path : Path or UPath
        Its folder.
    catalog_info : object
        Its metadata as attributes.
    pixels : tuple of (int, int)
        Pixels to which it is restricted; none for all of it.
    """

    catalog_path: AnyPath
    catalog_info: Any
    pixels: tuple[Pixel, ...] = ()

    def __getattr__(self, name: str) -> Any:
        # Copying and pickling look for names of this kind before the object has any attributes.
        if name.startswith("_"):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return getattr(self._of_library, name)

    @cached_property
    def _of_library(self) -> Any:
        from hipscat.catalog import Catalog
        from hipscat.pixel_math.healpix_pixel import HealpixPixel

        options = getattr(self.catalog_path, "storage_options", None)
        catalog = Catalog.read_from_hipscat(str(self.catalog_path), storage_options=options)
        pixels = [HealpixPixel(*pixel) for pixel in self.pixels]
        return catalog.filter_from_pixel_list(pixels) if pixels else catalog

    @property
    def catalog_name(self) -> str:
        """Its name."""
        return str(self.catalog_info.catalog_name)

    def get_healpix_pixels(self) -> list[Any]:
        """Its partitions, as the library's `HealpixPixel`."""
        with _needs_hipscat("the pixels of a HiPSCat catalog are objects"):
            from hipscat.pixel_math.healpix_pixel import HealpixPixel

        catalog = open_catalog(self.catalog_path).overlapping(self.pixels)
        return [HealpixPixel(*pixel) for pixel in catalog.partitions]


def library_catalog(path: AnyPath, pixels: list[Pixel]) -> Any:
    """The catalog as scripts read it.

    Parameters
    ----------
    path
        A catalog or collection.
    pixels
        Pixels to which it is restricted; none for all of it.

    Returns
    -------
    hats.catalog.Catalog or HipscatCatalog
        The catalog.

    Raises
    ------
    CatalogError
        When there is no catalog.
    ArgumentError
        When no partition overlaps one of the pixels.
    """
    if exists(path / HIPSCAT_INFO):
        if pixels:
            open_catalog(path).overlapping(pixels)
        return HipscatCatalog(path, SimpleNamespace(**read_json(path / HIPSCAT_INFO)), tuple(pixels))
    from hats import read_hats
    from hats.pixel_math import HealpixPixel

    catalog = read_hats(open_catalog(path).overlapping(pixels).path)
    return catalog.filter_from_pixel_list([HealpixPixel(*pixel) for pixel in pixels]) if pixels else catalog


def hats_provenance(folder: AnyPath, properties: Mapping[str, Any]) -> dict[str, Any]:
    """Properties that say how a catalog was made, and others, under the names of the `hats` library."""
    from hats.catalog import TableProperties

    provenance: dict[str, Any] = TableProperties.new_provenance_dict(
        folder if exists(folder) else None, builder=BUILDER, **properties
    )
    return provenance


def hats_properties(properties: Mapping[str, Any]) -> Any:
    """Properties of a catalog as the library's `TableProperties`."""
    from hats.catalog import TableProperties

    return TableProperties(**properties)


def hipscat_margin_info(info: Mapping[str, Any]) -> Any:
    """Metadata of a margin as the library's `MarginCacheCatalogInfo`."""
    with _needs_hipscat("the metadata of a HiPSCat margin is an object"):
        from hipscat.catalog.margin_cache import MarginCacheCatalogInfo

    return MarginCacheCatalogInfo(catalog_type="margin", **info)


@contextmanager
def _needs_hipscat(what: str) -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        raise MissingExtraError(
            f"{what} of the hipscat library, which is needed for it: pip install 'hipscat>=0.3.9,<0.4' ({error})"
        ) from error


def hats_margin(primary: Any, pixels: Sequence[Any], name: str, threshold_arcsec: float) -> Any:
    """The library's `MarginCatalog` of a catalog that the library has open: what is known of a margin without its rows.

    Parameters
    ----------
    primary
        The library's `Catalog`.
    pixels
        The pixels that may have a margin, each a `HealpixPixel`.
    name
        The name of the margin.
    threshold_arcsec
        Its threshold.
    """
    from hats.catalog import MarginCatalog

    info = primary.catalog_info
    sizes = ("total_rows", "hats_max_rows", "hats_max_bytes", "hats_estsize", "moc_sky_fraction")
    margin_info = info.copy_and_update(
        catalog_name=name,
        catalog_type="margin",
        primary_catalog=info.catalog_name,
        margin_threshold=threshold_arcsec,
        npix_suffix=SUFFIX,
        **dict.fromkeys([*sizes, "skymap_order", "skymap_alt_orders"]),
    )
    return MarginCatalog(margin_info, list(pixels), schema=primary.schema)


def hats_pixels(orders: Sequence[int], pixels: Sequence[int]) -> list[Any]:
    """Pixels as the library's `HealpixPixel`."""
    from hats.pixel_math import HealpixPixel

    return [HealpixPixel(order, pixel) for order, pixel in zip(orders, pixels, strict=True)]
