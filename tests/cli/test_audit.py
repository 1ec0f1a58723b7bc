"""The commands `verify` and `info`: what they print, and with which code they end."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from skymargin.cli.main import main
from tests.support.catalogs import count_rows, files_of


@pytest.fixture
def damaged(margins: Path, tmp_path: Path) -> Path:
    """A margin that lacks a row, a file and the last byte of another."""
    margin = shutil.copytree(margins / "margin", tmp_path / "margin")
    first, second, third = sorted(files_of(margin).values())[:3]
    pq.write_table(pq.ParquetFile(first).read().slice(1), first)
    second.unlink()
    third.write_bytes(third.read_bytes()[:-1])
    return margin


def test_a_right_margin_ends_with_0(margins: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(margins / "margin"), "--no-progress"]) == 0
    said = capsys.readouterr()
    assert not said.err
    lines = said.out.splitlines()
    assert [line.partition(":")[0].strip() for line in lines if not line.startswith(" ")] == [
        "Margin",
        "Primary",
        "Checked",
        "Result",
    ]
    assert "0 missing, 0 extra" in " ".join(said.out.split())
    assert "Result  : right; " in said.out


def test_a_wrong_margin_ends_with_1_and_names_what_is_wrong(
    damaged: Path, small_catalog: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["verify", str(damaged), "--primary", str(small_catalog), "--no-progress"]) == 1
    said = capsys.readouterr()
    assert not said.err
    text = " ".join(said.out.split())
    assert "WRONG: 1 wrong property, 1 missing file, 1 unreadable file, " in text
    for file in sorted(files_of(damaged).values())[1:2]:
        assert file.relative_to(damaged / "dataset").as_posix() in text
    assert "id=" in text
    assert all(len(line) <= 100 or str(damaged.parent) in line for line in said.out.splitlines())


def test_json_is_the_whole_report(
    damaged: Path, small_catalog: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["verify", str(damaged), "--primary", str(small_catalog), "--json"]) == 1
    said = capsys.readouterr()
    assert not said.err
    (report,) = json.loads(said.out)["reports"]
    assert report["right"] is False
    assert report["counts"]["missing_file"] == report["counts"]["unreadable_file"] == 1
    pixels = report["per_pixel"]
    assert sum(pixel["expected"] for pixel in pixels) == report["rows_expected"]
    assert sum(pixel["faults"].get("missing", 0) for pixel in pixels) == report["counts"]["missing"]
    missing = [fault for fault in report["faults"] if fault["kind"] == "missing"]
    assert len(missing) == min(20, report["counts"]["missing"])
    assert all(fault["row_id"].startswith("id=") for fault in missing)


def test_a_coarse_margin_is_wrong_unless_allowed(margins: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(margins / "coarse"), "--no-progress"]) == 1
    text = " ".join(capsys.readouterr().out.split())
    assert "0 missing, " in text
    assert "--coarse allows them" in text
    assert main(["verify", str(margins / "coarse"), "--no-progress", "--coarse"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "Result : right; allowed, as in coarse margins: " in text


def test_a_sample_prints_its_seed(margins: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(margins / "margin"), "--sample", "5", "--seed", "7", "--no-progress"]) == 0
    assert "Sample  : 5 pixels of seed 7" in capsys.readouterr().out
    assert main(["verify", str(margins / "margin"), "--sample", "5"]) == 0
    assert "5 pixels of seed " in capsys.readouterr().out


def test_info_prints_a_table_or_json(margins: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", str(margins / "margin")]) == 0
    said = capsys.readouterr()
    assert not said.err
    heads = [line[:12].strip() for line in said.out.splitlines() if line[:1].strip()]
    assert heads[:4] == ["catalog", "what", "threshold", "primary"]
    assert "HATS margin, margin" in said.out
    assert main(["info", str(margins / "margin"), "--json"]) == 0
    (about,) = json.loads(capsys.readouterr().out)["reports"]
    rows = count_rows(margins / "margin")
    assert (about["rows"], about["kind"], about["margin_threshold_arcsec"]) == (rows, "margin", 3600.0)


def test_info_of_several_and_of_folders(
    margins: Path, small_catalog: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["info", str(small_catalog), str(margins)]) == 0
    told = capsys.readouterr().out
    first, *others = told.split("\n\n")
    assert main(["info", str(small_catalog)]) == 0
    assert capsys.readouterr().out == first + "\n"
    assert [other.splitlines()[0].split()[1] for other in others] == [
        str(margins / name) for name in ("coarse", "margin")
    ]
    assert main(["info", str(margins), "--json"]) == 0
    assert [report["name"] for report in json.loads(capsys.readouterr().out)["reports"]] == [
        "coarse",
        "margin",
    ]
    # What is wrong with one does not hide the others.
    assert main(["info", str(tmp_path), str(small_catalog), str(tmp_path / "nowhere")]) == 1
    said = capsys.readouterr()
    assert said.out == first + "\n"
    assert [line.partition(" is ")[0] for line in said.err.splitlines()] == [
        f"skymargin: error: {tmp_path}",
        "skymargin: error: there",
    ]


def test_quiet_verification_has_an_exit_code_alone(
    damaged: Path, margins: Path, small_catalog: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["verify", str(margins / "margin"), "-q"]) == 0
    assert main(["verify", str(damaged), "--primary", str(small_catalog), "--quiet"]) == 1
    assert capsys.readouterr() == ("", "")
