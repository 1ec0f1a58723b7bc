"""Catalogs on servers: the same margins as on disk, byte for byte, and errors that name the file."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from distributed import Client
from upath import UPath

from skymargin import MarginCacheArguments, pipeline, pipeline_with_client
from skymargin.build.run_paths import RunPaths
from skymargin.build.stages.tasks import RunSpec
from skymargin.catalogs.catalog import open_catalog
from skymargin.errors import (
    ArgumentError,
    CatalogError,
    CatalogNotFoundError,
    MissingPartitionError,
    OutputExistsError,
    PartitionReadError,
    SkymarginError,
    StorageError,
)
from skymargin.storage import remote, remote_output
from skymargin.storage.paths import (
    as_path,
    exists,
    is_empty_folder,
    list_files,
    resolve_reference,
    with_options,
)
from skymargin.storage.range_reader import RangeReader, read_tail
from tests.campaign.network.proxy import Request, proxy_of
from tests.project.test_readme import REMOTE, Example, examples
from tests.support.catalogs import (
    Layout,
    files_of,
    make_margin,
    nothing_left,
    on_disk,
    rows_of,
    sky_near_edges,
    write_catalog,
)
from tests.support.catalogs import same_margin as same
from tests.support.hipscat_catalogs import hipscat_files, hipscat_ids, write_hipscat_catalog
from tests.support.servers import Server, fail_first, http_server, s3_server

THRESHOLD_ARCSEC = 60.0
PARTITIONS = ((0, 5), (1, 14), (1, 15), (2, 52), (2, 53), (2, 54))
KEY, SECRET = "AKIAOFTHETESTS", "a-secret-nobody-shall-read"


@dataclass(frozen=True)
class Local:
    """A folder with a catalog, a collection around it, and the margin that a run on disk makes of it."""

    folder: Path
    margin: dict[str, bytes]


@dataclass(frozen=True)
class Bucket:
    """An S3 server with the catalogs of `Local` in a bucket."""

    server: Server
    options: dict[str, Any]
    fs: Any

    def contents(self, prefix: str) -> dict[str, bytes]:
        self.fs.invalidate_cache()
        return {
            name[len(prefix) + 1 :]: self.fs.cat_file(name)
            for name in self.fs.find(prefix)
            if name[-1] != "/"
        }

    def make(self, source: str, output: str, **arguments: Any) -> Any:
        """Make a margin from and to S3."""
        both = {"input_storage_options": self.options, "output_storage_options": self.options}
        return make_margin(
            f"s3://bucket/{source}",  # type: ignore[arg-type]
            f"s3://bucket/{output}",  # type: ignore[arg-type]
            THRESHOLD_ARCSEC,
            **(both | arguments),
        )


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Local:
    folder = tmp_path_factory.mktemp("catalogs")
    sky = sky_near_edges(PARTITIONS, 600, THRESHOLD_ARCSEC, seed=20_261_124)
    write_catalog(folder / "collection" / "stars", sky)
    (folder / "collection" / "collection.properties").write_text(
        "obs_collection=collection\nhats_primary_table_url=stars\n"
    )
    make_margin(folder / "collection" / "stars", folder, THRESHOLD_ARCSEC)
    margin = folder / "margin"
    return Local(folder, {name: (margin / name).read_bytes() for name in list_files(margin)})


@pytest.fixture(scope="module")
def bucket(local: Local) -> Iterator[Bucket]:
    with s3_server() as server:
        options = {"key": KEY, "secret": SECRET, "endpoint_url": server.url}
        fs = fsspec.filesystem("s3", **options)
        fs.mkdir("bucket")
        fs.put(str(local.folder / "collection"), "bucket/collection", recursive=True)
        yield Bucket(server, options, fs)


@pytest.fixture(scope="module")
def web(local: Local) -> Iterator[Server]:
    with http_server(local.folder) as server:
        yield server


@pytest.fixture(autouse=True)
def quiet_servers(bucket: Bucket, web: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Start each test with servers that do as they should, short waits, and a temporary folder to look into."""
    bucket.server.record.reset()
    web.record.reset()
    monkeypatch.setattr(remote, "_FIRST_WAIT_SECONDS", 0.001)
    (tmp_path / "system").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "system"))


# --- the same bytes ---


def test_s3_in_and_out(bucket: Bucket, local: Local, tmp_path: Path) -> None:
    report = bucket.make("collection/stars", "plain")
    assert report.partitions > len(PARTITIONS)
    assert same(bucket.contents("bucket/plain"), {f"margin/{k}": v for k, v in local.margin.items()})
    # Dask keeps its locks there.
    assert [entry.name for entry in (tmp_path / "system").iterdir() if "dask" not in entry.name] == []


