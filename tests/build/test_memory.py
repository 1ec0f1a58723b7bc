"""The memory of a worker: how it is shared out, and that a run keeps to it."""

from __future__ import annotations

import itertools
import json
import re
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from skymargin import MarginCacheArguments
from skymargin.build.batch_limits import BatchLimits
from skymargin.build.memory import (
    SMALLEST_LIMIT_BYTES,
    WORKER_BYTES,
    MemoryShares,
    OnStores,
    memory_shares,
    read_size,
)
from skymargin.errors import ArgumentError
from tests.support.catalogs import (
    Layout,
    Sky,
    count_rows,
    file_bytes,
    files_of,
    ids_of,
    rows_in_file,
    rows_of,
    sky_near_edges,
    write_catalog,
)
from tests.support.processes import run
from tests.support.servers import new_bucket, s3_server


@pytest.mark.parametrize(
    ("given", "size"),
    [
        (300 << 20, 300 << 20),
        ("400MB", 400_000_000),
        ("400 mb", 400_000_000),
        ("1.5GiB", 3 << 29),
        ("2G", 2_000_000_000),
        ("1TiB", 1 << 40),
        ("300000000", 300_000_000),
    ],
)
def test_sizes_are_numbers_or_text(given: int | str, size: int) -> None:
    assert read_size("memory_limit", given) == size


@pytest.mark.parametrize("given", ["much", "-3GB", "", "1 000 MB", 3.5e9, True, "100MB", 255 << 20, -1, 0])
def test_sizes_that_are_none(given: object, tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match=rf"memory_limit {re.escape(repr(given))} is not allowed"):
        MarginCacheArguments(
            input_catalog_path=tmp_path, output_path=tmp_path, output_artifact_name="m", memory_limit=given
        )


@pytest.mark.parametrize("threads", [1, 2, 4, 16])
@pytest.mark.parametrize("limit_bytes", [SMALLEST_LIMIT_BYTES, 400 << 20, 2 << 30, 1 << 36])
def test_shares_of_all_threads_are_within_the_limit(limit_bytes: int, threads: int) -> None:
    shares = memory_shares(limit_bytes, threads)
    assert WORKER_BYTES + threads * (shares.scan_bytes + 3 * shares.gathered_bytes) <= limit_bytes
    assert WORKER_BYTES + shares.reducing * 4 * BatchLimits().row_group_bytes <= limit_bytes
    assert 1 <= shares.reducing <= threads
    assert (shares.mapping, shares.uploading_bytes) == (threads, 8 << 20)
    # More would not be faster.
    assert shares.scan_bytes <= MemoryShares().scan_bytes
    assert shares.gathered_bytes <= MemoryShares().gathered_bytes


@pytest.mark.parametrize("threads", [1, 2, 4, 16, 64])
@pytest.mark.parametrize("limit_bytes", [SMALLEST_LIMIT_BYTES, 400 << 20, 2 << 30, 1 << 36])
@pytest.mark.parametrize(
    "on_stores",
    [OnStores(*which) for which in itertools.product([False, True], repeat=3)],
    ids=lambda on_stores: "".join(name[0] for name, remote in vars(on_stores).items() if remote) or "none",
)
def test_what_is_on_its_way_to_and_from_stores_is_within_the_limit(
    on_stores: OnStores, limit_bytes: int, threads: int
) -> None:
    """A client has its own copy of an answer, and of what it sends: a part of 8 MB, and files that wait."""
    shares = memory_shares(limit_bytes, threads, on_stores)
    scan_bytes = shares.scan_bytes * (2 if on_stores.catalog else 1)
    shard_bytes = 2 * (8 << 20) if on_stores.shards else 0
    mapping_bytes = scan_bytes + 3 * shares.gathered_bytes + shard_bytes
    assert WORKER_BYTES + shares.mapping * mapping_bytes <= limit_bytes
    reducing_bytes = 4 * BatchLimits().row_group_bytes
    reducing_bytes += 8 << 20 if on_stores.shards else 0
    reducing_bytes += 2 * ((8 << 20) + shares.uploading_bytes) if on_stores.margins else 0
    assert WORKER_BYTES + shares.reducing * reducing_bytes <= limit_bytes
    assert 1 <= shares.mapping <= threads
    assert 1 <= shares.reducing <= threads
    assert 1 << 20 <= shares.uploading_bytes <= 8 << 20
    if limit_bytes == 1 << 36:
        assert shares == replace(MemoryShares(), mapping=threads, reducing=threads)


