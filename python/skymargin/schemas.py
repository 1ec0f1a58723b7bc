"""What the columns of a margin should be, and how those of a file differ."""

from __future__ import annotations

from typing import TYPE_CHECKING

from skymargin.carried import is_lossless

if TYPE_CHECKING:
    import pyarrow as pa


def expected_schema(primary: pa.Schema, format_name: str) -> pa.Schema:
    """Columns of a margin of a catalog.

    Parameters
    ----------
    primary
        Columns of the catalog.
    format_name
        ``HATS`` or ``HiPSCat``, whose margins have three more.
    """
    import pyarrow as pa

    if format_name != "HiPSCat":
        return primary
    for name, kind in (("Norder", pa.uint8()), ("Dir", pa.uint64()), ("Npix", pa.uint64())):
        if f"margin_{name}" not in primary.names:
            primary = primary.append(pa.field(f"margin_{name}", kind))
    return primary


def schema_difference(schema: pa.Schema, expected: pa.Schema) -> str:
    """How columns differ in name, order or type, in words; empty when they do not. Their metadata may differ."""
    missing = [name for name in expected.names if name not in schema.names]
    if missing:
        return f"it lacks the column {', '.join(missing)}"
    more = [name for name in schema.names if name not in expected.names]
    if more:
        return f"it has the column {', '.join(more)}, which the primary lacks"
    if schema.names != expected.names:
        moved = next(one for one, other in zip(schema.names, expected.names, strict=True) if one != other)
        return f"its columns are in another order, from {moved} on"
    for one, other in zip(schema, expected, strict=True):
        if one.type != other.type:
            return f"column {one.name} is of type {one.type}, in the primary {other.type}"
    return ""


def can_compare(schema: pa.Schema, kept: pa.Field) -> bool:
    """Whether values of a column can be compared with those of the primary's: where one type holds the other."""
    if schema.names.count(kept.name) != 1:
        return False
    kind = schema.field(kept.name).type
    return is_lossless(kind, kept.type) or is_lossless(kept.type, kind)
