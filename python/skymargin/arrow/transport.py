"""The Arrow types of rows in transport between the stages, and conversion back to the types of the catalog.

Two kinds of type are replaced: views, because pyarrow cannot take rows of them, and dictionaries, because their order
depends on which rows were read together, and the bytes of the output would depend on it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa


def transport_type(kind: pa.DataType) -> pa.DataType:
    """Transport type of values of `kind`: the value type of dictionaries, large strings for views."""
    import pyarrow as pa
    from pyarrow import types

    if types.is_dictionary(kind):
        return transport_type(kind.value_type)
    if types.is_string_view(kind):
        return pa.large_string()
    if types.is_binary_view(kind):
        return pa.large_binary()
    if types.is_struct(kind):
        return pa.struct([field.with_type(transport_type(field.type)) for field in kind])
    if types.is_map(kind):
        return pa.map_(transport_type(kind.key_type), _transport_field(kind.item_field), kind.keys_sorted)
    if types.is_fixed_size_list(kind):
        return pa.list_(_transport_field(kind.value_field), kind.list_size)
    if types.is_large_list(kind):
        return pa.large_list(_transport_field(kind.value_field))
    if types.is_list(kind):
        return pa.list_(_transport_field(kind.value_field))
    return kind


def transport_schema(schema: pa.Schema) -> pa.Schema:
    """Transport schema of rows of `schema`; names, nullability and order stay."""
    import pyarrow as pa

    return pa.schema([_transport_field(field) for field in schema])


def to_transport(table: pa.Table) -> pa.Table:
    """Rows of a catalog in their transport types."""
    return _retyped(table, transport_schema(table.schema))


def from_transport(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Transported rows in the types, and with the metadata, of the catalog's `schema`."""
    return _retyped(table, schema)


def _transport_field(field: pa.Field) -> pa.Field:
    return field.with_type(transport_type(field.type))


def _retyped(table: pa.Table, schema: pa.Schema) -> pa.Table:
    import pyarrow as pa

    columns = [
        column if column.type == field.type else column.cast(field.type)
        for column, field in zip(table.columns, schema, strict=True)
    ]
    return pa.Table.from_arrays(columns, schema=schema)
