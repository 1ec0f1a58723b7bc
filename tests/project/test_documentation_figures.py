"""The figures on the edges of pixels: what they show is what an independent formula gives."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure

from tests.support import brute_force
from tools.draw_figures import (
    BELT_BOUND,
    cap_bound,
    chord_error,
    deviation_arcsec,
    draw_bound,
    draw_deviation,
    families,
)


@pytest.mark.parametrize("order", range(6))
def test_the_deviation_is_the_angle_from_the_plane_of_the_corners(order: int) -> None:
    compared = 0
    for pixels in families(order).values():
        for pixel in pixels:
            for edge in range(4):
                t = np.linspace(0, 1, 501)
                points = brute_force.edge_points(*pixel, np.full(len(t), edge), t)
                normal = np.cross(points[0], points[-1])
                sines = points @ normal / np.linalg.norm(normal)
                worst_arcsec = np.degrees(np.arcsin(np.abs(sines).max())) * 3600
                # The edges of the two may be numbered differently: one of the four is the same.
                ours = [deviation_arcsec(*pixel, other) for other in range(4)]
                assert (
                    min(abs(ours_arcsec - worst_arcsec) for ours_arcsec in ours) < 1e-5 * worst_arcsec + 1e-6
                )
                compared += worst_arcsec > 1e-3
    assert compared >= 4


def test_meridians_are_great_circles_and_edges_at_the_pole_stay_bent() -> None:
    for order in (1, 5, 20):
        (pixel,) = families(order)["at the pole"]
        deviations = [deviation_arcsec(*pixel, edge) for edge in range(4)]
        assert max(deviations[1:3]) < 1e-8
        assert min(deviations[0], deviations[3]) * 2**order > 7_000


@pytest.mark.parametrize(
    ("pixel", "edge", "bound"),
    [
        *(((0, base), edge, BELT_BOUND) for base in (4, 5, 6, 7) for edge in range(4)),
        ((1, 3), 0, cap_bound(0.5, 0.5, 1.0)),
        ((1, 3), 3, cap_bound(0.5, 0.5, 1.0)),
        ((6, 4**6 - 1), 0, cap_bound(2.0**-6, 2.0**-6, 2.0**-5)),
    ],
)
@pytest.mark.parametrize("stretches", [1, 2, 16, 128])
def test_an_edge_is_no_farther_from_its_chords_than_the_bound(
    pixel: tuple[int, int], edge: int, bound: float, stretches: int
) -> None:
    length = 1.0 / (1 << pixel[0]) / stretches
    measured = chord_error(*pixel, edge, stretches)
    assert measured <= bound * length**2 / 8 * (1 + 1e-9)
    # And the bound is worth something.
    assert measured > bound * length**2 / 8 / 5


def test_axes_say_their_units_and_lines_are_what_is_measured() -> None:
    figure = Figure()
    draw_deviation(figure)
    for axes in figure.axes:
        assert "(" in axes.get_ylabel()
        assert axes.get_legend() is not None
    assert [axes.get_ylabel() for axes in figure.axes][1] == "greatest deviation of an edge (arcsec)"
    lines = {line.get_label(): line for line in figure.axes[1].get_lines()}
    for name, pixels in families(7).items():
        greatest = max(deviation_arcsec(*pixel, edge) for pixel in pixels for edge in range(4))
        assert lines[name].get_ydata()[7] == greatest  # type: ignore[index]
    figure = Figure()
    draw_bound(figure)
    assert figure.axes[0].get_ylabel() == "greatest distance from the chord (arcsec)"
    measured, bound = figure.axes[0].get_lines()[:2]
    assert (np.asarray(measured.get_ydata()) <= np.asarray(bound.get_ydata())).all()
    curve, limit = figure.axes[1].get_lines()
    assert np.max(curve.get_ydata()) <= limit.get_ydata()[0] < 1.001 * np.max(curve.get_ydata())  # type: ignore[index]
