"""The public functions on positions and pixels: what they take, what they give back, what they refuse."""

from __future__ import annotations

import doctest
import pickle
from collections.abc import Callable
from typing import Any

import astropy.units as u
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from astropy.coordinates import Angle
from astropy.table import Column, MaskedColumn

import skymargin
import skymargin._core as _core
from skymargin import is_within, margin_rows, neighbours, separation_arcsec, spatial_index
from skymargin.geometry import arrays
from tests.support.threads import assert_other_threads_run

RA_DEG = [11.25802281, 11.26730961, 200.0]
DEC_DEG = [78.28414956, 78.28523861, -30.0]
SEPARATIONS_ARCSEC = [3.479867, 10.660186]

CONTAINERS: dict[str, Callable[[list[float]], Any]] = {
    "list": list,
    "numpy": np.array,
    "numpy, not contiguous": lambda values: np.repeat(np.array(values), 2)[::2],
    "numpy, read only": lambda values: np.frombuffer(np.array(values).tobytes()),
    "pyarrow": pa.array,
    "pyarrow, chunked": lambda values: pa.chunked_array([values[:1], values[1:]]),
    "pyarrow, sliced": lambda values: pa.array([0.0, *values, 0.0]).slice(1, len(values)),
    "polars": pl.Series,
    "polars, chunked": lambda values: pl.concat(
        [pl.Series(values[:2]), pl.Series(values[2:])], rechunk=False
    ),
    "pandas": pd.Series,
}


@pytest.mark.parametrize("container", CONTAINERS.values(), ids=CONTAINERS)
def test_every_container_of_numbers_is_taken(container: Callable[[list[float]], Any]) -> None:
    ra_deg, dec_deg = container(RA_DEG), container(DEC_DEG)
    separation = separation_arcsec(ra_deg, dec_deg, 5, 1000)
    assert isinstance(separation, pa.DoubleArray)
    assert separation.to_pylist()[:2] == pytest.approx(SEPARATIONS_ARCSEC, abs=1e-6)
    assert is_within(ra_deg, dec_deg, 5, 1000, 10.0).to_pylist() == [True, False, False]
    index = spatial_index(ra_deg, dec_deg)
    assert index.type == pa.int64()
    assert index[0].as_py() == 281944101599211816
    cells = sorted(set(spatial_index(ra_deg, dec_deg, 0).to_pylist()))
    rows = margin_rows(ra_deg, dec_deg, [0] * len(cells), cells, 100_000.0)
    assert set(rows.column("row").to_pylist()) == {0, 1, 2}


@pytest.mark.parametrize("kind", [np.float32, np.int64, np.uint8])
def test_narrower_numbers_are_widened(kind: type) -> None:
    ra_deg, dec_deg = np.array([10, 20], kind), np.array([5, 6], kind)
    wide = separation_arcsec(ra_deg.astype(np.float64), dec_deg.astype(np.float64), 3, 7)
    assert separation_arcsec(ra_deg, dec_deg, 3, 7).equals(wide)


@pytest.mark.parametrize("kind", [">f8", ">f4", "<f8", "<f4"])
def test_numbers_in_the_other_order_of_bytes_are_the_same_numbers(kind: str) -> None:
    """Columns of FITS files are big-endian. Half degrees, read as native bytes, are positions near (0, 0)."""
    found = spatial_index(np.array([10.5, 20.25], kind), np.array([1.0, 2.0], kind))
    assert found.to_pylist() == [1274673444360410494, 1279735101102865272]
    strided = np.array([44.999, 9.0, 0.0, 9.0], kind.replace("4", "8"))[::2]
    orders, pixels = np.array([0], ">i4"), np.array([4], ">i8")
    members = margin_rows(strided, np.zeros(2, ">f8"), orders, pixels, 60)
    assert len(members) == len(margin_rows([44.999, 0.0], [0.0, 0.0], [0], [4], 60)) > 0


def test_masked_values_are_nulls() -> None:
    ra_deg = np.ma.masked_array([10.5, 20.25], [True, False])
    assert spatial_index(ra_deg, [1.0, 2.0]).to_pylist() == [None, 1279735101102865272]


def test_float64_columns_are_read_where_they_are() -> None:
    ra_deg = np.full(4_000_000, 10.0)
    before = pa.total_allocated_bytes()
    column = pa.array(ra_deg)
    assert pa.total_allocated_bytes() == before, "pyarrow takes numpy's memory as it is"
    assert column.buffers()[1].address == ra_deg.ctypes.data
    held = is_within(column, column, 3, 7, 1.0)
    # Only the answer is new: a bit for each row.
    assert held.nbytes < ra_deg.nbytes / 60


def test_nulls_stay_nulls() -> None:
    ra_deg, dec_deg = pa.array([11.0, None, 11.0]), pa.array([78.0, 78.0, None])
    for column in (
        separation_arcsec(ra_deg, dec_deg, 5, 1000),
        is_within(ra_deg, dec_deg, 5, 1000, 1.0),
        spatial_index(ra_deg, dec_deg),
    ):
        assert [value is None for value in column.to_pylist()] == [False, True, True]
    with pytest.raises(skymargin.CoordinateError, match="ra_deg has 1 nulls"):
        margin_rows(ra_deg, dec_deg, [0], [0], 1.0)


