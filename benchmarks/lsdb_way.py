"""One way to a margin of a catalog of LSDB, measured in a process of its own.

Arguments: WAY CATALOG MARGIN THRESHOLD_ARCSEC THREADS

Prints JSON: seconds and tasks of the margin alone and of a crossmatch of the catalog with itself, and the peak memory.
"""

from __future__ import annotations

import json
import resource
import sys
import time
import warnings
from typing import Any

import dask
import lsdb
import pandas as pd

from skymargin.lsdb import with_margin

COLUMNS = ["source_id"]


def main() -> None:
    way, catalog_path, margin_path, threshold, threads = sys.argv[1:]
    warnings.simplefilter("ignore")
    threshold_arcsec = float(threshold)
    dask.config.set(scheduler="threads", num_workers=int(threads))
    left = lsdb.open_catalog(catalog_path, columns=COLUMNS)
    start = time.perf_counter()
    right = catalog_by(way, catalog_path, margin_path, threshold_arcsec)
    measured: dict[str, Any] = {"margin": None}
    if right.margin is not None:
        operation = right.margin._operation
        rows = count(right.margin)
        measured["margin"] = {
            "seconds": time.perf_counter() - start,
            "tasks": len(operation.build().graph),
            "partitions": len(right.get_healpix_pixels()),
            "rows": rows,
        }
    start = time.perf_counter()
    matched = left.crossmatch(
        right,
        radius_arcsec=threshold_arcsec,
        n_neighbors=2,
        suffixes=("_left", "_right"),
        suffix_method="all_columns",
    )
    pairs = count(matched)
    measured["crossmatch"] = {
        "seconds": time.perf_counter() - start,
        "tasks": len(matched._operation.build().graph),
        "rows": pairs,
    }
    measured["peak_bytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps(measured), flush=True)


def catalog_by(way: str, catalog_path: str, margin_path: str, threshold_arcsec: float) -> Any:
    """The catalog with its margin; without one for the way `none`."""
    if way == "stored":
        return lsdb.open_catalog(catalog_path, columns=COLUMNS, margin_cache=margin_path)
    catalog = lsdb.open_catalog(catalog_path, columns=COLUMNS)
    if way == "none":
        return catalog
    if way == "files":
        return with_margin(catalog, threshold_arcsec)
    if way == "partitions":
        return with_margin(catalog.map_partitions(same), threshold_arcsec)
    if way == "frame":
        frame = pd.DataFrame(catalog.compute(progress_bar=False)).reset_index(drop=True)
        rows = len(frame) // len(catalog.get_healpix_pixels())
        return lsdb.from_dataframe(
            frame, partition_rows=2 * rows, margin_threshold=threshold_arcsec, catalog_name="stars"
        )
    raise ValueError(f"way {way!r} is unknown")


def same(frame: pd.DataFrame) -> pd.DataFrame:
    """The same rows: LSDB does not know that, so that nothing is read but by computing partitions."""
    return frame


def count(catalog: Any) -> int:
    """How many rows a catalog has, without keeping them."""
    counted = catalog.map_partitions(lambda rows: pd.DataFrame({"rows": [len(rows)]}), meta={"rows": int})
    return int(counted.compute(progress_bar=False)["rows"].sum())


if __name__ == "__main__":
    main()
