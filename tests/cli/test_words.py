"""Errors of the package in the words of the command line."""

from __future__ import annotations

from dataclasses import fields

import click
import pytest

from skymargin import MarginCacheArguments
from skymargin.cli import words
from skymargin.cli.build import build
from skymargin.cli.words import in_words_of_options


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ("dask_n_workers 0 is not allowed", "--workers 0 is not allowed"),
        (
            "only_changed=True cannot be combined with fine_filtering=False",
            "--only-changed cannot be combined with --coarse",
        ),
        ("/x exists already; overwrite=True replaces it", "/x exists already; --overwrite replaces it"),
        ("input_catalog_path: there is nothing at x", "CATALOG: there is nothing at x"),
        ("primary_storage_options are for remote", "--storage-option are for remote"),
        ("output_path /tmp_dir/output_path is a file", "--output /tmp_dir/output_path is a file"),
        (
            "tmp_dir/x and x/tmp_dir and 'tmp_dir' and \"tmp_dir\"",
            "tmp_dir/x and x/tmp_dir and 'tmp_dir' and \"tmp_dir\"",
        ),
        (
            "the catalog, the output and tmp_dir must be there",
            "the catalog, the output and --tmp-dir must be there",
        ),
        ("what memory_limit caps: x", "what --memory-limit caps: x"),
        (
            "write_table_kwargs {'compression': 'zip'} cannot be used: no",
            "--compression zip cannot be used: no",
        ),
        ("row_group_kwargs['num_rows'] 0 is", "--row-group-rows 0 is"),
        ("args[1] (x_5arcs) has fine_filtering=False; y", "x_5arcs has --coarse; y"),
        ("create_partition_info_png needs matplotlib", "--with picture needs matplotlib"),
        ("cone and debug_filter_pixel_list cannot", "--cone and --pixel cannot"),
        (
            "cone is (ra_deg, dec_deg, radius_deg): radius above 0; not (1.0, -95.0, 2e-05)",
            "--cone is RA,DEC,RADIUS: radius above 0; not 1.0,-95.0,2e-05",
        ),
        (
            "add_to_collection=True and collection='my stars/c' cannot be combined",
            "--add-to-collection and --collection 'my stars/c' cannot be combined",
        ),
        (
            "default_margin=True needs add_to_collection=True or collection=DIR",
            "--default-margin needs --add-to-collection or --collection DIR",
        ),
        ("it is kept; the same call goes on from there", "it is kept; the same command goes on from there"),
        ("a/collection=x is a collection", "a/collection=x is a collection"),
        ("a cone of the sky, a sample, to overwrite", "a cone of the sky, a sample, to overwrite"),
        (
            "s3://b: no; give them in the storage options, which for a public bucket are {'anon': True}",
            "s3://b: no; give them with --storage-option, or --anon for a public bucket",
        ),
    ],
)
def test_arguments_become_options(message: str, told: str) -> None:
    assert in_words_of_options(message) == told


def test_every_option_exists_and_every_argument_of_two_words_has_one() -> None:
    options = {name for param in build.params if isinstance(param, click.Option) for name in param.opts}
    named = {*words._OPTIONS.values(), *words._SWITCHES.values()} - {"CATALOG", "--keep-files"}
    assert {name.split()[0] for name in named} <= options
    arguments = {field.name for field in fields(MarginCacheArguments)}
    known = {name.partition("[")[0].partition("=")[0] for name in (*words._OPTIONS, *words._SWITCHES)}
    # `verify` has the first of these, `remove_margin` the second.
    assert known <= arguments | {"primary_storage_options", "keep_files"}
    # The others have no option.
    assert {name for name in arguments - known if "_" in name} == {
        "npix_parquet_name", "delete_intermediate_parquet_files", "delete_resume_log_files", "progress_bar",
        "simple_progress_bar", "tqdm_kwargs",
    }  # fmt: skip
