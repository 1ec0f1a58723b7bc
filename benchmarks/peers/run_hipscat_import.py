"""Build a margin with hipscat-import; runs in the environment of hipscat-import.

Arguments: CATALOG OUTPUT NAME THRESHOLD_ARCSEC WORKERS TMP [MARGIN_ORDER]
"""

import sys

from hipscat_import.margin_cache.margin_cache_arguments import MarginCacheArguments
from hipscat_import.pipeline import pipeline


def main() -> None:
    catalog, output, name, threshold, workers, tmp, *margin_order = sys.argv[1:]
    pipeline(
        MarginCacheArguments(
            input_catalog_path=catalog,
            output_path=output,
            output_artifact_name=name,
            margin_threshold=float(threshold),
            margin_order=int(margin_order[0]) if margin_order else -1,
            tmp_dir=tmp,
            dask_tmp=tmp,
            dask_n_workers=int(workers),
            dask_threads_per_worker=1,
            progress_bar=False,
        )
    )


if __name__ == "__main__":
    main()
