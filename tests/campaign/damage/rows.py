"""Damage to the rows of one partition: coordinates that are none, an index that is wrong, columns of another kind."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tests.campaign.damage.bytes import Copy
from tests.campaign.damage.catalogs import Case
from tests.campaign.damage.files import replaced
from tests.support.catalogs import Pixel

_COORDINATES: list[tuple[str, float | None]] = [
    ("ra", float("nan")),
    ("dec", float("nan")),
    ("ra", float("inf")),
    ("dec", float("-inf")),
    ("dec", 90.5),
    ("dec", -1e300),
    ("ra", 1e300),
    ("ra", 720.5),
    ("ra", None),
    ("dec", None),
]


def coordinates(copy: Copy, number: int) -> Case:
    """Coordinates of a few rows that are no positions, or are those of another place, or written in another way."""
    pixel = copy.pixel()
    file = copy.files[pixel]
    table = pq.ParquetFile(file).read()
    chosen = copy.random.choice(len(table), size=min(3, len(table)), replace=False).tolist()
    if number % 13 == 10:
        # Legal: half of the sky west of 0.
        ra = np.array(table.column("ra").to_pylist())
        _write(copy, pixel, _with(table, "ra", (ra - 360).tolist()))
        return copy.case(f"ra below 0 in {file.name}", file, as_read=True, flipped={"ra"})
    if number % 13 == 11:
        ra = np.array(table.column("ra").to_pylist())
        _write(copy, pixel, _with(table, "ra", (ra + 360).tolist()))
        return copy.case(f"ra above 360 in {file.name}", file, as_read=True, flipped={"ra"})
    column, value = ("ra", None)
    values = table.column("ra").to_pylist()
    if number % 13 == 12:
        for row in chosen:
            values[row] = (values[row] + 180) % 360
        what = "rows on the other side of the sky"
    else:
        column, value = _COORDINATES[number % 13]
        values = table.column(column).to_pylist()
        for row in chosen:
            values[row] = value
        what = f"{column}={value}"
    _write(copy, pixel, _with(table, column, values))
    # A row in a margin is refused. Of one whose index says that it is far from every other pixel, nothing is read.
    return copy.case(f"{what} in rows {chosen} of {file.name}", file)


def index(copy: Copy, number: int) -> Case:
    """An index that is wrong, or not in order."""
    pixel = copy.pixel()
    file = copy.files[pixel]
    table = pq.ParquetFile(file).read()
    name = copy.base.index
    assert name is not None
    values = table.column(name).to_pylist()
    chosen = copy.random.choice(len(table), size=min(3, len(table)), replace=False).tolist()
    unsigned = copy.base.is_hipscat
    believed: Pixel | None = None
    match number % 7:
        case 0:
            order = copy.random.permutation(len(table))
            _write(copy, pixel, table.take(pa.array(order)))
            return copy.case(f"rows of {file.name} in no order", file)
        case 1:
            what, new = "negative", [0 if unsigned else -5] * 3
        case 2:
            what, new = "null", [None] * 3
        case 3:
            what, new = "of another partition", [_elsewhere(copy, pixel)] * 3
        case 4:
            # Inside the partition: where the rows would be candidates, or would not.
            what, new = "of other rows of the partition", [values[row] for row in reversed(chosen)]
            believed = pixel
        case 5:
            what, new = "the largest there is", [(1 << 63) - 1] * 3
        case _:
            what, new = "all the same", []
            values = [values[len(values) // 2]] * len(values)
            believed = pixel
    for row, value in zip(chosen, new, strict=False):
        values[row] = value
    _write(copy, pixel, _with(table, name, values))
    # That the index has another value than it had is no fault of the margin.
    return copy.case(f"index of {file.name} {what}", file, flipped={name}, believed=believed)


def schema(copy: Copy, number: int) -> Case:
    """A partition whose columns are others than those of the catalog."""
    pixel = copy.pixel()
    file = copy.files[pixel]
    table = pq.ParquetFile(file).read()
    names = table.schema.names
    at = names.index("mag")
    column = copy.one_of([name for name in ("mag", "ra", copy.base.index, "id", "name") if name])
    match number % 8:
        case 0:
            what, changed = f"{column} is missing", table.drop_columns([column])
        case 1:
            what, changed = (
                f"{column} is named otherwise",
                table.rename_columns([name + "_2" * (name == column) for name in names]),
            )
        case 2:
            what, changed = "the columns are in another order", table.select(names[::-1])
        case 3:
            what, changed = (
                "mag is of float64",
                table.set_column(at, "mag", table.column("mag").cast("float64")),
            )
        case 4:
            what, changed = "mag is text", table.set_column(at, "mag", table.column("mag").cast("string"))
        case 5:
            what, changed = "there is a column more", table.append_column("flux", table.column("mag"))
        case 6:
            place = names.index("ra")
            what, changed = "ra is text", table.set_column(place, "ra", table.column("ra").cast("string"))
        case _:
            place = names.index("id")
            what, changed = "id is of int32", table.set_column(place, "id", table.column("id").cast("int32"))
    _write(copy, pixel, changed)
    return copy.case(f"in {file.name} {what}", file)


def _with(table: pa.Table, column: str, values: list[Any]) -> pa.Table:
    at = table.schema.get_field_index(column)
    kept = table.schema.field(at).with_nullable(True)
    return table.set_column(at, kept, pa.array(values, kept.type))


def _write(copy: Copy, pixel: Pixel, table: pa.Table) -> None:
    pq.write_table(table, replaced(copy.files[pixel]), row_group_size=40)


def _elsewhere(copy: Copy, pixel: Pixel) -> int:
    """An index value of a partition that is not this one."""
    other = copy.one_of([candidate for candidate in sorted(copy.files) if candidate != pixel])
    values = pq.ParquetFile(copy.files[other]).read([copy.base.index]).column(0).to_pylist()
    return int(values[0]) if values else 0