@pytest.mark.parametrize(
    "angles",
    [
        lambda degrees: np.radians(degrees) * u.rad,
        lambda degrees: degrees * u.deg,
        lambda degrees: Angle(degrees / 15, "hourangle"),
        lambda degrees: Column(degrees * 60, unit="arcmin"),
        lambda degrees: Column(degrees, unit="deg"),
        lambda degrees: Column(degrees),
    ],
)
def test_angles_of_astropy_have_their_unit(angles: Callable[[np.ndarray], Any]) -> None:
    ra_deg, dec_deg = np.array([11.25802281, 45.5]), np.array([78.28414956, 10.5])
    ra, dec = angles(ra_deg), angles(dec_deg)
    expected = separation_arcsec(ra_deg, dec_deg, 5, 1000).to_numpy()
    np.testing.assert_allclose(separation_arcsec(ra, dec, 5, 1000).to_numpy(), expected, rtol=1e-9)
    assert is_within(ra, dec, 5, 1000, 10.0).to_pylist() == [True, False]
    assert spatial_index(ra, dec, 10) == spatial_index(ra_deg, dec_deg, 10)
    pixels = spatial_index(ra_deg, dec_deg, 3).to_numpy()
    assert (
        margin_rows(ra, dec, [3, 3], pixels, 5e4).num_rows
        == margin_rows(ra_deg, dec_deg, [3, 3], pixels, 5e4).num_rows
    )


def test_masked_angles_of_astropy_are_null() -> None:
    ra = MaskedColumn(np.radians([11.25802281, 1.0]), mask=[False, True], unit="rad")
    found = separation_arcsec(ra, [78.28414956, 1.0], 5, 1000).to_pylist()
    assert found == [pytest.approx(3.479867, abs=1e-5), None]
    with pytest.raises(ValueError, match=r"dec_deg \[1\.\] kg is not allowed: it must be an angle"):
        spatial_index([1.0], [1.0] * u.kg)


