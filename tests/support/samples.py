"""Made-up rows for tests."""

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
