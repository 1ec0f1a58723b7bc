"""Rows, columns and order of a catalog: from its footers, and from its index column where that is small."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

from skymargin.errors import CatalogError, PartitionReadError
from skymargin.formatting import readable_bytes
from skymargin.storage.paths import AnyPath, open_input

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pyarrow.parquet as pq

    from skymargin.catalogs.folder import CatalogFolder

# An index column up to this size is read to see whether it is sorted; of a larger one the footers must do.
_INDEX_BYTES = 64 << 20
_CUSTOMARY_INDEX = "_healpix_29"


@dataclass
class FooterSummary:
    """What the files of a catalog tell.

    Attributes
    ----------
    rows, columns : int or None
        How many it has; None when not all files, or none, could be read.
    index : str or None
        Column of the spatial index, if there is one.
    is_sorted : bool or None
        Whether the rows of each partition are sorted by it; None when that is not known.
    learned_from : str
        How that is known.
    complaints : list of str
        Files that cannot be read.
    """

    rows: int | None = None
    columns: int | None = None
    index: str | None = None
    is_sorted: bool | None = None
    learned_from: str = ""
    complaints: list[str] = field(default_factory=list)


class _Group(NamedTuple):
    """One row group: its file, its rows, size and range of the index column (None where the footer lacks it)."""

    file: str
    rows: int
    index_bytes: int
    range: tuple[Any, Any] | None


def inspect_footers(catalog: CatalogFolder, paths: Sequence[str]) -> FooterSummary:
    """Look at the files of a catalog.

    Parameters
    ----------
    catalog
        The catalog.
    paths
        Files of its partitions, relative to its data.
    """
    seen = FooterSummary()
    try:
        schema = catalog.schema()
    except CatalogError as error:
        seen.complaints.append(str(error))
        return seen
    seen.columns = len(schema)
    index = catalog.index[0] or _CUSTOMARY_INDEX
    seen.index = index if index in schema.names else None
    try:
        groups = list(_groups(catalog, paths, index))
    except PartitionReadError as error:
        seen.complaints.append(str(error))
        return seen
    seen.rows = sum(group.rows for group in groups)
    if seen.index is not None:
        try:
            _judge(seen, catalog, groups)
        except PartitionReadError as error:
            seen.complaints.append(str(error))
    return seen


def _judge(seen: FooterSummary, catalog: CatalogFolder, groups: Sequence[_Group]) -> None:
    """Whether rows are sorted by the index, and how that is known."""
    overlapping = next(
        (
            later.file
            for earlier, later in pairwise(groups)
            if earlier.file == later.file
            and earlier.range
            and later.range
            and later.range[0] < earlier.range[1]
        ),
        None,
    )
    index_bytes = sum(group.index_bytes for group in groups)
    if overlapping is not None:
        seen.is_sorted = False
        seen.learned_from = f"row groups of {overlapping} overlap, by the statistics in its footer"
    elif index_bytes <= _INDEX_BYTES:
        unsorted = _first_unsorted(catalog, groups, str(seen.index))
        seen.is_sorted = unsorted is None
        seen.learned_from = "every row of the index column was read"
        if unsorted is not None:
            seen.learned_from = f"rows of {unsorted} are not in order, by its index column"
    elif all(group.range for group in groups):
        seen.learned_from = (
            "row groups are in order, by the statistics in their footers; rows within them were not read "
            f"(the index column is {readable_bytes(index_bytes)})"
        )
    else:
        seen.learned_from = (
            "footers have no statistics of the index column, "
            f"which is {readable_bytes(index_bytes)} and was not read"
        )


def _first_unsorted(catalog: CatalogFolder, groups: Sequence[_Group], index: str) -> str | None:
    """The first file whose index column falls anywhere."""
    from skymargin.catalogs.partition_reader import PartitionRows

    for name in dict.fromkeys(group.file for group in groups):
        last = None
        with PartitionRows([catalog.data / name]) as rows:
            for _, table in rows.batches([index]):
                values = table.column(0).to_numpy()
                if (values[1:] < values[:-1]).any() or (last is not None and values[0] < last):
                    return name
                last = values[-1]
    return None


def _groups(catalog: CatalogFolder, paths: Sequence[str], index: str) -> Iterator[_Group]:
    """Row groups of all files, from `_metadata` if it knows just these files, else from each file."""
    if "_metadata" in catalog.sizes:
        groups = list(_groups_in(_footer(catalog.data / "_metadata"), index, None))
        if {group.file for group in groups} == set(paths):
            yield from groups
            return
    for name in paths:
        yield from _groups_in(_footer(catalog.data / name), index, name)


def _groups_in(footer: pq.FileMetaData, index: str, name: str | None) -> Iterator[_Group]:
    names = (footer.schema.column(leaf).path for leaf in range(footer.num_columns))
    leaf = next((number for number, path in enumerate(names) if path == index), None)
    for number in range(footer.num_row_groups):
        group = footer.row_group(number)
        file = group.column(0).file_path if name is None else name
        if leaf is None:
            yield _Group(file, group.num_rows, 0, None)
            continue
        column = group.column(leaf)
        statistics = column.statistics
        has_range = statistics is not None and statistics.has_min_max
        yield _Group(
            file,
            group.num_rows,
            column.total_compressed_size,
            (statistics.min, statistics.max) if has_range else None,
        )


def _footer(path: AnyPath) -> pq.FileMetaData:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with open_input(path) as source:
            return pq.read_metadata(source)
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise PartitionReadError(f"{path} cannot be read as Parquet: {reason}") from error
