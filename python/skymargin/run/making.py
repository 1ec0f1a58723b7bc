"""One margin catalog of a run, from where it is built to its place."""

from __future__ import annotations

from dataclasses import dataclass

from skymargin.arguments import MarginCacheArguments
from skymargin.errors import StorageError
from skymargin.report import MarginReport
from skymargin.run.places import Places
from skymargin.run.placing import bring_back, digest_of, put_in_place
from skymargin.storage import AnyPath, exists, is_local, remove_folder


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
    if made is None:
        bring_back(places.final, places.old)
        args.check_free()
        return
    there = digest_of(places.final)
    # On an object store, what is there without properties is the copy that was cut off.
    if there != made.digest and (there is not None or is_local(places.final)):
        args.check_free()
