"""The margins of a collection, which are made with one reading of its catalog though a script asks for each."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from skymargin.build.arguments import MarginCacheArguments
from skymargin.build.multiple import can_share_run

_ATTRIBUTE = "_margin_group"


class MarginGroup:
    """Arguments of margins of one catalog. When one is asked for, all that can share its run are made.

    Parameters
    ----------
    margins
        The arguments; they keep a reference to the group.
    """

    def __init__(self, margins: Sequence[MarginCacheArguments]) -> None:
        self._waiting = list(margins)
        # Made with another one, and not asked for yet.
        self._made: list[MarginCacheArguments] = []
        for args in margins:
            vars(args)[_ATTRIBUTE] = self

    @classmethod
    def of(cls, args: MarginCacheArguments) -> MarginGroup | None:
        """The group that arguments are a member of; a copy of a member is none."""
        group = getattr(args, _ATTRIBUTE, None)
        return group if isinstance(group, cls) and _has(group._waiting + group._made, args) else None

    def make(self, args: MarginCacheArguments, make: Callable[[list[MarginCacheArguments]], object]) -> None:
        """Make a member, and others with it, unless it was made with another one.

        Parameters
        ----------
        args
            The member.
        make
            Makes margins in one run.
        """
        if _has(self._made, args):
            self._made = _without(self._made, [args])
            return
        together = [args]
        for other in self._waiting:
            if other is not args and can_share_run([*together, other]):
                together.append(other)
        make(together)
        self._waiting = _without(self._waiting, together)
        self._made += together[1:]


# Arguments with the same values are equal, but each is a margin of its own.
def _has(margins: Sequence[MarginCacheArguments], args: MarginCacheArguments) -> bool:
    return any(member is args for member in margins)


def _without(
    margins: Sequence[MarginCacheArguments], others: Sequence[MarginCacheArguments]
) -> list[MarginCacheArguments]:
    return [member for member in margins if not _has(others, member)]
