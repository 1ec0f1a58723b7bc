"""Calls to remote file systems, with retries, and with errors of one kind that name the file.

Every error of a file system is raised as `FileNotFoundError` or `StorageError`: clients of object stores have their own
errors, and that of HTTP takes an unreachable server for a missing file.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from skymargin.errors import SkymarginError, StorageError
from skymargin.formatting import in_one_line

if TYPE_CHECKING:
    from aiohttp import ClientResponse, ClientSession
    from upath import UPath

T = TypeVar("T")

TRIES = 4
# Connections that a client may keep open to a server; each is opened when a thread needs it. A thread that maps reads
# several partitions at the same time. The clients' own limits are 10 (S3) and 100 (all others, which use aiohttp).
CONNECTIONS = 256
# Timeout for a web server that accepts a connection and then stays silent; aiohttp waits for five minutes.
_SILENCE_SECONDS = 30
_FIRST_WAIT_SECONDS = 0.2
_S3 = ("s3", "s3a")
# The clients of these retry by themselves, with longer waits.
_RETRYING_PROTOCOLS = frozenset({"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl"})
# Errors that they do not retry, or not often: truncated bodies, and bodies that do not match their checksum.
_SPOILT_BODIES = frozenset(
    {"FlexibleChecksumError", "ClientPayloadError", "IncompleteReadError", "ResponseStreamingError"}
)
# s3fs retries five times what botocore retries five times, and repeats reads five times: 125 requests, and half an hour
# for a silent server. With this number of retries of s3fs it is 20 requests and five minutes.
_TRIES_OF_S3FS = 2
_TRANSIENT_STATUS = frozenset({408, 429, 500, 502, 503, 504})
_PARTIAL_CONTENT = 206
_RANGE = re.compile(r"bytes[ =](\d+)-")
# Servers answer 403 for a missing file when the client may not list.
_ABSENT_STATUS = frozenset({403, 404, 410})
# Names under which stores list what identifies the version of an object.
_MARKS = ("ETag", "etag", "md5Hash", "LastModified", "last_modified", "mtime", "updated", "created")
# Concurrent requests when each file needs its own.
ASKED_AT_ONCE = 32
_SECRET = re.compile("key|secret|token|pass|auth|cred|header|cookie|sas|connection", re.IGNORECASE)


def is_http(path: UPath) -> bool:
    """Whether the path is an HTTP URL: its files can be read, but not listed or written."""
    return path.protocol in ("http", "https")


class WrongAnswerError(ConnectionError):
    """An answer that the client accepts but that is not what was requested; the next one may be right."""


def checked(path: UPath) -> UPath:
    """The path, with options for as many connections as threads may ask for.

    For HTTP also with a timeout on silent servers and a check of each range. Options that the path already has take
    precedence.
    """
    options = dict(path.storage_options)
    if path.protocol in _S3:
        config = options.get("config_kwargs") or {}
        options["config_kwargs"] = {"max_pool_connections": CONNECTIONS, **config}
    elif is_http(path):
        from aiohttp import ClientTimeout

        defaults = {
            "timeout": ClientTimeout(total=None, sock_connect=_SILENCE_SECONDS, sock_read=_SILENCE_SECONDS),
            "raise_for_status": check_range,
        }
        options = {"get_client": open_session, **options}
        options["client_kwargs"] = {**defaults, **(options.get("client_kwargs") or {})}
    else:
        return path
    from upath import UPath

    return UPath(str(path), protocol=path.protocol, **options)


async def open_session(**arguments: Any) -> ClientSession:
    """A session of aiohttp as fsspec opens it, for more connections than aiohttp's 100."""
    from aiohttp import ClientSession, TCPConnector

    # A connector belongs to the loop in which it is made, so that it can be no option of the path.
    return ClientSession(**{"connector": TCPConnector(limit=CONNECTIONS), **arguments})


async def check_range(response: ClientResponse) -> None:
    """Raise `WrongAnswerError` for an answer with another range than requested; aiohttp calls this for each answer."""
    asked = _RANGE.match(response.request_info.headers.get("Range", ""))
    sent = _RANGE.match(response.headers.get("Content-Range", ""))
    if response.status == _PARTIAL_CONTENT and asked and sent and asked[1] != sent[1]:
        response.close()
        raise WrongAnswerError(
            f"what was asked for begins at byte {asked[1]}, what was sent at byte {sent[1]}"
        )


