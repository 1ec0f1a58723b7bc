"""Installing the stand-ins: which modules and names of the other packages are replaced, and by what."""

from __future__ import annotations

import sys

from skymargin.compat.overlay import Overlay, is_installed
from skymargin.compat.replacement import Modules, Names, Replacement
from skymargin.compat.stand_in import StandIn, stand_in_for
from skymargin.errors import StandInError

_GENERATE = {"generate_margin_cache": Replacement("skymargin.compat.pipelines", "generate_margin_cache")}
_PIPELINES = {
    name: Replacement("skymargin.compat.pipelines", name, wraps=True)
    for name in ("pipeline", "pipeline_with_client")
}
_HATS = {"MarginCacheArguments": Replacement("skymargin.compat.hats_arguments", "HatsImportArguments")}
_HIPSCAT = {
    "MarginCacheArguments": Replacement("skymargin.compat.hipscat_arguments", "HipscatImportArguments")
}
_COLLECTIONS = {
    "CollectionArguments": Replacement("skymargin.compat.collections", "collection_arguments", wraps=True)
}
# Where the package is installed, it has its own: its other arguments are subclasses.
_RUNTIME = {"RuntimeArguments": Replacement("skymargin.build.arguments", "MarginCacheArguments")}
_VERSION = {"__version__": Replacement("skymargin", "__version__")}


def install_as_hats_import() -> None:
    """Make `import hats_import` import this package. Call it before importing a script of hats-import.

    Margins are made by skymargin, those of collections too. Everything else is that of hats-import, where it is
    installed.

    Raises
    ------
    StandInError
        When hats-import itself is imported already.
    """
    # One function under both of its names.
    pipelines = {name: Replacement("hats_import.pipeline", name) for name in _PIPELINES}
    _install(
        "hats_import",
        overlay={**_margin_modules(_HATS), ".collection.arguments": _COLLECTIONS},
        alone={"": pipelines | _HATS | _RUNTIME | _VERSION, **_with_runtime(_margin_modules(_HATS))},
    )


def install_as_hipscat_import() -> None:
    """Make `import hipscat_import` import this package. Call it before importing a script of hipscat-import.

    Margins are made by skymargin. Everything else is that of hipscat-import, where it is installed.

    Raises
    ------
    StandInError
        When hipscat-import itself is imported already.
    """
    _install(
        "hipscat_import",
        overlay=_margin_modules(_HIPSCAT),
        alone={"": _RUNTIME | _VERSION, **_with_runtime(_margin_modules(_HIPSCAT))},
    )


def _margin_modules(arguments: Names) -> Modules:
    """The modules of the margin pipeline, which have the same names in both packages."""
    return {
        ".pipeline": _PIPELINES | arguments,
        ".margin_cache": _GENERATE,
        ".margin_cache.margin_cache_arguments": arguments,
        ".margin_cache.margin_cache": _GENERATE,
    }


def _with_runtime(modules: Modules) -> Modules:
    """The modules, and the class of common arguments where the packages have it."""
    others = {".runtime_arguments": _RUNTIME}
    return others | {
        name: names | _RUNTIME if "MarginCacheArguments" in names else names
        for name, names in modules.items()
    }


def _install(package: str, overlay: Modules, alone: Modules) -> None:
    """Replace names of a package that is installed, or stand in for one that is not."""
    imported = sys.modules.get(package)
    if isinstance(imported, StandIn) or any(
        isinstance(finder, Overlay) and finder.package == package for finder in sys.meta_path
    ):
        return
    if imported is not None:
        raise StandInError(
            f"{package} is imported already, from {getattr(imported, '__file__', None)}; "
            f"skymargin.install_as_{package}() must be called before"
        )
    if is_installed(package):
        sys.meta_path.insert(0, Overlay(package, overlay))
    else:
        hint = (
            f": skymargin stands in for {package}, and has its margin pipeline only. "
            f"For all else of it, pip install {package.replace('_', '-')}"
        )
        stand_in_for(package, alone, hint)
