"""Timestamps stored as INT96 that their unit does not hold are found; others are right."""

from __future__ import annotations

import pyarrow as pa
import pytest

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


@pytest.mark.parametrize("kind", [pa.ListArray, pa.LargeListArray])
def test_lists_with_nulls_and_extension_types_are_looked_into(kind: type[pa.ListArray]) -> None:
    about = pa.ExtensionArray.from_storage(pa.json_(), pa.array(["{}"] * 4))

    def lists(unit: str, numbers: list[int]) -> pa.Array:
        structs = pa.StructArray.from_arrays([about, pa.array(numbers, pa.timestamp(unit))], ["about", "at"])
        offsets = pa.array([0, 1, None, 3, 4], pa.int32() if kind is pa.ListArray else pa.int64())
        return kind.from_arrays(offsets, structs)

    right = lists("ns", [0, 1_000_000_001, 2_000_000_000, 3]), lists("s", [0, 1, 2, 0])
    wrong = lists("ns", [0, 1, 2, 7]), lists("s", [0, 0, 0, 99])
    assert out_of_range(*right) is None
    assert out_of_range(*wrong) is not None
    assert out_of_range(*(array.slice(0, 3) for array in wrong)) is None
    assert out_of_range(*(array.slice(4) for array in wrong)) is None
