"""The arguments of a run: what they are by default, and what they refuse."""

from __future__ import annotations

import inspect
import math
import re
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from upath import UPath

from skymargin import MarginCacheArguments, SkymarginError, pipeline
from skymargin.build.argument_rules import CHECKS
from skymargin.errors import ArgumentError, CatalogNotFoundError, OutputExistsError


def test_defaults(given: dict[str, Any], tmp_path: Path) -> None:
    args = MarginCacheArguments(**given)
    assert (args.margin_threshold, args.margin_order, args.fine_filtering) == (5.0, -1, True)
    assert (args.dask_n_workers, args.dask_threads_per_worker) == (1, 1)
    assert (args.tmp_dir, args.dask_tmp, args.progress_bar, args.overwrite) == (None, None, True, False)
    assert (args.resume_tmp, args.resume, args.simple_progress_bar) == (None, True, False)
    assert args.delete_intermediate_parquet_files
    assert args.delete_resume_log_files
    assert (args.npix_suffix, args.npix_parquet_name, args.create_metadata) == (".parquet", None, True)
    assert not any(getattr(args, field.name) for field in fields(args) if field.name.startswith("create_t"))
    assert (args.write_table_kwargs, args.row_group_kwargs, args.tqdm_kwargs) == ({}, {}, {})
    assert args.catalog_path == tmp_path / "out" / "catalog_5arcs"
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("threshold", [1, 324_000, np.float32(2.5), np.int64(3), 1e-300])
def test_thresholds_that_are_allowed(threshold: float, given: dict[str, Any]) -> None:
    kept = MarginCacheArguments(**given, margin_threshold=threshold).margin_threshold
    assert type(kept) is float
    assert kept == float(threshold)


