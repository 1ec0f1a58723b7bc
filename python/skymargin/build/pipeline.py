"""The run: planning, mapping, reducing and finishing, one after the other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from operator import itemgetter
from typing import TYPE_CHECKING, overload

from skymargin.build.arguments import MarginCacheArguments
from skymargin.build.checkpoint.fingerprint import fingerprint_of
from skymargin.build.checkpoint.lock import locked
from skymargin.build.checkpoint.state import RunState, open_run_state
from skymargin.build.email import notify_on_completion
from skymargin.build.execution.dask import check_visible
from skymargin.build.execution.workers import DaskWorkers, Workers, own_workers
from skymargin.build.memory import memory_shares
from skymargin.build.multiple import validate_group, widest_first
from skymargin.build.preflight import check_apart
from skymargin.build.report import MarginReport
from skymargin.build.stages.finish import contents_of, empty_reason, finish
from skymargin.build.stages.map import MapResult, map_batch
from skymargin.build.stages.plan import (
    average_row_bytes,
    check_output,
    check_partitions,
    destination_batches,
    gathered_rows,
    layout,
    make_job,
    margin_choice,
    source_batches,
)
from skymargin.build.stages.reduce import ReduceResult, reduce_batch
from skymargin.build.stages.tasks import MarginWriterSpec, ReduceTask, RunSpec
from skymargin.build.subset.changes import scope_of, taken_over
from skymargin.build.subset.provenance import write_record
from skymargin.build.subset.scope import Scope
from skymargin.catalogs.catalog import Catalog, format_named, open_catalog
from skymargin.catalogs.collection import add_margin
from skymargin.catalogs.output_options import OutputOptions
from skymargin.catalogs.row_counts import check_rows
from skymargin.progress import Stages
from skymargin.storage.paths import AnyPath, absolute, is_local, remove_folder

if TYPE_CHECKING:
    from pathlib import Path

    from distributed import Client


@overload
def pipeline(args: MarginCacheArguments) -> MarginReport: ...


@overload
def pipeline(args: Sequence[MarginCacheArguments]) -> list[MarginReport]: ...


def pipeline(
    args: MarginCacheArguments | Sequence[MarginCacheArguments],
) -> MarginReport | list[MarginReport]:
    """Make a margin catalog, or several of one catalog: in threads here, or with more workers on its own Dask client.

    Several are made with one reading of the catalog. Each is what a call of its own would make. They have all
    arguments in common but the output and what concerns the files in it, threshold, `overwrite` and mail, and are exact
    (`fine_filtering`). They get their places one after the other when all are made; when a move fails, or the run is
    killed between two, those that have their places are complete, the others are not there, and the same call goes on.

    Parameters
    ----------
    args
        What to make; a list of them for several margins.

    Returns
    -------
    MarginReport or list of MarginReport
        What was made; for a list, in its order. What was read was read for all of them together.

    Raises
    ------
    ArgumentError
        When several margins cannot be made in one run.
    SkymarginError
        When a margin cannot be made completely. No catalog is left behind; what is done is kept for the next call,
        when it can be of use to it.
    """
    run = _run_of(args)
    with _mailed(run):
        run.plan()
        with _locked(run), _workers(run.first) as workers:
            _make(run, workers)
    return _answer(args, run)


@overload
def pipeline_with_client(args: MarginCacheArguments, client: Client) -> MarginReport: ...


@overload
def pipeline_with_client(args: Sequence[MarginCacheArguments], client: Client) -> list[MarginReport]: ...


def pipeline_with_client(
    args: MarginCacheArguments | Sequence[MarginCacheArguments], client: Client
) -> MarginReport | list[MarginReport]:
    """Make a margin catalog with a Dask client of yours; its workers must see the files and `tmp_dir`.

    Paths may be relative to the folder of this process, wherever the workers were started.

    Parameters
    ----------
    args
        What to make, or a list as for `pipeline`; what it says of Dask is ignored.
    client
        A connected client.

    Returns
    -------
    MarginReport or list of MarginReport
        What was made, as for `pipeline`.

    Raises
    ------
    WorkerError
        When a worker does not see the files, or cannot import skymargin.
    SkymarginError
        When the margin cannot be made completely. No catalog is left behind; what is done is kept for the next call,
        when it can be of use to it.
    """
    run = _run_of(args)
    with _mailed(run):
        _make_with_client(run, client)
    return _answer(args, run)


def make_with_client(args: MarginCacheArguments, client: Client) -> MarginReport:
    """As `pipeline_with_client` for one margin, without a mail."""
    run = _run_of(args)
    _make_with_client(run, client)
    return run.reports[0]


def _make_with_client(run: _Run, client: Client) -> None:
    run.plan()
    with _locked(run):
        _make(run, DaskWorkers(client), seen_by=client)


@dataclass
class _Run:
    """The margin catalogs of a run, the one with the largest threshold first: its rows hold those of the others."""

    margins: list[MarginCacheArguments]
    # Where the arguments of each were in what was given.
    given: list[int]
    stages: Stages
    catalog: Catalog = field(init=False)
    job: RunSpec = field(init=False)
    scope: Scope = field(init=False)
    reports: list[MarginReport] = field(default_factory=list)

    @property
    def first(self) -> MarginCacheArguments:
        return self.margins[0]

    def plan(self) -> None:
        """Plan what is to be made."""
        self.catalog, self.job, self.scope = planned(self.margins, self.stages)

    def threshold_arcsec(self, margin: int) -> float:
        """The threshold of a margin; that of a coarse one was chosen with the job."""
        return self.margins[margin].margin_threshold if margin else self.job.margin_threshold_arcsec

    def narrower(self, margin: int) -> int | None:
        """Number of its threshold among the narrower ones; None when it is the largest."""
        threshold_arcsec, narrower = self.threshold_arcsec(margin), self.job.narrower_arcsec
        return narrower.index(threshold_arcsec) if threshold_arcsec in narrower else None


def _run_of(args: object) -> _Run:
    several = validate_group(args)
    given = widest_first(several)
    margins = [several[number] for number in given]
    first = margins[0]
    return _Run(margins, given, Stages(first.progress_bar, first.simple_progress_bar, first.tqdm_kwargs))


def _answer(args: object, run: _Run) -> MarginReport | list[MarginReport]:
    if isinstance(args, MarginCacheArguments):
        return run.reports[0]
    return [report for _, report in sorted(zip(run.given, run.reports, strict=True), key=itemgetter(0))]


@contextmanager
def _mailed(run: _Run) -> Iterator[None]:
    """A mail for each margin."""
    with ExitStack() as mails:
        outcomes = [
            mails.enter_context(
                notify_on_completion(args.completion_email_address or "", args.output_artifact_name)
            )
            for args in run.margins
        ]
        try:
            yield
        finally:
            # Fewer than there are margins when an error came between two moves.
            for outcome, report in zip(outcomes, run.reports, strict=False):
                outcome.summary = report.summary()


@contextmanager
def _workers(args: MarginCacheArguments) -> Iterator[Workers]:
    """Workers on this machine; what Dask left of a killed run goes. Needs the locks."""
    for folder in args.run_paths.dask_leftovers(args.dask_path):
        remove_folder(folder)
    with own_workers(
        args.dask_n_workers, args.dask_threads_per_worker, args.dask_path, args.run_paths.workers
    ) as workers:
        yield workers


@contextmanager
def _locked(run: _Run) -> Iterator[None]:
    with ExitStack() as held:
        for args in run.margins:
            held.enter_context(locked(args.run_paths.locks, str(args.catalog_path)))
        yield


def planned(margins: Sequence[MarginCacheArguments], stages: Stages) -> tuple[Catalog, RunSpec, Scope]:
    """Everything that can be checked before work begins; nothing is written.

    Parameters
    ----------
    margins
        The arguments of each margin catalog of a run, the one with the largest threshold first.
    stages
        The clock.
    """
    first = margins[0]
    with stages.stage("Planning", total=3) as advance:
        catalog = open_catalog(first.primary_path).overlapping(list(first.debug_filter_pixel_list or ()))
        advance(1)
        for args in margins:
            check_apart(catalog.path, args.catalog_path)
        choice = margin_choice(first.margin_threshold, first.margin_order, first.fine_filtering, catalog)
        for args in margins:
            check_output(catalog, OutputOptions.of(args))
        advance(1)
        tiling = check_partitions(catalog)
        thresholds = {args.margin_threshold for args in margins}
        narrower_arcsec = tuple(sorted(thresholds - {first.margin_threshold}))
        job = make_job(catalog, *choice, first.fine_filtering, narrower_arcsec, first.check_index)
        scope = scope_of(first, catalog, job, tiling)
        advance(1)
    return catalog, replace(job, margins=scope.margins), scope


def _make(run: _Run, workers: Workers, seen_by: Client | None = None) -> None:
    first = run.first
    fingerprint = fingerprint_of(run.catalog, run.job, run.margins)
    with open_run_state(run.margins, fingerprint, workers.threads, is_local(run.catalog.path)) as progress:
        if not progress.is_made:
            _build(run, workers, progress, seen_by)
        for report in progress.place():
            run.reports.append(replace(report, seconds=dict(run.stages.seconds)))
        for margin in progress.margins:
            if margin.collection is not None:
                args = margin.args
                add_margin(margin.collection, args.catalog_path, default=args.default_margin)
        progress.clean_up(first.delete_intermediate_parquet_files, first.delete_resume_log_files)
    if first.progress_bar:
        for report in run.reports:
            print(report.summary())


def _build(run: _Run, workers: Workers, progress: RunState, seen_by: Client | None) -> None:
    """Make the whole margin catalogs aside, beginning with what is done of them."""
    catalog, scope, stages = run.catalog, run.scope, run.stages
    job = replace(run.job, memory=memory_shares(run.first.memory_bytes, workers.threads_per_worker))
    spec_file = progress.save_spec(job)
    if seen_by is not None:
        for making in progress.margins:
            check_visible(seen_by, _places(catalog, making.partial, spec_file))
    with stages.stage("Mapping", total=len(scope.sources.orders)) as advance:
        sources = source_batches(scope.sources, progress.threads)
        advance(sum(one.partitions for one in progress.mapped.values()))
        todo = [batch for batch in sources if batch.number not in progress.mapped]

        def keep_mapped(one: MapResult) -> None:
            progress.add_mapped(one)
            advance(one.partitions)

        workers.run(map_batch, spec_file, todo, keep_mapped)
        mapped = [*(progress.mapped[batch.number] for batch in sources), *scope.unread]
        check_rows(catalog, {(order, pixel): rows for one in mapped for order, pixel, rows, _ in one.sizes})
        row_bytes = average_row_bytes(mapped)
        threads = progress.begin_reducing(workers.threads)
        tasks, total = _reducing_tasks(run, progress, len(sources), row_bytes, threads)
    with stages.stage("Reducing", total=total) as advance:
        advance(sum(len(one.orders) for one in progress.reduced.values()))
        unwritten = [task for task in tasks if task[0].number not in progress.reduced]

        def keep_reduced(one: ReduceResult) -> None:
            progress.add_reduced(one)
            advance(len(one.orders))

        workers.run(reduce_batch, spec_file, unwritten, keep_reduced)
        reduced = [progress.reduced[batch.number] for batch, _ in tasks]
    with stages.stage("Finishing", total=1 + len(run.margins)) as advance:
        progress.keep_only_margins()
        advance(1)
        reports = []
        for number in range(len(run.margins)):
            written = [one for one in reduced if one.margin == number]
            reports.append(_finish(run, number, progress.margins[number].partial, mapped, written))
            advance(1)
    progress.record_made(reports)


def _reducing_tasks(
    run: _Run, progress: RunState, shards: int, row_bytes: int, threads: int
) -> tuple[list[tuple[ReduceTask, MarginWriterSpec]], int]:
    """What is to be written of all margin catalogs, numbered through; and how many margins that are."""
    tasks: list[tuple[ReduceTask, MarginWriterSpec]] = []
    total = 0
    for margin, making in enumerate(progress.margins):
        narrower = run.narrower(margin)
        batches, count = destination_batches(progress.shards, shards, row_bytes, threads, narrower)
        output = replace(
            _output(making.partial, run.catalog, row_bytes, OutputOptions.of(making.args)),
            margin=margin,
            within_arcsec=None if narrower is None else run.threshold_arcsec(margin),
        )
        before = len(tasks)
        tasks += [(replace(batch, number=before + batch.number), output) for batch in batches]
        total += count
    return tasks, total


def _finish(
    run: _Run, margin: int, folder: AnyPath, mapped: Sequence[MapResult], written: list[ReduceResult]
) -> MarginReport:
    """Make the files of one margin catalog a catalog."""
    catalog, args, threshold_arcsec = run.catalog, run.margins[margin], run.threshold_arcsec(margin)
    wanted, narrower = OutputOptions.of(args), run.narrower(margin)
    found = sum(one.rows if narrower is None else one.rows_within[narrower] for one in mapped)
    reduced = taken_over(args.catalog_path, folder, catalog, run.scope, written, wanted)
    contents = contents_of(args.output_artifact_name, threshold_arcsec, reduced, wanted)
    job = replace(run.job, margin_threshold_arcsec=threshold_arcsec, narrower_arcsec=())
    write_record(folder, catalog, job, wanted, run.scope.stamps, mapped)
    finish(folder, catalog, contents, found)
    return MarginReport(
        catalog_path=str(args.catalog_path),
        rows=contents.rows,
        partitions=len(contents.orders),
        margin_threshold_arcsec=threshold_arcsec,
        primary_path=str(catalog.path),
        primary_rows=sum(one.primary_rows for one in mapped),
        primary_partitions=len(catalog.orders),
        bytes_read=sum(one.bytes_read for one in mapped),
        pages_decoded=sum(one.pages_decoded for one in mapped),
        empty_reason=empty_reason(contents, mapped, len(catalog.orders), args.fine_filtering),
    )


def _output(folder: AnyPath, catalog: Catalog, row_bytes: int, wanted: OutputOptions) -> MarginWriterSpec:
    options = format_named(catalog.format).write_options(catalog.schema, wanted.write_table_kwargs)
    most_rows, compressed = layout(catalog, row_bytes, wanted)
    return MarginWriterSpec(
        folder=absolute(folder),
        format=catalog.format,
        options=options,
        group_rows=most_rows,
        gathered_rows=gathered_rows(row_bytes),
        compressed_rows=compressed,
        wanted=wanted,
    )


def _places(catalog: Catalog, folder: AnyPath, spec_file: Path) -> dict[str, AnyPath]:
    """What workers must see; a folder on an object store is not there before a file is in it."""
    source = catalog.path / catalog.files[0][0] if catalog.files else catalog.listed_in
    output = {"output_path": absolute(folder)} if is_local(folder) else {}
    return {"input_catalog_path": absolute(source), **output, "tmp_dir": spec_file}
