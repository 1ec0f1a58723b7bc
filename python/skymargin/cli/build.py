"""The command `skymargin build`."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TYPE_CHECKING, Any

import click

from skymargin.cli.options import (
    CONTEXT,
    FOLDER,
    Arcseconds,
    GroupedCommand,
    anonymous,
    flag,
    is_remote,
    print_reports,
    progress_option,
    quiet_option,
    read_cone,
    read_pairs,
    read_pixels,
    read_storage_options,
    storage_options,
    template_option,
    value,
)
from skymargin.cli.terminal import shows_bars

if TYPE_CHECKING:
    from skymargin import MarginCacheArguments, MarginReport

# Headings of groups of options.
_WORK = "Workers and temporary files"
_MESSAGES = "Output and messages"
_SERVERS = "Files on servers"
_FILES = "Files of the margin catalog"
# Choices of --with, and the arguments they set.
_EXTRAS = {
    "thumbnail": "create_thumbnail",
    "statistics": "create_per_partition_stats",
    "picture": "create_partition_info_png",
    "html": "create_summary_html",
    "markdown": "create_summary_md",
}
_CONNECT_SECONDS = 30


# Options whose argument has a name of MarginCacheArguments are passed to it unchanged.
@click.command(context_settings=CONTEXT, cls=GroupedCommand)
@click.argument("input_catalog_path", metavar="CATALOG", type=FOLDER)
@value(
    "-t --threshold thresholds ARCSEC",
    "Width of the margin in arcseconds: above 0, at most 324000 (90 degrees). May be repeated: several margins are "
    "built from one reading of the catalog.",
    type=Arcseconds(),
    required=True,
    multiple=True,
)
@value(
    "-o --output DIR",
    "Directory for the margin catalog. Required unless --collection or --add-to-collection is given.",
    type=FOLDER,
)
@template_option()
@value("--name NAME", "Name of the margin catalog.  [default: CATALOG_<threshold>arcs]")
@value(
    "--margin-order ORDER",
    "HEALPix order of the first, coarse selection; -1: chosen automatically.  [default: -1]",
    type=int,
    default=-1,
)
@flag(
    "--coarse fine_filtering",
    "Keep every row in a margin-order pixel that touches the partition.",
    negated=True,
)
@flag(
    "--check-index",
    "Check every row's coordinates against its index value (by default the index is trusted).",
)
@flag("--overwrite", "Replace a margin catalog of the same name, and nothing else.")
@value(
    "--pixel --pixels debug_filter_pixel_list ORDER/PIXEL",
    "Trial run: use only the partitions that overlap this pixel. May be repeated.",
    multiple=True,
    callback=read_pixels,
)
@value(
    "--cone RA,DEC,RADIUS",
    "Trial run: build only the margins that intersect this cone, in degrees.",
    callback=read_cone,
)
@flag("--only-changed", "Rebuild only the margins affected by changes to CATALOG.")
@value(
    "--collection DIR",
    "Add the margin to the collection in this directory, which is made if missing, around CATALOG or beside it.",
    type=FOLDER,
)
@flag("--add-to-collection", "Add the margin to the collection that CATALOG is or lies in.")
@flag("--default-margin", "Also make it, or the widest, the default margin of the collection.")
@flag("--dry-run", "Print what the run would do, and write nothing.")
@value("--workers dask_n_workers N", "Dask workers.  [default: 1]", _WORK, type=int, default=1)
@value("--threads N", "Threads of each worker.  [default: one per CPU]", _WORK, type=int)
@value("--scheduler ADDRESS", "Use the workers of this Dask scheduler instead, host:port.", _WORK)
@value(
    "--dask-wait-seconds SECONDS",
    "With --scheduler: how long to wait for a worker while there is none.  [default: 600]",
    _WORK,
    type=float,
    default=600.0,
)
@value(
    "--memory-limit SIZE",
    "Memory limit of each worker, such as 2GB.  [default: none; a worker uses 110 MB, and 90 MB per thread]",
    _WORK,
)
@value(
    "--tmp-dir DIR",
    "Directory or URL for intermediate files.  [default: beside the output; for one on a server, the system's "
    "temporary folder, or with --scheduler beside it]",
    _WORK,
    type=FOLDER,
)
@value("--dask-tmp DIR", "Directory for Dask's own files.  [default: as --tmp-dir]", _WORK, type=FOLDER)
@value("--resume-tmp DIR", "Directory for checkpoint files.  [default: as --tmp-dir]", _WORK, type=FOLDER)
@flag("--no-resume resume", "Start over instead of resuming an interrupted run.", _WORK, negated=True)
@storage_options("Option of the file system of CATALOG and --output, where they are URLs", _SERVERS)
@value(
    "--output-storage-option output_storage KEY=VALUE",
    "The same for --output alone, where it differs. May be repeated.",
    _SERVERS,
    multiple=True,
    callback=read_storage_options,
)
@quiet_option("Print nothing but warnings and errors.", _MESSAGES)
@progress_option("Show no progress bars. They are shown on terminals only.", _MESSAGES)
@flag("--json as_json", "Print the report as JSON, and nothing else.", _MESSAGES)
@value(
    "--email completion_email_address ADDRESS",
    "Send a mail when the run ends, through the server SKYMARGIN_SMTP_HOST (if not set: localhost).",
    _MESSAGES,
)
@value(
    "--npix-suffix SUFFIX",
    "Suffix of partition files; / makes folders.  [default: .parquet]",
    _FILES,
    default=".parquet",
)
@value("--compression NAME", "Compression of the columns: zstd, snappy, gzip, ...", _FILES)
@value("--row-group-rows N", "Maximum number of rows in a row group.", _FILES, type=int)
@value(
    "--property addl_hats_properties KEY=VALUE",
    "An additional property of the catalog. May be repeated.",
    _FILES,
    multiple=True,
    callback=read_pairs,
)
@flag("--no-metadata create_metadata", "Do not write dataset/_metadata.", _FILES, negated=True)
@value(
    "--with extras",
    "Also write a thumbnail, statistics of the partitions, a picture of them, or a summary page. May be repeated.",
    _FILES,
    multiple=True,
    type=click.Choice(list(_EXTRAS)),
)
def build(
    thresholds: tuple[float, ...],
    output: str | None,
    name: str | None,
    threads: int | None,
    scheduler: str | None,
    as_json: bool,
    compression: str | None,
    row_group_rows: int | None,
    extras: tuple[str, ...],
    default_margin: bool,
    dry_run: bool,
    storage: dict[str, Any],
    output_storage: dict[str, Any],
    anon: bool,
    quiet: bool,
    **arguments: Any,
) -> None:
    """Build the margin of CATALOG, a HATS catalog or collection, or a HiPSCat catalog.

    \b
    Example: the rows within 10 arcseconds, as out/gaia_10arcs
        skymargin build catalogs/gaia --threshold 10 --output out

    \b
    Example: two margins from one reading, out/gaia_5arcs and out/gaia_100arcs
        skymargin build catalogs/gaia --threshold 5 --threshold 100 --output out
    """  # noqa: D301 - \b is click's own mark, a real backspace
    from skymargin import MarginCacheArguments, plan_margin
    from skymargin.errors import ArgumentError

    catalog, workers = arguments["input_catalog_path"], arguments["dask_n_workers"]
    if scheduler is not None and (workers != 1 or threads is not None or arguments["dask_tmp"] is not None):
        raise click.UsageError("--workers, --threads and --dask-tmp cannot be used with --scheduler")
    if output is None and not arguments["add_to_collection"] and arguments["collection"] is None:
        raise click.UsageError("Missing option '-o' / '--output'.")
    if name == "":
        # As an unset variable of the shell gives it.
        raise ArgumentError("output_artifact_name '' is not allowed: it must be a folder name")
    if name is not None and len(thresholds) > 1:
        raise click.UsageError("--name can be used with one threshold only; several are named by threshold")
    arguments |= {_EXTRAS[extra]: True for extra in extras}
    template = arguments["path_generator"] or ""
    source = catalog if "://" not in template or "://" in catalog else template
    arguments |= _of_servers(source, output or arguments["collection"], storage, output_storage, anon=anon)
    arguments |= {
        "output_path": output or "",
        "output_artifact_name": name or "",
        "dask_threads_per_worker": threads if threads is not None else _cpus_per_worker(workers),
        "write_table_kwargs": None if compression is None else {"compression": compression},
        "row_group_kwargs": None if row_group_rows is None else {"num_rows": row_group_rows},
        "progress_bar": shows_bars(arguments["progress_bar"] and not quiet),
    }
    margins = [
        MarginCacheArguments(
            margin_threshold=threshold,
            default_margin=default_margin and threshold == max(thresholds),
            **arguments,
        )
        for threshold in thresholds
    ]
    if dry_run:
        print_reports("plan", [plan_margin(args) for args in margins], as_json=as_json)
        return
    # The pipeline prints where it shows progress bars.
    with contextlib.redirect_stdout(sys.stderr) if as_json else contextlib.nullcontext():
        reports = _build(margins, scheduler)
    if as_json or not (quiet or margins[0].progress_bar):
        print_reports("build", reports, as_json=as_json)


def _build(args: list[MarginCacheArguments], scheduler: str | None) -> list[MarginReport]:
    from skymargin import pipeline, pipeline_with_client

    if scheduler is None:
        return pipeline(args)
    from distributed import Client

    from skymargin.errors import ArgumentError, WorkerError

    try:
        client = Client(scheduler, timeout=_CONNECT_SECONDS)
    except ValueError as error:
        # Where distributed cannot read the address.
        raise ArgumentError(
            f"--scheduler {scheduler} is not allowed: {error}; it must be an address, such as host:8786"
        ) from error
    except OSError as error:
        raise WorkerError(f"--scheduler {scheduler} cannot be reached: {error}") from error
    with client:
        return pipeline_with_client(args, client)


def _of_servers(
    catalog: str, output: str | None, storage: dict[str, Any], output_storage: dict[str, Any], *, anon: bool
) -> dict[str, Any]:
    """The storage options of the catalog and of the output, where these are URLs."""
    is_input_remote = is_remote(catalog)
    is_output_remote = bool(output) and is_remote(output or "")
    if (
        (anon and not is_input_remote)
        or (output_storage and not is_output_remote)
        or (storage and not (is_input_remote or is_output_remote))
    ):
        raise click.UsageError("--storage-option and --anon are for URLs, such as s3://bucket/catalog")
    reading = storage | (anonymous(catalog) if anon else {})
    writing = storage | output_storage
    return {
        "input_storage_options": reading if is_input_remote and reading else None,
        "output_storage_options": writing if is_output_remote and writing else None,
    }


def _cpus_per_worker(workers: int) -> int:
    return max(1, (os.cpu_count() or 1) // max(1, workers))
