"""Several margins of one catalog in one run: which arguments they share, and which must differ."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

from skymargin.build.arguments import MarginCacheArguments
from skymargin.errors import ArgumentError
from skymargin.formatting import arcsec_text
from skymargin.storage.paths import absolute

# The catalog is read once for all margins, so these arguments apply to all of them.
_IN_COMMON = (
    "input_storage_options",
    "path_generator",
    "debug_filter_pixel_list",
    "cone",
    "search_order",
    "check_index",
    "tmp_dir",
    "dask_tmp",
    "resume_tmp",
    "resume",
    "delete_intermediate_parquet_files",
    "delete_resume_log_files",
    "dask_n_workers",
    "dask_threads_per_worker",
    "dask_wait_seconds",
    "memory_limit",
    "progress_bar",
    "simple_progress_bar",
    "tqdm_kwargs",
)
# The names that arguments have where a property of them is compared.
_ARGUMENT = {"search_order": "margin_order"}
# These may hold credentials.
_NOT_SHOWN = ("input_storage_options",)


def validate_one(given: object) -> None:
    """Check the arguments of one margin, as `validate_group`."""
    if not isinstance(given, MarginCacheArguments):
        raise ArgumentError(f"args must be MarginCacheArguments, not {type(given).__name__}")
    given.check_values()


def validate_group(given: object) -> list[MarginCacheArguments]:
    """The arguments of each margin of a run, in the order given; their values are checked again.

    Parameters
    ----------
    given
        Arguments, or a sequence of them.

    Raises
    ------
    ArgumentError
        When they are not arguments, or cannot be those of one run.
    """
    if isinstance(given, MarginCacheArguments):
        given.check_values()
        return [given]
    if not isinstance(given, Sequence) or isinstance(given, str | bytes):
        raise ArgumentError(
            f"args must be MarginCacheArguments, or a list of them, not {type(given).__name__}"
        )
    if not given:
        raise ArgumentError("args is an empty list; give at least one margin")
    for number, args in enumerate(given):
        if not isinstance(args, MarginCacheArguments):
            raise ArgumentError(f"args[{number}] must be MarginCacheArguments, not {type(args).__name__}")
        args.check_values()
    margins = list(given)
    if len(margins) > 1:
        _check_alone(margins)
        _check_in_common(margins)
        _check_apart(margins)
    return margins


def can_share_run(margins: Sequence[MarginCacheArguments]) -> bool:
    """Whether margins can be made in one run."""
    try:
        validate_group(margins)
    except ArgumentError:
        return False
    return True


def widest_first(margins: Sequence[MarginCacheArguments]) -> list[MarginCacheArguments]:
    """The arguments by threshold, the largest first; the same order however they are listed."""
    return sorted(margins, key=lambda args: (-args.margin_threshold, str(args.run_paths.final)))


def _check_alone(margins: Sequence[MarginCacheArguments]) -> None:
    """Refuse arguments that need a run of their own."""
    for number, args in enumerate(margins):
        where = f"args[{number}] ({args.artifact_name})"
        if not args.fine_filtering:
            raise ArgumentError(
                f"{where} has fine_filtering=False; several margins are made in one run by the exact separations of "
                "their rows, so a coarse one needs a run of its own"
            )
        if args.only_changed:
            raise ArgumentError(
                f"{where} has only_changed=True; which margins changes affect depends on when the margin catalog was "
                "made, so it needs a run of its own"
            )


def _check_in_common(margins: Sequence[MarginCacheArguments]) -> None:
    first = margins[0]
    for number, other in enumerate(margins[1:], start=1):
        paths = [str(absolute(args.primary_path)) for args in (first, other)]
        if paths[0] != paths[1]:
            raise _differ(number, "input_catalog_path", *paths)
        for name in _IN_COMMON:
            values = [getattr(args, name) for args in (first, other)]
            if values[0] != values[1]:
                raise _differ(number, _ARGUMENT.get(name, name), *values)


def _differ(number: int, name: str, first: Any, other: Any) -> ArgumentError:
    where = f" in args[0] and args[{number}]"
    if name not in _NOT_SHOWN:
        where = f": {first!r} in args[0] and {other!r} in args[{number}]"
    return ArgumentError(
        f"{name} differs{where}; margins that are made in one run have it in common, others need a run each"
    )


def _check_apart(margins: Sequence[MarginCacheArguments]) -> None:
    """Check that no two outputs are the same, and none lies inside another."""
    finals = [args.run_paths.final.resolve() for args in margins]
    for (i, first), (j, second) in combinations(enumerate(finals), 2):
        if type(first) is not type(second):
            continue
        if str(first) == str(second):
            raise ArgumentError(
                f"args[{i}] ({arcsec_text(margins[i].margin_threshold)}) and args[{j}] "
                f"({arcsec_text(margins[j].margin_threshold)}) have the same output, {margins[i].catalog_path}; "
                "each margin needs a folder of its own"
            )
        if first in second.parents or second in first.parents:
            raise ArgumentError(
                f"the outputs of args[{i}], {margins[i].catalog_path}, and args[{j}], "
                f"{margins[j].catalog_path}, overlap; each margin needs a folder of its own"
            )
