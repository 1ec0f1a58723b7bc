"""Timestamps stored as INT96 that their unit does not hold are found; others are right."""

from __future__ import annotations

import pyarrow as pa

from skymargin.catalogs.int96 import out_of_range


def times(unit_of_first: str, first: int, second: int) -> pa.Array:
    fields = {
        "old": pa.array([first], pa.timestamp(unit_of_first)),
        "new": pa.array([second], pa.timestamp("ns")),
    }
    return pa.StructArray.from_arrays(list(fields.values()), list(fields))


def test_a_timestamp_of_64_bits_beside_one_of_int96_has_every_value() -> None:
    for second in (0, -1, 7, 2**63 - 1, -(2**63)):
        assert out_of_range(times("ns", 5_000_000_001, second), times("s", 5, second)) is None


def test_one_of_int96_beside_it_is_found() -> None:
    year_9999_s = 253_402_300_799
    wrapped = (year_9999_s * 10**9 + 2**63) % 2**64 - 2**63
    found = out_of_range(times("ns", wrapped, 7), times("s", year_9999_s, 7))
    assert found is not None
    assert found.startswith("the timestamp 9999-12-31T23:59:59, stored as INT96, is out of the range")
