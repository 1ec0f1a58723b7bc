"""The tutorial, step by step in an empty folder: what it prints is right, and with LSDB the crossmatch is complete."""

from __future__ import annotations

import sys
from pathlib import Path

import pyarrow.csv
import pytest

from benchmarks.environments import has_peer, peer_python
from skymargin import verify
from tests.project.test_readme import Example, examples
from tests.support.processes import run

PAGE = "docs/tutorials/first-crossmatch.md"
PARTS = [example for example in examples() if example.page == PAGE]


def run_part(part: Example, folder: Path) -> str:
    """Run an example as somebody would who has the commands of this environment at hand."""
    if part.language == "python":
        commands = [[sys.executable, "-W", "error", "-c", part.code]]
    else:
        commands = [line.split() for line in part.code.splitlines()]
        assert {words[0] for words in commands} == {"skymargin"}
        commands = [[sys.executable, "-W", "error", "-m", *words] for words in commands]
    printed = ""
    for command in commands:
        printed += run(command, folder).stdout
    return printed


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """The folder after all steps but LSDB's, and what each of them printed."""
    folder = tmp_path_factory.mktemp("tutorial")
    return folder, [run_part(part, folder) for part in PARTS if "import lsdb" not in part.code]


def test_its_steps_do_what_the_page_says(finished: tuple[Path, list[str]]) -> None:
    folder, printed = finished
    assert len(printed) == 5
    assert "first: 20000 rows in " in printed[1]
    assert "0 missing, 0 extra" in " ".join(printed[2].split())
    assert (folder / "margin.png").is_file()
    report = verify(folder / "second_5arcs")
    assert report.right
    assert report.margin_threshold_arcsec == 5.0
    # Each star has its partner, but for the few that were scattered farther.
    assert 19_000 < int(printed[4].split()[0]) < 22_000
    # There is something to lose: a margin of no rows would make the page pointless.
    assert report.rows_expected > 20


@pytest.mark.slow
def test_lsdb_finds_every_pair(finished: tuple[Path, list[str]]) -> None:
    assert has_peer("hats-import"), "LSDB is not there: run `make peers`"
    folder, printed = finished
    (part,) = [part for part in PARTS if "import lsdb" in part.code]
    script = folder / "crossmatch.py"
    counts = []
    for code in (part.code, part.code.replace(', margin_cache="second_5arcs"', "")):
        script.write_text(code)
        done = run([peer_python("hats-import"), script], folder)
        assert done.stdout == f"{pyarrow.csv.read_csv(folder / 'pairs.csv').num_rows} pairs\n"
        counts.append(int(done.stdout.split()[0]))
    assert f"{counts[0]} pairs\n" == printed[4]
    assert counts[1] < counts[0]
