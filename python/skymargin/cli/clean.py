"""The command `skymargin clean`, and what `skymargin info` says of the same folders."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import click

from skymargin.cli.options import CONTEXT, FOLDER, flag, opened, storage_options, value
from skymargin.cli.terminal import one_line

if TYPE_CHECKING:
    from skymargin.build.checkpoint.leftovers import Leftover
    from skymargin.storage.paths import AnyPath

_DAY_SECONDS = 86_400.0


def _read_days(_ctx: click.Context, _option: click.Parameter, given: float) -> float:
    if not 0 <= given < math.inf:
        raise click.BadParameter(f"{given} is not a number of days, 0 or more")
    return given


@click.command(context_settings=CONTEXT)
@click.argument("folder", type=FOLDER)
@storage_options()
@value(
    "--older-than DAYS",
    "Remove only what no run has written to for so many days.  [default: 1]",
    type=float,
    default=1.0,
    callback=_read_days,
)
@flag("--yes", "Remove without asking.")
def clean(folder: str, storage: dict[str, Any], anon: bool, older_than: float, yes: bool) -> None:
    """Remove what interrupted runs left in FOLDER, a folder of margins or the --tmp-dir of a run.

    Lists the temporary folders of skymargin, which are named like NAME.skymargin-shards-..., and margins on object
    stores that were never completed, with their sizes and ages, and asks before it removes any. Margins, and folders
    that hold anything else, stay. Runs that needed these folders start over.

    \b
    Example: everything that nobody has written to for a week
        skymargin clean s3://my-bucket/margins --older-than 7
    """  # noqa: D301 - \b is click's own mark, a real backspace
    from skymargin.build.checkpoint.leftovers import find_leftovers, remove_leftover
    from skymargin.errors import ArgumentError
    from skymargin.storage.paths import as_path, can_list, exists

    path = as_path(opened(folder, storage, anon=anon))
    if not can_list(path):
        raise ArgumentError(f"{path}: a web server has no listings, and nothing on it can be removed")
    found = find_leftovers(path)
    if not found and not exists(path):
        raise FileNotFoundError(f"there is nothing at {path}")
    removable = []
    for leftover in found:
        reason = _why_kept(leftover, older_than)
        print(one_line(f"{_described(leftover)}{reason and f': kept, {reason}'}"))
        if not reason:
            removable.append(leftover)
    if not removable:
        print(f"{path}: there is nothing to remove")
        return
    if not yes and not _agreed(removable):
        print("Nothing was removed.")
        return
    for leftover in removable:
        remove_leftover(leftover)
    print(f"Removed {_total(removable)}.")


def old_leftovers(folder: AnyPath | str) -> list[Leftover]:
    """The temporary folders of runs in a folder to which no run has written for a day."""
    from skymargin.build.checkpoint.leftovers import find_leftovers
    from skymargin.storage.paths import as_path

    return [leftover for leftover in find_leftovers(as_path(folder)) if leftover.is_older_than(_DAY_SECONDS)]


def print_leftovers(folder: AnyPath | str, leftovers: list[Leftover]) -> None:
    """Name temporary folders, and the command that removes them."""
    if leftovers:
        print(f"Left by interrupted runs; `skymargin clean {folder}` removes it:")
        for leftover in leftovers:
            print(one_line(_described(leftover)))


def leftover_values(leftover: Leftover) -> dict[str, Any]:
    """A temporary folder as plain values, for JSON."""
    return {
        "path": str(leftover.path),
        "files": len(leftover.files),
        "size_bytes": leftover.size_bytes,
        "age_seconds": leftover.age_seconds,
    }


def _described(leftover: Leftover) -> str:
    from skymargin.formatting import counted, readable_bytes, readable_duration

    age = leftover.age_seconds
    told = "of unknown age" if age is None else f"{readable_duration(age)} old"
    return f"{leftover.path}: {readable_bytes(leftover.size_bytes)} in {counted(len(leftover.files), 'file')}, {told}"


def _why_kept(leftover: Leftover, older_than_days: float) -> str:
    """Why a folder is not removed; empty when it may be."""
    if leftover.foreign:
        return f"it {leftover.foreign}"
    if leftover.age_seconds is None:
        return "its age is not known"
    if not leftover.is_older_than(older_than_days * _DAY_SECONDS):
        return f"it is younger than {older_than_days:g} day{'' if older_than_days == 1 else 's'}"
    return leftover.holder


def _agreed(leftovers: list[Leftover]) -> bool:
    try:
        return click.confirm(f"Remove {_total(leftovers)}?")
    except click.Abort:
        raise click.ClickException("nothing was removed; --yes removes without asking") from None


def _total(leftovers: list[Leftover]) -> str:
    from skymargin.formatting import counted, readable_bytes

    size_bytes = sum(leftover.size_bytes for leftover in leftovers)
    return f"{counted(len(leftovers), 'folder')}, {readable_bytes(size_bytes)}"
