"""Which columns of a margin can be compared with those of its primary."""

from __future__ import annotations

import pyarrow as pa

from skymargin.audit.schemas import is_lossless


def test_what_is_lossless_and_what_is_not() -> None:
    assert is_lossless(pa.int32(), pa.int64())
    assert not is_lossless(pa.int64(), pa.int32())
    assert not is_lossless(pa.uint32(), pa.int32())
    assert not is_lossless(pa.int32(), pa.float64())
    assert is_lossless(pa.list_(pa.float32()), pa.list_(pa.field("element", pa.float64())))
    assert not is_lossless(pa.list_(pa.float64()), pa.list_(pa.float32()))
    assert not is_lossless(pa.struct([("a", pa.int8())]), pa.struct([("b", pa.int8())]))
    assert is_lossless(pa.null(), pa.struct([("a", pa.int8())]))
    assert not is_lossless(pa.timestamp("us"), pa.timestamp("us", "UTC"))
