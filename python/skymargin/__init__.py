"""Exact margin caches for HATS and HiPSCat catalogs.

Public names are loaded when they are first used, so that importing the package is quick.
"""

from __future__ import annotations

import importlib
import importlib.util
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from skymargin import lsdb as lsdb
    from skymargin import plot, polars
    from skymargin._core import CoordinateError
    from skymargin.audit.info import CatalogInfo, info
    from skymargin.audit.report import VerifyReport
    from skymargin.audit.verify import verify
    from skymargin.build.arguments import MarginCacheArguments
    from skymargin.build.estimate import MarginPlan, plan_margin
    from skymargin.build.pipeline import pipeline, pipeline_with_client
    from skymargin.build.report import MarginReport
    from skymargin.catalogs.collection import create_collection
    from skymargin.catalogs.collection_margins import (
        CollectionInfo,
        CollectionMargin,
        inspect_collection,
        remove_margin,
        set_default_margin,
    )
    from skymargin.catalogs.write_catalog import write_catalog
    from skymargin.compat.install import install_as_hats_import, install_as_hipscat_import
    from skymargin.errors import SkymarginError
    from skymargin.geometry.arrays import is_within, margin_rows, neighbours, separation_arcsec, spatial_index

    __version__: str

__all__ = [
    "CatalogInfo",
    "CollectionInfo",
    "CollectionMargin",
    "CoordinateError",
    "MarginCacheArguments",
    "MarginPlan",
    "MarginReport",
    "SkymarginError",
    "VerifyReport",
    "__version__",
    "create_collection",
    "info",
    "inspect_collection",
    "install_as_hats_import",
    "install_as_hipscat_import",
    "is_within",
    "margin_rows",
    "neighbours",
    "pipeline",
    "pipeline_with_client",
    "plan_margin",
    "plot",
    "polars",
    "remove_margin",
    "separation_arcsec",
    "set_default_margin",
    "spatial_index",
    "verify",
    "write_catalog",
]

# The module of each public name. `lsdb`, `plot` and `polars` are modules themselves.
_HOME = {
    "CatalogInfo": "audit.info",
    "CollectionInfo": "catalogs.collection_margins",
    "CollectionMargin": "catalogs.collection_margins",
    "CoordinateError": "_core",
    "MarginCacheArguments": "build.arguments",
    "MarginPlan": "build.estimate",
    "MarginReport": "build.report",
    "SkymarginError": "errors",
    "VerifyReport": "audit.report",
    "create_collection": "catalogs.collection",
    "info": "audit.info",
    "inspect_collection": "catalogs.collection_margins",
    "install_as_hats_import": "compat.install",
    "install_as_hipscat_import": "compat.install",
    "is_within": "geometry.arrays",
    "margin_rows": "geometry.arrays",
    "neighbours": "geometry.arrays",
    "pipeline": "build.pipeline",
    "pipeline_with_client": "build.pipeline",
    "plan_margin": "build.estimate",
    "remove_margin": "catalogs.collection_margins",
    "separation_arcsec": "geometry.arrays",
    "set_default_margin": "catalogs.collection_margins",
    "spatial_index": "geometry.arrays",
    "verify": "audit.verify",
    "write_catalog": "catalogs.write_catalog",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        value: Any = importlib.import_module(f"{__name__}._core").VERSION
    elif name in ("lsdb", "plot", "polars"):
        return importlib.import_module(f"{__name__}.{name}")
    elif name in _HOME:
        value = getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    # Not in __all__: `from skymargin import *` would import LSDB, or fail without it. So would `help(skymargin)`, which
    # asks for all names here.
    return sorted([*__all__, "lsdb"]) if importlib.util.find_spec("lsdb") else __all__
