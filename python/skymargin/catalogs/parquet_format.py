"""How the Parquet files of a margin are encoded: keyword arguments of pyarrow's writer for the writer of the core.

pyarrow writes one file without rows with the keyword arguments. Its schema and metadata are those of every file of the
margin, so that these are what pyarrow makes of the catalog's schema.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import skymargin._core as _core
from skymargin.errors import ArgumentError

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

# Codecs of pyarrow: their names in the core, the levels they have, and pyarrow's default.
_CODECS: dict[str, tuple[str, range, int]] = {
    "NONE": ("none", range(0), 0),
    "SNAPPY": ("snappy", range(0), 0),
    "GZIP": ("gzip", range(10), 9),
    "BROTLI": ("brotli", range(12), 8),
    "LZ4": ("lz4", range(0), 0),
    "LZ4_RAW": ("lz4", range(0), 0),
    "ZSTD": ("zstd", range(-131072, 23), 1),
}
_NUMBERS = frozenset({"INT32", "INT64"})
# The physical types that each encoding is for.
_ENCODINGS: dict[str, frozenset[str] | None] = {
    "PLAIN": None,
    "BYTE_STREAM_SPLIT": _NUMBERS | {"FLOAT", "DOUBLE", "FIXED_LEN_BYTE_ARRAY"},
    "DELTA_BINARY_PACKED": _NUMBERS,
    "DELTA_LENGTH_BYTE_ARRAY": frozenset({"BYTE_ARRAY"}),
    "DELTA_BYTE_ARRAY": frozenset({"BYTE_ARRAY", "FIXED_LEN_BYTE_ARRAY"}),
    "RLE": frozenset({"BOOLEAN"}),
}
_SWITCHES = (
    "allow_truncated_timestamps",
    "store_decimal_as_integer",
    "store_schema",
    "use_compliant_nested_type",
    "write_page_checksum",
    "write_page_index",
    "write_time_adjusted_to_utc",
)
_CHOICES: dict[str, tuple[str | None, ...]] = {
    "version": ("1.0", "2.4", "2.6"),
    "data_page_version": ("1.0", "2.0"),
    "coerce_timestamps": (None, "ms", "us"),
    "flavor": (None, "spark"),
}
# Numbers: the smallest that is allowed, and pyarrow's default.
_SIZES = {
    "data_page_size": (1, 1 << 20),
    "dictionary_pagesize_limit": (0, 1 << 20),
    "write_batch_size": (1, 1024),
    "max_rows_per_page": (1, 20_000),
}
_LARGEST_SIZE = (1 << 31) - 1
# What the writer of the core does not do: the values that leave it undone, and why.
_WITHOUT_COUNTERPART: dict[str, tuple[tuple[Any, ...], str]] = {
    "encryption_properties": ((None,), "files are not encrypted: it must be None"),
    "use_content_defined_chunking": ((False, None), "pages are cut by size: it must be False"),
    "filesystem": ((None,), "the path of the margin says where files are: it must be None"),
    "writer_engine_version": ((None, "V1", "V2"), "there is one writer: leave it out"),
}
_PER_COLUMN = (
    "bloom_filter_options",
    "column_encoding",
    "compression",
    "compression_level",
    "use_byte_stream_split",
    "use_dictionary",
    "write_statistics",
)
_OTHERS = ("row_group_size", "sorting_columns", "use_deprecated_int96_timestamps")
_KNOWN = frozenset({*_SWITCHES, *_CHOICES, *_SIZES, *_WITHOUT_COUNTERPART, *_PER_COLUMN, *_OTHERS})
_DEFAULT_DISTINCT_VALUES = 1 << 20
_DEFAULT_FALSE_POSITIVES = 0.05


@dataclass(frozen=True)
class ParquetFormat:
    """What `_core.ParquetFormat` is made of; it can be sent to a worker.

    Attributes
    ----------
    template : bytes
        A Parquet file of pyarrow without rows.
    schema : pyarrow.Schema
        The schema of the files.
    options : dict
        Keyword arguments of `_core.ParquetFormat`.
    """

    template: bytes
    schema: pa.Schema
    options: dict[str, Any]

    def open(self) -> _core.ParquetFormat:
        """The format for the core, whose batches have transport types."""
        return _core.ParquetFormat(self.template, _core.transport_schema(self.schema), **self.options)


def parquet_format(
    schema: pa.Schema, options: Mapping[str, Any], overrides: Mapping[str, Any] = MappingProxyType({})
) -> ParquetFormat:
    """The format of files of a schema with keyword arguments of `pyarrow.parquet.write_table`.

    Parameters
    ----------
    schema
        Schema of the catalog.
    options
        All keyword arguments: the defaults of the catalog's format and `overrides`.
    overrides
        Those that the user gave. Columns that they name must exist.

    Raises
    ------
    ArgumentError
        When a keyword argument is unknown, has a value that is not allowed, or asks for what the core does not do.
    """
    given = {key: value for key, value in options.items() if key != "row_group_size"}
    _check_values(given)
    template = _template(schema, given, overrides)
    columns = _columns(template)
    _check_names(columns, overrides)
    made = ParquetFormat(template, schema, _core_options(columns, given))
    try:
        made.open()
    except ValueError as error:
        raise ArgumentError(f"write_table_kwargs {dict(overrides)} cannot be used: {error}") from error
    return made


def _refused(key: str, value: object, why: str) -> ArgumentError:
    return ArgumentError(f"write_table_kwargs[{key!r}] {value!r} cannot be used: {why}")


def _check_values(given: Mapping[str, Any]) -> None:
    """Check what does not depend on columns."""
    for key, value in given.items():
        if key not in _KNOWN:
            raise _refused(key, value, f"known are {', '.join(sorted(_KNOWN))}")
        if key in _WITHOUT_COUNTERPART:
            allowed, why = _WITHOUT_COUNTERPART[key]
            if not any(value is choice or (isinstance(value, str) and value == choice) for choice in allowed):
                raise _refused(key, value, why)
        elif key in _SWITCHES:
            if not isinstance(value, bool):
                raise _refused(key, value, "it must be True or False")
        elif key in _CHOICES:
            if not any(
                value is choice or (isinstance(value, str) and value == choice) for choice in _CHOICES[key]
            ):
                raise _refused(key, value, f"it must be one of {', '.join(map(repr, _CHOICES[key]))}")
        elif key in _SIZES and value is not None:
            smallest = _SIZES[key][0]
            if not _is_whole(value) or not smallest <= value <= _LARGEST_SIZE:
                raise _refused(key, value, f"it must be a whole number, from {smallest} to {_LARGEST_SIZE}")


def _is_whole(value: object) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)


def _template(schema: pa.Schema, given: Mapping[str, Any], overrides: Mapping[str, Any]) -> bytes:
    """A Parquet file without rows: pyarrow checks the keyword arguments too."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    try:
        with pq.ParquetWriter(sink, schema, **given):
            pass
    except Exception as error:
        raise ArgumentError(f"write_table_kwargs {dict(overrides)} cannot be used: {error}") from error
    return sink.getvalue().to_pybytes()  # type: ignore[no-any-return]


