"""An S3 server in a process of its own, that answers late and says what it was asked.

It prints its URL. For each line that it reads, a number of seconds, it prints the requests since the line before, as
JSON, and delays answers by so many seconds from then on.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.environments import ROOT
from tests.support.servers import Bucket, Record, Server, new_bucket, s3_server

# Method and path of a request.
Request = tuple[str, str]


class Store:
    """A running server with one bucket.

    Parameters
    ----------
    process
        The server.
    """

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        assert process.stdout is not None
        self.url = process.stdout.readline().strip()

    def bucket(self) -> Bucket:
        """Make the bucket."""
        return new_bucket(Server(self.url, Record()))

    def asked(self, delay_seconds: float) -> list[Request]:
        """Return the requests since the last call, and delay answers from now on."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{delay_seconds}\n")
        self._process.stdin.flush()
        return [(method, path) for method, path in json.loads(self._process.stdout.readline())]


@contextmanager
def store() -> Iterator[Store]:
    """Run a server."""
    command = [sys.executable, "-m", "benchmarks.store_server"]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield Store(process)
        finally:
            assert process.stdin is not None
            process.stdin.close()


def main() -> None:
    """Serve until the input ends."""
    with s3_server() as server:
        print(server.url, flush=True)
        for line in sys.stdin:
            requests = [(method, path) for method, path, _ in server.record.requests]
            server.record.reset()
            server.record.delay_seconds = float(line)
            print(json.dumps(requests), flush=True)


if __name__ == "__main__":
    main()
