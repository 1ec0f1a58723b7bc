"""The virtual environments of the peers: one each, from pinned requirements, made when first needed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).parent.parent
# Those that the benchmarks race against; hipscat-import is there for the tests alone.
RACED = ("hats-import", "acid")
PEERS = (*RACED, "hipscat-import")
_MODULES = {"hats-import": "hats_import", "acid": "acid", "hipscat-import": "hipscat_import"}
# The newest Python that the pinned versions of a peer are built for.
_NEWEST_PYTHON = {"hipscat-import": (3, 12)}


def peer_python(peer: str) -> Path:
    """The Python of a peer's environment, whether or not it exists yet.

    A variable ``SKYMARGIN_HATS_IMPORT_PYTHON``, named after the peer in this way, names another one; where
    the peer is installed beside the running Python, it is that one.
    """
    if peer not in PEERS:
        raise ValueError(f"peer {peer!r} is unknown: one of {', '.join(PEERS)} is allowed")
    other = os.environ.get(f"SKYMARGIN_{peer.upper().replace('-', '_')}_PYTHON")
    if other:
        return Path(other)
    if find_spec(_MODULES[peer]) is not None:
        return Path(sys.executable)
    return ROOT / ".venvs" / peer / "bin" / "python"


def has_peer(peer: str) -> bool:
    """Whether a peer's environment is complete and has the pinned versions."""
    python = peer_python(peer)
    if python.is_relative_to(ROOT / ".venvs" / peer):
        stamp = python.parent.parent / ".requirements"
        return stamp.exists() and stamp.read_text() == _requirements(peer).read_text()
    return python.exists()


def make_peer(peer: str) -> Path:
    """Make a peer's environment unless it is there; its Python."""
    python = peer_python(peer)
    if has_peer(peer):
        return python
    if not python.is_relative_to(ROOT / ".venvs" / peer):
        raise FileNotFoundError(f"{python}: the Python named for {peer} does not exist")
    folder = python.parent.parent
    print(f"making the environment of {peer} in {folder.relative_to(ROOT)}", flush=True)
    subprocess.run([_interpreter(peer), "-m", "venv", "--clear", str(folder)], check=True)
    subprocess.run(
        [str(python), "-m", "pip", "install", "--quiet", "--requirement", str(_requirements(peer))],
        check=True,
    )
    (folder / ".requirements").write_text(_requirements(peer).read_text())
    return python


def _interpreter(peer: str) -> str:
    """The Python to make a peer's environment with: the running one, unless it is too new."""
    newest = _NEWEST_PYTHON.get(peer, sys.version_info[:2])
    if sys.version_info[:2] <= newest:
        return sys.executable
    major, minor = newest
    for name in (f"python{major}.{minor}", f"python{major}.{minor - 1}"):
        path = shutil.which(name)
        if path:
            return path
    raise FileNotFoundError(
        f"{peer} needs a python{major}.{minor} or older on PATH; this is {sys.version.split()[0]}"
    )


def _requirements(peer: str) -> Path:
    return Path(__file__).parent / f"requirements-{peer}.txt"


def version_of(python: Path | str, package: str) -> str:
    """The version of a package in an environment."""
    code = f"import importlib.metadata as m; print(m.version({package!r}))"
    return subprocess.run(
        [str(python), "-c", code], check=True, capture_output=True, text=True
    ).stdout.strip()
