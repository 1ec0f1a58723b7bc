"""Row by row against hats-import: the same coarse margins, and exact ones that are the right part of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.peers.runs import Case, run_peer
from tests.support.catalogs import make_margin

pytestmark = pytest.mark.slow

Keys = dict[tuple[int, int], np.ndarray[tuple[int], np.dtype[np.int64]]]


SHARED_CASES = {
    "small_sky_source": ("small_sky_source", 180.0, "source_id", "source_ra", "source_dec"),
    "small_sky_order1": ("small_sky_o1_collection/small_sky_order1", 14_400.0, "id", "ra", "dec"),
}
# columns, rows, partitions, layout, threshold in arcseconds
GENERATED_CASES = {
    "stars": ("stars", 200_000, 100, "today", 30.0),
    "stars, yesterday's layout": ("stars", 200_000, 100, "yesterday", 30.0),
    "light curves": ("light_curves", 1_500, 40, "today", 600.0),
    "spectra, yesterday's layout": ("spectra", 1_500, 40, "yesterday", 600.0),
    "row groups of one row": ("narrow", 4_000, 60, "single-rows", 600.0),
}


@pytest.fixture(scope="module", params=[*SHARED_CASES, *GENERATED_CASES])
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Case:
    from benchmarks.generate import CatalogSpec, generate

    name = request.param
    if name in SHARED_CASES:
        folder, threshold, key, ra, dec = SHARED_CASES[name]
        return Case(request.getfixturevalue("shared_data") / "hats" / folder, threshold, key, ra, dec)
    columns, rows, partitions, layout, threshold = GENERATED_CASES[name]
    spec = CatalogSpec(columns, rows, partitions, layout, seed=7)
    return Case(generate(spec, tmp_path_factory.mktemp("generated")).path, threshold)


@pytest.fixture(scope="module")
def theirs(case: Case, hats_import_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The margin that hats-import makes, in its own environment."""
    return run_hats_import(hats_import_python, case, tmp_path_factory.mktemp("theirs"), margin_order=-1)


def run_hats_import(python: Path, case: Case, folder: Path, margin_order: int) -> Path:
    (folder / "tmp").mkdir()
    arguments = (case.path, folder, "margin", case.threshold_arcsec, 1, folder / "tmp")
    run_peer(python, "run_margin.py", "hats_import", *arguments, f'{{"margin_order": {margin_order}}}')
    return folder / "margin"


def run_skymargin(case: Case, folder: Path, **arguments: object) -> Path:
    make_margin(case.path, folder, case.threshold_arcsec, **arguments)
    return folder / "margin"


def rows_by_pixel(margin: Path, key: str) -> dict[tuple[int, int], pa.Table]:
    """All rows and columns of a margin by pixel, in the order of index and key."""
    from benchmarks.content import pixel_files

    return {
        pixel: pa.concat_tables([pq.ParquetFile(path).read() for path in paths])
        .sort_by([("_healpix_29", "ascending"), (key, "ascending")])
        .combine_chunks()
        for pixel, paths in pixel_files(margin).items()
    }


def assert_same_rows(ours: Path, theirs: Path, key: str) -> None:
    """Assert that two margins hold the same values of the same columns, pixel by pixel."""
    mine, other = rows_by_pixel(ours, key), rows_by_pixel(theirs, key)
    assert {pixel: len(rows) for pixel, rows in mine.items()} == {
        pixel: len(rows) for pixel, rows in other.items()
    }
    assert sum(map(len, mine.values())) > 0
    for pixel, rows in mine.items():
        assert rows.equals(other[pixel].cast(rows.schema)), f"values differ in the margin of {pixel}"


def test_coarse_margin_has_the_rows_of_hats_import(case: Case, theirs: Path, tmp_path: Path) -> None:
    assert_same_rows(run_skymargin(case, tmp_path, fine_filtering=False), theirs, case.key)


def test_coarse_margin_of_a_given_order_has_the_rows_of_hats_import(
    case: Case, hats_import_python: Path, tmp_path: Path
) -> None:
    margin_order = 6
    (tmp_path / "theirs").mkdir()
    theirs = run_hats_import(hats_import_python, case, tmp_path / "theirs", margin_order)
    ours = run_skymargin(case, tmp_path / "ours", fine_filtering=False, margin_order=margin_order)
    assert_same_rows(ours, theirs, case.key)


def test_exact_margin_is_a_part_of_the_coarse_one_and_equals_brute_force(
    case: Case, theirs: Path, tmp_path: Path
) -> None:
    from benchmarks.content import exact_keys, read_source, row_keys

    ours: Keys = row_keys(run_skymargin(case, tmp_path), case.key)
    coarse: Keys = row_keys(theirs, case.key)
    source = read_source(case.path, case.key, case.ra, case.dec)
    expected: Keys = exact_keys(source, case.threshold_arcsec)
    assert len(np.unique(source.keys)) == len(source.keys)
    assert set(ours) <= set(coarse)
    assert all(np.isin(keys, coarse[pixel]).all() for pixel, keys in ours.items())
    assert {pixel: keys.tolist() for pixel, keys in ours.items()} == {
        pixel: keys.tolist() for pixel, keys in expected.items()
    }
    assert 0 < sum(map(len, expected.values())) < sum(map(len, coarse.values()))


def test_the_audit_finds_none_missing_and_how_many_are_too_many(case: Case, theirs: Path) -> None:
    from benchmarks.content import exact_keys, read_source, row_keys
    from skymargin import verify

    expected = exact_keys(read_source(case.path, case.key, case.ra, case.dec), case.threshold_arcsec)
    rows, written = sum(map(len, expected.values())), sum(map(len, row_keys(theirs, case.key).values()))
    report = verify(theirs, case.path, coarse=True)
    assert report.right, report.summary()
    assert (report.rows_expected, report.rows_found) == (rows, written)
    assert (report.counts["missing"], report.counts["too_many"]) == (0, written - rows)
    assert report.largest_excess_arcsec > 0
