"""`skymargin.polars.margins` and `partition_and_margin` against brute force, and for tables of every kind."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import skymargin
import skymargin.polars as smp
from tests.support import brute_force
from tests.support.catalogs import MIXED_PARTITIONS, Pixel, Sky, sky_near_edges

# Half of the sky and more left empty; a pole, RA 0 and partitions of several orders are among what is left.
SPARSE_PARTITIONS = tuple(
    one for one in MIXED_PARTITIONS if one[0] == 3 or one in {(0, 4), (0, 8), (1, 2), (2, 52), (2, 73)}
)


def frame_of(sky: Sky) -> pl.DataFrame:
    number = np.arange(len(sky))
    return pl.DataFrame(
        {"id": number, "ra": sky.ra_deg, "dec": sky.dec_deg, "name": [f"star {one}" for one in number]}
    )


def ids_by_margin(margin: pl.DataFrame) -> dict[Pixel, list[int]]:
    groups = margin.group_by("margin_Norder", "margin_Npix", maintain_order=True).agg("id")
    return {(order, pixel): ids for order, pixel, ids in groups.iter_rows()}


@pytest.fixture(scope="module")
def sky() -> Sky:
    return sky_near_edges(MIXED_PARTITIONS, 600, 3_600.0, seed=20)


@pytest.fixture(scope="module")
def sparse() -> Sky:
    return sky_near_edges(SPARSE_PARTITIONS, 800, 3_600.0, seed=21)


# The last is larger than every partition.
@pytest.mark.parametrize("threshold_arcsec", [10.0, 3_600.0, 30_000.0, 250_000.0])
@pytest.mark.parametrize("which", ["sky", "sparse"])
def test_margins_are_those_of_brute_force(
    which: str, threshold_arcsec: float, request: pytest.FixtureRequest
) -> None:
    sky: Sky = request.getfixturevalue(which)
    stars = frame_of(sky)
    margin = smp.margins(stars, sky.partitions, threshold_arcsec)
    expected = sky.margins(threshold_arcsec)
    assert ids_by_margin(margin) == expected
    assert sum(map(len, expected.values())) > 20
    if which == "sparse":
        assert set(expected) & set(brute_force.empty_pixels(sky.partitions))
    assert margin.schema == {
        **stars.schema,
        "margin_Norder": pl.UInt8,
        "margin_Npix": pl.UInt64,
        "separation_arcsec": pl.Float64,
    }
    assert margin.select(stars.columns).equals(stars[margin["id"].to_list()])
    assert margin.equals(margin.sort("id", "margin_Norder", "margin_Npix"))


def test_separations_are_those_of_brute_force(sky: Sky) -> None:
    margin = smp.margins(frame_of(sky), sky.partitions, 3_600.0)
    for (order, pixel), rows in margin.group_by("margin_Norder", "margin_Npix"):
        found = rows["separation_arcsec"].to_numpy()
        expected = brute_force.separations_arcsec(rows["ra"].to_numpy(), rows["dec"].to_numpy(), order, pixel)
        assert np.abs(found - expected).max() < 2e-9


def test_poles_and_the_seam_of_right_ascension() -> None:
    stars = pl.DataFrame(
        {"id": [0, 1, 2, 3], "ra": [10.0, 359.9999, 0.0001, 200.0], "dec": [89.9999, 0.0, 0.0, -89.9999]}
    )
    partitions = [(0, pixel) for pixel in range(12)]
    found = ids_by_margin(smp.margins(stars, partitions, 30.0))
    # Around each pole lie the three other base cells; ra 0, dec 0 is the middle of base cell 4.
    assert found == {(0, 1): [0], (0, 2): [0], (0, 3): [0], (0, 8): [3], (0, 9): [3], (0, 11): [3]}
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


def test_empty_pixels_can_be_left_out(sparse: Sky) -> None:
    stars = frame_of(sparse)
    full, own = (
        smp.margins(stars, sparse.partitions, 3_600.0, empty_pixels=empty) for empty in (True, False)
    )
    partitions = set(sparse.partitions)
    of_partition = [pair in partitions for pair in full.select("margin_Norder", "margin_Npix").rows()]
    assert own.equals(full.filter(pl.Series(of_partition)))
    assert 0 < len(own) < len(full)


@pytest.mark.parametrize("threshold_arcsec", [10.0, 2_500.0])
def test_the_number_of_threads_changes_nothing(sky: Sky, threshold_arcsec: float) -> None:
    stars = pl.concat([frame_of(sky)] * 200)
    assert len(stars) > 100_000
    one = smp.margins(stars, sky.partitions, threshold_arcsec, threads=1)
    assert len(one) > 10_000
    for threads in (2, 3, 0):
        assert smp.margins(stars, sky.partitions, threshold_arcsec, threads=threads).equals(one)
    parts = [[*smp.partition_and_margin(stars, sky.partitions, 10.0, threads=threads)] for threads in (1, 2)]
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
        found = margin.filter((pl.col("margin_Npix") == pixel) & (pl.col("id") % 101 == 0))
        assert found["id"].to_list() == expected.tolist()
        assert len(expected) > 100


@pytest.mark.parametrize("which", ["sky", "sparse"])
@pytest.mark.parametrize("empty_pixels", [True, False])
def test_lazy_frames_stream(which: str, empty_pixels: bool, request: pytest.FixtureRequest) -> None:
    sky: Sky = request.getfixturevalue(which)
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
        found = smp.margins(stars.lazy(), partitions, 600.0).collect(engine="streaming")
    assert found.equals(smp.margins(stars, partitions, 600.0))
    assert len(found) > 1000


@pytest.mark.parametrize("which", ["sky", "sparse"])
@pytest.mark.parametrize("empty_pixels", [True, False])
@pytest.mark.parametrize("lazy", [True, False])
def test_partitions_come_with_their_rows_and_margins(
    which: str, empty_pixels: bool, lazy: bool, request: pytest.FixtureRequest
) -> None:
    sky: Sky = request.getfixturevalue(which)
    stars = frame_of(sky)
    # One partition without rows: it is given all the same.
    bare = sky.partitions[0]
    stars = stars.filter(pl.Series((sky.own_order != bare[0]) | (sky.own_pixel != bare[1])))
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
    own = dict(
        zip(range(len(sky)), zip(sky.own_order.tolist(), sky.own_pixel.tolist(), strict=True), strict=True)
    )
    for part in parts:
        assert all(own[one] == part.pixel for one in part.rows["id"])
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

    def pairs(one: pl.DataFrame, other: pl.DataFrame) -> set[tuple[int, int]]:
        a, b = (brute_force.unit_vectors(frame["ra"], frame["dec"]) for frame in (one, other))
        chord = 2 * np.sin(20.0 * brute_force.ARCSEC_RAD / 2)
        near = np.linalg.norm(a[:, None] - b[None], axis=-1) <= chord
        return {(one["id"][int(i)], other["id"][int(j)]) for i, j in zip(*np.nonzero(near), strict=True)}

    partitions = smp.tile(right, max_rows=40)
    found: set[tuple[int, int]] = set()
    for pixel, rows, margin in smp.partition_and_margin(right, partitions, 20.0):
        at = brute_force.pixels_of(left["ra"].to_numpy(), left["dec"].to_numpy(), pixel[0]) == pixel[1]
        found |= pairs(left.filter(pl.Series(at)), pl.concat([rows, margin.select(rows.columns)]))
    expected = pairs(left, right)
    assert found == expected
    assert len(expected) > 300


class Capsule:
    """A table that speaks the PyCapsule interface and nothing else."""

    def __init__(self, table: pa.Table) -> None:
        self.table = table

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self.table.__arrow_c_stream__(requested_schema)


def arrow_table(sky: Sky) -> pa.Table:
    number = np.arange(len(sky))
    names = [f"star {one}" for one in number]
    columns = {
        "id": pa.array(number),
        "ra": pa.array(sky.ra_deg),
        "dec": pa.array(sky.dec_deg),
        "band": pa.array([f"band {one % 5}" for one in number]).dictionary_encode(),
        "curve": pa.array([{"mjd": [float(one)] * (one % 4)} for one in number]),
        "seen": pa.array(number * 1000, pa.timestamp("ms", "UTC")),
        "view": pa.array(names).cast(pa.string_view()),
        "note": pa.array([None, *names[1:]]),
    }
    fields = [pa.field(name, column.type, metadata={"unit": name}) for name, column in columns.items()]
    return pa.table(list(columns.values()), schema=pa.schema(fields, metadata={"made": "for tests"}))


@pytest.mark.parametrize(
    "convert",
    [
        lambda table: table,
        lambda table: pa.concat_tables([table[:7], table[7:]]),
        lambda table: table.combine_chunks().to_batches()[0],
        Capsule,
    ],
    ids=["table", "chunked table", "record batch", "other"],
)
def test_arrow_tables_keep_their_types_and_metadata(sky: Sky, convert: Callable[[pa.Table], Any]) -> None:
    table = arrow_table(sky)
    expected = smp.margins(frame_of(sky), sky.partitions, 3_600.0)
    margin = smp.margins(convert(table), sky.partitions, 3_600.0)
    assert isinstance(margin, pa.Table)
    assert margin.schema.remove_metadata().names[-3:] == ["margin_Norder", "margin_Npix", "separation_arcsec"]
    ours = margin.select(table.column_names)
    assert ours.schema.equals(table.schema, check_metadata=True)
    numbers = expected["id"].to_numpy()
    assert ours.to_pylist() == [table.slice(one, 1).to_pylist()[0] for one in numbers.tolist()]
    assert pl.DataFrame(margin.select(["id", *margin.column_names[-3:]])).equals(
        expected.select("id", *expected.columns[-3:])
    )
    tiles = smp.tile(convert(table), max_rows=50)
    assert isinstance(tiles, pa.Table)
    assert pl.DataFrame(tiles).equals(smp.tile(frame_of(sky), max_rows=50))
    parts = [*smp.partition_and_margin(convert(table), sky.partitions, 3_600.0)]
    assert sum(part.rows.num_rows for part in parts) == table.num_rows
    assert pa.concat_tables([part.margin for part in parts]).num_rows == margin.num_rows


def test_pandas_frames_keep_their_types_and_labels(sky: Sky) -> None:
    frame = pd.DataFrame(
        {
            "id": np.arange(len(sky), dtype=np.int32),
            "ra": sky.ra_deg,
            "dec": sky.dec_deg,
            "name": [f"star {one}" for one in range(len(sky))],
            "band": pd.Categorical([f"band {one % 5}" for one in range(len(sky))]),
            "flag": pd.array([None if one % 3 else True for one in range(len(sky))], dtype="boolean"),
        },
        index=pd.Index(np.arange(len(sky)) * 7, name="label"),
    )
    expected = smp.margins(frame_of(sky), sky.partitions, 3_600.0)
    margin = smp.margins(frame, sky.partitions, 3_600.0)
    assert isinstance(margin, pd.DataFrame)
    pd.testing.assert_frame_equal(margin[list(frame.columns)], frame.iloc[expected["id"].to_numpy()])
    for name in ("margin_Norder", "margin_Npix", "separation_arcsec"):
        assert margin[name].to_numpy().tolist() == expected[name].to_list()
    assert margin["margin_Norder"].dtype == np.uint8
    assert margin["margin_Npix"].dtype == np.uint64
    tiles = smp.tile(frame, max_rows=50)
    assert isinstance(tiles, pd.DataFrame)
    assert pl.DataFrame(tiles).equals(smp.tile(frame_of(sky), max_rows=50))
    from_tiles = smp.margins(frame, tiles, 3_600.0)
    assert len(from_tiles) == len(smp.margins(frame_of(sky), smp.tile(frame_of(sky), max_rows=50), 3_600.0))
    parts = [*smp.partition_and_margin(frame, sky.partitions, 3_600.0)]
    assert sorted(pd.concat([part.rows for part in parts])["id"]) == list(range(len(sky)))


class HealpixPixel:
    def __init__(self, order: int, pixel: int) -> None:
        self.order, self.pixel = order, pixel


@pytest.mark.parametrize(
    "form",
    [
        list,
        lambda pairs: iter(pairs[::-1]),
        lambda pairs: np.array(pairs),
        lambda pairs: pl.DataFrame(pairs, schema=["Norder", "Npix"], orient="row"),
        lambda pairs: pl.LazyFrame(pairs, schema=["Norder", "Npix"], orient="row"),
        lambda pairs: pd.DataFrame(pairs, columns=["Norder", "Npix"]),
        lambda pairs: pa.table({"Npix": [p for _, p in pairs], "Norder": [o for o, _ in pairs]}),
        lambda pairs: [HealpixPixel(*pair) for pair in pairs],
    ],
    ids=["pairs", "iterator", "numpy", "polars", "lazy", "pandas", "pyarrow", "objects"],
)
def test_partitions_are_taken_in_every_form(sky: Sky, form: Callable[[Any], Any]) -> None:
    stars = frame_of(sky)
    expected = smp.margins(stars, sky.partitions, 3_600.0)
    assert smp.margins(stars, form(list(sky.partitions)), 3_600.0).equals(expected)


@pytest.mark.parametrize("partitions", [[], [(0, 4)], MIXED_PARTITIONS])
def test_no_rows_have_no_margins(partitions: list[Pixel]) -> None:
    nothing = pl.DataFrame(schema={"ra": pl.Float64, "dec": pl.Float64, "id": pl.Int8})
    for frame in (nothing, nothing.lazy()):
        margin = smp.margins(frame, partitions, 10.0).lazy().collect()
        assert margin.shape == (0, 6)
        parts = [*smp.partition_and_margin(frame, partitions, 10.0)]
        assert {part.pixel for part in parts} == set(partitions)
        assert all(len(part.rows) == len(part.margin) == 0 for part in parts)
    assert smp.margins(nothing.to_arrow(), partitions, 10.0).shape == (0, 6)
    assert smp.margins(nothing.to_pandas(), partitions, 10.0).shape == (0, 6)


def test_coordinates_are_read_where_they_lie() -> None:
    random = np.random.default_rng(8)
    stars = pl.DataFrame({"ra": random.uniform(0, 360, 1000), "dec": random.uniform(-90, 90, 1000)})
    from skymargin.polars.frames import rows_of

    for frame in (stars, stars.to_arrow()):
        column = rows_of(frame).column("ra")
        (chunk,) = pa.chunked_array(column).chunks
        # polars and pyarrow share the memory as well.
        assert chunk.buffers()[1].address == stars["ra"].to_numpy(allow_copy=False).ctypes.data


def test_other_threads_run_while_the_core_works() -> None:
    random = np.random.default_rng(9)
    stars = pl.DataFrame({"ra": random.uniform(0, 360, 2_000_000), "dec": random.uniform(-90, 90, 2_000_000)})
    working, turns = threading.Event(), []

    def work() -> None:
        working.set()
        smp.margins(stars, [(2, pixel) for pixel in range(192)], 10.0, threads=1)
        working.clear()

    thread = threading.Thread(target=work)
    thread.start()
    while thread.is_alive():
        if working.is_set():
            turns.append(1)
    thread.join()
    # A GIL that is held lets this loop run only before and after: a few turns of the switch interval.
    assert len(turns) > 1000


# The last of each is what is said in a batch as well, which may be a single row.
BAD_ROWS = [
    ([1.0, None], [2.0, 3.0], "ra_deg has 1 nulls, the first in row 1", "ra_deg has 1 nulls"),
    ([1.0, 1.0], [2.0, None], "dec_deg has 1 nulls, the first in row 1", "dec_deg has 1 nulls"),
    ([None, None], [2.0, 3.0], "ra_deg has 2 nulls, the first in row 0", "ra_deg has . nulls"),
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


def test_nan_is_null_in_pandas_and_is_refused_too() -> None:
    frame = pd.DataFrame({"ra": [1.0, np.nan], "dec": [2.0, 3.0]})
    with pytest.raises(smp.CoordinateError, match="row 1"):
        smp.margins(frame, [(0, 4)], 10.0)


GOOD = pl.DataFrame({"ra": [1.0], "dec": [2.0]})


@pytest.mark.parametrize(
    ("frame", "partitions", "threshold_arcsec", "more", "error", "words"),
    [
        (GOOD, [(0, 12)], 1.0, {}, ValueError, "pixel 12 does not exist at order 0"),
        (GOOD, [(30, 0)], 1.0, {}, ValueError, "order 30 is not allowed"),
        (GOOD, [(0, 4), (0, 4)], 1.0, {}, ValueError, "listed twice"),
        (GOOD, [(0, 4), (1, 16)], 1.0, {}, ValueError, "overlap"),
        (GOOD, [(-1, 4)], 1.0, {}, TypeError, "orders"),
        (GOOD, "abc", 1.0, {}, TypeError, "partitions must be pairs of order and pixel"),
        (GOOD, 7, 1.0, {}, TypeError, "partitions must be pairs of order and pixel"),
        (GOOD, [(0, 4.5)], 1.0, {}, TypeError, "partitions must be pairs of order and pixel"),
        (GOOD, pl.DataFrame({"order": [0]}), 1.0, {}, ValueError, "no column 'Norder'; it has order"),
        (GOOD, [(0, 4)], 0.0, {}, ValueError, "margin_threshold 0 arcsec is not allowed"),
        (GOOD, [(0, 4)], float("nan"), {}, ValueError, "margin_threshold NaN"),
        (GOOD, [(0, 4)], 324_001.0, {}, ValueError, "at most 324000"),
        (GOOD, [(0, 4)], 1.0, {"threads": -1}, ValueError, "threads -1 is not allowed"),
        (GOOD, [(0, 4)], 1.0, {"ra_column": "lon"}, ValueError, "no column 'lon'; it has ra, dec"),
        (
            GOOD.with_columns(margin_Npix=1),
            [(0, 4)],
            1.0,
            {},
            ValueError,
            "already has a column 'margin_Npix'",
        ),
        (
            GOOD.with_columns(ra=pl.lit("x")),
            [(0, 4)],
            1.0,
            {},
            TypeError,
            "ra_deg must be a column of Float64",
        ),
        ({"ra": [1.0]}, [(0, 4)], 1.0, {}, TypeError, "frame must be a polars, pandas or pyarrow table"),
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
    with pytest.raises((TypeError, ValueError)):
        smp.margins(pl.Series([1.0]), [(0, 4)], 1.0)


def test_margin_rows_are_the_same_rows(sky: Sky) -> None:
    orders, pixels = zip(*sky.partitions, strict=True)
    lines = skymargin.margin_rows(sky.ra_deg, sky.dec_deg, orders, pixels, 3_600.0)
    margin = smp.margins(frame_of(sky), sky.partitions, 3_600.0)
    assert lines.schema.types == [pa.uint64(), pa.uint8(), pa.uint64(), pa.float64()]
    for ours, theirs in zip(("id", *margin.columns[-3:]), lines.schema.names, strict=True):
        assert margin[ours].to_list() == lines.column(theirs).to_pylist()
