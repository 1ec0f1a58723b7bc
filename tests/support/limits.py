"""Other sizes of tasks and row groups than those of a usual run, so that small catalogs make many of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from skymargin.build import batch_limits
from skymargin.catalogs import metadata_file


def set_limits(**sizes: int) -> None:
    """Change some sizes for all further runs of this process."""
    batch_limits.DEFAULT_LIMITS = replace(batch_limits.DEFAULT_LIMITS, **sizes)


@contextmanager
def limits(**sizes: int) -> Iterator[None]:
    """Change some sizes for the runs inside."""
    before = batch_limits.DEFAULT_LIMITS
    set_limits(**sizes)
    try:
        yield
    finally:
        batch_limits.DEFAULT_LIMITS = before


@contextmanager
def metadata_limits(**sizes: int) -> Iterator[None]:
    """Change how large a `_metadata` may be for the runs inside."""
    before = metadata_file.DEFAULT_METADATA_LIMITS
    metadata_file.DEFAULT_METADATA_LIMITS = replace(before, **sizes)
    try:
        yield
    finally:
        metadata_file.DEFAULT_METADATA_LIMITS = before
