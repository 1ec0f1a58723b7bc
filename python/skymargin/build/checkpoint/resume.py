"""Resuming an interrupted run: its records are used when its fingerprint is that of the run, else removed."""

from __future__ import annotations

import dataclasses
import json
import logging
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from skymargin.build.checkpoint.fingerprint import Fingerprint, fingerprint_of
from skymargin.build.checkpoint.pending import (
    PendingMargin,
    check_output,
    record_copying,
    recover_outputs,
    remove_begun,
)
from skymargin.build.checkpoint.records import check_owner, read_json
from skymargin.build.checkpoint.state import RunState
from skymargin.build.planning import MarginSpec, RunPlan
from skymargin.build.preflight import find_collection, is_begun_copy
from skymargin.build.run_paths import COMPLETED, PUBLISHING, RunPaths
from skymargin.build.stages.plan import task_sizes
from skymargin.catalogs.ownership import file_names, foreign_to_run, listing_of
from skymargin.errors import (
    ArgumentError,
    CatalogError,
    IncompleteMarginError,
    OutputExistsError,
    OutputInUseError,
    PartitionReadError,
)
from skymargin.formatting import listed
from skymargin.storage.paths import (
    AnyPath,
    exists,
    is_local,
    make_folder,
    remove_folder,
    resolve_reference,
)

_log = logging.getLogger("skymargin")

_RUN = "run.json"
# The errors of a run whose output is not its own, or not its own alone.
_NOT_OWN = (OutputExistsError, OutputInUseError)


@contextmanager
def open_run_state(plan: RunPlan, threads: int) -> Iterator[RunState]:
    """The state of an interrupted run with the same fingerprint, or of a new run. Needs the locks.

    When the block ends with an error, what is done is kept, unless the error says that it cannot be used.

    Raises
    ------
    StorageError
        When a folder cannot be made, or one with records belongs to another user.
    ArgumentError
        When a collection does not accept its margin.
    OutputExistsError
        When there is something at an output that may not be replaced, or a folder of earlier runs holds files of
        others. Nothing is removed then.
    """
    targets = [margin.target for margin in plan.margins]
    for target in targets:
        check_owner(target.paths.records)
    collections = [find_collection(target) for target in targets]
    fingerprint = fingerprint_of(plan)
    left = [target.paths.leftovers() for target in targets]
    state, reason = _interrupted(plan, collections, fingerprint, left[0])
    leftovers: list[AnyPath] = []
    is_free = []
    for number, target in enumerate(targets):
        made = state.margins[number] if state is not None and state.is_made else None
        is_free.append(not check_output(target, made))
        leftovers += _checked_leftovers(target.paths, left[number])
    if state is None or not state.is_made:
        recover_outputs(targets)
    reasons = [reason, *(_reason_of_other(target.paths) for target in targets[1:])]
    for target, why in zip(targets, reasons, strict=True):
        if why:
            _log.warning(
                "%s: what an earlier run did for it is thrown away, because %s", target.paths.final, why
            )
    if state is None:
        for number, target in enumerate(targets):
            if remove_begun(target.paths):
                is_free[number] = True
    begun_copies = [
        (target.paths, target.paths.copied_names, target.paths.token, target.paths.was_in_place)
        for target in targets
        if is_begun_copy(target.paths)
    ]
    for folder in leftovers:
        if state is None or folder not in state.folders:
            remove_folder(folder)
    if state is not None:
        _log.info("%s: resumes from what is kept in %s", targets[0].paths.final, state.shards)
    else:
        state = _new(plan, collections, fingerprint, threads, is_free)
    for paths, names, token, was_in_place in begun_copies:
        # The records that were removed said whose files are at the output.
        record_copying(paths, names, token, in_place=was_in_place)
    try:
        if not state.is_made:
            for folder in (state.shards, *(margin.partial for margin in state.margins)):
                make_folder(folder, exist_ok=True)
        yield state
    except BaseException as error:
        if _is_usable(state, error, is_local(plan.catalog.path)):
            error.add_note(
                f"What is done is kept in {_kept(state, error)}; the same call goes on from there."
            )
        else:
            try:
                state.throw_away(place_is_own=not isinstance(error, _NOT_OWN))
            except Exception as second:
                # The first says what went wrong.
                error.add_note(f"What was done cannot be removed: {second}")
        raise


