"""Damaged catalogs in short, and the judge itself: a margin that is wrong does not pass."""

from __future__ import annotations

import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks.parquet_file import ParquetFile
from skymargin.errors import CatalogError
from tests.campaign.conftest import RunShort
from tests.campaign.damage.campaign import KINDS
from tests.campaign.damage.catalogs import THRESHOLD_ARCSEC, Base, Case, difference, missing_of, write_bases
from tests.campaign.damage.judge import BELIEVED, FAILED, FLIPPED, REFUSED, RIGHT, judged, refusal
from tests.campaign.damage.runner import run_all
from tests.support.catalogs import files_of, make_margin

PLAIN = "snappy, dictionaries"


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Base:
    return write_bases(tmp_path_factory.mktemp("bases"), 3, [PLAIN])[PLAIN]


def test_damage(run_short: RunShort) -> None:
    outcome = run_short("damage")
    assert [tally.tried for tally in outcome.tallies] == [kind.short for kind in KINDS]


def changed(base: Base, folder: Path, change: Any) -> tuple[Case, Path]:
    """Return the margin of the whole catalog, with the rows of one of its partitions changed."""
    make_margin(base.path, folder, THRESHOLD_ARCSEC)
    file = max(files_of(folder / "margin").values(), key=lambda path: path.stat().st_size)
    pq.write_table(change(pq.ParquetFile(file).read()), file)
    return Case("none", base.path, [str(base.path)]), folder / "margin"


def otherwise(table: pa.Table) -> pa.Table:
    at = table.schema.get_field_index("mag")
    return table.set_column(at, table.schema.field(at), pa.array([9.5] * len(table), pa.float32()))


def test_the_margin_of_a_whole_catalog_is_right(base: Base, tmp_path: Path) -> None:
    case, margin = changed(base, tmp_path, lambda table: table)
    assert judged(base, case, margin).ending == RIGHT


def test_a_missing_row_is_a_failure(base: Base, tmp_path: Path) -> None:
    case, margin = changed(base, tmp_path, lambda table: table.slice(1))
    verdict = judged(base, case, margin)
    assert verdict.ending == FAILED
    assert "missing" in verdict.detail


def test_a_row_too_many_is_a_failure_where_rows_may_be_missing(base: Base, tmp_path: Path) -> None:
    case, margin = changed(base, tmp_path, lambda table: pa.concat_tables([table, table.slice(0, 1)]))
    case.believed = base.sky.partitions[0]
    assert judged(base, case, margin).ending == FAILED


def test_another_value_passes_in_the_flipped_column_alone(base: Base, tmp_path: Path) -> None:
    case, margin = changed(base, tmp_path, otherwise)
    assert judged(base, case, margin).ending == FAILED
    case.flipped = {"name"}
    assert judged(base, case, margin).ending == FAILED
    case.flipped = {"mag"}
    assert judged(base, case, margin).ending == FLIPPED


def test_a_missing_row_is_believed_of_the_damaged_partition_alone(base: Base, tmp_path: Path) -> None:
    case, margin = changed(base, tmp_path, lambda table: table.slice(1))
    margins = {pixel: base.rows.take(pa.array(ids[1:])) for pixel, ids in base.ids.items() if len(ids) > 1}
    assert missing_of(margins, base.margins)
    assert difference(margins, base.margins)
    endings = []
    for pixel in base.sky.partitions:
        case.believed = pixel
        endings.append(judged(base, case, margin).ending)
    assert sorted(set(endings)) == sorted({BELIEVED, FAILED})
    assert endings.count(BELIEVED) == 1


def test_an_error_must_name_the_file_and_leave_nothing(base: Base, tmp_path: Path) -> None:
    case = Case("none", base.path, ["/catalog/the_file"])
    assert refusal(case, CatalogError("/catalog/the_file is bad"), tmp_path).ending == REFUSED
    assert refusal(case, CatalogError("something is bad"), tmp_path).ending == FAILED
    assert refusal(case, CatalogError("/catalog/the_file\nis bad"), tmp_path).ending == FAILED
    (tmp_path / "left").touch()
    assert refusal(case, CatalogError("/catalog/the_file is bad"), tmp_path).ending == FAILED


def behave(how: str) -> str:
    if how == "hang":
        time.sleep(600)
    if how == "die":
        import os

        os._exit(3)
    if how == "hoard":
        try:
            bytearray(20 << 30)
        except MemoryError:
            return "no memory"
    return "done"


def test_what_hangs_or_dies_or_takes_all_memory_is_told() -> None:
    told: dict[str, tuple[str | None, str]] = {}

    def answered(case: tuple[str], answer: str | None, trouble: str) -> None:
        told[case[0]] = (answer, trouble)

    run_all(behave, [("work",), ("hang",), ("die",), ("hoard",)], answered, longest_seconds=3)
    assert told["work"] == ("done", "")
    assert told["hang"] == (None, "it hung for 3 s")
    assert told["die"] == (None, "its process died")
    assert told["hoard"] == ("no memory", "")


def test_the_parts_of_a_file_are_found(base: Base) -> None:
    file = max(files_of(base.path).values(), key=lambda path: path.stat().st_size)
    parts = ParquetFile(file)
    about = pq.read_metadata(file)
    assert len(parts.footer) == about.serialized_size + 8
    assert len(parts.chunks) == about.num_row_groups * about.num_columns
    assert any(len(chunk.statistics) for chunk in parts.chunks)
    pages = [page for chunk in parts.chunks for page in parts.pages(chunk)]
    assert all(page.body.stop <= following.header.start for page, following in pairwise(pages))
    assert pages[-1].body.stop <= parts.footer.start
    total = sum(
        about.row_group(group).column(column).total_compressed_size
        for group in range(about.num_row_groups)
        for column in range(about.num_columns)
    )
    assert sum(len(page.header) + len(page.body) for page in pages) == total
