"""The stages of a run: a progress bar and a clock for each."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Advance = Callable[[int], None]


class Stages:
    """Clock, and if wanted a progress bar, for each stage of a run.

    Parameters
    ----------
    progress_bar
        Whether to draw bars (on standard error).

    Attributes
    ----------
    seconds : dict
        Stage name in lower case to the seconds it took, in the order of the run.
    """

    def __init__(self, progress_bar: bool) -> None:
        self.progress_bar = progress_bar
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str, total: int) -> Iterator[Advance]:
        """Run one stage of `total` steps; yields the function that reports steps done."""
        started = time.perf_counter()
        try:
            if not self.progress_bar:
                yield _ignore
                return
            # Costs 30 ms, which a run without bars need not pay.
            from tqdm.auto import tqdm

            with tqdm(total=total, desc=f"{name:<9}") as bar:
                yield lambda steps: _advance(bar, steps)
        finally:
            self.seconds[name.lower()] = time.perf_counter() - started


def _ignore(_steps: int) -> None:
    pass


def _advance(bar: object, steps: int) -> None:
    bar.update(steps)  # type: ignore[attr-defined]
