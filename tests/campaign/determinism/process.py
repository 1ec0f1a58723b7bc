"""One run in a process of its own: ``python -m tests.campaign.determinism.process``, told as JSON what to do."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any


def main() -> None:
    """Make a margin; or print the digests of margins in memory."""
    told = json.load(sys.stdin)
    if told.get("frames"):
        print(json.dumps(frames(Path(told["frames"]), told["threads"])))
    else:
        make(**told)


def make(
    catalog: str,
    output: str,
    threshold_arcsec: float,
    arguments: dict[str, Any],
    task_bytes: int | None = None,
    piece_bytes: int | None = None,
) -> None:
    """Make a margin, with tasks of another size than usual, or with rows written in more pieces."""
    from tests.support.catalogs import make_margin
    from tests.support.limits import limits

    # As many tasks as those of a run that was killed.
    sizes = {} if task_bytes is None else {"smallest_task_bytes": task_bytes, "tasks_per_thread": 32}
    if piece_bytes is not None:
        sizes |= {"scan_bytes": piece_bytes, "gathered_bytes": piece_bytes}
    with limits(**sizes):
        make_margin(catalog, Path(output), threshold_arcsec, **arguments)  # type: ignore[arg-type]


def frames(table: Path, threads: list[int]) -> dict[str, str]:
    """Return the digests of what the functions for frames give, by function and number of threads."""
    import polars as pl

    import skymargin.polars as smp

    stars = pl.read_parquet(table)
    pixels = [(0, pixel) for pixel in range(12)]
    digests = {}
    for number in threads:
        parts = [smp.margins(stars, pixels, 3_600.0, threads=number)]
        for partition in smp.partition_and_margin(stars, pixels, 3_600.0, threads=number):
            parts += [partition.rows, partition.margin]
        parts.append(smp.tile(stars, max_rows=200))
        digest = hashlib.sha256()
        for part in parts:
            digest.update(part.rechunk().write_ipc(None).getvalue())
        digests[str(number)] = digest.hexdigest()
    return digests


if __name__ == "__main__":
    main()
