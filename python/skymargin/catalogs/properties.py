"""The files in which a catalog describes itself: Java properties (HATS) and JSON (HiPSCat).

They are read and written without the `hats` library, which takes 1.8 s to import, by the parser that it uses.
"""

from __future__ import annotations

import io
import json
import re
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import skymargin._core as _core
from skymargin.errors import CatalogError
from skymargin.storage.paths import atomic_write, read_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from skymargin.storage.paths import AnyPath

_LINE_END = re.compile(r"\r\n|\r|\n")
# jproperties refuses `\u` without four digits, though the hats library writes the backslashes of values as they are,
# and comments that begin with `#:` and hold no key.
_NO_ESCAPE = re.compile(r"(\\\\)|\\u(?![0-9a-fA-F]{4})")
# The names of the first versions of HATS, and of HiPSCat, and those that HATS has now. The hats library reads both.
HATS_NAMES = {
    "catalog_name": "obs_collection",
    "catalog_type": "dataproduct_type",
    "total_rows": "hats_nrows",
    "ra_column": "hats_col_ra",
    "dec_column": "hats_col_dec",
    "healpix_column": "hats_col_healpix",
    "healpix_order": "hats_col_healpix_order",
    "npix_suffix": "hats_npix_suffix",
    "primary_catalog": "hats_primary_table_url",
    "margin_threshold": "hats_margin_threshold",
}
# What wrote a catalog, as its properties name it.
BUILDER_NAME = "skymargin v"
BUILDER = f"{BUILDER_NAME}{_core.VERSION}"
# Properties that catalogs and margins set themselves: by the names of the `hats` library and by those in the file.
OWN_PROPERTIES = frozenset(
    {
        *HATS_NAMES,
        *HATS_NAMES.values(),
        *("hats_order", "moc_sky_fraction", "hats_builder", "hats_creation_date"),
        *("hats_estsize", "hats_release_date", "hats_version"),
    }
)
# What the properties of a margin of a part of its catalog say: it must not be taken for a complete one.
CONE = "skymargin_cone_deg"
FILTER_PIXELS = "skymargin_debug_filter_pixel_list"
# Editors on Windows begin files with it.
_BYTE_ORDER_MARK = "\ufeff"
# pandas writes whole numbers as floats where a column has a missing value, and the hats library reads them.
_WHOLE_NUMBER = re.compile(r"([0-9]{1,40})(\.0{0,40})?")
_METADATA_COMMENT = re.compile(r"((?:\A|(?<![\\\r])(?:\r\n|\r|\n))[ \t\f]*[#!]):+")


def read_properties(path: AnyPath) -> dict[str, str]:
    """Keys and values of a properties file.

    Raises
    ------
    CatalogError
        When the file cannot be read, or is not a properties file in UTF-8.
    """
    try:
        return parse_properties(read_text(path))
    except (OSError, ValueError) as error:
        raise CatalogError(f"{path} cannot be read: {error}") from error


def read_hats_properties(path: AnyPath) -> dict[str, str]:
    """Keys and values of the properties of a HATS catalog, older keys under their present names.

    Raises
    ------
    CatalogError
        As `read_properties`.
    """
    return with_hats_names(read_properties(path))


def with_hats_names(properties: Mapping[str, str]) -> dict[str, str]:
    """Properties under the names that HATS has for them now; where both are given, the present name counts."""
    renamed = {HATS_NAMES[key]: value for key, value in properties.items() if key in HATS_NAMES}
    return renamed | {key: value for key, value in properties.items() if key not in HATS_NAMES}


def parse_properties(text: str) -> dict[str, str]:
    """Keys and values in the text of a properties file.

    Raises
    ------
    ValueError
        When the text is not that of a properties file.
    """
    from jproperties import ParseError, Properties

    properties = Properties()
    try:
        text = _METADATA_COMMENT.sub(r"\1", without_byte_order_mark(text))
        properties.load(_NO_ESCAPE.sub(lambda match: match[1] or "u", text))
    except ParseError as error:
        raise ValueError(f"line {error.line_number}: {error.message}") from error
    return {key: value for key, value in properties.properties.items() if key}


