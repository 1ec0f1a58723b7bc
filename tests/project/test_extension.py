"""The extension that the tests run on checks itself."""

from __future__ import annotations

import tomllib
from pathlib import Path

import skymargin._core as _core

ROOT = Path(__file__).parents[2]


def test_the_extension_checks_its_assertions() -> None:
    assert _core.DEBUG_ASSERTIONS, (
        f"{_core.__file__} is the extension of a release: it checks neither assertions nor overflow. "
        "`make test` puts the checked one in its place, `make checked` does only that"
    )


def test_every_crate_of_the_workspace_is_checked() -> None:
    members = tomllib.loads((ROOT / "Cargo.toml").read_text(encoding="utf-8"))["workspace"]["members"]
    manifests = [(ROOT / member / "Cargo.toml").read_text(encoding="utf-8") for member in members]
    crates = {tomllib.loads(manifest)["package"]["name"] for manifest in manifests}
    checked = tomllib.loads((ROOT / "rust" / "checked.toml").read_text(encoding="utf-8"))
    both = {"debug-assertions": True, "overflow-checks": True}
    assert checked == {"profile": {"release": {"package": dict.fromkeys(crates, both)}}}
