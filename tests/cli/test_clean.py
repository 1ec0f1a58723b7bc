"""The command `clean`, and what `info` says of temporary folders: what they print and ask, and what is left."""

from __future__ import annotations

import io
import json
import os
import time
from pathlib import Path

import pytest

from skymargin.build.run import Run
from skymargin.cli.main import main
from tests.support.catalogs import ids_of

Capture = pytest.CaptureFixture[str]
Patch = pytest.MonkeyPatch


@pytest.fixture
def out(small_catalog: Path, tmp_path: Path, monkeypatch: Patch, capsys: Capture) -> Path:
    """A folder with a margin, and with what an interrupted run of another left there two days ago."""

    def end(*_: object) -> None:
        raise KeyboardInterrupt

    folder = tmp_path / "out"
    command = ["build", str(small_catalog), "--output", str(folder), "--no-progress", "--threshold"]
    assert main([*command, "3600"]) == 0
    with monkeypatch.context() as patch:
        patch.setattr(Run, "reduce", end)
        assert main([*command, "1800"]) == 130
    assert "the same command goes on from there" in capsys.readouterr().err
    then = time.time() - 50 * 3_600
    for path in folder.rglob("*"):
        os.utime(path, (then, then))
    return folder


def answer(monkeypatch: Patch, text: str) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(text))


def temporary_in(folder: Path) -> list[str]:
    return sorted(path.name.split("-")[1] for path in folder.glob("*.skymargin-*"))


def test_they_are_listed_and_removed_when_the_answer_is_yes(
    out: Path, monkeypatch: Patch, capsys: Capture
) -> None:
    before = ids_of(out / "small_3600arcs")
    answer(monkeypatch, "n\n")
    assert main(["clean", str(out)]) == 0
    said = capsys.readouterr()
    assert not said.err
    partial, shards, question = said.out.splitlines()
    assert partial.startswith(f"{out}/small_1800arcs.skymargin-partial-")
    assert partial.endswith(": 0 B in 0 files, 2 days old")
    (folder,) = out.glob("small_1800arcs.skymargin-shards-*")
    files = list(folder.iterdir())
    size_kb = sum(file.stat().st_size for file in files) / 1_000
    assert shards == f"{folder}: {size_kb:.1f} kB in {len(files)} file{'s' * (len(files) > 1)}, 2 days old"
    assert question == f"Remove 2 folders, {size_kb:.1f} kB? [y/N]: Nothing was removed."
    assert temporary_in(out) == ["partial", "progress", "shards"]
    answer(monkeypatch, "y\n")
    assert main(["clean", str(out)]) == 0
    assert capsys.readouterr().out.endswith(f"Removed 2 folders, {size_kb:.1f} kB.\n")
    assert temporary_in(out) == ["progress"]
    assert ids_of(out / "small_3600arcs") == before
    assert main(["clean", str(out)]) == 0
    assert capsys.readouterr().out == f"{out}: there is nothing to remove\n"


def test_without_an_answer_nothing_is_removed(out: Path, monkeypatch: Patch, capsys: Capture) -> None:
    answer(monkeypatch, "")
    assert main(["clean", str(out)]) == 1
    assert capsys.readouterr().err == "skymargin: error: nothing was removed; --yes removes without asking\n"
    assert temporary_in(out) == ["partial", "progress", "shards"]
    assert main(["clean", str(out), "--yes"]) == 0
    assert temporary_in(out) == ["progress"]


def test_what_is_younger_or_holds_other_files_is_kept(out: Path, capsys: Capture) -> None:
    assert main(["clean", str(out), "--older-than", "3", "--yes"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(", ")[2] for line in lines[:2]] == [
        "2 days old: kept, it is younger than 3 days"
    ] * 2
    assert lines[2] == f"{out}: there is nothing to remove"
    (shards,) = out.glob("*.skymargin-shards-*")
    (shards / "thesis\x1b[2J.tex").write_text("mine")
    assert main(["clean", str(out), "--older-than", "0", "--yes"]) == 0
    said = capsys.readouterr().out
    assert "kept, it holds thesis\\x1b[2J.tex, which skymargin did not write\n" in said
    assert said.endswith("Removed 1 folder, 0 B.\n")
    assert temporary_in(out) == ["progress", "shards"]


@pytest.mark.parametrize("days", ["-1", "nan", "inf"])
def test_an_age_is_a_number_of_days(days: str, out: Path, capsys: Capture) -> None:
    assert main(["clean", str(out), "--older-than", days, "--yes"]) == 2
    assert "is not a number of days, 0 or more" in capsys.readouterr().err
    assert len(temporary_in(out)) == 3


def test_where_there_is_nothing_is_an_error(tmp_path: Path, capsys: Capture) -> None:
    assert main(["clean", str(tmp_path / "nothing"), "--yes"]) == 1
    assert capsys.readouterr().err == f"skymargin: error: there is nothing at {tmp_path / 'nothing'}\n"
    assert main(["clean", "https://data.example.org/margins", "--yes"]) == 1
    assert "a web server has no listings" in capsys.readouterr().err


def test_info_names_what_is_older_than_a_day(out: Path, capsys: Capture) -> None:
    assert main(["info", str(out)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("catalog ")
    first = lines.index(f"Left by interrupted runs; `skymargin clean {out}` removes it:") + 1
    assert [line.partition(".skymargin-")[2].split("-")[0] for line in lines[first:]] == ["partial", "shards"]
    assert all(line.endswith(", 2 days old") for line in lines[first:])
    assert main(["info", str(out), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    (shards,) = out.glob("*.skymargin-shards-*")
    assert [report["path"] for report in told["reports"]] == [str(out / "small_3600arcs")]
    left = {Path(entry["path"]): entry for entry in told["left_by_runs"]}[shards]
    assert left["files"] == len(list(shards.iterdir()))
    assert left["size_bytes"] == sum(file.stat().st_size for file in shards.iterdir())
    assert 49 * 3_600 < left["age_seconds"] < 51 * 3_600
    # It changes nothing, and a margin without any says nothing of them.
    assert temporary_in(out) == ["partial", "progress", "shards"]
    assert main(["info", str(out / "small_3600arcs")]) == 0
    assert "Left by" not in capsys.readouterr().out
    for path in out.glob("*.skymargin-*"):
        os.utime(path)
    assert main(["info", str(out)]) == 0
    assert "Left by" not in capsys.readouterr().out
