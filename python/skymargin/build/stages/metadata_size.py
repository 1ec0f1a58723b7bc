"""Whether `_metadata` is written: decided when reducing begins, and not when it turns out too large at the end."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from skymargin.catalogs.catalog import format_named
from skymargin.catalogs.layout import METADATA, below_dataset
from skymargin.catalogs.metadata_file import estimate_metadata_bytes, metadata_limits, warn_left_out
from skymargin.formatting import readable_bytes

if TYPE_CHECKING:
    from skymargin.build.stages.tasks import MarginWriterSpec, ReduceTask
    from skymargin.catalogs.output_options import OutputOptions
    from skymargin.storage.paths import AnyPath


def affordable_options(
    catalog: AnyPath, writer: MarginWriterSpec, tasks: Sequence[ReduceTask], kept: int, rows: int
) -> OutputOptions:
    """The options of a margin catalog, without `_metadata` where that would be too large for readers.

    The summaries of the hats library are made from `_metadata`, and left out with it. A run that is resumed decides the
    same: it depends on the catalog and the arguments alone.

    Parameters
    ----------
    catalog
        The margin catalog, for warnings.
    writer
        How its files are written.
    tasks
        The margins that are made.
    kept
        The number of margins that are taken over.
    rows
        Rows of all margins.
    """
    output = writer.output
    first = next((task for task in tasks if len(task.orders)), None)
    if first is None or not output.needs_row_groups:
        return output
    margins = sum(len(task.orders) for task in tasks) + kept
    # Each margin begins a row group.
    row_groups = margins + rows // writer.group_rows
    name = format_named(writer.format).margin_file(int(first.orders[0]), int(first.pixels[0]))
    name_bytes = len(below_dataset(output.file_name(name)))
    size = estimate_metadata_bytes(writer.parquet.template, row_groups, name_bytes)
    limits = metadata_limits()
    if size > limits.most_bytes:
        warn_left_out(catalog, size)
        return replace(output, create_metadata=False, create_summary_html=False, create_summary_md=False)
    if size > limits.warned_bytes:
        warnings.warn(
            f"{catalog}: {METADATA} will take about {readable_bytes(size)} for {row_groups:,} row groups, and readers "
            "about nine times as much memory; create_metadata=False (--no-metadata) leaves it out",
            stacklevel=2,
        )
    return output
