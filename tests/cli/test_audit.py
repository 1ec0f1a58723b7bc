"""The commands `verify` and `info`: what they print, and with which code they end."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from skymargin.cli.main import main
from tests.support.catalogs import files_of, make_margin


@pytest.fixture(scope="module")
def made(small_catalog: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    make_margin(small_catalog, folder, 3_600.0)
    make_margin(small_catalog, folder, 3_600.0, name="coarse", fine_filtering=False, margin_order=5)
    return folder


@pytest.fixture
def damaged(made: Path, tmp_path: Path) -> Path:
    """A margin that lacks a row, a file and the last byte of another."""
    margin = shutil.copytree(made / "margin", tmp_path / "margin")
    first, second, third = sorted(files_of(margin).values())[:3]
    pq.write_table(pq.ParquetFile(first).read().slice(1), first)
    second.unlink()
    third.write_bytes(third.read_bytes()[:-1])
    return margin


def test_a_right_margin_ends_with_0(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(made / "margin"), "--no-progress"]) == 0
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
    report = json.loads(said.out)
    assert report["right"] is False
    assert report["counts"]["missing_file"] == report["counts"]["unreadable_file"] == 1
    pixels = report["per_pixel"]
    assert sum(one["expected"] for one in pixels) == report["rows_expected"]
    assert sum(one["faults"].get("missing", 0) for one in pixels) == report["counts"]["missing"]
    missing = [fault for fault in report["faults"] if fault["kind"] == "missing"]
    assert len(missing) == min(20, report["counts"]["missing"])
    assert all(fault["row_id"].startswith("id=") for fault in missing)


def test_a_coarse_margin_is_wrong_unless_allowed(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(made / "coarse"), "--no-progress"]) == 1
    text = " ".join(capsys.readouterr().out.split())
    assert "0 missing, " in text
    assert "--coarse allows them" in text
    assert main(["verify", str(made / "coarse"), "--no-progress", "--coarse"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "Result : right; allowed, as in coarse margins: " in text


def test_a_sample_prints_its_seed(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(made / "margin"), "--sample", "5", "--seed", "7", "--no-progress"]) == 0
    assert "Sample  : 5 pixels of seed 7" in capsys.readouterr().out
    assert main(["verify", str(made / "margin"), "--sample", "5"]) == 0
    said = capsys.readouterr()
    assert "5 pixels of seed " in said.out
    assert "Verifying" in said.err


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["verify", "nowhere"], "there is nothing at nowhere"),
        (["verify", "."], ". is not a catalog: it has no hats.properties"),
        (["verify", "{catalog}"], "is not a margin: "),
        (["verify", "{margin}", "--primary", "nowhere"], "there is nothing at nowhere"),
        (["verify", "{margin}", "--primary", "{margin}"], "cannot be the primary catalog"),
        (["verify", "{margin}", "--sample", "0"], "sample 0 is not allowed"),
        (["verify", "{margin}", "--sample", "3", "--seed", "-3"], "seed -3 is not allowed"),
        (["info", "nowhere"], "there is nothing at nowhere"),
        (["info", "."], ". is not a catalog: it has no hats.properties"),
    ],
)
def test_an_error_is_one_line_and_ends_with_1(
    arguments: list[str],
    complaint: str,
    made: Path,
    small_catalog: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    words = [word.format(margin=made / "margin", catalog=small_catalog) for word in arguments]
    assert main(words) == 1
    said = capsys.readouterr()
    assert said.err.startswith("skymargin: error: ")
    assert said.err.count("\n") == 1
    assert complaint in said.err
    assert not said.out


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["verify"], "Missing argument 'MARGIN'"),
        (["verify", "a", "b"], "unexpected extra argument"),
        (["verify", "a", "--sample", "some"], "'some' is not a valid integer"),
        (["info"], "Missing argument 'CATALOG'"),
        (["info", "a", "--rows"], "No such option"),
    ],
)
def test_wrong_usage_ends_with_2(
    arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    said = capsys.readouterr()
    assert complaint in said.err
    assert not said.out


def test_info_prints_a_table_or_json(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", str(made / "margin")]) == 0
    said = capsys.readouterr()
    assert not said.err
    heads = [line[:12].strip() for line in said.out.splitlines() if line[:1].strip()]
    assert heads[:4] == ["catalog", "what", "threshold", "primary"]
    assert "HATS margin, margin" in said.out
    assert main(["info", str(made / "margin"), "--json"]) == 0
    about = json.loads(capsys.readouterr().out)
    rows = sum(pq.ParquetFile(file).metadata.num_rows for file in files_of(made / "margin").values())
    assert (about["rows"], about["kind"], about["margin_threshold_arcsec"]) == (rows, "margin", "3600.0")
