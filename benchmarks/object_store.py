"""Catalogs and margins on an object store: how many requests, how many of them one after the other, how many seconds.

The store is on this machine and answers late, as one over a network does. What counts are requests; seconds depend on
the processors that server and client share here.
"""

from __future__ import annotations

import re
import statistics
import tempfile
from collections import Counter
from collections.abc import Sequence
from typing import Any

from benchmarks.cases import CASES, THRESHOLD_ARCSEC, Case
from benchmarks.generate import CatalogSpec
from benchmarks.imported import ImportedSpec
from benchmarks.options import Options
from benchmarks.results import Result, Results, printed_json, provenance, surroundings
from benchmarks.store_server import Request, Store, store
from benchmarks.tables import megabytes, seconds, table

DELAY_SECONDS = 0.05
THREADS = 32
_RUNS = 2
_SMALL = "1 M rows x 34 columns, ~1,000 partitions"

CATALOGS = {
    "stars-100": CASES["stars-100"],
    "stars-100-yesterday": CASES["stars-100-yesterday"],
    "imported-100": CASES["imported-100"],
    "stars-1000": Case(_SMALL, CatalogSpec("stars", 1_000_000, 1_000)),
    "stars-1000-yesterday": Case(
        f"{_SMALL}, yesterday's layout", CatalogSpec("stars", 1_000_000, 1_000, "yesterday")
    ),
    "imported-1000": Case(f"imported by hats-import: {_SMALL}", ImportedSpec(2_000, rows=1_000_000)),
}
NAMES = {name: f"object_store-{name}" for name in CATALOGS}

# Runs in a fresh interpreter. A call of `read_ranges` is a round trip: its requests run side by side.
_BUILD = """
import json, sys, time
from skymargin import MarginCacheArguments, pipeline
from skymargin.storage.range_reader import RangeReader
catalog, output, url, key, secret, threads, threshold, tmp_dir = sys.argv[1:]
round_trips = []
read_ranges = RangeReader.read_ranges
def counted(self, starts, stops):
    round_trips.append(len(starts))
    return read_ranges(self, starts, stops)
RangeReader.read_ranges = counted
options = {"key": key, "secret": secret, "endpoint_url": url}
start = time.perf_counter()
report = pipeline(MarginCacheArguments(
    output, "margin", input_catalog_path=catalog, margin_threshold=float(threshold), tmp_dir=tmp_dir,
    input_storage_options=options, output_storage_options=options,
    dask_threads_per_worker=int(threads), progress_bar=False,
))
print(json.dumps({
    "seconds": time.perf_counter() - start, "mapping": report.seconds["mapping"], "bytes_read": report.bytes_read,
    "partitions": report.primary_partitions, "margins": report.partitions, "round_trips": len(round_trips),
}))
"""
_PARTITION = re.compile(r"/[^/]+/catalog/.*Npix=\d+[^/]*$")
_MARGIN = re.compile(r"/[^/]+/out\d+/.*Npix=\d+[^/]*$")


def measure_object_store(options: Options) -> None:
    """Build the margin of each catalog from and to a store, and keep what the store was asked."""
    for name, case in CATALOGS.items():
        print(f"object_store: {case.title}", flush=True)
        catalog = options.catalog(case.spec)
        result = surroundings(THREADS)
        with store() as server:
            bucket = server.bucket()
            bucket.put(catalog.path, "catalog")
            runs = [
                _run(server, bucket.url, bucket.options, f"out{number}")
                for number in range(min(options.repetitions, _RUNS))
            ]
        about = {"title": case.title, "size_bytes": catalog.size_bytes()}
        options.results.keep(NAMES[name], result | about | {"runs": runs})


def _run(server: Store, url: str, storage_options: dict[str, Any], output: str) -> Result:
    """Build one margin; what it took, and requests by what they were for."""
    server.asked(DELAY_SECONDS)
    with tempfile.TemporaryDirectory() as tmp_dir:
        keys = [storage_options[name] for name in ("endpoint_url", "key", "secret")]
        build = ("-c", _BUILD, f"{url}/catalog", f"{url}/{output}", *keys)
        run = printed_json(*build, THREADS, THRESHOLD_ARCSEC, tmp_dir)
    return run | {"requests": counts(server.asked(0.0))}


def counts(requests: Sequence[Request]) -> dict[str, int]:
    """Requests by what they were for."""
    return dict(Counter(_kind(method, path) for method, path in requests))


def _kind(method: str, path: str) -> str:
    if _PARTITION.match(path):
        return "sizes of partitions" if method == "HEAD" else "partitions"
    return "margins" if _MARGIN.match(path) else "others"


def per_partition(results: Results, name: str) -> float:
    """Requests for a partition of a catalog, on average."""
    return _average(results.kept(NAMES[name]), "partitions", "sizes of partitions", of="partitions")


def per_margin(results: Results, name: str) -> float:
    """Requests for a margin, on average."""
    return _average(results.kept(NAMES[name]), "margins", of="margins")


def _average(result: Result, *kinds: str, of: str) -> float:
    runs = result["runs"]
    return statistics.mean(sum(run["requests"].get(kind, 0) for kind in kinds) / run[of] for run in runs)


def _median(result: Result, quantity: str) -> float:
    return float(statistics.median(run[quantity] for run in result["runs"]))


def markdown(results: Results) -> str:
    """What was measured as a table."""
    kept = results.all_kept(NAMES.values())
    rows = []
    for result in kept.values():
        partitions = _median(result, "partitions")
        rows.append(
            [
                result["title"],
                f"{_average(result, 'partitions', 'sizes of partitions', of='partitions'):.2f}",
                f"{_median(result, 'round_trips') / partitions:.2f}",
                f"{_average(result, 'margins', of='margins'):.2f}",
                f"{statistics.median(run['requests'].get('others', 0) for run in result['runs']):.0f}",
                f"{megabytes(_median(result, 'bytes_read'))} of {megabytes(result['size_bytes'])}",
                seconds(_median(result, "mapping")),
                seconds(_median(result, "seconds")),
            ]
        )
    heads = [
        "catalog",
        "requests a partition",
        "round trips a partition",
        "requests a margin",
        "other requests",
    ]
    return (
        f"{provenance(kept)}\n\n{THREADS} threads, each answer {DELAY_SECONDS * 1e3:.0f} ms late; store and client on "
        f"one machine; medians of "
        f"{_RUNS} runs, for requests their mean.\n\n"
        + table([*heads, "read", "seconds, mapping", "seconds"], rows)
    )
