"""One build, measured from outside: ``python -m trust.growth_run RESULT.json CATALOG OUTPUT THRESHOLD THREADS``."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from skymargin import MarginCacheArguments, pipeline


def main() -> None:
    """Entry point."""
    result, catalog, output, threshold_arcsec, threads = sys.argv[1:]
    inventing = None
    if catalog.startswith("invented://"):
        from trust.invented import InventedFileSystem as inventing  # noqa: N813
    args = MarginCacheArguments(
        input_catalog_path=catalog,
        output_path=output,
        output_artifact_name="margin",
        margin_threshold=float(threshold_arcsec),
        dask_threads_per_worker=int(threads),
        resume_tmp=Path(output, "records"),
        delete_resume_log_files=False,
        progress_bar=False,
    )
    report = pipeline(args).to_dict()
    report["tasks"] = sum(1 for name in ("mapped-*", "reduced-*") for _ in Path(output).rglob(name))
    report["inventing_seconds"] = inventing.inventing_seconds if inventing else 0.0
    Path(result).write_text(json.dumps(report))


if __name__ == "__main__":
    main()