def test_no_rows_are_no_rows() -> None:
    assert len(separation_arcsec([], [], 0, 0)) == 0
    assert margin_rows([], [], [0], [0], 1.0).num_rows == 0


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (
            lambda: separation_arcsec([0.0, np.nan], [0.0, 0.0], 3, 4),
            skymargin.CoordinateError,
            "row 1: ra NaN",
        ),
        (lambda: separation_arcsec([0.0], [90.5], 3, 4), skymargin.CoordinateError, "dec 90.5"),
        (lambda: separation_arcsec([0.0], [0.0, 1.0], 3, 4), ValueError, "ra_deg has 1 rows and dec_deg 2"),
        (lambda: separation_arcsec(["a"], [0.0], 3, 4), TypeError, "ra_deg must be a column of Float64"),
        (
            lambda: separation_arcsec(7.0, [0.0], 3, 4),
            TypeError,
            "^ra_deg must be a one-dimensional column of numbers, not float$",
        ),
        (
            lambda: separation_arcsec(np.ones((2, 3)), [0.0], 3, 4),
            TypeError,
            r"^ra_deg must be a one-dimensional column of numbers, not ndarray of shape \(2, 3\)$",
        ),
        (
            lambda: separation_arcsec([0.0], np.ones(1, complex), 3, 4),
            TypeError,
            "^dec_deg must be a one-dimensional column of numbers, not ndarray of complex128$",
        ),
        (
            lambda: spatial_index(pd.DataFrame({"a": [1.0]}), [0.0]),
            TypeError,
            r"^ra_deg must .* not DataFrame of shape \(1, 1\)$",
        ),
        (lambda: spatial_index([0.0], None), TypeError, "^dec_deg must .* column of numbers, not NoneType$"),
        (lambda: spatial_index([1j], [0.0]), TypeError, "^ra_deg must .*, not list: Could not convert 1j"),
        (lambda: margin_rows([0.0], [0.0], 3, [0], 1.0), TypeError, "^orders must .*, not int$"),
        (lambda: spatial_index([0.0], [0.0], 3.0), TypeError, "^order 3.0 is not allowed: .* whole number$"),
        (lambda: is_within([0.0], [0.0], "3", 4, 1.0), TypeError, "^order '3' is not allowed"),
        (lambda: neighbours(1, 4, 2.0, 1.0), TypeError, "^at_order 2.0 is not allowed"),
        (
            lambda: separation_arcsec([0.0], [0.0], 1, 2**70),
            ValueError,
            "^pixel 1180591620717411303424 does not exist at order 1: its pixels are 0 to 47$",
        ),
        (lambda: neighbours(1, 4, 3, -1), ValueError, "^radius_arcsec -1.0 is not allowed"),
        (lambda: neighbours(1, 4, 3, 10**400), ValueError, "^radius_arcsec inf is not allowed"),
        (lambda: separation_arcsec([0.0], [0.0], 30, 4), ValueError, "order 30 is not allowed"),
        (lambda: separation_arcsec([0.0], [0.0], -1, 4), ValueError, "order -1 is not allowed"),
        (lambda: separation_arcsec([0.0], [0.0], 1, 48), ValueError, "pixel 48 does not exist at order 1"),
        (lambda: separation_arcsec([0.0], [0.0], 1, -1), ValueError, "pixel -1 does not exist at order 1"),
        (
            lambda: is_within([0.0], [0.0], 1, 4, 0.0),
            ValueError,
            "^threshold_arcsec 0.0 is not allowed: .* above 0 and",
        ),
        (lambda: is_within([0.0], [0.0], 1, 4, np.nan), ValueError, "threshold_arcsec nan is not"),
        (lambda: is_within([0.0], [0.0], 1, 4, 324_001.0), ValueError, "at most 324000"),
        (lambda: is_within([0.0], [0.0], 1, 4, "5"), TypeError, "threshold_arcsec '5' is not allowed"),
        (lambda: neighbours(1, 4, 3, None), TypeError, "radius_arcsec None is not allowed"),
        (lambda: neighbours(1, 4, 30, 1.0), ValueError, "at_order 30 is not allowed"),
        (lambda: spatial_index([0.0], [0.0], 31), ValueError, "order 31 is not allowed"),
        (lambda: margin_rows([0.0], [0.0], [1, 1], [3, 3], 1.0), ValueError, "listed twice"),
        (lambda: margin_rows([0.0], [0.0], [0, 1], [0, 3], 1.0), ValueError, "overlap"),
        (lambda: margin_rows([0.0], [0.0], [0], [0], 1.0), ValueError, "1 of 1 rows lie in none"),
        (lambda: _core.Tiling([1, 2], [0]), ValueError, "2 orders and 1 pixels"),
        (lambda: _core.Tiling([-1], [0]), TypeError, "orders"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(
    call: Callable[[], object], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        call()


def test_margin_rows_are_the_rows_within_of_every_other_pixel() -> None:
    generator = np.random.default_rng(434)
    ra_deg = generator.uniform(0, 360, 400)
    dec_deg = np.degrees(np.arcsin(generator.uniform(-1, 1, 400)))
    own = np.asarray(spatial_index(ra_deg, dec_deg, 1))
    partitions = sorted(set(own.tolist()))[::2]
    kept = np.isin(own, partitions)
    ra_deg, dec_deg, own = ra_deg[kept], dec_deg[kept], own[kept]
    threshold_arcsec = 20_000.0
    tiling = _core.Tiling([1] * len(partitions), partitions)
    expected = {
        (row, order, pixel)
        for tiles in (tiling.partitions(), tiling.empty_pixels())
        for order, pixel in zip(tiles["order"].to_pylist(), tiles["pixel"].to_pylist(), strict=True)
        for row in np.flatnonzero(np.asarray(is_within(ra_deg, dec_deg, order, pixel, threshold_arcsec)))
        if (order, pixel) != (1, own[row])
    }
    table = margin_rows(ra_deg, dec_deg, [1] * len(partitions), partitions, threshold_arcsec)
    lines = [tuple(line.values()) for line in table.select(table.schema.names[:3]).to_pylist()]
    assert set(lines) == expected
    assert lines == sorted(lines)
    assert len(expected) > 100


def test_a_tiling_survives_pickling() -> None:
    tiling = _core.Tiling([1, 3], [0, 700])
    again = pickle.loads(pickle.dumps(tiling))
    assert again.partitions().equals(tiling.partitions())
    assert again.near(1, 0, 10.0).equals(tiling.near(1, 0, 10.0))


def test_tiles_near_each_of_many_pixels() -> None:
    tiling = _core.Tiling([1, 3, 3, 0], [0, 700, 64, 5])
    tiles = (tiling.partitions(), tiling.empty_pixels())
    orders, pixels = (
        np.concatenate([tile[name].to_numpy() for tile in tiles]) for name in ("order", "pixel")
    )
    # What lies beside a pixel by less than the slack is near, too; these pixels touch or are far from each other.
    found = tiling.near_each(orders, pixels, 10.0)
    expected = [
        (place, *near.values())
        for place, (order, pixel) in enumerate(zip(orders.tolist(), pixels.tolist(), strict=True))
        for near in tiling.near(order, pixel, 10.0).to_pylist()
    ]
    assert [tuple(line.values()) for line in found.to_pylist()] == expected
    assert len(tiling.near_each([], [], 10.0)) == 0
    with pytest.raises(ValueError, match="2 orders and 1 pixels: they must agree"):
        tiling.near_each([1, 1], [0], 10.0)


def test_other_threads_run_while_the_core_works() -> None:
    ra_deg = np.random.default_rng(1).uniform(0, 360, 3_000_000)
    dec_deg = np.zeros_like(ra_deg)
    assert_other_threads_run(lambda: separation_arcsec(ra_deg, dec_deg, 3, 7))


def test_examples_in_docstrings_run() -> None:
    options = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    failed, tried = doctest.testmod(arrays, optionflags=options)
    assert tried >= 6
    assert failed == 0
