"""The memory of a worker: how it is shared out, and that a run keeps to it."""

from __future__ import annotations

import re
import sys
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
    memory_shares,
    read_size,
)
from skymargin.errors import ArgumentError
from tests.support.catalogs import (
    Layout,
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
    # More would not be faster.
    assert shares.scan_bytes <= MemoryShares().scan_bytes
    assert shares.gathered_bytes <= MemoryShares().gathered_bytes


# Mapped files are not counted: their pages are the system's, which takes them back when it needs them.
_MEASURE = """
import sys, threading
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
))
ended.set()
watcher.join()
print(peak_bytes)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="counts the resident memory as Linux does")
def test_a_run_keeps_to_its_limit(tmp_path: Path) -> None:
    sky = sky_near_edges(((0, 8), (0, 9), (0, 10)), rows=6_000, reach_arcsec=60.0, seed=21)
    table = rows_of(sky, Layout())
    # Rows of 200 kB that do not compress, most of which are selected: together far more than the limit.
    noise = np.random.default_rng(2).integers(0, 256, (len(table), 200_000), dtype=np.uint8)
    table = table.append_column("noise", pa.array([row.tobytes() for row in noise], pa.large_binary()))
    write_catalog(tmp_path / "catalog", sky, Layout(), table=table)
    for file in files_of(tmp_path / "catalog").values():
        # pyarrow looks at the size of a page only after so many values.
        pq.write_table(rows_in_file(file), file, write_batch_size=4, use_dictionary=False)
    assert table.nbytes > 2 * SMALLEST_LIMIT_BYTES
    del table, noise
    command = [sys.executable, "-c", _MEASURE, tmp_path / "catalog"]
    for threads in (1, 4):
        output = tmp_path / str(threads)
        ran = run([*command, output, threads, SMALLEST_LIMIT_BYTES])
        # Python and pyarrow alone take 30 MB of it.
        assert 30 << 20 < int(ran.stdout.split()[-1]) < SMALLEST_LIMIT_BYTES
        assert ids_of(output / "margin") == sky.margins(60.0)
    assert file_bytes(tmp_path / "1" / "margin") == file_bytes(tmp_path / "4" / "margin")
    assert count_rows(tmp_path / "1" / "margin") > 3_000
