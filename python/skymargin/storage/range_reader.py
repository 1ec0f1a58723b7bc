"""Ranged reads of remote files: many ranges in one call, failed ones retried."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skymargin.errors import StorageError
from skymargin.storage.remote import (
    WrongAnswerError,
    current_size,
    file_size,
    retry,
    without_secrets,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from upath import UPath

    from skymargin.storage.paths import AnyPath

# Length of the footer and the magic number.
_TRAILER_BYTES = 8
_TAIL_BYTES = 64 * 1024
# A tail up to this size is kept for later reads.
_KEPT_BYTES = 64 * 1024


class RangeReader:
    """Reads many ranges of a remote file in one call, so that a server can answer them in parallel.

    Parameters
    ----------
    path
        The file.
    size_bytes
        Its size, as a listing states it; None to ask the server.

    Attributes
    ----------
    size_bytes : int
        Its size.

    Raises
    ------
    OSError
        When the size is not given, and the file does not exist or its size is unknown.
    """

    def __init__(self, path: UPath, size_bytes: int | None = None) -> None:
        self._path = path
        self._is_listed = size_bytes is not None
        self.size_bytes = file_size(path) if size_bytes is None else size_bytes
        # The first read is the end of the file, which contains the footer, or the whole of a small file.
        self._tail = b""

    def check_size(self) -> None:
        """Check, after something has failed, that a file still has the size that a listing stated.

        Raises
        ------
        StorageError
            When it has another size now.
        """
        now_bytes = current_size(self._path) if self._is_listed else None
        if now_bytes not in (None, self.size_bytes):
            raise StorageError(
                f"the file has changed from {self.size_bytes} to {now_bytes} bytes since the catalog was listed; "
                "start the run again when the catalog is complete"
            )

    def read_ranges(self, starts: list[int], stops: list[int]) -> list[bytes]:
        """The bytes from each start to before its stop.

        Raises
        ------
        OSError
            When a range cannot be read completely after several tries. The caller names the file.
        """
        ranges = list(zip(starts, stops, strict=True))
        tail, tail_start = self._tail, self.size_bytes - len(self._tail)
        parts = {
            number: tail[start - tail_start : stop - tail_start]
            for number, (start, stop) in enumerate(ranges)
            if start >= tail_start
        }

        missing = [number for number in range(len(ranges)) if number not in parts]
        if missing:
            asked = [(self._path, self.size_bytes, *ranges[number]) for number in missing]
            parts.update(zip(missing, fetch_ranges(asked, named=False), strict=True))
        if ranges and stops[-1] == self.size_bytes and len(tail) < len(parts[len(ranges) - 1]) <= _KEPT_BYTES:
            self._tail = parts[len(ranges) - 1]
        return [parts[number] for number in range(len(ranges))]


def fetch_ranges(ranges: Sequence[tuple[UPath, int, int, int]], *, named: bool = True) -> list[bytes]:
    """Read ranges of files of one file system in one call, those that fail several times.

    Parameters
    ----------
    ranges
        At least one. Of each the file, its size in bytes, and the bytes from a start to before a stop.
    named
        Whether errors name the file; False where the caller does.

    Raises
    ------
    OSError
        When a range cannot be read completely.
    """
    parts: dict[int, bytes] = {}
    failing = ranges[0][0]

    def fetch_missing() -> None:
        nonlocal failing
        missing = [number for number in range(len(ranges)) if number not in parts]
        files, _, starts, stops = zip(*(ranges[number] for number in missing), strict=True)
        answers = files[0].fs.cat_ranges(
            [file.path for file in files], list(starts), list(stops), on_error="return"
        )
        failures = []
        for number, answer in zip(missing, answers, strict=True):
            failure = _failure(answer, *ranges[number][1:])
            if failure is None:
                parts[number] = bytes(answer)
            else:
                failures.append((ranges[number][0], failure))
        if failures:
            failing, failure = failures[0]
            raise failure

    try:
        retry(failing, fetch_missing, named=False)
    except OSError as error:
        if not named:
            raise
        text = without_secrets(f"{failing}: {error}", failing.storage_options)
        raise type(error)(text) from error.__cause__
    return [parts[number] for number in range(len(ranges))]


def _failure(answer: Any, size_bytes: int, start: int, stop: int) -> BaseException | None:
    """The error of a range, or one for an answer of the wrong length; None when it is complete."""
    if isinstance(answer, BaseException):
        return answer
    if len(answer) == stop - start:
        return None
    if len(answer) == size_bytes:
        return StorageError(
            "the server answers with the whole file when asked for a part of it; "
            "copy the catalog to a disk, or use a server that supports range requests"
        )
    # A connection may close in the middle of an answer; the next answer may be complete.
    return WrongAnswerError(f"{len(answer)} bytes arrived of the {stop - start} from byte {start} on")


def read_tail(path: AnyPath, size_bytes: int | None = None) -> bytes:
    """The end of a Parquet file, including its whole footer; the whole of a small file.

    `size_bytes` is the size of a remote file, where it is known.
    """
    if isinstance(path, Path):
        size, read = path.stat().st_size, range_reader(path)
    else:
        reader = RangeReader(path, size_bytes)
        size = reader.size_bytes
        read = partial(_read_range, reader)
    length = min(size, _TAIL_BYTES)
    tail = read(size - length, size)
    needed = int.from_bytes(tail[-_TRAILER_BYTES:-4], "little") + _TRAILER_BYTES
    return read(size - needed, size - length) + tail if length < needed <= size else tail


def range_reader(path: AnyPath, size_bytes: int | None = None) -> Callable[[int, int], bytes]:
    """A function that reads a file from one byte to before another.

    `size_bytes` is the size of a remote file, where it is known.
    """
    if not isinstance(path, Path):
        return partial(_read_range, RangeReader(path, size_bytes))

    def read(start: int, stop: int) -> bytes:
        with path.open("rb") as source:
            source.seek(start)
            return source.read(stop - start)

    return read


def _read_range(reader: RangeReader, start: int, stop: int) -> bytes:
    return reader.read_ranges([start], [stop])[0]
