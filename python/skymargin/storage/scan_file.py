"""Files of partitions, opened for the scan of the core."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from skymargin.errors import PartitionReadError
from skymargin.formatting import in_one_line
from skymargin.storage.range_reader import RangeReader

if TYPE_CHECKING:
    import skymargin._core as _core
    from skymargin.storage.paths import AnyPath


def open_scan_file(scanner: _core.Scanner, path: AnyPath, size_bytes: int | None = None) -> _core.ScanFile:
    """Open a file: the core reads a local one itself, and any other through a reader of ranges.

    `size_bytes` is the size of a remote file as it was listed; without it, the server is asked.

    Raises
    ------
    OSError
        When it cannot be read; `scan_errors` translates this.
    """
    if isinstance(path, Path):
        return scanner.open_local(str(path))
    return scanner.open_reader(str(path), RangeReader(path, size_bytes))


@contextmanager
def scan_errors() -> Iterator[None]:
    """Raise errors of opening and scanning, which name the file, as `PartitionReadError`."""
    try:
        yield
    except OSError as error:
        raise PartitionReadError(in_one_line(error)) from error
