"""A mkdocs hook that inserts the help of every command into the command-line page."""

from typing import Any

import click

MARK = "<!-- help of all commands -->"


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Replace the mark in a page with the help of all commands."""
    if MARK not in markdown:
        return markdown
    from skymargin.cli.main import cli

    return markdown.replace(MARK, help_pages(cli))


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
