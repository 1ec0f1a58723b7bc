"""The name of a margin catalog when none is given."""

from __future__ import annotations

import os
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from skymargin.storage.paths import as_path

if TYPE_CHECKING:
    from upath import UPath


def default_name(catalog: str | os.PathLike[str] | UPath, threshold_arcsec: float) -> str:
    """Return the name of a margin: the catalog's name and the threshold in arcseconds with all its digits.

    Two thresholds never share a name: 0.5 gives ``0.5arcs``, 10 gives ``10arcs``, 1e-07 gives ``0.0000001arcs``.

    Parameters
    ----------
    catalog : str, path or UPath
        Path or URL of the catalog; its last part is its name.
    threshold_arcsec : float
        The threshold in arcseconds.
    """
    path = str(catalog) if "://" in str(catalog) else as_path(catalog)
    catalog_name = path.resolve().name if isinstance(path, Path) else str(path).rstrip("/").rpartition("/")[2]
    # repr() gives the fewest digits that identify the float.
    digits = format(Decimal(repr(threshold_arcsec)), "f")
    if "." in digits:
        digits = digits.rstrip("0").rstrip(".")
    return f"{catalog_name}_{digits}arcs"
