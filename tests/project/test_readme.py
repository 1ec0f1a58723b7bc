"""Every example of the README and of the pages in docs/ is run, in a folder like a clone after `make demo`."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from benchmarks.environments import has_peer, peer_python
from tests.conftest import Demo
from tests.support.catalogs import files_of
from tests.support.processes import run

ROOT = Path(__file__).parents[2]
REMOTE = "docs/how-to/run-on-s3.md"
TUTORIALS = "docs/tutorials/"
# Their examples need a server, a cluster or the steps before them, and are run by the tests of these pages.
OTHERS = (
    REMOTE,
    TUTORIALS,
    "docs/how-to/lsdb.md",
    *(f"docs/how-to/run-on-{cluster}" for cluster in ("a-", "coiled-", "kubernetes", "slurm")),
    "docs/how-to/nightly-updates.md",
)
# What they install is installed by `make wheel`, and by the set-up of the tests.
INSTALLATIONS = {
    "pip install .",
    'pip install ".[plot]"',
    "pip install dist/skymargin-*.whl",
    'pip install "$(echo dist/skymargin-*.whl)[plot]"',
    'pip install "$(echo dist/skymargin-*.whl)[demo]"',
    "skymargin demo --output demo",
}
COLLECTION = ".venv/bin/skymargin collection my_gaia"


class Example(NamedTuple):
    page: str
    line: int
    language: str
    code: str
    printed: str | None


def examples() -> list[Example]:
    """Return the fenced blocks of all pages."""
    blocks = []
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        text = page.read_text(encoding="utf-8")
        # A block of text after an example is what its last command prints.
        for block in re.finditer(
            r"^```(\w*)\n(.*?)^```(?:\n\n```text\n(.*?)^```)?", text, re.MULTILINE | re.DOTALL
        ):
            line = text.count("\n", 0, block.start()) + 1
            blocks.append(Example(str(page.relative_to(ROOT)), line, block[1], block[2], block[3]))
    return blocks


def test_no_example_prints_its_summary_twice() -> None:
    """With progress bars, which are the default, a run prints it."""
    printing = [
        example for example in examples() if re.search(r"print\(pipeline(_with_client)?\(", example.code)
    ]
    assert len(printing) > 3
    for example in printing:
        assert "progress_bar=False" in example.code, f"{example.page}:{example.line}"


def marks(example: Example) -> list[pytest.MarkDecorator]:
    return [pytest.mark.slow] if "import lsdb" in example.code else []


def runnable(language: str) -> list[object]:
    return [
        pytest.param(example, id=f"{example.page}:{example.line}", marks=marks(example))
        for example in examples()
        if example.language == language
        and not example.page.startswith(OTHERS)
        # These need a peer.
        and "CollectionArguments" not in example.code
    ]


@pytest.fixture(scope="session")
def clone(demo: Demo) -> Path:
    """The folder in which the demo was made as `demo`, with this environment as its `.venv`."""
    folder = demo.folder.parent
    (folder / ".venv").symlink_to(sys.prefix, target_is_directory=True)
    return folder


def test_the_pages_have_examples_of_known_kinds_only() -> None:
    blocks = examples()
    assert sum(example.page == "README.md" for example in blocks) == 5
    assert {example.language for example in blocks} <= {"sh", "python"}


def python_for(example: Example) -> list[str]:
    """Return how to run an example: LSDB has an environment of its own, whose warnings are not ours."""
    if "import lsdb" not in example.code:
        return [sys.executable, "-W", "error"]
    assert has_peer("hats-import"), "LSDB is not there: run `make peers`"
    return [str(peer_python("hats-import"))]


@pytest.mark.parametrize("example", runnable("python"))
def test_python_examples_run(example: Example, clone: Path) -> None:
    before = made_in(clone)
    run([*python_for(example), "-c", example.code], clone)
    if "MarginCacheArguments(" in example.code:
        made = made_in(clone) - before
        assert len(made) == (2 if "for threshold in (2, 200)" in example.code else 1)
        assert all(files_of(margin) for margin in made)


def made_in(clone: Path) -> set[Path]:
    """Return what lies in the folder of the demo and in the overlay of the page on collections, but for its list."""
    folders = (clone / "demo", clone / "my_gaia")
    return {path for folder in folders if folder.exists() for path in folder.iterdir() if path.is_dir()}


@pytest.mark.parametrize("example", runnable("sh"))
def test_shell_examples_run(example: Example, clone: Path) -> None:
    printed = ""
    for command in example.code.splitlines():
        if command.startswith("make "):
            only_said(command)
            continue
        if command in INSTALLATIONS:
            continue
        if command.startswith("eval "):
            # The line is for the start-up file of a shell.
            printed = run([sys.executable, "-m", *command.split('"$(')[1].rstrip(')"').split()], clone).stdout
            assert "_SKYMARGIN_COMPLETE=bash_complete" in printed
            continue
        if command.startswith(
            (".venv/bin/skymargin verify demo/", ".venv/bin/skymargin info demo/", COLLECTION)
        ):
            printed = run(command.split(), clone).stdout
            assert printed
            continue
        if command.startswith(".venv/bin/skymargin clean demo "):
            assert "there is nothing to remove" in run(command.split(), clone).stdout
            continue
        if command.startswith(".venv/bin/skymargin plot demo/"):
            picture = clone / run(command.split(), clone).stdout.strip()
            with Image.open(picture) as drawn:
                assert min(drawn.size) > 500
            continue
        assert command.startswith(".venv/bin/skymargin build demo/"), f"not known how to test: {command}"
        before = made_in(clone)
        printed = run(command.split(), clone).stdout
        if command.endswith("--dry-run"):
            assert made_in(clone) == before
            continue
        assert "rows in" in printed
        made = made_in(clone) - before
        assert len(made) == command.count("--threshold ")
        assert all(files_of(margin) for margin in made)
    if example.printed is not None:
        assert steady(printed, clone) == steady(example.printed, clone)


def steady(printed: str, clone: Path) -> list[str]:
    """Return words that are printed, without times, versions and the folder they were printed in."""
    text = printed.replace(f"{clone}/", "")
    return re.sub(r"\bv[\d.]+|[\d.]+ s\b", "...", text).split()


def only_said(command: str) -> None:
    """Check a make command by what it would do; these tests are part of what it does."""
    if shutil.which("make") is None:
        pytest.skip("make is not installed, so what it would do cannot be asked")
    environment = {
        name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL")
    }
    planned = subprocess.run(
        [*command.split(), "--dry-run"], cwd=ROOT, capture_output=True, text=True, env=environment, check=True
    ).stdout
    expected = {
        # The fixture `demo` has run this very command, into a fresh folder of that name.
        "make demo": r"^\.venv/bin/skymargin demo --output demo --overwrite$",
        # It also installs the wheel in an empty environment.
        "make wheel": r"^\.venv/bin/maturin build .*--out dist\b",
    }
    assert re.search(expected[command], planned, re.MULTILINE)


def test_the_picture_of_the_readme_is_the_demos(clone: Path) -> None:
    """The committed picture shows the partition that the demo draws; fonts and versions may differ."""
    shown, drawn = (thumbnail(path) for path in (ROOT / "docs/images/margin.png", clone / "demo/margin.png"))
    # Pictures of two other partitions differ by 9 and more.
    assert np.abs(shown - drawn).mean() < 4


def thumbnail(path: Path) -> NDArray[np.float64]:
    with Image.open(path) as picture:
        return np.asarray(picture.convert("L").resize((64, 32)), dtype=np.float64)
