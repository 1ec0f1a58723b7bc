"""The check of storage options: options of a file system, as fsspec takes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from skymargin.errors import ArgumentError


def check_storage_options(name: str, value: Any) -> Any:
    """Options of a file system, kept as given; None means none.

    Raises
    ------
    ArgumentError
        When they are none. `name` is the argument.
    """
    if not isinstance(value, Mapping | None):
        # The value is not shown: it may be a password.
        raise ArgumentError(f"{name} must be a dict with text keys, not of type {type(value).__name__}")
    return value
