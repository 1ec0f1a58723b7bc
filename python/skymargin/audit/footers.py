"""Rows, columns and sort order of a catalog, from its footers and, where it is small, its index column."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from skymargin.arrow.columns import values_of
from skymargin.catalogs.layout import INDEX_COLUMN, METADATA
from skymargin.catalogs.parquet_errors import reading_parquet, refuse_encrypted
from skymargin.errors import CatalogError, PartitionReadError
from skymargin.formatting import readable_bytes
from skymargin.storage.paths import AnyPath, open_input

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pyarrow.parquet as pq

    from skymargin.catalogs.folder import CatalogFolder

T = TypeVar("T")

# An index column up to this size is read to check whether it is sorted; for a larger one only footers are used.
_INDEX_BYTES = 64 << 20


@dataclass
class FooterSummary:
    """What the files of a catalog say about it.

    Attributes
    ----------
    rows, columns : int or None
        Their numbers; None when not all footers, or none, could be read.
    index : str or None
        Column of the spatial index, if there is one.
    is_sorted : bool or None
        Whether the rows of each partition are sorted by it; None when that is not known.
    sorted_from : str
        How that is known.
    problems : list of str
        Files that cannot be read.
    """

    rows: int | None = None
    columns: int | None = None
    index: str | None = None
    is_sorted: bool | None = None
    sorted_from: str = ""
    problems: list[str] = field(default_factory=list)


class _Group(NamedTuple):
    """A row group: its file and rows, size and range of the index column (None where the footer lacks it)."""

    file: str
    rows: int
    index_bytes: int
    range: tuple[Any, Any] | None


def inspect_footers(catalog: CatalogFolder, paths: Sequence[str]) -> FooterSummary:
    """Summarise the files of a catalog.

    Parameters
    ----------
    catalog
        The catalog.
    paths
        Files of its partitions, relative to its data folder.
    """
    summary = FooterSummary()
    try:
        schema = catalog.schema()
        summary.columns = len(schema)
        index = catalog.index[0] or INDEX_COLUMN
        summary.index = index if index in schema.names else None
        groups = list(_groups(catalog, paths, index))
        summary.rows = sum(group.rows for group in groups)
        # Without files, nothing is known of their order.
        if summary.index is not None and groups:
            summary.is_sorted, summary.sorted_from = _sort_order(summary.index, catalog, groups)
    except (CatalogError, PartitionReadError) as error:
        summary.problems.append(str(error))
    return summary


def read_parquet(path: AnyPath, read: Callable[[Any], T]) -> T:
    """What `read`, such as `pyarrow.parquet.read_metadata`, gets from the footer of a file.

    Raises
    ------
    PartitionReadError
        When the file cannot be read as Parquet.
    """
    with reading_parquet(path, PartitionReadError), open_input(path) as source:
        refuse_encrypted(source)
        return read(source)


def _sort_order(index: str, catalog: CatalogFolder, groups: Sequence[_Group]) -> tuple[bool | None, str]:
    """Whether rows are sorted by the index, and how that is known."""
    for earlier, later in pairwise(groups):
        if earlier.file == later.file and earlier.range and later.range and later.range[0] < earlier.range[1]:
            return False, f"row groups of {later.file} overlap, by the statistics in its footer"
    index_bytes = sum(group.index_bytes for group in groups)
    if index_bytes <= _INDEX_BYTES:
        unsorted = _first_unsorted(catalog, groups, index)
        if unsorted is not None:
            return False, f"rows of {unsorted} are not in order, by its index column"
        return True, "every row of the index column was read"
    size = readable_bytes(index_bytes)
    if all(group.range for group in groups):
        return None, (
            "row groups are in order, by the statistics in their footers; rows within them were not read "
            f"(the index column is {size})"
        )
    return None, f"footers have no statistics of the index column, which is {size} and was not read"


def _first_unsorted(catalog: CatalogFolder, groups: Sequence[_Group], index: str) -> str | None:
    """The first file in which the index column decreases anywhere."""
    from skymargin.catalogs.partition_reader import PartitionRows

    for name in dict.fromkeys(group.file for group in groups):
        last = None
        with PartitionRows([catalog.data / name]) as rows:
            for _, table in rows.batches([index]):
                values = values_of(table.column(0))
                if (values[1:] < values[:-1]).any() or (last is not None and values[0] < last):
                    return name
                last = values[-1]
    return None


def _groups(catalog: CatalogFolder, paths: Sequence[str], index: str) -> Iterator[_Group]:
    """Row groups of all files, from `_metadata` if it lists exactly these files, otherwise from each file."""
    from pyarrow.parquet import read_metadata

    if METADATA in catalog.sizes:
        footer = read_parquet(catalog.data / METADATA, read_metadata)
        groups = list(_groups_in(footer, index, None))
        if {group.file for group in groups} == set(paths):
            yield from groups
            return
    for name in paths:
        yield from _groups_in(read_parquet(catalog.data / name, read_metadata), index, name)


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
        known = column.statistics if column.statistics and column.statistics.has_min_max else None
        index_range = (known.min, known.max) if known else None
        yield _Group(file, group.num_rows, column.total_compressed_size, index_range)
