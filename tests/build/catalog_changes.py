"""Changes of a catalog and of arguments that make the work of an earlier run useless."""

from __future__ import annotations

import os
from pathlib import Path

import pyarrow.parquet as pq

from tests.support.catalogs import (
    edit,
    files_of,
    rows_in_file,
    state_rows,
)


def touch(catalog: Path) -> None:
    os.utime(files_of(catalog)[1, 1], ns=(1, 1_700_000_000_000_000_000))


def lose_a_row(catalog: Path) -> None:
    file = files_of(catalog)[1, 2]
    pq.write_table(rows_in_file(file).slice(1), file)
    state_rows(catalog)


def lose_a_partition(catalog: Path) -> None:
    edit(catalog / "partition_info.csv", "2,14\n", "")
    state_rows(catalog)


def change_metadata(catalog: Path) -> None:
    file = catalog / "dataset" / "_common_metadata"
    pq.write_metadata(pq.read_schema(file).with_metadata({"made": "otherwise"}), file)


CHANGES = {
    "margin_threshold changed from 600.0 to 500.0": {"margin_threshold": 500.0},
    "margin_order changed from -1 to 9": {"margin_order": 9},
    "fine_filtering changed from True to False": {"fine_filtering": False, "margin_order": 6},
    "check_index changed from False to True": {"check_index": True},
    "npix_suffix changed from '.parquet' to '/'": {"npix_suffix": "/"},
    "write_table_kwargs changed from {} to {'compression': 'GZIP'}": {
        "write_table_kwargs": {"compression": "GZIP"}
    },
    "row_group_kwargs changed from {} to {'num_rows': 2}": {"row_group_kwargs": {"num_rows": 2}},
    "addl_hats_properties changed": {"addl_hats_properties": {"hats_cols_default": "id"}},
    "create_metadata changed from True to False": {"create_metadata": False},
    "debug_filter_pixel_list changed from [] to [(1, 1), (1, 2), (0, 5)]": {
        "debug_filter_pixel_list": [(1, 1), (1, 2), (0, 5)]
    },
    "because resume=False": {"resume": False},
    "Npix=1.parquet of the catalog changed": touch,
    "the sizes of the partitions of the catalog changed": lose_a_row,
    "the list of partitions of the catalog changed": lose_a_partition,
    "the schema of the catalog changed": change_metadata,
}
