"""Hostile Parquet files: what they claim, what they inflate to, how they are built."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.thrift import BINARY, I32, I64, Value
from tests.campaign.hostile.parquet_edit import (
    Fields,
    chunk_of,
    page,
    repeated_levels,
    replace_pages,
    row_groups,
)
from tests.campaign.hostile.process import Asked, Case, Sandbox, build, tampered
from tests.support.handmade_parquet import edit_footer

Change = Callable[[Fields], object]
_HUGE = 10**12
# What is needed where rows of hundreds of megabytes are right; the others must do with less.
_ROOMY_BYTES = 12 << 30
_CODECS = {"snappy": 1, "gzip": 2, "brotli": 4, "lz4": 7, "zstd": 6}


def file_cases() -> list[Case]:
    """All cases of this kind."""
    return [*_footers(), *_pages(), *_bombs(), *_schemas()]


def _damaged(
    fault: str,
    name: str,
    damage: Callable[[Path], object],
    *said: str,
    refused: bool = True,
    slow: bool = False,
) -> Case:
    def arrange(sandbox: Sandbox) -> Asked:
        file = sandbox.partition()
        damage(file)
        return Asked(build(sandbox), said or (str(file),), sandbox.out / "margin", refused)

    return Case(fault, name, arrange, slow, always=bool(said))


def _valid(fault: str, name: str, change: Callable[[Path], object]) -> Case:
    """What is large and as it should be; where there is memory for it, no error is right."""
    case = _damaged(fault, name, change, refused=False, slow=True)
    return replace(case, address_space_bytes=_ROOMY_BYTES)


def _footers() -> list[Case]:
    fault = "Parquet footers that claim what is not so"

    def rows(count: int, *, of_file: bool = True, of_group: bool = True, values: bool = False) -> Change:
        def change(footer: Fields) -> None:
            if of_file:
                footer[3].content = count
            for group in row_groups(footer)[:1] if of_group else []:
                group[3].content = count
                for column in group[1].content if values else []:
                    column[3][5].content = count

        return change

    def number(place: int, value: int, column: str = "ra") -> Change:
        def change(footer: Fields) -> None:
            chunk_of(row_groups(footer)[0], column)[place] = Value(I64, value)

        return change

    def file_path(text: bytes) -> Change:
        def change(footer: Fields) -> None:
            for column in row_groups(footer)[0][1].content:
                column.content[1] = Value(BINARY, text)

        return change

    def children(count: int) -> Change:
        def change(footer: Fields) -> None:
            footer[2][0].content[5] = Value(I32, count)

        return change

    def many_groups(footer: Fields) -> None:
        footer[4].content = footer[4].content * 3_000

    changes: dict[str, Change] = {
        "10^12 rows in the file": rows(_HUGE, of_group=False),
        "10^12 rows in a row group": rows(_HUGE, of_file=False),
        "10^12 rows in both": rows(_HUGE),
        "10^12 rows and values": rows(_HUGE, values=True),
        "2^63 - 1 rows and values": rows(2**63 - 1, values=True),
        "-1 rows": rows(-1, values=True),
        "-2^63 rows": rows(-(2**63), values=True),
        "a row group with fewer rows than its pages": rows(3, values=True),
        "3,000 times the same row group": many_groups,
        "a chunk at -1": number(9, -1),
        "a chunk at 2^62": number(9, 2**62),
        "a chunk in the footer": number(9, 10**6),
        "a chunk of -1 bytes": number(7, -1),
        "a chunk of 2^62 bytes": number(7, 2**62),
        "a chunk that inflates to -1 bytes": number(6, -1),
        "a chunk that inflates to 2^62 bytes": number(6, 2**62),
        "a dictionary at 5": number(11, 5),
        "a dictionary behind its data": number(11, 10**9),
        "a chunk in another file": file_path(b"../../../../outside/elsewhere/dataset/_metadata"),
        "a chunk in /etc/passwd": file_path(b"/etc/passwd"),
        "a schema with -1 children": children(-1),
        "a schema with 2^31 - 1 children": children(2**31 - 1),
    }
    harmless = (
        *("a chunk at 2^62", "a chunk in the footer", "a chunk of 2^62 bytes"),
        *("a chunk that inflates to 2^62 bytes", "a dictionary at 5"),
    )
    said = {"a dictionary behind its data": ("dictionary, and there is none",)}

    def length(claimed: int) -> Callable[[Path], object]:
        return lambda file: file.write_bytes(file.read_bytes()[:-8] + claimed.to_bytes(4, "little") + b"PAR1")

    return [
        *(
            _damaged(
                fault,
                name,
                partial(edit_footer, change=change),
                *said.get(name, ()),
                refused=name not in harmless,
            )
            for name, change in changes.items()
        ),
        *(
            _damaged(fault, f"a footer of {claimed} bytes", length(claimed))
            for claimed in (0, 1, 2**31, 2**32 - 1)
        ),
    ]


def _pages() -> list[Case]:
    fault = "pages that claim what is not so"
    count = 8
    body = np.linspace(0, 1, count).tobytes()
    two_gb = 2**31 - 1

    def claims(**claimed: Any) -> Callable[[Path], object]:
        about = {"uncompressed_bytes": len(body), "values": count} | claimed
        in_chunk = about.pop("in_chunk", about["uncompressed_bytes"])
        codec = about.pop("codec", 0)
        return lambda file: replace_pages(
            file, "ra", page(body, **about), uncompressed_bytes=in_chunk, codec=codec
        )

    claimed: dict[str, Callable[[Path], object]] = {
        "2 GB, and no compression": claims(uncompressed_bytes=two_gb),
        "2 GB compressed": claims(uncompressed_bytes=two_gb, compressed_bytes=two_gb),
        "-1 bytes": claims(uncompressed_bytes=-1, in_chunk=10**6),
        "-1 bytes compressed": claims(compressed_bytes=-1),
        "2^31 - 1 values": claims(values=two_gb),
        "-1 values": claims(values=-1),
        "no values": claims(values=0),
        "1 GB, its chunk too": claims(uncompressed_bytes=1 << 30, in_chunk=1 << 40),
    }
    claimed |= {
        f"2 GB, {name}": claims(uncompressed_bytes=two_gb, in_chunk=1 << 40, codec=codec)
        for name, codec in _CODECS.items()
    }
    return [_damaged(fault, name, damage) for name, damage in claimed.items()]


def _bombs() -> list[Case]:
    fault = "decompression bombs"

    def coordinates(codec: str) -> Callable[[Path], object]:
        """A page of `ra` that really becomes 900 MB."""

        def damage(file: Path) -> None:
            size = 900 << 20
            body = pa.Codec(codec).compress(bytes(size), asbytes=True)
            count = pq.read_metadata(file).num_rows
            replace_pages(
                file, "ra", page(body, uncompressed_bytes=size, values=count), uncompressed_bytes=size,
                codec=_CODECS[codec],
            )  # fmt: skip

        return damage

    def text(codec: str) -> Callable[[Path], object]:
        """Rows with a name of 100 MB each: some kB, and all as it should be."""

        def damage(file: Path) -> None:
            table = pq.ParquetFile(file).read()
            at = table.schema.get_field_index("name")
            names = pa.array(["a" * (100 << 20 if row < 3 else 1) for row in range(len(table))])
            pq.write_table(
                table.set_column(at, table.schema.field(at), names), file, compression=codec, row_group_size=1_000,
                use_dictionary=False, write_statistics=False,
            )  # fmt: skip

        return damage

    def giant(megabytes: int) -> Callable[[Path], object]:
        """One name so long that the page, its value or the margin does not fit; all of it is valid."""

        def damage(file: Path) -> None:
            names, text_bytes = pq.ParquetFile(file).metadata.row_group(0).num_rows, megabytes << 20
            levels = repeated_levels(1, names)
            content = bytearray(len(levels) + 4 * names + text_bytes)
            content[: len(levels) + 4] = levels + text_bytes.to_bytes(4, "little")
            body = pa.Codec("zstd").compress(content, asbytes=True)
            replace_pages(
                file, "name", page(body, uncompressed_bytes=len(content), values=names),
                uncompressed_bytes=len(content), codec=_CODECS["zstd"],
            )  # fmt: skip

        return damage

    return [
        *(
            _damaged(fault, f"coordinates, {codec}", coordinates(codec), slow=codec in ("zstd", "gzip"))
            for codec in ("zstd", "gzip", "brotli", "snappy")
        ),
        *(_valid(fault, f"text, {codec}", text(codec)) for codec in ("zstd", "brotli")),
        *(_valid(fault, f"one text of {mebibytes} MiB", giant(mebibytes)) for mebibytes in (200, 400, 600)),
        *(
            _damaged(fault, f"one text of {mebibytes} MiB, no memory", giant(mebibytes), slow=True)
            for mebibytes in (800, 900, 1_000)
        ),
    ]


def _schemas() -> list[Case]:
    fault = "schemas and metadata beyond all measure"

    def nested(levels: int) -> Callable[[pa.Table], pa.Table]:
        def change(table: pa.Table) -> pa.Table:
            kind: pa.DataType = pa.int8()
            for level in range(levels):
                kind = pa.struct([("x", kind)]) if level % 2 else pa.list_(kind)
            return table.append_column("deep", pa.nulls(len(table), kind))

        return change

    def columns(count: int) -> Callable[[pa.Table], pa.Table]:
        def change(table: pa.Table) -> pa.Table:
            more = {f"c{number}": pa.nulls(len(table), pa.int8()) for number in range(count)}
            return pa.table(dict(zip(table.column_names, table.columns, strict=True)) | more)

        return change

    def named(*names: str) -> Callable[[pa.Table], pa.Table]:
        def change(table: pa.Table) -> pa.Table:
            for name in names:
                table = table.append_column(name, pa.nulls(len(table), pa.int8()))
            return table

        return change

    def metadata(size: int) -> Callable[[pa.Table], pa.Table]:
        return lambda table: table.replace_schema_metadata({"made": "x" * size, "": "", "\n": "\0"})

    paths = ("../../x", "/etc/passwd", "", " ", "a.b", "Norder", "a\nb", "a\0b")
    own = ("margin_order", "separation_arcsec", "position", "row", "source_order")
    changes = {
        "30 levels": nested(20),
        "70 levels": nested(50),
        "3,000 columns": columns(3_000),
        "2 MB of metadata": metadata(2 << 20),
        "columns with the names of paths": named(*paths),
        "columns with the names of our own": named(*own),
    }
    slow = ("3,000 columns", "2 MB of metadata")
    return [
        tampered(fault, name, partial(change_tables, change=change), slow=name in slow)
        for name, change in changes.items()
    ]


def change_tables(sandbox: Sandbox, change: Callable[[pa.Table], pa.Table]) -> None:
    """Change the tables of all partitions, as the schema of a catalog is changed."""
    for number in range(3):
        table = change(pq.ParquetFile(sandbox.partition(number)).read())
        pq.write_table(table, sandbox.partition(number))
    dataset = sandbox.catalog / "dataset"
    (dataset / "_metadata").unlink()
    pq.write_metadata(table.schema, dataset / "_common_metadata")
