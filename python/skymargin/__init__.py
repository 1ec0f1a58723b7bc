"""Exact margin caches for HATS catalogs.

Public names are loaded when they are first used, so that importing the package is quick.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from skymargin._core import CoordinateError
    from skymargin.audit.info import CatalogInfo, info
    from skymargin.audit.report import VerifyReport
    from skymargin.audit.verify import verify
    from skymargin.build.arguments import MarginCacheArguments
    from skymargin.build.estimate import MarginPlan, plan_margin
    from skymargin.build.pipeline import pipeline, pipeline_with_client
    from skymargin.build.report import MarginReport
    from skymargin.compat import install_as_hats_import, install_as_hipscat_import
    from skymargin.errors import SkymarginError
    from skymargin.geometry.arrays import is_within, margin_rows, neighbours, separation_arcsec, spatial_index

__all__ = [
    "CatalogInfo",
    "CoordinateError",
    "MarginCacheArguments",
    "MarginPlan",
    "MarginReport",
    "SkymarginError",
    "VerifyReport",
    "info",
    "install_as_hats_import",
    "install_as_hipscat_import",
    "is_within",
    "margin_rows",
    "neighbours",
    "pipeline",
    "pipeline_with_client",
    "plan_margin",
    "separation_arcsec",
    "spatial_index",
    "verify",
]

_GEOMETRY = ("is_within", "margin_rows", "neighbours", "separation_arcsec", "spatial_index")
_HOME = dict.fromkeys(_GEOMETRY, "geometry") | {
    "CatalogInfo": "info",
    "CoordinateError": "_core",
    "MarginCacheArguments": "arguments",
    "MarginPlan": "forecast",
    "MarginReport": "report",
    "SkymarginError": "errors",
    "VerifyReport": "audit.report",
    "info": "info",
    "install_as_hats_import": "compat",
    "install_as_hipscat_import": "compat",
    "pipeline": "pipeline",
    "pipeline_with_client": "pipeline",
    "plan_margin": "forecast",
    "verify": "verify",
}
# Functions named as the modules they are in: the package has the functions.
_NAMESAKES = ("info", "pipeline", "verify")


class _Package(ModuleType):
    """The package, in which `pipeline` and others are functions, also once the modules of those names are loaded."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _NAMESAKES and isinstance(value, ModuleType):
            value = getattr(value, name)
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("skymargin")
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
    setattr(sys.modules[__name__], name, value)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, "__version__"})