def _columns(template: bytes) -> list[pq.ColumnSchema]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pq.read_metadata(pa.BufferReader(template)).schema
    return [schema.column(number) for number in range(len(schema))]


def _check_names(columns: Sequence[pq.ColumnSchema], overrides: Mapping[str, Any]) -> None:
    """Check that columns exist: pyarrow ignores unknown names."""
    paths = {column.path for column in columns}
    for key in _PER_COLUMN:
        value = overrides.get(key)
        names = value if isinstance(value, Collection) and not isinstance(value, str) else ()
        unknown = sorted(map(str, set(names) - paths))
        if unknown:
            raise ArgumentError(
                f"write_table_kwargs[{key!r}] cannot be used: there is no column {unknown[0]!r} in the Parquet file; "
                f"it has {', '.join(sorted(paths))}"
            )


def _core_options(columns: Sequence[pq.ColumnSchema], given: Mapping[str, Any]) -> dict[str, Any]:
    """Keyword arguments of `_core.ParquetFormat`."""
    if any(column.physical_type == "INT96" for column in columns):
        key = "flavor" if given.get("flavor") else "use_deprecated_int96_timestamps"
        raise _refused(key, given.get(key), "timestamps are written as INT64")

    def size(key: str) -> int:
        value = given.get(key)
        return _SIZES[key][1] if value is None else int(value)

    version = given.get("version", "2.6")
    rewrites_units = given.get("coerce_timestamps") is not None
    sorting = given.get("sorting_columns") or ()
    if any(column.column_index >= len(columns) for column in sorting):
        raise _refused("sorting_columns", sorting, f"columns are numbered from 0 to {len(columns) - 1}")
    return {
        "columns": list(_column_options(columns, given)),
        "data_page_bytes": size("data_page_size"),
        "dictionary_page_bytes": size("dictionary_pagesize_limit"),
        "write_batch_size": size("write_batch_size"),
        "max_rows_per_page": size("max_rows_per_page"),
        "data_page_v2": given.get("data_page_version") == "2.0",
        "page_index": given.get("write_page_index", False),
        "page_checksum": given.get("write_page_checksum", False),
        "sorting_columns": [
            (column.column_index, column.descending, column.nulls_first) for column in sorting
        ],
        "allow_truncated_timestamps": rewrites_units and given.get("allow_truncated_timestamps", False),
        "plain_dictionary": version == "1.0",
    }


