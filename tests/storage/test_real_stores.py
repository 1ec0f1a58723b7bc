"""Margins from and to object stores that people run, or that follow their service: the bytes of a run on disk."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from distributed import Client
from upath import UPath

import skymargin._core as _core
from skymargin import MarginCacheArguments, MarginReport, pipeline, pipeline_with_client
from skymargin.build.checkpoint.leftovers import find_leftovers, remove_leftover
from skymargin.build.run import Run
from skymargin.catalogs import place_mark
from skymargin.catalogs.layout import RECORD
from skymargin.catalogs.place_mark import PlaceMark
from skymargin.errors import OutputExistsError, OutputInUseError
from tests.storage.conftest import THRESHOLD_ARCSEC, Local
from tests.support.catalogs import arguments_of, make_margin, on_disk
from tests.support.catalogs import same_margin as same
from tests.support.servers import Bucket
from tests.support.stores import missing_for, running_store

Patch = pytest.MonkeyPatch


@pytest.fixture(scope="module", params=["seaweedfs", "fake-gcs-server"])
def store(
    request: pytest.FixtureRequest, local: Local, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Bucket]:
    if missing := missing_for(request.param):
        pytest.skip(missing)
    with running_store(request.param, tmp_path_factory.mktemp(request.param)) as bucket:
        bucket.put(local.folder / "collection", "collection")
        yield bucket


@pytest.fixture(autouse=True)
def _own_temporary_folder(tmp_path: Path, monkeypatch: Patch) -> None:
    (tmp_path / "system").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "system"))


def arguments(
    store: Bucket, output: str, threshold_arcsec: float = THRESHOLD_ARCSEC, **others: Any
) -> MarginCacheArguments:
    both = dict.fromkeys(("input_storage_options", "output_storage_options"), store.options)
    catalog: Any = f"{store.url}/collection/stars"
    folder: Any = f"{store.url}/{output}"
    return arguments_of(catalog, folder, threshold_arcsec, **both, **others)


def make(store: Bucket, *given: Any, **others: Any) -> MarginReport:
    return pipeline(arguments(store, *given, **others))


def end_before(stage: str, monkeypatch: Patch, call: Callable[[], object]) -> None:
    """Have Ctrl-C end a run before a stage."""

    def end(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Run, stage, end)
        with pytest.raises(KeyboardInterrupt):
            call()


def beside(local: Local, name: str) -> dict[str, bytes]:
    """The files of the local margin, in a folder of a name."""
    return {f"{name}/{file}": content for file, content in local.margin.items()}


def test_the_bytes_are_those_of_a_run_on_disk_and_nothing_else_is_left(store: Bucket, local: Local) -> None:
    report = make(store, "plain")
    assert report.rows > 0
    assert same(store.contents("plain"), beside(local, "margin"))


def test_with_a_client_of_ones_own(store: Bucket, local: Local) -> None:
    """Its workers may share no disk: their intermediate files are on the store."""
    args = arguments(store, "client")
    with Client(
        processes=False, n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0"
    ) as client:
        pipeline_with_client(args, client)
    assert same(store.contents("client"), beside(local, "margin"))


def test_a_margin_is_replaced_only_when_told(store: Bucket, local: Local, tmp_path: Path) -> None:
    make(store, "replaced", 2 * THRESHOLD_ARCSEC)
    wide = store.contents("replaced")
    make_margin(local.folder / "collection" / "stars", tmp_path / "wide", 2 * THRESHOLD_ARCSEC)
    assert same(wide, on_disk(tmp_path / "wide"))
    with pytest.raises(OutputExistsError, match="overwrite=True replaces it"):
        make(store, "replaced")
    assert store.contents("replaced") == wide
    make(store, "replaced", overwrite=True)
    assert same(store.contents("replaced"), beside(local, "margin"))


@pytest.mark.parametrize("stage", ["reduce", "finish"])
@pytest.mark.parametrize("overwrite", [False, True])
def test_an_interrupted_run_goes_on(
    overwrite: bool, stage: str, store: Bucket, local: Local, monkeypatch: Patch
) -> None:
    output = f"resumed-{stage}-{overwrite}"
    if overwrite:
        make(store, output, 2 * THRESHOLD_ARCSEC)
    end_before(stage, monkeypatch, lambda: make(store, output, overwrite=overwrite))
    # A reader finds the old margin or none.
    assert store.fs.exists(f"{store.name}/{output}/margin/hats.properties") == overwrite

    def again(*_: object) -> None:
        raise AssertionError("a finished task was run again")

    with monkeypatch.context() as patch:
        patch.setattr(_core, "map_batch", again)
        if stage == "finish":
            patch.setattr(_core, "reduce_batch", again)
        make(store, output, overwrite=overwrite)
    assert same(store.contents(output), beside(local, "margin"))


def test_one_of_two_runs_has_a_new_place(store: Bucket, tmp_path: Path) -> None:
    folder: Any = UPath(f"{store.url}/claimed/margin", **store.options)
    first, second = (PlaceMark(folder, digit * 32, tmp_path) for digit in "01")
    first.claim()
    with pytest.raises(OutputInUseError, match="another run writes to"):
        second.claim()
    first.check()
    # Each store has an error of its own; what counts is that it kept the first.
    with suppress(OSError):
        place_mark._create(folder / RECORD, b"another one")
    first.check()


def test_leftovers_are_found_and_removed(store: Bucket, local: Local, monkeypatch: Patch) -> None:
    catalog, output = local.folder / "collection" / "stars", local.folder / "left"
    end_before("finish", monkeypatch, lambda: make_margin(catalog, output, THRESHOLD_ARCSEC))
    store.write({f"left/{name}": content for name, content in on_disk(output).items()})
    folder = UPath(f"{store.url}/left", **store.options)
    found = find_leftovers(folder)
    assert [leftover.name.purpose for leftover in found] == ["partial", "shards"]
    for leftover in found:
        assert not leftover.foreign
        # The store says when it was written.
        assert leftover.is_older_than(0)
        assert not leftover.is_older_than(3_600)
        remove_leftover(leftover)
    assert {name.split("-")[1] for name in store.contents("left")} == {"progress"}
