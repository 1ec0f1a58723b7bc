"""What the tests of runs share: what a run reads and writes is noted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import skymargin._core as _core
from tests.support.catalogs import Pixel


@pytest.fixture
def mapped(monkeypatch: pytest.MonkeyPatch) -> list[Pixel]:
    """Note the partitions that the map stage of this process reads."""
    pixels: list[Pixel] = []
    map_batch = _core.map_batch

    def noted(spec: object, parts: list[tuple[int, int, list[str], int, int]], *more: object) -> object:
        pixels.extend((order, pixel) for order, pixel, *_ in parts)
        return map_batch(spec, parts, *more)  # type: ignore[arg-type]

    monkeypatch.setattr(_core, "map_batch", noted)
    return pixels


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Note the files of margins that the reduce stage of this process writes."""
    files: list[str] = []
    reduce_batch = _core.reduce_batch

    def noted(spec: object, slices: bytes, shards: list[int], names: list[str], *more: object) -> object:
        files.extend(names)
        return reduce_batch(spec, slices, shards, names, *more)  # type: ignore[arg-type]

    monkeypatch.setattr(_core, "reduce_batch", noted)
    return files


@pytest.fixture
def given(tmp_path: Path) -> dict[str, Any]:
    """Return the arguments that have no default."""
    (tmp_path / "catalog").mkdir()
    return {
        "input_catalog_path": tmp_path / "catalog",
        "output_path": tmp_path / "out",
        "output_artifact_name": "catalog_5arcs",
    }
