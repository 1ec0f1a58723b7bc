"""Runs that are killed, in small numbers; and that the campaign sees what it looks for."""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import pytest

from skymargin.build.batch_limits import BatchLimits
from tests.campaign.conftest import RunShort
from tests.campaign.kill.campaign import FULL, SHORT, THRESHOLD_ARCSEC, Case, Ending, Field, cases, is_whole
from tests.support.catalogs import files_of, make_margin


def test_short(run_short: RunShort) -> None:
    outcome = run_short("kill")
    assert sum(tally.survived for tally in outcome.tallies) == sum(SHORT.values())


def test_the_full_form_tries_every_kind_on_every_store() -> None:
    chosen = cases(FULL, seed=1)
    assert len(chosen) == 200
    assert len({(case.format, case.store, case.victim) for case in chosen}) == 12
    assert Counter(case.by for case in chosen).keys() == {"events", "time", "requests"}
    assert [case.fraction for case in chosen] == [case.fraction for case in cases(FULL, seed=1)]
    assert all(case.workers == 2 for case in chosen if case.victim != "driver")


@pytest.fixture
def field(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Field:
    monkeypatch.setattr(
        "skymargin.build.batch_limits.DEFAULT_LIMITS", BatchLimits(smallest_task_bytes=1, tasks_per_thread=32)
    )
    return Field(tmp_path, ExitStack(), {"disk"})


def test_what_is_whole() -> None:
    margin = {"properties": b"p", "hats.properties": b"p", "data": b"d"}
    assert is_whole(margin, margin)
    assert is_whole({"properties": b"p", "data": b"d"}, margin)
    assert not is_whole({"properties": b"p", "hats.properties": b"p"}, margin)
    assert not is_whole({"data": b"d"}, margin)
    assert not is_whole(margin | {"data": b"e"}, margin)
    assert not is_whole(margin | {"more": b"m"}, margin)


CASE = Case(0, "hats", "disk", "driver", "events", 0.5, 1, False, 1)


def test_a_margin_without_one_of_its_files_is_seen(field: Field, tmp_path: Path) -> None:
    place = field.place("hats", "disk", "planted")
    make_margin(tmp_path / "hats", Path(place.output), THRESHOLD_ARCSEC)
    ending = Ending(CASE)
    field.look(place, [place.catalogs()["margin"]], ending)
    assert ending.failures == []
    whole = place.catalogs()["margin"]
    next(iter(files_of(Path(place.output) / "margin").values())).unlink()
    field.look(place, [whole], ending)
    assert ending.failures == ["the library takes the partial margin for valid"]


def test_another_margin_and_leftovers_are_seen(field: Field, monkeypatch: pytest.MonkeyPatch) -> None:
    usual = field.usual("hats", "disk", 1, THRESHOLD_ARCSEC)
    name = next(name for name in usual.files if "Npix" in name)
    usual.files[name] += b"?"

    def leave(**arguments: object) -> None:
        make_margin(**arguments)  # type: ignore[arg-type]
        (Path(str(arguments["output"])) / "rest").mkdir()
        (Path(str(arguments["output"])) / "rest" / "file").touch()

    monkeypatch.setattr("tests.campaign.kill.campaign.make_margin", leave)
    ending = field.try_case(CASE, seed=3)
    assert "the margin is not that of the undisturbed run" in ending.failures
    assert "rest is left" in ending.failures
