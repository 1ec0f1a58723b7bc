"""Arguments given by position, under their names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from skymargin.errors import ArgumentError


def by_name(
    owner: str, positions: Sequence[str], values: Sequence[Any], named: Mapping[str, Any]
) -> dict[str, Any]:
    """Arguments by name, from values by position and by name.

    Raises
    ------
    ArgumentError
        When there are more values than positions, or an argument is given twice.
    """
    if len(values) > len(positions):
        raise ArgumentError(
            f"{owner} takes at most {len(positions)} arguments by position: {', '.join(positions)}; "
            f"{len(values)} were given. Pass the others by name"
        )
    given = dict(zip(positions, values, strict=False))
    for name in given:
        if name in named:
            raise ArgumentError(f"{name} was given by position and by name")
    return given | dict(named)
