"""Numbers of rows that a catalog states, compared with its files to find lost files and outdated metadata."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import TYPE_CHECKING

from skymargin.catalogs.catalog import StatedRows
from skymargin.catalogs.layout import METADATA, below_dataset, from_partition_path
from skymargin.catalogs.metadata_file import footer_rows, read_footer
from skymargin.catalogs.properties import whole_number
from skymargin.catalogs.thrift import ThriftError
from skymargin.errors import CatalogError
from skymargin.storage.paths import AnyPath

if TYPE_CHECKING:
    from skymargin.catalogs.catalog import Catalog


def stated_rows(file: AnyPath, key: str, value: object) -> list[StatedRows]:
    """The number of rows in the properties of a catalog, if there is one.

    Parameters
    ----------
    file
        The file of the properties.
    key, value
        The key and its value; None without a value.

    Raises
    ------
    CatalogError
        When the value is not a number of rows.
    """
    text = "" if value is None else str(value).strip()
    if not text:
        return []
    rows = whole_number(text)
    if rows is None:
        raise CatalogError(f"{file} has {key}={text:.60}: allowed are whole numbers, 0 or more")
    return [StatedRows(file, rows, key)]


def rows_in_metadata(data: AnyPath, sizes: Mapping[str, int] | None) -> list[StatedRows]:
    """The number of rows in `_metadata`, if the file exists.

    Only the beginning of its footer is read, because the row groups may take a hundred megabytes.

    Parameters
    ----------
    data
        The folder that it is in.
    sizes
        Every file below that folder; None where files cannot be listed.

    Raises
    ------
    CatalogError
        When it cannot be read.
    """
    if sizes is None or METADATA not in sizes:
        return []
    file = data / METADATA
    try:
        return [StatedRows(file, footer_rows(file, sizes[METADATA]))]
    except (OSError, ThriftError) as error:
        raise CatalogError(
            f"{file} cannot be read as Parquet: {error}; write it again, or remove it: it is optional"
        ) from error


def check_stated(stated: Iterable[StatedRows]) -> None:
    """Check that the files of a catalog state the same number of rows.

    Raises
    ------
    CatalogError
        When they do not.
    """
    for first, other in pairwise(stated):
        if first.rows != other.rows:
            raise CatalogError(
                f"{first}, but {other}: one of them is out of date, or a file of the catalog was lost; "
                "correct the one that is wrong"
            )


def check_rows(catalog: Catalog, rows: Mapping[tuple[int, int], int]) -> None:
    """Check that the files of a catalog hold the number of rows that it states.

    Parameters
    ----------
    catalog
        The catalog.
    rows
        The rows of each of its partitions, from the footers of its files.

    Raises
    ------
    CatalogError
        When they do not. Names the file that states another number, and the first partition that differs if it is
        known.
    """
    total = sum(rows.values())
    for stated in catalog.stated_rows:
        if stated.rows == total:
            continue
        # Files elsewhere have other names than in `_metadata`.
        is_named = not stated.key and catalog.elsewhere is None
        at_fault = _at_fault(catalog, stated.file, rows) if is_named else ""
        remedy = f"correct {stated.key}" if stated.key else "write it again or remove it"
        raise CatalogError(
            f"{stated}, but the files of its {len(rows)} partitions, listed in {catalog.listed_in}, hold "
            f"{total}{at_fault}: a file was lost or replaced, or {stated.file.name} is out of date; "
            f"if the files are right, {remedy}"
        )


def _at_fault(catalog: Catalog, metadata: AnyPath, rows: Mapping[tuple[int, int], int]) -> str:
    """The first partition whose number of rows differs from `_metadata`, in words."""
    footer = read_footer(metadata)
    stated_rows: dict[str, int] = {}
    for number in range(footer.num_row_groups):
        group = footer.row_group(number)
        name = from_partition_path(group.column(0).file_path)
        stated_rows[name] = stated_rows.get(name, 0) + group.num_rows
    for pixel, files in zip(catalog.partitions, catalog.files, strict=True):
        stated = sum(stated_rows.pop(below_dataset(name), 0) for name in files)
        if stated != rows.get(pixel, 0):
            return f" ({catalog.path / files[0]}: {rows.get(pixel, 0)}, not {stated})"
    lost = next(iter(stated_rows), None)
    return f" ({lost} is not among them)" if lost else ""
