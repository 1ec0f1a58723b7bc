"""Shards: what the mapping of one batch of partitions found, in one Arrow IPC file.

Rows are grouped by the margin they belong to, and an index, kept as metadata of the file's last record batch, says
where each group is. A shard is written under another name until it is whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skymargin.carried import carried_schema, carry
from skymargin.job import nested_position
from skymargin.storage import written_aside

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from skymargin.scan import Selection

# Bytes of rows that are gathered before they are written.
_GATHERED_BYTES = 32 << 20
_INDEX_KEY = b"skymargin.index"


@contextmanager
def shard_writer(file: Path, schema: pa.Schema) -> Iterator[ShardWriter]:
    """Write one shard; the file appears when the block ends without an error.

    Parameters
    ----------
    file
        The shard.
    schema
        Schema of the catalog.
    """
    import pyarrow as pa

    whole = pa.schema([*carried_schema(schema), *_origin_fields()])
    with (
        written_aside(file) as aside,
        pa.OSFile(str(aside), mode="wb") as sink,
        pa.ipc.new_file(sink, whole) as ipc,
    ):
        writer = ShardWriter(ipc, whole)
        yield writer
        writer.finish()


class ShardWriter:
    """Gathers selected rows and writes them by margin; made by `shard_writer`.

    Attributes
    ----------
    rows : int
        Memberships added: rows, each counted once per margin it belongs to.
    """

    def __init__(self, ipc: pa.RecordBatchFileWriter, schema: pa.Schema) -> None:
        self._ipc = ipc
        self._schema = schema
        self._gathered: list[tuple[pa.Table, pa.Table]] = []
        self._gathered_bytes = 0
        self._index: list[pa.RecordBatch] = []
        self.rows = 0

    def add(self, selection: Selection, source_order: int, source_pixel: int) -> None:
        """Add rows selected from one partition.

        Parameters
        ----------
        selection
            The rows and their memberships.
        source_order, source_pixel
            The partition.
        """
        import pyarrow as pa

        found = selection.memberships
        count = found.num_rows
        members = pa.table(
            {
                "index": found.column("index"),
                "source_order": pa.repeat(pa.scalar(source_order, pa.uint8()), count),
                "source_pixel": pa.repeat(pa.scalar(source_pixel, pa.uint64()), count),
                "source_row": found.column("row"),
                "separation_arcsec": found.column("separation_arcsec"),
                "order": found.column("margin_order"),
                "pixel": found.column("margin_pixel"),
                "position": found.column("position"),
            }
        )
        self._gathered.append((carry(selection.rows), members))
        self.rows += count
        # A row is written once for each of its margins.
        self._gathered_bytes += int(selection.rows.nbytes) * count // max(selection.rows.num_rows, 1)
        if self._gathered_bytes >= _GATHERED_BYTES:
            self._write_gathered()

    def finish(self) -> None:
        """Write what is left, and the index."""
        import pyarrow as pa

        self._write_gathered()
        index = pa.concat_batches(self._index) if self._index else _groups((), (), (), (), record_batch=0)
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, index.schema) as stream:
            stream.write_batch(index)
        nothing = pa.RecordBatch.from_arrays(
            [pa.array([], field.type) for field in self._schema], schema=self._schema
        )
        self._ipc.write_batch(nothing, custom_metadata={_INDEX_KEY: sink.getvalue().to_pybytes()})

    def _write_gathered(self) -> None:
        import numpy as np
        import pyarrow as pa

        if not self._gathered:
            return
        counts = [(rows.num_rows, members.num_rows) for rows, members in self._gathered]
        rows = pa.concat_tables([rows for rows, _ in self._gathered]).combine_chunks()
        members = pa.concat_tables([members for _, members in self._gathered]).combine_chunks()
        rows_before = np.cumsum([0, *(count for count, _ in counts[:-1])])
        position = members.column("position").to_numpy() + np.repeat(
            rows_before, [count for _, count in counts]
        )
        margin = [members.column(name).to_numpy() for name in ("pixel", "order")]
        by_margin = np.lexsort((*sort_keys(members), *margin))
        at_once = max(1, _GATHERED_BYTES * len(by_margin) // max(self._gathered_bytes, 1))
        for start in range(0, len(by_margin), at_once):
            here = by_margin[start : start + at_once]
            self._write_batch(rows.take(pa.array(position[here])), members.take(pa.array(here)))
        self._gathered.clear()
        self._gathered_bytes = 0

    def _write_batch(self, rows: pa.Table, members: pa.Table) -> None:
        import numpy as np
        import pyarrow as pa

        origin = [members.column(field.name) for field in _origin_fields()]
        table = pa.Table.from_arrays([*rows.columns, *origin], schema=self._schema)
        (batch,) = table.combine_chunks().to_batches()
        self._ipc.write_batch(batch)
        order, pixel = members.column("order").to_numpy(), members.column("pixel").to_numpy()
        starts = np.flatnonzero(np.r_[True, (order[1:] != order[:-1]) | (pixel[1:] != pixel[:-1])])
        rows_in = np.diff(np.r_[starts, len(order)])
        self._index.append(_groups(order[starts], pixel[starts], starts, rows_in, len(self._index)))


def read_index(file: Path) -> pa.RecordBatch:
    """Where the rows of each margin are in a shard.

    Returns
    -------
    pyarrow.RecordBatch
        order (uint8), pixel (uint64), record_batch (int32), offset (int64), rows (int64)
    """
    import pyarrow as pa

    with pa.memory_map(str(file)) as source:
        shard = pa.ipc.open_file(source)
        metadata = shard.get_batch_with_custom_metadata(shard.num_record_batches - 1).custom_metadata
        return pa.ipc.open_stream(metadata[_INDEX_KEY]).read_next_batch()


def read_groups(file: Path, groups: Sequence[tuple[int, int, int]]) -> list[tuple[pa.Table, pa.Table]]:
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
        source_pixel, source_row, separation_arcsec. The file is closed; it stays mapped while a table is in use.
    """
    import pyarrow as pa

    with pa.memory_map(str(file)) as source:
        shard = pa.ipc.open_file(source)
        batches = {number: pa.Table.from_batches([shard.get_batch(number)]) for number, _, _ in groups}
    columns = range(len(shard.schema))
    split = len(columns) - len(_origin_fields())
    # Columns are told apart by their place: a catalog may have a column of any name.
    slices = [batches[number].slice(offset, rows) for number, offset, rows in groups]
    return [(table.select(list(columns[:split])), table.select(list(columns[split:]))) for table in slices]


