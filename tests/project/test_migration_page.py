"""The page on migration names every argument of the packages it is about, and says of each what is true."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from skymargin import MarginCacheArguments
from skymargin.compat.hats_arguments import HATS_IMPORT_ARGUMENTS, HatsImportArguments
from skymargin.compat.hipscat_arguments import HIPSCAT_IMPORT_ARGUMENTS

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "migrate.md"
# As `inspect.signature(MarginCacheArguments)` gives them, of hipscat-import 0.3.5 and of hats-import 0.11.1.
HIPSCAT_IMPORT = """
output_path output_artifact_name output_storage_options tmp_dir resume progress_bar simple_progress_bar dask_tmp
dask_n_workers dask_threads_per_worker resume_tmp completion_email_address catalog_path tmp_path
margin_threshold margin_order fine_filtering delete_intermediate_parquet_files delete_resume_log_files
input_catalog_path input_storage_options debug_filter_pixel_list
"""
HATS_IMPORT = """
output_path output_artifact_name addl_hats_properties npix_suffix npix_parquet_name write_table_kwargs
row_group_kwargs should_write_skymap skymap_alt_orders create_thumbnail create_metadata
create_per_partition_stats create_skymap_png create_partition_info_png create_summary_html create_summary_md
tmp_dir resume progress_bar simple_progress_bar tqdm_kwargs dask_tmp dask_n_workers dask_threads_per_worker
resume_tmp delete_intermediate_parquet_files delete_resume_log_files completion_email_address catalog_path
tmp_path tmp_base_path margin_threshold margin_order fine_filtering input_catalog_path debug_filter_pixel_list
"""


@pytest.fixture(scope="module")
def table() -> dict[str, tuple[str, str, str]]:
    """The page's table: which packages have an argument, what became of it, and the remark."""
    rows = re.findall(r"^\| `(\w+)` \| ([12, ]+) \| (\w+) \|(.*)\|$", PAGE.read_text("utf-8"), re.MULTILINE)
    assert len({row[0] for row in rows}) == len(rows)
    return {name: (where, verdict, remark.strip()) for name, where, verdict, remark in rows}


def test_the_page_names_every_argument_and_who_has_it(table: dict[str, tuple[str, str, str]]) -> None:
    for number, names in (("1", HIPSCAT_IMPORT), ("2", HATS_IMPORT)):
        assert {name for name, (where, _, _) in table.items() if number in where} == set(names.split())


def test_what_is_the_same_or_better_is_there_and_what_is_gone_is_not(
    table: dict[str, tuple[str, str, str]],
) -> None:
    here = {field.name for field in fields(MarginCacheArguments)}
    assert {verdict for _, verdict, _ in table.values()} == {"same", "better", "idle", "gone"}
    has = {name for name, (_, verdict, _) in table.items() if verdict in ("same", "better")}
    assert has == here & table.keys()
    idle = {field.name for field in fields(HatsImportArguments)} - here
    assert {name for name, (_, verdict, _) in table.items() if verdict == "idle"} == idle
    assert all(remark for _, verdict, remark in table.values() if verdict != "same")


def test_the_stand_ins_take_them_in_their_order() -> None:
    assert list(HIPSCAT_IMPORT_ARGUMENTS) == HIPSCAT_IMPORT.split()
    assert list(HATS_IMPORT_ARGUMENTS) == HATS_IMPORT.split()
