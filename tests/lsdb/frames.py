"""Margins of LSDB as frames by pixel, to be compared; and LSDB without the warnings that are not ours."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, TypeVar

import pandas as pd

Pixel = tuple[int, int]
ResultT = TypeVar("ResultT")


def quietly(call: Callable[[], ResultT]) -> ResultT:
    """The result of a call of LSDB, whose warnings about itself are no errors of ours."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return call()


def compute(catalog: Any) -> Any:
    """All rows of a catalog."""
    return quietly(lambda: catalog.compute(progress_bar=False))


def by_pixel(margin: Any, pixels: list[Any] | None = None) -> dict[Pixel, pd.DataFrame]:
    """The rows of each pixel of a catalog or margin that has rows."""
    from dask import threaded

    built = margin._operation.build() if pixels is None else margin._operation.build(pixels=pixels)
    frames = quietly(lambda: threaded.get(built.graph, built.keys))
    return {
        (int(pixel.order), int(pixel.pixel)): frame
        for pixel, frame in zip(built.pixel_to_key_map, frames, strict=True)
        if len(frame)
    }


def assert_same_margin(ours: Any, stored: Any) -> int:
    """Check that two margins have the same rows in the same order and of the same types; return how many."""
    found, expected = by_pixel(ours), by_pixel(stored)
    assert set(found) == set(expected)
    for pixel, frame in expected.items():
        assert type(found[pixel]) is type(frame)
        pd.testing.assert_frame_equal(found[pixel], frame, check_exact=True)
    return sum(map(len, expected.values()))