@pytest.mark.parametrize(
    "threshold",
    [0, 0.0, -1.0, math.nan, math.inf, -math.inf, 324_000.01, 10**400, "10", None, True, 1j, [5.0]],
)
def test_thresholds_that_are_refused(threshold: object, given: dict[str, Any]) -> None:
    with pytest.raises(
        ArgumentError, match=r"margin_threshold .* arcseconds, above 0 and at most 324000"
    ) as caught:
        MarginCacheArguments(**given, margin_threshold=threshold)  # type: ignore[arg-type]
    assert repr(threshold) in str(caught.value)
    assert ("it must be a number, not text, of arcseconds" in str(caught.value)) == isinstance(threshold, str)


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("margin_order", -2, "-1 to 29"),
        ("margin_order", 30, "-1 to 29"),
        ("margin_order", 3.0, "-1 to 29"),
        ("dask_n_workers", 0, "1 to 1024"),
        ("dask_n_workers", None, "1 to 1024"),
        ("dask_n_workers", 10**12, "1 to 1024"),
        ("dask_threads_per_worker", -4, "1 to 1024"),
        ("dask_threads_per_worker", True, "1 to 1024"),
        ("dask_wait_seconds", -1, "a number of seconds, 0 or more"),
        ("dask_wait_seconds", math.nan, "a number of seconds, 0 or more"),
        ("dask_wait_seconds", "600", "a number of seconds, 0 or more"),
        ("dask_wait_seconds", True, "a number of seconds, 0 or more"),
        ("progress_bar", "no", "True or False"),
        ("overwrite", 1, "True or False"),
        ("fine_filtering", None, "True or False"),
        ("output_artifact_name", "a/b", "letters, digits"),
        ("output_artifact_name", "a b", "letters, digits"),
        ("output_artifact_name", "..", "not a name"),
        ("output_artifact_name", "n" * 201, "of 201 characters is not allowed: it must have at most 200"),
        ("output_artifact_name", 7, "letters, digits"),
        ("output_path", "", "required"),
        ("output_path", None, "required"),
        ("input_catalog_path", "", "required"),
        ("input_catalog_path", None, "required"),
        ("tmp_dir", "https://host/folder", "no files can be written over HTTP"),
        ("tmp_dir", "https://me:pw@host/x", "has a password in its URL"),
        ("dask_tmp", UPath("memory://somewhere"), "local"),
        ("resume_tmp", "s3://bucket/records", "local"),
        ("tmp_dir", 7, "a local folder, or None"),
        ("input_storage_options", {"key": "secret"}, "is local"),
        ("output_storage_options", {"key": "secret"}, "is local"),
        ("output_storage_options", "secret", "a dict with text keys"),
        ("resume", 1, "True or False"),
        ("simple_progress_bar", None, "True or False"),
        ("delete_intermediate_parquet_files", "yes", "True or False"),
        ("delete_resume_log_files", 0, "True or False"),
        ("create_metadata", None, "True or False"),
        ("create_thumbnail", 1, "True or False"),
        ("create_per_partition_stats", "all", "True or False"),
        ("create_partition_info_png", "x.png", "True or False"),
        ("create_summary_html", 1, "True or False"),
        ("create_summary_md", 1, "True or False"),
        ("debug_filter_pixel_list", "3/17", "a pair (order, pixel)"),
        ("debug_filter_pixel_list", [17], "a pair (order, pixel)"),
        ("debug_filter_pixel_list", [(3, 17, 1)], "a pair (order, pixel)"),
        ("debug_filter_pixel_list", [(30, 0)], "0 to 29"),
        ("debug_filter_pixel_list", [(1, 48)], "0 to 47"),
        ("debug_filter_pixel_list", [(1, -1)], "0 to 47"),
        ("npix_suffix", "", "a file suffix"),
        ("npix_suffix", "parquet", "a file suffix"),
        ("npix_suffix", "./../x", "a file suffix"),
        ("npix_suffix", None, "a file suffix"),
        ("npix_parquet_name", "data.parquet", "needs npix_suffix='/'"),
        ("write_table_kwargs", ["zstd"], "a dict with text keys"),
        ("write_table_kwargs", {"compresion": "zstd"}, "known are"),
        ("write_table_kwargs", {"schema": None}, "the pipeline sets it itself"),
        ("write_table_kwargs", {"store_schema": False}, "types of its columns"),
        ("write_table_kwargs", {"sorting_columns": []}, "order of the index column"),
        ("write_table_kwargs", {"use_deprecated_int96_timestamps": True}, "keep their type"),
        ("write_table_kwargs", {"coerce_timestamps": "ms"}, "known are"),
        ("write_table_kwargs", {"row_group_size": 0}, "1 or more"),
        ("row_group_kwargs", {"num_rows": 0}, "1 or more"),
        ("row_group_kwargs", {"num_rows": 2.5}, "1 or more"),
        ("row_group_kwargs", {"subtile_order_delta": -1}, "0 or more"),
        ("row_group_kwargs", {"num_rows": 5, "subtile_order_delta": 1}, "nothing else"),
        ("row_group_kwargs", {"rows": 5}, "nothing else"),
        ("addl_hats_properties", "creator_did=x", "a dict with text keys"),
        ("addl_hats_properties", {"margin_threshold": 7}, "the margin sets it"),
        ("addl_hats_properties", {"hats_nrows": 7}, "the margin sets it"),
        ("addl_hats_properties", {"two\nlines": "x"}, "not the name of a property"),
        ("tqdm_kwargs", {"desc": "mine"}, "the pipeline sets it itself"),
        ("tqdm_kwargs", {"disable": True}, "the pipeline sets it itself"),
        ("tqdm_kwargs", {"colours": "red"}, "known are"),
        ("completion_email_address", "me", "name@example.org"),
        ("completion_email_address", "me@here\nBcc: you@there", "name@example.org"),
        ("completion_email_address", "me@here\r\n", "name@example.org"),
        ("completion_email_address", "a@b@c", "name@example.org"),
        ("completion_email_address", "me@here,", "name@example.org"),
        ("completion_email_address", ["me@here"], "name@example.org"),
    ],
)
def test_values_that_are_refused(name: str, value: object, allowed: str, given: dict[str, Any]) -> None:
    with pytest.raises(ArgumentError) as caught:
        MarginCacheArguments(**(given | {name: value}))
    assert name in str(caught.value)
    assert allowed in str(caught.value)
    args = MarginCacheArguments(**given)
    before = dict(vars(args))
    with pytest.raises(ArgumentError) as assigned:
        setattr(args, name, value)
    assert str(assigned.value) == str(caught.value)
    assert vars(args) == before


