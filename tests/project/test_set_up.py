"""What a machine lacks is said in one line, before anything is made."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.processes import run

ROOT = Path(__file__).parents[2]
SHELL_TOOLS = ("sh", "sed", "head")

PARTS = ("Python >= 3.11", "venv module", "cargo (", "rustc (", "Rust >= 1.", "C linker")

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the set-up is a POSIX shell script")


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A folder for PATH that has the plain tools of a shell and whatever a test puts there."""
    for tool in SHELL_TOOLS:
        path = shutil.which(tool)
        assert path
        (tmp_path / tool).symlink_to(path)
    return tmp_path


def install(machine: Path, tool: str, script: str) -> None:
    (machine / tool).write_text(f"#!{shutil.which('sh')}\n{script}\n")
    (machine / tool).chmod(0o755)


def preflight(machine: Path, python: str = "") -> subprocess.CompletedProcess[str]:
    command = [machine / "sh", ROOT / "tools" / "preflight.sh", python]
    return run(command, ROOT, {"PATH": str(machine)}, code=None)


def whole(machine: Path) -> None:
    install(machine, "python3", "exit 0")
    install(machine, "cargo", "exit 0")
    install(machine, "rustc", "echo 'rustc 1.99.0 (0123456 2027-01-01)'")
    install(machine, "cc", "exit 0")


def test_a_whole_machine_is_told_its_python(machine: Path) -> None:
    whole(machine)
    done = preflight(machine)
    assert (done.returncode, done.stdout, done.stderr) == (0, "python3\n", "")


def test_all_that_is_missing_is_one_line(machine: Path) -> None:
    done = preflight(machine)
    assert done.returncode == 1
    assert not done.stdout
    assert done.stderr.count("\n") == 1
    for part in ("Python >= 3.11", "cargo", "C linker named cc"):
        assert part in done.stderr


@pytest.mark.parametrize(
    ("tool", "script", "message"),
    [
        ("python3", "exit 1", "Python >= 3.11 (install it"),
        ("python3", 'case "$2" in *ensurepip*) exit 1;; esac', "the venv module of python3"),
        ("cargo", None, "cargo (the Rust toolchain"),
        ("rustc", None, "rustc (the Rust toolchain is incomplete"),
        ("rustc", "echo 'rustc 1.70.0 (0123456 2023-01-01)'", "(found: rustc 1.70.0"),
        ("rustc", "echo 'error: no default toolchain' >&2; exit 1", "(found: error: no default toolchain"),
        ("cc", None, "a C linker named cc"),
    ],
)
def test_one_missing_part_is_named(machine: Path, tool: str, script: str | None, message: str) -> None:
    whole(machine)
    (machine / tool).unlink()
    if script is not None:
        install(machine, tool, script)
    done = preflight(machine)
    assert done.returncode == 1
    assert done.stderr.startswith("skymargin needs: ")
    assert done.stderr.count("\n") == 1
    assert message in done.stderr
    assert sum(part in done.stderr for part in PARTS) == 1


def test_the_python_asked_for_is_taken_or_refused(machine: Path) -> None:
    whole(machine)
    install(machine, "python4", "exit 0")
    assert preflight(machine, "python4").stdout == "python4\n"
    install(machine, "python4", '[ "$1" = --version ] && echo Python 3.9.1; exit 1')
    assert "PYTHON=python4 is Python 3.9.1" in preflight(machine, "python4").stderr
    assert "PYTHON=python5 does not exist" in preflight(machine, "python5").stderr


def test_the_oldest_python_and_rust_are_those_that_the_manifests_name() -> None:
    script = (ROOT / "tools" / "preflight.sh").read_text(encoding="utf-8")
    assert 'requires-python = ">=3.11"' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert "sys.version_info < (3, 11)" in script
    assert 'rust-version = "1.' in (ROOT / "Cargo.toml").read_text(encoding="utf-8")
