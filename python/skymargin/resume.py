"""Going on where a run was cut off: small records say what is done, and by which fingerprint it was done.

A run writes, in its folder of records:

- `run.json` when it begins: its fingerprint, the token in the names of its other folders, and its number of threads.
  The batches depend on that number, so a run that goes on keeps to it, whatever threads it has itself.
- `mapped-N` and `reduced-N` for each batch that is done, with the sizes of the files it wrote. A record counts when the
  files are there in that size.
- `reducing.json` when reducing begins: its number of threads.
- `placing.json` when the margin catalog is made and verified, before it gets its place: the report.
- `completed` at the end, when the records are to be kept.

Each of these is written aside and renamed, so it is whole or not there.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import pickle
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from skymargin.errors import (
    ArgumentError,
    CatalogError,
    IncompleteMarginError,
    PartitionReadError,
    StorageError,
)
from skymargin.fingerprint import Fingerprint
from skymargin.job import Job, shard_file
from skymargin.mapping import Mapped
from skymargin.places import COMPLETED, PLACING, Places
from skymargin.placing import bring_back, digest_of, put_in_place
from skymargin.reducing import Reduced
from skymargin.report import MarginReport
from skymargin.storage import (
    AnyPath,
    is_local,
    list_files,
    make_folder,
    remove_files,
    remove_folder,
    written_aside,
)

_log = logging.getLogger("skymargin")

_RUN = "run.json"
_REDUCING = "reducing.json"


@dataclass
class Progress:
    """What a run has done, and where; made by `progress_of`.

    Attributes
    ----------
    places : Places
        Where everything is kept.
    shards : Path
        Folder of the shards and of the job.
    partial : Path or UPath
        The margin catalog under construction.
    threads : int
        Threads that the batches of mapping are made for.
    mapped, reduced : dict
        What batches that are done came to, by their numbers.
    report : MarginReport or None
        The report of a margin catalog that is made and has only to get its place, or has it already.
    digest : str or None
        What tells that margin catalog from others.
    """

    places: Places
    shards: Path
    partial: AnyPath
    threads: int
    mapped: dict[int, Mapped] = field(default_factory=dict)
    reduced: dict[int, Reduced] = field(default_factory=dict)
    report: MarginReport | None = None
    digest: str | None = None

    def save_job(self, job: Job) -> Path:
        """Write the job for the tasks of this run; those of earlier runs, should any still work, end without theirs."""
        for file in self.shards.glob("job-*"):
            file.unlink(missing_ok=True)
        job_file = self.shards / f"job-{uuid.uuid4().hex[:8]}"
        job.save(job_file)
        return job_file

    def add_mapped(self, mapped: Mapped) -> None:
        """Record a batch of partitions whose shard is written."""
        shard = shard_file(self.shards, mapped.number)
        try:
            size = shard.stat().st_size
        except OSError as error:
            raise StorageError(f"a worker wrote {shard}, which is not seen here: {error}") from error
        self.mapped[mapped.number] = mapped
        self._record(f"mapped-{mapped.number:06d}", pickle.dumps((mapped, size)))

    def add_reduced(self, reduced: Reduced) -> None:
        """Record a batch of margins that are written."""
        self.reduced[reduced.number] = reduced
        self._record(f"reduced-{reduced.number:06d}", pickle.dumps(reduced))

    def begin_reducing(self, threads: int) -> int:
        """Threads to make the batches of margins for: those of the run that began with it, else the given."""
        begun = _read_json(self.places.records / _REDUCING)
        if isinstance(begun, dict) and isinstance(begun.get("threads"), int):
            self.reduced = self._read_reduced()
            return int(begun["threads"])
        self._record(_REDUCING, json.dumps({"threads": threads}).encode())
        return threads

    def keep_only_margins(self) -> None:
        """Remove from the margin catalog under construction all but the margins of the records.

        Raises
        ------
        IncompleteMarginError
            When one of them is not there, or not whole.
        """
        found = _files_of(self.partial)
        expected = {name: size for one in self.reduced.values() for name, size in one.files.items()}
        for name, size in expected.items():
            if found.get(name) != size:
                raise IncompleteMarginError(
                    f"{self.partial / name} was written with {size} bytes and now has {found.get(name, 'gone')}"
                )
        remove_files(self.partial, [name for name in found if name not in expected])

    def record_made(self, report: MarginReport) -> None:
        """Record that the margin catalog under construction is whole and has only to get its place."""
        digest = digest_of(self.partial)
        self._record(PLACING, json.dumps({"report": report.to_dict(), "digest": digest}).encode())
        self.report, self.digest = report, digest

    def place(self) -> MarginReport:
        """Put the margin catalog at its place, when it is not there yet.

        Returns
        -------
        MarginReport
            That of the run that made it.

        Raises
        ------
        StorageError
            When it cannot be put there.
        """
        final, old = self.places.final, self.places.old
        try:
            # What was built loses its properties first when it is removed, and that comes after the last copy.
            if digest_of(self.partial) == self.digest:
                put_in_place(self.partial, final, old)
            else:
                # A run was killed after it had been put there.
                bring_back(final, old)
                remove_folder(self.partial)
        except OSError as error:
            raise StorageError(f"{final} cannot be written: {error}") from error
        assert self.report is not None, "placed before it was made"
        return self.report

    def clean_up(self, shards: bool, records: bool) -> None:
        """Remove what is not needed once the margin catalog is at its place.

        Parameters
        ----------
        shards, records
            Whether to remove these. What is kept is no progress of a later run, which removes it.
        """
        if shards:
            remove_folder(self.shards)
        else:
            (self.shards / COMPLETED).touch()
        if records:
            remove_folder(self.places.records)
        else:
            (self.places.records / COMPLETED).touch()

    def _read(self) -> None:
        """Read the records of an earlier run; those whose files are not as they were do not count."""
        for file in self.places.records.glob("mapped-??????"):
            mapped, size = _read_pickle(file) or (None, None)
            if isinstance(mapped, Mapped):
                shard = shard_file(self.shards, mapped.number)
                if shard.exists() and shard.stat().st_size == size:
                    self.mapped[mapped.number] = mapped

    def _read_reduced(self) -> dict[int, Reduced]:
        read = {}
        found = _files_of(self.partial)
        for file in self.places.records.glob("reduced-??????"):
            reduced = _read_pickle(file)
            if isinstance(reduced, Reduced) and all(
                found.get(name) == size for name, size in reduced.files.items()
            ):
                read[reduced.number] = reduced
        return read

    def _record(self, name: str, content: bytes) -> None:
        try:
            with written_aside(self.places.records / name) as aside:
                aside.write_bytes(content)
        except OSError as error:
            raise StorageError(f"{self.places.records} cannot be written: {error}") from error


@contextmanager
def progress_of(
    places: Places,
    fingerprint: Fingerprint,
    threads: int,
    resume: bool,
    check_free: Callable[[], object],
    input_is_local: bool,
) -> Iterator[Progress]:
    """What an earlier run of the same fingerprint has done, or the beginning of a new run. Needs the locks of `places`.

    When the block ends with an error, what is done is kept, unless the error says that it is of no use.

    Parameters
    ----------
    places
        Where everything is kept.
    fingerprint
        What decides the result.
    threads
        Threads of all workers.
    resume
        Whether to go on with what was done.
    check_free
        Raises an error when something is at the output that is not to be replaced. Nothing is thrown away then.
    input_is_local
        Whether a file of the catalog that cannot be read is damaged; the way to a server may be open again later.

    Raises
    ------
    StorageError
        When a folder cannot be made.
    """
    records = _read_json(places.records / _RUN)
    progress, reason = _earlier(places, records, fingerprint, resume)
    _check_output(places, progress, check_free)
    if reason:
        _log.warning("%s: what an earlier run did for it is thrown away, because %s", places.final, reason)
    _remove_leftovers(places, records, progress)
    if progress is not None:
        _log.info("%s: goes on from what is kept in %s", places.final, progress.shards)
    else:
        progress = _begun(places, fingerprint, threads)
    try:
        if progress.report is None:
            for folder in (progress.shards, progress.partial):
                make_folder(folder, exist_ok=True)
        yield progress
    except BaseException as error:
        if _is_of_use(progress, error, input_is_local):
            error.add_note(f"What is done is kept in {progress.shards}; the same call goes on from there.")
        else:
            for folder in (places.records, progress.shards, progress.partial):
                remove_folder(folder)
        raise


def _begun(places: Places, fingerprint: Fingerprint, threads: int) -> Progress:
    token = uuid.uuid4().hex[:8]
    progress = Progress(places, places.shards(token), places.partial(token), threads)
    make_folder(places.records, exist_ok=True)
    about = {
        "token": token,
        "shards": str(progress.shards),
        "threads": threads,
        "fingerprint": dataclasses.asdict(fingerprint),
    }
    progress._record(_RUN, json.dumps(about).encode())
    return progress


def _earlier(
    places: Places, records: Any, fingerprint: Fingerprint, resume: bool
) -> tuple[Progress | None, str | None]:
    """What an earlier run did, when it is of use; else why it is not, when there is something."""
    if (places.records / COMPLETED).exists():
        return None, None
    if records is None:
        return None, _reason_without_records(places)
    try:
        old = Fingerprint(**records["fingerprint"])
        token = records["token"]
        progress = Progress(places, places.shards(token), places.partial(token), int(records["threads"]))
    except (KeyError, TypeError, ValueError):
        return None, f"its records in {places.records} are damaged"
    made = _read_json(places.records / PLACING)
    if made is not None and not progress.partial.exists() and digest_of(places.final) != made["digest"]:
        # Its margin catalog had got its place, and was removed or replaced since: all that is left is to be cleaned.
        return None, None
    if not resume:
        return None, "resume=False"
    if change := fingerprint.change_from(old):
        return None, change
    if made is None:
        progress._read()
    else:
        progress.report, progress.digest = MarginReport(**made["report"]), made["digest"]
    return progress, None


def _reason_without_records(places: Places) -> str | None:
    """Why shards are of no use that have no records; None when there are none, or they were kept on purpose."""
    for folder in places.leftovers():
        if isinstance(folder, Path) and any(folder.glob("shard-*")) and not (folder / COMPLETED).exists():
            return f"there are no records of its progress in {places.progress} (resume_tmp, else tmp_dir)"
    return None


def _check_output(places: Places, progress: Progress | None, check_free: Callable[[], object]) -> None:
    """Check that the output may be replaced, when there is something that is not the work of this very run."""
    if progress is None or progress.report is None:
        bring_back(places.final, places.old)
        check_free()
        return
    there = digest_of(places.final)
    # On an object store, what is there without properties is the copy that was cut off.
    if there != progress.digest and (there is not None or is_local(places.final)):
        check_free()


def _remove_leftovers(places: Places, records: Any, progress: Progress | None) -> None:
    """Remove what runs of this output have left, but what is gone on with."""
    kept = [] if progress is None else [places.records, progress.shards, progress.partial]
    if progress is None and isinstance(records, dict) and "shards" in records:
        # These may be in a tmp_dir that is not that of this run.
        elsewhere = Path(records["shards"])
        if places.is_of_this(elsewhere.name):
            remove_folder(elsewhere)
    for folder in places.leftovers():
        if folder not in kept:
            remove_folder(folder)


def _is_of_use(progress: Progress, error: BaseException, input_is_local: bool) -> bool:
    """Whether what is done can be gone on with after an error: not when the catalog or the arguments are at fault."""
    import pyarrow as pa

    if not progress.mapped and progress.report is None:
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


def _read_json(file: Path) -> Any:
    """Content of a record; None when there is none, or it is damaged."""
    try:
        return json.loads(file.read_bytes())
    except (OSError, ValueError):
        return None


def _read_pickle(file: Path) -> Any:
    """The same for a record of results."""
    try:
        return pickle.loads(file.read_bytes())
    except Exception:
        # Whatever a damaged file raises, its batch is done again.
        return None
