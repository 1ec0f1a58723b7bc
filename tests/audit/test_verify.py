"""Audits of right margins, of parts of margins, of remote ones, and of what is no margin."""

from __future__ import annotations

import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from upath import UPath

from skymargin import verify
from skymargin.errors import (
    ArgumentError,
    CatalogError,
    CatalogNotFoundError,
    PartitionReadError,
    PositionError,
)
from tests.audit.expectation import HALF, SKY, THRESHOLD_ARCSEC, balance, expected, told
from tests.support.catalogs import (
    MIXED_PARTITIONS,
    files_of,
    make_margin,
    rows_in_file,
    sky_near_edges,
    state_properties,
    state_rows,
    with_value,
    write_catalog,
)
from tests.support.workspace import made_in


def test_nothing_is_wrong_with_an_empty_margin(tmp_path: Path) -> None:
    # No row lies within a thousandth of what separates it from the next pixel.
    sky = sky_near_edges(MIXED_PARTITIONS, rows=60, reach_arcsec=1.0, seed=4)
    work = made_in(tmp_path, sky, 1e-7)
    assert sky.margins(1e-6) == {}
    report = verify(work.margin)
    assert report.right, report.summary()
    assert (report.rows_expected, report.rows_found) == (0, 0)


def test_equal_rows_of_the_primary_are_no_duplicates(tmp_path: Path) -> None:
    sky = sky_near_edges(MIXED_PARTITIONS[:3], rows=80, reach_arcsec=60.0, seed=6)
    write_catalog(tmp_path / "catalog", sky)
    for file in files_of(tmp_path / "catalog").values():
        rows = rows_in_file(file)
        pq.write_table(pa.concat_tables([rows, rows]).sort_by("_healpix_29"), file)
    state_rows(tmp_path / "catalog")
    make_margin(tmp_path / "catalog", tmp_path, 60.0)
    report = verify(tmp_path / "margin")
    assert report.right, report.summary()
    assert report.rows_found == 2 * expected(sky, 60.0)[0] > 0


def test_a_coarse_margin_has_rows_too_many_and_none_missing(tmp_path: Path) -> None:
    write_catalog(tmp_path / "catalog", SKY)
    made = make_margin(tmp_path / "catalog", tmp_path, THRESHOLD_ARCSEC, fine_filtering=False)
    report = verify(tmp_path / "margin")
    total, _ = expected(SKY, THRESHOLD_ARCSEC)
    assert report.wrong == {"too_many": made.rows - total}
    assert report.counts["missing"] == 0 < report.counts["too_many"]
    assert report.counts["too_many"] == balance(tmp_path / "margin", SKY)[1]
    assert report.largest_excess_arcsec > 0
    assert "--coarse" in report.hint
    allowed = verify(tmp_path / "margin", coarse=True)
    assert allowed.right
    assert allowed.counts == report.counts
    assert "coarse" in allowed.summary()


def test_a_sample_checks_some_pixels_and_can_be_repeated(margin: Path, whole: Path) -> None:
    for file in files_of(margin).values():
        pq.write_table(rows_in_file(file).slice(1), file)
    everything = verify(margin, whole / "catalog")
    sample = verify(margin, whole / "catalog", sample=8)
    again = verify(margin, whole / "catalog", sample=8, seed=sample.seed)
    assert sample.pixels_checked == 8 < sample.pixels == everything.pixels
    assert sample.seed is not None
    assert f"seed {sample.seed}" in sample.summary()
    assert sample.per_pixel == again.per_pixel
    assert all(pixel in everything.per_pixel for pixel in sample.per_pixel)
    more = verify(margin, whole / "catalog", sample=10_000)
    assert (more.seed, more.counts) == (None, everything.counts)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sample": 0}, "sample 0 is not allowed: it must be a whole number, 1 or more"),
        ({"sample": 1.5}, "sample 1.5 is not allowed"),
        ({"sample": True}, "sample True is not allowed"),
        ({"sample": 5, "seed": -1}, "seed -1 is not allowed"),
    ],
)
def test_numbers_that_cannot_be_are_refused(options: dict[str, int], message: str, whole: Path) -> None:
    with pytest.raises(ArgumentError, match=message):
        verify(whole / "margin", **options)