def retry(path: UPath, call: Callable[[], T], *, named: bool = True) -> T:
    """Return the result of a call, with a few retries after errors that may be transient.

    Parameters
    ----------
    path
        The path that errors name.
    call
        A request to the file system of `path` that can be repeated.
    named
        Whether errors name the path; False where the caller does.

    Raises
    ------
    FileNotFoundError
        When there is no such file.
    StorageError
        When the request fails for another reason.
    """
    persistent = path.protocol in _RETRYING_PROTOCOLS
    for number in range(TRIES):
        if number:
            # Random waits: workers that failed together must not all retry together.
            import random

            time.sleep(_FIRST_WAIT_SECONDS * 2 ** (number - 1) * random.uniform(0.5, 1.5))
        with translate_errors(path, named=named):
            try:
                return call()
            except Exception as error:
                may_pass = _is_spoilt(error) if persistent else is_transient(error)
                if number + 1 == TRIES or not may_pass:
                    raise
    raise AssertionError("the last try returns or raises")


@contextmanager
def translate_errors(path: UPath, *, named: bool = True) -> Iterator[None]:
    """Raise errors of the file system as errors that name the path, without secrets of the storage options."""
    try:
        if path.protocol in _S3:
            # There is no option for this, and each process has its own file system object.
            path.fs.retries = _TRIES_OF_S3FS
        yield
    except (SkymarginError, ImportError):
        # A package that is missing is named by fsspec.
        raise
    except Exception as error:
        cause = _unmasked(error)
        kind = FileNotFoundError if _is_absent(cause) else StorageError
        message = in_one_line(cause)
        # Timeouts of asyncio have no message; that of a missing file is mostly its path.
        reason = f"{type(cause).__name__}: {message}" if message else type(cause).__name__
        if kind is FileNotFoundError and not getattr(cause, "status", None):
            reason = "there is no such file"
        if type(cause).__name__ == "NoCredentialsError":
            reason += "; give them in the storage options, which for a public bucket are {'anon': True}"
        text = without_secrets(f"{_url(path)}: {reason}" if named else reason, path.storage_options)
        # Chained only if nothing was hidden: a traceback would print the original message.
        raise kind(text) from (error if message in text else None)


def _url(path: UPath) -> str:
    """The path as text; UPath keeps the server of some kinds, such as FTP, in the options alone."""
    host = path.storage_options.get("host")
    return str(path).replace(":///", f"://{host}/", 1) if isinstance(host, str) else str(path)


def is_transient(error: BaseException) -> bool:
    """Whether the same request may soon succeed."""
    error = _unmasked(error)
    status = getattr(error, "status", None)
    if isinstance(status, int):
        return status in _TRANSIENT_STATUS
    return isinstance(error, (ConnectionError, TimeoutError)) or _is_client_error(error)


def without_secrets(text: str, options: Mapping[str, Any]) -> str:
    """The text with values of storage options that look like credentials replaced."""
    for secret in sorted(_secrets(options, inside=False), key=len, reverse=True):
        text = text.replace(secret, "***")
    return text


def forget_listings(path: UPath) -> None:
    """Drop what fsspec has kept of listings; raises `StorageError` when the server cannot be reached.

    It is the first use of a file system, and some connect when they are made.
    """
    with translate_errors(path):
        path.fs.invalidate_cache()


def exists(path: UPath) -> bool:
    """Whether there is a file or, except over HTTP, a folder, without using caches."""
    if not is_http(path):
        forget_listings(path)
        return retry(path, lambda: bool(path.fs.exists(path.path)))
    try:
        file_size(path)
    except FileNotFoundError:
        return False
    return True


def file_size(path: UPath) -> int:
    """Size of a file in bytes; `StorageError` when the server does not state it."""
    size = retry(path, lambda: path.fs.info(path.path)["size"])
    if size is None:
        raise StorageError(f"{path}: the server does not state the size of the file, which ranged reads need")
    return int(size)


def current_size(path: UPath) -> int | None:
    """Size of a file as the server states it now, asked once; None when it cannot be asked."""
    path.fs.invalidate_cache(path.path)
    try:
        size = path.fs.info(path.path)["size"]
    except Exception:
        # What has failed before says more.
        return None
    return None if size is None else int(size)


def read_whole(path: UPath) -> bytes:
    """Contents of a small file, checked against the size that the server states in another answer, if it does."""

    def read() -> bytes:
        path.fs.invalidate_cache(path.path)
        about = {} if is_http(path) else path.fs.info(path.path)
        size = about.get("size")
        if size and about["type"] == "file":
            # Without a range, s3fs asks for the size itself. The byte after the end shows a file that has grown.
            content: bytes = path.fs.cat_file(path.path, start=0, end=size + 1)
        else:
            content = path.fs.cat_file(path.path)
            size = path.fs.info(path.path)["size"]
        if size is not None and size != len(content):
            raise WrongAnswerError(f"{len(content)} bytes arrived of a file of {size} bytes")
        return content

    return retry(path, read)


def file_sizes(folder: UPath, names: Iterable[str]) -> dict[str, int]:
    """Sizes of the files that exist, one request per file, many at a time."""
    names = list(names)
    with ThreadPoolExecutor(max_workers=ASKED_AT_ONCE) as pool:
        sizes = list(pool.map(partial(_size_if_there, folder), names))
    return {name: size for name, size in zip(names, sizes, strict=True) if size is not None}


