"""The run: planning, mapping, reducing and finishing, one after the other."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from skymargin.arguments import MarginCacheArguments
from skymargin.changes import scope_of, taken_over
from skymargin.errors import ArgumentError, OutputExistsError
from skymargin.fingerprint import fingerprint_of
from skymargin.finishing import contents_of, empty_reason, finish
from skymargin.formats import Catalog, format_named, open_catalog
from skymargin.formats.collection import add_margin
from skymargin.formats.output_options import OutputOptions
from skymargin.job import Job, Output
from skymargin.locking import locked
from skymargin.made_from import write_record
from skymargin.mapping import Mapped, map_batch
from skymargin.memory import memory_shares
from skymargin.notify import mailed
from skymargin.plan import (
    average_row_bytes,
    check_output,
    check_partitions,
    destination_batches,
    gathered_rows,
    layout,
    make_job,
    margin_choice,
    restricted,
    source_batches,
)
from skymargin.progress import Stages
from skymargin.reducing import Reduced, reduce_batch
from skymargin.report import MarginReport
from skymargin.resume import Progress, progress_of
from skymargin.scope import Scope
from skymargin.storage import AnyPath, absolute, is_local, remove_folder
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
        When the margin cannot be made completely. No catalog is left behind; what is done is kept for the next call,
        when it can be of use to it.
    """
    stages = _stages_of(args)
    with mailed(args.completion_email_address or "", args.output_artifact_name) as outcome:
        catalog, job, scope = planned(args, stages)
        with _locked(args), _workers(args) as workers:
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
        When the margin cannot be made completely. No catalog is left behind; what is done is kept for the next call,
        when it can be of use to it.
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
    with _locked(args):
        return _make(args, stages, catalog, job, scope, DaskWorkers(client), seen_by=client)


@contextmanager
def _workers(args: MarginCacheArguments) -> Iterator[Workers]:
    """Workers on this machine; what Dask left of a killed run goes. Needs the locks."""
    for folder in args.places.dask_leftovers(args.dask_path):
        remove_folder(folder)
    with own_workers(
        args.dask_n_workers, args.dask_threads_per_worker, args.dask_path, args.places.workers
    ) as workers:
        yield workers


def _locked(args: MarginCacheArguments) -> AbstractContextManager[None]:
    return locked(args.places.locks, str(args.catalog_path))


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
    fingerprint = fingerprint_of(catalog, job, OutputOptions.of(args), args.places)
    with progress_of(
        args.places, fingerprint, workers.threads, args.resume, args.check_free, is_local(catalog.path)
    ) as progress:
        if progress.report is None:
            _build(args, stages, catalog, job, scope, workers, progress, seen_by)
        made = progress.place()
        if args.collection_path is not None:
            add_margin(args.collection_path, args.catalog_path, default=args.default_margin)
        progress.clean_up(args.delete_intermediate_parquet_files, args.delete_resume_log_files)
    report = replace(made, seconds=stages.seconds)
    if args.progress_bar:
        print(report.summary())
    return report


def _build(
    args: MarginCacheArguments,
    stages: Stages,
    catalog: Catalog,
    job: Job,
    scope: Scope,
    workers: Workers,
    progress: Progress,
    seen_by: Client | None,
) -> None:
    """Make the whole margin catalog aside, beginning with what is done of it."""
    wanted = OutputOptions.of(args)
    job = replace(job, memory=memory_shares(args.memory_bytes, workers.threads_per_worker))
    job_file = progress.save_job(job)
    if seen_by is not None:
        check_visible(seen_by, _places(catalog, progress.partial, job_file))
    with stages.stage("Mapping", total=len(scope.sources.orders)) as advance:
        sources = source_batches(scope.sources, progress.threads)
        advance(sum(one.partitions for one in progress.mapped.values()))
        todo = [batch for batch in sources if batch.number not in progress.mapped]

        def keep_mapped(one: Mapped) -> None:
            progress.add_mapped(one)
            advance(one.partitions)

        workers.run(map_batch, job_file, todo, keep_mapped)
        mapped = [*(progress.mapped[batch.number] for batch in sources), *scope.unread]
        row_bytes = average_row_bytes(mapped)
        threads = progress.begin_reducing(workers.threads)
        margins, total = destination_batches(progress.shards, len(sources), row_bytes, threads)
    with stages.stage("Reducing", total=total) as advance:
        output = _output(progress.partial, catalog, row_bytes, wanted)
        advance(sum(len(one.orders) for one in progress.reduced.values()))
        tasks = [(margin, output) for margin in margins if margin.number not in progress.reduced]

        def keep_reduced(one: Reduced) -> None:
            progress.add_reduced(one)
            advance(len(one.orders))

        workers.run(reduce_batch, job_file, tasks, keep_reduced)
        reduced = [progress.reduced[margin.number] for margin in margins]
    with stages.stage("Finishing", total=2) as advance:
        progress.keep_only_margins()
        reduced = taken_over(args.catalog_path, progress.partial, catalog, scope, reduced, wanted)
        contents = contents_of(args.output_artifact_name, job.margin_threshold_arcsec, reduced, wanted)
        advance(1)
        write_record(progress.partial, catalog, job, wanted, scope.stamps, mapped)
        finish(progress.partial, catalog, contents, mapped)
        advance(1)
    progress.record_made(
        MarginReport(
            catalog_path=str(args.catalog_path),
            rows=contents.rows,
            partitions=len(contents.orders),
            margin_threshold_arcsec=job.margin_threshold_arcsec,
            primary_path=str(catalog.path),
            primary_rows=sum(one.primary_rows for one in mapped),
            primary_partitions=len(catalog.orders),
            bytes_read=sum(one.bytes_read for one in mapped),
            pages_decoded=sum(one.pages_decoded for one in mapped),
            empty_reason=empty_reason(contents, mapped, len(catalog.orders), args.fine_filtering),
        )
    )


def _output(folder: AnyPath, catalog: Catalog, row_bytes: int, wanted: OutputOptions) -> Output:
    options = format_named(catalog.format).write_options(catalog.schema, wanted.write_table_kwargs)
    most_rows, compressed = layout(catalog, row_bytes, wanted)
    return Output(
        folder=absolute(folder),
        format=catalog.format,
        options=options,
        group_rows=most_rows,
        gathered_rows=gathered_rows(row_bytes),
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
