"""What is asked of a store that answers late: few requests, few of them one after the other, and each thing once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pyarrow as pa
import pytest

from skymargin.catalogs import place_mark
from skymargin.catalogs.catalog import open_catalog
from skymargin.catalogs.layout import RECORD
from skymargin.errors import PartitionReadError
from skymargin.storage import remote
from skymargin.storage.paths import as_path, exists, with_options
from skymargin.storage.range_reader import RangeReader
from tests.support.catalogs import (
    Layout,
    Sky,
    files_of,
    make_margin,
    on_disk,
    rows_of,
    same_margin,
    sky_near_edges,
    write_catalog,
)
from tests.support.servers import Bucket, Record, http_server, new_bucket, s3_server

THRESHOLD_ARCSEC = 60.0
LARGE = tuple((1, pixel) for pixel in range(8, 16))
SMALL = tuple((2, pixel) for pixel in range(100))
# As the hats library writes files now, as it did before, and as hats-import does.
LAYOUTS = {
    "today": Layout(
        row_group_rows=2_000,
        options={"write_page_index": True, "compression": "zstd", "data_page_size": 1 << 15},
    ),
    "yesterday": Layout(row_group_rows=1 << 20),
    "imported": Layout(row_group_rows=1 << 20, options={"use_dictionary": True, "compression": "zstd"}),
}


@dataclass(frozen=True)
class Store:
    """A store that answers late, and its bucket."""

    bucket: Bucket
    record: Record

    def requests(self, ending: str = "") -> Counter[tuple[str, str]]:
        """Count the requests by method and path, of paths with this ending."""
        return Counter((method, path) for method, path, _ in self.record.requests if path.endswith(ending))


@pytest.fixture(scope="module")
def server() -> Iterator[Store]:
    with s3_server() as running:
        yield Store(new_bucket(running), running.record)


@pytest.fixture
def store(server: Store) -> Store:
    server.record.reset()
    return server


@pytest.fixture
def round_trips(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Count the calls that wait for a store, by file."""
    calls: Counter[str] = Counter()
    read_ranges = RangeReader.read_ranges

    def counted(self: RangeReader, starts: list[int], stops: list[int]) -> list[bytes]:
        calls[str(self._path)] += 1
        return read_ranges(self, starts, stops)

    monkeypatch.setattr(RangeReader, "read_ranges", counted)
    return calls


@pytest.fixture(scope="module")
def large_rows() -> tuple[Sky, pa.Table]:
    """Partitions of more than 2 MB, which are not read whole."""
    sky = sky_near_edges(LARGE, 30_000, THRESHOLD_ARCSEC, seed=7)
    table = rows_of(sky, Layout())
    for number, values in enumerate(np.random.default_rng(1).random((160, len(table)))):
        table = table.append_column(f"noise{number}", pa.array(values))
    return sky, table


