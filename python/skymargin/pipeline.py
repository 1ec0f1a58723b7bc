"""The run: planning, mapping, reducing and finishing, one after the other."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from skymargin.arguments import MarginCacheArguments
from skymargin.changes import scope_of, taken_over
from skymargin.errors import ArgumentError, OutputExistsError
from skymargin.finishing import contents_of, empty_reason, finish
from skymargin.formats import Catalog, format_named, open_catalog
from skymargin.formats.collection import add_margin
from skymargin.formats.output_options import OutputOptions
from skymargin.job import Job, Output
from skymargin.made_from import write_record
from skymargin.mapping import map_batch
from skymargin.memory import memory_shares
from skymargin.notify import mailed
from skymargin.plan import (
    average_row_bytes,
    check_output,
    check_partitions,
    destination_batches,
    layout,
    make_job,
    margin_choice,
    restricted,
    source_batches,
)
from skymargin.progress import Stages
from skymargin.reducing import reduce_batch
from skymargin.report import MarginReport
from skymargin.scope import Scope
from skymargin.storage import AnyPath, absolute, appears_when_whole, is_local, temporary_folder
from skymargin.visibility import check_visible
from skymargin.workers import DaskWorkers, Workers, own_workers

if TYPE_CHECKING:
    from pathlib import Path

    from distributed import Client


def pipeline(args: MarginCacheArguments) -> MarginReport:
    """Make a margin catalog, with a Dask client of its own.

    Parameters
    ----------
    args
        What to make.

    Returns
    -------
    MarginReport
        What was made.

    Raises
    ------
    SkymarginError
        When the margin cannot be made completely. Nothing of it is left behind.
    """
    stages = _stages_of(args)
    with mailed(args.completion_email_address or "", args.output_artifact_name) as outcome:
        catalog, job, scope = planned(args, stages)
        with own_workers(args.dask_n_workers, args.dask_threads_per_worker, args.dask_path) as workers:
            report = _make(args, stages, catalog, job, scope, workers)
        outcome.summary = report.summary()
    return report


def pipeline_with_client(args: MarginCacheArguments, client: Client) -> MarginReport:
    """Make a margin catalog with a Dask client of yours; its workers must see the files and `tmp_dir`.

    Paths may be relative to the folder of this process, wherever the workers were started.

    Parameters
    ----------
    args
        What to make; what it says of Dask is ignored.
    client
        A connected client.

    Returns
    -------
    MarginReport
        What was made.

    Raises
    ------
    WorkerError
        When a worker does not see the files, or cannot import skymargin.
    SkymarginError
        When the margin cannot be made completely. Nothing of it is left behind.
    """
    stages = _stages_of(args)
    with mailed(args.completion_email_address or "", args.output_artifact_name) as outcome:
        report = make_with_client(args, client, stages)
        outcome.summary = report.summary()
    return report


def make_with_client(
    args: MarginCacheArguments, client: Client, stages: Stages | None = None
) -> MarginReport:
    """As `pipeline_with_client`, without a mail."""
    stages = stages or _stages_of(args)
    catalog, job, scope = planned(args, stages)
    return _make(args, stages, catalog, job, scope, DaskWorkers(client), seen_by=client)


def _stages_of(args: MarginCacheArguments) -> Stages:
    if not isinstance(args, MarginCacheArguments):
        raise ArgumentError(f"args must be MarginCacheArguments, not {type(args).__name__}")
    return Stages(args.progress_bar, args.simple_progress_bar, args.tqdm_kwargs)


def planned(args: MarginCacheArguments, stages: Stages) -> tuple[Catalog, Job, Scope]:
    """Everything that can be checked before work begins; nothing is written."""
    with stages.stage("Planning", total=3) as advance:
        args.check_places()
        catalog = restricted(open_catalog(args.primary_path), list(args.debug_filter_pixel_list or ()))
        advance(1)
        _check_apart(catalog.path, args.catalog_path)
        choice = margin_choice(args.margin_threshold, args.margin_order, args.fine_filtering, catalog)
        check_output(catalog, OutputOptions.of(args))
        advance(1)
        tiling = check_partitions(catalog)
        job = make_job(catalog, *choice, args.fine_filtering)
        scope = scope_of(args, catalog, job, tiling)
        advance(1)
    return catalog, replace(job, margins=scope.margins), scope


def _make(
    args: MarginCacheArguments,
    stages: Stages,
    catalog: Catalog,
    job: Job,
    scope: Scope,
    workers: Workers,
    seen_by: Client | None = None,
) -> MarginReport:
    wanted = OutputOptions.of(args)
    with (
        appears_when_whole(args.catalog_path) as folder,
        temporary_folder(args.tmp_path.absolute(), args.output_artifact_name) as shards,
    ):
        job = replace(job, memory=memory_shares(args.memory_bytes, workers.threads_per_worker))
        job_file = shards / "job"
        job.save(job_file)
        if seen_by is not None:
            check_visible(seen_by, _places(catalog, folder, job_file))
        threads = workers.threads
        with stages.stage("Mapping", total=len(scope.sources.orders)) as advance:
            sources = source_batches(scope.sources, threads)
            mapped = workers.run(map_batch, job_file, sources, lambda one: advance(one.partitions))
            mapped = [*mapped, *scope.unread]
            row_bytes = average_row_bytes(mapped)
            margins, total = destination_batches(shards, len(sources), row_bytes, threads)
        with stages.stage("Reducing", total=total) as advance:
            output = _output(folder, catalog, row_bytes, wanted)
            tasks = [(margin, output) for margin in margins]
            reduced = workers.run(reduce_batch, job_file, tasks, lambda one: advance(len(one.orders)))
        with stages.stage("Finishing", total=2) as advance:
            reduced = taken_over(args.catalog_path, folder, catalog, scope, reduced, wanted)
            contents = contents_of(args.output_artifact_name, job.margin_threshold_arcsec, reduced, wanted)
            advance(1)
            write_record(folder, catalog, job, wanted, scope.stamps, mapped)
            finish(folder, catalog, contents, mapped)
            advance(1)
    if args.collection_path is not None:
        add_margin(args.collection_path, args.catalog_path, default=args.default_margin)
    report = MarginReport(
        catalog_path=str(args.catalog_path),
        rows=contents.rows,
        partitions=len(contents.orders),
        margin_threshold_arcsec=job.margin_threshold_arcsec,
        primary_path=str(catalog.path),
        primary_rows=sum(one.primary_rows for one in mapped),
        primary_partitions=len(catalog.orders),
        bytes_read=sum(one.bytes_read for one in mapped),
        pages_decoded=sum(one.pages_decoded for one in mapped),
        seconds=stages.seconds,
        empty_reason=empty_reason(contents, mapped, len(catalog.orders), args.fine_filtering),
    )
    if args.progress_bar:
        print(report.summary())
    return report


def _output(folder: AnyPath, catalog: Catalog, row_bytes: int, wanted: OutputOptions) -> Output:
    options = format_named(catalog.format).write_options(catalog.schema, wanted.write_table_kwargs)
    most_rows, compressed = layout(catalog, row_bytes, wanted)
    return Output(
        folder=absolute(folder),
        format=catalog.format,
        options=options,
        group_rows=most_rows,
        compressed_rows=compressed,
        wanted=wanted,
    )


def _places(catalog: Catalog, folder: AnyPath, job_file: Path) -> dict[str, AnyPath]:
    """What workers must see; a folder on an object store is not there before a file is in it."""
    source = catalog.path / catalog.files[0][0] if catalog.files else catalog.listed_in
    output = {"output_path": absolute(folder)} if is_local(folder) else {}
    return {"input_catalog_path": absolute(source), **output, "tmp_dir": job_file}


def _check_apart(primary: AnyPath, margin: AnyPath) -> None:
    """The margin must not replace the catalog it is of, nor anything around or inside it."""
    if type(primary) is not type(margin):
        return
    inner, outer = primary.resolve(), margin.resolve()
    if inner == outer or outer in inner.parents or inner in outer.parents:
        raise OutputExistsError(
            f"the output {margin} and the input catalog {primary} overlap; the margin needs a folder of its own"
        )
