"""The two ways HATS catalogs are laid out in Parquet: as hats writes them today, and as it used to."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

LAYOUTS = ("today", "yesterday", "single-rows")


def writer_options(layout: str, schema: pa.Schema, rows: int) -> dict[str, Any]:
    """Keyword arguments of `pyarrow.parquet.write_table`.

    ``today``: the encodings of the installed hats library, row groups of 100,000 rows, a page index.
    ``yesterday``: one row group a file, no page index, everything else as pyarrow has it by default.
    ``single-rows``: every row group holds one row; for tests.
    """
    if layout == "today":
        from hats.io.file_io.file_io import get_parquet_write_table_kwargs

        return dict(get_parquet_write_table_kwargs(schema))
    if layout == "yesterday":
        return {"row_group_size": max(rows, 1)}
    if layout == "single-rows":
        return {"row_group_size": 1}
    raise ValueError(f"layout {layout!r} is unknown: one of {', '.join(LAYOUTS)} is allowed")
