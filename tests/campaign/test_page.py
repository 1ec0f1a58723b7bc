"""What the campaign counts, keeps and writes."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

import tests.campaign
from tests.campaign import __main__ as command
from tests.campaign import outcomes
from tests.campaign.outcomes import Figures, Outcome, Tally, keep, kept
from tests.campaign.page import PAGE, brief, counts, details, write_page

ROOT = Path(__file__).parents[2]


def example() -> Outcome:
    tally = Tally(
        "a pulled plug", survived=1_200, refused=3, failures=["case 7: the margin has 2 rows too few"]
    )
    return Outcome(
        "kill",
        [tally, Tally("a pushed plug", refused=2)],
        [Figures("Seconds:", ["rows", "s"], [["10", "0.1"]])],
        ["too slow"],
        ["no plug on this machine"],
        seconds=90.0,
    )


def test_counts_and_details_name_every_failure() -> None:
    assert "| kill | 1,206 | 1,200 | 5 | 2 | 1.5 min |" in counts([example()])
    text = details(example())
    assert "| a pulled plug | 1,204 | 1,200 | 3 | 1 |" in text
    for said in ("Failed: too slow", "Failed: a pulled plug: case 7", "Not tried: no plug", "| 10 | 0.1 |"):
        assert said in text


def test_a_folder_that_is_not_there_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["trust", "kill", "--short", "--scratch", str(tmp_path / "none")])
    with pytest.raises(SystemExit):
        command.main()
    assert f"--scratch {tmp_path / 'none'}: there is no such folder" in capsys.readouterr().err


def test_what_is_kept_is_what_was_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outcomes, "RESULTS", tmp_path / "results")
    assert kept("kill") is None
    keep(example())
    assert kept("kill") == example()


def test_the_page_has_a_place_for_each_part(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE.read_text(encoding="utf-8"), encoding="utf-8")
    write_page([Outcome(part, [Tally(f"fault of {part}", survived=1)]) for part in command.PARTS], page)
    written = page.read_text(encoding="utf-8")
    assert all(written.count(f"| fault of {part} | 1 |") == 1 for part in command.PARTS)


def test_each_part_is_a_package_with_a_short_form_in_the_tests() -> None:
    folder = Path(tests.campaign.__file__).parent
    assert {path.parent.name for path in folder.glob("*/campaign.py")} == set(command.PARTS)
    texts = "".join(path.read_text(encoding="utf-8") for path in Path(__file__).parent.glob("test_*.py"))
    assert set(re.findall(r'run_short\("(\w+)"', texts)) == set(command.PARTS)


def test_a_failure_is_one_line_without_places_of_the_machine() -> None:
    trace = (
        "Traceback (most recent call last):\n"
        '  File "/home/someone/clone/auth.py", line 432, in add_auth\n'
        "    raise NoCredentialsError()\n"
        "botocore.exceptions.NoCredentialsError: none in /home/someone/.aws\n"
    )
    said = "case 7 (a kill), seed 5: botocore.exceptions.NoCredentialsError: none in .aws"
    for failure in (trace, trace.replace("\n", " ")):
        assert brief(f"case 7 (a kill), seed 5: {failure}") == said
    assert brief("exit status 3: /scratch/here/margin: s3://bucket/name is gone") == (
        "exit status 3: margin: s3://bucket/name is gone"
    )
    assert "\n" not in brief("two\nlines")


def test_a_failure_is_the_exit_status(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "run_part", lambda *_, **__: example())
    monkeypatch.setattr(sys, "argv", ["trust", "kill", "--short", "--scratch", str(tmp_path)])
    assert command.main() == 1
    assert "FAILED a pulled plug: case 7" in capsys.readouterr().out


def test_an_unknown_part_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["trust", "flood"])
    with pytest.raises(SystemExit):
        command.main()
    assert "flood: no such part; there are geometry, files, fuzz, kill, " in capsys.readouterr().err
