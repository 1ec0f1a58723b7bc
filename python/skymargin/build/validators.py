"""Checks of argument values: each returns the value to keep, or raises an error that says what is allowed."""

from __future__ import annotations

import inspect
import math
import re
import warnings
from collections.abc import Callable, Iterable, Mapping
from numbers import Integral
from pathlib import Path
from typing import Any

from skymargin.build.memory import read_size
from skymargin.catalogs.properties import OWN_PROPERTIES
from skymargin.errors import ArgumentError, ThresholdWarning
from skymargin.geometry.angles import allowed_arcsec, as_float, in_degrees, is_quantity
from skymargin.geometry.limits import LARGEST_ORDER
from skymargin.storage.paths import TEMP_MARK, AnyPath, is_path, with_options
from skymargin.storage.remote import is_http

# Thresholds beyond these are rare: a hundredth of what catalogs resolve, and a degree.
_SMALL_ARCSEC = 0.01
_LARGE_ARCSEC = 3600
# Worker processes, and threads of each: more than any machine has cores.
MOST_WORKERS = 1024
_NAME = re.compile(r"[A-Za-z0-9._-]+")
# File systems allow 255 bytes, and the longest name of an intermediate folder adds 47.
_LONGEST_NAME = 200
_SUFFIX = re.compile(r"\.[A-Za-z0-9][A-Za-z0-9._-]*")
# Readers skip names that begin with a dot or an underscore.
_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._=-]*\.(parquet|parq)")
_VARIABLE = re.compile(r"\$\{?([A-Za-z_][A-Za-z0-9_]*)")
_PASSWORD_IN_URL = re.compile(r"(?:https?|s?ftp|ssh|smb)://[^/@:]*:[^/@]+@")
# Neither control characters nor halves of surrogate pairs.
_IN_ADDRESS = r"[^@\x00-\x20\x7f-\xa0\u2028\u2029\ud800-\udfff,;:<>()\[\]\\\"]+"
_ADDRESS = re.compile(f"{_IN_ADDRESS}@{_IN_ADDRESS}")

# What the pipeline itself gives to progress bars and to the Parquet writer.
_BAR_OWN = ("iterable", "desc", "total", "disable")
_WRITER_OWN = ("self", "where", "schema", "filesystem", "options")
# Keyword arguments that would break a promise: a margin has the types and values of its catalog, ordered by index.
_WRITER_PROMISED = {
    "flavor": "columns keep their names and types",
    "version": "columns keep their types",
    "use_deprecated_int96_timestamps": "timestamps keep their type",
    "write_time_adjusted_to_utc": "times keep their type",
    "store_decimal_as_integer": "columns keep their physical type",
    "store_schema": "the file says the Arrow types of its columns",
    "sorting_columns": "the rows of a margin are in the order of the index column",
    "metadata_collector": "the footers go into _metadata",
    "encryption_properties": "readers of a catalog have no keys",
}


def yes_or_no(name: str, value: object) -> bool:
    """A switch."""
    if not isinstance(value, bool):
        raise ArgumentError(f"{name} must be True or False, not {value!r}")
    return value


def whole_number(name: str, value: object, least: int, most: float = math.inf) -> int:
    """A whole number within bounds."""
    if isinstance(value, bool) or not isinstance(value, Integral) or not least <= int(value) <= most:
        allowed = f"{least} or more" if most == math.inf else f"{least} to {most}"
        raise ArgumentError(f"{name} {value!r} is not allowed: it must be a whole number, {allowed}")
    return int(value)


def seconds(name: str, value: object) -> float:
    """A duration."""
    duration_seconds = as_float(value)
    # Negated so that NaN fails.
    if not duration_seconds >= 0:
        raise ArgumentError(f"{name} {value!r} is not allowed: it must be a number of seconds, 0 or more")
    return duration_seconds


def threshold_arcsec(value: object) -> float:
    """A threshold."""
    return allowed_arcsec("margin_threshold", value)


def warn_of_unit(threshold: object) -> None:
    """Warn of a threshold without a unit that is allowed, but so unusual that another unit may be meant."""
    if is_quantity(threshold):
        return
    arcsec = threshold_arcsec(threshold)
    if arcsec < _SMALL_ARCSEC:
        question = f"did you mean degrees? {arcsec:g} degrees are {arcsec * 3600:g} arcseconds"
    elif arcsec > _LARGE_ARCSEC:
        question = f"did you mean that many? {arcsec:g} arcseconds are {arcsec / 3600:g} degrees"
    else:
        return
    warn_caller(f"margin_threshold {arcsec:g} is a number of arcseconds: {question}", ThresholdWarning)


def warn_caller(message: str, category: type[Warning]) -> None:
    """Warn with the place in the code that has called this package."""
    level, frame = 1, inspect.currentframe()
    while frame is not None and str(frame.f_globals.get("__name__", "")).partition(".")[0] == "skymargin":
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)


