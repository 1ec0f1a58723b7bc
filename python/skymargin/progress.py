"""The stages of a run: a progress bar and a clock for each."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

Advance = Callable[[int], None]


class Stages:
    """Clock, and if wanted a progress bar, for each stage of a run.

    Parameters
    ----------
    progress_bar
        Whether to draw bars: in a notebook as widgets, elsewhere as text on standard error.
    simple
        Whether to draw them as text also in a notebook.
    options
        Further keyword arguments of `tqdm`.

    Attributes
    ----------
    seconds : dict
        Stage name in lower case to the seconds it took, in the order of the run.
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
        """Run one stage of `total` steps; yields the function that reports steps done."""
        started = time.perf_counter()
        try:
            if not self.progress_bar:
                yield _ignore
                return
            with self._bar(total=total, desc=f"{name:<9}", **self.options) as bar:
                yield lambda steps: _advance(bar, steps)
        finally:
            self.seconds[name.lower()] = time.perf_counter() - started

    def _bar(self, **options: Any) -> Any:
        # Costs 30 ms, which a run without bars need not pay. Looked up anew each time, as notebooks may change it.
        if self.simple:
            from tqdm import std as kind
        else:
            from tqdm import auto as kind  # type: ignore[no-redef]
        return kind.tqdm(**options)


def _ignore(_steps: int) -> None:
    pass


def _advance(bar: object, steps: int) -> None:
    bar.update(steps)  # type: ignore[attr-defined]
