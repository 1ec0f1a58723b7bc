"""Completion: the code for each shell, and what it offers."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from skymargin.cli.main import main
from tests.support.processes import run


@pytest.mark.parametrize(
    ("shell", "words"),
    [
        ("bash", "complete -o nosort -F _skymargin_completion skymargin"),
        ("zsh", "#compdef skymargin"),
        ("fish", "complete --no-files --command skymargin"),
    ],
)
def test_the_code_for_each_shell(shell: str, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    said = capsys.readouterr()
    assert words in said.out
    assert f"_SKYMARGIN_COMPLETE={shell}_complete" in said.out
    assert said.err == ""


def offered(words: str, at: int) -> list[str]:
    """What is offered in bash for a word of a command: each as `KIND,VALUE`."""
    variables = {"_SKYMARGIN_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(at)}
    return run([sys.executable, "-m", "skymargin"], environment=variables).stdout.split()


@pytest.mark.parametrize(
    "words",
    [
        "skymargin build de",
        "skymargin build x --output de",
        "skymargin build x --tmp-dir de",
        "skymargin verify de",
        "skymargin verify x --primary de",
        "skymargin info x de",
        "skymargin plot de",
        "skymargin demo --output de",
    ],
)
def test_folders_complete(words: str) -> None:
    assert offered(words, len(words.split()) - 1) == ["dir,de"]


def test_files_commands_and_choices_complete() -> None:
    assert offered("skymargin plot x --output de", 4) == ["file,de"]
    assert offered("skymargin ver", 1) == ["plain,verify"]
    assert "plain,--threshold" in offered("skymargin build --thr", 2)
    assert offered("skymargin build x --with th", 4) == ["plain,thumbnail"]
    assert offered("skymargin completion ", 2) == ["plain,bash", "plain,zsh", "plain,fish"]


def test_bash_completes_a_folder(tmp_path: Path) -> None:
    """In a real bash: what it would put on the line for `skymargin build de<TAB>`."""
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("there is no bash")
    (tmp_path / "bin").mkdir()
    command = tmp_path / "bin" / "skymargin"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m skymargin "$@"\n')
    command.chmod(0o755)
    (tmp_path / "demo").mkdir()
    script = """
        eval "$(skymargin completion bash)"
        COMP_WORDS=(skymargin build de) COMP_CWORD=2
        compopt() { printf 'options: %s %s\\n' "$@"; }
        _skymargin_completion skymargin de build
        echo "replies: ${COMPREPLY[*]}"
        complete -p skymargin
    """
    path = f"{tmp_path / 'bin'}:/usr/bin:/bin"
    done = subprocess.run(
        [bash, "--norc", "-c", script], capture_output=True, text=True, cwd=tmp_path, check=True,
        env={**os.environ, "PATH": path},
    )  # fmt: skip
    # An empty reply, and completion of folders by bash itself.
    assert done.stdout.splitlines() == [
        "options: -o dirnames",
        "replies: ",
        "complete -o nosort -F _skymargin_completion skymargin",
    ]