def artifact_name(value: object) -> str:
    """The name of a catalog, which is that of its folder; None and empty text mean the default."""
    if value is None or value == "":
        return ""
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise ArgumentError(
            f"output_artifact_name {value!r} is not allowed: "
            "it must be a folder name of letters, digits, dots, dashes and underscores"
        )
    if not value.strip("."):
        raise ArgumentError(f"output_artifact_name {value!r} is not a name")
    if len(value) > _LONGEST_NAME:
        raise ArgumentError(
            f"output_artifact_name {value[:20]!r}... of {len(value)} characters is not allowed: "
            f"it must have at most {_LONGEST_NAME}, so that intermediate files can be named after it"
        )
    if TEMP_MARK in value:
        raise ArgumentError(
            f"output_artifact_name {value!r} is not allowed: names with {TEMP_MARK!r} are those of intermediate files"
        )
    return value


def path_or_url(name: str, value: Any) -> Any:
    """A required path; kept as given."""
    if not is_path(value) or not str(value).strip():
        raise ArgumentError(f"{name} is required, as a path or URL, not {value!r}")
    if "\0" in str(value):
        raise ArgumentError(f"{name} {value!r} is not allowed: no path has a null character")
    if _PASSWORD_IN_URL.match(str(value)):
        raise ArgumentError(
            f"{name} has a password in its URL, where it would be printed: give storage options"
        )
    return value


def output_path(value: Any) -> Any:
    """A path; None or empty text, which only `add_to_collection` and `collection` allow."""
    if value is None or value == "":
        return value
    _refuse_unset_variable("output_path", path_or_url("output_path", value))
    return value


def local_folder(name: str, value: Any) -> Path | None:
    """A folder on this machine, which need not exist; None and empty text mean none."""
    if value is None or value == "":
        return None
    if not is_path(value):
        raise ArgumentError(f"{name} {value!r} is not allowed: it must be a local folder, or None")
    if "\0" in str(value):
        raise ArgumentError(f"{name} {value!r} is not allowed: no path has a null character")
    path = with_options(value, None)
    if not isinstance(path, Path):
        raise ArgumentError(f"{name} {value} must be a local folder")
    _refuse_unset_variable(name, path)
    return path


def writable_folder(name: str, value: Any) -> AnyPath | None:
    """A folder that files can be written to, on this machine or not, which need not exist; None and empty: none."""
    if value is None or value == "" or "://" not in str(value):
        return local_folder(name, value)
    path = with_options(path_or_url(name, value), None)
    if not isinstance(path, Path) and is_http(path):
        raise ArgumentError(f"{name} {value} is not allowed: no files can be written over HTTP")
    return path


def keywords(name: str, value: object) -> dict[str, Any]:
    """Keyword arguments; None means none."""
    if value is None:
        return {}
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise ArgumentError(f"{name} must be a dict with text keys, not {value!r}")
    return dict(value)


def pixels(name: str, value: object) -> list[tuple[int, int]]:
    """Pixels as pairs (order, pixel); objects with these attributes are accepted, such as the HealpixPixel of hats."""
    if value is None:
        return []
    rule = f"{name} is a list of pixels, each a pair (order, pixel) with order 0 to {LARGEST_ORDER}"
    if isinstance(value, str | Mapping) or not isinstance(value, Iterable):
        raise ArgumentError(f"{rule}; not {value!r}")
    pairs = []
    for item in value:
        pair = (item.order, item.pixel) if hasattr(item, "order") and hasattr(item, "pixel") else item
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            raise ArgumentError(f"{rule}; not {item!r}")
        order = whole_number(f"{name}: the order", pair[0], 0, LARGEST_ORDER)
        pairs.append((order, whole_number(f"{name}: the pixel", pair[1], 0, 12 * 4**order - 1)))
    return pairs


def cone(value: object) -> tuple[float, float, float] | None:
    """A cone on the sky: right ascension, declination, radius."""
    if value is None:
        return None
    rule = (
        "cone is (ra_deg, dec_deg, radius_deg): right ascension -360 to 360, declination -90 to 90, "
        "radius above 0 and at most 90 degrees"
    )
    angles = [in_degrees("cone", angle) for angle in value] if isinstance(value, tuple | list) else value
    try:
        ra_deg, dec_deg, radius_deg = (float(angle) for angle in angles)  # type: ignore[attr-defined]
    except (TypeError, ValueError, OverflowError):
        raise ArgumentError(f"{rule}; not {value!r}") from None
    # Negated so that NaN fails.
    if not (abs(ra_deg) <= 360 and abs(dec_deg) <= 90 and 0 < radius_deg <= 90):
        raise ArgumentError(f"{rule}; not {value!r}")
    return ra_deg, dec_deg, radius_deg


