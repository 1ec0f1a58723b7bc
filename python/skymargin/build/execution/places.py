"""What the workers of a run must see."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from skymargin.storage.paths import exists, is_local

if TYPE_CHECKING:
    from skymargin.storage.paths import AnyPath


@dataclass(frozen=True)
class Place:
    """A file or folder that every worker must see.

    Attributes
    ----------
    argument : str
        The argument that names it, or the folder it is in.
    path : Path or UPath
        Where it is. A name made for this run shows whether a folder is shared, or only has the same path.
    must_exist : bool
        False where the server only has to answer: an object store has no folder before a file is in it.
    """

    argument: str
    path: AnyPath
    must_exist: bool = True


class Unseen(NamedTuple):
    """Why this process does not see a place.

    Attributes
    ----------
    reason : str
        Why, as the end of a sentence about it.
    may_pass : bool
        Whether it could not look, so that another look may find the place.
    """

    reason: str
    may_pass: bool


def first_missing(places: Iterable[Place]) -> Unseen | None:
    """The first place that this process does not see; None when it sees all."""
    for place in places:
        try:
            if exists(place.path) or not place.must_exist:
                continue
        except Exception as error:
            reason = f"cannot reach {place.path} ({place.argument}): {type(error).__name__}: {error}"
            return Unseen(reason, may_pass=isinstance(error, OSError))
        what = "there is no such file or folder" if is_local(place.path) else "there is nothing there"
        return Unseen(f"does not see {place.path} ({place.argument}): {what}", may_pass=False)
    return None
