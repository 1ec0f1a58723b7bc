"""The errors of the package: a base class, and a class for each kind that a caller may want to handle.

Where a class has an `OSError` among its bases, that comes first, because Dask's pickling requires it.
"""

from __future__ import annotations


class SkymarginError(Exception):
    """Base of every error that skymargin raises on purpose."""


class ArgumentError(SkymarginError, ValueError):
    """An argument has a value that is not allowed. The message names the argument, the value and what is allowed."""


class ThresholdWarning(UserWarning):
    """A threshold without a unit is so small or so large that it may be meant in degrees, not arcseconds."""


class OutputExistsError(FileExistsError, ArgumentError):
    """The output exists and `overwrite` was not given, or it must not be overwritten."""


class OutputInUseError(SkymarginError, RuntimeError):
    """Another run writes a margin catalog to the same path.

    The message names the path and, on the same machine, the process.
    """


class CatalogError(SkymarginError, ValueError):
    """The input is not a catalog that a margin can be built from. The message names the file at fault."""


class CatalogNotFoundError(FileNotFoundError, CatalogError):
    """There is no catalog, or none of a known format, at a path."""


class MissingExtraError(SkymarginError, ImportError):
    """A required library is not installed. The message says how to install it."""


class MissingPartitionError(FileNotFoundError, CatalogError):
    """The catalog lists a partition whose file does not exist."""


class PartitionReadError(OSError, SkymarginError):
    """A file of the catalog cannot be read, or contradicts the catalog."""


class PositionError(CatalogError):
    """Rows have NaN, null or out-of-range coordinates. The message names the file, the number and the first row."""


class IncompleteMarginError(SkymarginError, RuntimeError):
    """The stages disagree on what should have been written; the margin was not kept."""


class StandInError(ImportError, SkymarginError):
    """A package that skymargin should stand in for was imported before."""


class WorkerError(SkymarginError, RuntimeError):
    """The work cannot go on with the Dask client: no worker is there that can run tasks, or the scheduler was lost.

    A worker cannot when it does not see the files of the run, lacks skymargin, or dies.
    """


class StorageError(OSError, SkymarginError):
    """A file cannot be written, or a server cannot be read from. The message names the path."""
