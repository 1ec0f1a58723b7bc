"""Angles as numbers, or as quantities of astropy, which is not imported for it."""

from __future__ import annotations

from typing import Any

from skymargin.errors import ArgumentError


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
