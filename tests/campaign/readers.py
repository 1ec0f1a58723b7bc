"""Who takes a folder for a valid catalog."""

from __future__ import annotations

from typing import Any

from skymargin import SkymarginError, verify


def accepting(path: Any, format_name: str = "hats") -> list[str]:
    """Return who takes a path for a valid catalog: the library of its format, and `verify`."""
    readers = []
    try:
        _read(path, format_name)
        readers.append("the library")
    except Exception:
        # Each library refuses in ways of its own.
        pass
    try:
        if verify(path, progress_bar=False).right:
            readers.append("verify")
    except SkymarginError:
        pass
    return readers


def _read(path: Any, format_name: str) -> None:
    if format_name == "hats":
        import hats

        hats.read_hats(path)
    else:
        from hipscat.loaders.read_from_hipscat import read_from_hipscat

        read_from_hipscat(str(path), storage_options=getattr(path, "storage_options", None))
