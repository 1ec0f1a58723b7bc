"""`skymargin.polars.margins` and `partition_and_margin` against brute force, and for tables of every kind."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

import skymargin
import skymargin.polars as smp
from tests.support import brute_force
from tests.support.catalogs import MIXED_PARTITIONS, Pixel, Sky, sky_near_edges
from tests.support.threads import assert_other_threads_run

# Half of the sky and more left empty; a pole, RA 0 and partitions of several orders are among what is left.
SPARSE_PARTITIONS = tuple(
    pixel
    for pixel in MIXED_PARTITIONS
    if pixel[0] == 3 or pixel in {(0, 4), (0, 8), (1, 2), (2, 52), (2, 73)}
)
SKY = sky_near_edges(MIXED_PARTITIONS, 600, 3_600.0, seed=20)
SPARSE = sky_near_edges(SPARSE_PARTITIONS, 800, 3_600.0, seed=21)
of_each_sky = pytest.mark.parametrize("sky", [SKY, SPARSE], ids=["whole", "sparse"])


def frame_of(sky: Sky) -> pl.DataFrame:
    number = np.arange(len(sky))
    return pl.DataFrame(
        {"id": number, "ra": sky.ra_deg, "dec": sky.dec_deg, "name": [f"star {n}" for n in number]}
    )


def ids_by_margin(margin: pl.DataFrame) -> dict[Pixel, list[int]]:
    groups = margin.group_by("margin_Norder", "margin_Npix", maintain_order=True).agg("id")
    return {(order, pixel): ids for order, pixel, ids in groups.iter_rows()}


# The last is larger than every partition.
@pytest.mark.parametrize("threshold_arcsec", [10.0, 3_600.0, 30_000.0, 250_000.0])
@of_each_sky
def test_margins_are_those_of_brute_force(sky: Sky, threshold_arcsec: float) -> None:
    stars = frame_of(sky)
    margin = smp.margins(stars, sky.partitions, threshold_arcsec)
    expected = sky.margins(threshold_arcsec)
    assert ids_by_margin(margin) == expected
    assert sum(map(len, expected.values())) > 20
    if sky is SPARSE:
        assert set(expected) & set(brute_force.empty_pixels(sky.partitions))
    assert margin.schema == {
        **stars.schema,
        "margin_Norder": pl.UInt8,
        "margin_Npix": pl.UInt64,
        "separation_arcsec": pl.Float64,
    }
    assert margin.select(stars.columns).equals(stars[margin["id"].to_list()])
    assert margin.equals(margin.sort("id", "margin_Norder", "margin_Npix"))


def test_separations_are_those_of_brute_force() -> None:
    margin = smp.margins(frame_of(SKY), SKY.partitions, 3_600.0)
    for (order, pixel), rows in margin.group_by("margin_Norder", "margin_Npix"):
        expected = brute_force.separations_arcsec(rows["ra"].to_numpy(), rows["dec"].to_numpy(), order, pixel)
        assert np.abs(rows["separation_arcsec"].to_numpy() - expected).max() < 2e-9


def test_poles_and_the_seam_of_right_ascension() -> None:
    stars = pl.DataFrame(
        {"id": [0, 1, 2, 3], "ra": [10.0, 359.9999, 0.0001, 200.0], "dec": [89.9999, 0.0, 0.0, -89.9999]}
    )
    partitions = [(0, pixel) for pixel in range(12)]
    ids = ids_by_margin(smp.margins(stars, partitions, 30.0))
    # Around each pole lie the three other base cells; ra 0, dec 0 is the middle of base cell 4.
    assert ids == {(0, 1): [0], (0, 2): [0], (0, 3): [0], (0, 8): [3], (0, 9): [3], (0, 11): [3]}
    halves = [(1, pixel) for pixel in range(48)]
    # At order 1 the seam is a corner of four pixels and an edge of none: each star reaches the three others.
    near = {pixel for pixel, ids in ids_by_margin(smp.margins(stars[1:3], halves, 30.0)).items()}
    expected = {
        (1, pixel)
        for pixel in range(48)
        if min(brute_force.separations_arcsec([359.9999, 0.0001], [0.0, 0.0], 1, pixel)) <= 30.0
    }
    assert near == expected
    assert len(near) == 4


def test_empty_pixels_can_be_left_out() -> None:
    stars = frame_of(SPARSE)
    full, own = (
        smp.margins(stars, SPARSE.partitions, 3_600.0, empty_pixels=empty) for empty in (True, False)
    )
    partitions = set(SPARSE.partitions)
    of_partition = [pair in partitions for pair in full.select("margin_Norder", "margin_Npix").rows()]
    assert own.equals(full.filter(pl.Series(of_partition)))
    assert 0 < len(own) < len(full)


@pytest.mark.parametrize("threshold_arcsec", [10.0, 2_500.0])
def test_the_number_of_threads_changes_nothing(threshold_arcsec: float) -> None:
    stars = pl.concat([frame_of(SKY)] * 200)
    assert len(stars) > 100_000
    margin = smp.margins(stars, SKY.partitions, threshold_arcsec, threads=1)
    assert len(margin) > 10_000
    for threads in (2, 3, 0):
        assert smp.margins(stars, SKY.partitions, threshold_arcsec, threads=threads).equals(margin)
    parts = [[*smp.partition_and_margin(stars, SKY.partitions, 10.0, threads=threads)] for threads in (1, 2)]
    for ours, theirs in zip(*parts, strict=True):
        assert ours.pixel == theirs.pixel
        assert ours.rows.equals(theirs.rows)
        assert ours.margin.equals(theirs.margin)


def test_a_partition_of_many_rows_is_shared_between_threads() -> None:
    # More rows in one partition than a thread takes on at a time.
    random = np.random.default_rng(4)
    stars = pl.DataFrame(
        {"ra": random.uniform(44.9, 45.1, 200_000), "dec": random.uniform(-0.05, 0.05, 200_000)}
    )
    partitions = [(0, pixel) for pixel in range(12)]
    margin = smp.margins(stars.with_row_index("id"), partitions, 60.0, threads=2)
    assert margin.equals(smp.margins(stars.with_row_index("id"), partitions, 60.0, threads=1))
    own = brute_force.pixels_of(stars["ra"].to_numpy(), stars["dec"].to_numpy(), 0)
    some = np.arange(0, len(stars), 101)
    for pixel in (0, 4, 5, 8):
        separation = brute_force.separations_arcsec(
            stars["ra"].to_numpy()[some], stars["dec"].to_numpy()[some], 0, pixel
        )
        expected = some[(separation <= 60.0) & (own[some] != pixel)]
        members = margin.filter((pl.col("margin_Npix") == pixel) & (pl.col("id") % 101 == 0))
        assert members["id"].to_list() == expected.tolist()
        assert len(expected) > 100


@of_each_sky
@pytest.mark.parametrize("empty_pixels", [True, False])
def test_lazy_frames_stream(sky: Sky, empty_pixels: bool) -> None:
    stars = frame_of(sky)
    query = smp.margins(stars.lazy(), sky.partitions, 3_600.0, empty_pixels=empty_pixels)
    assert isinstance(query, pl.LazyFrame)
    expected = smp.margins(stars, sky.partitions, 3_600.0, empty_pixels=empty_pixels)
    assert query.collect_schema() == expected.schema
    plan = query.show_graph(plan_stage="physical", engine="streaming", raw_output=True)
    assert plan is not None
    assert 'label="map' in plan
    assert "in-memory-map" not in plan
    assert query.collect(engine="in-memory").equals(expected)
    with pl.Config(streaming_chunk_size=41):
        assert query.collect(engine="streaming").equals(expected)
        narrow = query.filter(pl.col("separation_arcsec") < 100).select("id", "margin_Npix")
        assert narrow.collect(engine="streaming").equals(
            expected.filter(pl.col("separation_arcsec") < 100).select("id", "margin_Npix")
        )


def test_lazy_frames_of_many_small_batches_share_what_is_prepared() -> None:
    random = np.random.default_rng(5)
    stars = pl.DataFrame({"ra": random.uniform(0, 360, 30_000), "dec": random.uniform(-90, 90, 30_000)})
    partitions = [(3, pixel) for pixel in range(768)]
    with pl.Config(streaming_chunk_size=500):
        margin = smp.margins(stars.lazy(), partitions, 600.0).collect(engine="streaming")
    assert margin.equals(smp.margins(stars, partitions, 600.0))
    assert len(margin) > 1000


@of_each_sky
@pytest.mark.parametrize("empty_pixels", [True, False])
@pytest.mark.parametrize("lazy", [True, False])
def test_partitions_come_with_their_rows_and_margins(sky: Sky, empty_pixels: bool, lazy: bool) -> None:
    stars = frame_of(sky)
    # One partition without rows: it is given all the same.
    bare = sky.partitions[0]
    stars = stars.filter(pl.Series(~sky.lies_in(*bare)))
    parts = [
        *smp.partition_and_margin(
            stars.lazy() if lazy else stars, sky.partitions, 3_600.0, empty_pixels=empty_pixels
        )
    ]
    along_sky = [(pixel << 2 * (29 - order)) for order, pixel in (part.pixel for part in parts)]
    assert along_sky == sorted(set(along_sky))
    expected = smp.margins(stars, sky.partitions, 3_600.0, empty_pixels=empty_pixels)
    assert {part.pixel: part.margin["id"].to_list() for part in parts if len(part.margin)} == ids_by_margin(
        expected
    )
    assert all(part.margin.schema == expected.schema and part.rows.schema == stars.schema for part in parts)
    assert [part.pixel for part in parts if part.pixel not in sky.partitions] == [
        part.pixel for part in parts if part.pixel in set(brute_force.empty_pixels(sky.partitions))
    ]
    assert {part.pixel for part in parts} >= set(sky.partitions)
    own = list(zip(sky.own_order.tolist(), sky.own_pixel.tolist(), strict=True))
    for part in parts:
        assert all(own[number] == part.pixel for number in part.rows["id"])
        assert part.rows["id"].is_sorted()
        assert part.margin.sort("id").equals(part.margin)
    assert sum(len(part.rows) for part in parts) == len(stars)
    together = pl.concat([part.margin for part in parts]).sort("id", "margin_Norder", "margin_Npix")
    assert together.equals(expected)


def test_nothing_is_lost_in_a_crossmatch_pixel_by_pixel() -> None:
    random = np.random.default_rng(6)
    ra_deg = np.concatenate([random.uniform(0, 360, 300), random.uniform(44.9, 45.1, 100)])
    dec_deg = np.concatenate([random.uniform(-90, 90, 300), random.uniform(-0.1, 0.1, 100)])
    left = pl.DataFrame({"id": range(400), "ra": ra_deg, "dec": dec_deg})
    right = left.with_columns(
        pl.col("ra") + random.normal(0, 0.002, 400),
        (pl.col("dec") + random.normal(0, 0.002, 400)).clip(-90, 90),
    )

    def pairs(these: pl.DataFrame, those: pl.DataFrame) -> set[tuple[int, int]]:
        a, b = (brute_force.unit_vectors(frame["ra"], frame["dec"]) for frame in (these, those))
        chord = 2 * np.sin(20.0 * brute_force.ARCSEC_RAD / 2)
        near = np.linalg.norm(a[:, None] - b[None], axis=-1) <= chord
        return {(these["id"][int(i)], those["id"][int(j)]) for i, j in zip(*np.nonzero(near), strict=True)}

    partitions = smp.tile(right, max_rows=40)
    matched: set[tuple[int, int]] = set()
    for pixel, rows, margin in smp.partition_and_margin(right, partitions, 20.0):
        at = brute_force.pixels_of(left["ra"].to_numpy(), left["dec"].to_numpy(), pixel[0]) == pixel[1]
        matched |= pairs(left.filter(pl.Series(at)), pl.concat([rows, margin.select(rows.columns)]))
    expected = pairs(left, right)
    assert matched == expected
    assert len(expected) > 300


def test_other_threads_run_while_the_core_works() -> None:
    random = np.random.default_rng(9)
    stars = pl.DataFrame({"ra": random.uniform(0, 360, 2_000_000), "dec": random.uniform(-90, 90, 2_000_000)})
    pixels = [(2, pixel) for pixel in range(192)]
    assert_other_threads_run(lambda: smp.margins(stars, pixels, 10.0, threads=1))


# The last of each is what is said in a batch as well, which may be a single row.
BAD_ROWS = [
    ([1.0, None], [2.0, 3.0], "ra has 1 nulls, the first in row 1", "ra has 1 nulls"),
    ([1.0, 1.0], [2.0, None], "dec has 1 nulls, the first in row 1", "dec has 1 nulls"),
    ([None, None], [2.0, 3.0], "ra has 2 nulls, the first in row 0", "ra has . nulls"),
    ([1.0, float("nan")], [2.0, 3.0], r"1 of 2 rows have no .* row 1: ra NaN, dec 3", "ra NaN, dec 3"),
    ([1.0, float("inf")], [2.0, 3.0], r"1 of 2 rows have no .* row 1: ra inf, dec 3", "ra inf, dec 3"),
    ([1.0, 2.0], [90.5, -91.0], r"2 of 2 rows have no .* row 0: ra 1, dec 90.5", "no valid position"),
    ([-360.5, 2.0], [2.0, 3.0], r"1 of 2 rows have no .* row 0: ra -360.5, dec 2", "ra -360.5, dec 2"),
    (
        [1.0, 200.0],
        [2.0, 3.0],
        "1 of 2 rows lie in none of the partitions; the first is row 1: ra 200, dec 3",
        "none of the partitions; .* ra 200, dec 3",
    ),
]


@pytest.mark.parametrize(("ra_deg", "dec_deg", "words", "in_batch"), BAD_ROWS)
def test_rows_that_lie_nowhere_are_an_error_that_names_the_first(
    ra_deg: list[float | None], dec_deg: list[float | None], words: str, in_batch: str
) -> None:
    stars = pl.DataFrame({"ra": ra_deg, "dec": dec_deg}, schema={"ra": pl.Float64, "dec": pl.Float64})
    kind = ValueError if "none of" in words else smp.CoordinateError
    assert issubclass(smp.CoordinateError, ValueError)
    for frame in (stars, stars.to_arrow()):
        with pytest.raises(kind, match=words):
            smp.margins(frame, [(0, 4)], 10.0)
        with pytest.raises(kind, match=words):
            smp.partition_and_margin(frame, [(0, 4)], 10.0)
    for engine in ("in-memory", "streaming"):
        with pytest.raises(Exception, match=rf"{in_batch}(.|\n)*start of the batch"):
            smp.margins(stars.lazy(), [(0, 4)], 10.0).collect(engine=engine)  # type: ignore[call-overload]


GOOD = pl.DataFrame({"ra": [1.0], "dec": [2.0]})


# One position, partitions, threshold in arcseconds, and words of a ValueError.
REFUSED: list[tuple[Any, float, str]] = [
    ([(0, 12)], 1.0, "pixel 12 does not exist at order 0"),
    ([(30, 0)], 1.0, "order 30 is not allowed"),
    ([(0, 4), (0, 4)], 1.0, "listed twice"),
    ([(0, 4), (1, 16)], 1.0, "overlap"),
    (pl.DataFrame({"order": [0]}), 1.0, "the table of partitions has no column 'Norder'; it has order"),
    ([(0, 4)], 0.0, "margin_threshold_arcsec 0.0 is not allowed"),
    ([(0, 4)], float("nan"), "margin_threshold_arcsec nan is not"),
    ([(0, 4)], 324_001.0, "at most 324000"),
]
NOT_A_COLUMN = "ra must be a column of Float64"
NO_TABLE = "frame must be a polars, pandas, pyarrow or astropy table"


@pytest.mark.parametrize(
    ("frame", "partitions", "threshold_arcsec", "more", "error", "words"),
    [
        *((GOOD, partitions, threshold, {}, ValueError, words) for partitions, threshold, words in REFUSED),
        (GOOD, [(-1, 4)], 1.0, {}, TypeError, "orders"),
        *(
            (GOOD, partitions, 1.0, {}, TypeError, "partitions must be pairs of order and pixel")
            for partitions in ("abc", 7, [(0, 4.5)])
        ),
        (GOOD, [(0, 4)], 1.0, {"threads": "2"}, TypeError, "threads '2' is not allowed: .* a whole number"),
        (GOOD, [(0, 4)], 1.0, {"threads": -1}, ValueError, "threads -1 is not allowed"),
        (GOOD, [(0, 4)], 1.0, {"threads": 1025}, ValueError, "threads 1025 is not allowed: .* to 1024"),
        (GOOD, [(0, 4)], 1.0, {"ra_column": "lon"}, ValueError, "no column 'lon'; it has ra, dec"),
        (
            GOOD.with_columns(margin_Npix=1),
            [(0, 4)],
            1.0,
            {},
            ValueError,
            "already has a column 'margin_Npix'",
        ),
        (GOOD.with_columns(ra=pl.lit("x")), [(0, 4)], 1.0, {}, TypeError, NOT_A_COLUMN),
        ({"ra": [1.0]}, [(0, 4)], 1.0, {}, TypeError, NO_TABLE),
        (pl.DataFrame(), [(0, 4)], 1.0, {}, ValueError, "no column 'ra'; it has none"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(
    frame: Any, partitions: Any, threshold_arcsec: float, more: Any, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        smp.margins(frame, partitions, threshold_arcsec, **more)
    with pytest.raises(error, match=words):
        smp.partition_and_margin(frame, partitions, threshold_arcsec, **more)
    if isinstance(frame, pl.DataFrame) and "Float64" not in words:
        with pytest.raises(error, match=words):
            smp.margins(frame.lazy(), partitions, threshold_arcsec, **more)


def test_a_column_is_no_table() -> None:
    for function in (smp.margins, smp.partition_and_margin):
        with pytest.raises(TypeError, match=NO_TABLE):
            function(pl.Series([1.0]), [(0, 4)], 1.0)
    with pytest.raises(TypeError, match=NO_TABLE):
        smp.tile(pl.Series([1.0]), max_rows=5)


def test_margin_rows_are_the_same_rows() -> None:
    orders, pixels = zip(*SKY.partitions, strict=True)
    lines = skymargin.margin_rows(SKY.ra_deg, SKY.dec_deg, orders, pixels, 3_600.0)
    margin = smp.margins(frame_of(SKY), SKY.partitions, 3_600.0)
    assert lines.schema.types == [pa.uint64(), pa.uint8(), pa.uint64(), pa.float64()]
    for ours, theirs in zip(("id", *margin.columns[-3:]), lines.schema.names, strict=True):
        assert margin[ours].to_list() == lines.column(theirs).to_pylist()
