"""Arguments that are changed after construction are checked as at construction."""

from __future__ import annotations

import copy
import pickle
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from skymargin import MarginCacheArguments, pipeline, plan_margin
from skymargin.errors import ArgumentError, CatalogNotFoundError, OutputExistsError


def test_arguments_can_be_changed_one_by_one(given: dict[str, Any]) -> None:
    args = MarginCacheArguments(
        **given, debug_filter_pixel_list=[(0, 1)], write_table_kwargs={"compression": "gzip"}
    )
    other = replace(args, margin_threshold=7.0)
    assert replace(other, margin_threshold=5.0) == args
    assert other != args


def test_assigned_values_are_kept_as_at_construction(given: dict[str, Any], tmp_path: Path) -> None:
    from hats.pixel_math import HealpixPixel

    values: dict[str, Any] = {
        "margin_threshold": np.float32(2.5),
        "margin_order": np.int64(7),
        "dask_n_workers": np.uint8(2),
        "memory_limit": "1GB",
        "tmp_dir": str(tmp_path / "tmp"),
        "dask_tmp": "",
        "debug_filter_pixel_list": iter([HealpixPixel(1, 2), [3, 4]]),
        "write_table_kwargs": {"compression": "gzip"},
        "row_group_kwargs": {"num_rows": np.int64(5)},
        "output_path": str(tmp_path / "elsewhere"),
        "output_artifact_name": "other",
        "overwrite": True,
    }
    args = MarginCacheArguments(**given)
    for name, value in values.items():
        setattr(args, name, value)
    values["debug_filter_pixel_list"] = [(1, 2), (3, 4)]
    assert args == MarginCacheArguments(**(given | values))
    assert (type(args.margin_threshold), type(args.margin_order), args.dask_tmp) == (float, int, None)
    assert args.tmp_dir == tmp_path / "tmp"
    assert args.debug_filter_pixel_list == [(1, 2), (3, 4)]
    assert args.catalog_path == tmp_path / "elsewhere" / "other"


@pytest.mark.parametrize(
    ("kept", "name", "value", "message"),
    [
        (
            {"cone": (1, 2, 3)},
            "debug_filter_pixel_list",
            [(0, 1)],
            "cone and debug_filter_pixel_list cannot",
        ),
        (
            {"debug_filter_pixel_list": [(0, 1)]},
            "cone",
            (1, 2, 3),
            "cone and debug_filter_pixel_list cannot",
        ),
        ({"cone": (1, 2, 3)}, "only_changed", True, "cone and only_changed cannot"),
        ({"only_changed": True}, "fine_filtering", False, "only_changed=True cannot be combined"),
        ({}, "default_margin", True, "default_margin=True needs add_to_collection=True"),
        ({}, "npix_parquet_name", "x.parquet", "needs npix_suffix='/'"),
        (
            {"npix_suffix": "/", "npix_parquet_name": "x.parquet"},
            "npix_suffix",
            ".parquet",
            "npix_parquet_name 'x.parquet' needs npix_suffix='/'",
        ),
        (
            {"row_group_kwargs": {"num_rows": 5}},
            "write_table_kwargs",
            {"row_group_size": 7},
            "row_group_kwargs['num_rows'] and write_table_kwargs['row_group_size'] set the same limit",
        ),
        (
            {"write_table_kwargs": {"row_group_size": 7}},
            "row_group_kwargs",
            {"num_rows": 5},
            "row_group_kwargs['num_rows'] and write_table_kwargs['row_group_size'] set the same limit",
        ),
        ({}, "add_to_collection", True, "is no collection and lies in none"),
    ],
)
def test_combinations_are_checked_at_an_assignment(
    kept: dict[str, Any], name: str, value: object, message: str, given: dict[str, Any]
) -> None:
    with pytest.raises(ArgumentError, match=re.escape(message)):
        MarginCacheArguments(**given, **(kept | {name: value}))
    args = MarginCacheArguments(**given, **kept)
    before = dict(vars(args))
    with pytest.raises(ArgumentError, match=re.escape(message)):
        setattr(args, name, value)
    assert vars(args) == before


def test_arguments_that_depend_on_each_other_can_be_assigned_in_turn(given: dict[str, Any]) -> None:
    args = MarginCacheArguments(**given)
    args.npix_suffix = "/"
    args.npix_parquet_name = "data.parquet"
    args.npix_parquet_name = None
    args.npix_suffix = ".parquet"
    args.cone = (10.0, 20.0, 1.0)
    args.cone = None
    args.debug_filter_pixel_list = [(0, 1)]
    args.debug_filter_pixel_list = None
    # No server is asked before the run, so that the options can follow.
    args.input_catalog_path = "memory://bucket/nowhere"
    args.input_storage_options = {"skip_instance_cache": True}
    with pytest.raises(
        ArgumentError, match=r"input_storage_options are for remote file systems, but .* is local"
    ):
        args.input_catalog_path = given["input_catalog_path"]
    with pytest.raises(CatalogNotFoundError, match="nothing at memory://bucket/nowhere"):
        pipeline(args)
    args.input_storage_options = None
    args.input_catalog_path = given["input_catalog_path"]
    assert args == MarginCacheArguments(**given)


