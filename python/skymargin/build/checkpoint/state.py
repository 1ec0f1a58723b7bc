"""Going on where a run was cut off: small records say what is done, and by which fingerprint it was done.

A run writes, in its folder of records:

- `run.json` when it begins: its fingerprint, the token in the names of its other folders, and its number of threads.
  The batches depend on that number, so a run that goes on keeps to it, whatever threads it has itself.
- `mapped-N` and `reduced-N` for each batch that is done, with the sizes of the files it wrote. A record counts when the
  files are there in that size.
- `reducing.json` when reducing begins: its number of threads.
- `placing.json` when the margin catalog is made and verified, before it gets its place: the report.
- `copying` when the margin catalog begins to be copied to its place, on an object store.
- `completed` at the end, when the records are to be kept.

A run that makes several margin catalogs keeps all that beside the first, the one with the largest threshold. The
others have a folder of records from the moment when all are made, with a `placing.json` that says only that.

Each of these is written aside and renamed, so it is whole or not there.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import pickle
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from skymargin.build.arguments import MarginCacheArguments
from skymargin.build.checkpoint.fingerprint import Fingerprint
from skymargin.build.checkpoint.publish import PendingMargin, check_output, digest_of
from skymargin.build.checkpoint.records import check_owner, read_json, read_pickle, write_record
from skymargin.build.preflight import find_collection
from skymargin.build.report import MarginReport
from skymargin.build.run_paths import COMPLETED, PUBLISHING, RunPaths
from skymargin.build.stages.map import MapResult
from skymargin.build.stages.reduce import ReduceResult
from skymargin.build.stages.tasks import RunSpec, shard_file
from skymargin.catalogs.ownership import file_names, foreign_to_run, listed
from skymargin.errors import (
    ArgumentError,
    CatalogError,
    IncompleteMarginError,
    OutputExistsError,
    PartitionReadError,
    StorageError,
)
from skymargin.storage.paths import AnyPath, list_files, make_folder, remove_files, remove_folder

_log = logging.getLogger("skymargin")

_RUN = "run.json"
_REDUCING = "reducing.json"


@dataclass
class RunState:
    """What a run has done, and where; made by `open_run_state`.

    Attributes
    ----------
    margins : list of Making
        The margin catalogs, the one with the largest threshold first. Records are kept beside that one.
    shards : Path
        Folder of the shards and of the job.
    threads : int
        Threads that the batches of mapping are made for.
    mapped, reduced : dict
        What batches that are done came to, by their numbers.
    """

    margins: list[PendingMargin]
    shards: Path
    threads: int
    mapped: dict[int, MapResult] = field(default_factory=dict)
    reduced: dict[int, ReduceResult] = field(default_factory=dict)

    @property
    def records(self) -> Path:
        """Folder of the records."""
        return self.margins[0].run_paths.records

    @property
    def is_made(self) -> bool:
        """Whether all margin catalogs are made, and have only to get their places, or have them already."""
        return self.margins[0].report is not None

    def save_spec(self, job: RunSpec) -> Path:
        """Write the job for the tasks of this run; those of earlier runs, should any still work, end without theirs."""
        for file in self.shards.glob("job-*"):
            file.unlink(missing_ok=True)
        spec_file = self.shards / f"job-{uuid.uuid4().hex[:8]}"
        try:
            job.save(spec_file)
        except OSError as error:
            raise StorageError(f"{self.shards} cannot be written: {error}") from error
        return spec_file

    def add_mapped(self, mapped: MapResult) -> None:
        """Record a batch of partitions whose shard is written."""
        shard = shard_file(self.shards, mapped.number)
        try:
            size = shard.stat().st_size
        except OSError as error:
            raise StorageError(f"a worker wrote {shard}, which is not seen here: {error}") from error
        self.mapped[mapped.number] = mapped
        self._record(f"mapped-{mapped.number:06d}", pickle.dumps((mapped, size)))

    def add_reduced(self, reduced: ReduceResult) -> None:
        """Record a batch of margins that are written."""
        self.reduced[reduced.number] = reduced
        self._record(f"reduced-{reduced.number:06d}", pickle.dumps(reduced))

    def begin_reducing(self, threads: int) -> int:
        """Threads to make the batches of margins for: those of the run that began with it, else the given."""
        begun = read_json(self.records / _REDUCING)
        if isinstance(begun, dict) and isinstance(begun.get("threads"), int):
            self.reduced = self._read_reduced()
            return int(begun["threads"])
        self._record(_REDUCING, json.dumps({"threads": threads}).encode())
        return threads

    def keep_only_margins(self) -> None:
        """Remove from the margin catalogs under construction all but the margins of the records.

        Raises
        ------
        IncompleteMarginError
            When one of them is not there, or not whole.
        """
        for number, making in enumerate(self.margins):
            found = _files_of(making.partial)
            batches = [one for one in self.reduced.values() if one.margin == number]
            expected = {name: size for one in batches for name, size in one.files.items()}
            for name, size in expected.items():
                if found.get(name) != size:
                    raise IncompleteMarginError(
                        f"{making.partial / name} was written with {size} bytes and now has "
                        f"{found.get(name, 'gone')}"
                    )
            remove_files(making.partial, [name for name in found if name not in expected])

    def record_made(self, reports: Sequence[MarginReport]) -> None:
        """Record that the margin catalogs under construction are whole and have only to get their places."""
        digests = [digest_of(making.partial) for making in self.margins]
        for making in self.margins[1:]:
            # Without this, what has got its place would be refused as an output of the call that goes on.
            make_folder(making.run_paths.records, exist_ok=True)
            write_record(
                making.run_paths.records, PUBLISHING, json.dumps({"with": str(self.records)}).encode()
            )
        made = [
            {"report": report.to_dict(), "digest": digest}
            for report, digest in zip(reports, digests, strict=True)
        ]
        self._record(PUBLISHING, json.dumps({"made": made}).encode())
        self.read_made(made)

    def read_made(self, made: Sequence[Mapping[str, Any]]) -> None:
        """Take the margin catalogs for made, as the record of it says."""
        for making, about in zip(self.margins, made, strict=True):
            making.report, making.digest = MarginReport(**about["report"]), about["digest"]

    def place(self) -> Iterator[MarginReport]:
        """Put the margin catalogs at their places, one after the other, those that are not there yet.

        Yields
        ------
        MarginReport
            That of the run that made it, when it is at its place.

        Raises
        ------
        StorageError
            When one cannot be put there. Those before it are at their places then.
        """
        for making in self.margins:
            yield making.place()

    def clean_up(self, shards: bool, records: bool) -> None:
        """Remove what is not needed once the margin catalogs are at their places.

        Parameters
        ----------
        shards, records
            Whether to remove these. What is kept is no progress of a later run, which removes it.
        """
        if shards:
            remove_folder(self.shards)
        else:
            (self.shards / COMPLETED).touch()
        for making in self.margins[1:]:
            remove_folder(making.run_paths.records)
        if records:
            remove_folder(self.records)
        else:
            (self.records / COMPLETED).touch()

    def _read(self) -> None:
        """Read the records of an earlier run; those whose files are not as they were do not count."""
        for file in self.records.glob("mapped-??????"):
            mapped, size = read_pickle(file) or (None, None)
            if isinstance(mapped, MapResult):
                shard = shard_file(self.shards, mapped.number)
                if shard.exists() and shard.stat().st_size == size:
                    self.mapped[mapped.number] = mapped

    def _read_reduced(self) -> dict[int, ReduceResult]:
        read = {}
        found = [_files_of(making.partial) for making in self.margins]
        for file in self.records.glob("reduced-??????"):
            reduced = read_pickle(file)
            if isinstance(reduced, ReduceResult) and all(
                found[reduced.margin].get(name) == size for name, size in reduced.files.items()
            ):
                read[reduced.number] = reduced
        return read

    def _record(self, name: str, content: bytes) -> None:
        write_record(self.records, name, content)


@contextmanager
def open_run_state(
    margins: Sequence[MarginCacheArguments], fingerprint: Fingerprint, threads: int, input_is_local: bool
) -> Iterator[RunState]:
    """What an earlier run of the same fingerprint has done, or the beginning of a new run. Needs the locks.

    When the block ends with an error, what is done is kept, unless the error says that it is of no use.

    Parameters
    ----------
    margins
        The arguments of each margin catalog of the run, the one with the largest threshold first.
    fingerprint
        What decides the result.
    threads
        Threads of all workers.
    input_is_local
        Whether a file of the catalog that cannot be read is damaged; the way to a server may be open again later.

    Raises
    ------
    StorageError
        When a folder cannot be made, or one with records is another user's.
    OutputExistsError
        When something is at an output that is not to be replaced, or a folder of earlier runs holds files of others.
        Nothing is thrown away then.
    """
    places = margins[0].run_paths
    for args in margins:
        check_owner(args.run_paths.records)
    collections = [find_collection(args.target) for args in margins]
    progress, reason = _earlier(margins, read_json(places.records / _RUN), fingerprint)
    for number, args in enumerate(margins):
        check_output(args, None if progress is None or not progress.is_made else progress.margins[number])
        _check_leftovers(args.run_paths)
    reasons = {places.final: reason} | {
        args.run_paths.final: _reason_of_another(args) for args in margins[1:]
    }
    for final, why in reasons.items():
        if why:
            _log.warning("%s: what an earlier run did for it is thrown away, because %s", final, why)
    for args in margins:
        _remove_leftovers(args.run_paths, progress)
    if progress is not None:
        _log.info("%s: goes on from what is kept in %s", places.final, progress.shards)
    else:
        progress = _begun(margins, fingerprint, threads)
    for margin, collection in zip(progress.margins, collections, strict=True):
        margin.collection = collection
    try:
        if not progress.is_made:
            for folder in (progress.shards, *(making.partial for making in progress.margins)):
                make_folder(folder, exist_ok=True)
        yield progress
    except BaseException as error:
        if _is_of_use(progress, error, input_is_local):
            error.add_note(f"What is done is kept in {progress.shards}; the same call goes on from there.")
        else:
            for folder in _folders_of(progress):
                remove_folder(folder)
        raise


def _progress(margins: Sequence[MarginCacheArguments], token: str, threads: int) -> RunState:
    makings = [PendingMargin(args, args.run_paths, args.run_paths.partial(token)) for args in margins]
    return RunState(makings, makings[0].run_paths.shards(token), threads)


def _folders_of(progress: RunState) -> list[AnyPath]:
    """All that a run has but its outputs; the records that it can be gone on with come first."""
    # Until all are made, what records the others have are of runs of their own.
    with_records = progress.margins if progress.is_made else progress.margins[:1]
    records: list[AnyPath] = [making.run_paths.records for making in with_records]
    return [*records, progress.shards, *(making.partial for making in progress.margins)]


def _begun(margins: Sequence[MarginCacheArguments], fingerprint: Fingerprint, threads: int) -> RunState:
    token = uuid.uuid4().hex[:8]
    progress = _progress(margins, token, threads)
    make_folder(progress.records, exist_ok=True)
    check_owner(progress.records)
    about = {
        "token": token,
        "shards": str(progress.shards),
        "threads": threads,
        "fingerprint": dataclasses.asdict(fingerprint),
    }
    progress._record(_RUN, json.dumps(about).encode())
    return progress


def _earlier(
    margins: Sequence[MarginCacheArguments], records: Any, fingerprint: Fingerprint
) -> tuple[RunState | None, str | None]:
    """What an earlier run did, when it is of use; else why it is not, when there is something."""
    places = margins[0].run_paths
    if (places.records / COMPLETED).exists():
        return None, None
    if records is None:
        return None, _reason_without_records(places)
    try:
        old = Fingerprint(**records["fingerprint"])
        progress = _progress(margins, records["token"], int(records["threads"]))
    except (KeyError, TypeError, ValueError):
        return None, f"its records in {places.records} are damaged"
    change = fingerprint.change_from(old)
    made = read_json(places.records / PUBLISHING)
    if made is not None:
        try:
            # Of a run that made others with it, the first is the one that is here.
            progress.read_made(made["made"][: len(margins)])
        except (KeyError, TypeError, ValueError):
            return None, change or f"its records in {places.records} are damaged"
        lost = [making for making in progress.margins if making.is_lost]
        if lost == progress.margins:
            # It had got its place, and was removed or replaced since: all that is left is to be cleaned.
            return None, None
    if not margins[0].resume:
        return None, "resume=False"
    if change:
        return None, change
    if made is None:
        progress._read()
    elif lost:
        return None, f"{lost[0].run_paths.final}, which was made with it, was removed or replaced"
    return progress, None


def _reason_without_records(places: RunPaths) -> str | None:
    """Why shards are of no use that have no records; None when there are none, or they were kept on purpose."""
    for folder in places.leftovers():
        if isinstance(folder, Path) and any(folder.glob("shard-*")) and not (folder / COMPLETED).exists():
            return f"there are no records of its progress in {places.progress} (resume_tmp, else tmp_dir)"
    return None


def _reason_of_another(args: MarginCacheArguments) -> str | None:
    """Why what a run of this output alone did is of no use to one of several; None when there is nothing."""
    records = args.run_paths.records
    if not (records / _RUN).exists() or (records / COMPLETED).exists():
        return None
    return "it is made together with others now"


def _leftovers(places: RunPaths) -> list[AnyPath]:
    """The folders that runs of this output have left, among them shards in a `tmp_dir` that is not that of this run."""
    folders = places.leftovers()
    records = read_json(places.records / _RUN)
    if isinstance(records, dict) and isinstance(records.get("shards"), str):
        elsewhere = Path(records["shards"])
        if places.is_of_this(elsewhere.name) and elsewhere.is_dir() and elsewhere not in folders:
            folders.append(elsewhere)
    return folders


def _check_leftovers(places: RunPaths) -> None:
    """Check that folders which only their names make ours hold nothing but the work of runs.

    Raises
    ------
    OutputExistsError
        When one of them does.
    """
    records = read_json(places.records / _RUN)
    token = str(records.get("token")) if isinstance(records, dict) else ""
    for folder in _leftovers(places):
        if token and folder != places.records and folder.name.endswith(f"-{token}"):
            # A record names it, by a token that only its maker knew.
            continue
        foreign = foreign_to_run(file_names(folder))
        if foreign:
            raise OutputExistsError(
                f"{folder} was left by an earlier run and would be removed, but it also holds {listed(foreign)}, which "
                "skymargin did not write: move that elsewhere"
            )


def _remove_leftovers(places: RunPaths, progress: RunState | None) -> None:
    """Remove what runs of this output have left, but what is gone on with."""
    kept = [] if progress is None else _folders_of(progress)
    for folder in _leftovers(places):
        if folder not in kept:
            remove_folder(folder)


def _is_of_use(progress: RunState, error: BaseException, input_is_local: bool) -> bool:
    """Whether what is done can be gone on with after an error: not when the catalog or the arguments are at fault."""
    import pyarrow as pa

    if progress.is_made and isinstance(error, OutputExistsError):
        # Something has come to the output while the margins were made; when it is gone, they get their places.
        return True
    if not progress.mapped and not progress.is_made:
        return False
    if isinstance(error, PartitionReadError):
        return not input_is_local
    # The last one: pyarrow reads no shard that is damaged.
    at_fault = (CatalogError, ArgumentError, IncompleteMarginError, pa.ArrowInvalid)
    return not isinstance(error, at_fault)


def _files_of(folder: AnyPath) -> dict[str, int]:
    """Every file below a folder now, with its size."""
    if not isinstance(folder, Path):
        folder.fs.invalidate_cache()
    return list_files(folder)
