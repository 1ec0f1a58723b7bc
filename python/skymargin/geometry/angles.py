"""Angles as numbers, or as quantities of astropy, which is not imported for it."""

from __future__ import annotations

import math
from numbers import Real
from typing import Any

from skymargin.errors import ArgumentError
from skymargin.geometry.limits import LARGEST_THRESHOLD_ARCSEC

# One arcsecond.
ARCSEC_RAD = math.pi / 648_000


def in_arcsec(name: str, value: Any) -> Any:
    """An angle in arcseconds: a quantity is converted, anything else is returned as it is.

    Raises
    ------
    ArgumentError
        When a quantity is not an angle. `name` is that of the argument.
    """
    return _converted(name, value, "arcsec")


def in_degrees(name: str, value: Any) -> Any:
    """An angle in degrees, as `in_arcsec`."""
    return _converted(name, value, "deg")


def column_in_degrees(name: str, column: Any) -> Any:
    """A column of angles in degrees: one of astropy with another unit is converted, any other returned as it is.

    Raises
    ------
    ArgumentError
        When it has a unit that is not one of angles.
    """
    unit = getattr(column, "unit", None)
    if unit is None or str(unit) == "deg" or not (is_quantity(column) or hasattr(column, "quantity")):
        return column
    import numpy as np

    angles = np.asarray(in_degrees(name, column if is_quantity(column) else column.quantity))
    mask = getattr(column, "mask", None)
    return angles if mask is None else np.ma.masked_array(angles, mask)


def allowed_arcsec(name: str, value: object) -> float:
    """A threshold or a radius in arcseconds: a number, or a quantity.

    Raises
    ------
    ArgumentError
        When it is not a number above 0 and up to 90 degrees. `name` is that of the argument.
    """
    arcsec = as_float(in_arcsec(name, value))
    # Negated so that NaN fails.
    if not 0 < arcsec <= LARGEST_THRESHOLD_ARCSEC:
        given = f"{value}" if is_quantity(value) else f"{value!r}"
        raise ArgumentError(
            f"{name} {given} is not allowed: it must be a number{', not text,' * isinstance(value, str)} of "
            f"arcseconds, above 0 and at most {LARGEST_THRESHOLD_ARCSEC:.0f} (90 degrees)"
        )
    return arcsec


def arcsec_of(name: str, value: Any) -> float:
    """As `allowed_arcsec`, for functions on arrays: anything that Python takes for a number is one.

    Raises
    ------
    TypeError
        When it is not a number; text is none.
    ArgumentError
        When it is not above 0 and up to 90 degrees.
    """
    number = in_arcsec(name, value)
    try:
        # Text has no such method, but `float` reads it.
        arcsec = float(number.__float__())
    except (AttributeError, TypeError, ValueError):
        raise TypeError(
            f"{name} {value!r} is not allowed: it must be a number of arcseconds, or an angle of astropy"
        ) from None
    except OverflowError:
        arcsec = math.inf
    return allowed_arcsec(name, arcsec)


def as_float(value: object) -> float:
    """A number as a float, infinite if it is too large for one; NaN for anything else."""
    try:
        return float(value) if isinstance(value, Real) and not isinstance(value, bool) else math.nan
    except OverflowError:
        return math.inf


def is_quantity(value: object) -> bool:
    """Whether a value has a unit of its own."""
    return hasattr(value, "to_value") and hasattr(value, "unit")


def _converted(name: str, value: Any, unit: str) -> Any:
    if not is_quantity(value):
        return value
    try:
        number = value.to_value(unit)
    # astropy has an error of its own, which is one of these.
    except (TypeError, ValueError) as error:
        raise ArgumentError(
            f"{name} {value} is not allowed: it must be an angle, with a unit such as arcsec"
        ) from error
    return number.item() if getattr(number, "shape", None) == () else number
