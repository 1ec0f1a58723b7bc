"""Tables of other libraries as Arrow tables: polars, pandas, astropy, dicts of columns. None of them is imported."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from skymargin.geometry.angles import in_degrees, is_quantity

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

ACCEPTED = (
    "a polars, pandas, pyarrow or astropy table, a dict of columns, or any with the Arrow PyCapsule interface"
)


def arrow_table(table: Any, *, degrees: tuple[str, ...] = ()) -> pa.Table:
    """A table of any of these libraries as an Arrow table.

    Parameters
    ----------
    table
        The table. The index of a pandas frame becomes a column if it has a name. A LazyFrame of polars is collected.
        Masked values of astropy become nulls, and its units metadata of the fields, `unit`.
    degrees
        Names of columns that are angles: those with another unit of astropy are converted to degrees.

    Raises
    ------
    TypeError
        When it is no table, or names a column whose type Arrow does not have.
    """
    import pyarrow as pa

    if isinstance(table, pa.Table):
        return table
    pandas = sys.modules.get("pandas")
    if pandas is not None and isinstance(table, pandas.DataFrame):
        return _from_pandas(table)
    if is_astropy(table):
        return _of_columns({name: table[name] for name in table.colnames}, degrees)
    if isinstance(table, Mapping):
        return _of_columns(table, degrees)
    if type(table).__module__.startswith("polars") and hasattr(table, "collect"):
        table = table.collect()
    if not (hasattr(table, "__arrow_c_stream__") or hasattr(table, "__arrow_c_array__")):
        raise TypeError(f"the table must be {ACCEPTED}, not {type(table)}")
    try:
        return pa.table(table)
    except (pa.ArrowInvalid, TypeError, ValueError) as error:
        # A column has the interface too.
        raise TypeError(f"the table must be {ACCEPTED}, not {type(table)}: {error}") from error


def is_astropy(table: object) -> bool:
    """Whether it is a table of astropy."""
    module = sys.modules.get("astropy.table")
    return module is not None and isinstance(table, module.Table)


def is_swapped(kind: Any) -> bool:
    """Whether a type of numpy or pandas has its bytes in the other order than this machine."""
    return not getattr(kind, "isnative", True)


def astropy_column(name: str, column: Any, *, degrees: bool = False) -> pa.Array:
    """A column of an astropy table as an Arrow array.

    Parameters
    ----------
    name
        Its name, for errors.
    column
        A `Column`, `MaskedColumn` or `Quantity`; also an array or a list.
    degrees
        Whether it is an angle, which is converted to degrees if it has another unit.

    Raises
    ------
    TypeError
        When Arrow has no type for it.
    """
    import numpy as np
    import pyarrow as pa

    unit = getattr(column, "unit", None)
    if degrees and unit is not None and str(unit) != "deg":
        quantity = column if is_quantity(column) else column.quantity
        mask = getattr(column, "mask", None)
        values = np.asarray(in_degrees(f"column {name!r}", quantity), dtype=np.float64)
        return pa.array(values, mask=None if mask is None else np.broadcast_to(mask, values.shape))
    if not isinstance(column, np.ndarray) and hasattr(column, "info") and hasattr(column, "shape"):
        raise TypeError(f"column {name!r} is of type {type(column).__name__}: make columns of its parts")
    if isinstance(column, str):
        raise TypeError(f"column {name!r} is text, not a list or an array")
    try:
        return _array(column)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError, TypeError, ValueError) as error:
        raise TypeError(f"column {name!r} cannot be an Arrow column: {error}") from error


def _of_columns(columns: Mapping[str, Any], degrees: tuple[str, ...]) -> pa.Table:
    import pyarrow as pa

    arrays, fields = [], []
    for name, column in columns.items():
        if not isinstance(name, str):
            raise TypeError(f"names of columns must be text, not {name!r}")
        if is_swapped(getattr(column, "dtype", None)) and hasattr(column, "to_numpy"):
            # A Series of pandas, which Arrow does not take then.
            column = column.to_numpy()
        is_arrow = hasattr(column, "__arrow_c_stream__") or hasattr(column, "__arrow_c_array__")
        array = pa.chunked_array(column) if is_arrow and not isinstance(column, pa.Array) else column
        if not is_arrow:
            array = astropy_column(name, column, degrees=name in degrees)
        unit = "deg" if name in degrees and getattr(column, "unit", None) else getattr(column, "unit", None)
        metadata = {"unit": str(unit)} if unit else None
        arrays.append(array)
        fields.append(pa.field(name, array.type, metadata=metadata))
    lengths = {field.name: len(array) for field, array in zip(fields, arrays, strict=True)}
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{name} has {rows}" for name, rows in lengths.items())
        raise TypeError(f"the columns have different numbers of rows: {told}")
    return pa.table(arrays, schema=pa.schema(fields))


def _array(column: Any) -> pa.Array:
    """An array of numpy, masked or not, of any number of dimensions, or a list."""
    import numpy as np
    import pyarrow as pa

    if not isinstance(column, np.ndarray):
        return pa.array(column)
    mask = getattr(column, "mask", None)
    values = np.asarray(np.ma.getdata(column))
    # FITS has its bytes in the other order.
    values = np.ascontiguousarray(values.astype(values.dtype.newbyteorder("="), copy=False))
    if values.dtype.kind == "S":
        values = np.char.decode(values, "utf-8")
    if values.dtype.kind in "UO":
        texts = values.astype(object)
        if mask is not None:
            texts[np.broadcast_to(mask, values.shape)] = None
        return pa.array(texts.tolist())
    array = pa.array(values.ravel(), mask=None if mask is None else _flat(mask, values.shape))
    for size in reversed(values.shape[1:]):
        array = pa.FixedSizeListArray.from_arrays(array, size)
    return array


def _flat(mask: Any, shape: tuple[int, ...]) -> np.ndarray:
    import numpy as np

    return np.broadcast_to(np.asarray(mask, bool), shape).ravel()


def _from_pandas(frame: Any) -> pa.Table:
    import pyarrow as pa

    # FITS has its bytes in the other order, which Arrow does not take.
    swapped = {name: kind.newbyteorder("=") for name, kind in frame.dtypes.items() if is_swapped(kind)}
    if swapped:
        frame = frame.astype(swapped)
    try:
        table = pa.Table.from_pandas(
            frame, preserve_index=any(name is not None for name in frame.index.names)
        )
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError) as error:
        # The last part names the column.
        raise TypeError(
            f"the pandas frame cannot be an Arrow table: {' '.join(map(str, error.args))}"
        ) from error
    # What pandas notes of its index is true of the whole table, not of parts of it.
    metadata = {key: value for key, value in (table.schema.metadata or {}).items() if key != b"pandas"}
    return table.replace_schema_metadata(metadata or None)
