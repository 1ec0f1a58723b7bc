"""A mkdocs hook that inserts the help of every command into the command-line page, and files into pages."""

import re
from pathlib import Path
from typing import Any

import click

MARK = "<!-- help of all commands -->"
# <!-- file PATH as LANGUAGE -->, with the path relative to docs/.
FILE = re.compile(r"<!-- file (\S+) as (\w+) -->")
_DOCS = Path(__file__).parents[1] / "docs"


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Replace the marks in a page with the help of all commands, and with the contents of files."""
    markdown = FILE.sub(lambda mark: _fenced(_DOCS / mark[1], mark[2]), markdown)
    if MARK not in markdown:
        return markdown
    from skymargin.cli.main import cli

    return markdown.replace(MARK, help_pages(cli))


def _fenced(file: Path, language: str) -> str:
    return f"```{language}\n{file.read_text(encoding='utf-8').rstrip()}\n```"


def help_pages(group: click.Group) -> str:
    """Return the help of a group and of each of its commands, as Markdown."""
    # click caches a command's help option on first use: the context must have the command's own settings.
    context = click.Context(group, info_name="skymargin", terminal_width=100, **group.context_settings)
    pages = [("skymargin", group.get_help(context))]
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        command_context = click.Context(
            command, context, info_name=name, terminal_width=100, **command.context_settings
        )
        pages.append((f"skymargin {name}", command.get_help(command_context)))
    return "\n".join(f"## {title}\n\n```text\n{text}\n```\n" for title, text in pages)