def _column_options(
    columns: Sequence[pq.ColumnSchema], given: Mapping[str, Any]
) -> Iterator[tuple[Any, ...]]:
    has_dictionary = _selection("use_dictionary", given, True)
    has_statistics = _selection("write_statistics", given, True)
    is_split = _selection("use_byte_stream_split", given, False)
    bloom_filters = given.get("bloom_filter_options") or {}
    encodings = given.get("column_encoding")
    is_rle = given.get("data_page_version") == "2.0" and given.get("version", "2.6") != "1.0"
    for column in columns:
        path, physical = column.path, column.physical_type
        codec, level = _codec(path, given)
        own = encodings.get(path) if isinstance(encodings, Mapping) else encodings
        key = "column_encoding"
        if own is None and is_split(path):
            key, own = "use_byte_stream_split", "BYTE_STREAM_SPLIT"
        encoding = own or ("RLE" if physical == "BOOLEAN" and is_rle else "PLAIN")
        types = _ENCODINGS.get(encoding, frozenset())
        if types is not None and physical not in types:
            allowed = [name for name, types in _ENCODINGS.items() if types is None or physical in types]
            raise _refused(
                key, given[key], f"column {path!r} is of type {physical}, which can be {', '.join(allowed)}"
            )
        yield (
            codec,
            level,
            encoding,
            has_dictionary(path) and physical != "BOOLEAN",
            has_statistics(path),
            _bloom_filter(path, physical, bloom_filters),
        )


def _selection(key: str, given: Mapping[str, Any], default: bool) -> Callable[[str], bool]:
    """Whether an option that is a bool or a list of columns is on for a column."""
    value = given.get(key, default)
    value = default if value is None else value
    if isinstance(value, bool):
        return lambda _: bool(value)
    if isinstance(value, str) or not isinstance(value, Collection):
        raise _refused(key, value, "it must be True, False, or a list of columns")
    names = frozenset(value)
    return names.__contains__


def _codec(path: str, given: Mapping[str, Any]) -> tuple[str, int]:
    """Name of the codec of a column in the core, and its level."""
    compression = given.get("compression", "snappy")
    name = compression.get(path, "NONE") if isinstance(compression, Mapping) else compression
    name = "NONE" if name is None else name
    if not isinstance(name, str) or name.upper() not in _CODECS:
        raise _refused("compression", compression, f"it must be one of {', '.join(_CODECS)}")
    codec, levels, default = _CODECS[name.upper()]
    asked = given.get("compression_level")
    level = asked.get(path) if isinstance(asked, Mapping) else asked
    if level is None or codec == "none":
        return codec, default
    if not _is_whole(level) or int(level) not in levels:
        allowed = f"it has levels {levels[0]} to {levels[-1]}" if levels else "it has no levels here"
        raise _refused("compression_level", asked, f"column {path!r} is compressed with {codec}; {allowed}")
    return codec, int(level)


def _bloom_filter(path: str, physical: str, options: object) -> tuple[int, float] | None:
    """The number of distinct values and the probability of a false positive of a column's filter, if it has one."""
    key = "bloom_filter_options"
    if not isinstance(options, Mapping):
        raise _refused(key, options, "it must be a dict of columns")
    own = options.get(path, False)
    if own is False:
        return None
    own = {} if own is True else own
    if not isinstance(own, Mapping) or not set(own) <= {"ndv", "fpp"}:
        raise _refused(key, options, f"that of column {path!r} must be True, False, or a dict of ndv and fpp")
    if physical == "BOOLEAN":
        raise _refused(key, options, f"column {path!r} is of type {physical}, which has no Bloom filters")
    values, false_positives = (
        own.get("ndv", _DEFAULT_DISTINCT_VALUES),
        own.get("fpp", _DEFAULT_FALSE_POSITIVES),
    )
    if not _is_whole(values) or values < 1:
        raise _refused(key, options, f"the ndv of column {path!r} must be a whole number, 1 or more")
    if not isinstance(false_positives, Real) or not 0 < float(false_positives) < 1:
        raise _refused(key, options, f"the fpp of column {path!r} must be a number between 0 and 1")
    return int(values), float(false_positives)
