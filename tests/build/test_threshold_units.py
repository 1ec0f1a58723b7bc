"""Thresholds with units of astropy, and thresholds that look as if they had another unit."""

from __future__ import annotations

import subprocess
import sys
import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest
from astropy import units as u
from astropy.coordinates import Angle

import skymargin.polars as smp
from skymargin import MarginCacheArguments, is_within, margin_rows, neighbours
from skymargin.errors import ArgumentError, ThresholdWarning


@pytest.mark.parametrize(
    ("angle", "arcsec"),
    [
        (10 * u.arcsec, 10.0),
        (np.float32(0.5) * u.arcmin, 30.0),
        (2 * u.deg, 7_200.0),
        (Angle("0d0m0.001s"), 0.001),
        (np.int64(3) * u.mas, 0.003),
    ],
)
def test_angles_of_astropy_are_thresholds(angle: Any, arcsec: float, given: dict[str, Any]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        args = MarginCacheArguments(**given, margin_threshold=angle)
        assert type(args.margin_threshold) is float
        assert args.margin_threshold == pytest.approx(arcsec, rel=1e-12)
        args.margin_threshold = 2 * angle
        assert args.margin_threshold == pytest.approx(2 * arcsec, rel=1e-12)


@pytest.mark.parametrize("value", [3 * u.kg, 5 * u.dimensionless_unscaled])
def test_other_quantities_are_refused(value: Any, given: dict[str, Any]) -> None:
    with pytest.raises(
        ArgumentError, match=r"margin_threshold .* must be an angle, with a unit such as arcsec"
    ):
        MarginCacheArguments(**given, margin_threshold=value)


@pytest.mark.parametrize("value", [[1, 2] * u.arcsec, -1 * u.arcsec, 100 * u.deg])
def test_angles_that_are_no_threshold_are_refused(value: Any, given: dict[str, Any]) -> None:
    with pytest.raises(ArgumentError, match="above 0 and at most 324000"):
        MarginCacheArguments(**given, margin_threshold=value)


def test_a_cone_may_be_of_angles(given: dict[str, Any]) -> None:
    args = MarginCacheArguments(**given, cone=(3 * u.hourangle, -10 * u.deg, 30 * u.arcmin))
    assert args.cone == pytest.approx((45, -10, 0.5))
    with pytest.raises(ArgumentError, match=r"cone 3\.0 kg is not allowed: it must be an angle"):
        args.cone = (45, 0, 3 * u.kg)


def test_functions_take_angles_too() -> None:
    ra_deg, dec_deg = [44.999, 0.0], [0.0, 0.0]
    radius = 1 * u.arcmin
    assert neighbours(5, 1000, 5, radius).equals(neighbours(5, 1000, 5, 60.0))
    assert is_within(ra_deg, dec_deg, 0, 5, radius).equals(is_within(ra_deg, dec_deg, 0, 5, 60.0))
    assert margin_rows(ra_deg, dec_deg, [0], [4], radius).equals(margin_rows(ra_deg, dec_deg, [0], [4], 60.0))
    stars = pl.DataFrame({"ra": ra_deg, "dec": dec_deg})
    margin = smp.margins(stars, [(0, 4)], 60.0)
    assert margin.height > 0
    assert smp.margins(stars, [(0, 4)], radius).equals(margin)
    parts = [part.margin.height for part in smp.partition_and_margin(stars, [(0, 4)], radius)]
    assert sum(parts) == margin.height
    assert stars.select(smp.within_margin(0, 5, radius)).to_series().to_list() == [True, False]


@pytest.mark.parametrize(
    ("threshold", "question"),
    [
        (0.001, "did you mean degrees? 0.001 degrees are 3.6 arcseconds"),
        (3600.5, "did you mean that many? 3600.5 arcseconds are 1.00014 degrees"),
    ],
)
def test_thresholds_of_another_unit_are_asked_about(
    threshold: float, question: str, given: dict[str, Any]
) -> None:
    with pytest.warns(ThresholdWarning) as caught:
        args = MarginCacheArguments(**given, margin_threshold=threshold)
    assert str(caught[0].message) == f"margin_threshold {threshold:g} is a number of arcseconds: {question}"
    assert [warning.filename for warning in caught] == [__file__]
    args.margin_threshold = 5
    with pytest.warns(ThresholdWarning) as caught:
        args.margin_threshold = threshold
    assert [warning.filename for warning in caught] == [__file__]


@pytest.mark.parametrize("threshold", [0.01, 1, 3600])
def test_usual_thresholds_are_not_asked_about(threshold: float, given: dict[str, Any]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        args = MarginCacheArguments(**given, margin_threshold=threshold)
        args.margin_threshold = threshold
        replace(args, margin_threshold=threshold)


def test_astropy_is_not_imported_for_it(given: dict[str, Any]) -> None:
    code = f"""
import sys
from skymargin import MarginCacheArguments
MarginCacheArguments(**{ ({name: str(value) for name, value in given.items()})!r}, margin_threshold=7)
print("astropy" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
