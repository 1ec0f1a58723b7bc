"""Build a margin with hipscat-import; runs in the environment of hipscat-import.

Arguments: CATALOG OUTPUT NAME THRESHOLD_ARCSEC WORKERS TMP [coarse]
"""

import sys

from hipscat_import.margin_cache.margin_cache_arguments import MarginCacheArguments
from hipscat_import.pipeline import pipeline


def main() -> None:
    catalog, output, name, threshold, workers, tmp, *coarse = sys.argv[1:]
    pipeline(
        MarginCacheArguments(
            input_catalog_path=catalog,
            output_path=output,
            output_artifact_name=name,
            margin_threshold=float(threshold),
            fine_filtering=not coarse,
            tmp_dir=tmp,
            dask_tmp=tmp,
            dask_n_workers=int(workers),
            dask_threads_per_worker=1,
            progress_bar=False,
        )
    )


if __name__ == "__main__":
    main()
