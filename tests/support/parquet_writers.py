"""The libraries that write Parquet files in tests, each with the options that change how values are stored.

Options are of two kinds: those of a catalog decide which types its files have, so that all of its files share them;
those of a file are its own. Both are drawn at random.
"""

from __future__ import annotations

import contextlib
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import fastparquet
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from tests.support.parquet_types import FAR_TIMES, NAMES, NANOSECONDS, column, kind_of_column

Options = Mapping[str, Any]
# Chooses one of several values.
Choose = Callable[[Sequence[Any]], Any]
_EITHER = (False, True)


@dataclass(frozen=True)
class Leaf:
    """A Parquet column: its path and its physical type."""

    path: str
    physical: str


class Writer(ABC):
    """A library that writes Parquet files.

    Attributes
    ----------
    name
        As people write it.
    version
        That of the library which is installed.
    codecs
        The names that it gives to codecs.
    """

    name: str
    version: str
    codecs: Sequence[str]
    int96_option = "none"
    # Types that end it, or that it writes into files which pyarrow cannot read.
    unreadable: frozenset[str] = frozenset()
    # Types that it writes only where no option cuts them.
    plain_only: frozenset[str] = frozenset()

    @abstractmethod
    def write(self, table: pa.Table, file: Path, shared: Options, own: Options) -> None:
        """Write a table, with the options of the catalog and those of the file."""

    def shared_options(self, choose: Choose) -> Options:
        """Draw the options of a catalog."""
        del choose
        return {}

    @abstractmethod
    def own_options(self, choose: Choose, leaves: Sequence[Leaf]) -> Options:
        """Draw the options of a file."""

    @abstractmethod
    def ways(self, leaves: Sequence[Leaf]) -> Sequence[Options]:
        """The options of some files that have every codec, version of pages and encoding."""

    def left_out(self, shared: Options) -> frozenset[str]:
        """The types that the options of a catalog do not allow."""
        # INT96 does not hold far times.
        return self.plain_only | (
            FAR_TIMES if shared.get(self.int96_option) in (True, "int96") else frozenset()
        )

    def leaves(self, table: pa.Table, folder: Path, shared: Options) -> Sequence[Leaf]:
        """The Parquet columns that a table is written as, where options are by column."""
        del table, folder, shared
        return ()

    @cache  # noqa: B019
    def types(self, folder: Path) -> tuple[str, ...]:
        """The names of the types that it writes, and that pyarrow reads then."""
        known = []
        for name in NAMES:
            if name in self.unreadable:
                continue
            file = folder / "trial.parquet"
            try:
                self.write(pa.table({"c": column(name, "every fifth")[:20]}), file, {}, {})
                pq.ParquetFile(file).read()
            except Exception:
                # Each library refuses in ways of its own.
                continue
            known.append(name)
        return tuple(known)


