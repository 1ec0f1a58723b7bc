"""One margin catalog of a run, from where it is built to its place."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from skymargin.arguments import MarginCacheArguments
from skymargin.errors import OutputExistsError, StorageError
from skymargin.formats.ownership import inspect_existing
from skymargin.report import MarginReport
from skymargin.run.places import COPYING, Places
from skymargin.run.placing import bring_back, digest_of, put_in_place
from skymargin.run.records import write_record
from skymargin.storage import AnyPath, exists, is_empty_folder, is_local, remove_folder


@dataclass
class Making:
    """One margin catalog of a run.

    Attributes
    ----------
    args : MarginCacheArguments
        Its arguments.
    places : Places
        Where it is kept.
    partial : Path or UPath
        The margin catalog under construction.
    report : MarginReport or None
        The report of a margin catalog that is made and has only to get its place, or has it already.
    digest : str or None
        What tells that margin catalog from others.
    """

    args: MarginCacheArguments
    places: Places
    partial: AnyPath
    report: MarginReport | None = None
    digest: str | None = None

    @property
    def is_lost(self) -> bool:
        """Whether the catalog that was made is neither where it was built nor at its place any more."""
        return not exists(self.partial) and digest_of(self.places.final) != self.digest

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
        final, old = self.places.final, self.places.old
        # It may have taken hours since this was checked.
        check_output(self.args, self)
        try:
            # What was built loses its properties first when it is removed, and that comes after the last copy.
            if digest_of(self.partial) == self.digest:
                if not is_local(final):
                    write_record(self.places.records, COPYING, b"")
                put_in_place(self.partial, final, old)
            else:
                # A run was killed after it had been put there.
                bring_back(final, old)
                remove_folder(self.partial)
        except OSError as error:
            raise StorageError(f"{final} cannot be written: {error}") from error
        assert self.report is not None, "placed before it was made"
        return self.report


def check_output(args: MarginCacheArguments, made: Making | None) -> None:
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
    places = args.places
    _check_old(places.old)
    if made is None:
        bring_back(places.final, places.old)
        args.check_free()
        return
    existing = digest_of(places.final)
    if existing == made.digest and digest_of(made.partial) != made.digest:
        return
    # On an object store, what is there without properties may be the copy that was cut off.
    args.check_free(is_own=existing == made.digest or (existing is None and places.copy_has_begun))


def _check_old(old: AnyPath) -> None:
    """Check that what has the name of a catalog that was replaced is one, before it is removed."""
    if not isinstance(old, Path) or not exists(old) or is_empty_folder(old):
        return
    existing = inspect_existing(old)
    if not existing.replaceable:
        raise OutputExistsError(
            f"{old} would be removed, as the margin catalog that an earlier run has replaced, but it is "
            f"{existing.description}: move it away"
        )
