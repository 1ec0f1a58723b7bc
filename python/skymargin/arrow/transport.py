"""Conversion of rows to the types in which the core carries them, and back to the types of the catalog.

Two kinds of type are replaced: views, because pyarrow cannot take rows of them, and dictionaries, because their order
depends on which rows were read together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import skymargin._core as _core
from skymargin.arrow.kinds import Kind, kind_of

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


def in_transport(array: pa.Array) -> pa.Array:
    """Values in their transport type."""
    return _converted(array, transport_type(array.type))


def _retyped(table: pa.Table, schema: pa.Schema) -> pa.Table:
    import pyarrow as pa

    columns = [
        column
        if column.type == field.type
        else pa.chunked_array([_converted(chunk, field.type) for chunk in column.chunks], field.type)
        for column, field in zip(table.columns, schema, strict=True)
    ]
    return pa.Table.from_arrays(columns, schema=schema)


def _converted(array: pa.Array, wanted: pa.DataType) -> pa.Array:
    """Values in another type.

    Lists with a view in them are put together here: pyarrow has no cast to list views, and its cast from them leaves
    out the last offset. So are extension types: it has no cast to one that is stored in another type.
    """
    import pyarrow as pa

    if array.type == wanted:
        return array
    if isinstance(array.type, pa.BaseExtensionType):
        return _converted(array.storage, wanted)
    if isinstance(wanted, pa.BaseExtensionType):
        return pa.ExtensionArray.from_storage(wanted, _converted(array, wanted.storage_type))
    if not (_is_put_together(array.type) or _is_put_together(wanted)):
        return array.cast(wanted)
    mask = array.is_null() if array.null_count else None
    match kind_of(array.type), kind_of(wanted):
        case Kind.STRUCT, Kind.STRUCT:
            fields = list(wanted)
            children = [_converted(array.field(number), field.type) for number, field in enumerate(fields)]
            return pa.StructArray.from_arrays(children, fields=fields, mask=mask)
        case Kind.LIST, Kind.LIST:
            return _lists(array, wanted, mask)
        case _:
            return array.cast(wanted)


def _lists(array: pa.Array, wanted: pa.DataType, mask: pa.Array | None) -> pa.Array:
    """Lists with other offsets, or as views."""
    import numpy as np
    import pyarrow as pa
    from pyarrow import types

    lengths = array.value_lengths().fill_null(0).to_numpy(zero_copy_only=False)
    is_large = types.is_large_list(wanted) or types.is_large_list_view(wanted)
    width = np.int64 if is_large else np.int32
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(width)
    # Without what lies below nulls or between views.
    values = _converted(array.flatten(), wanted.value_type)
    if types.is_list(wanted) or types.is_large_list(wanted):
        lists = pa.LargeListArray if is_large else pa.ListArray
        return lists.from_arrays(pa.array(offsets), values, type=wanted, mask=mask)
    views = pa.LargeListViewArray if is_large else pa.ListViewArray
    sizes = pa.array(lengths.astype(width))
    return views.from_arrays(pa.array(offsets[:-1]), sizes, values, type=wanted, mask=mask)


def _is_put_together(data_type: pa.DataType) -> bool:
    """Whether there is a list view or an extension type in a type."""
    import pyarrow as pa
    from pyarrow import types

    if types.is_list_view(data_type) or types.is_large_list_view(data_type):
        return True
    if isinstance(data_type, pa.BaseExtensionType):
        return True
    fields = (data_type.field(number) for number in range(data_type.num_fields))
    return any(_is_put_together(field.type) for field in fields)
