"""The commands `skymargin verify` and `skymargin info`."""

from __future__ import annotations

import json

import click

from skymargin.cli.options import CONTEXT

_EXIT_WRONG = 1


@click.command(context_settings=CONTEXT)
@click.argument("margin")
@click.option("--primary", metavar="CATALOG", help="The catalog it is of.  [default: what MARGIN names]")
@click.option(
    "--coarse",
    is_flag=True,
    help="Allow rows beyond the threshold, in any order, as margins of hats-import and ACID have them.",
)
@click.option("--sample", type=int, metavar="N", help="Check N margins, chosen at random.  [default: all]")
@click.option("--seed", type=int, metavar="SEED", help="Choose the same sample again.")
@click.option("--json", "as_json", is_flag=True, help="Print the whole report as JSON.")
@click.option("--no-progress", is_flag=True, help="Show no progress bar.")
def verify(
    margin: str,
    primary: str | None,
    coarse: bool,
    sample: int | None,
    seed: int | None,
    as_json: bool,
    no_progress: bool,
) -> int:
    """Check MARGIN, a margin catalog of any tool, against the catalog it is of.

    Every row is measured, every value compared. Ends with 0 when the margin is right, with 1 when it is not.

    \b
    Example: a margin made of whole pixels, as hats-import makes them
        skymargin verify catalogs/gaia_10arcs --primary catalogs/gaia --coarse
    """  # noqa: D301 - \b is click's own mark, a real backspace
    from skymargin import verify as check

    report = check(
        margin, primary, coarse=coarse, sample=sample, seed=seed, progress_bar=not no_progress and not as_json
    )
    print(json.dumps(report.to_dict(), indent=2) if as_json else report.summary())
    return 0 if report.right else _EXIT_WRONG


@click.command(context_settings=CONTEXT)
@click.argument("catalog")
@click.option("--json", "as_json", is_flag=True, help="Print what is known as JSON.")
def info(catalog: str, as_json: bool) -> None:
    """Say what CATALOG is: a catalog, a margin or a collection, HATS or HiPSCat."""
    from skymargin import info as look

    report = look(catalog)
    print(json.dumps(report.to_dict(), indent=2) if as_json else report.summary())
