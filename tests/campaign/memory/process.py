"""One build, watched from outside: its arguments are CATALOG OUTPUT THRESHOLD WORKERS THREADS LIMIT."""

from __future__ import annotations

import sys

from skymargin import MarginCacheArguments, pipeline


def main() -> None:
    """Entry point; a limit of 0 is none."""
    catalog, output, threshold_arcsec, workers, threads, limit_bytes = sys.argv[1:]
    pipeline(
        MarginCacheArguments(
            input_catalog_path=catalog,
            output_path=output,
            output_artifact_name="margin",
            margin_threshold=float(threshold_arcsec),
            dask_n_workers=int(workers),
            dask_threads_per_worker=int(threads),
            memory_limit=int(limit_bytes) or None,
            progress_bar=False,
        )
    )


if __name__ == "__main__":
    main()