def test_every_refusal_is_a_value_error_of_the_package(given: dict[str, Any]) -> None:
    for kind in (ValueError, SkymarginError):
        with pytest.raises(kind):
            MarginCacheArguments(**given, margin_threshold=-1)


def test_an_input_that_is_not_there(given: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(CatalogNotFoundError, match="input_catalog_path"):
        MarginCacheArguments(**(given | {"input_catalog_path": tmp_path / "nowhere"}))


def test_an_output_path_that_is_a_file(given: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "out").touch()
    with pytest.raises(ArgumentError, match="output_path"):
        MarginCacheArguments(**given)


def test_an_output_that_exists(given: dict[str, Any], tmp_path: Path) -> None:
    output = tmp_path / "out" / "catalog_5arcs"
    output.mkdir(parents=True)
    MarginCacheArguments(**given)
    (output / "properties").write_text("dataproduct_type=margin\n")
    with pytest.raises(OutputExistsError, match="catalog_5arcs exists already; overwrite=True"):
        MarginCacheArguments(**given)
    MarginCacheArguments(**given, overwrite=True)


def test_paths_may_be_text_or_of_any_kind(given: dict[str, Any], tmp_path: Path) -> None:
    for kind in (str, Path, UPath):
        args = MarginCacheArguments(**(given | {"output_path": kind(tmp_path / "out")}))
        assert args.catalog_path == tmp_path / "out" / "catalog_5arcs"
    remote = MarginCacheArguments(**(given | {"output_path": "memory://bucket/out"}))
    assert str(remote.catalog_path) == "memory://bucket/out/catalog_5arcs"


def test_a_pipeline_takes_arguments_only() -> None:
    with pytest.raises(ArgumentError, match="must be MarginCacheArguments, or a list of them, not dict"):
        pipeline({})  # type: ignore[arg-type]


def test_output_and_name_may_be_given_by_position(given: dict[str, Any], tmp_path: Path) -> None:
    source = given["input_catalog_path"]
    assert MarginCacheArguments(tmp_path / "out", "name", input_catalog_path=source).catalog_path == (
        tmp_path / "out" / "name"
    )
    assert MarginCacheArguments(
        tmp_path / "out", output_artifact_name="name", input_catalog_path=source
    ).catalog_path == (tmp_path / "out" / "name")
    first_five = list(inspect.signature(MarginCacheArguments).parameters)[:5]
    assert first_five == [
        *("output_path", "output_artifact_name", "input_catalog_path", "input_storage_options"),
        "output_storage_options",
    ]


def test_positions_that_are_refused(given: dict[str, Any]) -> None:
    def refusal(*values: object, **named: object) -> str:
        with pytest.raises(ArgumentError) as caught:
            MarginCacheArguments(*values, **named)  # type: ignore[call-overload, arg-type]
        return str(caught.value)

    catalog = given["input_catalog_path"]
    no_catalog = (
        "input_catalog_path is required, by name: the first position is output_path, not the catalog, "
        "and the second is output_artifact_name"
    )
    assert refusal("demo/gaia", "out") == no_catalog
    assert refusal("demo/gaia", output_artifact_name="margin", margin_threshold=10) == no_catalog
    assert refusal("demo/gaia", "out", "margin") == (
        "MarginCacheArguments takes at most 2 arguments by position: output_path, output_artifact_name; "
        "3 were given. Pass the others by name"
    )
    assert refusal(catalog, "./out", input_catalog_path=catalog) == (
        "output_artifact_name './out' is not allowed: it must be a folder name of letters, digits, dots, dashes and "
        "underscores; it is the second position, after output_path"
    )
    assert refusal("out", output_path="out") == "output_path was given by position and by name"


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("margin_treshold", "did you mean margin_threshold?"),
        ("threshold", "did you mean margin_threshold?"),
        ("n_workers", "did you mean dask_n_workers?"),
        ("temp_dir", "did you mean tmp_dir?"),
        ("catalog", "did you mean input_catalog_path?"),
        ("output", "did you mean output_path?"),
        ("file_list", "help(MarginCacheArguments) lists the arguments"),
    ],
)
def test_unknown_names_are_refused_and_the_nearest_is_suggested(
    name: str, hint: str, given: dict[str, Any]
) -> None:
    args = MarginCacheArguments(**given)
    before = dict(vars(args))
    message = re.escape(f"{name} is not an argument; {hint}")
    with pytest.raises(ArgumentError, match=f"^{message}$"):
        MarginCacheArguments(**given, **{name: 3})
    with pytest.raises(ArgumentError, match=f"^{message}$"):
        setattr(args, name, 3)
    with pytest.raises(ArgumentError, match=f"^{message}$"):
        replace(args, **{name: 3})
    assert vars(args) == before


