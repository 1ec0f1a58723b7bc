"""Calls to remote file systems: tried again when a server has a bad moment, with errors of one kind that name the file.

Whatever a file system raises leaves here as an `OSError`: the clients of object stores have errors of their own, and
that of HTTP takes a server that is down for a file that is not there.
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from skymargin.errors import SkymarginError, StorageError

if TYPE_CHECKING:
    from aiohttp import ClientResponse
    from upath import UPath

T = TypeVar("T")

TRIES = 4
# A web server that takes a connection and then says nothing for so long is given up; aiohttp waits for five minutes.
_SILENCE_SECONDS = 30
_FIRST_WAIT_SECONDS = 0.2
# The clients of these try again themselves, with longer waits.
_TRY_AGAIN_THEMSELVES = frozenset({"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl"})
# What these do not try again, or not often: bodies that were cut, or do not fit the checksum that came with them.
_SPOILT_BODIES = frozenset(
    {"FlexibleChecksumError", "ClientPayloadError", "IncompleteReadError", "ResponseStreamingError"}
)
# s3fs does what botocore has tried five times five times, and reads that again five times: 125 requests, and half an
# hour if a server is silent. With these of its own there are 20, and five minutes.
_TRIES_OF_S3FS = 2
_TRANSIENT_STATUS = frozenset({408, 429, 500, 502, 503, 504})
_PARTIAL_CONTENT = 206
_RANGE = re.compile(r"bytes[ =](\d+)-")
# Servers answer 403 for a file that is not there when they do not let the asker list.
_ABSENT_STATUS = frozenset({403, 404, 410})
# Round trips in flight at once where each file has to be asked for.
_ASKED_AT_ONCE = 32
_SECRET = re.compile("key|secret|token|pass|auth|cred|header|cookie|sas|connection", re.IGNORECASE)


def is_http(path: UPath) -> bool:
    """Whether the path is a URL of the web: its files can be read, but neither listed nor written."""
    return path.protocol in ("http", "https")


class WrongAnswerError(ConnectionError):
    """An answer that is whole for the client but not what it was asked for; the next one may be right."""


def checked(path: UPath) -> UPath:
    """The path, for the web with options of its client: that it gives up a silent server, and checks each range.

    Options that the path has already go before these.
    """
    if not is_http(path):
        return path
    from aiohttp import ClientTimeout
    from upath import UPath

    options = dict(path.storage_options)
    ours = {
        "timeout": ClientTimeout(total=None, sock_connect=_SILENCE_SECONDS, sock_read=_SILENCE_SECONDS),
        "raise_for_status": check_range,
    }
    options["client_kwargs"] = {**ours, **(options.get("client_kwargs") or {})}
    return UPath(str(path), protocol=path.protocol, **options)


async def check_range(response: ClientResponse) -> None:
    """Refuse the answer with another part of a file than was asked for; aiohttp calls this with each answer.

    Raises
    ------
    WrongAnswerError
        When it says that it is another.
    """
    asked = _RANGE.match(response.request_info.headers.get("Range", ""))
    sent = _RANGE.match(response.headers.get("Content-Range", ""))
    if response.status == _PARTIAL_CONTENT and asked and sent and asked[1] != sent[1]:
        response.close()
        raise WrongAnswerError(
            f"what was asked for begins at byte {asked[1]}, what was sent at byte {sent[1]}"
        )


def retry(path: UPath, call: Callable[[], T], *, named: bool = True) -> T:
    """What the call returns, tried again a few times after errors that may pass.

    Parameters
    ----------
    path
        What the call is about, to be named in errors.
    call
        Asks the file system of `path` for something; safe to be made twice.
    named
        Whether errors name the path; False where the caller does.

    Raises
    ------
    FileNotFoundError
        When there is no such file.
    StorageError
        When it cannot be had for another reason.
    """
    persistent = path.protocol in _TRY_AGAIN_THEMSELVES
    for number in range(TRIES):
        if number:
            # Many workers meet the same bad moment; they are not to come back together.
            time.sleep(_FIRST_WAIT_SECONDS * 2 ** (number - 1) * random.uniform(0.5, 1.5))
        with translate_errors(path, named=named):
            try:
                return call()
            except Exception as error:
                again = _is_spoilt(error) if persistent else is_transient(error)
                if number + 1 == TRIES or not again:
                    raise
    raise AssertionError("the last try returns or raises")


@contextmanager
def translate_errors(path: UPath, *, named: bool = True) -> Iterator[None]:
    """Errors of the file system as errors that name the path, without what the storage options keep secret."""
    try:
        if path.protocol in ("s3", "s3a"):
            # There is no option for it, and each process has a file system of its own.
            path.fs.retries = _TRIES_OF_S3FS
        yield
    except SkymarginError:
        raise
    except Exception as error:
        cause = _unmasked(error)
        kind = FileNotFoundError if _is_absent(cause) else StorageError
        said = " ".join(str(cause).split())
        # asyncio's timeouts say nothing; a missing file is mostly told by its path alone.
        reason = f"{type(cause).__name__}: {said}" if said else type(cause).__name__
        if kind is FileNotFoundError and not getattr(cause, "status", None):
            reason = "there is no such file"
        if type(cause).__name__ == "NoCredentialsError":
            reason += "; give them in the storage options, which for a public bucket are {'anon': True}"
        text = without_secrets(f"{path}: {reason}" if named else reason, path.storage_options)
        # The chain of a traceback would print the original.
        raise kind(text) from (error if said in text else None)


def is_transient(error: BaseException) -> bool:
    """Whether the same request may succeed in a moment."""
    error = _unmasked(error)
    status = getattr(error, "status", None)
    if isinstance(status, int):
        return status in _TRANSIENT_STATUS
    return isinstance(error, (ConnectionError, TimeoutError)) or _is_client_error(error)


def without_secrets(text: str, options: Mapping[str, Any]) -> str:
    """The text without the values of storage options that look like credentials."""
    for secret in sorted(_secrets(options, within=False), key=len, reverse=True):
        text = text.replace(secret, "***")
    return text


def exists(path: UPath) -> bool:
    """Whether there is a file, or where folders can be asked for a folder, as the server says now."""
    if not is_http(path):
        path.fs.invalidate_cache()
        return retry(path, lambda: bool(path.fs.exists(path.path)))
    try:
        file_size(path)
    except FileNotFoundError:
        return False
    return True


def file_size(path: UPath) -> int:
    """Size of a file in bytes.

    Raises
    ------
    FileNotFoundError
        When there is no such file.
    StorageError
        When the server does not tell.
    """
    size = retry(path, lambda: path.fs.info(path.path)["size"])
    if size is None:
        raise StorageError(f"{path}: the server does not tell the size of the file, which ranged reads need")
    return int(size)


def read_whole(path: UPath) -> bytes:
    """Contents of a small file, of the length that the server tells in another answer, if it tells one.

    Raises
    ------
    FileNotFoundError
        When there is no such file.
    StorageError
        When it cannot be had, or not in full.
    """

    def read() -> bytes:
        content: bytes = path.fs.cat_file(path.path)
        path.fs.invalidate_cache(path.path)
        size = path.fs.info(path.path)["size"]
        if size is not None and size != len(content):
            raise WrongAnswerError(f"{len(content)} bytes arrived of a file of {size} bytes")
        return content

    return retry(path, read)


def file_sizes(folder: UPath, names: Iterable[str]) -> dict[str, int]:
    """Sizes of those of the files that exist, each asked for by name, many at a time."""
    names = list(names)
    with ThreadPoolExecutor(max_workers=_ASKED_AT_ONCE) as pool:
        sizes = list(pool.map(partial(_size_if_there, folder), names))
    return {name: size for name, size in zip(names, sizes, strict=True) if size is not None}


def list_files(folder: UPath) -> dict[str, int]:
    """Every file below a folder with its size, as the server has them now; none where there is no folder."""
    root = folder.path.rstrip("/")
    folder.fs.invalidate_cache()

    def find() -> dict[str, Any]:
        try:
            return dict(folder.fs.find(root, detail=True))
        except FileNotFoundError:
            return {}

    found = retry(folder, find)
    # Some tools leave an empty object, whose name ends with a slash, where they think a folder is.
    return {
        name[len(root) + 1 :]: int(about["size"] or 0)
        for name, about in found.items()
        if name.rstrip("/") != root and about["type"] == "file" and (about["size"] or name[-1] != "/")
    }


def _size_if_there(folder: UPath, name: str) -> int | None:
    try:
        return file_size(folder / name)
    except FileNotFoundError:
        return None


def _unmasked(error: BaseException) -> BaseException:
    """What went wrong where fsspec says of every failure that the file is not there."""
    cause = error.__cause__
    if (
        isinstance(error, FileNotFoundError)
        and cause is not None
        and not isinstance(cause, FileNotFoundError)
    ):
        return _unmasked(cause)
    return error


def _is_absent(error: BaseException) -> bool:
    return isinstance(error, FileNotFoundError) or getattr(error, "status", None) in _ABSENT_STATUS


def _is_client_error(error: BaseException) -> bool:
    """Whether aiohttp lost a connection, or did not get one."""
    import aiohttp

    return isinstance(error, (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError))


def _is_spoilt(error: BaseException) -> bool:
    """Whether an answer came, and was not right."""
    return isinstance(error, WrongAnswerError) or type(_unmasked(error)).__name__ in _SPOILT_BODIES


def _secrets(options: Mapping[str, Any], within: bool) -> Iterator[str]:
    for name, value in options.items():
        secret = within or bool(_SECRET.search(str(name)))
        if isinstance(value, Mapping):
            yield from _secrets(value, secret)
        elif secret and isinstance(value, (str, tuple, list)):
            # A name or a pair, such as aiohttp's BasicAuth of login and password.
            yield from (one for one in ([value] if isinstance(value, str) else value) if _long(one))


def _long(value: object) -> bool:
    # Shorter ones are no secret, and replacing them would garble the text.
    return isinstance(value, str) and len(value) > 3
