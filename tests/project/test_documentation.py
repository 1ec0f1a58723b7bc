"""The documentation names what there is: pages, pictures, public names, commands."""

from __future__ import annotations

import importlib
import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import markdown
import pytest
import yaml

import skymargin
import skymargin.polars
from skymargin import errors
from skymargin.cli.main import cli
from skymargin.plot import figures
from tools.mkdocs_hooks import MARK, command_sections, on_config, on_page_markdown
from tools.mkdocs_notebooks import notebooks

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
    # A notebook becomes a page when the site is built.
    sources = [*DOCS.rglob("*.md"), *(book.with_suffix(".md") for book in notebooks())]
    assert len(sources) == len(set(sources))
    assert set(pages) == {path.relative_to(DOCS).as_posix() for path in sources}


def titles_of(nav: Any) -> Iterator[tuple[str, str]]:
    """Yield the titles that a navigation gives to pages, with the pages."""
    for entry in nav:
        if isinstance(entry, dict):
            [(title, inside)] = entry.items()
            if isinstance(inside, str):
                yield title, inside
            else:
                yield from titles_of(inside)


def test_pages_have_the_titles_that_the_navigation_and_the_tables_of_links_say() -> None:
    titles = dict(titles_of(yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"]))
    assert titles.pop("Home") == "index.md"
    heads = {}
    for page in titles.values():
        file = DOCS / page
        if file.exists():
            heads[file.resolve()] = file.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ")
        else:
            book = file.with_suffix(".ipynb")
            [first, *_] = json.loads(book.read_text(encoding="utf-8"))["cells"]
            heads[book.resolve()] = "".join(first["source"]).partition("\n")[0].removeprefix("# ")
    assert list(heads.values()) == list(titles)
    for page in (ROOT / "README.md", DOCS / "index.md"):
        table = page.read_text(encoding="utf-8").partition("## Where to go")[2].partition("\n## ")[0]
        links = [
            (text, (page.parent / link).resolve())
            for text, link in re.findall(r"\[([^]]+)\]\(([^)#]+)\)", table)
            if "docs/" in link or page.parent == DOCS
        ]
        assert len(links) > 20
        # A few words of a sentence may be a link, too.
        assert not [
            (text, target) for text, target in links if text[0].isupper() and heads.get(target, text) != text
        ]


def test_pages_have_no_traceback_and_no_place_of_a_machine() -> None:
    pages = [ROOT / "README.md", *DOCS.rglob("*.md")]
    refused = re.compile(r"(?<![\w.])/(?:work|home|root|Users)/|Traceback \(most recent")
    assert not [str(page) for page in pages if refused.search(page.read_text(encoding="utf-8"))]


# LSDB warns when it is imported.
@pytest.mark.filterwarnings("ignore")
def test_every_public_name_is_in_the_reference_with_its_docstring() -> None:
    documented = named()
    public = {
        *(getattr(skymargin, name) for name in skymargin.__all__ if callable(getattr(skymargin, name))),
        *(getattr(skymargin.lsdb, name) for name in skymargin.lsdb.__all__),
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
    sections = dict(re.findall(r"^## (skymargin.*?) \{.*?\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL))
    assert set(sections) == {"skymargin", *(f"skymargin {name}" for name in cli.commands)}
    for name, command in cli.commands.items():
        section, context = sections[f"skymargin {name}"], click.Context(command, **command.context_settings)
        assert f"```text\nskymargin {name} [OPTIONS]" in section
        entries = re.findall(r"^`(.*)`\n:   (.+)", section, re.MULTILINE)
        options = [option for option in command.get_params(context) if isinstance(option, click.Option)]
        # The names and values of each option, in the order of the help, and all words that the help has for it.
        records = [option.get_help_record(context) for option in options]
        assert {names for names, _ in entries} == {record[0] for record in records if record}
        assert len(entries) == len(options)
        for names, message in entries:
            (record,) = [record for record in records if record and record[0] == names]
            assert words(message.replace("&lt;", "<")) == words(record[1])
        for argument in command.params:
            if isinstance(argument, click.Argument):
                assert argument.make_metavar(context) in section


def words(text: str) -> list[str]:
    """The words of a help, without marks of Markdown."""
    return re.findall(r"[\w<>/=.:-]+", re.sub(r"[`\\*]", "", text).lower())


def test_text_of_a_help_is_shown_as_it_is() -> None:
    @click.command(context_settings={"help_option_names": ["-h", "--help"]})
    @click.option("--name", help="A <name>, a *star*, a_word or [x].  [default: <n>_10]")
    def made(name: str) -> None:
        """Make NAME, see --name.

        \b
        Example: a file
            made --name a_b
        """

    sections = command_sections(click.Group("skymargin", {"made": made}))
    assert "Make NAME, see `--name`.\n\nExample: a file\n\n```sh\nmade --name a_b\n```" in sections
    shown = markdown.markdown(sections, extensions=["attr_list", "def_list", "fenced_code"])
    assert "A &lt;name&gt;, a *star*, <code>a_word</code> or [x]. <em>Default: &lt;n&gt;_10</em>" in shown
    assert '<h2 id="skymargin-made">skymargin made</h2>' in shown
    assert '<a href="#skymargin-made"><code>skymargin made</code></a>' in shown


def test_the_link_to_the_repository_is_that_of_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    config = on_config(SimpleNamespace(repo_url=None, repo_name=None))
    assert config.repo_url == project.get("urls", {}).get("Repository")
    assert (config.repo_name is None) == (config.repo_url is None)


@pytest.mark.parametrize("picture", sorted((DOCS / "images").iterdir()), ids=lambda path: path.name)
def test_pictures_are_small_and_used(picture: Path) -> None:
    assert picture.stat().st_size < 150_000
    users = [
        page for page in DOCS.rglob("*.md") if f"images/{picture.name})" in page.read_text(encoding="utf-8")
    ]
    assert users
