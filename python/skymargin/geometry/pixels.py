"""Pixels in the nested numbering of HEALPix: which there are, and where they start at the deepest order."""

from __future__ import annotations

from operator import index
from typing import TYPE_CHECKING, Any

from skymargin.errors import ArgumentError
from skymargin.geometry.limits import LARGEST_ORDER

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray


def pixel_exists(order: int, pixel: int) -> bool:
    """Whether HEALPix has such a pixel."""
    return 0 <= order <= LARGEST_ORDER and 0 <= pixel < 12 << (2 * order)


def allowed_pixel(order: Any, pixel: Any) -> tuple[int, int]:
    """Order and index that are given as arguments of these names.

    Raises
    ------
    TypeError
        When one is not a whole number.
    ArgumentError
        When there is no such pixel.
    """
    order, number = allowed_order("order", order), whole("pixel", pixel)
    if not pixel_exists(order, number):
        raise ArgumentError(
            f"pixel {number} does not exist at order {order}: its pixels are 0 to {(12 << 2 * order) - 1}"
        )
    return order, number


def allowed_order(name: str, value: Any) -> int:
    """An order that is given as an argument; raises as `allowed_pixel`."""
    order = whole(name, value)
    if not 0 <= order <= LARGEST_ORDER:
        raise ArgumentError(f"{name} {order} is not allowed: a HEALPix order is 0 to {LARGEST_ORDER}")
    return order


def starts_of(orders: Any, pixels: Any) -> NDArray[np.uint64]:
    """The index at order 29 at which each pixel starts: the order of the sky, and distinct for disjoint pixels."""
    # Imported when it is called, so that `import skymargin` stays fast.
    import numpy as np

    shifts = 2 * (np.uint64(LARGEST_ORDER) - np.asarray(orders, np.uint64))
    return np.asarray(pixels, np.uint64) << shifts


def pixels_of(batch: pa.RecordBatch) -> list[tuple[int, int]]:
    """The pixels that the core returns in columns `order` and `pixel`, as pairs."""
    return list(zip(batch.column("order").to_pylist(), batch.column("pixel").to_pylist(), strict=True))


def whole(name: str, value: Any) -> int:
    """A whole number that is given as an argument; raises as `allowed_pixel`."""
    try:
        return index(value)
    except TypeError:
        raise TypeError(f"{name} {value!r} is not allowed: it must be a whole number") from None
