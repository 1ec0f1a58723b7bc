"""Progress bars and timings of the stages of a run."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

Advance = Callable[[int], None]


class Stages:
    """Timings and optional progress bars of the stages of a run.

    Parameters
    ----------
    progress_bar
        Whether to show progress bars: widgets in a notebook that has ipywidgets, otherwise text on standard error.
    simple
        Whether to show text in a notebook too.
    options
        Further keyword arguments of `tqdm`.

    Attributes
    ----------
    seconds : dict
        Stage name in lower case to its duration in seconds, in the order of the run.
    """

    def __init__(
        self, progress_bar: bool, simple: bool = False, options: Mapping[str, Any] | None = None
    ) -> None:
        self.progress_bar = progress_bar
        self.simple = simple
        self.options = dict(options or {})
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str, total: int) -> Iterator[Advance]:
        """Run one stage of `total` steps; yields the function that reports the number of steps done."""
        started = time.perf_counter()
        try:
            if not self.progress_bar:
                yield lambda _steps: None
                return
            with self._bar(total=total, desc=f"{name:<9}", **self.options) as bar:
                yield lambda steps: _advance(bar, steps)
        finally:
            self.seconds[name.lower()] = time.perf_counter() - started

    def _bar(self, **options: Any) -> Any:
        # Imported here because it takes 30 ms; looked up each time because notebooks may replace it. tqdm.auto takes as
        # long again, for asyncio, and warns of a notebook without ipywidgets.
        if not self.simple and in_notebook() and find_spec("ipywidgets") is not None:
            from tqdm import auto as kind
        else:
            from tqdm import std as kind  # type: ignore[no-redef]
        return kind.tqdm(**options)


def in_notebook() -> bool:
    """Whether this process runs the cells of a notebook, as tqdm asks it."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return "IPKernelApp" in getattr(shell, "config", ())


def _advance(bar: object, steps: int) -> None:
    bar.update(steps)  # type: ignore[attr-defined]
