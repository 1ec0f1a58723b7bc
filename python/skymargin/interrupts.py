"""Ctrl-C: one KeyboardInterrupt that names the caller's line, held back where it would leave things half done."""

from __future__ import annotations

import functools
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
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


@contextmanager
def held_interrupt() -> Iterator[None]:
    """Let the first Ctrl-C within the block interrupt at its end; the second interrupts at once.

    A handler of the caller's own is left in place, and so is the one of a program that ignores Ctrl-C.
    """
    is_ours = threading.current_thread() is threading.main_thread()
    if not is_ours or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    came = False

    def hold(number: int, frame: FrameType | None) -> None:
        nonlocal came
        if came:
            signal.default_int_handler(number, frame)
        came = True

    signal.signal(signal.SIGINT, hold)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if came:
        raise KeyboardInterrupt
