"""What gives the paths of partitions, when these are not where the format has them.

LSDB opens such catalogs with a function, its `path_generator`; here a template does, too. Whatever gives the paths is
asked once, in the process that opens the catalog: from then on the catalog has paths.
"""

from __future__ import annotations

import os
import posixpath
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Formatter
from typing import Any, TypeAlias
from urllib.parse import urlsplit

from skymargin.catalogs.layout import Pixel, directory
from skymargin.catalogs.leaf_files import LeafFiles, files_at
from skymargin.errors import ArgumentError
from skymargin.storage.paths import (
    AnyPath,
    absolute,
    expanded,
    recorded_path,
    resolve_reference,
    with_options,
)

# A template, or a function of LSDB: (catalog_base_dir, pixel, query_params, npix_suffix) to the path of the partition.
PathGenerator: TypeAlias = "str | Callable[[Any, Any, dict[str, Any] | None, str], Any]"

_FIELDS = ("order", "dir", "pixel")
_ALLOWED = "allowed are {order}, {dir} and {pixel}, also with a number of digits, such as {pixel:06}"
# In `s3://bucket/` and `https://server/`.
_SLASHES_OF_SERVER = 3
_DOTS = (".", "..")
_DIGITS = re.compile(r"(0?\d{1,2})?d?")


@dataclass(frozen=True)
class PartitionPaths:
    """What gives the paths of partitions.

    Attributes
    ----------
    generator : str or callable
        A template or a function.
    storage_options : mapping or None
        Options of the file system of the files, when the catalog itself is local. Paths of UPath have their own.
    """

    generator: PathGenerator
    storage_options: Mapping[str, Any] | None = None

    @property
    def described(self) -> str:
        """What it is, for messages."""
        if isinstance(self.generator, str):
            return repr(self.generator)
        return str(getattr(self.generator, "__name__", type(self.generator).__name__))


def partition_paths(
    generator: PathGenerator | None, storage_options: Mapping[str, Any] | None = None
) -> PartitionPaths | None:
    """What gives the paths of partitions; None where the format does."""
    checked = check_path_generator(generator)
    return None if checked is None else PartitionPaths(checked, storage_options)


def check_path_generator(value: object) -> PathGenerator | None:
    """A template or a function; None and empty text mean that there is none.

    Raises
    ------
    ArgumentError
        When it is neither, or the template is not valid.
    """
    if value is None or value == "":
        return None
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    if isinstance(value, str):
        _check_template(value)
        return value
    if not callable(value):
        raise ArgumentError(
            f"path_generator {value!r} is not allowed: it must be a template, such as "
            "'files/{order}/{pixel}.parquet', or a function (catalog_base_dir, pixel, query_params, npix_suffix)"
        )
    return value


def generated_files(
    paths: PartitionPaths, catalog: AnyPath, partitions: Sequence[Pixel], suffix: str, listed_in: AnyPath
) -> LeafFiles:
    """The files of partitions at the paths that a template or a function gives.

    Parameters
    ----------
    paths
        What gives the paths.
    catalog
        The catalog, which relative paths are relative to.
    partitions
        Order and pixel of each partition.
    suffix
        What follows the paths of partitions by the catalog's properties; `/` for a folder of files each.
    listed_in
        What lists the partitions.

    Raises
    ------
    ArgumentError
        When the function fails, or the paths cannot be used.
    MissingPartitionError
        When a file is not there.
    CatalogError
        When a path is that of a folder on a server that cannot list it.
    """
    if isinstance(paths.generator, str):
        root, names = _from_template(paths.generator, paths.storage_options, catalog, partitions)
    else:
        root, names = _from_function(paths, catalog, partitions, suffix)
    twice = next((name for name, count in Counter(names).items() if count > 1), None)
    if twice is not None:
        first, other, *_ = (pixel for pixel, name in zip(partitions, names, strict=True) if name == twice)
        raise ArgumentError(
            f"path_generator {paths.described} gives {root / twice} for order {first[0]}, pixel {first[1]} and for "
            f"order {other[0]}, pixel {other[1]}: each partition has files of its own"
        )
    return files_at(
        root, [(name,) for name in names], partitions, listed_in, f"path_generator {paths.described}"
    )


def _check_template(template: str) -> None:
    def refused(reason: str) -> ArgumentError:
        return ArgumentError(f"path_generator {template!r} is not allowed: {reason}")

    text = _expanded(template)
    try:
        parts = list(Formatter().parse(text))
    except ValueError as error:
        raise refused(f"{error}; {{{{ and }}}} stand for braces") from None
    fields = [(name, form, conversion) for _, name, form, conversion in parts if name is not None]
    for name, form, conversion in fields:
        if name not in _FIELDS:
            raise refused(f"{{{name}}} is not known; {_ALLOWED}")
        if conversion or not _DIGITS.fullmatch(form or ""):
            raise refused(f"{{{name}}} is written in a way that is not known; {_ALLOWED}")
    if all(name != "pixel" for name, _, _ in fields):
        raise refused("without {pixel} many partitions would have the same file")
    before = _literal_start(text)
    if ("://" in before and before.count("/") < _SLASHES_OF_SERVER) or (
        "://" in text and "://" not in before
    ):
        raise refused("the server or bucket must be the same for all partitions")


