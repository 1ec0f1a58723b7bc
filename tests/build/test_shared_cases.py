"""Files of old and unusual writers that lie beside the repository; skipped where they are not.

Files like them are made in `test_odd_files`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from skymargin import verify
from skymargin.catalogs.catalog import open_catalog
from skymargin.catalogs.partition_reader import as_float64
from skymargin.errors import PartitionReadError
from tests.support import brute_force
from tests.support.catalogs import Pixel, files_of, ids_of, make_margin
from tests.support.shared import SHARED, needs_shared

pytestmark = needs_shared

THRESHOLD_ARCSEC = 30.0
# Whether hints of the files are ignored.
READ = {
    "decimal_coordinates": False,
    "dictionary_header_uncounted": True,
    "interval_in_struct": False,
    "list_view": False,
    "offset_index_short_sizes": True,
    "stale_arrow_schema_more": True,
    "stale_arrow_schema_renamed": True,
}
REFUSED = {
    "encrypted_ra_plain_footer": r"Npix=\d+\.parquet: column 'ra' is encrypted; encrypted Parquet is not supported",
    "int96_year_9999": r"Npix=\d+\.parquet: column '\w+': the timestamp 9999-\S+, stored as INT96, is out of the "
    "range of timestamps in ns",
}


def by_brute_force(catalog: Path) -> dict[Pixel, list[int]]:
    tables = {
        pixel: pq.ParquetFile(file).read(["k", "ra", "dec"]) for pixel, file in files_of(catalog).items()
    }
    own = np.repeat(np.array(list(tables), np.uint64), [len(table) for table in tables.values()], axis=0)
    columns = [
        np.concatenate([as_float64(table, name) for table in tables.values()]) for name in ("ra", "dec", "k")
    ]
    margins = brute_force.margins(
        columns[0], columns[1], own[:, 0].astype(np.uint8), own[:, 1], list(tables), THRESHOLD_ARCSEC
    )
    return {pixel: sorted(columns[2][rows].astype(int).tolist()) for pixel, rows in margins.items()}


@pytest.mark.parametrize("name", READ)
def test_a_case_is_read(name: str, tmp_path: Path) -> None:
    catalog = SHARED / "cases" / name
    made = make_margin(catalog, tmp_path, THRESHOLD_ARCSEC)
    expected = by_brute_force(catalog)
    assert ids_of(tmp_path / "margin", "k") == expected
    assert made.rows == sum(map(len, expected.values())) > 0
    assert (made.hints_ignored > 0) == READ[name]
    report = verify(tmp_path / "margin", catalog)
    assert report.right, report.summary()
    schema = open_catalog(catalog).schema
    for file in files_of(tmp_path / "margin").values():
        assert pq.read_schema(file).equals(schema, check_metadata=True)


@pytest.mark.parametrize("name", REFUSED)
def test_a_case_is_refused_in_one_line(name: str, tmp_path: Path) -> None:
    with pytest.raises(PartitionReadError, match=REFUSED[name]) as caught:
        make_margin(SHARED / "cases" / name, tmp_path, THRESHOLD_ARCSEC)
    assert "\n" not in str(caught.value)


def test_every_case_is_tried() -> None:
    assert {folder.name for folder in (SHARED / "cases").iterdir()} == READ.keys() | REFUSED.keys()