def write_properties(path: AnyPath, properties: Mapping[str, object], comment: str) -> None:
    """Write keys and values in their order, below a comment of one line; a local file appears when it is complete."""
    _write_text(path, properties_text(properties, comment))


def properties_text(properties: Mapping[str, object], comment: str) -> str:
    """The text of a properties file: keys and values in their order, below a comment of one line."""
    return f"#{comment}\n{_lines(properties)}"


def edit_properties(text: str, key: str, value: str | None) -> str:
    """Change one value in the text of a properties file, or add it at the end; everything else stays as it is.

    None removes the key.
    """
    line = _lines({key: value}) if value is not None else ""
    ends = [match.end() for match in _LINE_END.finditer(text)]
    physical = [text[start:end] for start, end in pairwise([0, *ends, len(text)]) if start < end]
    kept: list[str] = []
    is_changed = False
    while physical:
        logical = physical.pop(0)
        if logical.lstrip(" \t\f")[:1] not in ("#", "!"):
            while physical and _is_continued(logical):
                logical += physical.pop(0)
        if key not in parse_properties(logical):
            kept.append(logical)
        elif not is_changed:
            # The last of two lines with one key counts; one line is left.
            kept.append(line)
            is_changed = True
    whole = "".join(kept)
    if is_changed or value is None:
        return whole
    return whole + ("" if not whole or whole.endswith(("\n", "\r")) else "\n") + line


def without_byte_order_mark(text: str) -> str:
    """Text of a file without the mark that it may begin with."""
    return text.removeprefix(_BYTE_ORDER_MARK)


def whole_number(text: str) -> int | None:
    """A whole number, 0 or more, also one that is written like ``120.0``; None when the text is none."""
    match = _WHOLE_NUMBER.fullmatch(text.strip())
    return int(match[1]) if match else None


def read_json(path: AnyPath) -> dict[str, Any]:
    """Keys and values of a JSON file.

    Raises
    ------
    CatalogError
        When the file cannot be read, or holds something else than an object.
    """
    try:
        content = json.loads(without_byte_order_mark(read_text(path)))
    # Text that is not JSON or not UTF-8 is a ValueError, and brackets nested too deeply a RecursionError.
    except (OSError, ValueError, RecursionError) as error:
        raise CatalogError(f"{path} cannot be read as JSON: {error}") from error
    if not isinstance(content, dict):
        raise CatalogError(
            f"{path} holds {type(content).__name__} {content!r:.60}, not an object of keys and values"
        )
    return content


def write_json(path: AnyPath, content: Mapping[str, object]) -> None:
    """Write keys and values as the hipscat library does; a local file appears when it is complete."""
    _write_text(path, json.dumps(content, indent=4) + "\n")


def _write_text(path: AnyPath, content: str) -> None:
    if isinstance(path, Path):
        with atomic_write(path) as aside:
            aside.write_text(content, encoding="utf-8")
    else:
        path.write_text(content, encoding="utf-8")


def _lines(properties: Mapping[str, object]) -> str:
    from jproperties import Properties

    # As the hats library writes them, but for backslashes and tabs, which would not be read back as they are.
    lines = Properties(process_escapes_in_values=False)
    for key, value in properties.items():
        lines[key] = str(value).replace("\\", "\\\\").replace("\t", "\\t")
    lines._key_order = list(properties)
    sink = io.BytesIO()
    lines.store(sink, encoding="utf-8", timestamp=False)
    return sink.getvalue().decode()


def _is_continued(line: str) -> bool:
    """Whether a line ends with an odd number of backslashes."""
    body = line.rstrip("\r\n")
    return (len(body) - len(body.rstrip("\\"))) % 2 == 1
