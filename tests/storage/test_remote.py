"""Catalogs on servers: the same margins as on disk, byte for byte, with few requests and no secret told."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from distributed import Client
from upath import UPath

from skymargin import MarginCacheArguments, inspect_collection, pipeline, pipeline_with_client
from skymargin.catalogs.catalog import open_catalog
from skymargin.catalogs.output_options import OutputOptions
from skymargin.errors import (
    ArgumentError,
    CatalogError,
    OutputExistsError,
    SkymarginError,
    StorageError,
)
from skymargin.storage import remote
from skymargin.storage.paths import (
    as_path,
    exists,
    is_empty_folder,
    list_files,
    resolve_reference,
    with_options,
)
from skymargin.storage.range_reader import RangeReader, read_tail
from tests.project.test_readme import REMOTE, Example, examples
from tests.storage.conftest import PARTITIONS, THRESHOLD_ARCSEC, Local, Store
from tests.support.catalogs import (
    Layout,
    files_of,
    make_margin,
    on_disk,
    rows_of,
    sky_near_edges,
    write_catalog,
)
from tests.support.catalogs import same_margin as same
from tests.support.hipscat_catalogs import hipscat_files, hipscat_ids, write_hipscat_catalog
from tests.support.servers import KEY, SECRET, Server, http_server

pytestmark = pytest.mark.usefixtures("quiet_servers")


# --- the same bytes ---


def test_s3_in_and_out(bucket: Store, local: Local, tmp_path: Path) -> None:
    report = bucket.make("collection/stars", "plain")
    assert report.partitions > len(PARTITIONS)
    assert same(bucket.contents("plain"), {f"margin/{k}": v for k, v in local.margin.items()})
    # Dask keeps its locks there.
    assert [entry.name for entry in (tmp_path / "system").iterdir() if "dask" not in entry.name] == []


@pytest.mark.parametrize("workers", [1, 2])
def test_a_collection_on_s3_with_worker_processes(bucket: Store, local: Local, workers: int) -> None:
    output = f"workers-{workers}"
    # What this process has listed is not to hide what workers write.
    assert bucket.fs.ls("bucket")
    assert not bucket.fs.exists(f"bucket/{output}")
    bucket.make("collection", output, dask_n_workers=workers)
    assert f"bucket/{output}/margin/hats.properties" in bucket.fs.ls(f"bucket/{output}/margin", detail=False)
    assert same(bucket.contents(f"{output}/margin"), local.margin)


def test_paths_that_carry_their_options(bucket: Store, local: Local) -> None:
    make_margin(
        UPath("s3://bucket/collection/stars", **bucket.options),  # type: ignore[arg-type]
        UPath("s3://bucket/upath", **bucket.options),  # type: ignore[arg-type]
        THRESHOLD_ARCSEC,
    )
    assert same(bucket.contents("upath/margin"), local.margin)


def test_with_a_client_of_ones_own(web: Server, bucket: Store, local: Local, tmp_path: Path) -> None:
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
    assert same(bucket.contents("own/margin"), local.margin)


def test_an_empty_object_in_the_place_of_a_folder_is_no_file(bucket: Store) -> None:
    bucket.fs.pipe_file("bucket/marked/margin/", b"")
    marked = UPath("s3://bucket/marked/margin", **bucket.options)
    assert list_files(marked) == {}
    assert exists(marked)
    assert not is_empty_folder(marked)
    with pytest.raises(OutputExistsError, match="s3://bucket/marked/margin exists already"):
        bucket.make("collection", "marked")


def test_several_margins_on_s3_and_on_disk(bucket: Store, local: Local, tmp_path: Path) -> None:
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
    assert same(bucket.contents("several"), {f"margin/{k}": v for k, v in local.margin.items()})
    make_margin(local.folder / "collection", tmp_path / "alone", THRESHOLD_ARCSEC / 4, "narrow")
    assert same(on_disk(tmp_path / "out" / "narrow"), on_disk(tmp_path / "alone" / "narrow"))
    assert [entry.name for entry in (tmp_path / "out").iterdir()] == ["narrow"]


def test_every_optional_file_is_written_to_s3_as_to_a_disk(
    bucket: Store, local: Local, tmp_path: Path
) -> None:
    options = dict.fromkeys((name for name in OutputOptions.__dataclass_fields__ if "create_" in name), True)
    make_margin(local.folder / "collection", tmp_path, THRESHOLD_ARCSEC, **options)
    bucket.make("collection", "optional", **options)
    stored, written = bucket.contents("optional/margin"), on_disk(tmp_path / "margin")
    assert stored.keys() == written.keys()
    assert {"data_thumbnail.parquet", "partition_info.png", "index.html", "README.md"} < stored.keys()
    # The pages state the size on disk, where a folder may count.
    sizes = re.compile(rb"[\d.]+ [kKM]iB")
    for name in ("README.md", "index.html", "per_partition_statistics.parquet", "dataset/_common_metadata"):
        assert sizes.sub(b"", stored[name]) == sizes.sub(b"", written[name]), name


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
    # Sizes are asked for once, and travel with the tasks.
    assert web.record.asked("HEAD", ".parquet") == partitions
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
def test_the_examples_of_the_page(example: Example, bucket: Store, local: Local, tmp_path: Path) -> None:
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
    if "my_overlay" in example.code:
        (margin,) = inspect_collection(tmp_path / "my_overlay").margins
        assert (margin.name, margin.default, margin.problem) == ("my_catalog_10arcs", True, "")
    elif "s3://" in example.code:
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


def test_a_large_partition_takes_few_requests(tmp_path: Path) -> None:
    sky = sky_near_edges(((0, 4), (0, 5)), 40_000, 3_000.0, seed=1)
    layout = Layout(row_group_rows=4_000)
    table = rows_of(sky, layout)
    for number in range(30):
        # Not to be compressed.
        noise = pa.array([(row * 2_654_435_761 * (number + 1) % 2**61) / 7 for row in range(len(table))])
        table = table.append_column(f"noise{number}", noise)
    write_catalog(tmp_path / "large", sky, layout, table)
    sizes = [file.stat().st_size for file in files_of(tmp_path / "large").values()]
    assert min(sizes) > 2 << 20, "these are not read whole"
    make_margin(tmp_path / "large", tmp_path / "here", THRESHOLD_ARCSEC)
    with http_server(tmp_path) as server:
        server.record.trouble = lambda method, _path: time.sleep(0.03 if method == "GET" else 0)
        report = make_margin(f"{server.url}/large", tmp_path / "there", THRESHOLD_ARCSEC)  # type: ignore[arg-type]
        reads = [
            ranged for method, path, ranged in server.record.requests if "Npix" in path and method == "GET"
        ]
        assert all(reads), "each names its range"
        assert len(reads) <= 3 * len(sizes)
    assert report.bytes_read < 1.2 * sum(sizes)
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


# --- secrets ---


def test_credentials_are_not_shown(bucket: Store, tmp_path: Path) -> None:
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
