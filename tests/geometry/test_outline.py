"""Edges of pixels in numpy, against the cdshealpix library and against the core."""

from __future__ import annotations

import cdshealpix.nested
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import skymargin._core as _core
from skymargin.geometry.outline import bounding_circle, centre, outline, unit_vectors
from skymargin.plot.projection import Plane


def pixels() -> st.SearchStrategy[tuple[int, int]]:
    """Any pixel of any order; the corners of base cells, where the poles are, come up often."""

    def of_order(order: int) -> st.SearchStrategy[tuple[int, int]]:
        cell = 4**order
        corners = [
            base * cell + corner for base in range(12) for corner in (0, cell // 3, 2 * (cell // 3), cell - 1)
        ]
        return st.tuples(st.just(order), st.integers(0, 12 * cell - 1) | st.sampled_from(corners))

    return st.integers(0, 29).flatmap(of_order)


def apart_rad(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    return 2 * np.arcsin(np.clip(np.linalg.norm(left - right, axis=-1) / 2, 0, 1))


@given(pixels())
def test_corners_are_those_of_cdshealpix(pixel: tuple[int, int]) -> None:
    ra_deg, dec_deg = outline(*pixel, points_per_edge=2)
    corners = unit_vectors(ra_deg, dec_deg)[[0, 2, 4, 6]]
    lon, lat = cdshealpix.nested.vertices(np.array([pixel[1]], dtype=np.uint64), pixel[0])
    theirs = unit_vectors(lon.deg[0], lat.deg[0])
    nearest = apart_rad(corners[:, None], theirs[None]).min(axis=1)
    assert nearest.max() < 1e-14


@given(pixels(), st.integers(1, 40))
def test_the_outline_lies_on_the_edge_that_the_core_knows(pixel: tuple[int, int], points: int) -> None:
    ra_deg, dec_deg = outline(*pixel, points_per_edge=points)
    assert ra_deg.shape == (4 * points + 1,)
    assert (ra_deg[0], dec_deg[0]) == (ra_deg[-1], dec_deg[-1])
    # 1e-12 degrees, in arcseconds: the accuracy that the module states.
    assert np.max(_core.separation_arcsec(ra_deg, dec_deg, *pixel).to_numpy()) < 3.6e-9


@given(pixels())
def test_the_bounding_circle_holds_the_pixel_and_is_not_much_larger(pixel: tuple[int, int]) -> None:
    circle = bounding_circle(*pixel, points_per_edge=8)
    farthest = apart_rad(unit_vectors(*outline(*pixel, points_per_edge=1000)), circle.centre).max()
    assert farthest <= circle.radius_rad <= 1.2 * farthest
    ra_deg, dec_deg = centre(*pixel)
    assert int(_core.spatial_index([ra_deg], [dec_deg], pixel[0])[0].as_py()) == pixel[1]


@pytest.mark.parametrize(("order", "pixel"), [(-1, 0), (30, 0), (0, 12), (3, -1), (3, 768)])
def test_refuses_pixels_that_do_not_exist(order: int, pixel: int) -> None:
    with pytest.raises(ValueError, match="does not exist"):
        outline(order, pixel)


@given(
    st.tuples(st.floats(0, 360), st.sampled_from([-90.0, 90.0, 0.0]) | st.floats(-90, 90)),
    st.floats(0, 360),
    st.floats(1e-6, 170),
)
def test_projection_keeps_distance_and_direction_everywhere(
    middle_deg: tuple[float, float], direction_deg: float, distance_deg: float
) -> None:
    middle = unit_vectors(*(np.array([angle]) for angle in middle_deg))[0]
    plane = Plane(middle)
    east_rad = np.array([np.radians(distance_deg) * np.sin(np.radians(direction_deg))])
    north_rad = np.array([np.radians(distance_deg) * np.cos(np.radians(direction_deg))])
    ra_deg, dec_deg = plane.unproject(east_rad, north_rad)
    point = unit_vectors(ra_deg, dec_deg)[0]
    assert apart_rad(point, middle) == pytest.approx(np.radians(distance_deg), rel=1e-9, abs=1e-13)
    back_east_rad, back_north_rad = plane.project(ra_deg, dec_deg)
    np.testing.assert_allclose([back_east_rad, back_north_rad], [east_rad, north_rad], rtol=1e-9, atol=1e-13)


def test_north_is_up_and_east_is_positive() -> None:
    plane = Plane(unit_vectors(np.array([350.0]), np.array([60.0]))[0])
    east_rad, north_rad = plane.project(np.array([350.0, 10.0]), np.array([61.0, 60.0]))
    np.testing.assert_allclose([east_rad[0], north_rad[0]], [0, np.radians(1)], atol=1e-13)
    assert east_rad[1] > 0.1
