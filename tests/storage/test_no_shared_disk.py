"""Workers that share nothing with this process but an object store, and intermediate files on it."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import pytest

from skymargin import MarginCacheArguments, MarginReport, pipeline_with_client
from skymargin.errors import StorageError
from tests.storage.conftest import THRESHOLD_ARCSEC, Local, Store
from tests.support.catalogs import same_margin as same
from tests.support.clusters import StartWorkers, cluster, hidden
from tests.support.limits import limits

__all__ = ["cluster"]
pytestmark = pytest.mark.usefixtures("quiet_servers")


def arguments(bucket: Store, output: str, **others: Any) -> MarginCacheArguments:
    values = {
        "input_catalog_path": f"{bucket.url}/collection",
        "input_storage_options": bucket.options,
        "output_path": f"{bucket.url}/{output}",
        "output_storage_options": bucket.options,
        "output_artifact_name": "margin",
        "margin_threshold": THRESHOLD_ARCSEC,
        "progress_bar": False,
    }
    return MarginCacheArguments(**values | others)


def made_in_many_tasks(args: MarginCacheArguments, client: Any) -> MarginReport:
    with limits(smallest_task_bytes=1, tasks_per_thread=32):
        return pipeline_with_client(args, client)


def written(bucket: Store, part: str) -> int:
    """How many objects were written whose keys have this part."""
    return sum(method == "PUT" and part in path for method, path, _ in bucket.server.record.requests)


def test_workers_that_share_nothing_but_the_store(bucket: Store, local: Local, cluster: StartWorkers) -> None:
    here = Path(tempfile.gettempdir())
    client = cluster(2, *hidden(here, local.folder))
    (here / "mine").touch()
    assert list(client.run(os.listdir, str(here)).values()) == [[], []]
    report = made_in_many_tasks(arguments(bucket, "apart"), client)
    assert same(bucket.contents("apart"), {f"margin/{name}": file for name, file in local.margin.items()})
    assert report.partitions == sum("Npix=" in name for name in local.margin)
    shards = written(bucket, "/apart/margin.skymargin-shards-")
    assert shards > 2
    # Built beside its place, where no task of an earlier run can write, and copied.
    assert written(bucket, "/apart/margin.skymargin-partial-") > report.partitions
    assert written(bucket, "/apart/margin/dataset/Norder=") == report.partitions
    assert [entry.name for entry in here.iterdir()] == ["mine"]


@pytest.mark.parametrize("of_an_url", [False, True])
def test_a_failed_run_goes_on_from_shards_on_the_store(
    of_an_url: bool, bucket: Store, local: Local, cluster: StartWorkers
) -> None:
    client, record = cluster(2), bucket.server.record
    output = f"again-{of_an_url}"
    place = f"{output}-elsewhere" if of_an_url else output
    others = {"tmp_dir": f"{bucket.url}/{place}"} if of_an_url else {}
    refused: list[str] = []

    def refuse(method: str, path: str) -> int | None:
        if method == "PUT" and f"/{output}/margin" in path and "/dataset/Norder=" in path and not refused:
            refused.append(path)
        return 403 if path in refused else None

    record.trouble = refuse
    with pytest.raises(StorageError, match=r"margin\S*/dataset/Norder=.* cannot be written: ") as caught:
        made_in_many_tasks(arguments(bucket, output, **others), client)
    kept = f"s3://bucket/{place}/margin.skymargin-shards-"
    assert any(kept in note and "goes on from there" in note for note in caught.value.__notes__)
    assert any(".arrow" in name for name in bucket.contents(place))
    record.reset()
    made_in_many_tasks(arguments(bucket, output, **others), client)
    assert not written(bucket, ".arrow")
    assert same(bucket.contents(output), {f"margin/{name}": file for name, file in local.margin.items()})
    assert bucket.contents(place).keys() == (set() if of_an_url else bucket.contents(output).keys())


def test_shards_that_cannot_be_reached_are_no_reason_to_start_anew(bucket: Store, local: Local) -> None:
    shards = {"tmp_dir": f"{bucket.url}/unreached-elsewhere"}
    bucket.server.record.trouble = lambda method, path: 403 if method == "GET" and ".arrow" in path else None
    with pytest.raises(
        StorageError, match=r"the shards in \S+ cannot be read: shard \d+: .*\.arrow"
    ) as caught:
        bucket.make("collection", "unreached", **shards)
    assert "resume=False" not in str(caught.value)
    bucket.server.record.reset()
    bucket.make("collection", "unreached", **shards)
    assert not written(bucket, ".arrow")
    assert same(bucket.contents("unreached"), {f"margin/{name}": file for name, file in local.margin.items()})


def test_another_run_removes_what_a_failed_one_left_on_the_store(
    bucket: Store, local: Local, cluster: StartWorkers
) -> None:
    client, record = cluster(1), bucket.server.record
    record.trouble = lambda method, path: 403 if method == "PUT" and "/dataset/Norder=" in path else None
    with pytest.raises(StorageError):
        made_in_many_tasks(arguments(bucket, "other", margin_threshold=20.0), client)
    record.reset()
    # Without a client: another kind of run, with its intermediate files on this machine.
    bucket.make("collection", "other")
    assert same(bucket.contents("other"), {f"margin/{name}": file for name, file in local.margin.items()})


def test_uploads_that_were_cut_off_are_aborted(bucket: Store) -> None:
    def uploads() -> list[str]:
        return [upload["Key"] for upload in bucket.fs.list_multipart_uploads(bucket.name)]

    names = (
        "margin/dataset/x.parquet",
        "margin.skymargin-shards-1-2/shard.arrow",
        "margin_of_others/x.parquet",
    )
    for name in names:
        bucket.fs.call_s3("create_multipart_upload", Bucket=bucket.name, Key=f"cut/{name}")
    assert len(uploads()) == len(names)
    bucket.make("collection", "cut")
    assert uploads() == ["cut/margin_of_others/x.parquet"]


def test_threads_of_this_process_with_intermediate_files_on_the_store(bucket: Store, local: Local) -> None:
    bucket.make("collection", "threads", tmp_dir=f"{bucket.url}/threads-elsewhere", dask_threads_per_worker=2)
    assert written(bucket, "/threads-elsewhere/margin.skymargin-shards-") == 2
    assert same(bucket.contents("threads"), {f"margin/{name}": file for name, file in local.margin.items()})
    assert bucket.contents("threads-elsewhere") == {}
