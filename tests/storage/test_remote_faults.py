"""Servers that fail: errors that name the file, nothing half made. `tests/campaign/network` tries more at random."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import fsspec
import pytest
from upath import UPath

from skymargin.build.run_paths import RunPaths
from skymargin.errors import (
    CatalogError,
    CatalogNotFoundError,
    MissingPartitionError,
    OutputExistsError,
    PartitionReadError,
    StorageError,
)
from skymargin.storage import remote, remote_output
from skymargin.storage.paths import (
    as_path,
    exists,
    with_options,
)
from skymargin.storage.range_reader import RangeReader, read_tail
from tests.campaign.network.proxy import Request, proxy_of
from tests.storage.conftest import PARTITIONS, THRESHOLD_ARCSEC, Local, Store
from tests.support.catalogs import (
    make_margin,
    nothing_left,
    on_disk,
)
from tests.support.catalogs import same_margin as same
from tests.support.servers import SECRET, Server, http_server, s3_options

pytestmark = pytest.mark.usefixtures("quiet_servers")


# --- trouble ---


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
    options = s3_options(url, config_kwargs={"retries": {"max_attempts": 0}})
    with pytest.raises(StorageError, match=r"s3://bucket/stars: .*onnect"):
        exists(UPath("s3://bucket/stars", **options))


def test_nothing_at_the_url(web: Server, bucket: Store, tmp_path: Path) -> None:
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


@pytest.mark.parametrize("answer", [404, 500, 403])
def test_trouble_with_reading_from_s3_names_the_file(answer: int, bucket: Store) -> None:
    ending = "stars/dataset/Norder=2/Dir=0/Npix=53.parquet"
    bucket.server.record.trouble = lambda method, path: (
        answer if method == "GET" and path.endswith(ending) else None
    )
    with pytest.raises(PartitionReadError, match=re.escape(ending)) as caught:
        bucket.make("collection/stars", "unread", input_storage_options=bucket.impatient())
    assert SECRET not in str(caught.value)
    assert bucket.contents("unread") == {}


@pytest.mark.parametrize("ending", ["Norder=1/Dir=0/Npix=14.parquet", "_metadata", "margin/properties"])
def test_trouble_with_writing_to_s3_leaves_no_catalog(ending: str, bucket: Store, tmp_path: Path) -> None:
    bucket.server.record.trouble = lambda method, path: (
        500 if method == "PUT" and path.endswith(ending) else None
    )
    with pytest.raises(StorageError, match="s3://bucket/unwritten/margin") as caught:
        bucket.make("collection/stars", "unwritten", output_storage_options=bucket.impatient())
    assert "cannot be written" in str(caught.value)
    assert SECRET not in str(caught.value)
    # What is done is kept at the place and beside the place, and gone on with when the store answers again.
    # Of the two properties the second one fails: by then all the rest is there.
    files = bucket.contents("unwritten")
    assert ("margin/hats.properties" in files) == (ending == "margin/properties")
    bucket.server.record.reset()
    bucket.make("collection/stars", "unwritten")
    assert {name.split("/")[0] for name in bucket.contents("unwritten")} == {"margin"}
    bucket.fs.rm("bucket/unwritten", recursive=True)
    # Dask keeps its locks there.
    assert [entry.name for entry in (tmp_path / "system").iterdir() if "dask" not in entry.name] == []


def test_a_bucket_is_not_made_by_mistake(bucket: Store) -> None:
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
def test_a_spoilt_answer_of_s3_is_asked_for_again(fault: str, bucket: Store, local: Local) -> None:
    """Such a body does not fit its checksum, which botocore takes for a reason to give up."""
    with proxy_of(bucket.server.url) as proxy:
        proxy.faults.choose = first_of(fault, ".parquet")
        options = s3_options(proxy.url)
        bucket.make("collection/stars", f"spoilt-{fault}", input_storage_options=options)
        assert proxy.faults.done[fault] >= len(PARTITIONS)
    assert same(bucket.contents(f"spoilt-{fault}/margin"), local.margin)


def test_a_listing_that_is_cut_names_the_folder(
    bucket: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut(*_: object, **__: object) -> None:
        raise aiohttp.ClientPayloadError("222 of 445 bytes")

    bucket.fs.pipe_file("bucket/listed/other", b"")
    output = UPath("s3://bucket/listed/margin", **bucket.options)
    monkeypatch.setattr(output.fs, "ls", cut)
    with pytest.raises(StorageError, match=r"^s3://bucket/listed: ClientPayloadError: 222 of 445 bytes$"):
        RunPaths(output, tmp_path, tmp_path).leftovers()


def test_properties_that_arrive_cut_are_asked_for_again(bucket: Store, local: Local) -> None:
    """Before the last move, what was made is compared with what was recorded of it; an error of aiohttp got out."""
    bucket.make("collection/stars", "cut-properties")
    with proxy_of(bucket.server.url) as proxy:
        proxy.faults.choose = first_of("cut", "hats.properties")
        options = s3_options(proxy.url)
        bucket.make("collection/stars", "cut-properties", output_storage_options=options, overwrite=True)
        # Those of the old margin, and those of the new one beside it.
        assert proxy.faults.done["cut"] >= 2
    assert same(bucket.contents("cut-properties/margin"), local.margin)


def test_a_lost_connection_to_s3_is_not_tried_a_hundred_times(bucket: Store) -> None:
    ending = "Norder=2/Dir=0/Npix=53.parquet"
    with proxy_of(bucket.server.url) as proxy:
        proxy.faults.choose = always("drop", ending)
        options = bucket.impatient(proxy.url)
        with pytest.raises(PartitionReadError, match=re.escape(ending)):
            bucket.make("collection/stars", "lost", input_storage_options=options)
        # Two tries in each of two layers of s3fs.
        assert proxy.faults.done["drop"] <= 8


def test_a_deletion_that_s3_refuses_with_status_200_leaves_the_old_catalog(bucket: Store) -> None:
    old = {"margin/hats.properties": b"dataproduct_type=margin\n", "margin/dataset/_metadata": b"old"}
    for name, content in old.items():
        bucket.fs.pipe_file(f"bucket/refused/{name}", content)
    with proxy_of(bucket.server.url) as proxy:
        proxy.faults.choose = always("errors", "?delete", "POST")
        options = s3_options(proxy.url)
        with pytest.raises(StorageError, match=r"refused/margin/hats\.properties .*was not deleted"):
            bucket.make("collection", "refused", overwrite=True, output_storage_options=options)
        files = bucket.contents("refused")
        assert {name: kept for name, kept in files.items() if name.startswith("margin/")} == old
        proxy.faults.heal()
        bucket.make("collection", "refused", overwrite=True, output_storage_options=options)
    assert b"old" not in bucket.contents("refused").values()


# --- in the place of another ---


def test_overwriting_on_s3(bucket: Store, local: Local) -> None:
    bucket.fs.pipe_file("bucket/again/margin/hats.properties", b"dataproduct_type=margin\n")
    bucket.fs.pipe_file("bucket/again/margin/dataset/Norder=9/Dir=0/Npix=1.parquet", b"old")
    before = bucket.contents("again")
    with pytest.raises(OutputExistsError, match="overwrite=True"):
        bucket.make("collection", "again")
    bucket.server.record.trouble = lambda method, path: 500 if method == "PUT" and "Npix=14" in path else None
    with pytest.raises(StorageError):
        bucket.make("collection", "again", overwrite=True, output_storage_options=bucket.impatient())
    files = bucket.contents("again")
    assert {name: kept for name, kept in files.items() if name.startswith("margin/")} == before
    bucket.server.record.reset()
    bucket.make("collection", "again", overwrite=True)
    assert same(bucket.contents("again"), {f"margin/{k}": v for k, v in local.margin.items()})
    # What makes it a catalog goes first and comes last.
    order = [
        (method, path.rsplit("/", 1)[1])
        for method, path, _ in bucket.server.record.requests
        if method == "PUT" and path.startswith("/bucket/again/margin/")
    ]
    assert {name for _, name in order[-2:]} == {"hats.properties", "properties"}
    assert not any(name.endswith("properties") for _, name in order[:-2])


def test_a_copy_that_fails_leaves_what_is_whole_and_no_half(bucket: Store, local: Local) -> None:
    bucket.fs.pipe_file("bucket/stuck/margin/hats.properties", b"dataproduct_type=margin\n")
    bucket.server.record.trouble = lambda method, path: (
        500 if method == "PUT" and path == "/bucket/stuck/margin/partition_info.csv" else None
    )
    with pytest.raises(StorageError, match="the new catalog is complete at s3://bucket/stuck/") as caught:
        bucket.make("collection", "stuck", overwrite=True, output_storage_options=bucket.impatient())
    files = bucket.contents("stuck")
    (aside,) = {name.split("/")[0] for name in files if not name.startswith("margin/")}
    assert f"s3://bucket/stuck/{aside}" in str(caught.value)
    whole = {name[len(aside) + 1 :]: content for name, content in files.items() if name.startswith(aside)}
    assert same(whole, local.margin)
    assert not [name for name in files if name.startswith("margin/") and name.endswith("properties")]


def test_properties_come_last_where_a_catalog_is_copied_into_its_place(bucket: Store) -> None:
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
