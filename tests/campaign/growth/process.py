"""One build, measured from outside: its arguments are RESULT.json CATALOG OUTPUT THRESHOLD THREADS WORKERS."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from skymargin import MarginCacheArguments, pipeline

STAGES = ("planning", "mapping", "reducing", "finishing")


def main() -> None:
    """Entry point."""
    result, catalog, output, threshold_arcsec, threads, workers = sys.argv[1:]
    args = MarginCacheArguments(
        input_catalog_path=_known(catalog),
        output_path=output,
        output_artifact_name="margin",
        margin_threshold=float(threshold_arcsec),
        dask_threads_per_worker=int(threads),
        dask_n_workers=int(workers),
        resume_tmp=Path(output, "records"),
        delete_resume_log_files=False,
        progress_bar=False,
    )
    report = pipeline(args).to_dict()
    # Each task leaves a record.
    report["tasks"] = sum(1 for name in ("mapped-*", "reduced-*") for _ in Path(output).rglob(name))
    report["inventing_seconds"] = _inventing_seconds(catalog)
    Path(result).write_text(json.dumps(report))


def _known(catalog: str) -> str:
    """The catalog, with the file system of invented ones registered if it is one."""
    if "://" in catalog:
        pass
    return catalog


def _inventing_seconds(catalog: str) -> float:
    if "://" not in catalog:
        return 0.0
    from tests.campaign.growth.invented import InventedFileSystem

    return float(InventedFileSystem.inventing_seconds)


if __name__ == "__main__":
    main()
