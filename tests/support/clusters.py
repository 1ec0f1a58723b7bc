"""Dask clusters whose scheduler and workers are started by their command lines, elsewhere."""

from __future__ import annotations

import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from distributed import Client

StartWorkers = Callable[..., Client]


class Hosts:
    """A scheduler and workers, each a process of its own in a folder of its own.

    Parameters
    ----------
    folder
        Where their folders are made; must exist.
    stack
        Ends them.
    address
        The address at which the scheduler listens.
    """

    def __init__(self, folder: Path, stack: ExitStack, address: str = "127.0.0.1") -> None:
        self._folder, self._stack, self._address = folder, stack, address
        self._file = folder / "scheduler.json"
        self._started = 0

    def start_scheduler(self) -> subprocess.Popen[bytes]:
        """Start a scheduler, and wait until it can be reached."""
        self._file.unlink(missing_ok=True)
        where = (
            "--host",
            self._address,
            "--port",
            "0",
            "--no-dashboard",
            "--scheduler-file",
            str(self._file),
        )
        running = self._start(*_dask("scheduler"), *where)
        until(lambda: self._file.exists() and self._file.stat().st_size > 0)
        return running

    def start_worker(
        self, *prefix: str, options: tuple[str, ...] = (), address: str = "127.0.0.1"
    ) -> subprocess.Popen[bytes]:
        """Start a worker of one thread, which listens at an address, by a command before its own."""
        where = ("--scheduler-file", str(self._file), "--host", address, "--nthreads", "1")
        return self._start(
            *prefix,
            *_dask("worker"),
            *where,
            "--no-nanny",
            "--no-dashboard",
            *options,
            local="--local-directory",
        )

    def connect(self, workers: int) -> Client:
        """A client, when there are so many workers."""
        client = Client(scheduler_file=str(self._file), timeout=15)
        # Not as a context: leaving that of a client whose scheduler was lost has failed, in Dask itself.
        self._stack.callback(client.close)
        client.wait_for_workers(workers, timeout=60)
        return client

    def _start(self, *command: str, local: str = "") -> subprocess.Popen[bytes]:
        home = self._folder / f"process{self._started}"
        home.mkdir()
        self._started += 1
        more = (local, str(home)) if local else ()
        return self._stack.enter_context(process(*command, *more, folder=home))


@contextmanager
def process(*command: str, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    with (folder / "log").open("wb") as log:
        running = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
        try:
            yield running
        finally:
            running.terminate()
            try:
                running.wait(timeout=30)
            except subprocess.TimeoutExpired:
                # A worker that lost its scheduler may wait for it.
                running.kill()
                running.wait()


def _dask(what: str) -> list[str]:
    return [sys.executable, "-W", "ignore", "-m", "dask", what]


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[StartWorkers]:
    """Start a scheduler, then workers as told: how many, and by which command before their own."""
    (tmp_path / "elsewhere").mkdir()
    with ExitStack() as stack:
        hosts = Hosts(tmp_path / "elsewhere", stack)

        def start(workers: int, *prefix: str, options: tuple[str, ...] = ()) -> Client:
            hosts.start_scheduler()
            for _ in range(workers):
                hosts.start_worker(*prefix, options=options)
            return hosts.connect(workers)

        yield start


def until(done: Callable[[], bool]) -> None:
    for _ in range(600):
        if done():
            return
        time.sleep(0.1)
    raise TimeoutError("it did not happen within a minute")


def hidden(*folders: Path) -> list[str]:
    """Return a command that runs another with an empty file system of its own over each folder, or skip the test."""
    try:
        return hiding(*folders)
    except OSError as error:
        pytest.skip(f"no worker can be given another view of the files here: {error}")


def hiding(*folders: Path) -> list[str]:
    """The same; `OSError` where file systems cannot be mounted."""
    mounts = "".join(f"mount -t tmpfs none {shlex.quote(str(folder))} && " for folder in folders)
    command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", f'{mounts}exec "$0" "$@"']
    tried = subprocess.run([*command, "true"], capture_output=True, text=True, check=False)
    if tried.returncode:
        raise OSError(tried.stderr.strip())
    return command