@pytest.fixture(scope="module", params=LAYOUTS)
def large(
    request: pytest.FixtureRequest,
    large_rows: tuple[Sky, pa.Table],
    server: Store,
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[str, dict[str, bytes]]:
    """The place of a catalog of these in the bucket, and the margin that is made of it on a disk."""
    folder = tmp_path_factory.mktemp(request.param)
    write_catalog(folder / "stars", large_rows[0], LAYOUTS[request.param], large_rows[1])
    assert min(file.stat().st_size for file in files_of(folder / "stars").values()) > 2 << 20
    make_margin(folder / "stars", folder, THRESHOLD_ARCSEC)
    server.bucket.put(folder / "stars", f"large-{request.param}")
    return f"{server.bucket.url}/large-{request.param}", on_disk(folder / "margin")


@pytest.mark.parametrize("threads", [1, 4])
def test_a_large_partition_is_at_most_three_round_trips(
    threads: int, large: tuple[str, dict[str, bytes]], store: Store, round_trips: Counter[str], tmp_path: Path
) -> None:
    url, margin = large
    store.record.delay_seconds = 0.05
    make_margin(
        url,  # type: ignore[arg-type]
        tmp_path,
        THRESHOLD_ARCSEC,
        input_storage_options=store.bucket.options,
        dask_threads_per_worker=threads,
    )
    assert same_margin(on_disk(tmp_path / "margin"), margin)
    requests = store.requests(".parquet")
    assert {method for method, _ in requests} == {"GET"}, "sizes come from the listing"
    assert len(requests) == len(LARGE)
    assert requests.total() <= 3.2 * len(LARGE)
    of_files = [count for file, count in round_trips.items() if file.endswith(".parquet")]
    assert len(of_files) == len(LARGE)
    assert max(of_files) <= 3


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_small_partition_is_one_request(name: str, store: Store, tmp_path: Path) -> None:
    sky = sky_near_edges(SMALL, 4_000, THRESHOLD_ARCSEC, seed=8)
    write_catalog(tmp_path / "stars", sky, LAYOUTS[name])
    make_margin(tmp_path / "stars", tmp_path / "here", THRESHOLD_ARCSEC)
    store.bucket.put(tmp_path / "stars", f"small-{name}")
    store.record.reset()
    store.record.delay_seconds = 0.05
    report = make_margin(
        f"{store.bucket.url}/small-{name}",  # type: ignore[arg-type]
        tmp_path / "there",
        THRESHOLD_ARCSEC,
        input_storage_options=store.bucket.options,
    )
    assert same_margin(on_disk(tmp_path / "there" / "margin"), on_disk(tmp_path / "here" / "margin"))
    requests = store.requests(".parquet")
    assert {method for method, _ in requests} == {"GET"}
    assert requests.total() == len(requests) == len(SMALL)
    assert report.bytes_read == sum(file.stat().st_size for file in files_of(tmp_path / "stars").values())
    # One thread has several partitions in flight.
    assert store.record.most_at_once >= 4


@pytest.fixture(scope="module")
def margins(server: Store, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The place of a small catalog in the bucket."""
    folder = tmp_path_factory.mktemp("margins")
    write_catalog(folder / "stars", sky_near_edges(SMALL[:20], 2_000, THRESHOLD_ARCSEC, seed=11))
    server.bucket.put(folder / "stars", "margins")
    return f"{server.bucket.url}/margins"


def make_on(store: Store, catalog: str, output: str, **arguments: Any) -> Any:
    options = dict.fromkeys(("input_storage_options", "output_storage_options"), store.bucket.options)
    url: Any = f"{store.bucket.url}/{output}"
    return make_margin(catalog, url, THRESHOLD_ARCSEC, **options, **arguments)  # type: ignore[arg-type]


def test_a_new_margin_is_one_request(margins: str, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(place_mark, "SEEN_SECONDS", 3_600.0)
    report = make_on(store, margins, "new")
    place = f"/{store.bucket.name}/new"
    asked = {each: count for each, count in store.requests().items() if each[1].startswith(f"{place}/")}
    of_margins = {each: count for each, count in asked.items() if "Npix=" in each[1]}
    assert {method for method, _ in of_margins} == {"PUT"}
    assert len(of_margins) == sum(of_margins.values()) == report.partitions
    # Nothing is written beside its place, nothing is copied, nothing is deleted.
    assert {method for method, _ in asked} <= {"PUT", "HEAD", "GET"}
    assert all(path == f"{place}/margin" or path.startswith(f"{place}/margin/") for _, path in asked)
    others = {path.rpartition("/")[2]: count for (method, path), count in asked.items() if method == "PUT"}
    assert others.pop(RECORD) == 2
    assert set(others.values()) == {1}
    # The mark of the run is read when it is written, when the margins are, and four times while the catalog is
    # completed; its size is asked for each time.
    reads = {method: count for (method, path), count in asked.items() if path.endswith(RECORD)}
    assert reads == {"PUT": 2, "HEAD": 6, "GET": 6}


def test_an_output_is_listed_once_a_phase(margins: str, store: Store) -> None:
    for overwrite, listed in ((False, 7), (True, 4)):
        store.record.reset()
        make_on(store, margins, "phases", overwrite=overwrite)
        of_output = [prefix for prefix, is_whole in store.record.listings if is_whole]
        # When the arguments are made, when the run starts, before it is published, and when all but the properties are
        # there; a new one also before and after its mark is written, and when its margins are.
        assert of_output.count("phases/margin/") == listed


def test_a_catalog_is_listed_once(store: Store, tmp_path: Path) -> None:
    sky = sky_near_edges(LARGE, 400, THRESHOLD_ARCSEC, seed=9)
    write_catalog(tmp_path / "stars", sky)
    store.bucket.put(tmp_path / "stars", "listed")
    store.record.reset()
    opened: Any = with_options(f"{store.bucket.url}/listed", store.bucket.options)
    catalog = open_catalog(opened)
    # The folder, its data; the properties, the list of partitions, both with their sizes; two footers.
    assert store.requests().total() <= 8
    listings = store.requests(f"/{store.bucket.name}")
    assert listings.total() == 2
    sizes = {pixel: file.stat().st_size for pixel, file in files_of(tmp_path / "stars").items()}
    assert [size for (size,) in catalog.file_sizes] == [sizes[pixel] for pixel in LARGE]
    marked = [int(mark.split()[0]) for mark in catalog.file_marks.values()]
    assert marked == [sizes[pixel] for pixel in LARGE]


@pytest.mark.parametrize(
    ("change", "now"),
    [(lambda content: b"x" * 1_000 + content, "larger"), (lambda content: content[1_000:], "smaller")],
)
def test_a_file_that_changed_after_the_listing_is_not_read_wrongly(
    change: Any, now: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "_FIRST_WAIT_SECONDS", 0.001)
    sky = sky_near_edges(LARGE, 3_000, THRESHOLD_ARCSEC, seed=10)
    write_catalog(tmp_path / "stars", sky)
    file = files_of(tmp_path / "stars")[LARGE[3]]
    content = file.read_bytes()
    with http_server(tmp_path) as web:

        def replace(method: str, path: str) -> None:
            if method == "GET" and path.endswith(file.name):
                file.write_bytes(change(content))

        web.record.trouble = replace
        message = (
            rf"{file.name}: .*changed from {len(content)} to {len(change(content))} bytes since the catalog"
        )
        with pytest.raises(PartitionReadError, match=message):
            make_margin(f"{web.url}/stars", tmp_path / now, THRESHOLD_ARCSEC)  # type: ignore[arg-type]
        assert not (tmp_path / now / "margin").exists()


def test_clients_open_as_many_connections_as_threads_need(store: Store, tmp_path: Path) -> None:
    path: Any = with_options(f"{store.bucket.url}/nothing", store.bucket.options)
    assert not exists(path)
    assert path.fs._s3.meta.config.max_pool_connections == remote.CONNECTIONS
    of_user = {
        **store.bucket.options,
        "config_kwargs": {"max_pool_connections": 3, "retries": {"max_attempts": 1}},
    }
    own: Any = with_options(f"{store.bucket.url}/nothing", of_user)
    assert own.storage_options["config_kwargs"] == of_user["config_kwargs"]
    (tmp_path / "file").write_bytes(b"content")
    with http_server(tmp_path) as web:
        file: Any = as_path(f"{web.url}/file")
        session = fsspec.asyn.sync(file.fs.loop, file.fs.set_session)
        assert session.connector.limit == remote.CONNECTIONS
        assert RangeReader(file, 7).read_ranges([1, 3], [3, 7]) == [b"on", b"tent"]
