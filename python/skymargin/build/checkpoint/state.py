"""The state of a run: what is done, in memory and as records on disk.

A run writes these files into its folder of records, each atomically:

- `run.json` when it begins: its fingerprint, the token in the names of its other folders, and its number of threads.
  Tasks depend on that number, so a resumed run keeps to it, whatever its own number of threads.
- `mapped-N` and `reduced-N` for each finished task, with the sizes of the files it wrote. A record counts when the
  files exist in that size.
- `reducing.json` when reducing begins: its number of threads.
- `placing.json` when all margin catalogs are made and verified, before they are published: their reports.
- `copying` when files begin to be written to the path of a margin catalog on an object store: their names and those of
  the files that are there, all of which are its own or those of the margin catalog that it replaces.
- `completed` at the end, when the records are to be kept.

A run of several margin catalogs keeps its records beside the widest. The others get a folder of records when all are
made, with a `placing.json` that names those records.
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from skymargin.build.checkpoint.publish import digest_of, publish_folder, recover, restore
from skymargin.build.checkpoint.records import read_json, read_pickle, write_record
from skymargin.build.planning import MarginSpec
from skymargin.build.preflight import Target, check_free, check_replaced, is_begun_copy
from skymargin.build.report import MarginReport
from skymargin.build.run_paths import COMPLETED, COPYING, PUBLISHING, RunPaths
from skymargin.build.stages.map import MapResult
from skymargin.build.stages.reduce import ReduceResult
from skymargin.build.stages.tasks import MapTask, ReduceTask
from skymargin.catalogs.collection import add_margin
from skymargin.catalogs.layout import RECORD
from skymargin.catalogs.output_options import OutputOptions
from skymargin.catalogs.ownership import file_names, listed
from skymargin.errors import IncompleteMarginError, OutputExistsError, StorageError
from skymargin.storage.output_folder import RemoteFolder
from skymargin.storage.paths import (
    AnyPath,
    abort_uploads,
    is_local,
    list_files,
    make_folder,
    remove_files,
    remove_folder,
)

if TYPE_CHECKING:
    from upath import UPath

REDUCING = "reducing.json"


@dataclass
class PendingMargin:
    """One margin catalog of a run.

    Attributes
    ----------
    spec : MarginSpec
        What it is.
    partial : Path or UPath
        The margin catalog under construction.
    in_place : bool
        Whether its margins are written to its final path, on an object store where there was nothing; the other files,
        which make it a catalog, are written to `partial` and copied.
    collection : Path or UPath, or None
        Folder of the collection that it is added to.
    reduced : dict of int to ReduceResult
        What finished tasks wrote, by their numbers.
    output : OutputOptions or None
        The options of its files since reducing began: those of `spec`, but for a `_metadata` that would be too large.
    report : MarginReport or None
        Its report, when it is made: it is published, or has only to be published.
    digest : str or None
        Identifies the catalog that was made.
    files : dict of str to int
        The margins that were written in place, with their sizes, when it is made.
    """

    spec: MarginSpec
    partial: AnyPath
    in_place: bool
    collection: AnyPath | None
    reduced: dict[int, ReduceResult] = field(default_factory=dict)
    output: OutputOptions | None = None
    report: MarginReport | None = None
    digest: str | None = None
    files: dict[str, int] = field(default_factory=dict)

    @property
    def paths(self) -> RunPaths:
        """The folders of its runs."""
        return self.spec.target.paths

    @property
    def data(self) -> AnyPath:
        """The folder that its margins are written to."""
        return self.paths.final if self.in_place else self.partial

    @property
    def is_lost(self) -> bool:
        """Whether the catalog that was made is neither where it was built nor published."""
        there = digest_of(self.paths.final)
        if there == self.digest:
            return False
        if digest_of(self.partial) != self.digest:
            return True
        return self.in_place and (there is not None or bool(self._changed_file()))

    def foreign_files(self) -> list[str]:
        """Files at the final path that no run of this output has written there, as far as its record says."""
        return sorted(set(file_names(self.paths.final)) - self.paths.copied_names)

    def check_in_place(self) -> None:
        """Check that at the final path are the margins that were written there, and nothing else.

        Raises
        ------
        OutputExistsError
            When there is something else.
        StorageError
            When a margin is missing or has changed.
        """
        foreign = self.foreign_files()
        if foreign:
            raise OutputExistsError(
                f"{self.spec.target.catalog} also holds {listed(foreign)}, which this run did not write: move that "
                "elsewhere; the margins there stay, and the same call completes them"
            )
        if changed := self._changed_file():
            raise StorageError(
                f"{self.paths.final / changed} was changed or removed since it was written; the next run starts over"
            )

    def _changed_file(self) -> str:
        sizes = _current_files(self.paths.final)
        return next((name for name, size in self.files.items() if sizes.get(name) != size), "")

    def publish(self) -> MarginReport:
        """Move it to its final path, unless it is there already.

        Returns
        -------
        MarginReport
            The report of the run that made it.

        Raises
        ------
        OutputExistsError
            When there is something that may not be replaced.
        StorageError
            When it cannot be moved, or is lost.
        """
        assert self.report is not None, "published before it was made"
        final, old = self.paths.final, self.paths.old
        # It may have taken hours since this was checked.
        check_output(self.spec.target, self)
        # The folder in which it was built loses its properties first when it is removed, after the last copy.
        is_built = digest_of(self.partial) == self.digest
        if not is_built and digest_of(final) != self.digest:
            raise StorageError(
                f"the margin catalog that was made is neither at {self.partial}, where it was built, nor at {final}: "
                "it was changed or removed"
            )
        try:
            if is_built:
                if not is_local(final):
                    names = {*list_files(self.partial), *list_files(final)}
                    record_copying(self.paths, names, was_empty=self.in_place)
                publish_folder(self.partial, final, old, adds=self.in_place)
            else:
                # A run was killed after it had published it.
                recover(final, old)
                remove_folder(self.partial)
        except OutputExistsError:
            raise
        except OSError as error:
            raise StorageError(f"{final} cannot be written: {error}") from error
        return self.report

    def join_collection(self) -> None:
        """Add it to its collection, if it has one.

        Raises
        ------
        StorageError
            When the properties of the collection cannot be written.
        """
        if self.collection is not None:
            target = self.spec.target
            catalog = target.primary if target.collection is not None else None
            add_margin(self.collection, self.paths.final, default=self.spec.default_margin, catalog=catalog)


def check_output(target: Target, made: PendingMargin | None) -> None:
    """Check that the output may be replaced, when it is not the work of this run; nothing is changed.

    `made` is the margin catalog of this run, when it is made.

    Raises
    ------
    OutputExistsError
        When it may not.
    """
    check_replaced(target.paths.old)
    if made is None:
        check_free(target)
        return
    existing = digest_of(target.paths.final)
    if existing == made.digest and digest_of(made.partial) != made.digest:
        return
    if made.in_place and existing != made.digest:
        # Whatever may be replaced: its files would be mixed with those that were written here.
        made.check_in_place()
        return
    # On an object store, files without properties may be an interrupted copy.
    copied = existing is None and is_begun_copy(target.paths)
    check_free(target, is_own=existing == made.digest or copied)


def record_copying(paths: RunPaths, names: Iterable[str], *, was_empty: bool) -> None:
    """Record the files that may be at the output until the margin catalog is complete there."""
    content = {"was_empty": was_empty, "names": sorted(names)}
    make_folder(paths.records, exist_ok=True)
    write_record(paths.records, COPYING, json.dumps(content).encode())


def begin_in_place(margin: PendingMargin, names: Iterable[str]) -> None:
    """Record that these files are written to an empty output, and leave a mark there for runs without the record.

    Raises
    ------
    OutputExistsError
        When something has come to the output since the run began.
    """
    # It may have taken hours since this was checked.
    margin.check_in_place()
    paths = margin.paths
    record_copying(paths, [*names, RECORD], was_empty=True)
    with RemoteFolder(cast("UPath", paths.final)) as folder:
        mark = folder.create(RECORD)
        mark.write(b"{}\n")
        mark.finish()


def recover_outputs(targets: Sequence[Target]) -> None:
    """Undo or complete the moves of killed runs that are not resumed, after `check_output` of every target.

    Raises
    ------
    OutputExistsError
        When a margin catalog that is at its path again may not be replaced. Nothing is removed then.
    """
    for target in targets:
        restore(target.paths.final, target.paths.old)
    for target in targets:
        check_free(target)
    for target in targets:
        recover(target.paths.final, target.paths.old)


@dataclass
class RunState:
    """What a run has done, and where; made by `open_run_state`.

    Attributes
    ----------
    margins : list of PendingMargin
        The margin catalogs, the widest first. Records are kept beside that one.
    shards : Path or UPath
        Folder of the shards.
    threads : int
        Number of threads that map tasks are made for.
    mapped : dict of int to MapResult
        What finished map tasks read and found, by their numbers.
    """

    margins: list[PendingMargin]
    shards: AnyPath
    threads: int
    mapped: dict[int, MapResult] = field(default_factory=dict)

    @property
    def records(self) -> Path:
        """Folder of the records."""
        return self.margins[0].paths.records

    @property
    def is_made(self) -> bool:
        """Whether all margin catalogs are made: they are published, or have only to be published."""
        return self.margins[0].report is not None

    @property
    def folders(self) -> list[AnyPath]:
        """All folders of the run but its outputs; the records it can be resumed from come first."""
        first = self.margins[0]
        records: list[AnyPath] = [
            # Until all are made, the records of the other margins are of runs of their own.
            margin.paths.records
            for margin in self.margins
            if self.is_made or margin is first or margin.in_place
        ]
        return [*records, self.shards, *(margin.partial for margin in self.margins)]

    def add_mapped(self, task: MapTask, result: MapResult) -> None:
        """Record a map task whose shard is written."""
        shard = self.shards / result.shard
        # A server shows everybody the same; a folder may only have the same path on another machine.
        if isinstance(shard, Path) and not shard.exists():
            raise StorageError(f"a worker wrote {shard}, which is not seen here: tmp_dir must be shared")
        self.mapped[task.number] = result
        self.record(f"mapped-{task.number:06d}", pickle.dumps((task.number, result)))

    def add_reduced(self, task: ReduceTask, result: ReduceResult) -> None:
        """Record a reduce task whose margins are written."""
        self.margins[task.margin].reduced[task.number] = result
        self.record(f"reduced-{task.number:06d}", pickle.dumps((task.number, task.margin, result)))

    def begin_reducing(self, threads: int) -> int:
        """Number of threads to make reduce tasks for: that of the run which began to reduce, else the given."""
        begun = read_json(self.records / REDUCING)
        if isinstance(begun, dict) and isinstance(begun.get("threads"), int):
            self._read_reduced()
            return int(begun["threads"])
        self.record(REDUCING, json.dumps({"threads": threads}).encode())
        return threads

    def keep_only_margins(self) -> None:
        """Remove all files but the recorded margins from the margin catalogs under construction.

        Raises
        ------
        IncompleteMarginError
            When a margin is missing or incomplete.
        """
        for margin in self.margins:
            sizes = _current_files(margin.data)
            expected = {
                name: size for result in margin.reduced.values() for name, size in result.files.items()
            }
            for name, size in expected.items():
                if sizes.get(name) != size:
                    now = f"has {sizes[name]} bytes now" if name in sizes else "is missing now"
                    raise IncompleteMarginError(
                        f"{margin.data / name} was written with {size} bytes and {now}"
                    )
            if not margin.in_place:
                remove_files(margin.partial, [name for name in sizes if name not in expected])

    def record_made(self, reports: Sequence[MarginReport]) -> None:
        """Record that the margin catalogs under construction are complete and have only to be published."""
        for margin in self.margins[1:]:
            # Without this, a published margin would be refused as an existing output when the run is resumed.
            make_folder(margin.paths.records, exist_ok=True)
            write_record(margin.paths.records, PUBLISHING, json.dumps({"with": str(self.records)}).encode())
        made = [
            {"report": report.to_dict(), "digest": digest_of(margin.partial), "files": _in_place(margin)}
            for margin, report in zip(self.margins, reports, strict=True)
        ]
        self.record(PUBLISHING, json.dumps({"made": made}).encode())
        self.read_made(made)

    def read_made(self, made: Sequence[Mapping[str, Any]]) -> None:
        """Take reports and digests from the record of `record_made`."""
        for margin, entry in zip(self.margins, made, strict=True):
            # The earlier run may have spelled the path in another way.
            catalog_path = str(margin.spec.target.catalog)
            margin.report = replace(MarginReport(**entry["report"]), catalog_path=catalog_path)
            margin.digest = entry["digest"]
            margin.files = dict(entry["files"])

    def throw_away(self) -> None:
        """Remove all that the run has made, when it is of no use."""
        for margin in self.margins:
            # First: the records say whose these files are.
            if margin.in_place and is_begun_copy(margin.paths) and digest_of(margin.paths.final) is None:
                remove_folder(margin.paths.final)
        for folder in self.folders:
            remove_folder(folder)
        self._abort_uploads()

    def clean_up(self, shards: bool, records: bool) -> None:
        """Remove what is not needed once the margin catalogs are published.

        Parameters
        ----------
        shards, records
            Whether to remove these. What is kept is not resumed: a later run removes it.
        """
        self._abort_uploads()
        if shards:
            remove_folder(self.shards)
        else:
            (self.shards / COMPLETED).write_bytes(b"")
        for margin in self.margins[1:]:
            remove_folder(margin.paths.records)
        if records:
            remove_folder(self.records)
        else:
            (self.records / COMPLETED).touch()

    def _abort_uploads(self) -> None:
        for margin in self.margins:
            abort_uploads(margin.paths.final)
        if self.shards.parent != self.margins[0].paths.final.parent:
            abort_uploads(self.shards)

    def record(self, name: str, content: bytes) -> None:
        """Write a record."""
        write_record(self.records, name, content)

    def read_mapped(self) -> None:
        """Read the records of map tasks; those whose shard has changed do not count."""
        records = sorted(self.records.glob("mapped-??????"))
        sizes = _current_files(self.shards) if records else {}
        for file in records:
            number, result = read_pickle(file) or (0, None)
            if isinstance(result, MapResult) and sizes.get(result.shard) == result.shard_bytes:
                self.mapped[number] = result

    def _read_reduced(self) -> None:
        sizes = [_current_files(margin.data) for margin in self.margins]
        for file in self.records.glob("reduced-??????"):
            number, index, result = read_pickle(file) or (0, 0, None)
            if isinstance(result, ReduceResult) and all(
                sizes[index].get(name) == size for name, size in result.files.items()
            ):
                self.margins[index].reduced[number] = result


def _in_place(margin: PendingMargin) -> dict[str, int]:
    if not margin.in_place:
        return {}
    return {name: size for result in margin.reduced.values() for name, size in result.files.items()}


def _current_files(folder: AnyPath) -> dict[str, int]:
    """Every file below a folder now, with its size."""
    if not isinstance(folder, Path):
        folder.fs.invalidate_cache()
    return list_files(folder)
