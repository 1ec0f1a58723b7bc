"""The documentation names what there is: pages, pictures, public names, commands."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

import skymargin
import skymargin.polars
from skymargin import errors
from skymargin.cli.main import cli
from skymargin.plot import figures
from tools.mkdocs_hooks import MARK, help_pages, on_page_markdown

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


def pages_of(nav: Any) -> Iterator[str]:
    """Yield the files that a navigation names."""
    if isinstance(nav, str):
        yield nav
    else:
        for entry in nav if isinstance(nav, list) else nav.values():
            yield from pages_of(entry)


def named() -> dict[str, object]:
    """The objects that the reference documents, by their full names."""
    objects = {}
    for page in sorted((DOCS / "reference").glob("*.md")):
        for name in re.findall(r"^::: ([\w.]+)$", page.read_text(encoding="utf-8"), re.MULTILINE):
            module, _, attribute = name.rpartition(".")
            objects[name] = getattr(importlib.import_module(module), attribute)
    return objects


def test_every_page_is_in_the_navigation_once() -> None:
    pages = list(pages_of(yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"]))
    assert len(pages) == len(set(pages))
    assert set(pages) == {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")}


def test_every_public_name_is_in_the_reference_with_its_docstring() -> None:
    documented = named()
    public = {
        *(getattr(skymargin, name) for name in skymargin.__all__ if callable(getattr(skymargin, name))),
        *(getattr(skymargin.polars, name) for name in skymargin.polars.__all__),
        *(getattr(figures, name) for name in figures.__all__),
        *(error for error in vars(errors).values() if isinstance(error, type)),
    }
    missing = [item for item in public if not any(item is other for other in documented.values())]
    assert not missing
    assert len(documented) > 40
    assert not [name for name, item in documented.items() if not (item.__doc__ or "").strip()]


def test_the_page_of_the_commands_has_every_option() -> None:
    page = (DOCS / "reference/command-line.md").read_text(encoding="utf-8")
    text = on_page_markdown(page)
    assert MARK in page
    assert MARK not in text
    assert on_page_markdown("nothing to do") == "nothing to do"
    parts = dict(re.findall(r"^## (.*?)\n\n```text\n(.*?)^```", help_pages(cli), re.MULTILINE | re.DOTALL))
    assert set(parts) == {"skymargin", *(f"skymargin {name}" for name in cli.commands)}
    for name, command in cli.commands.items():
        assert f"Usage: skymargin {name} " in parts[f"skymargin {name}"]
        for option in command.params:
            if isinstance(option, click.Option):
                assert max(option.opts, key=len) in parts[f"skymargin {name}"]
    assert all(len(line) <= 100 for line in text.splitlines() if line.startswith(" "))


@pytest.mark.parametrize("picture", sorted((DOCS / "images").iterdir()), ids=lambda path: path.name)
def test_pictures_are_small_and_used(picture: Path) -> None:
    assert picture.stat().st_size < 150_000
    users = [
        page for page in DOCS.rglob("*.md") if f"images/{picture.name})" in page.read_text(encoding="utf-8")
    ]
    assert users
