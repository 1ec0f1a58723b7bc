"""One margin catalog of a run, until it is at its place and in its collection."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, cast

from skymargin.build.checkpoint.publish import complete, digest_of, publish_folder, recover, restore
from skymargin.build.checkpoint.records import write_record
from skymargin.build.planning import MarginSpec
from skymargin.build.preflight import Target, check_free, check_replaced, is_begun_copy
from skymargin.build.report import MarginReport
from skymargin.build.run_paths import COPYING, RunPaths
from skymargin.build.stages.reduce import ReduceResult
from skymargin.catalogs.collection import add_margin
from skymargin.catalogs.layout import MARKS_ASIDE, RECORD
from skymargin.catalogs.output_options import OutputOptions
from skymargin.catalogs.ownership import Listing, listing_of
from skymargin.catalogs.place_mark import PlaceMark
from skymargin.errors import OutputExistsError, StorageError
from skymargin.formatting import listed
from skymargin.storage.paths import AnyPath, list_files, make_folder, remove_folder

if TYPE_CHECKING:
    from upath import UPath


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
        Whether its margins are written to its final path, on an object store where there was nothing; the other files
        are written to `partial`, which is on this machine then, and are sent at the end.
    collection : Path or UPath, or None
        Folder of the collection that it is added to.
    token : str
        Identifies the run.
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
    waiting : dict of str to int
        The other files, which wait in `partial` until these are there, with their sizes; only in place.
    """

    spec: MarginSpec
    partial: AnyPath
    in_place: bool
    collection: AnyPath | None
    token: str
    reduced: dict[int, ReduceResult] = field(default_factory=dict)
    output: OutputOptions | None = None
    report: MarginReport | None = None
    digest: str | None = None
    files: dict[str, int] = field(default_factory=dict)
    waiting: dict[str, int] = field(default_factory=dict)

    @cached_property
    def mark(self) -> PlaceMark:
        """The mark of the run at its final path, on an object store."""
        return PlaceMark(cast("UPath", self.paths.final), self.token, self.partial)

    @property
    def paths(self) -> RunPaths:
        """The folders of its runs."""
        return self.spec.target.paths

    @property
    def data(self) -> AnyPath:
        """The folder that its margins are written to."""
        return self.paths.final if self.in_place else self.partial

    @property
    def marks_folder(self) -> AnyPath:
        """The folder of the files that make it a catalog, until it is published."""
        return self.partial / MARKS_ASIDE if self.in_place else self.partial

    @property
    def has_begun_in_place(self) -> bool:
        """Whether files of it may be at its final path already."""
        return self.in_place and bool(self.paths.copied_names)

    @property
    def is_built(self) -> bool:
        """Whether the catalog that was made is where it was built; in place, all that waits there."""
        if digest_of(self.marks_folder) != self.digest:
            return False
        return not self.in_place or self.waiting.items() <= list_files(self.partial).items()

    @property
    def is_lost(self) -> bool:
        """Whether the catalog that was made is neither where it was built nor published."""
        there = listing_of(self.paths.final)
        existing = digest_of(self.paths.final, there.files)
        if existing == self.digest:
            return False
        if not self.is_built:
            return True
        if not self.in_place:
            return False
        return existing is not None or bool(self._changed_file(there)) or not self.mark.is_own(there.files)

    def is_own_place(self, there: Listing) -> bool:
        """Whether there is nothing at the final path, or only what this run has written in place."""
        if not there.files:
            return not there.is_file
        return self.paths.copied_names.issuperset(there.files) and self.mark.is_own(there.files)

    def check_in_place(self, there: Listing) -> None:
        """Check that at the final path are the margins that were written there, and nothing else.

        Raises
        ------
        OutputInUseError
            When another run writes there.
        OutputExistsError
            When there is something else.
        StorageError
            When a margin is missing or has changed.
        """
        if there.files and not self.mark.is_own(there.files):
            if self.mark.is_of_another(there.files):
                raise self.mark.in_use()
            raise OutputExistsError(
                f"{self.spec.target.catalog} also holds {listed(sorted(there.files))}, which this run did not write; "
                "all of that stays"
            )
        # The mark does not keep other programs from adding files.
        if foreign := sorted(there.files.keys() - self.paths.copied_names):
            raise OutputExistsError(
                f"{self.spec.target.catalog} also holds {listed(foreign)}, which this run did not write: move that "
                "elsewhere; the margins there stay, and the same call completes them"
            )
        if changed := self._changed_file(there):
            raise StorageError(
                f"{self.paths.final / changed} was changed or removed since it was written; the next run starts over"
            )

    def check_place(self, there: Listing, *, is_built: bool) -> None:
        """Check that it may be published, when it is made; nothing is changed.

        `there` is what has just been listed at the final path.

        Raises
        ------
        OutputExistsError
            When there is something that may not be replaced.
        OutputInUseError
            When margins were written there, and another run writes there now.
        StorageError
            When a margin that was written there is missing or has changed.
        """
        existing = digest_of(self.paths.final, there.files)
        if existing == self.digest and not is_built:
            return
        if self.in_place and existing != self.digest:
            # Whatever may be replaced: its files would be mixed with those that were written here.
            self.check_in_place(there)
            return
        # On an object store, files without properties may be an interrupted copy.
        copied = existing is None and is_begun_copy(self.paths, there)
        check_free(self.spec.target, is_own=existing == self.digest or copied, there=there)

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
        OutputInUseError
            When another run writes to the same path.
        StorageError
            When it cannot be moved, or is lost.
        """
        assert self.report is not None, "published before it was made"
        final, old = self.paths.final, self.paths.old
        # It may have taken hours since this was checked.
        check_replaced(old)
        there = listing_of(final)
        # The folder in which it was built loses its properties first when it is removed, after the last copy.
        is_built = self.is_built
        self.check_place(there, is_built=is_built)
        if not is_built and digest_of(final, there.files) != self.digest:
            raise StorageError(
                f"the margin catalog that was made is neither at {self.partial}, where it was built, nor at {final}: "
                "it was changed or removed"
            )
        try:
            if is_built:
                self._move(there)
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

    def _move(self, there: Listing) -> None:
        """Publish what was built, in the place of what is there."""
        final, partial = self.paths.final, self.partial
        if isinstance(final, Path):
            publish_folder(partial, final, self.paths.old)
            return
        names = [name.removeprefix(f"{MARKS_ASIDE}/") for name in list_files(partial)]
        if self.in_place:
            record_copying(self.paths, {*names, *there.files}, self.token, in_place=True)
            complete(cast("Path", partial), final, self.files, self.mark)
            remove_folder(partial)
            return
        is_of_others = digest_of(final, there.files) is None and not is_begun_copy(self.paths, there)
        record_copying(self.paths, {*names, *there.files}, self.token)
        if not there.files:
            self.mark.claim()
        elif is_of_others:
            # What a run has not completed; on another machine, it may still work.
            self.mark.take()
            there = listing_of(final)
            self.check_place(there, is_built=True)
            record_copying(self.paths, {*names, *there.files}, self.token)
        publish_folder(partial, final, self.paths.old, there.files)

    def _changed_file(self, there: Listing) -> str:
        return next((name for name, size in self.files.items() if there.files.get(name) != size), "")


def check_output(target: Target, made: PendingMargin | None) -> bool:
    """Check that the output may be replaced, when it is not the work of this run; nothing is changed.

    `made` is the margin catalog of this run, when it is made.

    Returns
    -------
    bool
        Whether there is anything.

    Raises
    ------
    OutputExistsError
        When it may not be replaced.
    """
    check_replaced(target.paths.old)
    there = listing_of(target.paths.final)
    if made is None:
        check_free(target, there=there)
    else:
        made.check_place(there, is_built=made.is_built)
    return there.is_there


def record_copying(paths: RunPaths, names: Iterable[str], token: str, *, in_place: bool = False) -> None:
    """Record the files that the run of a token may have at the output until the margin catalog is complete there.

    With `in_place`, they are its own only while its mark is there.
    """
    content = {"token": token, "in_place": in_place, "names": sorted(names)}
    make_folder(paths.records, exist_ok=True)
    write_record(paths.records, COPYING, json.dumps(content).encode())


def begin_in_place(margin: PendingMargin, names: Iterable[str]) -> None:
    """Record that these files are written to an empty output, and leave the mark of the run there.

    Raises
    ------
    OutputExistsError
        When something has come to the output since the run began.
    OutputInUseError
        When another run has begun to write there.
    """
    # It may have taken hours since this was checked.
    there = listing_of(margin.paths.final)
    margin.check_in_place(there)
    # Before the mark: what is there below a mark that no record knows cannot be resumed.
    record_copying(margin.paths, [*names, RECORD], margin.token, in_place=True)
    if not there.files:
        margin.mark.claim()


def remove_begun(paths: RunPaths) -> bool:
    """Remove what a run without a use has written to an empty output, if its mark is there; nothing else.

    Returns whether it was there.
    """
    if not paths.was_in_place:
        return False
    there = listing_of(paths.final)
    if digest_of(paths.final, there.files) is not None or not is_begun_copy(paths, there):
        return False
    remove_folder(paths.final, last=RECORD, only=there.files)
    return True


def recover_outputs(targets: Sequence[Target]) -> None:
    """Undo or complete the moves of killed runs that are not resumed, after `check_output` of every target.

    Raises
    ------
    OutputExistsError
        When a margin catalog that is at its path again may not be replaced. Nothing is removed then.
    """
    restored = [target for target in targets if restore(target.paths.final, target.paths.old)]
    for target in restored:
        check_free(target)
    for target in targets:
        recover(target.paths.final, target.paths.old)
