"""The name of a margin when none is given: that of the catalog, with the threshold."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from skymargin import MarginCacheArguments, pipeline
from skymargin.errors import ArgumentError, OutputExistsError
from tests.support.catalogs import ids_of


def test_the_name_follows_catalog_and_threshold(small_catalog: Path, tmp_path: Path) -> None:
    args = MarginCacheArguments(tmp_path, input_catalog_path=small_catalog, margin_threshold=3600)
    assert args.catalog_path == tmp_path / "small_3600arcs"
    args.margin_threshold = 0.5
    assert args.catalog_path == tmp_path / "small_0.5arcs"
    assert replace(args, margin_threshold=10).catalog_path == tmp_path / "small_10arcs"
    args.output_artifact_name = "mine"
    assert args.catalog_path == tmp_path / "mine"
    args.output_artifact_name = ""
    assert args.catalog_path == tmp_path / "small_0.5arcs"


def test_margins_without_names(small_catalog: Path, tmp_path: Path) -> None:
    def arguments(threshold: float) -> MarginCacheArguments:
        return MarginCacheArguments(
            output_path=tmp_path, input_catalog_path=small_catalog, margin_threshold=threshold,
            progress_bar=False,
        )  # fmt: skip

    pipeline([arguments(1800), arguments(3600)])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["small_1800arcs", "small_3600arcs"]
    assert ids_of(tmp_path / "small_1800arcs") != ids_of(tmp_path / "small_3600arcs")
    with pytest.raises(OutputExistsError, match="small_1800arcs exists already"):
        arguments(1800)


def test_a_catalog_whose_name_cannot_be_that_of_a_margin(tmp_path: Path) -> None:
    (tmp_path / "my catalog").mkdir()
    with pytest.raises(ArgumentError, match=r"output_artifact_name is required here.*'my catalog_5arcs'"):
        MarginCacheArguments(tmp_path, input_catalog_path=tmp_path / "my catalog")
    MarginCacheArguments(tmp_path, "mine", input_catalog_path=tmp_path / "my catalog")
