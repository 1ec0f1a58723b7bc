"""The brute force check finds what is wrong with a margin, and nothing when nothing is."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from skymargin import MarginCacheArguments, _core, pipeline
from skymargin.brute_force import check_margin, empty_pixels
from skymargin.formats.partition_files import partition_files

THRESHOLD_ARCSEC = 7_200.0


@pytest.fixture(scope="module")
def whole_margin(small_catalog: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("margins")
    pipeline(
        MarginCacheArguments(
            input_catalog_path=small_catalog,
            output_path=output,
            output_artifact_name="margin",
            margin_threshold=THRESHOLD_ARCSEC,
            progress_bar=False,
        )
    )
    return output / "margin"


@pytest.fixture
def margin(whole_margin: Path, tmp_path: Path) -> Path:
    """Copy the margin, to be damaged."""
    return shutil.copytree(whole_margin, tmp_path / "margin")


def faults(catalog: Path, margin: Path) -> tuple[int, int]:
    check = check_margin(catalog, margin, THRESHOLD_ARCSEC, id_column="id")
    return check.missing, check.too_many


def some_file(margin: Path, at_least: int = 2) -> Path:
    return next(
        file
        for file in partition_files(margin).values()
        if pq.ParquetFile(file).metadata.num_rows >= at_least
    )


def rewrite(file: Path, rows: pa.Table) -> None:
    pq.write_table(rows, file)


def test_a_right_margin_passes(small_catalog: Path, margin: Path) -> None:
    check = check_margin(small_catalog, margin, THRESHOLD_ARCSEC, id_column="id")
    assert (check.missing, check.too_many) == (0, 0)
    written = sum(pq.ParquetFile(file).metadata.num_rows for file in partition_files(margin).values())
    assert check.expected == written > 1_000
    empty = set(empty_pixels(partition_files(small_catalog)))
    assert check.pixels == len(partition_files(small_catalog)) + len(empty)
    # The catalog leaves sky empty, and rows lie near it: both kinds of pixel were checked.
    assert empty & set(partition_files(margin))


def test_a_lost_row_is_missing(small_catalog: Path, margin: Path) -> None:
    file = some_file(margin)
    rewrite(file, pq.ParquetFile(file).read().slice(1))
    assert faults(small_catalog, margin) == (1, 0)


def test_a_row_twice_is_one_too_many(small_catalog: Path, margin: Path) -> None:
    file = some_file(margin)
    rows = pq.ParquetFile(file).read()
    rewrite(file, pa.concat_tables([rows, rows.slice(0, 1)]))
    assert faults(small_catalog, margin) == (0, 1)


def test_a_row_of_the_own_partition_is_one_too_many(small_catalog: Path, margin: Path) -> None:
    pixel, own = next(
        item for item in partition_files(small_catalog).items() if item[0] in partition_files(margin)
    )
    file = partition_files(margin)[pixel]
    rewrite(file, pa.concat_tables([pq.ParquetFile(file).read(), pq.ParquetFile(own).read().slice(0, 1)]))
    assert faults(small_catalog, margin) == (0, 1)


def test_a_lost_file_is_missing(small_catalog: Path, margin: Path) -> None:
    file = some_file(margin)
    rows = pq.ParquetFile(file).metadata.num_rows
    file.unlink()
    assert faults(small_catalog, margin) == (rows, 0)


def test_a_file_of_no_pixel_is_too_many(small_catalog: Path, margin: Path) -> None:
    file = some_file(margin)
    stray = margin / "dataset" / "Norder=20" / "Dir=0" / "Npix=7.parquet"
    stray.parent.mkdir(parents=True)
    shutil.copy(file, stray)
    assert faults(small_catalog, margin) == (0, pq.ParquetFile(file).metadata.num_rows)


def test_a_margin_of_another_threshold_fails(small_catalog: Path, whole_margin: Path) -> None:
    wider = check_margin(small_catalog, whole_margin, 2 * THRESHOLD_ARCSEC, id_column="id")
    assert wider.missing > 0
    assert wider.too_many == 0
    narrower = check_margin(small_catalog, whole_margin, THRESHOLD_ARCSEC / 2, id_column="id")
    assert narrower.missing == 0
    assert narrower.too_many > 0


def test_nothing_is_left_out_for_being_far(small_catalog: Path, whole_margin: Path) -> None:
    """The circles that save time lose no row: the same count without them."""
    tables = [pq.ParquetFile(file).read() for file in partition_files(small_catalog).values()]
    rows = pa.concat_tables(tables)
    own = np.repeat(np.arange(len(tables)), [table.num_rows for table in tables])
    pixels = list(partition_files(small_catalog))
    count = 0
    for number, pixel in enumerate([*pixels, *empty_pixels(pixels)]):
        separation = _core.separation_arcsec(rows["ra"].to_numpy(), rows["dec"].to_numpy(), *pixel).to_numpy()
        count += int(((separation <= THRESHOLD_ARCSEC) & (own != number)).sum())
    assert check_margin(small_catalog, whole_margin, THRESHOLD_ARCSEC, id_column="id").expected == count


def test_names_that_are_not_unique_are_refused(small_catalog: Path, whole_margin: Path) -> None:
    file = next(iter(partition_files(small_catalog).values()))
    twice = small_catalog.parent / "twice" / file.relative_to(small_catalog)
    twice.parent.mkdir(parents=True)
    rows = pq.ParquetFile(file).read()
    rewrite(twice, pa.concat_tables([rows, rows]))
    with pytest.raises(ValueError, match="'id' does not name rows"):
        check_margin(small_catalog.parent / "twice", whole_margin, THRESHOLD_ARCSEC, id_column="id")


@pytest.mark.parametrize(
    ("partitions", "expected"),
    [
        ([(0, pixel) for pixel in range(12)], []),
        ([(0, pixel) for pixel in range(11)], [(0, 11)]),
        ([(0, pixel) for pixel in range(1, 12)] + [(2, 5)], [(1, 0), (1, 2), (1, 3), (2, 4), (2, 6), (2, 7)]),
        ([], [(0, pixel) for pixel in range(12)]),
    ],
)
def test_empty_pixels_fill_the_sky(
    partitions: list[tuple[int, int]], expected: list[tuple[int, int]]
) -> None:
    assert sorted(empty_pixels(partitions)) == expected
