"""Read a margin catalog with the hipscat library; runs in the environment of hipscat-import. Prints JSON.

Arguments: PRIMARY MARGIN
"""

import json
import sys

import pandas as pd
from hipscat.catalog import Catalog, MarginCatalog
from hipscat.io import paths
from hipscat.io.validation import is_valid_catalog
from hipscat.loaders import read_from_hipscat


def main() -> None:
    primary_path, margin_path = sys.argv[1:]
    primary = Catalog.read_from_hipscat(primary_path)
    margin = read_from_hipscat(margin_path)
    frames = {
        f"{pixel.order},{pixel.pixel}": pd.read_parquet(
            paths.pixel_catalog_file(margin_path, pixel.order, pixel.pixel), schema=margin.schema
        )
        for pixel in margin.get_healpix_pixels()
    }
    print(
        json.dumps(
            {
                "is_margin": isinstance(margin, MarginCatalog),
                "is_valid": is_valid_catalog(margin_path, strict=True, fail_fast=True, verbose=False),
                "primary_columns": primary.schema.names,
                "columns": margin.schema.names,
                "total_rows": margin.catalog_info.total_rows,
                "margin_threshold": margin.catalog_info.margin_threshold,
                "rows": {pixel: len(frame) for pixel, frame in frames.items()},
                "index": sorted({f"{frame.index.name} {frame.index.dtype}" for frame in frames.values()}),
                "types": sorted({str(frame.dtypes.to_dict()) for frame in frames.values()}),
                "in_order": all(frame.index.is_monotonic_increasing for frame in frames.values()),
            }
        )
    )


if __name__ == "__main__":
    main()
