"""What names of other packages mean here."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Replacement:
    """What a name of another package means here.

    Attributes
    ----------
    module, attribute : str
        Where it is; loaded when it is first used.
    wraps : bool
        Whether it is made by a function, which gets the meaning of the name in the other package, or None where that
        is not installed.
    """

    module: str
    attribute: str
    wraps: bool = False

    def value(self, theirs: Any = None) -> Any:
        """Its meaning."""
        value = getattr(importlib.import_module(self.module), self.attribute)
        return value(theirs) if self.wraps else value


# The replaced names of a module, and those modules by their names below the package.
Names = dict[str, Replacement]
Modules = dict[str, Names]
