"""`skymargin.polars.tile`, and the choice of partitions that it shares with the writer of catalogs."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

import skymargin.polars as smp
from skymargin.geometry.adaptive import adaptive_partitions
from tests.support import brute_force


def crowded(rows: int) -> pl.DataFrame:
    """Return rows spread over the sky, and as many in a small part of it around the seam and near a pole."""
    random = np.random.default_rng(rows)
    ra_deg = np.concatenate([random.uniform(0, 360, rows), random.normal(0, 2, rows) % 360])
    dec_deg = np.degrees(np.arcsin(random.uniform(-1, 1, rows)))
    dec_deg = np.concatenate([dec_deg, 90 - np.abs(random.normal(0, 2, rows))])
    return pl.DataFrame({"ra": ra_deg, "dec": dec_deg})


@pytest.mark.parametrize("max_rows", [1, 30, 700, 100_000])
def test_tiles_are_the_largest_pixels_that_are_not_too_full(max_rows: int) -> None:
    stars = crowded(1_000)
    tiles = smp.tile(stars, max_rows=max_rows)
    assert tiles.schema == {"Norder": pl.UInt8, "Npix": pl.UInt64, "rows": pl.UInt64}
    held = 0
    for order, pixel, rows in tiles.iter_rows():
        inside = brute_force.pixels_of(stars["ra"].to_numpy(), stars["dec"].to_numpy(), order) == pixel
        assert inside.sum() == rows
        assert 0 < rows <= max_rows
        held += rows
        if order:
            above = (
                brute_force.pixels_of(stars["ra"].to_numpy(), stars["dec"].to_numpy(), order - 1)
                == pixel >> 2
            )
            assert above.sum() > max_rows
    assert held == len(stars)
    along_sky = (
        tiles["Npix"].to_numpy() << (2 * (29 - tiles["Norder"].to_numpy().astype(np.uint64)))
    ).tolist()
    assert along_sky == sorted(along_sky)


@pytest.mark.parametrize("max_rows", [150, 400])
def test_tiles_are_those_of_the_hats_library(max_rows: int) -> None:
    from hats.pixel_math.partition_stats import generate_alignment, generate_histogram

    stars = crowded(5_000)
    highest = 9
    histogram = generate_histogram(stars.to_pandas(), highest_order=highest, ra_column="ra", dec_column="dec")
    alignment = generate_alignment(
        histogram, highest_order=highest, lowest_order=0, threshold=max_rows, drop_empty_siblings=False
    )
    expected = {tuple(int(value) for value in tile) for tile in alignment if tile is not None}
    assert set(smp.tile(stars, max_rows=max_rows).rows()) == expected
    assert len(expected) > 30


def test_lazy_frames_give_the_same_tiles() -> None:
    stars = crowded(1_000)
    with pl.Config(streaming_chunk_size=100):
        tiles = smp.tile(stars.lazy().rename({"ra": "lon"}), max_rows=50, ra_column="lon")
    assert isinstance(tiles, pl.LazyFrame)
    assert tiles.collect().equals(smp.tile(stars, max_rows=50))


def test_no_rows_have_no_tiles() -> None:
    for frame in (crowded(10).clear(), crowded(10).clear().lazy()):
        assert smp.tile(frame, max_rows=5).lazy().collect().shape == (0, 3)


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize(
    ("ra_deg", "dec_deg", "arguments", "words"),
    [
        ([1.0, None], [2.0, 3.0], {}, "1 of 2 rows have a null for ra or dec, the first is row 1"),
        ([1.0, 2.0], [None, None], {}, "2 of 2 rows have a null for ra or dec, the first is row 0"),
        ([1.0, float("nan")], [2.0, 3.0], {}, "ra NaN, dec 3 is not a position"),
        ([1.0, 2.0], [2.0, 91.0], {}, "ra 2, dec 91 is not a position"),
        ([1.0], [2.0], {"max_rows": 0}, "max_rows 0 is not allowed"),
        ([1.0], [2.0], {"max_rows": -5}, "max_rows -5 is not allowed"),
        ([1.0], [2.0], {"ra_column": "lon"}, "no column 'lon'; it has ra, dec"),
        (
            [1.0] * 3,
            [2.0] * 3,
            {"max_rows": 2},
            "3 rows share pixels of order 29 with more than max_rows=2 rows",
        ),
    ],
)
def test_what_cannot_be_tiled_is_refused(
    ra_deg: list[float | None],
    dec_deg: list[float | None],
    arguments: dict[str, object],
    words: str,
    lazy: bool,
) -> None:
    stars = pl.DataFrame({"ra": ra_deg, "dec": dec_deg}, schema={"ra": pl.Float64, "dec": pl.Float64})
    with pytest.raises(ValueError, match=words):
        smp.tile(stars.lazy() if lazy else stars, **{"max_rows": 5, **arguments})  # type: ignore[arg-type]


@pytest.mark.parametrize("most", ["5", 5.5, None])
def test_a_number_of_rows_is_a_whole_number(most: object) -> None:
    with pytest.raises(TypeError, match=f"max_rows {most!r} is not allowed: it must be a whole number"):
        smp.tile(pl.DataFrame({"ra": [1.0], "dec": [1.0]}), max_rows=most)  # type: ignore[arg-type]


def test_a_frame_that_is_no_table_is_refused() -> None:
    with pytest.raises(TypeError, match="frame must be a polars, pandas, pyarrow or astropy table"):
        smp.tile([1, 2], max_rows=1)


def test_pixels_down_to_the_finest_order_are_found() -> None:
    index = np.array([0, 1, 5, (12 << 58) - 1], dtype=np.int64)
    orders, pixels, rows = adaptive_partitions(index, 1, argument="most")
    assert list(zip(orders.tolist(), pixels.tolist(), rows.tolist(), strict=True)) == [
        (29, 0, 1),
        (29, 1, 1),
        (28, 1, 1),
        (0, 11, 1),
    ]
