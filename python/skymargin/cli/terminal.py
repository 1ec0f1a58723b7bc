"""What is printed and how: colours and progress bars on terminals alone, errors and warnings on standard error."""

from __future__ import annotations

import logging
import os
import re
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

import click

from skymargin.cli.words import in_words_of_options

# Parts of reports that have a colour.
_COLOURS: tuple[tuple[re.Pattern[str], dict[str, Any]], ...] = (
    (re.compile(r"^WARNING(?= )", re.MULTILINE), {"fg": "yellow", "bold": True}),
    (re.compile(r"(?<=^Result  : )WRONG", re.MULTILINE), {"fg": "red", "bold": True}),
    (re.compile(r"(?<=^Result  : )right", re.MULTILINE), {"fg": "green", "bold": True}),
)


def has_colour(stream: TextIO) -> bool:
    """Whether a stream shows colours: a terminal, unless NO_COLOR is set, whatever to (https://no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def shows_bars(is_wanted: bool) -> bool:
    """Whether to show progress bars: elsewhere than on a terminal they would be one long line of carriage returns."""
    return is_wanted and sys.stderr.isatty()


def coloured(text: str, stream: TextIO) -> str:
    """A report with the colours of its parts, if the stream shows any."""
    if has_colour(stream):
        for part, style in _COLOURS:
            text = part.sub(lambda match, style=style: click.style(match[0], **style), text)  # type: ignore[misc]
    return text


def print_error(message: str) -> None:
    """Print an error, in one line, in the words of the command line."""
    _print_message("error", message, fg="red", bold=True)


def print_warning(message: str) -> None:
    """Print a warning, in one line, in the words of the command line."""
    _print_message("warning", message, fg="yellow", bold=True)


class _PrintedLog(logging.Handler):
    """Prints what the package logs."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print a message."""
        print_warning(record.getMessage())


@contextmanager
def printed_messages() -> Iterator[None]:
    """Print the warnings of a block, and those that the package logs, each in one line."""

    def show(message: Warning | str, *_where: object) -> None:
        print_warning(str(message))

    logger, handler = logging.getLogger("skymargin"), _PrintedLog(logging.WARNING)
    logger.addHandler(handler)
    try:
        with warnings.catch_warnings():
            warnings.showwarning = show  # type: ignore[assignment]
            yield
    finally:
        logger.removeHandler(handler)


def give_up_output() -> None:
    """Print nothing more: standard output cannot be written, and Python would complain of that again when it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def one_line(message: str) -> str:
    """A message on one line; characters that a terminal would interpret are escaped, as they may come from a file."""
    # Spaces stay as they are: names of files may have several.
    line = " ".join(stripped for line in message.splitlines() if (stripped := line.strip()))
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in line)


def _print_message(kind: str, message: str, **style: Any) -> None:
    head = click.style(f"{kind}:", **style) if has_colour(sys.stderr) else f"{kind}:"
    line = f"skymargin: {head} {one_line(in_words_of_options(message))}"
    bars = sys.modules.get("tqdm.std")
    if bars is None:
        print(line, file=sys.stderr)
    else:
        # Above the progress bars that are shown.
        bars.tqdm.write(line, file=sys.stderr)
