"""The commands `skymargin verify` and `skymargin info`."""

from __future__ import annotations

import json

import click

from skymargin.cli.clean import leftover_values, old_leftovers, print_leftovers
from skymargin.cli.options import CONTEXT, flag, primary_option, print_reports, progress_option, value

_EXIT_WRONG = 1


@click.command(context_settings=CONTEXT)
@click.argument("margin")
@primary_option()
@flag("--coarse", "Allow rows beyond the threshold and in any order, as in margins of hats-import and ACID.")
@value("--sample N", "Check N margins, chosen at random.  [default: all]", type=int)
@value("--seed SEED", "Choose the same sample again.", type=int)
@flag("--json as_json", "Print the whole report as JSON.")
@progress_option("Show no progress bar.")
def verify(
    margin: str,
    primary: str | None,
    coarse: bool,
    sample: int | None,
    seed: int | None,
    as_json: bool,
    progress_bar: bool,
) -> int:
    """Check MARGIN, a margin catalog made by any tool, against its primary catalog.

    Measures every row and compares every value. Exit code 0: the margin is right; 1: it is wrong.

    \b
    Example: a margin made of whole pixels, as by hats-import
        skymargin verify catalogs/gaia_10arcs --primary catalogs/gaia --coarse
    """  # noqa: D301 - \b is click's own mark, a real backspace
    from skymargin import verify as check

    bar = progress_bar and not as_json
    report = check(margin, primary, coarse=coarse, sample=sample, seed=seed, progress_bar=bar)
    print_reports([report], as_json=as_json)
    return 0 if report.right else _EXIT_WRONG


@click.command(context_settings=CONTEXT)
@click.argument("catalog")
@flag("--json as_json", "Print the summary as JSON.")
def info(catalog: str, as_json: bool) -> None:
    """Summarise CATALOG: a catalog, a margin or a collection, HATS or HiPSCat.

    Also names the temporary folders that interrupted runs left in it more than a day ago. For this, CATALOG can be any
    folder of margins.
    """
    from skymargin import info as inspect
    from skymargin.errors import CatalogNotFoundError

    leftovers = old_leftovers(catalog)
    try:
        about = inspect(catalog)
    except CatalogNotFoundError:
        if not leftovers:
            raise
        about = None
    if as_json:
        values = {"path": catalog} if about is None else about.to_dict()
        print(json.dumps({**values, "left_by_runs": [leftover_values(each) for each in leftovers]}, indent=2))
        return
    print(f"{catalog} is not a catalog" if about is None else about.summary())
    print_leftovers(catalog, leftovers)
