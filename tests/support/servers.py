"""Servers on loopback: one that speaks S3, one that serves a folder over HTTP; both count, and fail when told to."""

from __future__ import annotations

import re
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

KEY, SECRET = "AKIAOFTHETESTS", "a-secret-nobody-shall-read"
_RANGE = re.compile(r"bytes=(\d+)-(\d*)$")


@dataclass
class Record:
    """What a server was asked, and what it shall do wrong.

    Attributes
    ----------
    requests
        Method, path and range of each request, in the order of arrival.
    listings
        The prefix of each listing of a bucket, and whether all below it was listed, not only what is directly there.
    most_at_once
        Most requests that were being answered at one time.
    delay_seconds
        How long each answer takes, as over a network.
    trouble
        Called with method and path of each request; a status to answer with, `drop` to close the connection, `short`
        to send half of what was promised, or nothing.
    """

    requests: list[tuple[str, str, str]] = field(default_factory=list)
    listings: list[tuple[str, bool]] = field(default_factory=list)
    most_at_once: int = 0
    delay_seconds: float = 0.0
    trouble: Callable[[str, str], str | int | None] = lambda _method, _path: None
    _now: int = 0
    _lock: Any = field(default_factory=threading.Lock)

    @contextmanager
    def entered(self, method: str, path: str, ranged: str) -> Iterator[None]:
        with self._lock:
            self.requests.append((method, path, ranged))
            self._now += 1
            self.most_at_once = max(self.most_at_once, self._now)
        try:
            if self.delay_seconds:
                time.sleep(self.delay_seconds)
            yield
        finally:
            with self._lock:
                self._now -= 1

    def reset(self) -> None:
        with self._lock:
            self.requests.clear()
            self.listings.clear()
            self.most_at_once, self.delay_seconds = 0, 0.0
            self.trouble = lambda _method, _path: None

    def asked(self, method: str, ending: str) -> int:
        """Count the requests of a method for paths with this ending."""
        return sum(verb == method and path.endswith(ending) for verb, path, _ in self.requests)


@dataclass(frozen=True)
class Server:
    """A running server."""

    url: str
    record: Record


@dataclass(frozen=True)
class Bucket:
    """A bucket on an S3 server, and the storage options that reach it."""

    name: str
    options: dict[str, Any]

    @property
    def url(self) -> str:
        """Where paths in it begin."""
        return f"s3://{self.name}"

    @property
    def fs(self) -> Any:
        """Its file system, which has listed nothing yet."""
        import fsspec

        fs = fsspec.filesystem("s3", **self.options)
        fs.invalidate_cache()
        return fs

    def put(self, folder: Path, name: str) -> None:
        """Copy a folder into it."""
        self.fs.put(str(folder), f"{self.name}/{name}", recursive=True)

    def write(self, files: dict[str, bytes]) -> None:
        """Write files into it."""
        for name, content in files.items():
            self.fs.pipe_file(f"{self.name}/{name}", content)

    def contents(self, prefix: str) -> dict[str, bytes]:
        """Every file below a prefix, by its path from there."""
        fs, root = self.fs, f"{self.name}/{prefix}/"
        return {name[len(root) :]: fs.cat_file(name) for name in fs.find(root) if name[-1] != "/"}

    def remove(self, prefix: str) -> None:
        """Remove all that is below a prefix, if there is anything."""
        fs = self.fs
        if fs.exists(f"{self.name}/{prefix}"):
            fs.rm(f"{self.name}/{prefix}", recursive=True)


def s3_options(url: str, **more: Any) -> dict[str, Any]:
    """Storage options of an S3 server."""
    return {"key": KEY, "secret": SECRET, "endpoint_url": url, **more}


def new_bucket(server: Server, name: str = "", **more: Any) -> Bucket:
    """Make a bucket; its name is new, if none is given: all servers of a process have the same buckets."""
    bucket = Bucket(name or f"bucket-{uuid.uuid4().hex[:8]}", s3_options(server.url, **more))
    bucket.fs.mkdir(bucket.name)
    return bucket


