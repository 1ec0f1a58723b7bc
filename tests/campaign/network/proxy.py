"""A proxy on loopback that does wrong on the wire what it is told to: before any server, for any client."""

from __future__ import annotations

import re
import socket
import socketserver
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, BinaryIO
from urllib.parse import unquote, urlsplit

from tests.support.servers import serving

# What becomes of a request or of its answer.
FAULTS = (
    "drop",  # the connection is closed before the answer
    "lose",  # likewise, but the server has done what it was asked
    "reset",  # the connection is reset
    "cut",  # it is closed in the middle of the body
    "short",  # the body ends early, and the length that is stated agrees with it
    "500",
    "503",
    "429",
    "403",
    "404",
    "delay",
    "stall",  # nothing is said, and the connection stays
    "whole",  # the whole file where a range was asked for
    "shifted",  # another range than that asked for, of the same length
    "html",  # a page of HTML, with status 200
    "errors",  # of a deletion: status 200, and an error for each file
)
_DELAY_SECONDS = 0.15
_PAGE = b"<!DOCTYPE html><html><body>Please log in to the guest network.</body></html>"
_RANGE = re.compile(rb"^range: bytes=(\d+)-(\d+)\r\n", re.IGNORECASE | re.MULTILINE)
_KEY = re.compile(rb"<Key>(.*?)</Key>")


@dataclass(frozen=True)
class Request:
    """What a proxy was asked."""

    method: str
    path: str
    ranged: str

    def __str__(self) -> str:
        return f"{self.method} {self.path} {self.ranged}".rstrip()


@dataclass
class Faults:
    """What a proxy does wrong, and what it was asked.

    Attributes
    ----------
    choose
        Called with each request and how often the same one came before; a fault or nothing.
    asked
        How often each request came.
    done
        How often each fault was committed.
    """

    choose: Callable[[Request, int], str | None] = lambda _request, _before: None
    asked: Counter[Request] = field(default_factory=Counter)
    done: Counter[str] = field(default_factory=Counter)
    _lock: Any = field(default_factory=threading.Lock)

    def next(self, request: Request) -> str | None:
        """Return what to do wrong with a request."""
        with self._lock:
            fault = self.choose(request, self.asked[request])
            self.asked[request] += 1
            self.done[fault or ""] += 1
            return fault

    def heal(self) -> None:
        """Do nothing wrong from now on, and count anew."""
        with self._lock:
            self.choose = lambda _request, _before: None
            self.asked.clear()


@dataclass(frozen=True)
class Proxy:
    """A running proxy."""

    url: str
    faults: Faults


