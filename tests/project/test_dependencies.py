"""No unsafe Rust of our own, and licences that leave users free, in both halves."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# What the metadata of packages says of licences of this kind, in all spellings.
_FREE = re.compile(r"\b(MIT|BSD|0BSD|Apache|PSF-2\.0|Python Software Foundation|MPL-2\.0|ISC)\b")


def permits(expression: str, allowed: set[str]) -> bool:
    """Whether a licence expression is fulfilled by licences of the list."""
    words = re.split(r"(\(|\)| AND | OR |/)", expression)
    python = {"(": "(", ")": ")", " AND ": " and ", " OR ": " or ", "/": " or "}
    return bool(
        eval(
            "".join(python.get(word, str(word.strip() in allowed) if word.strip() else "") for word in words)
        )
    )


def test_expressions_are_read_as_they_are_meant() -> None:
    assert permits("MIT OR GPL-3.0", {"MIT"})
    assert permits("(MIT/Apache-2.0) AND Unicode-3.0", {"MIT", "Unicode-3.0"})
    assert not permits("MIT AND GPL-3.0", {"MIT"})
    assert not permits("Apache-2.0 WITH LLVM-exception", {"Apache-2.0"})


def test_no_crate_of_ours_may_be_unsafe() -> None:
    workspace = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]
    assert workspace["lints"]["rust"]["unsafe_code"] == "forbid"
    for member in workspace["members"]:
        assert tomllib.loads((ROOT / member / "Cargo.toml").read_text())["lints"] == {"workspace": True}
    rust = [file for member in workspace["members"] for file in (ROOT / member).rglob("*.rs")]
    assert rust
    for file in rust:
        assert not re.search(r"\bunsafe\b(?! code)", re.sub(r"//.*", "", file.read_text())), file


def test_licences_of_crates_are_on_the_list() -> None:
    if not shutil.which("cargo"):
        pytest.skip("there is no cargo")
    command = ["cargo", "metadata", "--offline", "--locked", "--format-version", "1"]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if told.returncode:
        pytest.skip(f"cargo has not fetched the crates: {told.stderr.strip()[-200:]}")
    allowed = set(tomllib.loads((ROOT / "deny.toml").read_text())["licenses"]["allow"])
    packages = json.loads(told.stdout)["packages"]
    assert len(packages) > 50
    assert not [
        f"{one['name']}: {one['license']}" for one in packages if not permits(one["license"] or "", allowed)
    ]
    ours = {one["name"] for one in packages if one["name"].startswith("skymargin-")}
    foreign = [
        one["name"]
        for one in packages
        if not (one["source"] or "").startswith("registry+") and "rust/" not in one["manifest_path"]
    ]
    assert ours == {f"skymargin-{crate}" for crate in ("geometry", "scan", "shuffle", "py", "fuzz")}
    assert not foreign


def test_licences_of_python_packages_leave_users_free() -> None:
    seen: dict[str, str] = {}
    todo = ["skymargin"]
    while todo:
        name = re.sub(r"[-_.]+", "-", todo.pop()).lower()
        if name in seen:
            continue
        try:
            found = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            # Of another platform.
            continue
        about = found.metadata
        # Some have the whole text there, with those of libraries that they bring.
        seen[name] = " ".join(
            [
                about.get("License-Expression") or "",
                (about.get("License") or "")[:200],
                *(about.get_all("Classifier") or []),
            ]
        )
        todo += [
            re.split(r"[^A-Za-z0-9._-]", one)[0] for one in found.requires or [] if "extra ==" not in one
        ]
    assert len(seen) > 20
    assert not [
        name for name, licence in seen.items() if not _FREE.search(licence) or re.search(r"\bA?GPL", licence)
    ]
