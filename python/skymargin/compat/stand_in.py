"""Modules under the names of a package that is not installed. They have our names only, and explain all others."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from skymargin.compat.replacement import Modules, Names


class StandIn(ModuleType):
    """A module whose names are loaded when they are first used."""

    def __init__(self, name: str, names: Names, hint: str) -> None:
        super().__init__(name, f"{name}, by skymargin.")
        self.__spec__ = ModuleSpec(name, None, is_package=True)
        self.__package__ = name
        self.__path__: list[str] = []
        self._names = names
        self._hint = hint

    def __getattr__(self, name: str) -> Any:
        # Looked up in the dict: Python calls this for these names, too, before they are set.
        if name in self.__dict__.get("_names", {}):
            value = self._names[name].value()
            setattr(self, name, value)
            return value
        raise AttributeError(
            f"module {self.__name__!r} has no attribute {name!r}{self.__dict__.get('_hint', '')}"
        )


class NotProvided(MetaPathFinder):
    """Explains why a module of the package cannot be imported."""

    def __init__(self, package: str, hint: str) -> None:
        self.package = package
        self._hint = hint

    def find_spec(
        self, name: str, _path: Sequence[str] | None = None, _target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Refuse the modules of the package; others are not its business."""
        if name.startswith(f"{self.package}."):
            # With the name of the module in the error, Python would hide it in `from package import name`.
            raise ModuleNotFoundError(f"No module named {name!r}{self._hint}", name=self.package)
        return None


def stand_in_for(package: str, modules: Modules, hint: str) -> None:
    """Put modules under the names of a package into `sys.modules`; a module follows its parent in `modules`."""
    for inside, names in modules.items():
        name, (above, _, child) = package + inside, inside.rpartition(".")
        sys.modules[name] = StandIn(name, names, hint)
        if inside and child not in modules[above]:
            setattr(sys.modules[package + above], child, sys.modules[name])
    sys.meta_path.append(NotProvided(package, hint))