def _kept(state: RunState, error: BaseException) -> str:
    """Where the work of a run is kept after an error, in words that follow "in"."""
    places = [state.shards]
    if not isinstance(error, _NOT_OWN):
        # Those say what is at the final path, and that not all of it is of this run.
        places += [margin.paths.final for margin in state.margins if margin.has_begun_in_place]
    return " and in ".join(map(str, places))


def _state(
    plan: RunPlan,
    collections: Sequence[AnyPath | None],
    token: str,
    threads: int,
    in_place: Sequence[bool],
) -> RunState:
    margins = [
        PendingMargin(
            margin, margin.target.paths.partial(token, in_place=is_in_place), is_in_place, collection, token
        )
        for margin, is_in_place, collection in zip(plan.margins, in_place, collections, strict=True)
    ]
    return RunState(margins, margins[0].paths.shards(token), threads)


def _new(
    plan: RunPlan,
    collections: Sequence[AnyPath | None],
    fingerprint: Fingerprint,
    threads: int,
    is_free: Sequence[bool],
) -> RunState:
    """A new run; `is_free` says of each output whether there is nothing."""
    token = uuid.uuid4().hex
    in_place = [
        is_free_now and plan.in_this_process and _may_be_in_place(margin)
        for margin, is_free_now in zip(plan.margins, is_free, strict=True)
    ]
    state = _state(plan, collections, token, threads, in_place)
    make_folder(state.records, exist_ok=True)
    check_owner(state.records)
    content = {
        "token": token,
        "shards": str(state.shards),
        "threads": threads,
        "in_place": in_place,
        "task_sizes": task_sizes(),
        "fingerprint": dataclasses.asdict(fingerprint),
    }
    state.record(_RUN, json.dumps(content).encode())
    return state


def _may_be_in_place(margin: MarginSpec) -> bool:
    """Whether margins may be written to the final path at once: on a store, where nothing is replaced.

    By threads of this process alone: a Dask worker may complete a file when its run was given up, and the next one, for
    which the mark of that run is its own, goes on.
    """
    # The files that describe a margin catalog are made from all of its files in one folder.
    return not is_local(margin.target.paths.final) and not margin.output.describes


def _interrupted(
    plan: RunPlan,
    collections: Sequence[AnyPath | None],
    fingerprint: Fingerprint,
    leftovers: Sequence[AnyPath],
) -> tuple[RunState | None, str | None]:
    """The state of an interrupted run, if it can be resumed; else why not, if there was one.

    `leftovers` are the folders that runs of the first output have left.
    """
    target = plan.margins[0].target
    paths = target.paths
    if (paths.records / COMPLETED).exists():
        return None, None
    records = read_json(paths.records / _RUN)
    if records is None:
        return None, _reason_without_records(paths, leftovers)
    damaged = f"its records in {paths.records} are damaged"
    try:
        old = Fingerprint(**records["fingerprint"])
        # A run of other margins is told by its fingerprint.
        in_place = [*map(bool, records["in_place"]), *([False] * len(plan.margins))][: len(plan.margins)]
        state = _state(plan, collections, records["token"], int(records["threads"]), in_place)
    except (KeyError, TypeError, ValueError):
        return None, damaged
    change = fingerprint.change_from(old)
    made = read_json(paths.records / PUBLISHING)
    lost: list[PendingMargin] = []
    if made is not None:
        try:
            # When the run made others with it, the first is the margin of these records.
            state.read_made(made["made"][: len(plan.margins)])
        except (KeyError, TypeError, ValueError):
            return None, change or damaged
        lost = [margin for margin in state.margins if margin.is_lost]
        if len(lost) == len(state.margins):
            # It was published, and removed or replaced since: only cleaning up is left.
            return None, None
    if not target.resume:
        return None, "resume=False"
    if change:
        return None, change
    if lost:
        return None, f"{lost[0].paths.final}, which was made with it, was removed or replaced"
    if made is None:
        if any(in_place) and not plan.in_this_process:
            return None, "it wrote margins to their place, which only threads of one process do"
        for margin in state.margins:
            if margin.in_place and not margin.is_own_place(listing_of(margin.paths.final)):
                return None, f"something else has come to {margin.paths.final}"
        if records.get("task_sizes") != list(task_sizes()):
            return None, "its tasks had other sizes"
        state.read_mapped()
    return state, None


