"""`CollectionArguments` of hats-import, whose margins are made by skymargin with one reading of the catalog."""

from __future__ import annotations

from copy import copy
from typing import Any

from skymargin.compat.margin_group import MarginGroup
from skymargin.formatting import threshold_name


def collection_arguments(theirs: type) -> type:
    """A subclass of the class in hats-import, to replace it.

    - `get_margin_args()` groups the margins, so that they are made together.
    - `add_margin(margin_order=...)` works without a threshold, as hats-import documents it.
    - Margins that hats-import would give one name, such as those of 1.2 and 1.7 arcseconds, get two: the name of the
      second has all digits of the threshold.
    """
    base: Any = theirs

    def add_margin(self: Any, is_default: bool = False, **kwargs: Any) -> Any:
        if "margin_order" in kwargs:
            kwargs.setdefault("margin_threshold", None)
        if "output_artifact_name" not in kwargs and self.new_catalog_path is not None:
            trial = copy(self)
            trial.margin_kwargs, trial.margin_paths, trial.default_margin_name = [], [], None
            base.add_margin(trial, **kwargs)
            if trial.margin_paths[0] in self.margin_paths and kwargs["margin_threshold"]:
                kwargs["output_artifact_name"] = threshold_name(
                    self.new_catalog_name, float(kwargs["margin_threshold"])
                )
        return base.add_margin(self, is_default, **kwargs)

    def get_margin_args(self: Any) -> Any:
        is_new = not self.margin_args
        margins = base.get_margin_args(self)
        if is_new:
            MarginGroup(margins)
        return margins

    add_margin.__doc__, get_margin_args.__doc__ = base.add_margin.__doc__, base.get_margin_args.__doc__
    # Under the name of the class in hats-import, by which it is pickled.
    members = {
        "__module__": base.__module__,
        "__qualname__": base.__qualname__,
        "__doc__": base.__doc__,
        "add_margin": add_margin,
        "get_margin_args": get_margin_args,
    }
    return type(base.__name__, (base,), members)
