"""Two hosts on this machine: network namespaces joined by a cable, with file systems of their own.

`main` runs on one of them, with a scheduler of Dask and an object store; a worker runs on the other. It must be started
as root of a user namespace and a network namespace, by the words of `NAMESPACES`. All of it ends with its process.
"""

from __future__ import annotations

import json
import os
import shlex
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from skymargin import MarginCacheArguments, pipeline_with_client
from tests.support.catalogs import make_margin, on_disk, same_margin, sky_near_edges, write_catalog
from tests.support.clusters import Hosts
from tests.support.limits import limits
from tests.support.servers import new_bucket, s3_server

NAMESPACES = ("unshare", "--user", "--map-root-user", "--net", "--mount")
CABLE = ("ip", "link", "add", "name", "skym0", "type", "veth", "peer", "name", "skym1")
HERE, THERE = "10.213.0.1", "10.213.0.2"
THRESHOLD_ARCSEC = 60.0
PARTITIONS = ((0, 5), (1, 14), (1, 15), (2, 52), (2, 53), (2, 54))


@contextmanager
def other_host(*hidden: Path) -> Iterator[list[str]]:
    """Start another host, with empty folders in place of these; the words that run a command on it."""
    _run("ip", "link", "set", "lo", "up")
    _run(*CABLE)
    _run("ip", "address", "add", f"{HERE}/24", "dev", "skym0")
    _run("ip", "link", "set", "skym0", "up")
    holder = subprocess.Popen(["unshare", "--net", "--mount", "sleep", "600"])
    try:
        on_it = ["nsenter", "--target", str(holder.pid), "--net", "--mount"]
        while _network_of(holder.pid) == _network_of(os.getpid()):
            time.sleep(0.01)
        _run("ip", "link", "set", "skym1", "netns", str(holder.pid))
        commands = [
            "ip link set lo up",
            f"ip address add {THERE}/24 dev skym1",
            "ip link set skym1 up",
            *(f"mount -t tmpfs none {shlex.quote(str(folder))}" for folder in hidden),
        ]
        _run(*on_it, "sh", "-e", "-c", "\n".join(commands))
        yield on_it
    finally:
        holder.terminate()
        holder.wait(timeout=30)


def _run(*command: str) -> None:
    subprocess.run(command, check=True)


def _network_of(process: int) -> str:
    return str(Path(f"/proc/{process}/ns/net").readlink())


def _reaches(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), timeout=5):
            return True
    except OSError:
        return False


def main(folder: Path) -> dict[str, object]:
    """Make a margin on the other host, and one here; say whether they are the same, and what the hosts share."""
    for name in ("hosts", "system", "catalogs"):
        (folder / name).mkdir()
    system, catalogs = folder / "system", folder / "catalogs"
    tempfile.tempdir = str(system)
    write_catalog(catalogs / "stars", sky_near_edges(PARTITIONS, 600, THRESHOLD_ARCSEC, seed=20_261_128))
    make_margin(catalogs / "stars", catalogs, THRESHOLD_ARCSEC)
    with ExitStack() as stack:
        on_it = stack.enter_context(other_host(system, catalogs))
        server = stack.enter_context(s3_server(HERE))
        # A socket that only this host can reach.
        here_alone = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        bucket = new_bucket(server)
        bucket.put(catalogs / "stars", "stars")
        hosts = Hosts(folder / "hosts", stack, HERE)
        hosts.start_scheduler()
        hosts.start_worker(*on_it, address=THERE)
        client = hosts.connect(1)
        (address,) = client.nthreads()
        port = int(server.url.rpartition(":")[2])
        arguments = MarginCacheArguments(
            input_catalog_path=f"{bucket.url}/stars",
            output_path=f"{bucket.url}/out",
            output_artifact_name="margin",
            margin_threshold=THRESHOLD_ARCSEC,
            input_storage_options=bucket.options,
            output_storage_options=bucket.options,
            progress_bar=False,
        )
        said = {
            "worker": address.rpartition(":")[0],
            "sees": [name for files in client.run(os.listdir, str(catalogs)).values() for name in files],
            "reaches": [
                client.submit(_reaches, host, number, pure=False).result()
                for host, number in ((HERE, port), ("127.0.0.1", here_alone.getsockname()[1]))
            ],
        }
        with limits(smallest_task_bytes=1, tasks_per_thread=32):
            pipeline_with_client(arguments, client)
        expected = {f"margin/{name}": content for name, content in on_disk(catalogs / "margin").items()}
        return said | {"same": same_margin(bucket.contents("out"), expected)}


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]))))
