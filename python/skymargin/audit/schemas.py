"""The schema that a margin should have, and how that of a file differs."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from skymargin.arrow.kinds import NUMBERS, Kind, kind_of
from skymargin.arrow.transport import transport_type
from skymargin.catalogs.layout import SOURCE_COLUMNS

if TYPE_CHECKING:
    import pyarrow as pa


def expected_schema(primary: pa.Schema, format_name: str) -> pa.Schema:
    """Schema of a margin of a catalog.

    Parameters
    ----------
    primary
        Schema of the catalog.
    format_name
        ``HATS`` or ``HiPSCat``, whose margins have three more columns.
    """
    import pyarrow as pa

    if format_name != "HiPSCat":
        return primary
    for name, kind in SOURCE_COLUMNS.items():
        if name not in primary.names:
            primary = primary.append(pa.field(name, pa.type_for_alias(kind)))
    return primary


def schema_difference(schema: pa.Schema, expected: pa.Schema) -> str:
    """How columns differ in name, order or type, in words; empty when they do not. Metadata is ignored."""
    # pyarrow makes the list of names anew each time.
    names, expected_names = schema.names, expected.names
    known, wanted = set(names), set(expected_names)
    missing = [name for name in expected_names if name not in known]
    if missing:
        return f"it lacks the column {', '.join(missing)}"
    added = [name for name in names if name not in wanted]
    if added:
        return f"it has the column {', '.join(added)}, which the primary lacks"
    if names != expected_names:
        moved = next(name for name, other in zip(names, expected_names, strict=True) if name != other)
        return f"its columns are in another order, from {moved} on"
    for column, other in zip(schema, expected, strict=True):
        if column.type != other.type:
            return f"column {column.name} is of type {column.type}, in the primary {other.type}"
    return ""


def in_type(column: pa.ChunkedArray, data_type: pa.DataType) -> pa.ChunkedArray:
    """A column in the type of the schema, as the build converts it: a time in another unit is another number.

    It is left as it is where it cannot be converted without loss.
    """
    import pyarrow as pa

    wanted = transport_type(data_type)
    kinds = kind_of(column.type), kind_of(wanted)
    if column.type == wanted or not (kinds[0] is kinds[1] or NUMBERS.issuperset(kinds)):
        return column
    try:
        return column.cast(wanted)
    except pa.ArrowException:
        return column


def comparable_columns(schemas: list[pa.Schema], expected: pa.Schema) -> list[int]:
    """Numbers of the expected columns that can be compared with files of some schemas.

    These are columns that every file has, and of which one type holds every value of the other.
    """
    return [
        number
        for number, column in enumerate(expected)
        if all(_can_compare(schema, column) for schema in schemas)
    ]


def _can_compare(schema: pa.Schema, column: pa.Field) -> bool:
    if len(schema.get_all_field_indices(column.name)) != 1:
        return False
    kind = schema.field(column.name).type
    return is_lossless(kind, column.type) or is_lossless(column.type, kind)


def is_lossless(source: pa.DataType, target: pa.DataType) -> bool:
    """Whether every value of type `source` is a value of type `target`, so that a cast changes nothing."""
    from pyarrow import types

    source, target = transport_type(source), transport_type(target)
    kinds = kind_of(source), kind_of(target)
    if source == target or kinds[0] is Kind.NULL:
        return True
    if kinds[0] is not kinds[1]:
        return False
    match kinds[0]:
        case Kind.SIGNED | Kind.UNSIGNED | Kind.FLOAT:
            return bool(source.bit_width <= target.bit_width)
        case Kind.BYTES:
            is_text = [types.is_string(kind) or types.is_large_string(kind) for kind in (source, target)]
            return bool(is_text[0] == is_text[1])
        case Kind.STRUCT:
            return [field.name for field in source] == [field.name for field in target] and all(
                is_lossless(field.type, other.type) for field, other in zip(source, target, strict=True)
            )
        case Kind.LIST:
            return is_lossless(source.value_type, target.value_type)
        case Kind.FIXED_LIST:
            is_same_size = source.list_size == target.list_size
            return is_same_size and is_lossless(source.value_type, target.value_type)
        case Kind.MAP:
            is_key_lossless = is_lossless(source.key_type, target.key_type)
            return is_key_lossless and is_lossless(source.item_type, target.item_type)
        case Kind.NULL | Kind.BOOLEAN | Kind.DECIMAL | Kind.TEMPORAL | Kind.FIXED_BYTES | Kind.DICTIONARY:
            return False
        case Kind.NOT_IN_PARQUET:
            return False
        case _:
            assert_never(kinds[0])
