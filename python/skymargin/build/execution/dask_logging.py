"""Dask's own log messages, kept from the user while workers of our own run."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_LEVEL = logging.CRITICAL
_lock = threading.Lock()
# How many blocks are quiet now, and the levels that the loggers had before the first of them.
_blocks = 0
_before: dict[logging.Logger, int] = {}


def quiet() -> None:
    """Let Dask's loggers in this process log what is critical, and no more."""
    for logger in _loggers():
        _before.setdefault(logger, logger.level)
        logger.setLevel(_LEVEL)


@contextmanager
def quiet_dask() -> Iterator[None]:
    """Within the block, Dask's loggers in this process log what is critical, and no more.

    Dask's `silence_logs` changes handlers instead, which are the user's where those of the user are on its loggers, and
    does nothing where Dask's messages go to the handlers of the root logger. Here no handler is touched, and after the
    last of several blocks the loggers have the levels they had before the first.
    """
    global _blocks
    with _lock:
        _blocks += 1
        quiet()
    try:
        yield
    finally:
        with _lock:
            _blocks -= 1
            if not _blocks:
                for logger, level in _before.items():
                    # A level that was set meanwhile is what somebody wants.
                    if logger.level == _LEVEL:
                        logger.setLevel(level)
                _before.clear()


def _loggers() -> list[logging.Logger]:
    """Dask's loggers that have a level of their own, and the one above them all, whose level the others take."""
    # Dask sets the levels of its loggers when it is imported.
    import distributed  # noqa: F401

    top = logging.getLogger("distributed")
    named = list(logging.root.manager.loggerDict.items())
    below = (logger for name, logger in named if name.startswith("distributed."))
    return [top, *(logger for logger in below if isinstance(logger, logging.Logger) and logger.level)]
