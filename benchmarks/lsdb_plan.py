"""How long it takes to plan the margin of a catalog of LSDB with very many partitions, in a process of its own.

Arguments: CATALOG ORDER

The partitions are all pixels of the order, of which none is read; the catalog lends its columns. Prints JSON.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from typing import Any

import lsdb
import pandas as pd
from lsdb.catalog import Catalog
from lsdb.operations.lsdb_ops import FromHealpixMap

from skymargin.lsdb import with_margin

THRESHOLD_ARCSEC = 10.0


def main() -> None:
    path, order = sys.argv[1], int(sys.argv[2])
    warnings.simplefilter("ignore")
    catalog = lsdb.open_catalog(path)
    kind = type(catalog.get_healpix_pixels()[0])
    pixels = [kind(order, pixel) for pixel in range(12 << (2 * order))]
    read = catalog._operation
    operation = FromHealpixMap(read.func, pixels, meta=read.meta, **read.kwargs)
    structure = catalog.hc_structure
    many = Catalog(operation, structure.__class__(structure.catalog_info, pixels, schema=structure.schema))
    start = time.perf_counter()
    operation.build()
    measured: dict[str, Any] = {"partitions": len(pixels), "LSDB": time.perf_counter() - start}
    measured["files"] = planned(many)
    measured["partitions_computed"] = planned(many.map_partitions(same))
    print(json.dumps(measured), flush=True)


def planned(catalog: Any) -> dict[str, float]:
    """Seconds until the margin has a graph, and how many tasks that has."""
    start = time.perf_counter()
    margin = with_margin(catalog, THRESHOLD_ARCSEC).margin
    middle = time.perf_counter()
    graph = margin._operation.build().graph
    return {"given": middle - start, "planned": time.perf_counter() - middle, "tasks": len(graph)}


def same(frame: pd.DataFrame) -> pd.DataFrame:
    """The same rows."""
    return frame


if __name__ == "__main__":
    main()
