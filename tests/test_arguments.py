"""The arguments of a run: what they are by default, and what they refuse."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from upath import UPath

from skymargin import MarginCacheArguments, SkymarginError, pipeline
from skymargin.errors import ArgumentError, CatalogNotFoundError, OutputExistsError


@pytest.fixture
def given(tmp_path: Path) -> dict[str, Any]:
    """Return the arguments that have no default."""
    (tmp_path / "catalog").mkdir()
    return {
        "input_catalog_path": tmp_path / "catalog",
        "output_path": tmp_path / "out",
        "output_artifact_name": "catalog_5arcs",
    }


def test_defaults(given: dict[str, Any], tmp_path: Path) -> None:
    args = MarginCacheArguments(**given)
    assert (args.margin_threshold, args.margin_order, args.fine_filtering) == (5.0, -1, True)
    assert (args.dask_n_workers, args.dask_threads_per_worker) == (1, 1)
    assert (args.tmp_dir, args.dask_tmp, args.progress_bar, args.overwrite) == (None, None, True, False)
    assert args.catalog_path == tmp_path / "out" / "catalog_5arcs"
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("threshold", [1, 324_000, np.float32(2.5), np.int64(3), 1e-300])
def test_thresholds_that_are_allowed(threshold: float, given: dict[str, Any]) -> None:
    kept = MarginCacheArguments(**given, margin_threshold=threshold).margin_threshold
    assert type(kept) is float
    assert kept == float(threshold)


@pytest.mark.parametrize(
    "threshold", [0, 0.0, -1.0, math.nan, math.inf, -math.inf, 324_000.01, "10", None, True, 1j, [5.0]]
)
def test_thresholds_that_are_refused(threshold: object, given: dict[str, Any]) -> None:
    with pytest.raises(
        ArgumentError, match=r"margin_threshold .* arcseconds, above 0 and at most 324000"
    ) as caught:
        MarginCacheArguments(**given, margin_threshold=threshold)  # type: ignore[arg-type]
    assert repr(threshold) in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("margin_order", -2, "-1 to 29"),
        ("margin_order", 30, "-1 to 29"),
        ("margin_order", 3.0, "-1 to 29"),
        ("dask_n_workers", 0, "1 or more"),
        ("dask_n_workers", None, "1 or more"),
        ("dask_threads_per_worker", -4, "1 or more"),
        ("dask_threads_per_worker", True, "1 or more"),
        ("progress_bar", "no", "True or False"),
        ("overwrite", 1, "True or False"),
        ("fine_filtering", None, "True or False"),
        ("output_artifact_name", "", "letters, digits"),
        ("output_artifact_name", "a/b", "letters, digits"),
        ("output_artifact_name", "a b", "letters, digits"),
        ("output_artifact_name", "..", "not a name"),
        ("output_artifact_name", 7, "letters, digits"),
        ("output_path", "", "required"),
        ("output_path", None, "required"),
        ("input_catalog_path", "", "required"),
        ("input_catalog_path", None, "required"),
        ("tmp_dir", "memory://somewhere", "local"),
        ("dask_tmp", UPath("memory://somewhere"), "local"),
    ],
)
def test_values_that_are_refused(name: str, value: object, allowed: str, given: dict[str, Any]) -> None:
    with pytest.raises(ArgumentError) as caught:
        MarginCacheArguments(**(given | {name: value}))
    assert name in str(caught.value)
    assert allowed in str(caught.value)


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
    (output / "properties").touch()
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
    with pytest.raises(ArgumentError, match="must be MarginCacheArguments, not dict"):
        pipeline({})  # type: ignore[arg-type]
