"""Pipelines one after the other in one process, told on standard input what to do.

Run by ``python -m tests.campaign.soak.process``.

Prints a JSON object on each line: what is held after some pipelines, or what went wrong with one.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import json
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from tests.support.servers import Bucket


def main() -> None:
    """Run the pipelines, and measure now and then."""
    told = json.load(sys.stdin)
    folder = Path(told["folder"])
    with _client(told["with_client"], folder) as client:
        margins = {tuple(pixel): ids for pixel, ids in told["margins"]}
        soak = Soak(folder, Bucket(told["bucket"], told["options"]), margins, told["hipscat"], client)
        for number in range(told["pipelines"] + 1):
            if number >= told["warm_up"] and (number - told["warm_up"]) % told["each"] == 0:
                print(json.dumps({"number": number, "held": soak.held()}), flush=True)
            if number < told["pipelines"] and (trouble := soak.make(number)):
                print(json.dumps({"number": number, "trouble": trouble}), flush=True)


@contextmanager
def _client(with_client: bool, folder: Path) -> Iterator[Any]:
    if not with_client:
        yield None
        return
    import dask
    from distributed import Client, LocalCluster

    with (
        dask.config.set({"temporary-directory": str(folder / "dask")}),
        LocalCluster(n_workers=1, threads_per_worker=2, dashboard_address="127.0.0.1:0") as cluster,
        Client(cluster) as client,
    ):
        yield client


class Soak:
    """Pipelines of several kinds in turn.

    Parameters
    ----------
    folder
        Where the catalogs are, and margins are made and removed.
    bucket
        A bucket that has the catalog as well.
    margins
        Ids of the rows of each margin, by brute force.
    hipscat
        Whether HiPSCat takes its turn.
    client
        The client to make them with; None for threads.
    """

    def __init__(
        self,
        folder: Path,
        bucket: Bucket,
        margins: dict[tuple[int, int], list[int]],
        hipscat: bool,
        client: Any,
    ) -> None:
        self._folder, self._margins, self._client = folder, margins, client
        self._bucket = bucket
        self._kinds = [self._local, self._from_s3, self._bad, self._several, self._to_s3, self._local]
        if hipscat:
            self._kinds.append(self._hipscat)

    def make(self, number: int) -> str:
        """Make the next one; what went wrong with it, if anything."""
        try:
            trouble = self._kinds[number % len(self._kinds)]()
            if not trouble and number % 10 == 0:
                trouble = self._looked_at()
        except Exception as error:
            trouble = f"{type(error).__name__}: {error}"
        shutil.rmtree(self._folder / "out", ignore_errors=True)
        return trouble

    def held(self) -> dict[str, dict[str, float]]:
        """Return what this process holds, the workers, and the scheduler."""
        processes = {"driver": held_here()}
        processes["driver"]["files left"] = sum(
            len(list((self._folder / name).glob("*"))) for name in ("tmp", "out")
        )
        if self._client is not None:
            for number, held in enumerate(self._client.run(held_here).values()):
                processes[f"worker {number + 1}"] = held
            processes["scheduler"] = self._client.run_on_scheduler(_held_by_scheduler)
            processes["driver"]["futures"] = len(self._client.futures)
        return processes

    def _make(
        self, source: Any, output: Any, thresholds_arcsec: tuple[float, ...] = (60.0,), **more: Any
    ) -> None:
        from skymargin import MarginCacheArguments, pipeline, pipeline_with_client

        args = [
            MarginCacheArguments(
                output,
                f"margin_{threshold_arcsec:g}",
                input_catalog_path=source,
                margin_threshold=threshold_arcsec,
                tmp_dir=self._folder / "tmp",
                dask_threads_per_worker=2,
                progress_bar=False,
                **more,
            )
            for threshold_arcsec in thresholds_arcsec
        ]
        given: Any = args if len(args) > 1 else args[0]
        if self._client is None:
            pipeline(given)
        else:
            pipeline_with_client(given, self._client)

    def _rows(self) -> str:
        from tests.support.catalogs import ids_of

        right = ids_of(self._folder / "out" / "margin_60") == self._margins
        return "" if right else "other rows than brute force gives"

    def _local(self) -> str:
        self._make(self._folder / "stars", self._folder / "out")
        return self._rows()

    def _from_s3(self) -> str:
        source, options = f"{self._bucket.url}/stars", self._bucket.options
        self._make(source, self._folder / "out", input_storage_options=options)
        return self._rows()

    def _to_s3(self) -> str:
        name, options = self._folder.name, self._bucket.options
        self._make(self._folder / "stars", f"{self._bucket.url}/{name}", output_storage_options=options)
        exists = self._bucket.fs.exists(f"{self._bucket.name}/{name}/margin_60/hats.properties")
        self._bucket.remove(name)
        return "" if exists else "no margin on S3"

    def _several(self) -> str:
        self._make(self._folder / "stars", self._folder / "out", (60.0, 20.0))
        return self._rows()

    def _bad(self) -> str:
        from skymargin.errors import SkymarginError

        try:
            self._make(self._folder / "bad", self._folder / "out", resume=False)
        except SkymarginError as error:
            return "" if "Npix" in str(error) else f"the error does not name the file: {error}"
        return "a catalog with a damaged file was not refused"

    def _hipscat(self) -> str:
        from tests.support.hipscat_catalogs import hipscat_ids

        self._make(self._folder / "old_stars", self._folder / "out")
        ids = hipscat_ids(self._folder / "out" / "margin_60")
        return "" if ids == self._margins else "other rows than brute force gives"

    def _looked_at(self) -> str:
        """Audit, describe and forecast what was made."""
        from skymargin import MarginCacheArguments, info, plan_margin, verify

        self._make(self._folder / "stars", self._folder / "out", overwrite=True)
        report = verify(self._folder / "out" / "margin_60", self._folder / "stars", progress_bar=False)
        info(self._folder / "out" / "margin_60")
        args = MarginCacheArguments(
            self._folder / "out", "planned", input_catalog_path=self._folder / "stars", progress_bar=False
        )
        plan_margin(args)
        return "" if report.right else f"verify: {report}"


def held_here() -> dict[str, float]:
    """Return what this process holds that a run could leave behind."""
    import fsspec

    from skymargin.build.stages.tasks import _contexts

    gc.collect()
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    me = psutil.Process()
    return {
        "RSS kB": me.memory_info().rss / 1024,
        "anonymous kB": _anonymous_kb(),
        "descriptors": me.num_fds(),
        "threads": me.num_threads(),
        "child processes": len(me.children(recursive=True)),
        "asyncio tasks": _tasks(),
        "jobs kept": len(_contexts),
        "file systems kept": sum(len(kind._cache) for kind in _kinds_of(fsspec.AbstractFileSystem)),
        "objects": len(gc.get_objects()),
    }


def _anonymous_kb() -> float:
    """Memory that no file stands behind; unlike what no other process shares, it is this process's doing alone."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return float(next(line.split()[1] for line in lines if line.startswith("RssAnon:")))


def _tasks() -> int:
    """Count the tasks of the event loops of this process."""
    loops = [item for item in gc.get_objects() if isinstance(item, asyncio.AbstractEventLoop)]
    return sum(len(asyncio.all_tasks(loop)) for loop in loops if loop.is_running())


def _kinds_of(kind: type) -> set[type]:
    return {kind, *(deeper for child in kind.__subclasses__() for deeper in _kinds_of(child))}


def _held_by_scheduler(dask_scheduler: Any) -> dict[str, float]:
    return {
        "keys": len(dask_scheduler.tasks),
        "clients' wishes": sum(len(client.wants_what) for client in dask_scheduler.clients.values()),
    }


if __name__ == "__main__":
    os.environ.setdefault("PYTHONWARNINGS", "ignore")
    main()
