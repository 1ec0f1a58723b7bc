"""How the tests of other packages are run: what counts as wrong, what the plugin does, what the page says."""

from __future__ import annotations

import hashlib
import io
import shutil
import sys
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from tests.peers.suites import page, run, sources
from tests.peers.suites.margins import replace_margins
from tests.peers.suites.run import Result, problems, run_pytest
from tests.peers.suites.sources import NotReachableError, Source
from tests.peers.suites.suite import DIFFERENCES, SUITES, differences, reasons
from tests.support.catalogs import (
    MIXED_PARTITIONS,
    ids_of,
    make_margin,
    sky_near_edges,
    state_properties,
    write_catalog,
)

HATS_IMPORT = SUITES[0]
FAKE_TESTS = """
import pytest
from hats_import.margin_cache.margin_cache_arguments import MarginCacheArguments
from hats_import.pipeline import pipeline

GIVEN = {"input_catalog_path": "stars", "output_path": "out", "margin_threshold": 600.0, "progress_bar": False}

def test_margin():
    args = MarginCacheArguments(**GIVEN)
    assert args.fine_filtering is EXACT
    pipeline(args)

def test_different():
    assert 88 == 55

def test_different_no_more():
    pass

def test_wrong():
    assert len("three") == 4

@pytest.fixture
def broken():
    raise OSError("no such folder")

def test_with_a_broken_fixture(broken):
    pass

@pytest.mark.skip("no reason")
def test_skipped():
    pass
"""


def test_every_difference_has_a_reason_and_every_reason_a_difference() -> None:
    used = set()
    for suite in SUITES:
        listed = differences(suite.name)
        used |= set(listed.values())
        for test in listed:
            assert test.startswith(suite.tests), f"{test} does not run in {suite.name}"
        # With the rows of hats-import no count differs.
        assert ("rows" in listed.values()) == (not suite.coarse and suite.name != "hipscat-import")
    assert used == set(reasons())
    assert all(text.endswith(".") for text in reasons().values())


def test_a_list_of_differences_with_faults_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "differences.toml"
    one = '[[differs]]\nsuites = ["lsdb"]\nreason = "rows"\ntests = ["a::b"]\n'
    file.write_text(f'[reasons]\nother = "Other."\n{one}')
    with pytest.raises(ValueError, match="the reason rows is not among the reasons"):
        differences("lsdb", file)
    file.write_text(f'[reasons]\nrows = "Rows."\n{one}{one}')
    with pytest.raises(ValueError, match="a::b is listed twice for lsdb"):
        differences("lsdb", file)
    assert differences("hats-import", file) == {}


@pytest.mark.parametrize("coarse", [False, True])
def test_the_plugin_keeps_what_each_test_did(coarse: bool, tmp_path: Path) -> None:
    write_catalog(tmp_path / "stars", sky_near_edges(MIXED_PARTITIONS, 500, 600.0, seed=3))
    (tmp_path / "test_fake.py").write_text(FAKE_TESTS.replace("EXACT", str(not coarse)))
    listed = {"test_fake.py::test_different": "rows", "test_fake.py::test_different_no_more": "words"}
    settings = {"stand_in": "hats_import", "coarse": coarse, "differs": listed}
    found = run_pytest(
        Path(sys.executable), tmp_path, ["test_fake.py"], settings, [], tmp_path / "logs" / "fake.txt"
    )
    assert found["margins"] == ["stars_600arcs"]
    outcomes = {test.partition("::")[2]: tuple(did) for test, did in found["outcomes"].items()}
    assert outcomes["test_margin"] == ("passed", "")
    assert outcomes["test_different"] == ("differs", "rows")
    assert outcomes["test_different_no_more"] == ("failed", "[XPASS(strict)] words")
    assert outcomes["test_skipped"] == ("skipped", "Skipped: no reason")
    for test, message in (("test_wrong", "assert 5 == 4"), ("test_with_a_broken_fixture", "no such folder")):
        assert outcomes[test][0] == "failed"
        assert message in outcomes[test][1]
    assert len(outcomes) == 6
    assert "test_wrong" in (tmp_path / "logs" / "fake.txt").read_text()


def test_a_file_that_cannot_be_imported_fails(tmp_path: Path) -> None:
    (tmp_path / "test_fake.py").write_text("import there_is_no_such_module\n")
    settings = {"stand_in": None, "coarse": False, "differs": {}}
    found = run_pytest(Path(sys.executable), tmp_path, ["test_fake.py"], settings, [], tmp_path / "log.txt")
    ((outcome, message),) = found["outcomes"].values()
    assert outcome == "failed"
    assert "there_is_no_such_module" in message


def test_a_run_without_results_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "test_fake.py").write_text("import os\nos._exit(3)\n")
    settings = {"stand_in": None, "coarse": False, "differs": {}}
    with pytest.raises(RuntimeError, match=r"pytest ended with 3 and without results: see .*log\.txt"):
        run_pytest(Path(sys.executable), tmp_path, ["test_fake.py"], settings, [], tmp_path / "log.txt")


def as_listed(**changes: tuple[str, str]) -> Result:
    """A right result of hats-import, but for some tests."""
    outcomes = {test: ("differs", reason) for test, reason in differences(HATS_IMPORT.name).items()}
    return Result({**outcomes, "a::passes": ("passed", ""), **changes}, ["margin"], ["stars/margin"])


