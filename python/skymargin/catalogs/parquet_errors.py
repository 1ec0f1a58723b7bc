"""Errors of reading Parquet files, with the name of the file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from skymargin.errors import CatalogError, PartitionReadError
from skymargin.formatting import in_one_line

if TYPE_CHECKING:
    from skymargin.storage.paths import AnyPath


@contextmanager
def reading_parquet(path: AnyPath, error_type: type[CatalogError | PartitionReadError]) -> Iterator[None]:
    """Raise errors of reading a file as `error_type`, with its name; what is of this type already stays as it is."""
    import pyarrow as pa

    try:
        yield
    except error_type:
        raise
    # A name that is not UTF-8 is not an error of Arrow's.
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
        raise error_type(f"{path} cannot be read as Parquet: {in_one_line(error)}") from error
