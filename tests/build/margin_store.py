"""An object store with catalogs, and machines that share nothing else: with these, runs in place are tested."""

from __future__ import annotations

import datetime
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from upath import UPath

from tests.build.overwriting import PARTITIONS, THRESHOLD_ARCSEC, make_examples
from tests.support.catalogs import (
    Layout,
    make_margin,
    make_margins,
    rows_of,
    sky_near_edges,
    write_catalog,
)
from tests.support.servers import Bucket, Record, new_bucket, s3_server

FORMATS = {"stars": "hats", "hipscat_stars": "hipscat"}
# A catalog with the rows of `stars`, of which one column has other values.
LATER = "later_stars"
# With these, files of margins are as large whatever the values are.
SAME_SIZES = {"write_table_kwargs": {"compression": "none", "use_dictionary": False, "column_encoding": None}}
Result = TypeVar("Result")


class Killed(BaseException):
    """The end of a process, as far as another one can see it."""


def killed(*_arguments: object, **_named: object) -> Any:
    """End here."""
    raise Killed


class Store:
    """A bucket with a primary catalog of each format."""

    def __init__(self, bucket: Bucket, record: Record) -> None:
        self.bucket, self.record = bucket, record
        self.options = dict.fromkeys(("input_storage_options", "output_storage_options"), bucket.options)

    def make(self, output: str, catalog: str = "stars", **arguments: Any) -> Any:
        values = {"threshold_arcsec": THRESHOLD_ARCSEC, **self.options, **arguments}
        return make_margin(f"{self.bucket.url}/{catalog}", f"{self.bucket.url}/{output}", **values)  # type: ignore[arg-type]

    def make_several(self, output: str, thresholds_arcsec: tuple[float, ...], **arguments: Any) -> Any:
        url = self.bucket.url
        return make_margins(f"{url}/stars", f"{url}/{output}", thresholds_arcsec, **self.options, **arguments)  # type: ignore[arg-type]

    def path(self, name: str) -> Any:
        return UPath(f"{self.bucket.url}/{name}", **self.bucket.options)


@contextmanager
def opened_store(folder: Path) -> Iterator[Store]:
    """Start a store; the catalogs are made in the folder."""
    made = make_examples(folder)
    sky = sky_near_edges(PARTITIONS, rows=150, reach_arcsec=THRESHOLD_ARCSEC, seed=4)
    rows = rows_of(sky, Layout())
    place = rows.schema.get_field_index("seen")
    later = pc.add(rows.column("seen"), pa.scalar(datetime.timedelta(seconds=1), pa.duration("us")))
    write_catalog(made / LATER, sky, None, rows.set_column(place, rows.schema.field(place), later))
    with s3_server() as server:
        bucket = new_bucket(server)
        for catalog in (*FORMATS, LATER):
            bucket.put(made / catalog, catalog)
        yield Store(bucket, server.record)
        bucket.fs.rm(bucket.name, recursive=True)


class Machines:
    """Machines, each of them a temporary folder: locks and records of one are not those of another."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._folder, self._here = folder, threading.local()
        monkeypatch.setattr(tempfile, "gettempdir", lambda: str(getattr(self._here, "folder", folder)))

    def folder(self, name: str) -> Path:
        """The temporary folder of a machine."""
        return self._folder / f"machine-{name}"

    def run(self, name: str, call: Callable[[], Result]) -> Result:
        """Call something, in this thread, on a machine."""
        before = self._here.__dict__.get("folder", self._folder)
        self.folder(name).mkdir(exist_ok=True)
        self._here.folder = self.folder(name)
        try:
            return call()
        finally:
            self._here.folder = before
