"""Servers with a catalog, for the tests of remote storage."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from skymargin.storage import remote
from tests.support.catalogs import make_margin, on_disk, sky_near_edges, write_catalog
from tests.support.servers import Bucket, Server, http_server, new_bucket, s3_server

THRESHOLD_ARCSEC = 60.0
PARTITIONS = ((0, 5), (1, 14), (1, 15), (2, 52), (2, 53), (2, 54))


@dataclass(frozen=True)
class Local:
    """A folder with a catalog, a collection around it, and the margin that a run on disk makes of it."""

    folder: Path
    margin: dict[str, bytes]


@dataclass(frozen=True)
class Store(Bucket):
    """The bucket `bucket`, with the catalogs of `Local`."""

    server: Server

    def make(self, source: str, output: str, **arguments: Any) -> Any:
        """Make a margin from and to S3."""
        both = {"input_storage_options": self.options, "output_storage_options": self.options}
        return make_margin(
            f"{self.url}/{source}",  # type: ignore[arg-type]
            f"{self.url}/{output}",  # type: ignore[arg-type]
            THRESHOLD_ARCSEC,
            **(both | arguments),
        )

    def impatient(self, url: str = "") -> dict[str, Any]:
        """Storage options with which the client does not try again; through another URL, if one is given."""
        without = {"config_kwargs": {"retries": {"max_attempts": 0}}}
        return self.options | without | ({"endpoint_url": url} if url else {})


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Local:
    folder = tmp_path_factory.mktemp("catalogs")
    sky = sky_near_edges(PARTITIONS, 600, THRESHOLD_ARCSEC, seed=20_261_124)
    write_catalog(folder / "collection" / "stars", sky)
    (folder / "collection" / "collection.properties").write_text(
        "obs_collection=collection\nhats_primary_table_url=stars\n"
    )
    make_margin(folder / "collection" / "stars", folder, THRESHOLD_ARCSEC)
    return Local(folder, on_disk(folder / "margin"))


@pytest.fixture(scope="module")
def bucket(local: Local) -> Iterator[Store]:
    with s3_server() as server:
        made = new_bucket(server, "bucket")
        made.put(local.folder / "collection", "collection")
        yield Store(made.name, made.options, server)
        made.fs.rm(made.name, recursive=True)


@pytest.fixture(scope="module")
def web(local: Local) -> Iterator[Server]:
    with http_server(local.folder) as server:
        yield server


@pytest.fixture
def quiet_servers(bucket: Store, web: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Start each test with servers that do as they should, short waits, and a temporary folder to look into."""
    bucket.server.record.reset()
    web.record.reset()
    monkeypatch.setattr(remote, "_FIRST_WAIT_SECONDS", 0.001)
    (tmp_path / "system").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "system"))
