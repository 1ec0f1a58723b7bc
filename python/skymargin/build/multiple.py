"""Several margins of one catalog in one run: what their arguments must have in common, and what they must not."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

from skymargin.build.arguments import MarginCacheArguments
from skymargin.errors import ArgumentError
from skymargin.storage.paths import absolute

# One reading of one catalog serves all margins, so these steer all of them.
_IN_COMMON = (
    "input_storage_options",
    "debug_filter_pixel_list",
    "cone",
    "margin_order",
    "check_index",
    "tmp_dir",
    "dask_tmp",
    "resume_tmp",
    "resume",
    "delete_intermediate_parquet_files",
    "delete_resume_log_files",
    "dask_n_workers",
    "dask_threads_per_worker",
    "memory_limit",
    "progress_bar",
    "simple_progress_bar",
    "tqdm_kwargs",
)
# These may hold credentials.
_NOT_SHOWN = ("input_storage_options",)


def validate_group(given: object) -> list[MarginCacheArguments]:
    """The arguments of the margins of a run, in the order given, with their values checked again.

    Parameters
    ----------
    given
        Arguments, or a sequence of them.

    Raises
    ------
    ArgumentError
        When these are none, or cannot be those of one run.
    """
    if isinstance(given, MarginCacheArguments):
        given.check_values()
        return [given]
    if not isinstance(given, Sequence) or isinstance(given, str | bytes):
        raise ArgumentError(
            f"args must be MarginCacheArguments, or a list of them, not {type(given).__name__}"
        )
    if not given:
        raise ArgumentError("args is an empty list; it names the margins to make, at least one")
    for number, one in enumerate(given):
        if not isinstance(one, MarginCacheArguments):
            raise ArgumentError(f"args[{number}] must be MarginCacheArguments, not {type(one).__name__}")
        one.check_values()
    several = list(given)
    if len(several) > 1:
        _check_exact(several)
        _check_whole(several)
        _check_in_common(several)
        _check_apart(several)
    return several


def widest_first(several: Sequence[MarginCacheArguments]) -> list[int]:
    """Where the arguments are in the list, the largest threshold first; one order, however the list is ordered."""
    return sorted(
        range(len(several)),
        key=lambda number: (-several[number].margin_threshold, str(several[number].run_paths.final)),
    )


def _check_exact(several: Sequence[MarginCacheArguments]) -> None:
    for number, one in enumerate(several):
        if not one.fine_filtering:
            raise ArgumentError(
                f"args[{number}] ({one.output_artifact_name}) has fine_filtering=False; several margins are made "
                "in one run by the exact separations of their rows, so a coarse one needs a run of its own"
            )


def _check_whole(several: Sequence[MarginCacheArguments]) -> None:
    for number, one in enumerate(several):
        if one.only_changed:
            raise ArgumentError(
                f"args[{number}] ({one.output_artifact_name}) has only_changed=True; what has changed since a margin "
                "was made is its own, so it needs a run of its own"
            )


def _check_in_common(several: Sequence[MarginCacheArguments]) -> None:
    first = several[0]
    for number, one in enumerate(several[1:], start=1):
        paths = [str(absolute(args.primary_path)) for args in (first, one)]
        if paths[0] != paths[1]:
            raise _differ(number, "input_catalog_path", *paths)
        for name in _IN_COMMON:
            values = [getattr(args, name) for args in (first, one)]
            if values[0] != values[1]:
                raise _differ(number, name, *values)


def _differ(number: int, name: str, first: Any, other: Any) -> ArgumentError:
    where = f" in args[0] and args[{number}]"
    if name not in _NOT_SHOWN:
        where = f": {first!r} in args[0] and {other!r} in args[{number}]"
    return ArgumentError(
        f"{name} differs{where}; margins that are made in one run have it in common, others need a run each"
    )


def _check_apart(several: Sequence[MarginCacheArguments]) -> None:
    """No two at one place, and none inside another."""
    finals = [args.run_paths.final.resolve() for args in several]
    for (i, one), (j, other) in combinations(enumerate(finals), 2):
        if type(one) is not type(other):
            continue
        if str(one) == str(other):
            raise ArgumentError(
                f"args[{i}] ({several[i].margin_threshold:g} arcsec) and args[{j}] "
                f"({several[j].margin_threshold:g} arcsec) have the same output, {several[i].catalog_path}; "
                "each margin needs a folder of its own"
            )
        if one in other.parents or other in one.parents:
            raise ArgumentError(
                f"the outputs of args[{i}], {several[i].catalog_path}, and args[{j}], "
                f"{several[j].catalog_path}, overlap; each margin needs a folder of its own"
            )
