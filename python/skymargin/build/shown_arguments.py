"""How arguments look: only those that differ from their defaults."""

from __future__ import annotations

import re
from dataclasses import MISSING, fields
from typing import Any

from skymargin.shown import Table

# Of an object in memory, which is another in each run.
_ADDRESS = re.compile(r" at 0x[0-9A-Fa-f]+")
# In a URL, what is between the name of the user and the server.
_PASSWORD = re.compile(r"(\b[A-Za-z][\w+.-]*://[^\s/@:'\"]*:)[^\s/'\"]+@")


class ShownArguments:
    """Arguments that show what differs from the defaults; never storage options, which may hold credentials."""

    def _given(self) -> dict[str, Any]:
        return {
            each.name: value
            for each in fields(self)  # type: ignore[arg-type]
            if each.repr and not _is_default(value := getattr(self, each.name), each.default)
        }

    def __repr__(self) -> str:
        given = ", ".join(f"{name}={_plain(value)}" for name, value in self._given().items())
        return f"{type(self).__name__}({given})"

    def _repr_html_(self) -> str:
        rows = [(name, _plain(value)) for name, value in self._given().items()]
        return Table(type(self).__name__, [*rows, ("all others", "their defaults")]).to_html()


def _is_default(value: Any, default: Any) -> bool:
    if default is MISSING:
        return False
    # None, empty text and an empty list of pixels mean the same.
    return bool(value == default) or (not value and not default and not isinstance(value, bool | int | float))


def _plain(value: Any) -> str:
    """The value as it would be given; paths as text, in which their storage options are left out."""
    if hasattr(value, "__fspath__") or hasattr(value, "storage_options"):
        value = str(value)
    elif callable(value) and hasattr(value, "__qualname__"):
        return f"{value.__module__}.{value.__qualname__}"
    text = repr(value)
    if not isinstance(value, str):
        text = _ADDRESS.sub("", text)
    return _PASSWORD.sub(r"\1***@", text)