class Pyarrow(Writer):
    name = "pyarrow"
    version = pa.__version__
    codecs = ("none", "snappy", "gzip", "brotli", "lz4", "zstd")
    # Those that a column of a physical type may have; without a dictionary.
    encodings: Mapping[str, Sequence[str]] = {
        "BOOLEAN": ("PLAIN", "RLE"),
        "INT32": ("PLAIN", "DELTA_BINARY_PACKED", "BYTE_STREAM_SPLIT"),
        "INT64": ("PLAIN", "DELTA_BINARY_PACKED", "BYTE_STREAM_SPLIT"),
        "FLOAT": ("PLAIN", "BYTE_STREAM_SPLIT"),
        "DOUBLE": ("PLAIN", "BYTE_STREAM_SPLIT"),
        "BYTE_ARRAY": ("PLAIN", "DELTA_LENGTH_BYTE_ARRAY", "DELTA_BYTE_ARRAY"),
        "FIXED_LEN_BYTE_ARRAY": ("PLAIN", "BYTE_STREAM_SPLIT", "DELTA_BYTE_ARRAY"),
        "INT96": ("PLAIN",),
    }
    int96_option = "use_deprecated_int96_timestamps"
    # It ends the process when it cuts views into pages.
    plain_only = frozenset(("string_view", "binary_view", "nested_view"))

    def left_out(self, shared: Options) -> frozenset[str]:
        # Before version 2.6, it stores microseconds, and ends the process where it would lose something in pages.
        return super().left_out(shared) | (frozenset() if shared.get("version") == "2.6" else NANOSECONDS)

    def shared_options(self, choose: Choose) -> Options:
        return {
            "version": choose(("2.6", "2.4", "1.0")),
            "store_schema": choose(_EITHER),
            "use_compliant_nested_type": choose(_EITHER),
            "use_deprecated_int96_timestamps": choose((False, False, False, True)),
            "store_decimal_as_integer": choose(_EITHER),
            "write_time_adjusted_to_utc": choose(_EITHER),
        }

    def own_options(self, choose: Choose, leaves: Sequence[Leaf]) -> Options:
        by_column = {leaf.path: choose((*self.encodings_of(leaf), "")) for leaf in leaves}
        return {
            "compression": choose(self.codecs),
            "data_page_version": choose(("1.0", "2.0")),
            "row_group_size": choose((1 << 20, 1_000, 7, 33)),
            "data_page_size": choose((1 << 20, 1, 100, 1_000)),
            "write_batch_size": choose((1_024, 1, 8, 30)),
            "max_rows_per_page": choose((20_000, 1, 10, 64)),
            "dictionary_pagesize_limit": choose((1 << 20, 10, 200)),
            "write_statistics": choose(_EITHER),
            "write_page_index": choose(_EITHER),
            "write_page_checksum": choose(_EITHER),
            "use_content_defined_chunking": choose((False, False, True)),
            "use_dictionary": [path for path, encoding in by_column.items() if not encoding],
            "column_encoding": {path: encoding for path, encoding in by_column.items() if encoding},
        }

    def encodings_of(self, leaf: Leaf) -> Sequence[str]:
        """The encodings that a column may have, if it has no dictionary."""
        # It does not read dictionaries of Arrow in other encodings.
        is_dictionary = any(name in leaf.path for name in ("dictionary", "ordered"))
        return ("PLAIN",) if is_dictionary else self.encodings[leaf.physical]

    def ways(self, leaves: Sequence[Leaf]) -> Sequence[Options]:
        versions = ("1.0", "2.0")
        plain = [
            {"compression": codec, "data_page_version": version, "write_page_index": version == "2.0"}
            for version in versions
            for codec in self.codecs
        ]
        encoded = []
        for number in range(max(map(len, self.encodings.values()))):
            known = {leaf.path: self.encodings_of(leaf) for leaf in leaves}
            by_column = {path: names[number % len(names)] for path, names in known.items()}
            encoded += [
                {"use_dictionary": False, "column_encoding": by_column, "data_page_version": version}
                for version in versions
            ]
        return [*plain, *encoded]

    def leaves(self, table: pa.Table, folder: Path, shared: Options) -> Sequence[Leaf]:
        pq.write_table(table.slice(0, 0), folder / "leaves.parquet", **shared)
        schema = pq.read_metadata(folder / "leaves.parquet").schema
        return [Leaf(each.path, each.physical_type) for each in map(schema.column, range(len(schema)))]

    def write(self, table: pa.Table, file: Path, shared: Options, own: Options) -> None:
        options = dict(own)
        rows = options.pop("row_group_size", None)
        if any(name in field for field in table.column_names for name in self.plain_only):
            table = _uncut(table)
        with pq.ParquetWriter(file, table.schema, **shared, **options) as writer:
            writer.write_table(table, row_group_size=rows)