def sort_keys(origin: pa.Table) -> tuple[np.ndarray, ...]:
    """Keys that put the rows of a margin in order, as `numpy.lexsort` wants them: the last is the most important.

    Rows are ordered by their index, then by their partition along the sky, then by their row in it.
    """
    source = nested_position(
        origin.column("source_order").to_numpy(), origin.column("source_pixel").to_numpy()
    )
    return origin.column("source_row").to_numpy(), source, origin.column("index").to_numpy()


def _origin_fields() -> list[pa.Field]:
    """The columns a shard has after those of the catalog."""
    import pyarrow as pa

    return [
        pa.field("index", pa.uint64()),
        pa.field("source_order", pa.uint8()),
        pa.field("source_pixel", pa.uint64()),
        pa.field("source_row", pa.uint64()),
        pa.field("separation_arcsec", pa.float64()),
    ]


def _groups(order: Any, pixel: Any, offset: Any, rows: Any, record_batch: int) -> pa.RecordBatch:
    import pyarrow as pa

    return pa.record_batch(
        {
            "order": pa.array(order, pa.uint8()),
            "pixel": pa.array(pixel, pa.uint64()),
            "record_batch": pa.repeat(pa.scalar(record_batch, pa.int32()), len(order)),
            "offset": pa.array(offset, pa.int64()),
            "rows": pa.array(rows, pa.int64()),
        }
    )