def _reason_without_records(paths: RunPaths, leftovers: Sequence[AnyPath]) -> str | None:
    """Why shards without records cannot be used; None when there are none, or they were kept on purpose."""
    for folder in leftovers:
        names = file_names(folder)
        if any(name.startswith("shard-") for name in names) and COMPLETED not in names:
            return f"there are no records of its progress in {paths.progress} (resume_tmp, else tmp_dir)"
    return None


def _reason_of_other(paths: RunPaths) -> str | None:
    """Why the work of a run of this output alone cannot be used for several; None when there is none."""
    if not (paths.records / _RUN).exists() or (paths.records / COMPLETED).exists():
        return None
    return "it is made together with others now"


def _checked_leftovers(paths: RunPaths, leftovers: Sequence[AnyPath]) -> list[AnyPath]:
    """The folders that runs of this output have left, and among them shards in the `tmp_dir` of another run.

    Raises
    ------
    OutputExistsError
        When a folder that only its name makes ours holds something else than the work of runs.
    """
    folders = list(leftovers)
    records = read_json(paths.records / _RUN)
    token, shards = (
        (records.get(name) for name in ("token", "shards")) if isinstance(records, dict) else (None, None)
    )
    if isinstance(shards, str):
        # On the server of the output, with its options; another server may need options that are not known here.
        elsewhere = resolve_reference(paths.final, shards) if "://" in shards else Path(shards)
        # By its real path: the record may spell a folder of this run in another way.
        known = {str(folder.resolve()) for folder in folders}
        # A store that is not reached keeps no run from starting.
        with suppress(OSError):
            if (
                paths.is_of_this(elsewhere.name)
                and str(elsewhere.resolve()) not in known
                and exists(elsewhere)
                and elsewhere.is_dir()
            ):
                folders.append(elsewhere)
    for folder in folders:
        if isinstance(token, str) and token and folder != paths.records and paths.has_token(folder, token):
            # A record names it, by a token that only its maker knew.
            continue
        foreign = foreign_to_run(file_names(folder))
        if foreign:
            raise OutputExistsError(
                f"{folder} was left by an earlier run and would be removed, but it also holds {listed(foreign)}, which "
                "skymargin did not write: move that elsewhere"
            )
    return folders


def _is_usable(state: RunState, error: BaseException, input_is_local: bool) -> bool:
    """Whether a run can be resumed after an error: not when the catalog or the arguments are at fault."""
    import pyarrow as pa

    if isinstance(error, _NOT_OWN):
        # When what has come to the output is gone, margins that are made can be published, and those below the mark of
        # the run be completed.
        has_begun = any(margin.has_begun_in_place for margin in state.margins)
        return state.is_made or (has_begun and isinstance(error, OutputExistsError))
    if not state.mapped and not state.is_made:
        return False
    if isinstance(error, PartitionReadError):
        # A local file is damaged; a server may be reached again later.
        return not input_is_local
    # The last one: pyarrow cannot read a damaged shard.
    at_fault = (CatalogError, ArgumentError, IncompleteMarginError, pa.ArrowInvalid)
    return not isinstance(error, at_fault)
