"""Java properties files, as HATS keeps its metadata in, without the `hats` library, which takes 1.8 s to import."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from skymargin.errors import CatalogError
from skymargin.storage.paths import atomic_write, read_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from skymargin.storage.paths import AnyPath

# What Java takes for blanks and line ends; other spaces of Unicode are text.
_BLANKS = " \t\f"
_LINE_END = re.compile(r"\r\n|\r|\n")
_KEY = re.compile(r"(?P<key>(?:\\.|[^\\=: \t\f])*)[ \t\f]*[=:]?[ \t\f]*")
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|.)")
_CONTROL = {"t": "\t", "n": "\n", "r": "\r", "f": "\f"}
_ESCAPED = str.maketrans({character: f"\\{name}" for name, character in _CONTROL.items()} | {"\\": "\\\\"})
_ESCAPED_IN_KEY = _ESCAPED | str.maketrans({character: f"\\{character}" for character in " =:#!"})


def read_properties(path: AnyPath) -> dict[str, str]:
    """Keys and values of a properties file.

    Raises
    ------
    CatalogError
        When the file cannot be read as text.
    """
    try:
        text = read_text(path)
    except (OSError, UnicodeDecodeError) as error:
        raise CatalogError(f"{path} cannot be read: {error}") from error
    return parse_properties(text)


def parse_properties(text: str) -> dict[str, str]:
    """Keys and values of the text of a properties file."""
    properties = {}
    for line in _logical_lines(text):
        match = _KEY.match(line)
        if match and match["key"]:
            properties[_unescaped(match["key"])] = _unescaped(line[match.end() :])
    return properties


def write_properties(path: AnyPath, properties: Mapping[str, object], comment: str) -> None:
    """Write keys and values, in their order, below a comment of one line; the file is whole or not there."""
    lines = [f"#{comment}"]
    for key, value in properties.items():
        text = str(value).translate(_ESCAPED)
        # Blanks at the beginning of a value would be taken for those after the separator.
        text = f"\\{text}" if text.startswith(" ") else text
        lines.append(f"{key.translate(_ESCAPED_IN_KEY)}={text}")
    content = "\n".join(lines) + "\n"
    if isinstance(path, Path):
        with atomic_write(path) as aside:
            aside.write_text(content, encoding="utf-8")
    else:
        path.write_text(content, encoding="utf-8")


def edited(text: str, key: str, value: str) -> str:
    """The text of a properties file with one value changed in its place, or added at the end; the rest as it is."""
    line = f"{key.translate(_ESCAPED_IN_KEY)}={value.translate(_ESCAPED)}\n"
    ends = [match.end() for match in _LINE_END.finditer(text)]
    physical = [text[start:end] for start, end in pairwise([0, *ends, len(text)]) if start < end]
    kept: list[str] = []
    done = False
    while physical:
        logical = physical.pop(0)
        if logical.lstrip(_BLANKS)[:1] not in ("#", "!"):
            while physical and _is_continued(logical):
                logical += physical.pop(0)
        if key not in parse_properties(logical):
            kept.append(logical)
        elif not done:
            # Of a key that is there twice, the last counts: one is left.
            kept.append(line)
            done = True
    whole = "".join(kept)
    if done:
        return whole
    return whole + ("" if not whole or whole.endswith(("\n", "\r")) else "\n") + line


def _is_continued(line: str) -> bool:
    """Whether a line ends with an odd number of backslashes."""
    body = line.rstrip("\r\n")
    return (len(body) - len(body.rstrip("\\"))) % 2 == 1


def _logical_lines(text: str) -> list[str]:
    """Lines without comments, with continued lines (ended by an odd number of backslashes) joined."""
    lines: list[str] = []
    continued = False
    for raw in _LINE_END.split(text):
        line = raw.lstrip(_BLANKS)
        if continued:
            lines[-1] += line
        elif line and line[0] not in "#!":
            lines.append(line)
        else:
            continue
        backslashes = len(line) - len(line.rstrip("\\"))
        continued = backslashes % 2 == 1
        if continued:
            lines[-1] = lines[-1][:-1]
    return lines


def _unescaped(text: str) -> str:
    def character(match: re.Match[str]) -> str:
        escape = match[1]
        return chr(int(escape[1:], 16)) if len(escape) == 5 else _CONTROL.get(escape, escape)

    return _ESCAPE.sub(character, text)
