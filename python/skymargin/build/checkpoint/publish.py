"""The last step of a run: the margin catalog that was built aside gets its place, whole or not at all.

On a local file system, where `final` is the catalog, `partial` what was built and `old` a name beside them:

| a run is killed | there is | a reader finds | the next run |
|---|---|---|---|
| before anything is moved | `final` (when one is replaced), `partial` | the old catalog, or none | goes on |
| after `final` became `old` | `old`, `partial` | none | with the same arguments: makes `partial` `final`; \
else: makes `old` `final` again |
| after `partial` became `final` | `final`, `old` | the new catalog | removes `old` |
| while `old` is removed | `final`, some of `old` under a third name | the new catalog | removes the rest |

Each move is one rename, which happens or does not. On an object store nothing can be renamed: objects are copied, in an
order in which no mixture of two catalogs is ever a catalog. There is none at all from the moment when the properties of
the old one are removed until those of the new one are written, last.

| a run is killed | a reader finds | the next run |
|---|---|---|
| before the old properties are removed | the old catalog, or none | goes on |
| before the new properties are written | none | with the same arguments: copies again; else needs `overwrite`, \
which knows the files for those of skymargin by `RECORD` |
| after that | the new catalog | removes what was built aside |
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from skymargin.build.arguments import MarginCacheArguments
from skymargin.build.checkpoint.records import write_record
from skymargin.build.preflight import check_free, check_replaced
from skymargin.build.report import MarginReport
from skymargin.build.run_paths import COPYING, RunPaths
from skymargin.catalogs.layout import RECORD, VALID_BY
from skymargin.errors import StorageError
from skymargin.storage import remote_output
from skymargin.storage.paths import AnyPath, exists, is_empty_folder, is_local, read_bytes, remove_folder

if TYPE_CHECKING:
    from upath import UPath


def publish_folder(partial: AnyPath, final: AnyPath, old: AnyPath) -> None:
    """Make the catalog that was built the one at its place; what was there is replaced.

    Parameters
    ----------
    partial
        What was built.
    final
        Its place.
    old
        Name for what was there, while it is needed; of no use on an object store.

    Raises
    ------
    OSError
        When something cannot be moved. What was at the place before is there then, on a local file system.
    """
    if not isinstance(partial, Path):
        remote_output.replace(partial, cast("UPath", final), marker=RECORD)
        return
    final, old = Path(str(final)), Path(str(old))
    replaces = final.exists()
    if replaces:
        final.rename(old)
    try:
        partial.rename(final)
    except BaseException:
        if replaces:
            old.rename(final)
        raise
    remove_folder(old)


def recover(final: AnyPath, old: AnyPath) -> None:
    """Undo or end the moves of a run that was killed between them, when it is not gone on with.

    Parameters
    ----------
    final
        Place of the catalog.
    old
        Name for what was there before.
    """
    if not isinstance(old, Path) or not old.exists():
        return
    final = Path(str(final))
    if final.exists() and not is_empty_folder(final):
        remove_folder(old)
        return
    with suppress(FileNotFoundError):
        final.rmdir()
    old.rename(final)


def digest_of(catalog: AnyPath) -> str | None:
    """What tells one making of a catalog from another: its properties, which say when it was made; None without."""
    import hashlib

    # The two of HATS have the same bytes; a copy that was cut off may have one of them.
    written = [catalog / name for name in VALID_BY if exists(catalog / name)]
    return hashlib.sha256(read_bytes(written[-1])).hexdigest() if written else None


@dataclass
class PendingMargin:
    """One margin catalog of a run.

    Attributes
    ----------
    args : MarginCacheArguments
        Its arguments.
    places : Places
        Where it is kept.
    partial : Path or UPath
        The margin catalog under construction.
    collection : Path or UPath, or None
        Folder of the collection that it is added to.
    report : MarginReport or None
        The report of a margin catalog that is made and has only to get its place, or has it already.
    digest : str or None
        What tells that margin catalog from others.
    """

    args: MarginCacheArguments
    run_paths: RunPaths
    partial: AnyPath
    collection: AnyPath | None = None
    report: MarginReport | None = None
    digest: str | None = None

    @property
    def is_lost(self) -> bool:
        """Whether the catalog that was made is neither where it was built nor at its place any more."""
        return not exists(self.partial) and digest_of(self.run_paths.final) != self.digest

    def place(self) -> MarginReport:
        """Put it at its place, when it is not there yet.

        Returns
        -------
        MarginReport
            That of the run that made it.

        Raises
        ------
        OutputExistsError
            When there is something that may not be replaced.
        StorageError
            When it cannot be put there.
        """
        final, old = self.run_paths.final, self.run_paths.old
        # It may have taken hours since this was checked.
        check_output(self.args, self)
        try:
            # What was built loses its properties first when it is removed, and that comes after the last copy.
            if digest_of(self.partial) == self.digest:
                if not is_local(final):
                    write_record(self.run_paths.records, COPYING, b"")
                publish_folder(self.partial, final, old)
            else:
                # A run was killed after it had been put there.
                recover(final, old)
                remove_folder(self.partial)
        except OSError as error:
            raise StorageError(f"{final} cannot be written: {error}") from error
        assert self.report is not None, "placed before it was made"
        return self.report


def check_output(args: MarginCacheArguments, made: PendingMargin | None) -> None:
    """Check that the output may be replaced, when there is something that is not the work of this very run.

    Parameters
    ----------
    args
        The arguments of the margin catalog.
    made
        What this run has made of it; None when that is not all.

    Raises
    ------
    OutputExistsError
        When it may not.
    """
    target = args.target
    final, old = target.paths.final, target.paths.old
    check_replaced(old)
    if made is None:
        recover(final, old)
        check_free(target)
        return
    existing = digest_of(final)
    if existing == made.digest and digest_of(made.partial) != made.digest:
        return
    # On an object store, what is there without properties may be the copy that was interrupted.
    copied = existing is None and target.paths.copy_has_begun
    check_free(target, is_own=existing == made.digest or copied)