def _uncut(table: pa.Table) -> pa.Table:
    """The rows of a table that is part of another, in arrays of their own."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table.combine_chunks())
    with pa.ipc.open_stream(sink.getvalue()) as stream:
        return stream.read_all()


class Polars(Writer):
    name = "polars"
    version = pl.__version__
    codecs = ("uncompressed", "snappy", "gzip", "brotli", "lz4", "zstd")
    # It panics at them.
    unreadable = frozenset(name for name in NAMES if name.startswith("decimal256"))

    def own_options(self, choose: Choose, leaves: Sequence[Leaf]) -> Options:
        del leaves
        return {
            "compression": choose(self.codecs),
            "statistics": choose((True, False, "full")),
            "row_group_size": choose((None, 7, 33, 1_000)),
            "data_page_size": choose((None, 1, 100, 1_000)),
        }

    def ways(self, leaves: Sequence[Leaf]) -> Sequence[Options]:
        del leaves
        return [{"compression": codec} for codec in self.codecs]

    def write(self, table: pa.Table, file: Path, shared: Options, own: Options) -> None:
        frame = pl.from_arrow(table)
        assert isinstance(frame, pl.DataFrame)
        frame.write_parquet(file, **shared, **own)


class DuckDB(Writer):
    name = "DuckDB"
    version = duckdb.__version__
    codecs = ("uncompressed", "snappy", "gzip", "brotli", "lz4", "lz4_raw", "zstd")
    int96_option = "write_timestamp_as_int96"
    # Of a list of fixed length that is null it writes elements, which pyarrow refuses. It has no negative intervals.
    unreadable = frozenset(
        (
            "fixed_list",
            "fixed list of structs",
            "tensor",
            *(name for name in NAMES if name.startswith("duration ")),
        )
    )

    # With PARQUET_VERSION V2, it writes their differences in more than 32 bits.
    plain_only = frozenset(("uint32",))

    def __init__(self) -> None:
        self._connection = duckdb.connect(":memory:")
        # The rows keep their order.
        self._connection.execute("SET threads = 1")

    def shared_options(self, choose: Choose) -> Options:
        return {"write_timestamp_as_int96": choose((False, False, False, True))}

    def own_options(self, choose: Choose, leaves: Sequence[Leaf]) -> Options:
        del leaves
        return {
            "codec": choose(self.codecs),
            "parquet_version": choose(("V1", "V2")),
            "row_group_size": choose((122_880, 2_048)),
            "data_page_size_limit": choose((1 << 20, 1, 100, 1_000)),
            "dictionary_size_limit": choose((10_000, 1, 20)),
            "string_dictionary_page_size_limit": choose((1 << 20, 10, 200)),
            "write_bloom_filter": choose(_EITHER),
            "write_page_index": choose(_EITHER),
        }

    def ways(self, leaves: Sequence[Leaf]) -> Sequence[Options]:
        del leaves
        versions = ("V1", "V2")
        plain = [
            {"codec": codec, "parquet_version": version} for codec in self.codecs for version in versions
        ]
        # Without dictionaries, it shows its other encodings.
        others = {"dictionary_size_limit": 1, "write_page_index": True}
        return [*plain, *({"parquet_version": version, **others} for version in versions)]

    def write(self, table: pa.Table, file: Path, shared: Options, own: Options) -> None:
        options = "".join(f", {name} '{value}'" for name, value in {**shared, **own}.items())
        self._connection.register("given", table)
        try:
            self._connection.execute(f"COPY given TO '{file}' (FORMAT parquet{options})")
        finally:
            self._connection.unregister("given")


class Fastparquet(Writer):
    name = "fastparquet"
    version = fastparquet.__version__
    codecs = ("UNCOMPRESSED", "SNAPPY", "GZIP", "BROTLI", "LZ4", "LZ4_RAW", "ZSTD")
    int96_option = "times"
    page_versions = (1, 2)
    # It has no nesting: what pandas has as objects it writes as JSON or not at all, by the values of each file.
    unreadable = frozenset(name for name in NAMES if pa.types.is_nested(kind_of_column(name)))

    def shared_options(self, choose: Choose) -> Options:
        return {"times": choose(("int64", "int64", "int96"))}

    def own_options(self, choose: Choose, leaves: Sequence[Leaf]) -> Options:
        del leaves
        return {
            "compression": choose(self.codecs),
            "row_group_offsets": choose((None, 7, 33)),
            "stats": choose((True, False, "auto")),
            "page_version": choose(self.page_versions),
            "page_bytes": choose((500 << 20, 1_000, 10_000)),
        }

    def ways(self, leaves: Sequence[Leaf]) -> Sequence[Options]:
        del leaves
        return [
            {"compression": codec, "page_version": version}
            for codec in self.codecs
            for version in self.page_versions
        ]

    def write(self, table: pa.Table, file: Path, shared: Options, own: Options) -> None:
        options = {**shared, **own}
        encodings = {
            field.name: encoding
            for field in table.schema
            for known, encoding in _OBJECTS.items()
            if known(field.type)
        }
        with _pages(options.pop("page_version", 1), options.pop("page_bytes", 500 << 20)):
            # Else integers are floats in those files that have nulls.
            frame = table.to_pandas(types_mapper=_NULLABLE.get)
            fastparquet.write(str(file), frame, write_index=False, object_encoding=encodings, **options)


@contextlib.contextmanager
def _pages(version: int, most_bytes: int) -> Iterator[None]:
    """Have fastparquet write pages of a version and a size, for which it has no arguments."""
    from fastparquet import writer

    before = writer.DATAPAGE_VERSION, writer.MAX_PAGE_SIZE
    writer.DATAPAGE_VERSION, writer.MAX_PAGE_SIZE = version, most_bytes
    try:
        with warnings.catch_warnings():
            # It warns of itself.
            warnings.simplefilter("ignore")
            yield
    finally:
        writer.DATAPAGE_VERSION, writer.MAX_PAGE_SIZE = before


def _nullable_kinds() -> dict[pa.DataType, Any]:
    import pandas as pd

    kinds = {pa.bool_(): pd.BooleanDtype()}
    for name in ("Int8", "Int16", "Int32", "Int64", "UInt8", "UInt16", "UInt32", "UInt64"):
        kinds[pa.type_for_alias(name.lower())] = getattr(pd, f"{name}Dtype")()
    return kinds


_NULLABLE = _nullable_kinds()
# How it writes values that pandas has as objects; else it goes by the values of each file.
_OBJECTS: Mapping[Callable[[pa.DataType], bool], str] = {
    lambda kind: (
        pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    ): "utf8",
    lambda kind: pa.types.is_binary(kind) or pa.types.is_large_binary(kind): "bytes",
    lambda kind: pa.types.is_binary_view(kind) or pa.types.is_fixed_size_binary(kind): "bytes",
    pa.types.is_boolean: "bool",
    pa.types.is_decimal: "decimal",
}
WRITERS: Mapping[str, Writer] = {
    writer.name: writer for writer in (Pyarrow(), Polars(), DuckDB(), Fastparquet())
}
