"""The pipeline: plan, lock, map, reduce, finish, publish."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from typing import TYPE_CHECKING, overload

from skymargin.build.arguments import MarginCacheArguments
from skymargin.build.checkpoint.lock import locked
from skymargin.build.checkpoint.resume import open_run_state
from skymargin.build.email import notify_on_completion
from skymargin.build.execution.dask_connection import check_client
from skymargin.build.execution.places import Place
from skymargin.build.execution.workers import DaskWorkers, Workers, own_workers
from skymargin.build.memory import OnStores, memory_shares
from skymargin.build.multiple import validate_group, widest_first
from skymargin.build.planning import RunPlan, plan_run
from skymargin.build.report import MarginReport
from skymargin.build.run import Run
from skymargin.build.stages.tasks import Job
from skymargin.errors import ArgumentError
from skymargin.interrupts import with_short_interrupts
from skymargin.progress import Stages, in_notebook
from skymargin.storage.paths import absolute, is_local, remove_folder

if TYPE_CHECKING:
    from distributed import Client

    from skymargin.build.checkpoint.state import RunState


@overload
def pipeline(args: MarginCacheArguments) -> MarginReport: ...


@overload
def pipeline(args: Sequence[MarginCacheArguments]) -> list[MarginReport]: ...


@with_short_interrupts
def pipeline(
    args: MarginCacheArguments | Sequence[MarginCacheArguments],
) -> MarginReport | list[MarginReport]:
    """Make a margin catalog, or several of one catalog, in threads of this process or on a Dask client of its own.

    Several margins are made with one read of the catalog, and each is what a call of its own would make. Their
    arguments differ only in the output and the options of its files, the threshold, `overwrite` and the mail, and they
    must be exact (`fine_filtering`). They are published one after another when all are made. When publishing one fails,
    or the run is killed in between, those already published are complete, the others do not exist, and the same call
    resumes.

    Parameters
    ----------
    args
        What to make; a list for several margins.

    Returns
    -------
    MarginReport or list of MarginReport
        What was made, in the order of `args`. The amounts that were read are for all margins together.

    Raises
    ------
    ArgumentError
        When several margins cannot be made in one run.
    SkymarginError
        When a margin cannot be made completely. No catalog is left behind; finished work that the next call can use is
        kept for it.
    """
    return _run(args)


@overload
def pipeline_with_client(args: MarginCacheArguments, client: Client) -> MarginReport: ...


@overload
def pipeline_with_client(args: Sequence[MarginCacheArguments], client: Client) -> list[MarginReport]: ...


@with_short_interrupts
def pipeline_with_client(
    args: MarginCacheArguments | Sequence[MarginCacheArguments], client: Client
) -> MarginReport | list[MarginReport]:
    """Make a margin catalog with your Dask client.

    Its workers must see the catalog, the output and `tmp_dir`, which may all be on an object store: then they need no
    common disk. Local paths may be relative to the folder of this process, wherever the workers were started. Locks and
    records of progress stay on the machine of this process.

    Parameters
    ----------
    args
        What to make, or a list as for `pipeline`; of its Dask arguments, only `dask_wait_seconds` is used.
    client
        A connected client.

    Returns
    -------
    MarginReport or list of MarginReport
        What was made, as for `pipeline`.

    Raises
    ------
    ArgumentError
        When the client is none, or asynchronous.
    WorkerError
        When no worker is there that sees the files and has skymargin, or the scheduler is lost.
    SkymarginError
        When the margin cannot be made completely. No catalog is left behind; finished work that the next call can use
        is kept for it.
    """
    if not hasattr(client, "asynchronous"):
        raise ArgumentError(f"client must be a dask.distributed.Client, not {type(client).__name__}")
    return _run(args, client)


def make_with_client(args: MarginCacheArguments | Sequence[MarginCacheArguments], client: Client) -> None:
    """As `pipeline_with_client`, without a mail."""
    _make(validate_group(args), {}, client)


def _run(
    args: MarginCacheArguments | Sequence[MarginCacheArguments], client: Client | None = None
) -> MarginReport | list[MarginReport]:
    margins = validate_group(args)
    reports: dict[str, MarginReport] = {}
    with _mails(margins, reports):
        _make(margins, reports, client)
    in_order = [reports[str(each.catalog_path)] for each in margins]
    return in_order[0] if isinstance(args, MarginCacheArguments) else in_order


def _make(
    margins: Sequence[MarginCacheArguments], reports: dict[str, MarginReport], client: Client | None
) -> None:
    """Make the margin catalogs, the widest first.

    The report of each is added when it is published, under the path of its catalog as these arguments spell it.
    """
    if client is not None:
        check_client(client)
    margins = widest_first(margins)
    first = margins[0]
    stages = Stages(first.progress_bar, first.simple_progress_bar, first.tqdm_kwargs)
    plan = plan_run(margins, stages, shares_disk=client is None)
    with (
        _locks(plan),
        _workers(first, client) as workers,
        open_run_state(plan, workers.threads) as state,
    ):
        if not state.is_made:
            memory = memory_shares(first.memory_bytes, workers.threads_per_worker, _on_stores(plan, state))
            job = Job(uuid.uuid4().hex, plan.spec, memory, state.shards)
            if client is not None:
                workers.require(_shared_places(plan, state))
            run = Run(plan, state, workers, stages, job)
            mapped, tasks = run.map()
            run.reduce(tasks)
            run.finish(mapped)
        for margin in state.margins:
            reports[str(margin.spec.target.catalog)] = margin.publish()
        for margin in state.margins:
            margin.join_collection()
        state.clean_up(first.delete_intermediate_parquet_files, first.delete_resume_log_files)
    # A notebook shows the report that is returned; of a list it would show the constructors.
    if first.progress_bar and not (in_notebook() and len(reports) == 1):
        for report in reports.values():
            print(report.summary())


@contextmanager
def _mails(margins: Sequence[MarginCacheArguments], reports: dict[str, MarginReport]) -> Iterator[None]:
    """Send a mail for each margin at the end."""
    with ExitStack() as mails:
        outcomes = [
            mails.enter_context(notify_on_completion(args.completion_email_address or "", args.artifact_name))
            for args in margins
        ]
        try:
            yield
        finally:
            # There are fewer reports than margins when publishing failed in between.
            for args, outcome in zip(margins, outcomes, strict=True):
                if report := reports.get(str(args.catalog_path)):
                    outcome.summary = report.summary()


@contextmanager
def _locks(plan: RunPlan) -> Iterator[None]:
    with ExitStack() as locks:
        for margin in plan.margins:
            locks.enter_context(locked(margin.target.paths.locks, str(margin.target.catalog)))
        yield


@contextmanager
def _workers(args: MarginCacheArguments, client: Client | None) -> Iterator[Workers]:
    """Those of the client, else workers on this machine; needs the locks."""
    if client is not None:
        with closing(DaskWorkers(client, args.dask_wait_seconds)) as users:
            yield users
        return
    for folder in args.run_paths.dask_leftovers(args.dask_path):
        remove_folder(folder)
    workers, threads = args.dask_n_workers, args.dask_threads_per_worker
    with own_workers(workers, threads, args.dask_path, args.run_paths.workers) as own:
        yield own


def _on_stores(plan: RunPlan, state: RunState) -> OnStores:
    margins = [margin.paths.final for margin in state.margins]
    return OnStores(
        catalog=not is_local(plan.spec.files_root),
        shards=not is_local(state.shards),
        margins=not all(map(is_local, margins)),
    )


def _shared_places(plan: RunPlan, state: RunState) -> list[Place]:
    """What workers must see; a folder on an object store does not exist before a file is in it."""
    catalog = plan.catalog
    source = catalog.root / catalog.files[0][0] if catalog.files else catalog.listed_in
    outputs = {
        "output_path" if not number else f"output_path of {margin.spec.name}": margin.partial
        for number, margin in enumerate(state.margins)
    }
    made = {**outputs, "tmp_dir": state.shards}
    return [
        Place("input_catalog_path", absolute(source)),
        *(Place(argument, absolute(path), must_exist=is_local(path)) for argument, path in made.items()),
    ]