def list_files(folder: UPath) -> dict[str, int]:
    """Every file below a folder with its size, without using caches; none when there is no folder."""
    return {name: int(entry["size"] or 0) for name, entry in _find(folder).items()}


def list_versions(folder: UPath) -> tuple[dict[str, int], dict[str, str]]:
    """The same, and what the listing says of each file that tells its versions apart, if it says anything."""
    sizes: dict[str, int] = {}
    marks: dict[str, str] = {}
    for name, entry in _find(folder).items():
        sizes[name] = int(entry["size"] or 0)
        version = version_of(entry)
        if version is not None:
            marks[name] = version
    return sizes, marks


def version_of(entry: Mapping[str, Any]) -> str | None:
    """What tells versions of a file apart, by what a store says of it; None when it says nothing of that kind."""
    version = next((f"{mark} {entry[mark]}" for mark in _MARKS if entry.get(mark)), None)
    return None if version is None else f"{entry['size']} {version}"


def names_in(folder: UPath) -> frozenset[str]:
    """Names of the files and folders directly in a folder, by one listing, without using caches."""
    root = folder.path.rstrip("/")
    forget_listings(folder)

    def listed() -> list[str]:
        try:
            return [str(name) for name in folder.fs.ls(root, detail=False)]
        except (FileNotFoundError, NotADirectoryError):
            return []

    names = (name.rstrip("/") for name in retry(folder, listed))
    return frozenset(name.rpartition("/")[2] for name in names if name.strip("/") != root.strip("/"))


class Contents(NamedTuple):
    """What is at a path, by one listing.

    Attributes
    ----------
    sizes : dict of str to int
        Every file below it with its size, by its path relative to it.
    is_there : bool
        Whether there is anything, be it only the empty object that some tools create in place of a folder.
    is_file : bool
        Whether it is a file.
    """

    sizes: dict[str, int]
    is_there: bool
    is_file: bool


def contents(path: UPath) -> Contents:
    """What is at a path, without using caches."""
    root, entries = path.path.rstrip("/"), _listed(path)
    if [entry.get("type") for entry in entries.values()] == ["directory"]:
        # s3fs asks again where it has found nothing: another process may have written the first file in between.
        entries = _listed(path)
    sizes = {name: int(entry["size"] or 0) for name, entry in _below(root, entries).items()}
    itself = entries.get(root)
    # fsspec says nothing of a file that is found at the path itself.
    is_file = itself is not None and itself.get("type", "file") == "file"
    return Contents(sizes, bool(entries), is_file)


def _find(folder: UPath) -> dict[str, Any]:
    """Every file below a folder, as fsspec describes it, by its path relative to the folder."""
    return _below(folder.path.rstrip("/"), _listed(folder))


def _listed(path: UPath) -> dict[str, Any]:
    """All that fsspec finds below a path, or at the path itself."""
    forget_listings(path)

    def find() -> dict[str, Any]:
        try:
            return dict(path.fs.find(path.path.rstrip("/"), detail=True))
        except FileNotFoundError:
            return {}

    return retry(path, find)


def _below(root: str, entries: Mapping[str, Any]) -> dict[str, Any]:
    """Those that are files below a folder, by their paths relative to it."""
    # Some tools create an empty object whose name ends with a slash in place of a folder.
    return {
        name[len(root) + 1 :]: entry
        for name, entry in entries.items()
        if name.rstrip("/") != root and entry["type"] == "file" and (entry["size"] or name[-1] != "/")
    }


def _size_if_there(folder: UPath, name: str) -> int | None:
    try:
        return file_size(folder / name)
    except FileNotFoundError:
        return None


def _unmasked(error: BaseException) -> BaseException:
    """The cause of an error, where fsspec reports every failure as a missing file."""
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
    """Whether aiohttp lost a connection or could not connect."""
    import aiohttp

    return isinstance(error, (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError))


def _is_spoilt(error: BaseException) -> bool:
    """Whether there was an answer, but a wrong or truncated one."""
    return isinstance(error, WrongAnswerError) or type(_unmasked(error)).__name__ in _SPOILT_BODIES


def _secrets(options: Mapping[str, Any], inside: bool) -> Iterator[str]:
    """Values that are secret by their names, or all when `inside` a value that is."""
    for name, value in options.items():
        secret = inside or bool(_SECRET.search(str(name)))
        if isinstance(value, Mapping):
            yield from _secrets(value, secret)
        elif secret and isinstance(value, (str, tuple, list)):
            # A text or a pair, such as aiohttp's BasicAuth of login and password.
            texts = [value] if isinstance(value, str) else value
            # Shorter texts are not secret, and replacing them would garble the message.
            yield from (text for text in texts if isinstance(text, str) and len(text) > 3)