def test_places_are_checked_at_an_assignment(given: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "out" / "taken").mkdir(parents=True)
    (tmp_path / "out" / "taken" / "properties").write_text("dataproduct_type=margin\n")
    args = MarginCacheArguments(**given)
    before = dict(vars(args))
    with pytest.raises(CatalogNotFoundError, match=r"there is nothing at .*nowhere"):
        args.input_catalog_path = tmp_path / "nowhere"
    with pytest.raises(ArgumentError, match=r"output_path .*file is a file, not a folder"):
        args.output_path = tmp_path / "file"
    with pytest.raises(OutputExistsError, match="taken exists already"):
        args.output_artifact_name = "taken"
    with pytest.raises(ArgumentError, match=r"output_artifact_name '\.\./x' is not allowed"):
        args.output_artifact_name = "../x"
    with pytest.raises(ArgumentError, match="output_path is required"):
        args.output_path = ""
    assert vars(args) == before
    args.overwrite = True
    args.output_artifact_name = "taken"
    assert args.catalog_path == tmp_path / "out" / "taken"


def test_the_arguments_of_a_run_serve_for_the_next(small_catalog: Path, tmp_path: Path) -> None:
    args = MarginCacheArguments(
        tmp_path, "first", input_catalog_path=small_catalog, margin_threshold=3600, progress_bar=False
    )
    first = pipeline(args)
    with pytest.raises(OutputExistsError, match="first exists already"):
        pipeline(args)
    # What does not concern places is no reason to look at them.
    args.margin_threshold = 1800
    args.output_artifact_name = "second"
    second = pipeline(args)
    assert (first.margin_threshold_arcsec, second.margin_threshold_arcsec) == (3600.0, 1800.0)
    assert 0 < second.rows < first.rows
    assert sorted(path.name for path in tmp_path.iterdir() if ".skymargin-" not in path.name) == [
        "first",
        "second",
    ]


@pytest.mark.parametrize("start", [pipeline, plan_margin, lambda args: pipeline([args])])
def test_a_run_checks_values_that_were_changed_behind_its_back(
    start: Callable[[MarginCacheArguments], object], small_catalog: Path, tmp_path: Path
) -> None:
    def arguments() -> MarginCacheArguments:
        return MarginCacheArguments(
            tmp_path / "out",
            "margin",
            input_catalog_path=small_catalog,
            write_table_kwargs={"compression": "gzip"},
            row_group_kwargs={"num_rows": 5},
            progress_bar=False,
        )

    args = arguments()
    assert args.write_table_kwargs is not None
    args.write_table_kwargs["flavor"] = "spark"
    with pytest.raises(ArgumentError, match=r"write_table_kwargs\['flavor'\] is not allowed"):
        start(args)
    args = arguments()
    assert args.write_table_kwargs is not None
    args.write_table_kwargs["row_group_size"] = 7
    with pytest.raises(ArgumentError, match=r"num_rows.*row_group_size.* set the same limit"):
        start(args)
    for name, value, message in (
        ("output_artifact_name", "../x", r"output_artifact_name '\.\./x'"),
        ("margin_threshold", "x", "margin_threshold 'x'"),
        ("completion_email_address", "me", "completion_email_address 'me'"),
        ("input_storage_options", {"key": "x"}, "input_storage_options are for remote file systems"),
    ):
        args = arguments()
        vars(args)[name] = value
        with pytest.raises(ArgumentError, match=message):
            start(args)
    assert list(tmp_path.iterdir()) == []


def test_copies_are_equal_and_checked_as_well(given: dict[str, Any]) -> None:
    args = MarginCacheArguments(
        **(given | {"output_path": "memory://bucket/out"}),
        margin_threshold=7,
        debug_filter_pixel_list=[(0, 1)],
        output_storage_options={"token": "secret"},
    )
    for made in (copy.copy(args), copy.deepcopy(args), pickle.loads(pickle.dumps(args)), replace(args)):
        assert type(made) is MarginCacheArguments
        assert made == args
        with pytest.raises(ArgumentError, match="margin_threshold 'x' is not allowed"):
            made.margin_threshold = "x"  # type: ignore[assignment]
        made.margin_threshold = 8
        assert made != args
        assert "margin_threshold=8.0" in repr(made)
        assert "secret" not in repr(made)
    assert args.margin_threshold == 7.0


def test_what_is_computed_cannot_be_assigned_and_nothing_be_deleted(given: dict[str, Any]) -> None:
    args = MarginCacheArguments(**given, margin_threshold=7)
    with pytest.raises(
        ArgumentError, match="catalog_path cannot be assigned: it is computed from the arguments"
    ):
        args.catalog_path = Path("x")  # type: ignore[misc]
    with pytest.raises(ArgumentError, match="margin_threshold cannot be deleted"):
        del args.margin_threshold
    assert args.margin_threshold == 7.0
