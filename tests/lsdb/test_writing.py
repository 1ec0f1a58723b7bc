"""`write_catalog` stores a catalog with its margin as a collection that LSDB opens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.lsdb.conftest import TwoCatalogs, lsdb
from tests.lsdb.frames import assert_same_margin, compute, quietly

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")


@pytest.mark.parametrize("is_changed", [False, True], ids=["as opened", "query"])
def test_written_and_opened_again(two_catalogs: TwoCatalogs, tmp_path: Path, is_changed: bool) -> None:
    from skymargin import verify
    from skymargin.lsdb import with_margin

    catalog: Any = lsdb.open_catalog(two_catalogs.right.path)
    if is_changed:
        catalog = catalog.query("mag < 8.7")
    ours = quietly(lambda: with_margin(catalog, 45.0))
    quietly(lambda: ours.write_catalog(tmp_path / "out", progress_bar=False))
    again = lsdb.open_catalog(tmp_path / "out")
    assert again.margin.hc_structure.catalog_info.margin_threshold == 45.0
    assert assert_same_margin(ours.margin, again.margin) > 100
    pd.testing.assert_frame_equal(compute(again), compute(ours))
    # Its rows are measured again, by brute force.
    assert verify(tmp_path / "out" / "right_45arcs", tmp_path / "out" / "right", progress_bar=False).right
