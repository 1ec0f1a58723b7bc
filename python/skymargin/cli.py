"""The command `skymargin`: build a margin, check one, see what a catalog is, or a margin of real stars made.

Heavy imports wait until a command runs, so that help and mistakes are answered at once.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import warnings
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from skymargin.cli_options import (
    GroupedCommand,
    GroupedOption,
    read_cone,
    read_pairs,
    read_pixel,
    read_pixels,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from skymargin import MarginCacheArguments, MarginReport
    from skymargin.plot import ViewName

F = TypeVar("F", bound="Callable[..., Any]")

EXIT_ERROR = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130

# Titles of groups of options.
_WORK = "Work and its folders"
_TOLD = "What is told"
_FILES = "Files of the margin"
# Choices of --with, and the arguments they are.
_EXTRAS = {
    "thumbnail": "create_thumbnail",
    "statistics": "create_per_partition_stats",
    "picture": "create_partition_info_png",
    "html": "create_summary_html",
    "markdown": "create_summary_md",
}
_CONNECT_SECONDS = 30

_CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


@click.group(context_settings=_CONTEXT)
@click.version_option(package_name="skymargin", message="skymargin %(version)s")
def cli() -> None:
    """Exact margin caches for HATS and HiPSCat catalogs.

    The margin of a partition is every row of other partitions that lies within a threshold of its pixel. With
    it, a crossmatch up to that radius loses nothing at the edges.
    """


def _option(group: str, *names: str, **settings: Any) -> Callable[[F], F]:
    return click.option(*names, cls=GroupedOption, group=group, **settings)


@cli.command(context_settings=_CONTEXT, cls=GroupedCommand)
@click.argument("catalog")
@click.option(
    "-t",
    *("--threshold", "thresholds"),
    type=float,
    required=True,
    multiple=True,
    metavar="ARCSEC",
    help="Width of the margin in arcseconds: above 0, at most 324000 (90 degrees). May be repeated, for several "
    "margins from one reading.",
)
@click.option(
    *("-o", "--output"),
    metavar="DIR",
    help="Directory in which the margin catalog is made. Required but with --add-to-collection.",
)
@click.option(
    "--name", metavar="NAME", help="Name of the margin catalog.  [default: CATALOG_<threshold>arcs]"
)
@click.option(
    "--margin-order",
    type=int,
    default=-1,
    metavar="ORDER",
    help="HEALPix order of the first, coarse look; -1 lets skymargin choose.  [default: -1]",
)
@click.option(
    "--coarse", is_flag=True, help="Keep every row in a margin-order pixel that touches the partition."
)
@click.option("--overwrite", is_flag=True, help="Replace a margin catalog of the same name.")
@click.option(
    *("--pixel", "--pixels", "debug_filter_pixel_list"),
    multiple=True,
    callback=read_pixels,
    metavar="ORDER/PIXEL",
    help="For a try: only the partitions that overlap this pixel. May be repeated.",
)
@click.option(
    "--cone",
    callback=read_cone,
    metavar="RA,DEC,RADIUS",
    help="For a try: only the margins that this cone touches, in degrees.",
)
@click.option(
    "--only-changed",
    is_flag=True,
    help="Make anew only what changes of CATALOG have touched since the margin was made.",
)
@click.option("--add-to-collection", is_flag=True, help="Add the margin to the collection of CATALOG.")
@click.option("--default-margin", is_flag=True, help="And make it the default margin there.")
@click.option("--dry-run", is_flag=True, help="Say what the run would do, and write nothing.")
@_option(_WORK, "--workers", type=int, default=1, metavar="N", help="Dask workers.  [default: 1]")
@_option(_WORK, "--threads", type=int, metavar="N", help="Threads of each worker.  [default: one per CPU]")
@_option(
    _WORK,
    "--scheduler",
    metavar="ADDRESS",
    help="Use the workers of this Dask scheduler, host:port, instead.",
)
@_option(
    _WORK,
    "--memory-limit",
    metavar="SIZE",
    help="Most memory of a worker, such as 2GB.  [default: none; 110 MB and 90 MB a thread are used]",
)
@_option(_WORK, "--tmp-dir", metavar="DIR", help="Where intermediate files go.  [default: beside the output]")
@_option(_WORK, "--dask-tmp", metavar="DIR", help="Where Dask's own files go.  [default: as --tmp-dir]")
@_option(_TOLD, "--no-progress", is_flag=True, help="Show no progress bars and no summary.")
@_option(_TOLD, *("--json", "as_json"), is_flag=True, help="Print the report as JSON, and nothing else.")
@_option(
    _TOLD,
    *("--email", "completion_email_address"),
    metavar="ADDRESS",
    help="Send a mail at the end, by SKYMARGIN_SMTP_HOST and _PORT.  [default: localhost, 25]",
)
@_option(
    _FILES,
    "--npix-suffix",
    default=".parquet",
    metavar="SUFFIX",
    help="End of the partitions' names; / makes a folder of each.  [default: .parquet]",
)
@_option(_FILES, "--compression", metavar="NAME", help="Compression of the columns: zstd, snappy, gzip, ...")
@_option(_FILES, "--row-group-rows", type=int, metavar="N", help="Most rows of a row group.")
@_option(
    _FILES,
    *("--property", "addl_hats_properties"),
    multiple=True,
    callback=read_pairs,
    metavar="KEY=VALUE",
    help="A further property of the catalog. May be repeated.",
)
@_option(_FILES, "--no-metadata", is_flag=True, help="Write no dataset/_metadata.")
@_option(
    _FILES,
    *("--with", "extras"),
    multiple=True,
    type=click.Choice(list(_EXTRAS)),
    help="Write this beside the data too. May be repeated.",
)
def build(
    catalog: str,
    thresholds: tuple[float, ...],
    output: str | None,
    name: str | None,
    margin_order: int,
    coarse: bool,
    workers: int,
    threads: int | None,
    scheduler: str | None,
    no_progress: bool,
    as_json: bool,
    compression: str | None,
    row_group_rows: int | None,
    no_metadata: bool,
    extras: tuple[str, ...],
    dry_run: bool,
    **others: Any,
) -> None:
    """Build the margin of CATALOG, a HATS catalog or collection, or a HiPSCat catalog.

    \b
    Example: the rows within 10 arcseconds, as out/gaia_10arcs
        skymargin build catalogs/gaia --threshold 10 --output out

    \b
    Example: two margins from one reading, out/gaia_5arcs and out/gaia_100arcs
        skymargin build catalogs/gaia --threshold 5 --threshold 100 --output out
    """  # noqa: D301 - \b is click's own mark, a real backspace
    from skymargin import MarginCacheArguments

    if scheduler is not None and (workers != 1 or threads is not None or others["dask_tmp"] is not None):
        raise click.UsageError("--workers, --threads and --dask-tmp are not for the workers of a --scheduler")
    if output is None and not others["add_to_collection"]:
        raise click.UsageError("Missing option '-o' / '--output'.")
    if name is not None and len(thresholds) > 1:
        raise click.UsageError("--name is for one margin; those of several thresholds are named by these")
    others |= {_EXTRAS[one]: True for one in extras}
    common = dict(
        input_catalog_path=catalog,
        output_path=output or "",
        margin_order=margin_order,
        fine_filtering=not coarse,
        dask_n_workers=workers,
        dask_threads_per_worker=threads if threads is not None else _cpus_per_worker(workers),
        progress_bar=not no_progress,
        write_table_kwargs=None if compression is None else {"compression": compression},
        row_group_kwargs=None if row_group_rows is None else {"num_rows": row_group_rows},
        create_metadata=not no_metadata,
        **others,
    )
    margins = [
        MarginCacheArguments(
            output_artifact_name=name if name is not None else default_name(catalog, threshold),
            margin_threshold=threshold,
            **common,
        )
        for threshold in thresholds
    ]
    if dry_run:
        _show_plans(margins, as_json)
        return
    if not as_json:
        _build(margins, scheduler)
        return
    with contextlib.redirect_stdout(sys.stderr):
        reports = [report.to_dict() for report in _build(margins, scheduler)]
    print(json.dumps(reports if len(reports) > 1 else reports[0], indent=2))


def _show_plans(margins: list[MarginCacheArguments], as_json: bool) -> None:
    from skymargin import plan_margin

    plans = [plan_margin(args) for args in margins]
    if as_json:
        values = [plan.to_dict() for plan in plans]
        print(json.dumps(values if len(values) > 1 else values[0], indent=2))
    else:
        print("\n".join(plan.summary() for plan in plans))


def _build(args: list[MarginCacheArguments], scheduler: str | None) -> list[MarginReport]:
    from skymargin import pipeline, pipeline_with_client

    with warnings.catch_warnings():
        warnings.showwarning = _warn  # type: ignore[assignment]
        if scheduler is None:
            return pipeline(args)
        from distributed import Client

        with Client(scheduler, timeout=_CONNECT_SECONDS) as client:
            return pipeline_with_client(args, client)


def _warn(message: Warning | str, *_where: object) -> None:
    print("skymargin: warning:", _one_line(str(message)), file=sys.stderr)


@cli.command(context_settings=_CONTEXT)
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
    return 0 if report.right else EXIT_ERROR


@cli.command(context_settings=_CONTEXT)
@click.argument("catalog")
@click.option("--json", "as_json", is_flag=True, help="Print what is known as JSON.")
def info(catalog: str, as_json: bool) -> None:
    """Say what CATALOG is: a catalog, a margin or a collection, HATS or HiPSCat."""
    from skymargin import info as look

    report = look(catalog)
    print(json.dumps(report.to_dict(), indent=2) if as_json else report.summary())


@cli.command(context_settings=_CONTEXT)
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
    from skymargin.plot import plot_partition, plot_sky

    if sky and (pixel is not None or view is not None):
        raise click.UsageError("--sky draws all pixels: --pixel and --view are not for it")
    if sky:
        plot_sky(margin, primary=primary, picture=output, overwrite=overwrite)
    else:
        plot_partition(
            margin, pixel, primary=primary, view=view or "both", picture=output, overwrite=overwrite
        )
    print(output)


@cli.command(context_settings=_CONTEXT)
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


def default_name(catalog: str, threshold_arcsec: float) -> str:
    """Return the name of a margin: that of its catalog, and the threshold in arcseconds, digit for digit.

    Two thresholds never share a name: 0.5 gives ``0.5arcs``, 10 gives ``10arcs``, 1e-07 gives
    ``0.0000001arcs``.

    Parameters
    ----------
    catalog : str
        Path or URL of the catalog; its last part is its name.
    threshold_arcsec : float
        The threshold in arcseconds.
    """
    if "://" in catalog:
        catalog_name = catalog.rstrip("/").rpartition("/")[2]
    else:
        catalog_name = Path(catalog).expanduser().resolve().name
    # repr() gives the fewest digits that name this float and no other.
    digits = format(Decimal(repr(threshold_arcsec)), "f")
    if "." in digits:
        digits = digits.rstrip("0").rstrip(".")
    return f"{catalog_name}_{digits}arcs"


def _cpus_per_worker(workers: int) -> int:
    return max(1, (os.cpu_count() or 1) // max(1, workers))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    Zero when all went well, 1 for an error (one line on standard error says which), 2 for wrong usage, 130
    when interrupted. With ``SKYMARGIN_TRACEBACK=1`` an error is raised instead, with its traceback.

    Parameters
    ----------
    arguments : sequence of str, optional
        What follows the command's name; default ``sys.argv[1:]``.
    """
    try:
        result = cli.main(arguments, prog_name="skymargin", standalone_mode=False)
    except click.UsageError as error:
        error.show()
        return EXIT_USAGE
    except click.ClickException as error:
        return _complain(error.format_message())
    except (KeyboardInterrupt, click.Abort) as error:
        print(_with_notes("skymargin: interrupted", error), file=sys.stderr)
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # The reader went away (skymargin ... | head): nobody is left to tell.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_ERROR
    except Exception as error:
        if os.environ.get("SKYMARGIN_TRACEBACK") == "1":
            raise
        from skymargin.errors import SkymarginError

        # These speak for themselves; what else goes wrong is named by its kind.
        told = isinstance(error, (SkymarginError, ValueError, OSError, ImportError)) and str(error)
        return _complain(_with_notes(str(error) if told else f"{type(error).__name__}: {error}", error))
    return result if isinstance(result, int) else 0


def _with_notes(message: str, error: BaseException) -> str:
    """Message with what was added to the error on its way, such as where the progress of the run is kept."""
    # click raises an error of its own from a KeyboardInterrupt.
    notes = getattr(error, "__notes__", None) or getattr(error.__cause__, "__notes__", None) or []
    return ". ".join([message, *notes])


def _complain(message: str) -> int:
    # Arguments of the pipeline are options here.
    for option in ("overwrite", "only_changed", "add_to_collection", "default_margin"):
        message = message.replace(f"{option}=True", f"--{option.replace('_', '-')}")
    print("skymargin: error:", _one_line(message), file=sys.stderr)
    return EXIT_ERROR


def _one_line(message: str) -> str:
    """A message on one line; what a terminal would act upon, from a file of a catalog perhaps, is spelled out."""
    line = " ".join(message.split())
    return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in line)
