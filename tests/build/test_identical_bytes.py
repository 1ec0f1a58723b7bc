"""The bytes of files do not depend on how rows were gathered; small margins would not show it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa

from tests.support.catalogs import (
    Layout,
    file_bytes,
    ids_of,
    make_margin,
    rows_of,
    sky_at,
    write_catalog,
)
from tests.support.limits import limits

ROWS = 220_000
THRESHOLD_ARCSEC = 60_000.0
PARTITIONS = ((0, 4), (0, 5), (0, 0))


def test_nulls_of_other_margins_do_not_move_pages(tmp_path: Path) -> None:
    """Rows with nulls, gathered with those of a margin that has none, are in the same record batches as these."""
    random = np.random.default_rng(0)
    sky = sky_at(PARTITIONS, random.uniform(0, 90, ROWS), random.uniform(-30, 30, ROWS))
    rows = rows_of(sky, Layout()).select(["id", "ra", "dec", "_healpix_29"])
    ids = rows.column("id").to_numpy()

    def built(name: str, mask: np.ndarray, gathered_bytes: int, threads: int) -> Path:
        text = pa.array([f"x{number:07}" * 4 for number in ids], mask=mask)
        numbers = pa.array(ids * 7919 % 1_000_003, mask=mask)
        table = rows.append_column("text", text).append_column("number", numbers)
        layout = Layout(row_group_rows=5_000, options={"use_dictionary": False})
        write_catalog(tmp_path / name / "catalog", sky, layout, table=table)
        # Too many rows for a dictionary: where it ends, pages are cut.
        with limits(gathered_bytes=gathered_bytes, smallest_task_bytes=1 << 16, smallest_part_bytes=1 << 16):
            make_margin(
                tmp_path / name / "catalog",
                tmp_path / name,
                THRESHOLD_ARCSEC,
                dask_threads_per_worker=threads,
            )
        return tmp_path / name / "margin"

    members = ids_of(built("first", np.zeros(len(ids), bool), 16 << 20, 1))
    margins = Counter(number for margin in members.values() for number in margin)
    others = [number for pixel in ((0, 5), (0, 8)) for number in members[pixel] if margins[number] == 1]
    mask = np.isin(ids, random.choice(others, 40_000, replace=False))
    large, small = built("large", mask, 16 << 20, 1), built("small", mask, 200_000, 2)
    assert file_bytes(large) == file_bytes(small)
