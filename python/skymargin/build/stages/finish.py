"""Finishing: the metadata that makes the written margins a catalog."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from skymargin.catalogs.catalog import Catalog, MarginContents, format_named
from skymargin.catalogs.layout import VALID_BY
from skymargin.errors import IncompleteMarginError, StorageError
from skymargin.formatting import arcsec_text
from skymargin.geometry.pixels import starts_of
from skymargin.storage.paths import exists, remove_files, translate_errors

if TYPE_CHECKING:
    from collections.abc import Sequence

    from skymargin.build.stages.map import MapResult
    from skymargin.build.stages.reduce import ReduceResult
    from skymargin.catalogs.output_options import OutputOptions
    from skymargin.storage.paths import AnyPath


def contents_of(
    name: str,
    margin_threshold_arcsec: float,
    reduced: Sequence[ReduceResult],
    output: OutputOptions,
    marks_folder: AnyPath | None = None,
) -> MarginContents:
    """What all reduce tasks wrote together, in nested order.

    With a `marks_folder`, they wrote to another folder than the one in which the catalog is finished.
    """
    import numpy as np

    parts = [
        (np.array(result.orders, dtype=np.uint8), np.array(result.pixels, dtype=np.uint64), result)
        for result in reduced
    ]
    # A task is a stretch of the sky, so tasks in order are margins in order.
    parts.sort(key=lambda part: int(starts_of(part[0], part[1])[0]))
    return MarginContents(
        name=name,
        margin_threshold_arcsec=margin_threshold_arcsec,
        rows=sum(result.rows for _, _, result in parts),
        orders=np.concatenate([np.empty(0, dtype=np.uint8), *(orders for orders, _, _ in parts)]),
        pixels=np.concatenate([np.empty(0, dtype=np.uint64), *(pixels for _, pixels, _ in parts)]),
        row_groups=[row_groups for _, _, result in parts for row_groups in result.row_groups],
        options=output,
        bytes_elsewhere=sum(sum(result.files.values()) for result in reduced) if marks_folder else 0,
        marks_folder=marks_folder,
    )


def finish(folder: AnyPath, catalog: Catalog, contents: MarginContents, selected_rows: int) -> None:
    """Write the catalog's metadata, and what makes it valid last; every selected row must have been written.

    Raises
    ------
    IncompleteMarginError
        When not every selected row was written.
    StorageError
        When a file cannot be written.
    """
    if selected_rows != contents.rows:
        raise IncompleteMarginError(
            f"{selected_rows} rows were selected for margins, but {contents.rows} were written"
        )
    try:
        with translate_errors(folder):
            format_named(catalog.format).finish_margin(folder, catalog, contents)
    except OSError as error:
        # The folder is kept for the next run: no part of what makes a catalog valid may stay in it.
        with suppress(OSError):
            remove_files(folder, [name for name in VALID_BY if exists(folder / name)])
        raise StorageError(f"{folder} cannot be written: {error}") from error


def empty_reason(
    contents: MarginContents, mapped: Sequence[MapResult], partitions: int, fine_filtering: bool
) -> str | None:
    """Why a margin has no rows, in words; None when it has rows."""
    if contents.rows:
        return None
    if not partitions:
        return "because the catalog has no partitions"
    if contents.options.cone is not None:
        return "because no row is in the margin of a pixel that the cone touches"
    rows = sum(result.primary_rows for result in mapped)
    if not rows:
        return "because the catalog has no rows"
    nearby = (
        f"lies within {arcsec_text(contents.margin_threshold_arcsec)} of a pixel other than that of its own partition"
        if fine_filtering
        else "lies in a margin pixel next to a pixel other than that of its own partition"
    )
    return f"because none of the catalog's {rows:,} rows {nearby}"
