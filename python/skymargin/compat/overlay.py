"""Modules of an installed package in which some names are replaced when they are loaded.

The rest of the package is imported as it is; what it imports from these modules are the replaced names.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from skymargin.compat.replacement import Modules, Names


def find_in(finders: Sequence[Any], name: str, path: Sequence[str] | None) -> ModuleSpec | None:
    """The spec of a module, from the first finder that knows it."""
    specs = (finder.find_spec(name, path) for finder in finders if hasattr(finder, "find_spec"))
    return next((spec for spec in specs if spec is not None), None)


def is_installed(package: str) -> bool:
    """Whether a package can be imported; a folder of its name is none."""
    spec = find_in(sys.meta_path, package, None)
    return spec is not None and spec.loader is not None and spec.origin is not None


class Overlay(MetaPathFinder):
    """Finds the modules of a package that have replaced names, as the other finders do, and replaces the names.

    Parameters
    ----------
    package
        Name of the package.
    modules
        The replaced names of its modules, by the modules' names below the package.
    """

    def __init__(self, package: str, modules: Modules) -> None:
        self.package = package
        self._modules = {f"{package}{inside}": names for inside, names in modules.items() if names}

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, _target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The spec of a module with replaced names; None for all others."""
        if name not in self._modules:
            return None
        spec = find_in([finder for finder in sys.meta_path if finder is not self], name, path)
        if spec is not None and spec.loader is not None:
            spec.loader = _Replacing(spec.loader, self._modules[name])
        return spec


class _Replacing(Loader):
    """Loads a module, and replaces names in it."""

    def __init__(self, loader: Loader, names: Names) -> None:
        self._loader = loader
        self._names = names

    def __getattr__(self, name: str) -> Any:
        # Such as the source of the module, for tracebacks.
        return getattr(self._loader, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """As the loader of the module does."""
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        """Execute the module, and replace the names in it, which its own functions use then."""
        self._loader.exec_module(module)
        present = vars(module)
        for name, replacement in self._names.items():
            if name in present:
                present[name] = replacement.value(present[name])
