"""Conversion of rows to the types in which the core carries them, and back to the types of the catalog.

Two kinds of type are replaced: views, because pyarrow cannot take rows of them, and dictionaries, because their order
depends on which rows were read together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import skymargin._core as _core

if TYPE_CHECKING:
    import pyarrow as pa


def transport_type(kind: pa.DataType) -> pa.DataType:
    """Transport type of values of `kind`: the value type of dictionaries, large strings for views."""
    import pyarrow as pa

    return _core.transport_schema(pa.schema([pa.field("", kind)])).field(0).type


def to_transport(table: pa.Table) -> pa.Table:
    """Rows of a catalog in their transport types."""
    return _retyped(table, _core.transport_schema(table.schema))


def from_transport(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Transported rows in the types, and with the metadata, of the catalog's `schema`."""
    return _retyped(table, schema)


def _retyped(table: pa.Table, schema: pa.Schema) -> pa.Table:
    import pyarrow as pa

    columns = [
        column if column.type == field.type else column.cast(field.type)
        for column, field in zip(table.columns, schema, strict=True)
    ]
    return pa.Table.from_arrays(columns, schema=schema)
