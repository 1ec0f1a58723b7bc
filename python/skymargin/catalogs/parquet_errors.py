"""Errors of reading Parquet files, with the name of the file; encrypted files are refused before pyarrow has them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import skymargin._core as _core
from skymargin.errors import CatalogError, PartitionReadError
from skymargin.formatting import in_one_line

if TYPE_CHECKING:
    import pyarrow as pa

    from skymargin.storage.paths import AnyPath

# What pyarrow reads first of a file; most footers are in it.
_TAIL_BYTES = 64 * 1024
# The length of the footer and the magic number.
_TRAILER_BYTES = 8


class EncryptedError(Exception):
    """A file is encrypted, or a column of it; `reading_parquet` adds the name of the file."""


@contextmanager
def reading_parquet(path: AnyPath, error_type: type[CatalogError | PartitionReadError]) -> Iterator[None]:
    """Raise errors of reading a file as `error_type`, with its name; what is of this type already stays as it is."""
    import pyarrow as pa

    try:
        yield
    except error_type:
        raise
    except EncryptedError as error:
        raise error_type(f"{path}: {error}") from None
    # A name that is not UTF-8 is not an error of Arrow's.
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
        raise error_type(f"{path} cannot be read as Parquet: {in_one_line(error)}") from error


def refuse_encrypted(source: pa.NativeFile) -> None:
    """Refuse an encrypted file in the words of the core, as a build does; use it in `reading_parquet`.

    pyarrow says no column, and ends the process when it is asked for the metadata of a column that is encrypted.

    Raises
    ------
    EncryptedError
        When the footer is encrypted, or says that a column is.
    """
    size = source.size()
    start = max(0, size - _TAIL_BYTES)
    source.seek(start)
    tail = source.read(size - start)
    length, magic = int.from_bytes(tail[-_TRAILER_BYTES:-4], "little"), tail[-4:]
    footer_start = size - _TRAILER_BYTES - length
    if magic == b"PARE":
        raise EncryptedError("is encrypted; encrypted Parquet is not supported")
    # pyarrow tells what is wrong with a file that is none.
    if magic == b"PAR1" and footer_start >= 0:
        if footer_start < start:
            source.seek(footer_start)
            footer = source.read(length)
        else:
            footer = tail[footer_start - start : -_TRAILER_BYTES]
        if (column := _core.encrypted_column(footer)) is not None:
            raise EncryptedError(f"column {column!r} is encrypted; encrypted Parquet is not supported")
    source.seek(0)
