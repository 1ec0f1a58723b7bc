"""A mkdocs hook: the help of every command on the command-line page, files in pages, the link to the repository."""

import inspect
import re
import tomllib
from pathlib import Path
from typing import Any

import click

MARK = "<!-- help of all commands -->"
# <!-- file PATH as LANGUAGE -->, with the path relative to docs/.
FILE = re.compile(r"<!-- file (\S+) as (\w+) -->")
_ROOT = Path(__file__).parents[1]
_DOCS = _ROOT / "docs"
# click's own mark of a paragraph that keeps its lines.
_KEPT_LINES = "\b"
# What a message of our options says of its default.
_DEFAULT = re.compile(r" *\[(default: .*|required)\]$")
# What is code in a help: text between backquotes, options, words with underscores or slashes within.
_CODE = re.compile(r"(`[^`]+`|(?<![\w-])--[a-z][\w-]*|[\w~.$-]*\w[_/][\w./-]*\w(?:=\S+)?|~/[\w./-]*\w)")


def on_config(config: Any, **_: Any) -> Any:
    """Link to the repository that pyproject.toml names, if it names one."""
    project = tomllib.loads((_ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    address = project.get("urls", {}).get("Repository")
    if address:
        config.repo_url, config.repo_name = address, project["name"]
    return config


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Replace the marks in a page with the help of all commands, and with the contents of files."""
    markdown = FILE.sub(
        lambda mark: _fenced((_DOCS / mark[1]).read_text(encoding="utf-8"), mark[2]), markdown
    )
    if MARK not in markdown:
        return markdown
    from skymargin.cli.main import cli

    return markdown.replace(MARK, command_sections(cli))


def command_sections(group: click.Group) -> str:
    """Return what `--help` says of a group and of each of its commands, as sections in Markdown."""
    # click caches a command's help option on first use: the context must have the command's own settings.
    context = click.Context(group, info_name="skymargin", **group.context_settings)
    contexts = [
        click.Context(command, context, info_name=name, **command.context_settings)
        for name, command in group.commands.items()
    ]
    paths = [(each.command_path, each.command.get_short_help_str(limit=200)) for each in contexts]
    commands = [f"[`{path}`](#{_anchor(path)})\n:   {_prose(line)}" for path, line in paths]
    return "\n\n".join([_section(context), "### Commands", *commands, *map(_section, contexts)]) + "\n"


def _section(context: click.Context) -> str:
    """One command: how it is called, what it does, its options by group."""
    command, path = context.command, context.command_path
    called = f"{path} {' '.join(command.collect_usage_pieces(context))}"
    parts = [f"## {path} {{: #{_anchor(path)} }}", _fenced(called, "text"), *_paragraphs(command)]
    groups: dict[str, list[str]] = {}
    for option in command.get_params(context):
        record = option.get_help_record(context) if isinstance(option, click.Option) else None
        if record is not None:
            groups.setdefault(getattr(option, "group", "Options"), []).append(_entry(*record))
    for heading, entries in groups.items():
        parts += [f"### {heading} {{: #{_anchor(path, heading)} }}", *entries]
    return "\n\n".join(parts)


def _entry(names: str, message: str) -> str:
    """An option as an entry of a definition list."""
    default = _DEFAULT.search(message)
    text = _prose(message[: default.start()] if default else message)
    return f"`{names}`\n:   {text}" + (
        f" *{default[1][0].upper()}{_prose(default[1][1:])}*" if default else ""
    )


def _paragraphs(command: click.Command) -> list[str]:
    """The text of a command; kept lines are an example, a sentence and then commands."""
    parts = []
    for paragraph in inspect.cleandoc(command.help or "").split("\n\n"):
        if not paragraph.startswith(_KEPT_LINES):
            parts.append(_prose(" ".join(paragraph.split())))
            continue
        sentence, *commands = paragraph.removeprefix(_KEPT_LINES).strip().splitlines()
        parts += [_prose(sentence), _fenced("\n".join(line.strip() for line in commands), "sh")]
    return parts


def _prose(text: str) -> str:
    """Text of a help as Markdown: names of options, variables and files as code, nothing else with a meaning."""
    pieces = re.split(_CODE, text)
    return "".join(
        f"`{piece.strip('`')}`" if place % 2 else re.sub(r"([\\*_\[\]])", r"\\\1", piece).replace("<", "&lt;")
        for place, piece in enumerate(pieces)
    )


def _anchor(*words: str) -> str:
    return "-".join(words).lower().replace(" ", "-")


def _fenced(text: str, language: str) -> str:
    return f"```{language}\n{text.rstrip()}\n```"