# Mapped files are not counted: their pages are the system's, which takes them back when it needs them.
_MEASURE = """
import json, sys, threading
from pathlib import Path
from skymargin import MarginCacheArguments, pipeline

peak_bytes, ended = 0, threading.Event()

def watch():
    global peak_bytes
    while not ended.wait(0.002):
        lines = Path("/proc/self/status").read_text().splitlines()
        (anonymous,) = (line.split()[1] for line in lines if line.startswith("RssAnon:"))
        peak_bytes = max(peak_bytes, int(anonymous) * 1024)

watcher = threading.Thread(target=watch)
watcher.start()
report = pipeline(MarginCacheArguments(
    input_catalog_path=sys.argv[1], output_path=sys.argv[2], output_artifact_name="margin", margin_threshold=60.0,
    dask_threads_per_worker=int(sys.argv[3]), memory_limit=int(sys.argv[4]), progress_bar=False,
    **json.loads(sys.argv[5]),
))
ended.set()
watcher.join()
print(peak_bytes)
"""


def write_wide(folder: Path, rows: int) -> Sky:
    """Write a catalog of far more bytes than a limit, most of which are selected."""
    sky = sky_near_edges(((0, 8), (0, 9), (0, 10)), rows=rows, reach_arcsec=60.0, seed=21)
    table = rows_of(sky, Layout())
    # Rows of 200 kB that do not compress.
    noise = np.random.default_rng(2).integers(0, 256, (len(table), 200_000), dtype=np.uint8)
    table = table.append_column("noise", pa.array([row.tobytes() for row in noise], pa.large_binary()))
    write_catalog(folder, sky, Layout(), table=table)
    for file in files_of(folder).values():
        # pyarrow looks at the size of a page only after so many values.
        pq.write_table(rows_in_file(file), file, write_batch_size=4, use_dictionary=False)
    assert table.nbytes > 1.4 * SMALLEST_LIMIT_BYTES
    return sky


def peak_bytes(
    catalog: object, output: object, threads: int, limit_bytes: int = SMALLEST_LIMIT_BYTES, **more: object
) -> int:
    """The most memory of a process that makes a margin."""
    command = [sys.executable, "-c", _MEASURE, catalog, output, threads, limit_bytes]
    ran = run([*command, json.dumps(more)])
    return int(ran.stdout.split()[-1])


@pytest.mark.skipif(sys.platform != "linux", reason="counts the resident memory as Linux does")
def test_a_run_keeps_to_its_limit(tmp_path: Path) -> None:
    sky = write_wide(tmp_path / "catalog", 6_000)
    for threads in (1, 4):
        output = tmp_path / str(threads)
        # Python and pyarrow alone take 30 MB of it.
        assert 30 << 20 < peak_bytes(tmp_path / "catalog", output, threads) < SMALLEST_LIMIT_BYTES
        assert ids_of(output / "margin") == sky.margins(60.0)
    assert file_bytes(tmp_path / "1" / "margin") == file_bytes(tmp_path / "4" / "margin")
    assert count_rows(tmp_path / "1" / "margin") > 3_000


@pytest.mark.skipif(sys.platform != "linux", reason="counts the resident memory as Linux does")
def test_a_run_to_a_store_keeps_to_its_limit(tmp_path: Path) -> None:
    """With the margins there, of which parts and whole files are on their way."""
    limit_bytes = 352 << 20
    sky = write_wide(tmp_path / "catalog", 3_600)
    with s3_server() as server:
        bucket = new_bucket(server)
        output, options = f"{bucket.url}/out", bucket.options
        peak = peak_bytes(tmp_path / "catalog", output, 4, limit_bytes, output_storage_options=options)
        properties = bucket.fs.cat_file(f"{bucket.name}/out/margin/hats.properties")
        bucket.fs.rm(bucket.name, recursive=True)
    assert 30 << 20 < peak < limit_bytes
    rows = sum(map(len, sky.margins(60.0).values()))
    assert f"hats_nrows={rows}".encode() in properties
