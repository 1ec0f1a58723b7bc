"""The expressions of `skymargin.polars`: values, nulls, streams, and what they refuse."""

from __future__ import annotations

import doctest
import importlib

import numpy as np
import polars as pl
import pytest

import skymargin.polars as smp
from tests.support import brute_force

# Poles, RA 0/360, |z| = 2/3, corners and edges of base cells, and plain places.
PLACES = [
    (0.0, 90.0),
    (123.4, -90.0),
    (45.0, 89.999_999_9),
    (0.0, 0.0),
    (360.0, 0.0),
    (359.999_999_9, -10.0),
    (-0.000_000_1, 12.0),
    (45.0, 0.0),
    (45.0, 41.810_314_895_778_6),
    (90.0, -41.810_314_895_778_6),
    (12.3, 41.810_314_9),
    (200.1, -30.2),
    (281.7, 66.6),
]


def places_near(order: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the places, and rows up to a few pixels of an order away from each."""
    random = np.random.default_rng([order, 29])
    centres = np.repeat(np.array(PLACES), 12, axis=0)
    step_deg = np.degrees(2.0 / (1 << order)) * random.normal(size=centres.shape)
    step_deg[::12] = 0
    dec_deg = np.clip(centres[:, 1] + step_deg[:, 1], -90, 90)
    along = np.maximum(np.cos(np.radians(dec_deg)), 1e-3)
    return np.clip(centres[:, 0] + step_deg[:, 0] / along, -360, 360), dec_deg


def frame_of(ra_deg: np.ndarray, dec_deg: np.ndarray) -> pl.DataFrame:
    return pl.DataFrame({"ra": ra_deg, "dec": dec_deg})


@pytest.mark.parametrize("order", range(30))
def test_a_row_lies_in_the_pixel_of_its_index_at_every_order(order: int) -> None:
    ra_deg, dec_deg = places_near(order)
    result = frame_of(ra_deg, dec_deg).select(smp.spatial_index(order=order))
    assert result.schema == {f"_healpix_{order}": pl.Int64}
    index = result.to_series().to_numpy()
    for row, pixel in enumerate(index.tolist()):
        off = brute_force.separations_arcsec(ra_deg[row : row + 1], dec_deg[row : row + 1], order, pixel)
        assert off[0] <= 1e-9, (ra_deg[row], dec_deg[row], pixel)


@pytest.mark.parametrize("order", range(30))
def test_the_pixel_of_an_index_is_the_pixel_of_the_row(order: int) -> None:
    ra_deg, dec_deg = places_near(8)
    stars = frame_of(ra_deg, dec_deg).with_columns(smp.spatial_index())
    result = stars.select(smp.pixel(order), index=smp.spatial_index(order=order).cast(pl.UInt64))
    assert result.schema == {"Npix": pl.UInt64, "index": pl.UInt64}
    # A row on an edge may be given to either side at each order; those are the places themselves.
    away = np.arange(len(result)) % 12 != 0
    assert result["Npix"].to_numpy()[away].tolist() == result["index"].to_numpy()[away].tolist()
    coarser = stars.select(smp.spatial_index(order=20).alias("i")).select(
        smp.pixel(min(order, 20), "i", index_order=20)
    )
    expected = result["index"].to_numpy() >> np.uint64(2 * max(order - 20, 0))
    assert coarser["Npix"].to_numpy()[away].tolist() == expected[away].tolist()


@pytest.mark.parametrize("order", range(30))
def test_separations_and_margins_are_those_of_brute_force(order: int) -> None:
    ra_deg, dec_deg = places_near(order)
    own = brute_force.pixels_of(ra_deg, dec_deg, order)
    threshold_arcsec = min(np.degrees(1.0 / (1 << order)) * 3600, 300_000.0)
    # A row on an edge, as doubles go, is in either pixel; that it is on an edge is tested above.
    on_edge = frame_of(ra_deg, dec_deg).select(smp.spatial_index(order=order)).to_series().to_numpy() != own
    assert on_edge.mean() < 0.3
    seen = 0
    for pixel in own[::12].tolist()[:13]:
        expected = brute_force.separations_arcsec(ra_deg, dec_deg, order, pixel)
        stars = frame_of(ra_deg, dec_deg)
        result = stars.select(
            smp.separation_arcsec(order, pixel), smp.within_margin(order, pixel, threshold_arcsec)
        )
        assert result.schema == {"separation_arcsec": pl.Float64, "within_margin": pl.Boolean}
        near = expected < 324_000
        separation = result["separation_arcsec"].to_numpy()
        assert np.abs(separation - expected)[near].max() < 2e-9
        clear = ~on_edge & (np.abs(expected - threshold_arcsec) > 1e-8)
        member = (expected <= threshold_arcsec) & (own != pixel)
        assert (result["within_margin"].to_numpy() == member)[clear].all()
        seen += int((member & clear).sum())
    assert seen > 10


def test_nulls_stay_nulls() -> None:
    stars = pl.DataFrame({"ra": [11.0, None, 11.0, None], "dec": [78.0, 78.0, None, None]})
    result = stars.select(
        smp.spatial_index(), smp.separation_arcsec(5, 1000), smp.within_margin(5, 1000, 10.0)
    )
    for column in result:
        assert column.is_null().to_list() == [False, True, True, True], column.name
    assert result.select(smp.pixel(3)).to_series().is_null().to_list() == [False, True, True, True]
    nothing = pl.DataFrame({"ra": [None], "dec": [None]}).select(smp.spatial_index())
    assert nothing.to_series().to_list() == [None]


def test_columns_of_other_names_types_and_expressions_are_taken() -> None:
    stars = pl.DataFrame({"lon": [11, 12], "lat": [78, 79]})
    expected = stars.select(smp.spatial_index(pl.col("lon").cast(pl.Float64), "lat")).to_series()
    for kind in (pl.Float32, pl.Int16, pl.Float64):
        assert stars.cast(kind).select(smp.spatial_index("lon", "lat")).to_series().equals(expected)
    moved = stars.select(smp.separation_arcsec(3, 7, "lon", pl.col("lat") - 1.0))
    assert moved.to_series()[1] == stars.with_columns(lat=78).select(
        smp.separation_arcsec(3, 7, "lon", "lat")
    ).item(1, 0)
    assert stars.select(smp.pixel(0, pl.lit(7, pl.Int32), index_order=1)).item(0, 0) == 1


def test_no_rows_are_no_rows() -> None:
    stars = pl.DataFrame(schema={"ra": pl.Float64, "dec": pl.Float64})
    result = stars.with_columns(
        smp.spatial_index(), smp.separation_arcsec(0, 0), smp.within_margin(0, 0, 1.0)
    )
    assert result.with_columns(smp.pixel(0)).shape == (0, 6)


def test_chunked_and_filtered_frames_are_taken() -> None:
    ra_deg, dec_deg = places_near(3)
    stars = frame_of(ra_deg, dec_deg)
    pieces = pl.concat([stars[:5], stars[5:9], stars[9:]], rechunk=False)
    assert pieces.n_chunks() == 3
    assert pieces.select(smp.spatial_index()).equals(stars.select(smp.spatial_index()))
    north = stars.filter(pl.col("dec") > 0)
    assert north.select(smp.spatial_index()).equals(
        stars.with_columns(smp.spatial_index()).filter(pl.col("dec") > 0).select("_healpix_29")
    )


def test_expressions_stream() -> None:
    ra_deg, dec_deg = places_near(2)
    stars = pl.concat([frame_of(ra_deg, dec_deg)] * 20)
    query = (
        stars.lazy()
        .with_columns(smp.spatial_index(), smp.separation_arcsec(2, 7))
        .with_columns(smp.pixel(4))
        .filter(smp.within_margin(2, 7, 50_000.0))
    )
    plan = query.show_graph(plan_stage="physical", engine="streaming", raw_output=True)
    assert plan is not None
    assert "python_udf" in plan
    assert "in-memory-map" not in plan
    expected = query.collect(engine="in-memory")
    assert 0 < len(expected) < len(stars)
    with pl.Config(streaming_chunk_size=37):
        assert query.collect(engine="streaming").equals(expected)


@pytest.mark.parametrize("engine", ["in-memory", "streaming"])
@pytest.mark.parametrize(
    ("ra_deg", "dec_deg", "words"),
    [
        (float("nan"), 0.0, "ra NaN"),
        (0.0, float("nan"), "dec NaN"),
        (float("inf"), 0.0, "ra inf"),
        (360.1, 0.0, "ra 360.1"),
        (0.0, -90.5, "dec -90.5"),
    ],
)
def test_what_is_no_position_is_an_error_that_names_it(
    ra_deg: float, dec_deg: float, words: str, engine: str
) -> None:
    stars = pl.LazyFrame({"ra": [1.0, ra_deg], "dec": [2.0, dec_deg]})
    for expression in (smp.spatial_index(), smp.separation_arcsec(3, 4), smp.within_margin(3, 4, 5.0)):
        with pytest.raises(
            Exception, match=rf"{words}.*is not a position(.|\n)*start of the batch"
        ) as caught:
            stars.select(expression).collect(engine=engine)  # type: ignore[call-overload]
        assert isinstance(caught.value, smp.CoordinateError | pl.exceptions.ComputeError)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: smp.spatial_index(order=30), "order 30 is not allowed"),
        (lambda: smp.pixel(30), "order 30 is not allowed"),
        (lambda: smp.pixel(-1), "order -1 is not allowed"),
        (lambda: smp.pixel(7, index_order=6), "for an index of order 6 it is 0 to 6"),
        (lambda: smp.pixel(7, index_order=31), "index_order 31 is not allowed"),
        (lambda: smp.separation_arcsec(1, 48), "pixel 48 does not exist at order 1"),
        (lambda: smp.within_margin(1, 48, 1.0), "pixel 48 does not exist at order 1"),
        (lambda: smp.within_margin(1, 4, 0.0), "margin_threshold_arcsec 0.0 is not allowed"),
        (lambda: smp.within_margin(1, 4, 324_001.0), "at most 324000"),
    ],
)
def test_arguments_are_refused_when_the_expression_is_made(make: object, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make()  # type: ignore[operator]


@pytest.mark.parametrize(("value", "order"), [(-1, 29), (12 << 58, 29), (12, 0), (48, 1)])
def test_what_is_no_index_is_an_error(value: int, order: int) -> None:
    with pytest.raises(Exception, match=f"{value} is not an index at order {order}"):
        pl.DataFrame({"i": [0, value, 3]}).select(smp.pixel(0, "i", index_order=order))
    with pytest.raises(Exception, match="must be a column of integers, not Float64"):
        pl.DataFrame({"i": [1.0]}).select(smp.pixel(0, "i"))


@pytest.mark.parametrize("module", ["expressions", "margin_frames", "partitions"])
def test_examples_in_docstrings_run(module: str) -> None:
    found = importlib.import_module(f"skymargin.polars.{module}")
    failed, tried = doctest.testmod(found, optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    assert tried >= 3
    assert failed == 0
