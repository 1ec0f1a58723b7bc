"""The errors of the package: one base, and one class for each thing a caller may want to tell apart.

Where a class has an `OSError` among its bases it comes first: Dask's way of pickling needs it there.
"""

from __future__ import annotations


class SkymarginError(Exception):
    """Base of every error that skymargin raises on purpose."""


class ArgumentError(SkymarginError, ValueError):
    """An argument has a value that is not allowed. The message names the argument, the value and the rule."""


class OutputExistsError(FileExistsError, ArgumentError):
    """The output exists already and `overwrite` was not given, or it must not be overwritten."""


class OutputInUseError(SkymarginError, RuntimeError):
    """Another run is making a margin catalog at the same place. The message names the place and the process."""


class CatalogError(SkymarginError, ValueError):
    """The input is not a catalog a margin can be made of. The message names the file at fault."""


class CatalogNotFoundError(FileNotFoundError, CatalogError):
    """There is no catalog, or no catalog of a known format, at the path given."""


class MissingExtraError(SkymarginError, ImportError):
    """A library is needed that is not installed with skymargin itself. The message names the extra that has it."""


class MissingPartitionError(FileNotFoundError, CatalogError):
    """A partition is listed by the catalog but its file is not there."""


class PartitionReadError(OSError, SkymarginError):
    """A file of the catalog cannot be read, or does not hold what the catalog says it holds."""


class PositionError(CatalogError):
    """Rows have no usable position: NaN, null or out-of-range coordinates. Names file, count and first row."""


class IncompleteMarginError(SkymarginError, RuntimeError):
    """The stages do not agree on what was to be written; the margin was not kept."""


class StandInError(ImportError, SkymarginError):
    """A package that skymargin is to stand in for is imported already."""


class WorkerError(SkymarginError, RuntimeError):
    """A Dask worker cannot do its part: it does not see the files of the run, has no skymargin, or dies."""


class StorageError(OSError, SkymarginError):
    """Something could not be written, or a server not be read from. The message names the path."""
