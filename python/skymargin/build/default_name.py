"""The name of a margin catalog when none is given."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from skymargin.formatting import threshold_name
from skymargin.storage.paths import as_path

if TYPE_CHECKING:
    from upath import UPath


def default_name(catalog: str | os.PathLike[str] | UPath, threshold_arcsec: float) -> str:
    """Return the name of a margin: the catalog's name and the threshold in arcseconds; see `threshold_name`.

    Parameters
    ----------
    catalog : str, path or UPath
        Path or URL of the catalog; its last part is its name.
    threshold_arcsec : float
        The threshold in arcseconds.
    """
    path = str(catalog) if "://" in str(catalog) else as_path(catalog)
    catalog_name = path.resolve().name if isinstance(path, Path) else str(path).rstrip("/").rpartition("/")[2]
    return threshold_name(catalog_name, threshold_arcsec)
