"""Two runs of the same output on machines that see no lock of each other: never is there a mixture of their margins."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from skymargin.build.checkpoint import publish, resume
from skymargin.build.checkpoint.leftovers import find_leftovers, remove_leftover
from skymargin.build.checkpoint.state import RunState
from skymargin.catalogs import place_mark
from skymargin.catalogs.layout import RECORD, VALID_BY
from skymargin.catalogs.place_mark import PlaceMark
from skymargin.errors import IncompleteMarginError, OutputExistsError, OutputInUseError, StorageError
from skymargin.storage.output_folder import RemoteFile, RemoteFolder
from tests.build.margin_store import LATER, SAME_SIZES, Killed, Machines, Store, killed, opened_store
from tests.build.overwriting import THRESHOLD_ARCSEC
from tests.campaign.readers import accepting
from tests.support.catalogs import same_margin

Patch = pytest.MonkeyPatch
OTHER_ARCSEC = 5.0
# How long a thread waits for another one.
_LONG_SECONDS = 60


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with opened_store(tmp_path_factory.mktemp("made")) as store:
        yield store


@pytest.fixture(scope="module")
def expected(store: Store) -> dict[float, dict[str, bytes]]:
    """The margins of runs that nobody disturbs, by their thresholds."""
    margins = {}
    for threshold_arcsec in (THRESHOLD_ARCSEC, OTHER_ARCSEC):
        output = f"expected-{threshold_arcsec:g}"
        store.make(output, threshold_arcsec=threshold_arcsec)
        margins[threshold_arcsec] = store.bucket.contents(f"{output}/margin")
    assert margins[THRESHOLD_ARCSEC].keys() == margins[OTHER_ARCSEC].keys(), "they replace each other's files"
    return margins


@pytest.fixture
def machines(tmp_path: Path, monkeypatch: Patch) -> Machines:
    return Machines(tmp_path, monkeypatch)


@pytest.fixture(autouse=True)
def _watchful(monkeypatch: Patch) -> None:
    """Let runs look for their mark before each file, so that nobody has to wait until they do."""
    monkeypatch.setattr(place_mark, "SEEN_SECONDS", 0.0)
    monkeypatch.setattr(place_mark, "GRACE_SECONDS", 0.0)


@pytest.mark.parametrize(("in_place", "exclusive"), [(True, True), (False, True), (True, False)])
def test_of_two_runs_that_begin_at_once_one_succeeds(
    in_place: bool,
    exclusive: bool,
    store: Store,
    expected: dict[float, dict[str, bytes]],
    machines: Machines,
    monkeypatch: Patch,
) -> None:
    claim, both = PlaceMark.claim, threading.Barrier(2)

    def at_once(mark: PlaceMark) -> None:
        # Both have found nothing at the output.
        both.wait(_LONG_SECONDS)
        claim(mark)

    monkeypatch.setattr(PlaceMark, "claim", at_once)
    if not exclusive:

        def refused(*_: object) -> None:
            raise NotImplementedError("the store has no exclusive writes")

        monkeypatch.setattr(place_mark, "_create", refused)
    if not in_place:
        # As by workers of Dask: the margins are copied to their place.
        monkeypatch.setattr(resume, "_may_be_in_place", lambda _margin: False)
    output = f"at-once-{in_place}-{exclusive}"
    with ThreadPoolExecutor(2) as pool:
        runs = {
            arcsec: pool.submit(
                machines.run, f"{arcsec:g}", partial(store.make, output, threshold_arcsec=arcsec)
            )
            for arcsec in expected
        }
    errors = {arcsec: done.exception() for arcsec, done in runs.items()}
    succeeded = [arcsec for arcsec, error in errors.items() if error is None]
    found = store.bucket.contents(f"{output}/margin")
    if exclusive:
        (error,) = (error for error in errors.values() if error is not None)
        assert isinstance(error, OutputInUseError)
        assert f"another run writes to {store.bucket.url}/{output}/margin" in str(error)
        assert len(succeeded) == 1
    for error in errors.values():
        known = (OutputInUseError, OutputExistsError, StorageError, IncompleteMarginError)
        assert error is None or isinstance(error, known)
    if succeeded:
        (arcsec,) = succeeded
        assert same_margin(found, expected[arcsec])
    else:
        assert found.keys().isdisjoint(VALID_BY)


@pytest.mark.parametrize("files", [0, 2])
def test_a_run_that_replaces_another_ends_it(
    files: int,
    store: Store,
    expected: dict[float, dict[str, bytes]],
    machines: Machines,
    monkeypatch: Patch,
) -> None:
    """The first has written its mark and some margins, and then waits while the other one is made."""
    waits, goes_on = threading.Event(), threading.Event()
    create = RemoteFolder.create
    left = [files]

    def held(folder: RemoteFolder, name: str) -> RemoteFile:
        left[0] -= 1
        if left[0] == -1:
            waits.set()
            assert goes_on.wait(_LONG_SECONDS)
        return create(folder, name)

    monkeypatch.setattr(RemoteFolder, "create", held)
    output = f"replaced-{files}"
    again = partial(store.make, output, threshold_arcsec=OTHER_ARCSEC)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(machines.run, "first", partial(store.make, output))
        try:
            assert waits.wait(_LONG_SECONDS)
            with pytest.raises(OutputExistsError, match="interrupted run"):
                machines.run("second", again)
            machines.run("second", partial(again, overwrite=True))
            before = store.bucket.contents(output)
        finally:
            goes_on.set()
        error = first.exception()
    assert isinstance(error, OutputInUseError)
    assert str(error).startswith(f"another run writes to {store.bucket.url}/{output}/margin")
    assert store.bucket.contents(output) == before
    assert same_margin(store.bucket.contents(f"{output}/margin"), expected[OTHER_ARCSEC])
    assert list(machines.folder("first").iterdir()) == []
    with pytest.raises(OutputExistsError):
        machines.run("first", partial(store.make, output))
    machines.run("first", partial(store.make, output, overwrite=True))
    assert same_margin(store.bucket.contents(f"{output}/margin"), expected[THRESHOLD_ARCSEC])


def test_a_margin_that_is_completed_while_another_run_takes_its_place_is_replaced_as_a_whole(
    store: Store, expected: dict[float, dict[str, bytes]], machines: Machines, monkeypatch: Patch
) -> None:
    """The first has seen its mark for the last time, and has only its properties to write."""
    waits, goes_on = threading.Event(), threading.Event()
    send = publish.send_files
    seen: list[list[str]] = []

    def held(files: dict[str, Path], folder: Any) -> None:
        if "hats.properties" in files and not waits.is_set():
            waits.set()
            assert goes_on.wait(_LONG_SECONDS)
        send(files, folder)

    monkeypatch.setattr(publish, "send_files", held)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(machines.run, "first", partial(store.make, "completed"))

        def others_end(_seconds: float) -> None:
            goes_on.set()
            first.result(_LONG_SECONDS)
            seen.append(accepting(store.path("completed/margin")))

        clock = SimpleNamespace(monotonic=time.monotonic, sleep=others_end)
        monkeypatch.setattr(place_mark, "time", clock)
        try:
            assert waits.wait(_LONG_SECONDS)
            machines.run(
                "second",
                partial(store.make, "completed", threshold_arcsec=OTHER_ARCSEC, overwrite=True),
            )
        finally:
            goes_on.set()
    assert first.exception() is None
    assert seen == [["the library", "verify"]]
    assert same_margin(store.bucket.contents("completed/margin"), expected[OTHER_ARCSEC])
    assert store.bucket.contents("completed").keys() == {f"margin/{name}" for name in expected[OTHER_ARCSEC]}


def test_of_two_runs_that_take_a_place_one_succeeds(
    store: Store, expected: dict[float, dict[str, bytes]], machines: Machines, monkeypatch: Patch
) -> None:
    """What a dead run left is replaced by two at once; the second has put its mark over that of the first."""
    with monkeypatch.context() as patch:
        patch.setattr(RunState, "keep_only_margins", killed)
        with pytest.raises(Killed):
            machines.run("dead", partial(store.make, "taken"))
    second = partial(store.make, "taken", threshold_arcsec=OTHER_ARCSEC, overwrite=True)
    sleeps: list[float] = []

    def meanwhile(seconds: float) -> None:
        sleeps.append(seconds)
        if len(sleeps) == 1:
            machines.run("second", second)

    monkeypatch.setattr(place_mark, "GRACE_SECONDS", 0.25)
    monkeypatch.setattr(place_mark, "time", SimpleNamespace(monotonic=time.monotonic, sleep=meanwhile))
    with pytest.raises(OutputInUseError, match="another run writes to") as caught:
        machines.run("first", partial(store.make, "taken", overwrite=True))
    assert sleeps == [0.25, 0.25]
    assert same_margin(store.bucket.contents("taken/margin"), expected[OTHER_ARCSEC])
    # What the first has made waits beside its place.
    assert "the same call goes on from there" in " ".join(caught.value.__notes__)
    machines.run("first", partial(store.make, "taken", overwrite=True))
    assert same_margin(store.bucket.contents("taken/margin"), expected[THRESHOLD_ARCSEC])


def test_what_another_run_left_in_the_same_sizes_is_not_taken_for_its_own(
    store: Store, machines: Machines, monkeypatch: Patch
) -> None:
    store.make("own", **SAME_SIZES)

    def clean() -> None:
        (leftover,) = find_leftovers(store.path("sizes"))
        remove_leftover(leftover)

    with monkeypatch.context() as patch:
        patch.setattr(RunState, "keep_only_margins", killed)
        with pytest.raises(Killed):
            machines.run("first", partial(store.make, "sizes", **SAME_SIZES))
        own = store.bucket.contents("sizes/margin")
        machines.run("second", clean)
        with pytest.raises(Killed):
            machines.run("second", partial(store.make, "sizes", LATER, **SAME_SIZES))
    theirs = store.bucket.contents("sizes/margin")
    assert {name: len(content) for name, content in own.items()} == {
        name: len(content) for name, content in theirs.items()
    }
    assert all(own[name] != theirs[name] for name in own)
    with pytest.raises(OutputExistsError, match=r"overwrite=True replaces it .*interrupted run"):
        machines.run("first", partial(store.make, "sizes", **SAME_SIZES))
    assert store.bucket.contents("sizes/margin") == theirs
    machines.run("first", partial(store.make, "sizes", overwrite=True, **SAME_SIZES))
    assert same_margin(store.bucket.contents("sizes/margin"), store.bucket.contents("own/margin"))


def test_what_a_run_of_one_of_several_margins_left_is_not_taken_for_theirs(
    store: Store, machines: Machines, monkeypatch: Patch
) -> None:
    thresholds_arcsec = (THRESHOLD_ARCSEC, OTHER_ARCSEC)
    several = partial(store.make_several, thresholds_arcsec=thresholds_arcsec, **SAME_SIZES)
    several("several-alone")
    with monkeypatch.context() as patch:
        patch.setattr(RunState, "keep_only_margins", killed)
        with pytest.raises(Killed):
            machines.run("first", partial(several, "several"))
        own = store.bucket.contents("several/margin_5")
        one = partial(store.make, "several", LATER, name="margin_5", threshold_arcsec=5.0, **SAME_SIZES)
        with pytest.raises(Killed):
            machines.run("first", one)
    theirs = store.bucket.contents("several/margin_5")
    assert {name: len(content) for name, content in own.items()} == {
        name: len(content) for name, content in theirs.items()
    }
    assert all(own[name] != theirs[name] for name in own)
    machines.run("first", partial(several, "several"))
    assert same_margin(store.bucket.contents("several"), store.bucket.contents("several-alone"))


@pytest.mark.parametrize("threshold_arcsec", [THRESHOLD_ARCSEC, OTHER_ARCSEC])
def test_files_of_others_with_the_same_names_stay(
    threshold_arcsec: float, store: Store, machines: Machines, monkeypatch: Patch
) -> None:
    """Another program has begun to write a margin where that of a killed run was removed."""
    output = f"named-{threshold_arcsec:g}"
    with monkeypatch.context() as patch:
        patch.setattr(RunState, "keep_only_margins", killed)
        with pytest.raises(Killed):
            machines.run("first", partial(store.make, output))
    names = [name for name in store.bucket.contents(output) if not name.endswith(RECORD)]
    assert len(names) >= 4
    store.bucket.remove(output)
    theirs = dict.fromkeys(names, b"theirs")
    store.bucket.write({f"{output}/{name}": content for name, content in theirs.items()})
    again = partial(store.make, output, threshold_arcsec=threshold_arcsec)
    for asked in (again, partial(again, overwrite=True)):
        with pytest.raises(OutputExistsError, match="is a folder that is no margin"):
            machines.run("first", asked)
        assert store.bucket.contents(output) == theirs
