"""Made-up rows for tests, and tables of unknown libraries."""

from __future__ import annotations

import numpy as np
import pyarrow as pa


def scattered_stars(rows: int, seed: int) -> pa.Table:
    """Return rows spread evenly over the sky, with `id`, `ra` and `dec`."""
    random = np.random.default_rng(seed)
    return pa.table(
        {
            "id": np.arange(rows),
            "ra": random.uniform(0, 360, rows),
            "dec": np.degrees(np.arcsin(random.uniform(-1, 1, rows))),
        }
    )


class Capsule:
    """A table that has the PyCapsule interface and nothing else."""

    def __init__(self, table: pa.Table) -> None:
        self.table = table

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self.table.__arrow_c_stream__(requested_schema)