@contextmanager
def proxy_of(server_url: str) -> Iterator[Proxy]:
    """Stand before a server, doing nothing wrong yet."""
    upstream = urlsplit(server_url)
    faults, closing = Faults(), threading.Event()

    class Handler(socketserver.StreamRequestHandler):
        disable_nagle_algorithm = True

        def handle(self) -> None:
            try:
                while self._one():
                    pass
            except OSError:
                # The client has gone.
                return

        def _one(self) -> bool:
            """Answer one request; whether the connection stays."""
            head = _read_head(self.rfile)
            if not head:
                return False
            method, path, _ = head.split(b"\r\n", 1)[0].decode("latin-1").split(" ", 2)
            if b"\r\nexpect: 100" in head.lower():
                self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            body = _read_body(self.rfile, head)
            ranged = _RANGE.search(head)
            request = Request(
                method, unquote(path), ranged[0].decode().split("=")[1].strip() if ranged else ""
            )
            fault = faults.next(request)
            if fault == "drop":
                return False
            if fault == "stall":
                closing.wait()
                return False
            if fault == "reset":
                # With no time to linger, closing sends a reset.
                self.request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.request.close()
                return False
            if fault == "delay":
                time.sleep(_DELAY_SECONDS)
            if fault in ("500", "503", "429", "403", "404"):
                self.wfile.write(_answer(f"{fault} wrong", b""))
                return True
            if fault == "html":
                self.wfile.write(_answer("200 OK", _PAGE, method))
                return True
            if fault == "errors":
                self.wfile.write(_answer("200 OK", _refused_deletions(body)))
                return True
            answer_head, answer = _asked(upstream, _changed(head, fault), body, method)
            if fault == "lose":
                return False
            if fault == "short":
                answer = answer[: len(answer) // 2]
            whole_head = _with_length(answer_head, answer, method)
            if fault == "cut":
                self.wfile.write(whole_head + answer[: len(answer) // 2])
                return False
            self.wfile.write(whole_head + answer)
            return True

    class Threads(socketserver.ThreadingTCPServer):
        daemon_threads = True
        block_on_close = False
        request_queue_size = 128
        allow_reuse_address = True

        def handle_error(self, request: Any, client_address: Any) -> None:
            pass

    with serving(Threads(("127.0.0.1", 0), Handler), closing.set) as url:
        yield Proxy(url, faults)


def _read_head(source: BinaryIO) -> bytes:
    lines = []
    while line := source.readline(1 << 16):
        lines.append(line)
        if line == b"\r\n":
            return b"".join(lines)
    return b""


def _read_body(source: BinaryIO, head: bytes) -> bytes:
    """Read the body of a request, as it came."""
    length = re.search(rb"^content-length: *(\d+)", head, re.IGNORECASE | re.MULTILINE)
    if length:
        return source.read(int(length[1]))
    parts = []
    if b"\r\ntransfer-encoding: chunked" in head.lower():
        while True:
            parts.append(source.readline())
            size = int(parts[-1].split(b";")[0], 16)
            parts.append(source.read(size + 2))
            if not size:
                break
    return b"".join(parts)


def _changed(head: bytes, fault: str | None) -> bytes:
    """Return the request as the server gets it: one for each connection, and perhaps for another range."""
    head = re.sub(rb"^(connection|expect):.*\r\n", b"", head, flags=re.IGNORECASE | re.MULTILINE)
    if fault == "whole":
        head = _RANGE.sub(b"", head)
    if fault == "shifted":
        # Back by some bytes, where there are some before.
        head = _RANGE.sub(lambda match: _shifted(int(match[1]), int(match[2])), head)
    return head[:-2] + b"Connection: close\r\n\r\n"


def _shifted(first: int, last: int) -> bytes:
    back = min(first, 64)
    return b"Range: bytes=%d-%d\r\n" % (first - back, last - back)


def _asked(upstream: Any, head: bytes, body: bytes, method: str) -> tuple[bytes, bytes]:
    """Ask the server; the head and the body of its answer."""
    with (
        socket.create_connection((upstream.hostname, upstream.port), timeout=30) as connection,
        connection.makefile("rb") as source,
    ):
        connection.sendall(head.replace(b" HTTP/1.1\r\n", b" HTTP/1.0\r\n", 1) + body)
        answer_head = _read_head(source)
        while answer_head.split(b" ", 2)[1:2] == [b"100"]:
            answer_head = _read_head(source)
        return answer_head, b"" if method == "HEAD" else source.read()


def _with_length(head: bytes, body: bytes, method: str) -> bytes:
    """Return the head of an answer with the length of its body; that of a HEAD as it is."""
    status, rest = head.split(b"\r\n", 1)
    rest = re.sub(rb"^connection:.*\r\n", b"", rest, flags=re.IGNORECASE | re.MULTILINE)
    status = b"HTTP/1.1" + status[8:]
    if method == "HEAD":
        return status + b"\r\n" + rest
    rest = re.sub(rb"^content-length:.*\r\n", b"", rest, flags=re.IGNORECASE | re.MULTILINE)
    return b"%s\r\nContent-Length: %d\r\n%s" % (status, len(body), rest)


def _answer(status: str, body: bytes, method: str = "GET") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: text/html\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    return head + (b"" if method == "HEAD" else body)


def _refused_deletions(body: bytes) -> bytes:
    errors = b"".join(
        b"<Error><Key>%s</Key><Code>InternalError</Code><Message>We had a problem.</Message></Error>" % key
        for key in _KEY.findall(body)
    )
    return b'<?xml version="1.0" encoding="UTF-8"?><DeleteResult>%s</DeleteResult>' % errors
