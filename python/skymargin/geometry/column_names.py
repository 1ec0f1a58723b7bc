"""Errors about positions in the names that the columns have for the caller."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import skymargin._core as _core

_COORDINATE = re.compile(r"\b(ra|dec)(_deg)?\b")


@contextmanager
def in_names_of(ra_column: str, dec_column: str) -> Iterator[None]:
    """Raise errors of the core about `ra` and `dec` with the names of these columns.

    Only calls of the core may be in the block: other messages may have these words, too.
    """
    try:
        yield
    except (ValueError, TypeError) as error:
        names = {"ra": ra_column, "dec": dec_column}
        text = _COORDINATE.sub(lambda match: names[match[1]], str(error))
        if type(error) not in (_core.CoordinateError, ValueError, TypeError) or text == str(error):
            raise
        raise type(error)(text) from None
