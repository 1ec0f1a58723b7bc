"""The command `skymargin collection`."""

from __future__ import annotations

from typing import Any

import click

from skymargin.cli.options import CONTEXT, FOLDER, flag, opened, print_reports, storage_options, value


@click.command(context_settings=CONTEXT)
@click.argument("folder", type=FOLDER)
@value("--default NAME", "Make this margin the default.")
@value("--remove NAME", "Take this margin off the list, and remove its files if skymargin has made them.")
@flag("--keep-files", "With --remove: leave the files where they are.")
@storage_options()
@flag("--json as_json", "Print the list as JSON.")
def collection(
    folder: str,
    default: str | None,
    remove: str | None,
    keep_files: bool,
    storage: dict[str, Any],
    anon: bool,
    as_json: bool,
) -> None:
    """List the margins of the collection in FOLDER, after changing it if asked.

    \b
    Example: another default margin
        skymargin collection catalogs/my_gaia --default gaia_10arcs
    """  # noqa: D301 - \b is click's own mark, a real backspace
    from skymargin import inspect_collection, remove_margin, set_default_margin

    if keep_files and remove is None:
        raise click.UsageError("--keep-files is for --remove")
    place = opened(folder, storage, anon=anon)
    if remove is not None:
        remove_margin(place, remove, keep_files=keep_files)
    if default is not None:
        set_default_margin(place, default)
    print_reports("collection", [inspect_collection(place)], as_json=as_json)
