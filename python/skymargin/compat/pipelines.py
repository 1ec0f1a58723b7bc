"""The functions that run arguments: ours for margins, those of the other package for all else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from skymargin.build.arguments import MarginCacheArguments
from skymargin.compat.margin_group import MarginGroup

if TYPE_CHECKING:
    from distributed import Client

Function = Callable[..., Any]


def pipeline(theirs: Function | None) -> Function:
    """What `pipeline` means, by its meaning in the other package, or None where that is not installed."""

    def pipeline(args: Any) -> Any:
        """Make a margin with skymargin; hand any other arguments to the package that skymargin stands in for."""
        if theirs is not None and not _are_of_margins(args):
            return theirs(args)
        from skymargin.build.pipeline import pipeline as make

        return make(args)

    return pipeline


def pipeline_with_client(theirs: Function | None) -> Function:
    """What `pipeline_with_client` means; see `pipeline`."""

    def pipeline_with_client(args: Any, client: Client) -> Any:
        """Make a margin with skymargin; hand any other arguments to the package that skymargin stands in for."""
        if theirs is not None and not _are_of_margins(args):
            return theirs(args, client)
        from skymargin.build.pipeline import pipeline_with_client as make

        return make(args, client)

    return pipeline_with_client


def generate_margin_cache(args: MarginCacheArguments, client: Client) -> None:
    """Make a margin catalog with a client, without a mail; as the function of this name in those packages.

    The margins of a collection are made together, when the first of them is asked for.

    Raises
    ------
    SkymarginError
        When the margin cannot be made completely. Nothing of it is left behind.
    """
    from skymargin.build.pipeline import make_with_client

    group = MarginGroup.of(args)
    if group is None:
        make_with_client(args, client)
    else:
        group.make(args, lambda margins: make_with_client(margins, client))


def _are_of_margins(args: object) -> bool:
    """Whether arguments are those of a margin of ours, or of several."""
    if isinstance(args, Sequence) and not isinstance(args, str | bytes):
        return any(isinstance(each, MarginCacheArguments) for each in args)
    return isinstance(args, MarginCacheArguments)
