"""Which local file holds which pixel, by the names alone: for checks and pictures, they trust no metadata."""

from __future__ import annotations

import re
from pathlib import Path

_NAME = re.compile(r"Norder=(\d+)/Dir=\d+/Npix=(\d+)\.parquet$")


def partition_files(catalog_path: str | Path) -> dict[tuple[int, int], Path]:
    """Return the files of a local HATS catalog by order and pixel.

    Parameters
    ----------
    catalog_path : str or Path
        A catalog with one ``.parquet`` file per partition. A margin without rows has none.

    Raises
    ------
    FileNotFoundError
        If there is no directory ``dataset``.
    """
    dataset = Path(catalog_path) / "dataset"
    if not dataset.is_dir():
        raise FileNotFoundError(f"{catalog_path} is not a HATS catalog: it has no directory 'dataset'")
    found = {}
    for path in sorted(dataset.glob("Norder=*/Dir=*/Npix=*.parquet")):
        name = _NAME.search(path.as_posix())
        if name:
            found[int(name[1]), int(name[2])] = path
    return found
