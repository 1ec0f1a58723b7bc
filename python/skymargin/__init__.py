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
    from skymargin.arguments import MarginCacheArguments
    from skymargin.compat import install_as_hats_import, install_as_hipscat_import
    from skymargin.errors import SkymarginError
    from skymargin.geometry import is_within, margin_rows, neighbours, separation_arcsec, spatial_index
    from skymargin.pipeline import pipeline, pipeline_with_client
    from skymargin.report import MarginReport

__all__ = [
    "CoordinateError",
    "MarginCacheArguments",
    "MarginReport",
    "SkymarginError",
    "install_as_hats_import",
    "install_as_hipscat_import",
    "is_within",
    "margin_rows",
    "neighbours",
    "pipeline",
    "pipeline_with_client",
    "separation_arcsec",
    "spatial_index",
]

_GEOMETRY = ("is_within", "margin_rows", "neighbours", "separation_arcsec", "spatial_index")
_HOME = dict.fromkeys(_GEOMETRY, "geometry") | {
    "CoordinateError": "_core",
    "MarginCacheArguments": "arguments",
    "MarginReport": "report",
    "SkymarginError": "errors",
    "install_as_hats_import": "compat",
    "install_as_hipscat_import": "compat",
    "pipeline": "pipeline",
    "pipeline_with_client": "pipeline",
}


class _Package(ModuleType):
    """The package, in which `pipeline` is the function, also once the module of that name is loaded."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "pipeline" and isinstance(value, ModuleType):
            value = value.pipeline
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