@pytest.mark.parametrize("workers", [1, 2])
def test_a_collection_on_s3_with_worker_processes(bucket: Bucket, local: Local, workers: int) -> None:
    output = f"workers-{workers}"
    # What this process has listed is not to hide what workers write.
    assert bucket.fs.ls("bucket")
    assert not bucket.fs.exists(f"bucket/{output}")
    bucket.make("collection", output, dask_n_workers=workers)
    assert f"bucket/{output}/margin/hats.properties" in bucket.fs.ls(f"bucket/{output}/margin", detail=False)
    assert same(bucket.contents(f"bucket/{output}/margin"), local.margin)


def test_paths_that_carry_their_options(bucket: Bucket, local: Local) -> None:
    make_margin(
        UPath("s3://bucket/collection/stars", **bucket.options),  # type: ignore[arg-type]
        UPath("s3://bucket/upath", **bucket.options),  # type: ignore[arg-type]
        THRESHOLD_ARCSEC,
    )
    assert same(bucket.contents("bucket/upath/margin"), local.margin)


def test_with_a_client_of_ones_own(web: Server, bucket: Bucket, local: Local, tmp_path: Path) -> None:
    args = MarginCacheArguments(
        input_catalog_path=f"{web.url}/collection",
        output_path="s3://bucket/own",
        output_storage_options=bucket.options,
        output_artifact_name="margin",
        margin_threshold=THRESHOLD_ARCSEC,
        tmp_dir=tmp_path / "tmp",
        progress_bar=False,
    )
    with Client(processes=False, dashboard_address="127.0.0.1:0") as client:
        pipeline_with_client(args, client)
    assert same(bucket.contents("bucket/own/margin"), local.margin)


def test_an_empty_object_in_the_place_of_a_folder_is_no_file(bucket: Bucket) -> None:
    bucket.fs.pipe_file("bucket/marked/margin/", b"")
    marked = UPath("s3://bucket/marked/margin", **bucket.options)
    assert list_files(marked) == {}
    assert exists(marked)
    assert not is_empty_folder(marked)
    with pytest.raises(OutputExistsError, match="s3://bucket/marked/margin exists already"):
        bucket.make("collection", "marked")


def test_several_margins_on_s3_and_on_disk(bucket: Bucket, local: Local, tmp_path: Path) -> None:
    """The narrower one is on disk, the wider one on S3."""
    common = {
        "input_catalog_path": "s3://bucket/collection",
        "input_storage_options": bucket.options,
        "progress_bar": False,
    }
    narrower = MarginCacheArguments(
        tmp_path / "out", "narrow", margin_threshold=THRESHOLD_ARCSEC / 4, **common
    )
    wider = MarginCacheArguments(
        "s3://bucket/several",
        "margin",
        output_storage_options=bucket.options,
        margin_threshold=THRESHOLD_ARCSEC,
        **common,
    )
    pipeline([narrower, wider])
    assert same(bucket.contents("bucket/several"), {f"margin/{k}": v for k, v in local.margin.items()})
    make_margin(local.folder / "collection", tmp_path / "alone", THRESHOLD_ARCSEC / 4, "narrow")
    assert same(on_disk(tmp_path / "out" / "narrow"), on_disk(tmp_path / "alone" / "narrow"))
    assert [entry.name for entry in (tmp_path / "out").iterdir()] == ["narrow"]


def test_memory_in_and_out(local: Local) -> None:
    fs = fsspec.filesystem("memory")
    fs.put(str(local.folder / "collection" / "stars"), "/remote-stars", recursive=True)
    make_margin("memory://remote-stars", "memory://remote-out", THRESHOLD_ARCSEC)  # type: ignore[arg-type]
    root = "/remote-out/margin/"
    assert same({name[len(root) :]: fs.cat_file(name) for name in fs.find(root)}, local.margin)


def test_http_in(web: Server, local: Local, tmp_path: Path) -> None:
    make_margin(f"{web.url}/collection", tmp_path / "out", THRESHOLD_ARCSEC)  # type: ignore[arg-type]
    assert same(on_disk(tmp_path / "out" / "margin"), local.margin)
    # A small partition is one read; nothing asks for a listing.
    partitions = len(PARTITIONS)
    assert web.record.asked("GET", ".parquet") == partitions
    assert web.record.asked("HEAD", ".parquet") == 2 * partitions
    assert not [
        path for _, path, _ in web.record.requests if path.endswith("/") or "." not in path[-20:]
    ] or {
        path.rsplit("/", 1)[1] for _, path, _ in web.record.requests if "." not in path.rsplit("/", 1)[1]
    } <= {"properties", "_metadata", "_common_metadata"}


