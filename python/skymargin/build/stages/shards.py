"""Shards: the rows that one map task selected, in one Arrow IPC file.

Rows are grouped by the margin they belong to. An index, kept as metadata of the file's last record batch, says where
each group is, and how many of its rows are within each threshold of the run. A shard is written under another name
until it is complete.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skymargin.arrow.columns import to_arrow, to_numpy
from skymargin.arrow.transport import to_transport, transport_schema
from skymargin.build.stages.tasks import nested_position
from skymargin.storage.paths import atomic_write

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from skymargin.build.stages.partition_scan import Selection

_INDEX_KEY = b"skymargin.index"
_ROWS_KEY = b"skymargin.rows_per_threshold"


@contextmanager
def shard_writer(
    file: Path, schema: pa.Schema, gathered_bytes: int, thresholds_arcsec: Sequence[float]
) -> Iterator[ShardWriter]:
    """Write one shard; the file appears when the block ends without an error.

    Parameters
    ----------
    file
        The shard.
    schema
        Schema of the catalog.
    gathered_bytes
        Bytes of rows that are gathered before they are written.
    thresholds_arcsec
        Thresholds of the run, the widest first. All rows count as within that one; for the others they are counted.
    """
    import pyarrow as pa

    whole = pa.schema([*transport_schema(schema), *_origin_fields()])
    with (
        atomic_write(file) as aside,
        pa.OSFile(str(aside), mode="wb") as sink,
        pa.ipc.new_file(sink, whole) as ipc,
    ):
        writer = ShardWriter(ipc, whole, gathered_bytes, thresholds_arcsec)
        yield writer
        writer.finish()


class ShardWriter:
    """Gathers selected rows and writes them by margin; made by `shard_writer`.

    Attributes
    ----------
    rows_per_threshold : list of int
        For each threshold, the memberships within it: rows, each counted once per margin. Complete when the shard is.
    """

    def __init__(
        self,
        ipc: pa.RecordBatchFileWriter,
        schema: pa.Schema,
        gathered_bytes: int,
        thresholds_arcsec: Sequence[float],
    ) -> None:
        self._ipc = ipc
        self._most_bytes = gathered_bytes
        self._schema = schema
        self._gathered: list[tuple[Selection, int, int]] = []
        self._gathered_bytes = 0
        self._index: list[np.ndarray] = []
        self._thresholds_arcsec = thresholds_arcsec
        self._rows: list[np.ndarray] = []
        self.rows_per_threshold: list[int] = []

    def add(self, selection: Selection, source_order: int, source_pixel: int) -> None:
        """Add rows selected from one partition.

        Parameters
        ----------
        selection
            The rows and their memberships.
        source_order, source_pixel
            The partition.
        """
        self._gathered.append((selection, source_order, source_pixel))
        count = selection.memberships.num_rows
        # A row is written once for each of its margins.
        self._gathered_bytes += (
            int(selection.rows.get_total_buffer_size()) * count // max(selection.rows.num_rows, 1)
        )
        if self._gathered_bytes >= self._most_bytes:
            self._write_gathered()

    def finish(self) -> None:
        """Write what is left, and the index."""
        import numpy as np
        import pyarrow as pa

        self._write_gathered()
        index = np.concatenate([_groups((), (), (), (), record_batch=0), *self._index])
        rows = np.concatenate([np.empty((0, len(self._thresholds_arcsec)), dtype=np.int64), *self._rows])
        self.rows_per_threshold = rows.sum(axis=0).tolist()
        nothing = pa.RecordBatch.from_arrays(
            [pa.nulls(0, field.type) for field in self._schema], schema=self._schema
        )
        self._ipc.write_batch(
            nothing, custom_metadata={_INDEX_KEY: index.tobytes(), _ROWS_KEY: rows.tobytes()}
        )

    def _write_gathered(self) -> None:
        import numpy as np
        import pyarrow as pa

        if not self._gathered:
            return
        selections = [selection for selection, _, _ in self._gathered]
        rows = to_transport(pa.Table.from_batches([one.rows for one in selections])).combine_chunks()
        members = self._members()
        rows_before = np.cumsum([0, *(one.rows.num_rows for one in selections[:-1])])
        position = to_numpy(members.column("position")) + np.repeat(
            rows_before, [one.memberships.num_rows for one in selections]
        )
        margin = [to_numpy(members.column(f"margin_{name}")) for name in ("pixel", "order")]
        by_margin = np.lexsort((*sort_keys(members), *margin))
        at_once = max(1, self._most_bytes * len(by_margin) // max(self._gathered_bytes, 1))
        for start in range(0, len(by_margin), at_once):
            here = by_margin[start : start + at_once]
            self._write_batch(rows.take(to_arrow(position[here])), members.take(to_arrow(here)))
        self._gathered.clear()
        self._gathered_bytes = 0

    def _members(self) -> pa.Table:
        """The memberships gathered, with the partition each comes from."""
        import numpy as np
        import pyarrow as pa

        counts = [selection.memberships.num_rows for selection, _, _ in self._gathered]
        orders = np.array([order for _, order, _ in self._gathered], dtype=np.uint8)
        pixels = np.array([pixel for _, _, pixel in self._gathered], dtype=np.uint64)
        members = pa.Table.from_batches([selection.memberships for selection, _, _ in self._gathered])
        members = members.append_column("source_order", to_arrow(np.repeat(orders, counts)))
        return members.append_column("source_pixel", to_arrow(np.repeat(pixels, counts))).combine_chunks()

    def _write_batch(self, rows: pa.Table, members: pa.Table) -> None:
        import numpy as np
        import pyarrow as pa

        origin = [members.column(field.name) for field in _origin_fields()]
        table = pa.Table.from_arrays([*rows.columns, *origin], schema=self._schema)
        (batch,) = table.combine_chunks().to_batches()
        self._ipc.write_batch(batch)
        order, pixel = (to_numpy(members.column(f"margin_{name}")) for name in ("order", "pixel"))
        starts = np.flatnonzero(np.r_[True, (order[1:] != order[:-1]) | (pixel[1:] != pixel[:-1])])
        rows_in = np.diff(np.r_[starts, len(order)])
        self._index.append(_groups(order[starts], pixel[starts], starts, rows_in, len(self._index)))
        rows = [rows_in]
        if len(self._thresholds_arcsec) > 1:
            separation = to_numpy(members.column("separation_arcsec"))
            is_within = separation[:, None] <= np.array(self._thresholds_arcsec[1:])
            rows.append(np.add.reduceat(is_within, starts, dtype=np.int64))
        self._rows.append(np.column_stack(rows))


class ShardReader:
    """Reads groups of rows from shards, keeping a few shards open: neighbouring margins are in the same ones.

    Parameters
    ----------
    most_open
        How many shards are open at the same time.
    """

    def __init__(self, most_open: int = 32) -> None:
        self._most_open = most_open
        self._open: dict[Path, _OpenShard] = {}

    def read_groups(
        self, file: Path, groups: Sequence[tuple[int, int, int]]
    ) -> list[tuple[pa.Table, pa.Table]]:
        """Groups of a shard, without copying them.

        Parameters
        ----------
        file
            The shard.
        groups
            Record batch, offset and rows of each group.

        Returns
        -------
        list of (pyarrow.Table, pyarrow.Table)
            The rows of each group in the types they travel in, and where they come from: index, source_order,
            source_pixel, row, separation_arcsec. The file stays mapped while a table is in use.
        """
        shard = self._open.pop(file, None) or _OpenShard(file)
        # The one used last comes last; the first is the one not used for longest.
        self._open[file] = shard
        if len(self._open) > self._most_open:
            del self._open[next(iter(self._open))]
        return [shard.group(*group) for group in groups]


class _OpenShard:
    """One shard, mapped, with the record batch that was used last."""

    def __init__(self, file: Path) -> None:
        import pyarrow as pa

        with pa.memory_map(str(file)) as source:
            # The mapping outlives the file handle.
            self._shard = pa.ipc.open_file(source.read_buffer())
        self._columns = len(self._shard.schema) - len(_origin_fields())
        self._number = -1

    def group(self, number: int, offset: int, rows: int) -> tuple[pa.Table, pa.Table]:
        import pyarrow as pa

        if number != self._number:
            batch = self._shard.get_batch(number)
            # Columns are told apart by their place: a catalog may have a column of any name.
            places = range(batch.num_columns)
            self._rows = pa.Table.from_batches([batch.select(list(places[: self._columns]))])
            self._origin = pa.Table.from_batches([batch.select(list(places[self._columns :]))])
            self._number = number
        return self._rows.slice(offset, rows), self._origin.slice(offset, rows)


def read_index(file: Path) -> tuple[np.ndarray, np.ndarray]:
    """Where the rows of each margin are in a shard, and how many of them are within each threshold.

    Returns
    -------
    (numpy.ndarray, numpy.ndarray)
        One element of the type that `group_type` gives for each group of rows; one line of row counts for each group.
    """
    import numpy as np
    import pyarrow as pa

    # Not mapped: a large file would take address space, and only its end is read.
    with pa.OSFile(str(file)) as source:
        shard = pa.ipc.open_file(source)
        metadata = shard.get_batch_with_custom_metadata(shard.num_record_batches - 1).custom_metadata
    groups = np.frombuffer(metadata[_INDEX_KEY], dtype=group_type())
    rows = np.frombuffer(metadata[_ROWS_KEY], dtype=np.int64)
    # Without groups, numpy cannot tell how many thresholds there were.
    return groups, rows.reshape(len(groups), -1) if len(groups) else rows.reshape(0, 1)


def group_type() -> np.dtype:
    """What the index of a shard says of a group: its margin, and where its rows are."""
    import numpy as np

    return np.dtype(
        [("order", "u1"), ("pixel", "<u8"), ("record_batch", "<i4"), ("offset", "<i8"), ("rows", "<i8")]
    )


def sort_keys(origin: pa.Table) -> tuple[np.ndarray, ...]:
    """Keys that put the rows of a margin in order, as `numpy.lexsort` wants them: the last is the most important.

    Rows are ordered by their index, then by their partition along the sky, then by their row in it.
    """
    source = nested_position(to_numpy(origin.column("source_order")), to_numpy(origin.column("source_pixel")))
    return to_numpy(origin.column("row")), source, to_numpy(origin.column("index"))


def _origin_fields() -> list[pa.Field]:
    """The columns a shard has after those of the catalog."""
    import pyarrow as pa

    return [
        pa.field("index", pa.uint64()),
        pa.field("source_order", pa.uint8()),
        pa.field("source_pixel", pa.uint64()),
        pa.field("row", pa.uint64()),
        pa.field("separation_arcsec", pa.float64()),
    ]


def _groups(order: Any, pixel: Any, offset: Any, rows: Any, record_batch: int) -> np.ndarray:
    import numpy as np

    groups = np.empty(len(order), dtype=group_type())
    groups["order"], groups["pixel"], groups["record_batch"] = order, pixel, record_batch
    groups["offset"], groups["rows"] = offset, rows
    return groups