def email_address(value: object) -> str:
    """Addresses on one line with commas between; None and empty text mean none."""
    if value is None or value == "":
        return ""
    if not isinstance(value, str) or not all(
        _ADDRESS.fullmatch(address.strip(" ")) for address in value.split(",")
    ):
        raise ArgumentError(
            f"completion_email_address {value!r} is not allowed: "
            "it must be an address like name@example.org, or several with commas between"
        )
    return value


def bar_keywords(value: object) -> dict[str, Any]:
    """Keyword arguments of `tqdm`."""
    given = keywords("tqdm_kwargs", value)
    if given:
        from tqdm.std import tqdm

        _refuse_unknown("tqdm_kwargs", given, tqdm.__init__, _BAR_OWN)
    return given


def writer_keywords(value: object) -> dict[str, Any]:
    """Keyword arguments of `pyarrow.parquet.write_table` that break no promise of a margin."""
    given = keywords("write_table_kwargs", value)
    for key in given:
        if key in _WRITER_PROMISED:
            raise ArgumentError(f"write_table_kwargs[{key!r}] is not allowed: {_WRITER_PROMISED[key]}")
    if "row_group_size" in given:
        size = given["row_group_size"]
        given["row_group_size"] = whole_number("write_table_kwargs['row_group_size']", size, 1)
    if given:
        from pyarrow.parquet import ParquetWriter

        plain = {key: kept for key, kept in given.items() if key not in ("row_group_size", "data_page_size")}
        _refuse_unknown("write_table_kwargs", plain, ParquetWriter.__init__, _WRITER_OWN)
    return given


def row_group_keywords(value: object) -> dict[str, int]:
    """How rows are divided into row groups: `num_rows` or `subtile_order_delta`, or neither."""
    given = keywords("row_group_kwargs", value)
    if len(given) > 1 or not set(given) <= {"num_rows", "subtile_order_delta"}:
        raise ArgumentError(
            f"row_group_kwargs {given!r} is not allowed: it must have num_rows or subtile_order_delta, and nothing else"
        )
    return {
        key: whole_number(f"row_group_kwargs[{key!r}]", kept, 1 if key == "num_rows" else 0)
        for key, kept in given.items()
    }


def properties(value: object) -> dict[str, Any]:
    """Properties that a margin does not set itself."""
    given = keywords("addl_hats_properties", value)
    for key in given:
        if key in OWN_PROPERTIES:
            raise ArgumentError(f"addl_hats_properties must not contain {key!r}: the margin sets it")
        if not re.fullmatch(r"[A-Za-z0-9_.-]+", key):
            raise ArgumentError(f"addl_hats_properties: {key!r} is not the name of a property")
    return given


def npix_suffix(value: object) -> str:
    """How names of partitions end: a file suffix, or a slash for folders."""
    if value == "/" or (isinstance(value, str) and _SUFFIX.fullmatch(value)):
        return str(value)
    raise ArgumentError(
        f"npix_suffix {value!r} is not allowed: it must be a file suffix such as '.parquet', "
        "or '/' for a folder per partition"
    )


def npix_parquet_name(value: object) -> str | None:
    """Name of the file in the folder of a partition."""
    if value is not None and (not isinstance(value, str) or not _FILE_NAME.fullmatch(value)):
        raise ArgumentError(
            f"npix_parquet_name {value!r} is not allowed: it must be a file name that ends with .parquet"
        )
    return value


def memory_limit(value: Any) -> int | str | None:
    """The memory limit of a worker; kept as given."""
    if value is not None:
        read_size("memory_limit", value)
    return value  # type: ignore[no-any-return]


def partition_picture(value: object) -> bool:
    """A switch that needs matplotlib: checked here, before the work."""
    import importlib.util

    name = "create_partition_info_png"
    if yes_or_no(name, value) and importlib.util.find_spec("matplotlib") is None:
        raise ArgumentError(f"{name} needs matplotlib: pip install matplotlib")
    return bool(value)


def _refuse_unset_variable(name: str, value: Any) -> None:
    """Refuse to make a folder whose name is that of an environment variable that is not set."""
    if "://" in str(value) or not _VARIABLE.search(str(value)):
        return
    path = with_options(value, None)
    for number, part in enumerate(path.parts if isinstance(path, Path) else (), start=1):
        variable = _VARIABLE.search(part)
        # A folder that exists has the dollar sign in its name.
        if variable and not Path(*path.parts[:number]).exists():
            raise ArgumentError(
                f"{name} {value} is not allowed: the environment variable {variable[1]} is not set"
            )


def _refuse_unknown(
    name: str, given: dict[str, Any], function: Callable[..., Any], own: tuple[str, ...]
) -> None:
    known = set(inspect.signature(function).parameters) - {"self", "args", "kwargs", *own}
    for key in given:
        if key in own:
            raise ArgumentError(f"{name}[{key!r}] is not allowed: the pipeline sets it itself")
        if key not in known:
            raise ArgumentError(f"{name}[{key!r}] is not known; known are {', '.join(sorted(known))}")