def test_no_arguments_at_all() -> None:
    with pytest.raises(ArgumentError, match="input_catalog_path is required"):
        MarginCacheArguments()


def test_empty_text_is_none_as_in_hipscat_import(given: dict[str, Any]) -> None:
    names = ("tmp_dir", "dask_tmp", "resume_tmp", "completion_email_address")
    args = MarginCacheArguments(**given, **dict.fromkeys(names, ""))
    assert not any(getattr(args, name) for name in names)
    assert args.tmp_path == Path(given["output_path"])


def test_pixels_of_any_kind_are_kept_as_pairs(given: dict[str, Any]) -> None:
    from hats.pixel_math import HealpixPixel

    pixels = [HealpixPixel(1, 2), (3, 4), [np.int64(0), np.uint64(11)]]
    args = MarginCacheArguments(**given, debug_filter_pixel_list=pixels)
    assert args.debug_filter_pixel_list == [(1, 2), (3, 4), (0, 11)]


@pytest.mark.parametrize("address", ["me@here", "first.last+tag@sub.example.org", "a@b.c, d@e.f"])
def test_addresses_that_are_allowed(address: str, given: dict[str, Any]) -> None:
    assert MarginCacheArguments(**given, completion_email_address=address).completion_email_address == address


@pytest.mark.parametrize("name", ["_metadata.parquet", ".x.parquet", "a/b.parquet", "data", 7])
def test_names_of_files_that_are_refused(name: object, given: dict[str, Any]) -> None:
    with pytest.raises(ArgumentError, match=r"npix_parquet_name .* ends with .parquet"):
        MarginCacheArguments(**given, npix_suffix="/", npix_parquet_name=name)  # type: ignore[arg-type]


def test_rows_of_a_row_group_are_given_once(given: dict[str, Any]) -> None:
    twice = {"row_group_kwargs": {"num_rows": 5}, "write_table_kwargs": {"row_group_size": 7}}
    with pytest.raises(ArgumentError, match=r"num_rows.*row_group_size"):
        MarginCacheArguments(**given, **twice)


def test_a_picture_needs_matplotlib(given: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    MarginCacheArguments(**given, create_partition_info_png=True)
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(
        ArgumentError, match=r"create_partition_info_png needs matplotlib: pip install matplotlib$"
    ):
        MarginCacheArguments(**given, create_partition_info_png=True)


def test_every_argument_has_a_check() -> None:
    assert sorted(CHECKS) == sorted(field.name for field in fields(MarginCacheArguments))


def test_every_argument_is_documented() -> None:
    text = MarginCacheArguments.__doc__ or ""
    for field in fields(MarginCacheArguments):
        assert re.search(rf"^    ([a-z_]+, )*{field.name}(, [a-z_]+)*$", text, re.MULTILINE), field.name
