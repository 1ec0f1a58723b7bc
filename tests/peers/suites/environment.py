"""The Python in which the tests of hats-import and LSDB run, in an environment of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from benchmarks.environments import ROOT

FOLDER = ROOT / ".venvs" / "suites"
_REQUIREMENTS = Path(__file__).parent / "requirements.txt"
_OF_HATS_IMPORT = ROOT / "benchmarks" / "requirements-hats-import.txt"
# hats-import skips its tests of collections on this version, where Dask cannot make its indexes.
_SKIPPED_PYTHON = (3, 11)
_OTHERS = ("3.12", "3.13")


def suites_python() -> Path:
    """The Python of the environment, which is made unless it is there with the pinned versions."""
    python = FOLDER / "bin" / "python"
    stamp = FOLDER / ".requirements"
    base = _base_python()
    wanted = "\n".join([base, _REQUIREMENTS.read_text(), _OF_HATS_IMPORT.read_text()])
    if stamp.exists() and stamp.read_text() == wanted:
        return python
    print(f"making the environment of the suites in {FOLDER.relative_to(ROOT)}", flush=True)
    subprocess.run([base, "-m", "venv", "--clear", str(FOLDER)], check=True)
    subprocess.run(
        [str(python), "-m", "pip", "install", "--quiet", "--requirement", str(_REQUIREMENTS)], check=True
    )
    stamp.write_text(wanted)
    return python


def _base_python() -> str:
    """The running Python, or a newer one that is installed, if with this one hats-import skips tests."""
    if sys.version_info[:2] != _SKIPPED_PYTHON:
        return sys.executable
    pyenv = Path(os.environ.get("PYENV_ROOT", "~/.pyenv")).expanduser()
    found = [shutil.which(f"python{version}") for version in _OTHERS]
    found += [str(path) for version in _OTHERS for path in pyenv.glob(f"versions/{version}*/bin/python")]
    return next((path for path in found if path and _works(path)), sys.executable)


def _works(python: str) -> bool:
    """Whether a Python can make an environment: pyenv has names on PATH for versions that are not chosen."""
    code = "import ensurepip, venv"
    return not subprocess.run([python, "-c", code], capture_output=True, check=False).returncode