def test_what_is_no_margin_is_an_error(whole: Path, tmp_path: Path) -> None:
    with pytest.raises(CatalogNotFoundError, match="there is nothing at"):
        verify(tmp_path / "nowhere")
    with pytest.raises(CatalogNotFoundError, match=r"is not a catalog: it has no hats.properties"):
        verify(tmp_path)
    with pytest.raises(CatalogError, match=r"is not a margin: .* has dataproduct_type=object"):
        verify(whole / "catalog")
    with pytest.raises(CatalogError, match=r"cannot be the primary catalog: .*dataproduct_type=margin"):
        verify(whole / "margin", whole / "margin")
    with pytest.raises(CatalogNotFoundError, match="there is nothing at"):
        verify(whole / "margin", tmp_path / "nowhere")


def test_the_primary_is_found_beside_the_margin(whole: Path, tmp_path: Path) -> None:
    """Both were moved: the path that the margin names is of another place."""
    shutil.copytree(whole / "catalog", tmp_path / "moved" / "catalog")
    shutil.copytree(whole / "margin", tmp_path / "moved" / "margin")
    for place in ("/data/elsewhere/catalog", "catalog", "collection/catalog"):
        state_properties(tmp_path / "moved" / "margin", hats_primary_table_url=place)
        report = verify(tmp_path / "moved" / "margin")
        assert report.right
        assert Path(report.primary_path) == tmp_path / "moved" / "catalog"
    state_properties(tmp_path / "moved" / "margin", hats_primary_table_url="gone")
    with pytest.raises(CatalogNotFoundError, match="names the primary catalog gone, which is not there"):
        verify(tmp_path / "moved" / "margin")


def test_a_primary_that_cannot_be_read_is_an_error(whole: Path, tmp_path: Path) -> None:
    shutil.copytree(whole / "catalog", tmp_path / "catalog")
    file = min(files_of(tmp_path / "catalog").items())[1]

    def refused(error: type[Exception], message: str) -> None:
        with pytest.raises(error, match=f"{file}{message}"):
            verify(whole / "margin", tmp_path / "catalog")

    pq.write_table(with_value(rows_in_file(file), "ra", 0, float("nan")), file)
    refused(PositionError, ": row 0 of the primary catalog has no usable coordinates")
    file.write_bytes(file.read_bytes()[:100])
    refused(PartitionReadError, " cannot be read as Parquet")
    file.unlink()
    refused(CatalogError, " is not there, but listed in partition_info.csv")


def test_margins_elsewhere_than_on_this_machine_are_checked_too(whole: Path) -> None:
    memory = UPath("memory://verify")
    for file in whole.rglob("*"):
        if file.is_file():
            target = memory / file.relative_to(whole).as_posix()
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(file.read_bytes())
    report = verify("memory://verify/margin", "memory://verify/catalog")
    assert report.right, report.summary()
    assert told(report) == expected(HALF, THRESHOLD_ARCSEC)


def test_groups_of_margins_change_nothing(margin: Path, whole: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With memory for hardly a row at once."""
    file = min(files_of(margin).items())[1]
    pq.write_table(rows_in_file(file).slice(1), file)
    before = verify(margin, whole / "catalog")
    monkeypatch.setattr("skymargin.audit.rows._GROUP_BYTES", 1)
    monkeypatch.setattr("skymargin.catalogs.partition_reader._MOST_ROWS", 3)
    after = verify(margin, whole / "catalog")
    assert (after.counts, after.per_pixel, after.faults) == (before.counts, before.per_pixel, before.faults)
