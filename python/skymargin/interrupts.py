"""Ctrl-C in a function of this package: one KeyboardInterrupt that names the caller's line."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")


def with_short_interrupts(function: Callable[_Arguments, _Result]) -> Callable[_Arguments, _Result]:
    """Make a function end with a KeyboardInterrupt without the lines of this package and of libraries below it.

    They would hide the notes of the error, such as where the finished work is kept.
    """

    @functools.wraps(function)
    def call(*args: _Arguments.args, **kwargs: _Arguments.kwargs) -> _Result:
        try:
            return function(*args, **kwargs)
        except KeyboardInterrupt as error:
            raise error.with_traceback(None) from None

    return call
