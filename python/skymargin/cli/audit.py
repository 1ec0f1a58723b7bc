"""The commands `skymargin verify` and `skymargin info`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from skymargin.cli.clean import leftover_values, old_leftovers, print_leftovers
from skymargin.cli.options import (
    CONTEXT,
    FOLDER,
    flag,
    opened,
    options_of_files,
    primary_option,
    print_reports,
    progress_option,
    quiet_option,
    storage_options,
    template_option,
    value,
)
from skymargin.cli.terminal import print_error, shows_bars

if TYPE_CHECKING:
    from skymargin.storage.paths import AnyPath

_EXIT_WRONG = 1


@click.command(context_settings=CONTEXT)
@click.argument("margin", type=FOLDER)
@primary_option()
@template_option("the primary catalog")
@flag("--coarse", "Allow rows beyond the threshold and in any order, as in margins of hats-import and ACID.")
@value("--sample N", "Check N margins, chosen at random.  [default: all]", type=int)
@value("--seed SEED", "Choose the same sample again.", type=int)
@flag("--json as_json", "Print the whole report as JSON.")
@storage_options()
@quiet_option("Print nothing: the exit code has the answer.")
@progress_option("Show no progress bar. It is shown on terminals only.")
def verify(
    margin: str,
    primary: str | None,
    path_generator: str | None,
    coarse: bool,
    sample: int | None,
    seed: int | None,
    as_json: bool,
    storage: dict[str, Any],
    anon: bool,
    quiet: bool,
    progress_bar: bool,
) -> int:
    """Check MARGIN, a margin catalog made by any tool, against its primary catalog.

    Measures every row and compares every value. Exit code 0: the margin is right; 1: it is wrong.

    \b
    Example: a margin made of whole pixels, as by hats-import
        skymargin verify catalogs/gaia_10arcs --primary catalogs/gaia --coarse
    """  # noqa: D301 - \b is click's own mark, a real backspace
    from skymargin import verify as check

    bar = shows_bars(progress_bar and not quiet)
    reference = None if primary is None else opened(primary, storage, anon=anon)
    report = check(
        opened(margin, storage, anon=anon),
        reference,
        path_generator=path_generator,
        primary_storage_options=options_of_files(path_generator, storage, anon=anon),
        coarse=coarse,
        sample=sample,
        seed=seed,
        progress_bar=bar,
    )
    if as_json or not quiet:
        print_reports("verify", [report], as_json=as_json)
    return 0 if report.right else _EXIT_WRONG


@click.command(context_settings=CONTEXT)
@click.argument("catalogs", metavar="CATALOG...", nargs=-1, required=True, type=FOLDER)
@storage_options()
@flag("--json as_json", "Print the summaries as JSON.")
def info(catalogs: tuple[str, ...], storage: dict[str, Any], anon: bool, as_json: bool) -> int:
    """Summarise each CATALOG: a catalog, a margin or a collection, HATS or HiPSCat, or a folder of these.

    Also names the temporary folders that interrupted runs left in it more than a day ago. For this, CATALOG can be any
    folder of margins.

    \b
    Example: the catalogs in a folder
        skymargin info catalogs
    """  # noqa: D301 - \b is click's own mark, a real backspace
    from skymargin import info as inspect
    from skymargin.errors import CatalogNotFoundError, SkymarginError
    from skymargin.storage.paths import as_path

    folders = [as_path(opened(given, storage, anon=anon)) for given in catalogs]
    left = {folder: found for folder in folders if (found := old_leftovers(folder))}
    reports, errors = [], []
    paths = [path for folder in folders for path in _each(folder)]
    for path in paths:
        try:
            reports.append(inspect(path))
        except CatalogNotFoundError as error:
            # A folder may have nothing but what is left.
            if path not in left:
                if len(paths) == 1:
                    raise
                errors.append(str(error))
        except SkymarginError as error:
            if len(paths) == 1:
                raise
            errors.append(str(error))
    if reports or as_json:
        values = [leftover_values(each) for found in left.values() for each in found]
        print_reports("info", reports, as_json=as_json, between="\n\n", more={"left_by_runs": values})
    if not as_json:
        for number, (folder, found) in enumerate(left.items()):
            if reports or number:
                print()
            print_leftovers(folder, found)
    for message in errors:
        print_error(message)
    return 1 if errors else 0


def _each(folder: AnyPath) -> list[AnyPath]:
    """The catalogs in a folder of catalogs; for all others the path itself."""
    from skymargin.catalogs.suggestions import catalogs_in, is_catalog

    return [folder] if is_catalog(folder) else catalogs_in(folder) or [folder]