def _expanded(template: str) -> str:
    """A template with the home folder and environment variables in place, and with forward slashes."""
    text = template if "://" in template else str(expanded(template))
    return text if os.sep == "/" or "://" in text else text.replace(os.sep, "/")


def _literal_start(template: str) -> str:
    """The text before the first field of a template, braces as they are in paths."""
    start = ""
    for text, name, _, _ in Formatter().parse(template):
        start += text
        if name is not None:
            break
    return start


def _from_template(
    template: str, options: Mapping[str, Any] | None, catalog: AnyPath, partitions: Sequence[Pixel]
) -> tuple[AnyPath, list[str]]:
    """The folder that the template begins with, and the path of each partition in it."""
    text = _expanded(template)
    start = _literal_start(text)
    start = start[: start.rfind("/") + 1]
    if "://" in start:
        # The slash after a web server stays.
        is_server = start.startswith("http") and start.count("/") == _SLASHES_OF_SERVER
        root = _at_url(catalog, start if is_server else start.rstrip("/"), options)
    elif Path(start).is_absolute():
        root = Path(start)
    else:
        root = _below(absolute(catalog), start)
    names = []
    for order, pixel in partitions:
        name = text.format(order=order, dir=directory(pixel), pixel=pixel).removeprefix(start)
        names.append(posixpath.normpath(name) + "/" * name.endswith("/"))
    if any(name.startswith("../") for name in names):
        raise ArgumentError(
            f"path_generator {template!r} is not allowed: {{order}}, {{dir}} and {{pixel}} come after all .. in it"
        )
    return root, names


def _at_url(catalog: AnyPath, url: str, options: Mapping[str, Any] | None) -> AnyPath:
    """The path at a URL: on the catalog's own server with its options, for a local catalog with those given."""
    path = resolve_reference(catalog, url)
    if isinstance(catalog, Path) and not isinstance(path, Path):
        path = with_options(path, options)
    return _without_dots(path)


def _without_dots(path: AnyPath) -> AnyPath:
    """A remote path with its `.` and `..` resolved: for a store they are names. On disks `..` may follow a link."""
    if isinstance(path, Path):
        return path
    protocol, mark, rest = str(path).partition("://")
    server, slash, inside = rest.partition("/")
    if all(part not in _DOTS for part in inside.split("/")):
        return path
    url = f"{protocol}{mark}{server}{posixpath.normpath(slash + inside)}"
    return with_options(url, path.storage_options)


def _below(folder: AnyPath, relative: str) -> AnyPath:
    """The folder at a relative path; `..` is the parent, on servers too."""
    for part in relative.split("/"):
        if part == "..":
            folder = folder.parent
        elif part not in ("", "."):
            folder = folder / part
    return folder


def _from_function(
    paths: PartitionPaths, catalog: AnyPath, partitions: Sequence[Pixel], suffix: str
) -> tuple[AnyPath, list[str]]:
    """The folder that all paths lie in, and each path in it."""
    from hats.pixel_math import HealpixPixel
    from upath import UPath

    assert not isinstance(paths.generator, str)
    folder = absolute(catalog)
    base = UPath(str(folder)) if isinstance(folder, Path) else folder
    given: list[AnyPath] = []
    for order, pixel in partitions:
        about = f"path_generator {paths.described} for order {order}, pixel {pixel}"
        try:
            value = paths.generator(base, HealpixPixel(order, pixel), None, suffix)
        except Exception as error:
            raise ArgumentError(f"{about} failed: {type(error).__name__}: {error}") from error
        if not isinstance(value, str | os.PathLike | UPath):
            raise ArgumentError(f"{about} gave {value!r}: it must give a path or a URL")
        if isinstance(value, str) and "://" in value:
            path = _at_url(folder, value, paths.storage_options)
        else:
            path = _without_dots(recorded_path(value))
        if isinstance(path, Path) and not path.is_absolute():
            raise ArgumentError(
                f"{about} gave the relative path {path}: it must be absolute, such as catalog_base_dir / {path.name!r}"
            )
        given.append(Path(path.as_posix()) if isinstance(path, Path) else path)
    if not given:
        return folder, []
    return _common_root(given, paths)


def _common_root(given: list[AnyPath], paths: PartitionPaths) -> tuple[AnyPath, list[str]]:
    first = given[0]
    options = getattr(first, "storage_options", {})
    other = next(
        (
            path
            for path in given
            if _server(path) != _server(first) or getattr(path, "storage_options", {}) != options
        ),
        None,
    )
    if other is not None:
        raise ArgumentError(
            f"path_generator {paths.described} gave {first} and {other}: all partitions of a catalog must lie on one "
            "file system or server, with the same storage options"
        )
    texts = [_text(path) for path in given]
    root = first.parent
    while not all(text.startswith(f"{_text(root).rstrip('/')}/") for text in texts) and root != root.parent:
        root = root.parent
    start = len(_text(root).rstrip("/")) + 1
    return root, [text[start:] for text in texts]


def _server(path: AnyPath) -> tuple[str, str]:
    """What a path has in common with all others on its file system: drive, or protocol and server."""
    if isinstance(path, Path):
        return "", path.drive
    return path.protocol, urlsplit(str(path)).netloc


def _text(path: AnyPath) -> str:
    """A path as its file system has it, with forward slashes."""
    return path.as_posix() if isinstance(path, Path) else str(path.path)