def test_hipscat_over_http_which_lists_no_files(tmp_path: Path) -> None:
    """It was looked for in a listing, which the web does not have: no partition but one was found."""
    sky = sky_near_edges(PARTITIONS, 300, THRESHOLD_ARCSEC, seed=4)
    write_hipscat_catalog(tmp_path / "old", sky)
    with http_server(tmp_path) as server:
        catalog = open_catalog(as_path(f"{server.url}/old"))
        assert catalog.format == "hipscat"
        assert catalog.size_bytes.tolist() == [
            hipscat_files(tmp_path / "old")[pixel].stat().st_size for pixel in PARTITIONS
        ]
        make_margin(f"{server.url}/old", tmp_path / "out", THRESHOLD_ARCSEC)  # type: ignore[arg-type]
    assert hipscat_ids(tmp_path / "out" / "margin") == sky.margins(THRESHOLD_ARCSEC)


@pytest.mark.parametrize(
    "example", [pytest.param(one, id=f"line {one.line}") for one in examples() if one.page == REMOTE]
)
def test_the_examples_of_the_page(example: Example, bucket: Bucket, local: Local, tmp_path: Path) -> None:
    if not bucket.fs.exists("my-bucket"):
        bucket.fs.mkdir("my-bucket")
        bucket.fs.put(str(local.folder / "collection" / "stars"), "my-bucket/my_catalog", recursive=True)
    shutil.copytree(local.folder / "collection" / "stars", tmp_path / "my_catalog")
    credentials = {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET}
    with http_server(tmp_path) as server:
        printed = subprocess.run(
            [
                sys.executable,
                "-W",
                "error",
                "-c",
                example.code.replace("https://data.example.org", server.url),
            ],
            env=os.environ | credentials | {"AWS_ENDPOINT_URL": bucket.server.url},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    assert "rows in" in printed
    if "s3://" in example.code:
        assert bucket.fs.exists("my-bucket/margins/my_catalog_10arcs/hats.properties")
    else:
        assert (tmp_path / "from_the_web" / "my_catalog_20arcs" / "hats.properties").exists()


# --- requests ---


def test_planning_over_http_asks_side_by_side(tmp_path: Path) -> None:
    count = 1_000
    dataset = tmp_path / "many" / "dataset" / "Norder=4" / "Dir=0"
    dataset.mkdir(parents=True)
    for pixel in range(count):
        (dataset / f"Npix={pixel}.parquet").write_bytes(b"x" * (100 + pixel))
    schema = pa.schema([("ra", pa.float64()), ("dec", pa.float64())])
    pq.write_metadata(schema, tmp_path / "many" / "dataset" / "_common_metadata")
    listing = "".join(f"4,{pixel}\n" for pixel in range(count))
    (tmp_path / "many" / "partition_info.csv").write_text(f"Norder,Npix\n{listing}")
    (tmp_path / "many" / "hats.properties").write_text(
        "dataproduct_type=object\nhats_col_ra=ra\nhats_col_dec=dec\n"
    )
    with http_server(tmp_path) as server:
        server.record.trouble = lambda _method, _path: time.sleep(0.002)
        catalog = open_catalog(as_path(f"{server.url}/many"))
        assert catalog.size_bytes.tolist() == [100 + pixel for pixel in range(count)]
        assert server.record.asked("HEAD", ".parquet") == count
        assert server.record.asked("GET", ".parquet") == 0
        assert len(server.record.requests) <= count + 12
        assert server.record.most_at_once >= 8


def test_a_large_partition_takes_few_requests_side_by_side(tmp_path: Path) -> None:
    sky = sky_near_edges(((0, 4), (0, 5)), 40_000, 3_000.0, seed=1)
    layout = Layout(row_group_rows=4_000)
    table = rows_of(sky, layout)
    for number in range(4):
        # Not to be compressed.
        noise = pa.array([(row * 2_654_435_761 * (number + 1) % 2**61) / 7 for row in range(len(table))])
        table = table.append_column(f"noise{number}", noise)
    write_catalog(tmp_path / "large", sky, layout, table)
    size = max(file.stat().st_size for file in files_of(tmp_path / "large").values())
    make_margin(tmp_path / "large", tmp_path / "here", THRESHOLD_ARCSEC)
    with http_server(tmp_path) as server:
        server.record.trouble = lambda method, _path: time.sleep(0.03 if method == "GET" else 0)
        report = make_margin(f"{server.url}/large", tmp_path / "there", THRESHOLD_ARCSEC)  # type: ignore[arg-type]
        reads = [
            ranged for method, path, ranged in server.record.requests if "Npix" in path and method == "GET"
        ]
        assert all(reads), "each names its range"
        assert len(reads) <= 24
        assert report.bytes_read / len(reads) > 32 * 1024
        assert server.record.most_at_once > 1
    assert report.bytes_read < 3 * 2 * size
    assert same(on_disk(tmp_path / "there" / "margin"), on_disk(tmp_path / "here" / "margin"))


def test_ranges_of_one_call_are_asked_for_side_by_side_and_what_came_is_kept(tmp_path: Path) -> None:
    content = bytes(range(256)) * 4_096
    (tmp_path / "file").write_bytes(content)
    starts, stops = [0, 100_000, 200_000, 300_000], [10, 150_000, 260_000, 300_001]
    with http_server(tmp_path) as server:
        reader = RangeReader(UPath(f"{server.url}/file"))
        assert reader.size_bytes == len(content)
        failed: list[str] = []

        def trouble(method: str, path: str) -> int | None:
            time.sleep(0.03)
            failed.append(path)
            return 503 if method == "GET" and len(failed) == 2 else None

        server.record.trouble = trouble
        parts = reader.read_ranges(starts, stops)
        assert parts == [content[start:stop] for start, stop in zip(starts, stops, strict=True)]
        assert server.record.most_at_once == 4
        # One of them is asked for a second time, alone.
        assert server.record.asked("GET", "file") == 5
        assert reader.read_ranges([], []) == []


def test_the_footer_of_any_length_is_read(tmp_path: Path) -> None:
    schema = pa.schema([(f"a column of a wide catalog {number}", pa.float64()) for number in range(2_000)])
    pq.write_metadata(schema, tmp_path / "wide")
    assert (tmp_path / "wide").stat().st_size > 100_000
    with http_server(tmp_path) as server:
        tail = read_tail(UPath(f"{server.url}/wide"))
    assert pq.read_metadata(pa.BufferReader(tail)).schema.to_arrow_schema() == schema


# --- trouble ---


@pytest.mark.parametrize("answer", [500, 503, "drop", "short"])
def test_a_bad_moment_of_a_web_server_changes_nothing(
    answer: str | int, web: Server, local: Local, tmp_path: Path
) -> None:
    # Each file is refused twice: properties, the list of partitions, the partitions.
    web.record.trouble = fail_first(2, answer, "")
    make_margin(f"{web.url}/collection/stars", tmp_path / "out", THRESHOLD_ARCSEC)  # type: ignore[arg-type]
    assert same(on_disk(tmp_path / "out" / "margin"), local.margin)


@pytest.mark.parametrize(
    ("method", "answer"),
    [("GET", 404), ("GET", 500), ("GET", "drop"), ("GET", "short"), ("HEAD", 403), ("HEAD", 500)],
)
def test_trouble_that_stays_names_the_file(
    method: str, answer: str | int, web: Server, tmp_path: Path
) -> None:
    ending = "Norder=2/Dir=0/Npix=53.parquet"

    def trouble(verb: str, path: str) -> str | int | None:
        # Sizes come from HEAD, or from the head of a GET.
        return answer if path.endswith(ending) and verb in (method, "GET") else None

    web.record.trouble = trouble
    with pytest.raises(
        (PartitionReadError, StorageError, MissingPartitionError), match=re.escape(ending)
    ) as caught:
        make_margin(f"{web.url}/collection/stars", tmp_path / "out", THRESHOLD_ARCSEC)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
    assert str(caught.value).count(f"{ending}: ") == 1, "named once"
    assert web.record.asked("GET", ending) <= remote.TRIES * 2
    assert nothing_left(tmp_path / "out")


def test_a_partition_that_is_not_there(web: Server, tmp_path: Path) -> None:
    ending = "Norder=2/Dir=0/Npix=53.parquet"
    web.record.trouble = lambda _method, path: 404 if path.endswith(ending) else None
    with pytest.raises(MissingPartitionError, match=re.escape(ending)):
        make_margin(f"{web.url}/collection/stars", tmp_path / "out", THRESHOLD_ARCSEC)  # type: ignore[arg-type]
    assert web.record.asked("GET", ".parquet") <= 1


@pytest.mark.parametrize("answer", [500, "drop"])
def test_a_server_that_is_down_is_not_an_absent_catalog(
    answer: str | int, web: Server, tmp_path: Path
) -> None:
    web.record.trouble = lambda _method, _path: answer
    with pytest.raises(StorageError, match=r"hats\.properties: "):
        make_margin(f"{web.url}/collection/stars", tmp_path / "out", THRESHOLD_ARCSEC)  # type: ignore[arg-type]
    with pytest.raises(StorageError, match=r"hats\.properties: "):
        exists(UPath(f"{web.url}/collection/stars/hats.properties"))


def test_nobody_listens(tmp_path: Path) -> None:
    with http_server(tmp_path) as server:
        url = server.url
    with pytest.raises(StorageError, match=f"{re.escape(url)}/stars/hats.properties: ClientConnectorError"):
        make_margin(f"{url}/stars", tmp_path / "out", THRESHOLD_ARCSEC)  # type: ignore[arg-type]
    options = {"key": KEY, "secret": SECRET, "endpoint_url": url, "config_kwargs": {"connect_timeout": 1}}
    with pytest.raises(
        StorageError, match=r"s3://bucket/stars: .*EndpointConnection.*|s3://bucket/stars: .*onnect"
    ):
        exists(UPath("s3://bucket/stars", **(options | {"config_kwargs": {"retries": {"max_attempts": 0}}})))


def test_nothing_at_the_url(web: Server, bucket: Bucket, tmp_path: Path) -> None:
    with pytest.raises(CatalogNotFoundError, match="nowhere is not a catalog"):
        make_margin(f"{web.url}/nowhere", tmp_path / "out", THRESHOLD_ARCSEC)  # type: ignore[arg-type]
    with pytest.raises(CatalogNotFoundError, match="there is nothing at s3://bucket/nowhere"):
        bucket.make("nowhere", "out")


def test_a_server_without_ranges(local: Local, tmp_path: Path) -> None:
    with http_server(local.folder, ranges=False) as server:
        # Small files are read whole anyway.
        make_margin(f"{server.url}/collection/stars", tmp_path / "out", THRESHOLD_ARCSEC)  # type: ignore[arg-type]
        assert same(on_disk(tmp_path / "out" / "margin"), local.margin)
        (local.folder / "large-file").write_bytes(bytes(100_000))
        with pytest.raises(StorageError, match="the server answers with the whole file") as caught:
            read_tail(UPath(f"{server.url}/large-file"))
        assert server.record.asked("GET", "large-file") == 1, "trying again does not help"
        assert "disk" in str(caught.value)


def test_a_bad_moment_of_s3_changes_nothing(bucket: Bucket, local: Local) -> None:
    bucket.server.record.trouble = fail_first(1, 503, "Norder=0/Dir=0/Npix=5.parquet")
    bucket.make("collection/stars", "moment")
    assert same(bucket.contents("bucket/moment/margin"), local.margin)


def impatient(bucket: Bucket) -> dict[str, Any]:
    return bucket.options | {"config_kwargs": {"retries": {"max_attempts": 0}}}


@pytest.mark.parametrize("answer", [404, 500, 403])
def test_trouble_with_reading_from_s3_names_the_file(answer: int, bucket: Bucket) -> None:
    ending = "stars/dataset/Norder=2/Dir=0/Npix=53.parquet"
    bucket.server.record.trouble = lambda method, path: (
        answer if method == "GET" and path.endswith(ending) else None
    )
    with pytest.raises(PartitionReadError, match=re.escape(ending)) as caught:
        bucket.make("collection/stars", "unread", input_storage_options=impatient(bucket))
    assert SECRET not in str(caught.value)
    assert bucket.contents("bucket/unread") == {}


@pytest.mark.parametrize("ending", ["Norder=1/Dir=0/Npix=14.parquet", "_metadata", "margin/properties"])
def test_trouble_with_writing_to_s3_leaves_no_catalog(ending: str, bucket: Bucket, tmp_path: Path) -> None:
    bucket.server.record.trouble = lambda method, path: (
        500 if method == "PUT" and path.endswith(ending) else None
    )
    with pytest.raises(StorageError, match=r"cannot be written.*: s3://bucket/unwritten/margin") as caught:
        bucket.make("collection/stars", "unwritten", output_storage_options=impatient(bucket))
    assert SECRET not in str(caught.value)
    # What is done is kept beside the place, and gone on with when the store answers again.
    # Of the two properties the second one fails: by then all the rest is there.
    found = bucket.contents("bucket/unwritten")
    assert ("margin/hats.properties" in found) == (ending == "margin/properties")
    bucket.server.record.reset()
    bucket.make("collection/stars", "unwritten")
    assert {name.split("/")[0] for name in bucket.contents("bucket/unwritten")} == {"margin"}
    bucket.fs.rm("bucket/unwritten", recursive=True)
    # Dask keeps its locks there.
    assert [entry.name for entry in (tmp_path / "system").iterdir() if "dask" not in entry.name] == []


def test_a_bucket_is_not_made_by_mistake(bucket: Bucket) -> None:
    with pytest.raises(StorageError, match="s3://no-such-bucket/margin"):
        make_margin(
            "s3://bucket/collection",  # type: ignore[arg-type]
            "s3://no-such-bucket",  # type: ignore[arg-type]
            THRESHOLD_ARCSEC,
            input_storage_options=bucket.options,
            output_storage_options=bucket.options,
        )
    assert "no-such-bucket" not in bucket.fs.ls("", refresh=True)


# --- faults that only show on the wire ---


def first_of(fault: str, ending: str, method: str = "GET") -> Callable[[Request, int], str | None]:
    """Commit a fault at the first of the same requests."""

    def choose(request: Request, before: int) -> str | None:
        concerned = request.method == method and request.path.endswith(ending)
        return fault if concerned and not before else None

    return choose


def always(fault: str, ending: str, method: str = "GET") -> Callable[[Request, int], str | None]:
    """Commit a fault at all requests of a method."""
    return lambda request, _: fault if request.method == method and request.path.endswith(ending) else None


def test_a_silent_web_server_is_given_up(
    web: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What aiohttp does by itself is to wait for five minutes, and we tried four times."""
    monkeypatch.setattr(remote, "_SILENCE_SECONDS", 0.1)
    ending = "Norder=2/Dir=0/Npix=53.parquet"
    with proxy_of(web.url) as proxy:
        proxy.faults.choose = always("stall", ending)
        with pytest.raises(PartitionReadError, match=rf"{re.escape(ending)}: .*Timeout"):
            make_margin(f"{proxy.url}/collection/stars", tmp_path / "out", THRESHOLD_ARCSEC)  # type: ignore[arg-type]
        assert max(proxy.faults.asked.values()) <= 2 * remote.TRIES
    assert nothing_left(tmp_path / "out")


def test_the_user_says_how_long_a_server_may_be_silent() -> None:
    limit = aiohttp.ClientTimeout(sock_read=600)
    path: Any = with_options("https://one.example/stars", {"client_kwargs": {"timeout": limit}})
    assert path.storage_options["client_kwargs"]["timeout"] is limit
    plain: Any = as_path("https://one.example/stars")
    assert plain.storage_options["client_kwargs"]["timeout"].sock_read == 30
    # A large file may take as long as it takes.
    assert plain.storage_options["client_kwargs"]["timeout"].total is None


def test_another_range_than_that_asked_for_is_not_taken(tmp_path: Path) -> None:
    content = bytes(range(256)) * 1_000
    (tmp_path / "file").write_bytes(content)
    with http_server(tmp_path) as server, proxy_of(server.url) as proxy:
        reader = RangeReader(as_path(f"{proxy.url}/file"))  # type: ignore[arg-type]
        proxy.faults.choose = first_of("shifted", "file")
        assert reader.read_ranges([1_000], [3_000]) == [content[1_000:3_000]]
        proxy.faults.choose = always("shifted", "file")
        with pytest.raises(StorageError, match="asked for begins at byte 1000, what was sent at byte 936"):
            reader.read_ranges([1_000], [3_000])
        assert proxy.faults.done["shifted"] == 1 + remote.TRIES


def test_a_list_of_partitions_that_ends_early_is_not_taken(web: Server, local: Local, tmp_path: Path) -> None:
    """Half of the list, with a length that agrees, is a list of fewer partitions: a margin without their rows."""
    with proxy_of(web.url) as proxy:
        proxy.faults.choose = first_of("short", "partition_info.csv")
        make_margin(f"{proxy.url}/collection/stars", tmp_path / "out", THRESHOLD_ARCSEC)  # type: ignore[arg-type]
        assert same(on_disk(tmp_path / "out" / "margin"), local.margin)
        proxy.faults.choose = always("short", "partition_info.csv")
        size = (local.folder / "collection" / "stars" / "partition_info.csv").stat().st_size
        with pytest.raises(CatalogError, match=f"{size // 2} bytes arrived of a file of {size} bytes"):
            make_margin(f"{proxy.url}/collection/stars", tmp_path / "never", THRESHOLD_ARCSEC)  # type: ignore[arg-type]
    assert nothing_left(tmp_path / "never")


@pytest.mark.parametrize("fault", ["short", "cut"])
def test_a_spoilt_answer_of_s3_is_asked_for_again(fault: str, bucket: Bucket, local: Local) -> None:
    """Such a body does not fit its checksum, which botocore takes for a reason to give up."""
    with proxy_of(bucket.server.url) as proxy:
        proxy.faults.choose = first_of(fault, ".parquet")
        options = bucket.options | {"endpoint_url": proxy.url}
        bucket.make("collection/stars", f"spoilt-{fault}", input_storage_options=options)
        assert proxy.faults.done[fault] >= len(PARTITIONS)
    assert same(bucket.contents(f"bucket/spoilt-{fault}/margin"), local.margin)


def test_a_listing_that_is_cut_names_the_folder(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What lies beside an output is listed by way of its path, whose errors are those of the client."""

    def cut(_path: UPath) -> None:
        raise aiohttp.ClientPayloadError("222 of 445 bytes")

    bucket.fs.pipe_file("bucket/listed/other", b"")
    output = UPath("s3://bucket/listed/margin", **bucket.options)
    monkeypatch.setattr(type(output), "iterdir", cut)
    with pytest.raises(StorageError, match=r"^s3://bucket/listed: ClientPayloadError: 222 of 445 bytes$"):
        RunPaths(output, tmp_path, tmp_path).leftovers()


def test_properties_that_arrive_cut_are_asked_for_again(bucket: Bucket, local: Local) -> None:
    """Before the last move, what was made is compared with what was recorded of it; an error of aiohttp got out."""
    with proxy_of(bucket.server.url) as proxy:
        proxy.faults.choose = first_of("cut", "hats.properties")
        options = bucket.options | {"endpoint_url": proxy.url}
        bucket.make("collection/stars", "cut-properties", output_storage_options=options)
        assert proxy.faults.done["cut"]
    assert same(bucket.contents("bucket/cut-properties/margin"), local.margin)


def test_a_lost_connection_to_s3_is_not_tried_a_hundred_times(bucket: Bucket) -> None:
    ending = "Norder=2/Dir=0/Npix=53.parquet"
    with proxy_of(bucket.server.url) as proxy:
        proxy.faults.choose = always("drop", ending)
        options = impatient(bucket) | {"endpoint_url": proxy.url}
        with pytest.raises(PartitionReadError, match=re.escape(ending)):
            bucket.make("collection/stars", "lost", input_storage_options=options)
        # Two tries in each of two layers of s3fs.
        assert proxy.faults.done["drop"] <= 8


def test_a_deletion_that_s3_refuses_with_status_200_leaves_the_old_catalog(bucket: Bucket) -> None:
    old = {"margin/hats.properties": b"dataproduct_type=margin\n", "margin/dataset/_metadata": b"old"}
    for name, content in old.items():
        bucket.fs.pipe_file(f"bucket/refused/{name}", content)
    with proxy_of(bucket.server.url) as proxy:
        proxy.faults.choose = always("errors", "?delete", "POST")
        options = bucket.options | {"endpoint_url": proxy.url}
        with pytest.raises(StorageError, match=r"refused/margin/hats\.properties .*was not deleted"):
            bucket.make("collection", "refused", overwrite=True, output_storage_options=options)
        found = bucket.contents("bucket/refused")
        assert {name: kept for name, kept in found.items() if name.startswith("margin/")} == old
        proxy.faults.heal()
        bucket.make("collection", "refused", overwrite=True, output_storage_options=options)
    assert b"old" not in bucket.contents("bucket/refused").values()


# --- in the place of another ---


def test_overwriting_on_s3(bucket: Bucket, local: Local) -> None:
    bucket.fs.pipe_file("bucket/again/margin/hats.properties", b"dataproduct_type=margin\n")
    bucket.fs.pipe_file("bucket/again/margin/dataset/Norder=9/Dir=0/Npix=1.parquet", b"old")
    before = bucket.contents("bucket/again")
    with pytest.raises(OutputExistsError, match="overwrite=True"):
        bucket.make("collection", "again")
    bucket.server.record.trouble = lambda method, path: 500 if method == "PUT" and "Npix=14" in path else None
    with pytest.raises(StorageError):
        bucket.make("collection", "again", overwrite=True, output_storage_options=impatient(bucket))
    found = bucket.contents("bucket/again")
    assert {name: kept for name, kept in found.items() if name.startswith("margin/")} == before
    bucket.server.record.reset()
    bucket.make("collection", "again", overwrite=True)
    assert same(bucket.contents("bucket/again"), {f"margin/{k}": v for k, v in local.margin.items()})
    # What makes it a catalog goes first and comes last.
    order = [
        (method, path.rsplit("/", 1)[1])
        for method, path, _ in bucket.server.record.requests
        if method == "PUT" and path.startswith("/bucket/again/margin/")
    ]
    assert {name for _, name in order[-2:]} == {"hats.properties", "properties"}
    assert not any(name.endswith("properties") for _, name in order[:-2])


def test_a_copy_that_fails_leaves_what_is_whole_and_no_half(bucket: Bucket, local: Local) -> None:
    bucket.fs.pipe_file("bucket/stuck/margin/hats.properties", b"dataproduct_type=margin\n")
    bucket.server.record.trouble = lambda method, path: (
        500 if method == "PUT" and path == "/bucket/stuck/margin/partition_info.csv" else None
    )
    with pytest.raises(StorageError, match="the new catalog is complete at s3://bucket/stuck/") as caught:
        bucket.make("collection", "stuck", overwrite=True, output_storage_options=impatient(bucket))
    found = bucket.contents("bucket/stuck")
    (aside,) = {name.split("/")[0] for name in found if not name.startswith("margin/")}
    assert f"s3://bucket/stuck/{aside}" in str(caught.value)
    whole = {name[len(aside) + 1 :]: content for name, content in found.items() if name.startswith(aside)}
    assert same(whole, local.margin)
    assert not [name for name in found if name.startswith("margin/") and name.endswith("properties")]


def test_properties_come_last_where_a_catalog_is_copied_into_its_place(bucket: Bucket) -> None:
    bucket.make("collection/stars", "order", create_thumbnail=True)
    written = [path for method, path, _ in bucket.server.record.requests if method == "PUT"]
    assert {path.rsplit("/", 1)[1] for path in written[-2:]} == {"hats.properties", "properties"}
    assert all(path.startswith("/bucket/order/margin") for path in written)


def test_removing_takes_nothing_of_a_neighbour() -> None:
    fs = fsspec.filesystem("memory")
    for name in ("/near/margin/properties", "/near/margin/dataset/a", "/near/margin_2/properties"):
        fs.pipe_file(name, b"x")
    remote_output.remove(UPath("memory://near/margin"))
    remote_output.remove(UPath("memory://near/margin"))
    assert fs.find("/near") == ["/near/margin_2/properties"]


# --- secrets ---


def test_credentials_are_not_shown(bucket: Bucket, tmp_path: Path) -> None:
    args = MarginCacheArguments(
        input_catalog_path="s3://bucket/collection",
        output_path=tmp_path,
        output_artifact_name="margin",
        input_storage_options=bucket.options,
    )
    assert SECRET not in repr(args)
    assert KEY not in repr(args)
    make_margin(
        "s3://bucket/collection",  # type: ignore[arg-type]
        tmp_path,
        THRESHOLD_ARCSEC,
        "here",
        input_storage_options=bucket.options,
    )
    for name, content in on_disk(tmp_path / "here").items():
        assert SECRET.encode() not in content, name
        assert KEY.encode() not in content, name


def test_an_error_that_quotes_a_secret_loses_it() -> None:
    options = {"client_kwargs": {"headers": {"Authorization": "Bearer of-all-things"}}, "secret": SECRET}
    path = UPath("memory://place")
    text = remote.without_secrets(f"{path}: refused {SECRET} and Bearer of-all-things", options)
    assert text == "memory://place: refused *** and ***" or text == f"{path}: refused *** and ***"
    with (
        pytest.raises(StorageError) as caught,
        remote.translate_errors(UPath("s3://bucket/a", secret=SECRET)),
    ):
        raise RuntimeError(f"{SECRET} is wrong")
    assert str(caught.value) == "s3://bucket/a: RuntimeError: *** is wrong"
    assert caught.value.__cause__ is None


def test_the_file_of_a_job_is_for_nobody_else(tmp_path: Path) -> None:
    fields = dict.fromkeys(RunSpec.__dataclass_fields__)
    RunSpec(**fields).save(tmp_path / "job")  # type: ignore[arg-type]
    assert (tmp_path / "job").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"input_catalog_path": "https://me:pw12345@host/stars"}, "password in its URL"),
        ({"output_path": "https://host/out"}, "nothing can be written over https"),
        (
            {"input_storage_options": "pw12345"},
            "input_storage_options must be a dict with text keys, not of type str",
        ),
        ({"input_storage_options": {"secret": "pw12345"}}, "input_catalog_path .* is local"),
        ({"input_catalog_path": "nosuch://host/stars"}, "input_catalog_path nosuch://host/stars"),
    ],
)
def test_arguments_that_cannot_be(
    arguments: dict[str, Any], message: str, local: Local, tmp_path: Path
) -> None:
    given = {"input_catalog_path": local.folder / "collection", "output_path": tmp_path} | arguments
    with pytest.raises(ArgumentError, match=message) as caught:
        MarginCacheArguments(output_artifact_name="margin", **given)
    assert "pw12345" not in str(caught.value)


