"""Build a margin with hats-import or hipscat-import; runs in the environment of that package.

Arguments: PACKAGE CATALOG OUTPUT NAME THRESHOLD_ARCSEC WORKERS TMP [FURTHER_ARGUMENTS as JSON]
"""

import importlib
import json
import sys


def main() -> None:
    package, catalog, output, name, threshold, workers, tmp, *further = sys.argv[1:]
    arguments = importlib.import_module(f"{package}.margin_cache.margin_cache_arguments")
    importlib.import_module(f"{package}.pipeline").pipeline(
        arguments.MarginCacheArguments(
            input_catalog_path=catalog,
            output_path=output,
            output_artifact_name=name,
            margin_threshold=float(threshold),
            tmp_dir=tmp,
            dask_tmp=tmp,
            dask_n_workers=int(workers),
            dask_threads_per_worker=1,
            progress_bar=False,
            **(json.loads(further[0]) if further else {}),
        )
    )


if __name__ == "__main__":
    main()