def test_what_is_wrong() -> None:
    right = as_listed()
    assert problems(HATS_IMPORT, right) == []
    assert problems(HATS_IMPORT, as_listed(**{"a::b": ("failed", "assert 1 == 2")})) == [
        "a::b: failed, and is not listed: assert 1 == 2"
    ]
    listed = next(iter(differences(HATS_IMPORT.name)))
    assert problems(HATS_IMPORT, as_listed(**{listed: ("failed", "[XPASS(strict)] rows")})) == [
        f"{listed}: passes, and is listed: [XPASS(strict)] rows"
    ]
    # hats-import skips some of them with some versions of Python.
    assert problems(HATS_IMPORT, as_listed(**{listed: ("skipped", "with Python 3.11")})) == []
    gone = {test: outcome for test, outcome in right.outcomes.items() if test != listed}
    assert problems(HATS_IMPORT, replace(right, outcomes=gone)) == [f"{listed}: is listed, and did not run"]
    assert problems(HATS_IMPORT, replace(right, made=[], replaced=[])) == [
        "no margin was made by skymargin",
        "no margin of the test data was replaced",
    ]


def test_a_kept_result_must_still_be_right(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "_RESULTS", tmp_path / "results")
    assert run.kept(HATS_IMPORT) is None
    run.keep(HATS_IMPORT, as_listed())
    assert run.kept(HATS_IMPORT) == as_listed()
    run.keep(HATS_IMPORT, as_listed(**{"a::b": ("failed", "assert 1 == 2")}))
    assert run.kept(HATS_IMPORT) is None


def test_the_page(tmp_path: Path) -> None:
    """The counts of a right run; the committed page has a table with the same heads and suites."""
    copy = Path(shutil.copy(page.PAGE, tmp_path / "page.md"))
    page.write_page({"hats-import": as_listed(**{"a::c": ("skipped", "")})}, copy)
    written, committed = (
        path.read_text(encoding="utf-8").partition("<!-- suites -->")[2].partition("<!-- /suites -->")[0]
        for path in (copy, page.PAGE)
    )
    lines = [line for line in written.splitlines() if line]
    listed = differences("hats-import")
    assert lines[2] == f"| hats-import 0.11.1 | exact | 1 | {len(listed)} | 1 | 1 | 1 |"
    rows = sum(reason == "rows" for reason in listed.values())
    assert f"| {rows} | {reasons()['rows']} |" in lines
    assert f"| {list(listed.values()).count('words')} | {reasons()['words']} |" in lines
    assert lines[5] == "| lsdb 0.11.1 | exact | not run |  |  |  |  |"
    own = [line for line in committed.splitlines() if line]
    assert own[0] == lines[0]
    for line, its in zip(lines[2:7], own[2:7], strict=True):
        assert line.split(" | ")[:2] == its.split(" | ")[:2]
        if "not run" not in its:
            passed, differ = (int(cell.replace(",", "")) for cell in its.split(" | ")[2:4])
            assert passed > 20
            assert differ < passed / 3


def test_margins_are_replaced(tmp_path: Path) -> None:
    sky = sky_near_edges(MIXED_PARTITIONS, 1_500, 600.0, seed=4)
    write_catalog(tmp_path / "data" / "sky" / "stars", sky)
    make_margin(tmp_path / "data" / "sky" / "stars", tmp_path / "data" / "sky", 600.0, fine_filtering=False)
    margin = tmp_path / "data" / "sky" / "margin"
    coarse = ids_of(margin)
    state_properties(margin, hats_primary_table_url="sky/stars")
    assert replace_margins(tmp_path / "data", coarse=False) == ["sky/margin"]
    assert ids_of(margin) == sky.margins(600.0)
    assert sorted(path.name for path in margin.parent.iterdir()) == ["margin", "stars"]
    state_properties(margin, hats_primary_table_url="sky/stars")
    assert replace_margins(tmp_path / "data", coarse=True) == ["sky/margin"]
    assert ids_of(margin) == coarse
    assert sum(map(len, coarse.values())) > len(sky.margins(600.0))


@pytest.fixture
def made_source(tmp_path: Path) -> Source:
    """A source distribution that was downloaded already."""
    (tmp_path / "cache").mkdir()
    path = tmp_path / "cache" / "its_name-1.2.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        member = tarfile.TarInfo("its_name-1.2/tests/test_it.py")
        member.size = 4
        archive.addfile(member, io.BytesIO(b"pass"))
    return Source("its-name", "1.2", hashlib.sha256(path.read_bytes()).hexdigest())


def test_a_source_is_checked_and_unpacked(made_source: Source, tmp_path: Path) -> None:
    folder = made_source.unpack(tmp_path / "there", tmp_path / "cache")
    assert (folder / "tests" / "test_it.py").read_text() == "pass"
    with pytest.raises(
        ValueError, match=r"its_name-1\.2\.tar\.gz has the digest [0-9a-f]{64}, not 0123: remove"
    ):
        replace(made_source, sha256="0123").archive(tmp_path / "cache")


def test_a_source_that_cannot_be_reached_is_told_apart(
    made_source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with pytest.raises(NotReachableError, match=r"pip cannot download its-name==1\.3: .*its-name==1\.3"):
        replace(made_source, version="1.3").archive(tmp_path / "cache")


def test_the_sources_are_the_versions_of_the_environments() -> None:
    """The tests of a version run against the same version of its package."""
    folder = sources.ROOT / "benchmarks"
    for suite in SUITES:
        environment = "hipscat-import" if suite.source is sources.HIPSCAT_IMPORT else "hats-import"
        pinned = (folder / f"requirements-{environment}.txt").read_text().splitlines()
        assert f"{suite.source.package}=={suite.source.version}" in pinned


def test_the_list_is_where_the_page_says() -> None:
    assert DIFFERENCES.relative_to(sources.ROOT).as_posix() in page.PAGE.read_text(encoding="utf-8")
