"""The command `skymargin build`."""

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

from skymargin.cli.options import (
    CONTEXT,
    GroupedCommand,
    GroupedOption,
    one_line,
    read_cone,
    read_pairs,
    read_pixels,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from skymargin import MarginCacheArguments, MarginReport

F = TypeVar("F", bound="Callable[..., Any]")

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


def _option(group: str, *names: str, **settings: Any) -> Callable[[F], F]:
    return click.option(*names, cls=GroupedOption, group=group, **settings)


@click.command(context_settings=CONTEXT, cls=GroupedCommand)
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
@click.option(
    "--check-index",
    is_flag=True,
    help="Hold the position of every row against its index, which is believed else.",
)
@click.option(
    "--overwrite", is_flag=True, help="Replace a margin catalog of the same name, and nothing else."
)
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
@_option(
    _WORK,
    "--resume-tmp",
    metavar="DIR",
    help="Where the records of how far a run has come go.  [default: as --tmp-dir]",
)
@_option(_WORK, "--no-resume", is_flag=True, help="Begin anew, not where an earlier run was cut off.")
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
    no_resume: bool,
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
        resume=not no_resume,
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
    print("skymargin: warning:", one_line(str(message)), file=sys.stderr)


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
