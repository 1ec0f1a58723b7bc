"""Shards: groups of rows by margin, found again without reading the rest, and whole or not there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from skymargin.build.stages.partition_scan import Selection
from skymargin.build.stages.shards import ShardReader, read_index, shard_writer

SCHEMA = pa.schema([("id", pa.int64()), ("band", pa.dictionary(pa.int32(), pa.string()))])
THRESHOLDS_ARCSEC = (1.0, 0.5, 0.1)
MARGINS = [(0, 3), (2, 7), (2, 8), (29, 3_458_764_513_820_540_927)]


def selection(rows: int, seed: int) -> Selection:
    """Return rows of which each belongs to one to three margins."""
    random = np.random.default_rng(seed)
    number = np.arange(rows) + 1_000 * seed
    table = pa.table([pa.array(number), pa.array([f"b{n % 3}" for n in number])], names=SCHEMA.names).cast(
        SCHEMA
    )
    position = np.repeat(np.arange(rows), random.integers(1, 4, rows))
    margin = np.array([random.permutation(len(MARGINS))[:1][0] for _ in position])
    (whole,) = table.combine_chunks().to_batches()
    return Selection(
        whole,
        pa.record_batch(
            {
                "row": pa.array(position * 10, pa.uint64()),
                "margin_order": pa.array([MARGINS[m][0] for m in margin], pa.uint8()),
                "margin_pixel": pa.array([MARGINS[m][1] for m in margin], pa.uint64()),
                "separation_arcsec": pa.array(random.random(len(position))),
                "index": pa.array(random.integers(0, 50, rows)[position], pa.uint64()),
                "position": pa.array(position, pa.int64()),
            }
        ),
    )


@pytest.mark.parametrize("gathered_bytes", [1 << 30, 2_000, 1])
def test_every_row_is_found_in_its_margin_and_in_order(gathered_bytes: int, tmp_path: Path) -> None:
    added = {(1, 5): selection(60, seed=1), (1, 6): selection(40, seed=2), (0, 9): selection(1, seed=3)}
    expected = set()
    with shard_writer(tmp_path / "shard", SCHEMA, gathered_bytes, THRESHOLDS_ARCSEC) as shard:
        for (order, pixel), chosen in added.items():
            shard.add(chosen, order, pixel)
            members = chosen.memberships.to_pydict()
            for at, row in enumerate(members["row"]):
                number = chosen.rows.column("id")[members["position"][at]].as_py()
                margin = (members["margin_order"][at], members["margin_pixel"][at])
                expected.add(
                    (
                        *margin,
                        number,
                        members["index"][at],
                        order,
                        pixel,
                        row,
                        members["separation_arcsec"][at],
                    )
                )
    index, rows_per_threshold = read_index(tmp_path / "shard")
    for number, threshold_arcsec in enumerate(THRESHOLDS_ARCSEC):
        within = [
            sum(row[-1] <= threshold_arcsec and row[:2] == margin for row in expected) for margin in MARGINS
        ]
        assert shard.rows_per_threshold[number] == sum(within) > 0
        for margin, rows in zip(MARGINS, within, strict=True):
            groups = [(group["order"], group["pixel"]) == margin for group in index]
            assert rows_per_threshold[groups, number].sum() == rows
    assert (len(index) == len(MARGINS)) == (gathered_bytes > 1 << 20)
    groups = index[["record_batch", "offset", "rows"]].tolist()
    present = set()
    read = ShardReader().read_groups(tmp_path / "shard", groups)
    for group, (rows, origin) in zip(index, read, strict=True):
        keys = []
        for row, about in zip(rows.to_pylist(), origin.to_pylist(), strict=True):
            assert row["band"] == f"b{row['id'] % 3}"
            source = about["source_pixel"] << 2 * (29 - about["source_order"])
            keys.append((about["index"], source, about["row"]))
            present.add((int(group["order"]), int(group["pixel"]), row["id"], *about.values()))
        assert keys == sorted(keys)
    assert present == expected


def test_an_empty_shard_is_a_shard(tmp_path: Path) -> None:
    with shard_writer(tmp_path / "shard", SCHEMA, 1 << 20, THRESHOLDS_ARCSEC):
        pass
    index, rows_per_threshold = read_index(tmp_path / "shard")
    assert len(index) == len(rows_per_threshold) == 0


def test_a_shard_that_fails_is_not_there(tmp_path: Path) -> None:
    def fail() -> None:
        with shard_writer(tmp_path / "shard", SCHEMA, 1 << 20, THRESHOLDS_ARCSEC) as shard:
            shard.add(selection(5, seed=1), 0, 0)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert not any(tmp_path.iterdir())


def test_groups_outlive_their_file(tmp_path: Path) -> None:
    with shard_writer(tmp_path / "shard", SCHEMA, 1 << 20, THRESHOLDS_ARCSEC) as shard:
        shard.add(selection(50, seed=1), 0, 0)
    (group, *_) = read_index(tmp_path / "shard")[0][["record_batch", "offset", "rows"]].tolist()
    before, after = (ShardReader().read_groups(tmp_path / "shard", [group])[0][0] for _ in range(2))
    copy = before.to_pylist()
    (tmp_path / "shard").unlink()
    assert after.to_pylist() == copy


def test_few_shards_are_open_at_the_same_time(tmp_path: Path) -> None:
    files = [tmp_path / f"shard-{number}" for number in range(6)]
    for number, file in enumerate(files):
        with shard_writer(file, SCHEMA, 1 << 20, THRESHOLDS_ARCSEC) as shard:
            shard.add(selection(5, seed=number + 1), 0, 0)
    reader = ShardReader(most_open=2)

    def mapped() -> set[str]:
        maps = Path("/proc/self/maps").read_text().splitlines()
        return {line.split()[-1] for line in maps if str(tmp_path) in line}

    for file in [*files, *files[::-1]]:
        groups = read_index(file)[0][["record_batch", "offset", "rows"]].tolist()
        ids = [row for rows, _ in reader.read_groups(file, groups) for row in rows.column("id").to_pylist()]
        assert {number // 1_000 for number in ids} == {int(file.name[-1]) + 1}
        if Path("/proc/self/maps").exists():
            assert str(file) in mapped()
            assert len(mapped()) <= 2