# --- what cannot be listed ---


def test_folders_of_partitions_cannot_be_read_over_http(tmp_path: Path) -> None:
    sky = sky_near_edges(((0, 4), (0, 5)), 50, 60.0, seed=2)
    write_catalog(tmp_path / "folders", sky, Layout(suffix="/"))
    with http_server(tmp_path) as server, pytest.raises(CatalogError, match=r"hats_npix_suffix=/.*listed"):
        open_catalog(as_path(f"{server.url}/folders"))


def test_partitions_come_from_metadata_if_there_is_no_list(local: Local, tmp_path: Path) -> None:
    shutil.copytree(local.folder / "collection" / "stars", tmp_path / "stars")
    (tmp_path / "stars" / "partition_info.csv").unlink()
    with http_server(tmp_path) as server:
        catalog = open_catalog(as_path(f"{server.url}/stars"))
        assert len(catalog.orders) == len(PARTITIONS)
        (tmp_path / "stars" / "dataset" / "_metadata").unlink()
        with pytest.raises(
            CatalogError, match=r"stars has neither partition_info\.csv nor dataset/_metadata"
        ):
            open_catalog(as_path(f"{server.url}/stars"))


def test_options_go_to_the_same_server_only() -> None:
    headers = {"Authorization": "Bearer of-all-things"}
    folder = with_options("https://one.example/collection", {"client_kwargs": {"headers": headers}})

    def sent_to(target: str) -> Any:
        return resolve_reference(folder, target).storage_options["client_kwargs"].get("headers")  # type: ignore[union-attr]

    assert sent_to("stars") == headers
    assert sent_to("https://one.example/stars") == headers
    assert sent_to("https://two.example/stars") is None
    assert str(resolve_reference(folder, "https://two.example/stars")) == "https://two.example/stars"


def test_errors_are_of_the_package() -> None:
    assert issubclass(StorageError, SkymarginError)
    assert issubclass(StorageError, OSError)
