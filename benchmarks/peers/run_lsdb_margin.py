"""The margin of a table in memory by LSDB; runs in the environment of LSDB.

Arguments: POSITIONS.npy THRESHOLD_ARCSEC ROWS_PER_PARTITION WORKERS TMP

`lsdb.from_dataframe` makes a catalog, gathers its rows again, and makes the margin: each is timed as its own code has
it. Prints JSON.
"""

import json
import sys
import time
import warnings

import numpy as np
import pandas as pd
from dask.distributed import Client
from lsdb.loaders.dataframe.dataframe_catalog_loader import DataframeCatalogLoader
from lsdb.loaders.dataframe.margin_catalog_generator import MarginCatalogGenerator


def main() -> None:
    positions_path, threshold, rows_per_partition, workers, tmp = sys.argv[1:]
    ra_deg, dec_deg = np.load(positions_path)
    frame = pd.DataFrame({"id": np.arange(len(ra_deg)), "ra": ra_deg, "dec": dec_deg})
    # LSDB warns that tables of this size are better imported.
    warnings.simplefilter("ignore")
    with Client(
        n_workers=1,
        threads_per_worker=int(workers),
        processes=False,
        local_directory=tmp,
        dashboard_address=None,
    ):
        start = time.perf_counter()
        catalog = DataframeCatalogLoader(
            frame,
            partition_rows=int(rows_per_partition),
            highest_order=7,
            should_generate_moc=False,
            catalog_name="stars",
        ).load_catalog()
        middle = time.perf_counter()
        generator = MarginCatalogGenerator(catalog, -1, float(threshold), True, catalog_name="stars")
        gathered, before = time.perf_counter(), time.process_time()
        margin = generator.create_catalog()
        stop, after = time.perf_counter(), time.process_time()
    measured = {
        "catalog_seconds": middle - start,
        "gather_seconds": gathered - middle,
        "margin_seconds": stop - gathered,
        "processor_seconds": after - before,
        "partitions": len(catalog.get_healpix_pixels()),
        "rows": int(margin.hc_structure.catalog_info.total_rows),
    }
    print(json.dumps(measured), flush=True)


if __name__ == "__main__":
    main()