@contextmanager
def s3_server(host: str = "127.0.0.1") -> Iterator[Server]:
    """Serve S3 as moto does, empty."""
    from moto.server import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import WSGIRequestHandler, make_server

    class Quiet(WSGIRequestHandler):
        def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002 - werkzeug's name
            pass

    record = Record()
    inner = DomainDispatcherApplication(create_backend_app)

    def app(environ: dict[str, Any], start_response: Any) -> Any:
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        query = parse_qs(environ["QUERY_STRING"])
        if method == "GET" and "list-type" in query:
            record.listings.append((query.get("prefix", [""])[0], "delimiter" not in query))
        with record.entered(method, path, environ.get("HTTP_RANGE", "")):
            wrong = record.trouble(method, path)
            if wrong is None:
                return inner(environ, start_response)
            if wrong == "drop":
                environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
            start_response(f"{500 if wrong == 'drop' else wrong} wrong", [("Content-Length", "0")])
            return [b""]

    server = make_server(host, 0, app, threaded=True, request_handler=Quiet)
    with serving(server) as url:
        yield Server(url, record)


@contextmanager
def page_bucket(folder: Path) -> Iterator[tuple[Bucket, dict[str, str]]]:
    """The bucket of the documentation's examples with its catalog, and the environment in which they reach it.

    `folder` is one in which the catalog is written first.
    """
    from skymargin.catalogs.write_catalog import write_catalog
    from tests.support.samples import scattered_stars

    write_catalog(scattered_stars(3_000, seed=5), folder / "my_catalog", rows_per_partition=400)
    with s3_server() as server:
        bucket = Bucket("my-bucket", s3_options(server.url))
        bucket.fs.makedirs(bucket.name, exist_ok=True)
        for prefix in ("my_catalog", "margins"):
            bucket.remove(prefix)
        bucket.put(folder / "my_catalog", "my_catalog")
        try:
            yield (
                bucket,
                {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_ENDPOINT_URL": server.url},
            )
        finally:
            bucket.fs.rm(bucket.name, recursive=True)


@contextmanager
def http_server(folder: Path, *, ranges: bool = True) -> Iterator[Server]:
    """Serve the files of a folder, without listings."""
    record = Record()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # One write for head and body, or each answer waits for the other side's delayed acknowledgement.
        wbufsize = -1

        def do_GET(self) -> None:
            self._answer()

        def do_HEAD(self) -> None:
            self._answer()

        def log_message(self, *_: Any) -> None:
            pass

        def _answer(self) -> None:
            asked = self.headers.get("Range", "")
            with record.entered(self.command, self.path, asked):
                file = folder / self.path.lstrip("/")
                wrong = record.trouble(self.command, self.path)
                if wrong == "drop":
                    self.close_connection = True
                elif isinstance(wrong, int) or not file.is_file():
                    self._head(wrong if isinstance(wrong, int) else 404, 0)
                else:
                    self._send(file.read_bytes(), asked if ranges else "", short=wrong == "short")

        def _send(self, content: bytes, asked: str, short: bool) -> None:
            match, total = _RANGE.match(asked), len(content)
            if match:
                first = int(match[1])
                content = content[first : int(match[2] or total) + 1]
                last = first + len(content) - 1
                self._head(206, len(content), ("Content-Range", f"bytes {first}-{last}/{total}"))
            else:
                self._head(200, len(content))
            if self.command == "GET":
                self.wfile.write(content[: len(content) // 2] if short else content)
                self.close_connection = self.close_connection or short

        def _head(self, status: int, length: int, *more: tuple[str, str]) -> None:
            self.send_response(status)
            for name, value in (("Content-Length", str(length)), *more):
                self.send_header(name, value)
            if ranges:
                self.send_header("Accept-Ranges", "bytes")
            self.end_headers()

    class Threads(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 128

    with serving(Threads(("127.0.0.1", 0), Handler)) as url:
        yield Server(url, record)


@contextmanager
def serving(server: Any, before_end: Callable[[], object] = lambda: None) -> Iterator[str]:
    """Run a server in a thread; its URL. `before_end` is called before the server is shut down."""
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"http://{server.server_address[0]}:{server.server_address[1]}"
    finally:
        before_end()
        server.shutdown()
        thread.join()
        server.server_close()
